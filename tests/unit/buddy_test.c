/*
 * The buddy algorithm on a private page map: what it hands out, how it splits and merges, what it
 * writes. Wrong frees and damage are in buddy_fault_test.c, the checker in buddy_check_test.c,
 * random operations in tests/model/buddy_model.c.
 */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"

static u8 shape[ARENA_PAGES], expected[ARENA_PAGES], is_free[ARENA_PAGES];

/* The free lists hold exactly the blocks that the frames in is_free[] make. */
static void expect_shape(const struct buddy *b, int line)
{
	EXPECT_SOUND(buddy_check(b));
	arena_take_shape(b, shape);
	arena_expected_shape(is_free, expected);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		if (shape[pfn] != expected[pfn]) {
			test_fail(__FILE__, line, "pfn %u: free block of order %d, expected %d",
			          pfn, shape[pfn] - 1, expected[pfn] - 1);
			return;
		}
}
#define EXPECT_SHAPE(b) expect_shape(b, __LINE__)

static void set_free(u32 start, u32 end, bool value)
{
	memset(is_free + start, value, end - start);
}

static void only_free(u32 start, u32 end)
{
	memset(is_free, 0, sizeof(is_free));
	set_free(start, end, true);
}

/* After adding [start, end): the frames beside it are none of ours, and farther ones were never
 * written. */
static void expect_outside_untouched(u32 start, u32 end)
{
	u32 first = (u32)align_down(start, PAGEBLOCK_PAGES);
	u32 last = (u32)align_up(end, PAGEBLOCK_PAGES);

	for (u32 pfn = first; pfn < last; pfn++)
		if (pfn < start || pfn >= end)
			EXPECT_EQ(arena.map[pfn].type, PAGE_NONE);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		if (pfn < first || pfn >= last)
			EXPECT_TRUE(arena_is_untouched(pfn));
}

TEST(buddy, adds_a_range_of_any_alignment)
{
	static const u32 edges[] = {1,    2,    3,    7,    8,    255,  256,  257,
	                            511,  512,  513,  767,  1023, 1024, 1025, 1536,
	                            2047, 2048, 2049, 2560, 4095, 4096, 4097};

	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++)
		for (unsigned j = i + 1; j < ARRAY_SIZE(edges); j++) {
			struct buddy *b =
			    arena_open(1, ARENA_PAGES, (enum garbage)((i + j) % NR_GARBAGES));

			buddy_add_range(b, edges[i], edges[j]);
			only_free(edges[i], edges[j]);
			EXPECT_SHAPE(b);
			EXPECT_EQ(b->nr_free_pages, edges[j] - edges[i]);
			EXPECT_EQ(b->nr_managed_pages, edges[j] - edges[i]);
			if (j % 4 == 0)
				expect_outside_untouched(edges[i], edges[j]);
		}
}

TEST(buddy, ranges_added_one_by_one_merge)
{
	static const u32 edges[] = {1, 3, 4, 100, 512, 1000, 1024, 2048, 2049, 4096, 8192};
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);

	for (unsigned i = 1; i < ARRAY_SIZE(edges); i += 2)
		buddy_add_range(b, edges[i - 1], edges[i]);
	for (unsigned i = 2; i < ARRAY_SIZE(edges); i += 2)
		buddy_add_range(b, edges[i - 1], edges[i]);
	only_free(1, ARENA_PAGES);
	EXPECT_SHAPE(b);
	EXPECT_EQ(b->nr_managed_pages, ARENA_PAGES - 1);
}

TEST(buddy, hands_out_every_page_exactly_once)
{
	struct buddy *b = arena_open_full(3, 5001);
	u32 pfn, nr = 0;

	memset(is_free, 0, sizeof(is_free));
	while ((pfn = buddy_alloc(b, 0)) != 0) {
		ASSERT_TRUE(pfn >= 3 && pfn < 5001);
		ASSERT_FALSE(is_free[pfn]);
		is_free[pfn] = true;
		nr++;
	}
	EXPECT_EQ(nr, 5001 - 3);
	EXPECT_EQ(b->nr_free_pages, 0);
	EXPECT_EQ(b->nonempty, 0);
	EXPECT_SOUND(buddy_check(b));
	for (u32 i = 0; i < 4998;
	     i++) /* 1801 and 4998 have no common factor: every page, scattered */
		buddy_free(b, 3 + i * 1801 % 4998, 0);
	EXPECT_SHAPE(b);
}

