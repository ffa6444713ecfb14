/*
 * The memory map at its edges: single frames more or less, and storage without a place to spare,
 * behind which the sanitizer watches.
 */
#include <mm/bootmem.h>
#include <mm/memmap.h>
#include <tests/test.h>

#define PAGE 4096ull

static struct mem_range storage[8];
static struct memmap map;

static void init(unsigned phys_bits)
{
	memmap_init(&map, storage, ARRAY_SIZE(storage), phys_bits);
}

TEST(memmap_edges, the_narrowest_machine_has_a_page)
{
	init(12);
	memmap_add(&map, 0, UINT64_MAX, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_EQ(map.nr, 1);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), PAGE);
	EXPECT_PANIC("assertion failed", init(11));
	EXPECT_PANIC("assertion failed", init(53));
}

/* Sorted they are; what is wrong is that they overlap. */
TEST(memmap_edges, two_ranges_of_one_base_overlap)
{
	const char *broken;

	init(40);
	storage[0] = (struct mem_range){PAGE, PAGE, MEM_USABLE};
	storage[1] = (struct mem_range){PAGE, PAGE, MEM_NVS};
	map.nr = 2;
	broken = memmap_check(&map);
	ASSERT_NOT_NULL(broken);
	EXPECT_EQ(strncmp(broken, "M5:", 3), 0);
}

TEST(memmap_edges, find_free_of_a_byte_and_of_too_much)
{
	init(40);
	memmap_add(&map, PAGE, 2 * PAGE, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_EQ(memmap_find_free(&map, 1, PAGE, 0, UINT64_MAX), 2 * PAGE);
	EXPECT_EQ(memmap_find_free(&map, 1, 1, 0, UINT64_MAX), 3 * PAGE - 1);
	for (u64 length = 2 * PAGE + 1; length <= 8 * PAGE; length += PAGE - 1)
		EXPECT_EQ(memmap_find_free(&map, length, PAGE, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_find_free(&map, 4 * PAGE, PAGE, 0, UINT64_MAX), 0);
}

/* Eight ranges in a storage for eight: nothing is cut, and all is changed to the last one. */
TEST(memmap_edges, the_last_range_of_a_full_storage)
{
	init(40);
	for (u32 i = 0; i < 8; i++)
		memmap_add(&map, (2 * i + 1) * PAGE, PAGE, MEM_USABLE);
	memmap_normalize(&map);
	ASSERT_EQ(map.nr, 8);
	EXPECT_EQ(memmap_reserve(&map, 0, UINT64_MAX, MEM_KERNEL), 0);
	EXPECT_EQ(memmap_bytes(&map, MEM_KERNEL), 8 * PAGE);
	EXPECT_EQ(memmap_reserve(&map, 15 * PAGE, UINT64_MAX, MEM_KERNEL), 0);
	EXPECT_EQ(memmap_release(&map, 15 * PAGE, PAGE, MEM_KERNEL), 0);
	EXPECT_EQ(map.range[7].type, MEM_USABLE);
	EXPECT_EQ(memmap_bytes(&map, MEM_KERNEL), 7 * PAGE);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

/* Usable entries without a whole page leave the storage before the sweep counts on it. */
TEST(memmap_edges, entries_that_round_to_nothing_take_no_room)
{
	static const u32 nested[] = {MEM_USABLE, MEM_ACPI, MEM_NVS, MEM_RESERVED};

	init(40);
	for (u32 i = 0; i < 4; i++)
		memmap_add(&map, (i + 1) * PAGE, (9 - 2 * i) * PAGE, nested[i]);
	for (u32 i = 0; i < 4; i++)
		memmap_add(&map, MIB + 2 * i * PAGE - 512, 1024, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_EQ(map.nr, 7);
	EXPECT_EQ(map.nr_dropped, 0);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), 2 * PAGE);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

/* Kept entries grow together over the small gaps between them, not over the wide one. */
TEST(memmap_edges, a_wide_gap_is_not_bridged)
{
	init(40);
	for (u32 i = 0; i < 5; i++)
		memmap_add(&map, (2 * i + 1) * PAGE, PAGE, MEM_RESERVED);
	for (u32 i = 0; i < 4; i++)
		memmap_add(&map, 64 * MIB + 2 * i * PAGE, PAGE, MEM_RESERVED);
	memmap_add(&map, MIB, 16 * MIB, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), 16 * MIB);
	EXPECT_EQ(map.nr_dropped, 0);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

/* What is counted is what is lost, wherever it lay. */
TEST(memmap_edges, dropped_bytes_are_the_entry_s)
{
	init(40);
	for (u32 i = 0; i < 8; i++)
		memmap_add(&map, (2 * i + 1) * MIB, PAGE, MEM_RESERVED);
	memmap_add(&map, 32 * MIB, 3 * PAGE, MEM_USABLE);
	EXPECT_EQ(map.nr_dropped, 1);
	EXPECT_EQ(map.bytes_dropped, 3 * PAGE);
}

TEST(memmap_edges, boot_memory_may_have_no_room_at_all)
{
	struct bootmem boot;

	init(40);
	memmap_add(&map, 0, MIB, MEM_USABLE);
	memmap_normalize(&map);
	bootmem_init(&boot, &map, 5 * PAGE, 5 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 0);
	bootmem_init(&boot, &map, 5 * PAGE, 6 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 5 * PAGE);
}

/* A function of its own: with three of them in one, clang 14 takes a wrong stack frame for ASan's.
 */
static __noinline void expect_no_insert(u64 base, u64 size)
{
	EXPECT_PANIC("assertion failed", (void)memmap_insert(&map, base, size, MEM_USABLE));
}

/* Below the limit, however large the rest of the request is. */
TEST(memmap_edges, insert_stays_below_the_limit)
{
	u64 limit = 1ull << 36;

	init(36);
	expect_no_insert(limit, PAGE);
	expect_no_insert(2 * limit, PAGE);
	expect_no_insert(limit - PAGE, 2 * PAGE);
	EXPECT_EQ(map.nr, 0);
	EXPECT_EQ(memmap_insert(&map, limit - PAGE, PAGE, MEM_USABLE), 0);
	EXPECT_NULL(memmap_check(&map));
}
