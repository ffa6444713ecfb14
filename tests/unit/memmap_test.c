/*
 * The memory map: what memmap_normalize() makes of a list, each invariant of memmap_check(), the
 * changes and the questions. Random lists are compared with an oracle that decides every 512-byte
 * cell alone. tests/unit/memmap_full_test.c has the full storage; tests/tools/test_memmap.py the
 * host program and large maps.
 */
#include <mm/memmap.h>
#include <tests/test.h>

#define PAGE 4096ull

static struct mem_range storage[96];
static struct memmap map;

static void init(u32 capacity, unsigned phys_bits)
{
	memmap_init(&map, storage, capacity, phys_bits);
}

static void expect_range(u32 i, u64 base, u64 length, u32 type)
{
	ASSERT_LT(i, map.nr);
	EXPECT_EQ(map.range[i].base, base);
	EXPECT_EQ(map.range[i].length, length);
	EXPECT_EQ(map.range[i].type, type);
}

static void normalize(void)
{
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
	EXPECT_EQ(map.nr_dropped, 0);
}

/* --- normalisation --- */

TEST(memmap, example_of_the_definition)
{
	init(96, 52);
	memmap_add(&map, 0x100000, 0x3ee0000, 1);
	memmap_add(&map, 0x9fc00, 0x400, 2);
	memmap_add(&map, 0, 0x9fc00, 1);
	normalize();
	ASSERT_EQ(map.nr, 3);
	expect_range(0, 0, 0x9f000, MEM_USABLE);
	expect_range(1, 0x9f000, 0x1000, MEM_RESERVED);
	expect_range(2, 0x100000, 0x3ee0000, MEM_USABLE);
}

