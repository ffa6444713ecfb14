/*
 * What the grader asks of the memory map beside the tests that everyone can read: random entries,
 * changes and questions, drawn anew in each run, against arrays that know one type a page or less.
 *
 * The maps of tasks 1.3 and 1.4 are written down here, not made by memmap_normalize(), so that they
 * can be passed before it works.
 */
#include "mm/memmap_internal.h"

#include <mm/memmap.h>

#include "tests/model/expect.h"

#define PAGES 256u
#define PAGE 4096ull
#define PLACES 96u
#define NOTHING 0u

static struct mem_range storage[PLACES];
static struct memmap m;
static u32 cell[PAGES * 8]; /* by 512 bytes */

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

/* --- 1.1 --- */

TEST(lab1_add, entries_end_at_the_limit)
{
	for (u32 round = 0; round < 200; round++) {
		unsigned bits = 12 + below(41);
		u64 limit = 1ull << bits, base = rng_next(test_rng()) >> below(64);
		u64 length = rng_next(test_rng()) >> below(64);
		u64 end = base + length < base ? limit : base + length;

		memmap_init(&m, storage, PLACES, bits);
		memmap_add(&m, base, length, MEM_RESERVED);
		end = end < limit ? end : limit;
		EXPECT_EQ(m.nr, base < end);
		if (base < end) {
			EXPECT_EQ(m.range[0].base, base);
			EXPECT_EQ(m.range[0].length, end - base);
		}
	}
}

TEST(lab1_add, types_that_nobody_knows_are_reserved)
{
	memmap_init(&m, storage, PLACES, 40);
	for (u32 i = 0; i < 40; i++)
		memmap_add(&m, i * 3 * PAGE, PAGE,
		           i < 20 ? i : (u32)rng_next(test_rng()) | 1u << 20);
	EXPECT_EQ(m.nr, 40);
	for (u32 i = 0; i < m.nr; i++)
		if (i < 1 || i > 5)
			EXPECT_EQ(m.range[i].type, MEM_RESERVED);
}

TEST(lab1_add, one_byte_decides_over_a_page)
{
	for (u32 round = 0; round < 100; round++) {
		u32 page = 1 + below(100), byte = below(4096);

		memmap_init(&m, storage, PLACES, 40);
		memmap_add(&m, 0, 128 * PAGE, MEM_USABLE);
		memmap_add(&m, page * PAGE + byte, 1, MEM_BAD);
		memmap_normalize(&m);
		EXPECT_SOUND(memmap_check(&m));
		ASSERT_EQ(m.nr, 3);
		EXPECT_EQ(m.range[1].base, page * PAGE);
		EXPECT_EQ(m.range[1].length, PAGE);
		memmap_init(&m, storage, PLACES, 40);
		memmap_add(&m, page * PAGE + 1 + byte % 4095, 2 * PAGE, MEM_USABLE);
		memmap_normalize(&m);
		ASSERT_EQ(m.nr, 1);
		EXPECT_EQ(m.range[0].base, (page + 1) * PAGE);
		EXPECT_EQ(m.range[0].length, PAGE);
	}
}

/* --- 1.2 --- */

/* Each cell of 512 bytes by itself: usable only if all its page is, else the highest rank. */
static u32 type_of_page(u32 page)
{
	u32 worst = NOTHING;
	bool all_usable = true;

	for (u32 i = page * 8; i < page * 8 + 8; i++) {
		all_usable = all_usable && cell[i] == MEM_USABLE;
		if (cell[i] != NOTHING && cell[i] != MEM_USABLE &&
		    (worst == NOTHING || memmap_rank(cell[i]) > memmap_rank(worst)))
			worst = cell[i];
	}
	return worst != NOTHING ? worst : all_usable ? MEM_USABLE : NOTHING;
}

static void add_at_random(u32 nr)
{
	for (u32 i = 0; i < nr; i++) {
		u32 first = below(PAGES * 8), length = 1 + below(below(4) ? 20 : 600);
		u32 type = below(2) ? MEM_USABLE : 1 + below(5);

		length = length < PAGES * 8 - first ? length : PAGES * 8 - first;
		memmap_add(&m, first * 512ull, length * 512ull, type);
		for (u32 c = first; c < first + length; c++)
			if (cell[c] == NOTHING || memmap_rank(type) > memmap_rank(cell[c]))
				cell[c] = type;
	}
}

TEST(lab1_sweep, random_entries_page_by_page)
{
	for (u32 round = 0; round < 150; round++) {
		memset(cell, 0, sizeof(cell));
		memmap_init(&m, storage, PLACES, 40);
		add_at_random(1 + below(45));
		memmap_normalize(&m);
		ASSERT_SOUND(memmap_check(&m));
		for (u32 page = 0; page < PAGES; page++) {
			const struct mem_range *r = memmap_find(&m, page * PAGE);

			ASSERT_EQ(r == NULL ? NOTHING : r->type, type_of_page(page));
		}
	}
}

TEST(lab1_sweep, many_that_begin_together)
{
	memmap_init(&m, storage, PLACES, 40);
	for (u32 i = 1; i <= 40; i++)
		memmap_add(&m, PAGE, i * PAGE, i % 2 ? MEM_USABLE : MEM_ACPI);
	memmap_normalize(&m);
	ASSERT_SOUND(memmap_check(&m));
	ASSERT_EQ(m.nr, 1);
	EXPECT_EQ(m.range[0].type, MEM_ACPI);
	EXPECT_EQ(m.range[0].length, 40 * PAGE);
}

