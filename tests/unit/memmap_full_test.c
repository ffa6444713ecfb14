/*
 * The memory map at its limits: each invariant of memmap_check() broken alone, near the start and
 * deep, and a storage that is too small. Then the map must stay safe: no byte that the firmware
 * keeps becomes usable.
 */
#include <mm/memmap.h>
#include <tests/test.h>

#define PAGE 4096ull
#define LAST 9

static struct mem_range storage[64];
static struct memmap map;

/* --- memmap_check --- */

/* Ten ranges of two pages, a page apart, types in turn; the last ends at the limit. */
static void init_sound(void)
{
	memmap_init(&map, storage, 10, 17);
	for (u32 i = 0; i <= LAST; i++)
		storage[i] =
		    (struct mem_range){(i * 3 + 2) * PAGE, 2 * PAGE, i % 2 ? MEM_NVS : MEM_USABLE};
	storage[LAST].length = 3 * PAGE;
	map.nr = 10;
	EXPECT_STREQ(memmap_check(&map), NULL);
}

static void expect_broken(const char *number)
{
	const char *broken = memmap_check(&map);

	ASSERT_NOT_NULL(broken);
	EXPECT_TRUE(strncmp(broken, number, 3) == 0);
	if (strncmp(broken, number, 3) != 0)
		test_note("expected %s, got %s", number, broken);
}

TEST(memmap_check, m1_more_ranges_than_storage)
{
	init_sound();
	map.capacity = 9;
	expect_broken("M1:");
}

TEST(memmap_check, m2_not_sorted)
{
	for (u32 i = 0; i < LAST; i += LAST - 1) {
		struct mem_range r;

		init_sound();
		r = storage[i];
		storage[i] = storage[i + 1];
		storage[i + 1] = r;
		expect_broken("M2:");
	}
}

TEST(memmap_check, m3_empty_range)
{
	for (u32 i = 0; i <= LAST; i += LAST) {
		init_sound();
		storage[i].length = 0;
		expect_broken("M3:");
	}
}

TEST(memmap_check, m4_not_whole_pages)
{
	for (u32 i = 0; i <= LAST; i += LAST) {
		init_sound();
		storage[i].length -= 1;
		expect_broken("M4:");
		init_sound();
		storage[i].base += 512;
		storage[i].length -= 512;
		expect_broken("M4:");
	}
}

TEST(memmap_check, m5_overlap)
{
	for (u32 i = 0; i < LAST; i += LAST - 1) {
		init_sound();
		storage[i].length += 2 * PAGE;
		expect_broken("M5:");
	}
}

TEST(memmap_check, m6_one_type_touches)
{
	for (u32 i = 0; i < LAST; i += LAST - 1) {
		init_sound();
		storage[i].length += PAGE;
		EXPECT_STREQ(memmap_check(&map), NULL); /* other types may touch */
		storage[i].type = storage[i + 1].type;
		expect_broken("M6:");
	}
}

TEST(memmap_check, m7_above_the_limit)
{
	init_sound();
	storage[LAST].length += PAGE;
	expect_broken("M7:");
	storage[LAST].length = 0 - storage[LAST].base; /* base + length wraps to 0 */
	expect_broken("M7:");
}

TEST(memmap_check, m8_unknown_type)
{
	for (u32 i = 0; i <= LAST; i += LAST) {
		init_sound();
		storage[i].type = 6;
		expect_broken("M8:");
	}
}

/* --- full storage --- */