TEST(memmap, empty_list_gives_empty_map)
{
	init(8, 52);
	normalize();
	EXPECT_EQ(map.nr, 0);
	EXPECT_NULL(memmap_find(&map, 0));
	EXPECT_EQ(memmap_find_free(&map, PAGE, PAGE, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_reserve(&map, 0, PAGE, MEM_KERNEL), 0);
	EXPECT_EQ(map.nr, 0);
}

TEST(memmap, clips_to_the_physical_width)
{
	init(8, 36);
	memmap_add(&map, (1ull << 36) - PAGE, 16 * PAGE, MEM_USABLE);
	memmap_add(&map, 1ull << 36, PAGE, MEM_RESERVED);
	memmap_add(&map, UINT64_MAX - 10, 10, MEM_BAD);
	normalize();
	ASSERT_EQ(map.nr, 1);
	expect_range(0, (1ull << 36) - PAGE, PAGE, MEM_USABLE);
}

TEST(memmap, wrapping_entry_ends_at_the_top)
{
	init(8, 52);
	memmap_add(&map, 0x10000, UINT64_MAX, MEM_USABLE);
	memmap_add(&map, 0, UINT64_MAX, MEM_USABLE);
	memmap_add(&map, 0x5000, UINT64_MAX - 0x5000 + 1, MEM_ACPI);
	normalize();
	ASSERT_EQ(map.nr, 2);
	expect_range(0, 0, 0x5000, MEM_USABLE);
	expect_range(1, 0x5000, (1ull << 52) - 0x5000, MEM_ACPI);
}

TEST(memmap, most_restrictive_type_wins)
{
	static const u32 weak_to_strong[] = {MEM_USABLE, MEM_ACPI, MEM_NVS, MEM_RESERVED, MEM_BAD};

	for (unsigned strong = 1; strong < ARRAY_SIZE(weak_to_strong); strong++) {
		for (unsigned weak = 0; weak < strong; weak++) {
			init(8, 52);
			memmap_add(&map, 0x2000, 0x1000, weak_to_strong[strong]);
			memmap_add(&map, 0x1000, 0x3000, weak_to_strong[weak]);
			normalize();
			ASSERT_EQ(map.nr, 3);
			expect_range(1, 0x2000, 0x1000, weak_to_strong[strong]);
		}
	}
}

TEST(memmap, unknown_types_are_reserved)
{
	static const u32 unknown[] = {0, 6, 7, 12, MEM_PAGE_ZERO, MEM_UNREACHABLE, UINT32_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(unknown); i++) {
		init(8, 52);
		memmap_add(&map, 0, PAGE, unknown[i]);
		normalize();
		expect_range(0, 0, PAGE, MEM_RESERVED);
	}
}

TEST(memmap, usable_unites_before_it_shrinks)
{
	init(8, 52);
	memmap_add(&map, 0x1800, 0x1000, MEM_USABLE);
	memmap_add(&map, 0x2800, 0x1000, MEM_USABLE);
	normalize();
	ASSERT_EQ(map.nr, 1);
	expect_range(0, 0x2000, 0x1000, MEM_USABLE);
}

TEST(memmap, usable_that_vanishes_is_dropped)
{
	init(8, 52);
	memmap_add(&map, 0x1001, 0x1ffe, MEM_USABLE);
	memmap_add(&map, 0x8000, 0xfff, MEM_USABLE);
	normalize();
	EXPECT_EQ(map.nr, 0);
}

TEST(memmap, not_usable_grows_outwards)
{
	init(8, 52);
	memmap_add(&map, 0, 0x10000, MEM_USABLE);
	memmap_add(&map, 0x2fff, 2, MEM_NVS);
	normalize();
	ASSERT_EQ(map.nr, 3);
	expect_range(1, 0x2000, 0x2000, MEM_NVS);
}

TEST(memmap, two_n_minus_one_ranges_suffice)
{
	enum { ENTRIES = 40 };

	init(2 * ENTRIES - 1, 52);
	for (u32 i = 1; i < ENTRIES; i++)
		memmap_add(&map, (2 * i - 1) * PAGE, PAGE, MEM_RESERVED);
	memmap_add(&map, 0, (2 * ENTRIES - 1) * PAGE, MEM_USABLE);
	normalize();
	EXPECT_EQ(map.nr, 2 * ENTRIES - 1);
}

TEST(memmap, normalizes_again_after_further_entries)
{
	init(96, 52);
	memmap_add(&map, 0, 0x10000, MEM_USABLE);
	normalize();
	ASSERT_EQ(memmap_reserve(&map, 0x2000, 0x2000, MEM_KERNEL), 0);
	normalize();
	ASSERT_EQ(map.nr, 3);
	memmap_add(&map, 0x3000, 0x2000, MEM_RESERVED);
	memmap_add(&map, 0, 0x10000, MEM_USABLE);
	normalize();
	ASSERT_EQ(map.nr, 4);
	expect_range(0, 0, 0x2000, MEM_USABLE);
	expect_range(1, 0x2000, 0x1000, MEM_KERNEL);
	expect_range(2, 0x3000, 0x2000, MEM_RESERVED);
	expect_range(3, 0x5000, 0xb000, MEM_USABLE);
}

/* --- random lists against the oracle --- */

enum { CELL = 512, PAGES = 32, CELLS = PAGES * 8 };

static u8 cell_usable[CELLS];
static u8 page_strength[PAGES]; /* 0: nothing; otherwise 1 + the strength of what is not usable */

static void oracle_add(u32 first, u32 nr, u32 type)
{
	static const u8 strength[] = {
	    [MEM_ACPI] = 1, [MEM_NVS] = 2, [MEM_RESERVED] = 3, [MEM_BAD] = 4};

	for (u32 c = first; c < first + nr && c < CELLS; c++) {
		if (type == MEM_USABLE)
			cell_usable[c] = 1;
		else if (strength[type] > page_strength[c / 8])
			page_strength[c / 8] = strength[type];
	}
}

static u32 oracle_type(u32 page)
{
	static const u32 type[] = {0, MEM_ACPI, MEM_NVS, MEM_RESERVED, MEM_BAD};

	if (page_strength[page] != 0)
		return type[page_strength[page]];
	return mem_find_other(&cell_usable[page * 8], 1, 8) == NULL ? MEM_USABLE : 0;
}

static u32 map_type(u64 pa)
{
	const struct mem_range *r = memmap_find(&map, pa);

	return r != NULL ? r->type : 0;
}

static void add_random_entries(u32 nr)
{
	memset(cell_usable, 0, sizeof(cell_usable));
	memset(page_strength, 0, sizeof(page_strength));
	for (u32 i = 0; i < nr; i++) {
		u32 first = (u32)rng_below(test_rng(), CELLS);
		u32 cells = (u32)rng_below(test_rng(), 64);
		u32 type =
		    rng_below(test_rng(), 2) ? MEM_USABLE : (u32)rng_below(test_rng(), 4) + 2;

		memmap_add(&map, first * CELL, cells * CELL, type);
		oracle_add(first, cells, type);
	}
}

TEST(memmap, random_lists_match_the_oracle)
{
	for (u32 round = 0; round < 300; round++) {
		init(96, 17); /* 32 pages */
		add_random_entries((u32)rng_below(test_rng(), 40) + 1);
		normalize();
		for (u32 page = 0; page < PAGES; page++)
			ASSERT_EQ(map_type(page * PAGE), oracle_type(page));
	}
}

TEST(memmap, random_changes_match_an_array_of_pages)
{
	static u32 type[PAGES];

	init(2 * PAGES, 17);
	memmap_add(&map, 0, PAGES * PAGE, MEM_USABLE);
	memmap_add(&map, 7 * PAGE, 3 * PAGE, MEM_NVS);
	normalize();
	for (u32 page = 0; page < PAGES; page++)
		type[page] = map_type(page * PAGE);
	for (u32 round = 0; round < 3000; round++) {
		u32 first = (u32)rng_below(test_rng(), PAGES);
		u32 nr = (u32)rng_below(test_rng(), PAGES - first + 1);
		u32 own = rng_below(test_rng(), 2) ? MEM_KERNEL : MEM_BOOTMEM;
		bool release = rng_below(test_rng(), 2);
		u32 from = release ? own : MEM_USABLE, to = release ? MEM_USABLE : own;

		ASSERT_EQ(
		    (release ? memmap_release : memmap_reserve)(&map, first * PAGE, nr * PAGE, own),
		    0);
		ASSERT_STREQ(memmap_check(&map), NULL);
		for (u32 page = 0; page < PAGES; page++) {
			if (page >= first && page < first + nr && type[page] == from)
				type[page] = to;
			ASSERT_EQ(map_type(page * PAGE), type[page]);
		}
	}
}

/* --- changes --- */

static void init_one_usable(u64 base, u64 length)
{
	init(8, 40);
	memmap_add(&map, base, length, MEM_USABLE);
	normalize();
}

TEST(memmap, reserve_takes_only_usable_memory)
{
	init(16, 40);
	memmap_add(&map, 0x1000, 0x8000, MEM_USABLE);
	memmap_add(&map, 0x3000, 0x1000, MEM_ACPI);
	normalize();
	EXPECT_EQ(memmap_reserve(&map, 0, 0x5000, MEM_MODULE), 0);
	ASSERT_EQ(map.nr, 4);
	expect_range(0, 0x1000, 0x2000, MEM_MODULE);
	expect_range(1, 0x3000, 0x1000, MEM_ACPI);
	expect_range(2, 0x4000, 0x1000, MEM_MODULE);
	expect_range(3, 0x5000, 0x4000, MEM_USABLE);
}

TEST(memmap, reserve_grows_to_pages)
{
	init_one_usable(0, 0x10000);
	EXPECT_EQ(memmap_reserve(&map, 0x2fff, 2, MEM_BOOT), 0);
	expect_range(1, 0x2000, 0x2000, MEM_BOOT);
}

TEST(memmap, reserve_of_nothing_changes_nothing)
{
	init_one_usable(0, 0x10000);
	EXPECT_EQ(memmap_reserve(&map, 0x2800, 0, MEM_BOOT), 0);
	EXPECT_EQ(memmap_reserve(&map, 1ull << 40, PAGE, MEM_BOOT), 0);
	ASSERT_EQ(map.nr, 1);
	expect_range(0, 0, 0x10000, MEM_USABLE);
}

TEST(memmap, reserve_past_the_end_of_addresses)
{
	init_one_usable(0x1000, 0xf000);
	EXPECT_EQ(memmap_reserve(&map, 0x8000, UINT64_MAX, MEM_UNREACHABLE), 0);
	ASSERT_EQ(map.nr, 2);
	expect_range(1, 0x8000, 0x8000, MEM_UNREACHABLE);
	EXPECT_EQ(memmap_bytes(&map, MEM_UNREACHABLE), 0x8000);
}

TEST(memmap, release_undoes_reserve)
{
	init_one_usable(0, 0x10000);
	EXPECT_EQ(memmap_reserve(&map, 0x2345, 0x1000, MEM_MODULE), 0);
	EXPECT_EQ(memmap_release(&map, 0x2345, 0x1000, MEM_KERNEL), 0);
	EXPECT_EQ(map.nr, 3);
	EXPECT_EQ(memmap_release(&map, 0x2345, 0x1000, MEM_MODULE), 0);
	ASSERT_EQ(map.nr, 1);
	expect_range(0, 0, 0x10000, MEM_USABLE);
}

/* Usable [4, 6) and [9, 12); 3 places are left for what is inserted. */
static void init_two_ranges(void)
{
	init(8, 40);
	memmap_add(&map, 4 * PAGE, 2 * PAGE, MEM_USABLE);
	memmap_add(&map, 9 * PAGE, 3 * PAGE, MEM_USABLE);
	normalize();
	map.capacity = 5;
}

TEST(memmap, insert_takes_only_gaps)
{
	init_two_ranges();
	EXPECT_EQ(memmap_insert(&map, 3 * PAGE, 2 * PAGE, MEM_UNREACHABLE), -EEXIST);
	EXPECT_EQ(memmap_insert(&map, 5 * PAGE, PAGE, MEM_UNREACHABLE), -EEXIST);
	EXPECT_EQ(memmap_insert(&map, PAGE, 20 * PAGE, MEM_UNREACHABLE), -EEXIST);
	EXPECT_EQ(map.nr, 2);
	EXPECT_EQ(memmap_insert(&map, 20 * PAGE, PAGE, MEM_OFFLINE), 0);
	EXPECT_EQ(memmap_insert(&map, PAGE, PAGE, MEM_OFFLINE), 0);
	EXPECT_EQ(memmap_insert(&map, 7 * PAGE, PAGE, MEM_OFFLINE), 0);
	ASSERT_EQ(map.nr, 5);
	expect_range(0, PAGE, PAGE, MEM_OFFLINE);
	expect_range(2, 7 * PAGE, PAGE, MEM_OFFLINE);
	expect_range(4, 20 * PAGE, PAGE, MEM_OFFLINE);
	EXPECT_EQ(memmap_insert(&map, 30 * PAGE, PAGE, MEM_OFFLINE), -ENOSPC);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

TEST(memmap, insert_joins_its_neighbours)
{
	init_two_ranges();
	EXPECT_EQ(memmap_insert(&map, 6 * PAGE, 3 * PAGE, MEM_USABLE), 0);
	ASSERT_EQ(map.nr, 1);
	expect_range(0, 4 * PAGE, 8 * PAGE, MEM_USABLE);
	EXPECT_EQ(memmap_insert(&map, map.limit - PAGE, PAGE, MEM_OFFLINE), 0);
	EXPECT_EQ(memmap_insert(&map, map.limit - 2 * PAGE, PAGE, MEM_OFFLINE), 0);
	expect_range(1, map.limit - 2 * PAGE, 2 * PAGE, MEM_OFFLINE);
	EXPECT_PANIC("assertion", (void)memmap_insert(&map, map.limit, PAGE, MEM_OFFLINE));
	EXPECT_PANIC("assertion", (void)memmap_insert(&map, 2 * PAGE, 0, MEM_OFFLINE));
	EXPECT_PANIC("assertion", (void)memmap_insert(&map, 2 * PAGE + 1, PAGE, MEM_OFFLINE));
	EXPECT_PANIC("assertion", (void)memmap_insert(&map, 2 * PAGE, PAGE, 77));
}

TEST(memmap, overlap_is_the_first_range_that_reaches_in)
{
	init_two_ranges();
	EXPECT_NULL(memmap_overlap(&map, 6 * PAGE, 3 * PAGE));
	EXPECT_NULL(memmap_overlap(&map, 12 * PAGE, 90 * PAGE));
	EXPECT_EQ(memmap_overlap(&map, 6 * PAGE, 4 * PAGE), &map.range[1]);
	EXPECT_EQ(memmap_overlap(&map, 5 * PAGE, 90 * PAGE), &map.range[0]);
	EXPECT_EQ(memmap_overlap(&map, 0, UINT64_MAX), &map.range[0]);
}

TEST(memmap, unknown_type_is_the_callers_mistake)
{
	init_one_usable(0, 0x10000);
	EXPECT_PANIC("assertion failed", memmap_reserve(&map, 0, PAGE, 99));
	EXPECT_PANIC("assertion failed", memmap_find_free(&map, PAGE, 3 * PAGE, 0, UINT64_MAX));
	EXPECT_PANIC("assertion failed", memmap_init(&map, storage, 7, 40));
	EXPECT_PANIC("assertion failed", memmap_init(&map, storage, 8, 53));
}

/* --- questions --- */

TEST(memmap, find_free_takes_the_highest_place)
{
	init_one_usable(0, 0x10000);
	EXPECT_EQ(memmap_find_free(&map, PAGE, PAGE, 0, UINT64_MAX), 0xf000);
	EXPECT_EQ(memmap_find_free(&map, PAGE, 0x8000, 0, UINT64_MAX), 0x8000);
	EXPECT_EQ(memmap_find_free(&map, 0x9000, 0x8000, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_find_free(&map, PAGE, PAGE, 0, 0x5fff), 0x4000);
	EXPECT_EQ(memmap_find_free(&map, PAGE, PAGE, 0x4001, 0x6000), 0x5000);
	EXPECT_EQ(memmap_find_free(&map, PAGE, PAGE, 0x4001, 0x5fff), 0);
	EXPECT_EQ(memmap_find_free(&map, UINT64_MAX, PAGE, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_find_free(&map, 0, PAGE, 0, UINT64_MAX), 0);
}

TEST(memmap, find_free_never_gives_page_zero)
{
	init_one_usable(0, 0x10000);
	EXPECT_EQ(memmap_find_free(&map, 0x10000, PAGE, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_find_free(&map, 0xf000, PAGE, 0, UINT64_MAX), 0x1000);
	EXPECT_EQ(memmap_find_free(&map, 0x800, 0x800, 0, 0x1000), 0);
}

TEST(memmap, find_free_skips_what_is_not_usable)
{
	init(16, 40);
	memmap_add(&map, 0x1000, 0x8000, MEM_USABLE);
	memmap_add(&map, 0x20000, 0x10000, MEM_RESERVED);
	memmap_add(&map, 0x40000, 0x1000, MEM_USABLE);
	normalize();
	EXPECT_EQ(memmap_find_free(&map, 0x2000, PAGE, 0, UINT64_MAX), 0x7000);
	EXPECT_EQ(memmap_find_free(&map, 0x30000, PAGE, 0, 0x20000), 0);
}

TEST(memmap, find_knows_ranges_from_gaps)
{
	init(16, 40);
	memmap_add(&map, 0x1000, 0x1000, MEM_USABLE);
	memmap_add(&map, 0x4000, 0x2000, MEM_NVS);
	normalize();
	EXPECT_NULL(memmap_find(&map, 0xfff));
	EXPECT_TRUE(memmap_find(&map, 0x1000) == &map.range[0]);
	EXPECT_TRUE(memmap_find(&map, 0x1fff) == &map.range[0]);
	EXPECT_NULL(memmap_find(&map, 0x2000));
	EXPECT_TRUE(memmap_find(&map, 0x5fff) == &map.range[1]);
	EXPECT_NULL(memmap_find(&map, UINT64_MAX));
}

TEST(memmap, every_type_has_its_own_name)
{
	EXPECT_STREQ(memmap_type_name(MEM_USABLE), "usable");
	EXPECT_STREQ(memmap_type_name(MEM_KERNEL), "kernel");
	EXPECT_STREQ(memmap_type_name(6), "unknown");
	for (u32 a = MEM_PAGE_ZERO; a <= MEM_UNREACHABLE; a++) {
		EXPECT_NE(strcmp(memmap_type_name(a), "unknown"), 0);
		for (u32 b = MEM_PAGE_ZERO; b < a; b++)
			EXPECT_NE(strcmp(memmap_type_name(a), memmap_type_name(b)), 0);
	}
}