TEST(buddy, gives_aligned_blocks_of_every_order)
{
	for (unsigned order = 0; order <= 13; order++) {
		struct buddy *b = arena_open_full(1, ARENA_PAGES);
		u32 pfn, nr = 0;

		for (; (pfn = buddy_alloc(b, order)) != 0; nr++) {
			EXPECT_TRUE(is_aligned(pfn, 1ull << order));
			EXPECT_TRUE(pfn + (1u << order) <= ARENA_PAGES);
			EXPECT_EQ(b->map[pfn].type, PAGE_ALLOCATED);
			EXPECT_EQ(b->map[pfn].order, order);
			EXPECT_EQ(b->map[pfn].zone, ARENA_ZONE);
			EXPECT_EQ(b->map[pfn].flags, 0);
		}
		/* Frame 0 is missing, and with it one block of each order. */
		EXPECT_EQ(nr, (ARENA_PAGES >> order) - 1);
		EXPECT_EQ(b->nr_free_pages, ARENA_PAGES - 1 - (nr << order));
		EXPECT_SOUND(buddy_check(b));
	}
}

TEST(buddy, refuses_impossible_orders)
{
	struct buddy *b = arena_open_full(1, 4096);

	EXPECT_EQ(buddy_alloc(b, 12), 0);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 0);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER + 1), 0);
	EXPECT_EQ(buddy_alloc(b, 32), 0);
	EXPECT_EQ(buddy_alloc(b, 64), 0);
	EXPECT_EQ(buddy_alloc(b, ~0u), 0);
	only_free(1, 4096);
	EXPECT_SHAPE(b);
}

TEST(buddy, an_empty_instance_has_nothing)
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);

	for (unsigned order = 0; order <= MAX_ORDER; order++)
		EXPECT_EQ(buddy_alloc(b, order), 0);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_EQ(arena_count_touched(), 0);
}

TEST(buddy, takes_the_smallest_block_that_fits)
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);

	buddy_add_range(b, 1024, 2048); /* orders 10, 5, 3 and 0 */
	buddy_add_range(b, 32, 64);
	buddy_add_range(b, 8, 16);
	buddy_add_range(b, 3, 4);
	EXPECT_EQ(buddy_alloc(b, 4) & ~31u, 32);
	EXPECT_EQ(buddy_alloc(b, 4) & ~31u, 32);
	EXPECT_EQ(buddy_alloc(b, 1) & ~7u, 8);
	EXPECT_EQ(buddy_alloc(b, 0), 3);
	EXPECT_EQ(buddy_alloc(b, 10), 1024);
	EXPECT_EQ(b->nr_free_pages, 6);
}

TEST(buddy, merges_with_its_xor_buddy_only)
{
	for (unsigned order = 0; order < 12; order++) {
		u32 size = 1u << order, first = 4096, second = first + size, third = second + size;
		struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);

		buddy_add_range(b, first, ARENA_PAGES);
		while (buddy_alloc(b, order) != 0)
			;
		buddy_free(b, second, order);
		only_free(second, third);
		EXPECT_SHAPE(b);
		/* third touches second, but their common parent would not be aligned. */
		if (third + size <= ARENA_PAGES) {
			buddy_free(b, third, order);
			set_free(third, third + size, true);
			EXPECT_SHAPE(b);
		}
		buddy_free(b, first, order);
		set_free(first, second, true);
		EXPECT_SHAPE(b);
		EXPECT_EQ(b->map[first].order,
		          third + size <= ARENA_PAGES && order == 11 ? 12 : order + 1);
	}
}

TEST(buddy, a_split_leaves_the_other_halves)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	u64 splits = b->nr_splits;
	u32 pfn = buddy_alloc(b, 0);

	EXPECT_EQ(b->nr_splits - splits, 12);
	EXPECT_EQ(b->nonempty, 0xfff);
	for (unsigned order = 0; order < 12; order++)
		EXPECT_EQ(b->nr_free_blocks[order], 1);
	only_free(4096, ARENA_PAGES);
	set_free(pfn, pfn + 1, false);
	EXPECT_SHAPE(b);
	buddy_free(b, pfn, 0);
	EXPECT_EQ(b->nonempty, 1u << 12);
}

/* Two instances with neighbouring buddies in one map; `border` is not a multiple of their parent.
 */
