/*
 * Boot memory: where allocations go, that the map accounts for them, and every way to fail.
 */
#include <mm/bootmem.h>
#include <tests/test.h>

#define PAGE 4096ull

static struct mem_range storage[16];
static struct memmap map;
static struct bootmem boot;

/* Usable: pages 0 to 7, and 16 to 63 but for one reserved page, 32. */
static void init(u64 min, u64 max)
{
	memmap_init(&map, storage, ARRAY_SIZE(storage), 40);
	memmap_add(&map, 0, 8 * PAGE, MEM_USABLE);
	memmap_add(&map, 16 * PAGE, 48 * PAGE, MEM_USABLE);
	memmap_add(&map, 32 * PAGE, PAGE, MEM_RESERVED);
	memmap_normalize(&map);
	bootmem_init(&boot, &map, min, max);
}

TEST(bootmem, allocates_from_the_top_down)
{
	init(0, UINT64_MAX);
	EXPECT_EQ(bootmem_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 63 * PAGE);
	EXPECT_EQ(bootmem_alloc(&boot, 2 * PAGE, PAGE, MEM_BOOTMEM), 61 * PAGE);
	EXPECT_EQ(memmap_bytes(&map, MEM_BOOTMEM), 3 * PAGE);
	EXPECT_EQ(map.nr, 5);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

TEST(bootmem, rounds_up_to_pages_and_aligns)
{
	init(0, UINT64_MAX);
	EXPECT_EQ(bootmem_alloc(&boot, 1, 16 * PAGE, MEM_PAGE_MAP), 48 * PAGE);
	EXPECT_EQ(memmap_bytes(&map, MEM_PAGE_MAP), PAGE);
	EXPECT_EQ(bootmem_alloc(&boot, PAGE + 1, 4 * PAGE, MEM_PAGE_TABLES), 60 * PAGE);
	EXPECT_EQ(memmap_bytes(&map, MEM_PAGE_TABLES), 2 * PAGE);
}

TEST(bootmem, stays_inside_the_window)
{
	init(17 * PAGE, 20 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, 4 * PAGE, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, 2 * PAGE, PAGE, MEM_BOOTMEM), 18 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 17 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 0);
	init(0, 20 * PAGE + 1); /* the page at 20 sticks out */
	EXPECT_EQ(bootmem_try_alloc(&boot, 1, PAGE, MEM_BOOTMEM), 19 * PAGE);
}

TEST(bootmem, never_gives_address_zero)
{
	init(0, 8 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, 8 * PAGE, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, 7 * PAGE, PAGE, MEM_BOOTMEM), PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 0);
}

TEST(bootmem, hands_out_every_page_once)
{
	u64 pa;
	u32 nr = 0;

	init(0, UINT64_MAX);
	while ((pa = bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM)) != 0) {
		EXPECT_EQ(memmap_find(&map, pa)->type, MEM_BOOTMEM);
		EXPECT_EQ(memmap_bytes(&map, MEM_BOOTMEM), ++nr * PAGE);
	}
	EXPECT_EQ(nr, 7 + 47);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), PAGE); /* page 0 */
	EXPECT_EQ(memmap_bytes(&map, MEM_RESERVED), PAGE);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

TEST(bootmem, refuses_what_can_not_be)
{
	init(0, UINT64_MAX);
	EXPECT_EQ(bootmem_try_alloc(&boot, 0, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, 49 * PAGE, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, UINT64_MAX, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, UINT64_MAX - PAGE + 1, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, 1ull << 63, MEM_BOOTMEM), 0);
	EXPECT_EQ(memmap_bytes(&map, MEM_BOOTMEM), 0);
}

TEST(bootmem, full_map_is_no_room)
{
	init(0, UINT64_MAX);
	map.capacity = map.nr;
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 0);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

TEST(bootmem, panics_where_it_must_not_fail)
{
	init(0, UINT64_MAX);
	EXPECT_PANIC("bootmem: no room for", bootmem_alloc(&boot, GIB, PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("assertion failed", bootmem_alloc(&boot, PAGE, 512, MEM_BOOTMEM));
	EXPECT_PANIC("assertion failed", bootmem_alloc(&boot, PAGE, 3 * PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("assertion failed", bootmem_init(&boot, &map, 2, 1));
}

TEST(bootmem, is_closed_after_finish)
{
	init(0, UINT64_MAX);
	bootmem_finish(&boot);
	EXPECT_PANIC("bootmem: allocation after",
	             bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("bootmem: allocation after", bootmem_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("bootmem: finished twice", bootmem_finish(&boot));
}