TEST(memmap_full, reserve_without_room_changes_nothing)
{
	static struct mem_range before[8];

	memmap_init(&map, storage, 8, 40);
	for (u32 i = 0; i < 4; i++)
		memmap_add(&map, (i * 8 + 1) * PAGE, 4 * PAGE, MEM_USABLE);
	memmap_normalize(&map);
	ASSERT_EQ(memmap_reserve(&map, 2 * PAGE, PAGE, MEM_KERNEL), 0); /* 6 ranges */
	ASSERT_EQ(memmap_reserve(&map, 9 * PAGE, PAGE, MEM_KERNEL), 0); /* 7 */
	memcpy(before, storage, sizeof(before));
	EXPECT_EQ(memmap_reserve(&map, 18 * PAGE, PAGE, MEM_KERNEL), -ENOSPC);
	EXPECT_EQ(map.nr, 7);
	EXPECT_EQ(memcmp(before, storage, 7 * sizeof(before[0])), 0);
	EXPECT_EQ(memmap_reserve(&map, 17 * PAGE, PAGE, MEM_KERNEL), 0); /* cuts once: 8 */
	EXPECT_EQ(memmap_reserve(&map, 9 * PAGE, 2 * PAGE, MEM_KERNEL), -ENOSPC);
	EXPECT_EQ(memmap_release(&map, 2 * PAGE, PAGE, MEM_KERNEL), 0);
	EXPECT_EQ(memmap_reserve(&map, 9 * PAGE, 2 * PAGE, MEM_KERNEL), 0);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

TEST(memmap_full, reserve_of_what_is_not_usable_needs_no_room)
{
	memmap_init(&map, storage, 8, 40);
	memmap_add(&map, 0x1000, 0x8000, MEM_NVS);
	memmap_normalize(&map);
	map.capacity = map.nr;
	EXPECT_EQ(memmap_reserve(&map, 0x2000, 0x1000, MEM_KERNEL), 0);
	EXPECT_EQ(map.nr, 1);
}

TEST(memmap_full, entries_of_one_type_unite_before_any_is_dropped)
{
	memmap_init(&map, storage, 8, 40);
	for (u32 i = 0; i < 1000; i++)
		memmap_add(&map, i * 0x801, 0x801, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_EQ(map.nr_dropped, 0);
	ASSERT_EQ(map.nr, 1);
	EXPECT_EQ(map.range[0].length, 0x801ull * 1000 / PAGE * PAGE);
}

TEST(memmap_full, smallest_usable_entries_are_dropped_and_counted)
{
	memmap_init(&map, storage, 8, 40);
	for (u32 i = 0; i < 7; i++)
		memmap_add(&map, (i + 1) * MIB, PAGE << i, MEM_USABLE);
	memmap_add(&map, 64 * MIB, PAGE, MEM_RESERVED);
	memmap_add(&map, 65 * MIB, PAGE, MEM_NVS);
	memmap_add(&map, 66 * MIB, PAGE, MEM_BAD);
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
	EXPECT_EQ(map.nr_dropped, 2);
	EXPECT_EQ(map.bytes_dropped, 3 * PAGE);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), (PAGE << 7) - PAGE - 3 * PAGE);
	EXPECT_NULL(memmap_find(&map, MIB));
	EXPECT_NULL(memmap_find(&map, 2 * MIB));
	EXPECT_NOT_NULL(memmap_find(&map, 3 * MIB));
	EXPECT_EQ(memmap_find(&map, 66 * MIB)->type, MEM_BAD);
}