static void expect_no_merge_across(u32 border, u32 size, u8 second_zone)
{
	static struct buddy second;
	struct buddy *b = arena_open(1, border, GARBAGE_FREE);

	buddy_init(&second, arena.map, arena.pageblock, border, ARENA_PAGES, second_zone);
	buddy_add_range(b, border - size, border);
	buddy_add_range(&second, border, border + size);
	EXPECT_EQ(b->nonempty, size);
	EXPECT_EQ(second.nonempty, size);
	for (unsigned round = 0; round < 2; round++) {
		unsigned order = lowest_bit(size);

		EXPECT_EQ(buddy_alloc(&second, order), border);
		EXPECT_EQ(buddy_alloc(b, order), border - size);
		buddy_free(b, border - size, order);
		buddy_free(&second, border, order);
		EXPECT_EQ(b->nr_free_blocks[order], 1);
		EXPECT_EQ(second.nr_free_blocks[order], 1);
		EXPECT_SOUND(buddy_check(b));
		EXPECT_SOUND(buddy_check(&second));
	}
}

TEST(buddy, never_merges_across_instances)
{
	for (u32 size = 1; size <= 2048; size *= 2)
		expect_no_merge_across(2048 + size, size, ARENA_ZONE + 1);
	/* From 2 MiB up the bounds alone must do, whatever the zone. */
	for (u32 size = 512; size <= 2048; size *= 2)
		expect_no_merge_across(2048 + size, size, ARENA_ZONE);
}

TEST(buddy, never_merges_over_the_end_of_its_range)
{
	/* [512, 1024) and [2048, 4096) have buddies outside that look free, but are no RAM. */
	for (enum garbage g = 0; g < NR_GARBAGES; g++) {
		struct buddy *b = arena_open(512, 4096, g);

		buddy_add_range(b, 512, 1024);
		buddy_add_range(b, 2048, 4096);
		only_free(512, 1024);
		set_free(2048, 4096, true);
		EXPECT_SHAPE(b);
		EXPECT_EQ(buddy_alloc(b, 11), 2048);
		buddy_free(b, 2048, 11);
		EXPECT_EQ(buddy_alloc(b, 9), 512);
		buddy_free(b, 512, 9);
		EXPECT_SHAPE(b);
	}
}

TEST(buddy, never_merges_over_holes)
{
	for (enum garbage g = 0; g < NR_GARBAGES; g++) {
		struct buddy *b = arena_open(1, ARENA_PAGES, g);

		/* A hole of one page, of one pageblock, and of four. */
		buddy_add_range(b, 512, 700);
		buddy_add_range(b, 701, 1024);
		buddy_add_range(b, 1536, 2048);
		buddy_add_range(b, 4096, ARENA_PAGES);
		only_free(512, 700);
		set_free(701, 1024, true);
		set_free(1536, 2048, true);
		set_free(4096, ARENA_PAGES, true);
		EXPECT_SHAPE(b);
		for (u32 nr = (u32)b->nr_free_pages; nr > 0; nr--)
			EXPECT_NE(buddy_alloc(b, 0), 0);
		EXPECT_EQ(buddy_alloc(b, 0), 0);
		for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
			if (is_free[pfn])
				buddy_free(b, pfn, 0);
		EXPECT_SHAPE(b);
	}
}

TEST(buddy, trims_to_a_run_and_frees_it)
{
	for (unsigned order = 0; order <= 11; order++)
		for (u32 nr = 1; nr <= 1u << order; nr += 1 + nr / 5) {
			struct buddy *b = arena_open_full(2048, ARENA_PAGES);
			u32 pfn = buddy_alloc(b, order);

			buddy_trim(b, pfn, order, nr);
			EXPECT_EQ(b->map[pfn].type, PAGE_ALLOCATED);
			EXPECT_EQ(b->map[pfn].order, ORDER_RUN);
			EXPECT_EQ(page_block_pages(&b->map[pfn]), nr);
			only_free(2048, ARENA_PAGES);
			set_free(pfn, pfn + nr, false);
			EXPECT_SHAPE(b);
			EXPECT_TRUE(page_block_in(b->map, b->pageblock, pfn + nr - 1) ==
			            &b->map[pfn]);
			buddy_free_run(b, pfn, nr);
			set_free(pfn, pfn + nr, true);
			EXPECT_SHAPE(b);
		}
}