TEST(lab1_sweep, a_staircase_comes_out_as_it_went_in)
{
	memmap_init(&m, storage, 2 * 15 - 1, 40);
	for (u32 i = 0; i < 15; i++)
		memmap_add(&m, (1 + i) * PAGE, (2 * (15 - i) - 1) * PAGE,
		           i % 2 ? MEM_NVS : MEM_USABLE);
	memmap_normalize(&m);
	EXPECT_SOUND(memmap_check(&m));
	EXPECT_EQ(m.nr_dropped, 0);
	EXPECT_EQ(m.range[0].type, MEM_USABLE);
	EXPECT_EQ(m.range[0].length, PAGE);
}

/* --- 1.3 --- */

/* Every second page or so usable, the array says the same. */
static void lay_out(u32 capacity)
{
	u32 page = 0;

	memset(cell, 0, sizeof(cell));
	memmap_init(&m, storage, capacity, 40);
	while (page < PAGES && m.nr < 24) {
		u32 nr = 1 + below(16), type = below(3) ? MEM_USABLE : MEM_ACPI;

		nr = nr < PAGES - page ? nr : PAGES - page;
		if (below(4) != 0 &&
		    (m.nr == 0 || m.range[m.nr - 1].type != type ||
		     m.range[m.nr - 1].base + m.range[m.nr - 1].length < page * PAGE)) {
			m.range[m.nr++] = (struct mem_range){page * PAGE, nr * PAGE, type};
			for (u32 i = page; i < page + nr; i++)
				cell[i] = type;
		}
		page += nr;
	}
}

static void compare_pages(void)
{
	ASSERT_SOUND(memmap_check(&m));
	for (u32 page = 0; page < PAGES; page++) {
		const struct mem_range *r = memmap_find(&m, page * PAGE);

		ASSERT_EQ(r == NULL ? NOTHING : r->type, cell[page]);
	}
}

TEST(lab1_change, random_ranges_page_by_page)
{
	for (u32 round = 0; round < 60; round++) {
		lay_out(PLACES);
		for (u32 step = 0; step < 20 && m.nr + 2 <= m.capacity; step++) {
			u64 base = below(PAGES * 4096), length = below(64 * 4096);
			bool back = below(3) == 0;
			u32 from = back ? MEM_KERNEL : MEM_USABLE,
			    to = back ? MEM_USABLE : MEM_KERNEL;

			ASSERT_EQ(back ? memmap_release(&m, base, length, MEM_KERNEL)
			               : memmap_reserve(&m, base, length, MEM_KERNEL),
			          0);
			for (u64 page = base / PAGE; length && page * PAGE < base + length; page++)
				if (page < PAGES && cell[page] == from)
					cell[page] = to;
			compare_pages();
		}
	}
}

/* Storage that is full to the last place, or but one. */
TEST(lab1_change, without_room_nothing_changes)
{
	for (u32 round = 0; round < 200; round++) {
		u64 base, length;
		u32 nr;

		lay_out(PLACES);
		nr = m.nr;
		m.capacity = nr + below(2);
		base = below(PAGES * 4096);
		length = 1 + below(40 * 4096);
		if (memmap_reserve(&m, base, length, MEM_KERNEL) != 0) {
			EXPECT_EQ(m.nr, nr);
		} else {
			for (u64 page = base / PAGE; page * PAGE < base + length; page++)
				if (page < PAGES && cell[page] == MEM_USABLE)
					cell[page] = MEM_KERNEL;
		}
		EXPECT_LE(m.nr, m.capacity);
		compare_pages();
	}
}

/* --- 1.4 --- */

/* The highest place, found by trying them all. */
static u64 highest(u64 length, u64 align, u64 min, u64 max)
{
	for (u64 at = PAGES * PAGE; at > 0; at -= 512) {
		u64 first = at - 512;
		const struct mem_range *r = memmap_find(&m, first);

		if (r != NULL && first >= PAGE && first % align == 0 && first >= min &&
		    first + length <= max && r->type == MEM_USABLE &&
		    first + length <= r->base + r->length)
			return first;
	}
	return 0;
}

TEST(lab1_find, the_highest_of_all_places)
{
	for (u32 round = 0; round < 60; round++) {
		lay_out(PLACES);
		for (u32 question = 0; question < 10; question++) {
			u64 length = 512ull * (1 + below(100)), align = 512ull << below(8);
			u64 min = below(2) ? 0 : 512ull * below(PAGES * 8);
			u64 max = below(2) ? UINT64_MAX : 512ull * below(PAGES * 8);

			ASSERT_EQ(memmap_find_free(&m, length, align, min, max),
			          highest(length, align, min, max));
		}
	}
}

TEST(lab1_find, nothing_is_found_for_nothing)
{
	lay_out(PLACES);
	EXPECT_EQ(memmap_find_free(&m, 0, 512, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_find_free(&m, UINT64_MAX, 512, 0, UINT64_MAX), 0);
	EXPECT_EQ(memmap_find_free(&m, PAGE, 512, PAGES * PAGE, PAGE), 0);
	EXPECT_PANIC("assertion failed", memmap_find_free(&m, PAGE, 3 * 512, 0, UINT64_MAX));
}