TEST(memmap_full, usable_entry_gives_way_to_what_is_kept)
{
	memmap_init(&map, storage, 8, 40);
	for (u32 i = 0; i < 8; i++)
		memmap_add(&map, (i * 2 + 1) * MIB, PAGE, MEM_RESERVED);
	memmap_add(&map, 0, 64 * MIB, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_EQ(map.nr, 8);
	EXPECT_EQ(map.nr_dropped, 1);
	EXPECT_EQ(map.bytes_dropped, 64 * MIB);
}

TEST(memmap_full, kept_entries_grow_together_when_nothing_else_is_left)
{
	memmap_init(&map, storage, 8, 40);
	for (u32 i = 0; i < 20; i++)
		memmap_add(&map, (i * 2 + 1) * MIB, PAGE, i == 4 ? MEM_BAD : MEM_NVS);
	memmap_add(&map, 0, 64 * MIB, MEM_USABLE);
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
	for (u32 i = 0; i < 20; i++) {
		const struct mem_range *r = memmap_find(&map, (i * 2 + 1) * MIB);

		ASSERT_NOT_NULL(r);
		EXPECT_TRUE(i == 4 ? r->type == MEM_BAD : r->type != MEM_USABLE);
	}
}

TEST(memmap_full, sweep_that_does_not_fit_gives_up_usable_memory)
{
	/* Eight entries that need 15 ranges, in a storage for 8. */
	memmap_init(&map, storage, 8, 40);
	memmap_add(&map, 0, 64 * MIB, MEM_USABLE);
	for (u32 i = 0; i < 7; i++)
		memmap_add(&map, (i * 2 + 1) * MIB, PAGE, MEM_RESERVED);
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
	EXPECT_EQ(map.nr, 7);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), 0);
	EXPECT_EQ(map.nr_dropped, 1);
}

TEST(memmap_full, one_place_too_few_gives_up_usable_memory)
{
	/* Five entries that need nine ranges, in a storage for 8. */
	memmap_init(&map, storage, 8, 40);
	memmap_add(&map, 0, 64 * MIB, MEM_USABLE);
	for (u32 i = 0; i < 4; i++)
		memmap_add(&map, (i * 2 + 1) * MIB, PAGE, MEM_RESERVED);
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
	EXPECT_EQ(map.nr, 4);
	EXPECT_EQ(map.nr_dropped, 1);
}

TEST(memmap_full, sweep_of_kept_types_that_does_not_fit_is_all_reserved)
{
	memmap_init(&map, storage, 8, 40);
	memmap_add(&map, 0, 64 * MIB, MEM_ACPI);
	for (u32 i = 0; i < 7; i++)
		memmap_add(&map, (i * 2 + 1) * MIB, PAGE, MEM_NVS);
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
	ASSERT_EQ(map.nr, 1);
	EXPECT_EQ(map.range[0].type, MEM_RESERVED);
	EXPECT_EQ(map.range[0].length, 64 * MIB);
}

/* --- random lists in a storage that is too small --- */

enum { PAGES = 256 };
static bool is_usable[PAGES], is_kept[PAGES];

static void add_random(void)
{
	u32 first = (u32)rng_below(test_rng(), PAGES);
	u32 nr = (u32)rng_below(test_rng(), 6) + 1;
	u32 type = (u32)rng_below(test_rng(), 8) + 1;

	type = type > MEM_BAD ? MEM_USABLE : type;
	memmap_add(&map, first * PAGE, nr * PAGE, type);
	for (u32 page = first; page < first + nr && page < PAGES; page++)
		*(type == MEM_USABLE ? &is_usable[page] : &is_kept[page]) = true;
}

static void expect_safe(void)
{
	ASSERT_STREQ(memmap_check(&map), NULL);
	for (u32 page = 0; page < PAGES; page++) {
		const struct mem_range *r = memmap_find(&map, page * PAGE);

		if (is_kept[page])
			ASSERT_TRUE(r != NULL && r->type != MEM_USABLE);
		if (r != NULL && r->type == MEM_USABLE)
			ASSERT_TRUE(is_usable[page]);
	}
}

TEST(memmap_full, random_lists_stay_safe_in_any_storage)
{
	for (u32 round = 0; round < 300; round++) {
		u32 capacity = (u32)rng_below(test_rng(), 57) + 8;
		u32 nr = (u32)rng_below(test_rng(), 100);

		memset(is_usable, 0, sizeof(is_usable));
		memset(is_kept, 0, sizeof(is_kept));
		memmap_init(&map, storage + (64 - capacity), capacity, 20);
		for (u32 i = 0; i < nr; i++) {
			add_random();
			if (rng_below(test_rng(), 64) == 0)
				memmap_normalize(&map);
		}
		memmap_normalize(&map);
		expect_safe();
	}
}