/* Whole larger blocks in pieces, the highest address first, and back in any order. */
TEST(buddy, batches_come_in_pieces_of_larger_blocks)
{
	static struct page *pages[64];

	for (unsigned order = 0; order <= 4; order++) {
		struct buddy *b = arena_open_full(2048, ARENA_PAGES);
		unsigned n = 64u >> order, nr;
		u32 first;

		ASSERT_EQ(buddy_alloc_batch(b, order, n, pages), n);
		first = (u32)(pages[n - 1] - b->map);
		EXPECT_TRUE(is_aligned(first, 64));
		only_free(2048, ARENA_PAGES);
		set_free(first, first + 64, false);
		EXPECT_SHAPE(b);
		for (unsigned i = 0; i < n; i++) {
			EXPECT_EQ(pages[i] - b->map, first + 64 - ((i + 1) << order));
			EXPECT_EQ(pages[i]->type, PAGE_CACHED);
			EXPECT_EQ(pages[i]->order, order);
			EXPECT_EQ(pages[i]->zone, ARENA_ZONE);
		}
		for (unsigned i = 0; i < n; i++) {
			unsigned j = i * 5 % n;
			struct page *swap = pages[i];

			pages[i] = pages[j];
			pages[j] = swap;
		}
		for (unsigned done = 0; done < n; done += nr) {
			nr = buddy_free_batch(b, order, n - done, pages + done);
			ASSERT_GT(nr, 0);
		}
		set_free(first, first + 64, true);
		EXPECT_SHAPE(b);
	}
}

/* What is in pieces already is used up first. */
TEST(buddy, a_batch_takes_small_blocks_first)
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);
	struct page *pages[16];

	buddy_add_range(b, 1024, 2048);
	buddy_add_range(b, 40, 44);
	buddy_add_range(b, 9, 10);
	ASSERT_EQ(buddy_alloc_batch(b, 0, 16, pages), 16);
	EXPECT_EQ(pages[0] - b->map, 9);
	for (unsigned i = 1; i < 5; i++)
		EXPECT_EQ(pages[i] - b->map, 44 - i);
	for (unsigned i = 5; i < 16; i++)
		EXPECT_GE(pages[i] - b->map, 1024);
	EXPECT_EQ(b->nr_free_pages, 1024 + 4 + 1 - 16);
	EXPECT_SOUND(buddy_check(b));
}

/* One trip takes so many free blocks and no more, however small they are. */
TEST(buddy, the_blocks_of_a_batch_are_bounded)
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);
	struct page *pages[32];

	for (u32 i = 0; i < ARRAY_SIZE(pages); i++)
		buddy_add_range(b, 101 + 2 * i, 102 + 2 * i);
	for (unsigned left = ARRAY_SIZE(pages); left > 0; left -= BUDDY_BATCH_BLOCKS)
		EXPECT_EQ(buddy_alloc_batch(b, 0, left, pages), BUDDY_BATCH_BLOCKS);
	EXPECT_EQ(buddy_alloc_batch(b, 0, 1, pages), 0);
	EXPECT_EQ(b->nr_free_pages, 0);
	EXPECT_SOUND(buddy_check(b));
}

/* One trip does some blocks and some merges, not all of either. */
TEST(buddy, the_work_of_a_batch_is_bounded)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	struct page *pages[64];
	u64 merges;
	unsigned nr;

	ASSERT_EQ(buddy_alloc_batch(b, 0, 64, pages), 64);
	merges = b->nr_merges;
	nr = buddy_free_batch(b, 0, 64, pages);
	EXPECT_GT(nr, 0);
	EXPECT_LT(nr, BUDDY_BATCH_WORK);
	EXPECT_GE(nr + b->nr_merges - merges, BUDDY_BATCH_WORK);
	EXPECT_LT(nr + b->nr_merges - merges, BUDDY_BATCH_WORK + MAX_ORDER);
	EXPECT_EQ(b->nr_free_pages, 4096 - 64 + nr);
	EXPECT_EQ(buddy_free_batch(b, 0, 0, pages), 0);
	EXPECT_EQ(pages[nr]->type, PAGE_CACHED);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy, adding_whole_blocks_writes_only_their_heads)
{
	for (enum garbage g = 0; g < NR_GARBAGES; g++) {
		struct buddy *b = arena_open(512, ARENA_PAGES, g);
		u32 touched = 0;

		buddy_add_range(b, 512, ARENA_PAGES); /* orders 9, 10, 11 and 12 */
		EXPECT_EQ(arena_count_touched(), 4);
		for (u32 block = 0; block < ARENA_PAGES / PAGEBLOCK_PAGES; block++)
			touched += b->pageblock[block] != PAGEBLOCK_UNKNOWN;
		EXPECT_EQ(touched, 4);
		EXPECT_SOUND(buddy_check(b));
		/* The first split of a 2 MiB block writes its 512, and nothing else. */
		EXPECT_EQ(buddy_alloc(b, 0) & ~511u, 512);
		EXPECT_EQ(arena_count_touched(), 512 + 3);
		EXPECT_EQ(b->pageblock[1], PAGEBLOCK_FULL);
		EXPECT_EQ(buddy_alloc(b, 12), 4096);
		EXPECT_EQ(arena_count_touched(), 512 + 3);
		EXPECT_SOUND(buddy_check(b));
	}
}
