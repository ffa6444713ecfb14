/*
 * The buddy at its edges: where an instance ends and another of the same zone's number begins,
 * what a trip does to the block, what is counted, and what looks right but is not.
 */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"
#include "tests/model/giants.h"

/* --- neighbours --- */

#define BORDER 2048u

static struct buddy left, right;

/* Two instances of one zone number in one map, all of each one's memory added. */
static void open_neighbours(void)
{
	struct buddy *b = arena_open(1024, BORDER, GARBAGE_FREE);

	left = *b;
	buddy_init(&right, arena.map, arena.pageblock, BORDER, 4096, ARENA_ZONE);
	buddy_add_range(&left, 1024, BORDER);
	buddy_add_range(&right, BORDER, 4096);
}

TEST(buddy_edges, a_neighbours_blocks_are_not_ours)
{
	open_neighbours();
	ASSERT_TRUE(buddy_claim(&right, BORDER, BORDER + 1));
	ASSERT_TRUE(buddy_claim(&left, BORDER - 1, BORDER));
	EXPECT_FALSE(buddy_try_free(&left, BORDER, 0));
	EXPECT_FALSE(buddy_try_free(&right, BORDER - 1, 0));
	EXPECT_STREQ(buddy_free_fault(&left, BORDER, 0), "not RAM of this zone");
	EXPECT_STREQ(buddy_free_fault(&right, BORDER - 1, 0), "not RAM of this zone");
	EXPECT_TRUE(buddy_try_free(&right, BORDER, 0));
	EXPECT_TRUE(buddy_try_free(&left, BORDER - 1, 0));
	EXPECT_SOUND(buddy_check(&left));
	EXPECT_SOUND(buddy_check(&right));
}

TEST(buddy_edges, a_neighbours_runs_are_not_ours)
{
	u32 last = BORDER - 4;

	open_neighbours();
	ASSERT_TRUE(buddy_claim(&right, BORDER, BORDER + 4));
	ASSERT_TRUE(buddy_claim(&left, last, BORDER));
	buddy_trim(&right, BORDER, 2, 3);
	buddy_trim(&left, last, 2, 3);
	EXPECT_PANIC("buddy: not a run", buddy_free_run(&left, BORDER, 3));
	EXPECT_PANIC("buddy: not a run", buddy_free_run(&right, last, 3));
	buddy_free_run(&right, BORDER, 3);
	buddy_free_run(&left, last, 3);
	EXPECT_EQ(left.nr_free_pages, 1024);
	EXPECT_EQ(right.nr_free_pages, 2048);
}

/* Below an instance's first frame nothing is looked at, however coarse the alignment is. */
TEST(buddy_edges, a_neighbours_free_memory_is_not_found)
{
	struct buddy *b = arena_open(1024, 3072, GARBAGE_FREE);

	left = *b;
	buddy_init(&right, arena.map, arena.pageblock, 3072, ARENA_PAGES, ARENA_ZONE);
	buddy_add_range(&left, 1024, 3072);
	buddy_add_range(&right, 3072, ARENA_PAGES);
	EXPECT_EQ(buddy_find_range(&right, 1, 2048), 4096);
	EXPECT_EQ(buddy_find_range(&left, 1, 2048), 2048);
	EXPECT_EQ(buddy_find_range(&left, 1025, 2048), 0);
	EXPECT_FALSE(buddy_claim(&right, 3071, 3073));
	EXPECT_FALSE(buddy_claim(&left, 3071, 3073));
	EXPECT_EQ(left.nr_free_pages, 2048);
}

TEST(buddy_edges, an_instance_is_not_empty)
{
	struct buddy b;

	EXPECT_PANIC("start < end", buddy_init(&b, arena.map, arena.pageblock, 7, 7, 0));
	EXPECT_PANIC("start < end", buddy_init(&b, arena.map, arena.pageblock, 8, 7, 0));
}

/* The bounds stay when all memory goes and other memory comes. */
TEST(buddy_edges, bounds_only_grow)
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);

	EXPECT_EQ(buddy_find_range(b, 1, 1), 0);
	EXPECT_FALSE(buddy_claim(b, 5, 6));
	buddy_add_range(b, 1000, 1100);
	EXPECT_EQ(b->low, 1000);
	EXPECT_EQ(b->high, 1100);
	ASSERT_TRUE(buddy_claim(b, 1000, 1100));
	buddy_remove(b, 1000, 1100);
	EXPECT_EQ(b->nr_managed_pages, 0);
	buddy_add_range(b, 2000, 2010);
	EXPECT_EQ(b->low, 1000);
	EXPECT_EQ(b->high, 2010);
	buddy_add_range(b, 500, 501);
	buddy_restore(b, 1000, 1100);
	EXPECT_EQ(b->low, 500);
	EXPECT_EQ(b->high, 2010);
	EXPECT_EQ(b->nr_free_pages, 111);
	EXPECT_SOUND(buddy_check(b));
}

/* --- trips --- */

/* Blocks of this order that nothing merges with, in pages[]. */
static struct buddy *take_lone_blocks(unsigned order, unsigned n, struct page *pages[])
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);
	u32 size = 1u << order;

	for (u32 i = 0; i < n; i++)
		buddy_add_range(b, 1024 + 2 * i * size, 1024 + (2 * i + 1) * size);
	for (unsigned nr = 0; nr < n;)
		nr += buddy_alloc_batch(b, order, n - nr, pages + nr);
	EXPECT_EQ(b->nr_free_pages, 0);
	return b;
}

/* A block costs one, whatever its order: so many and no more go back in one trip. */
TEST(buddy_edges, blocks_that_do_not_merge_cost_one_each)
{
	static struct page *pages[BUDDY_BATCH_WORK + 10];

	for (unsigned order = 0; order < 4; order++) {
		struct buddy *b = take_lone_blocks(order, ARRAY_SIZE(pages), pages);
		struct page **rest = pages + BUDDY_BATCH_WORK;

		EXPECT_EQ(buddy_free_batch(b, order, ARRAY_SIZE(pages), pages), BUDDY_BATCH_WORK);
		EXPECT_EQ(b->nr_free_pages, BUDDY_BATCH_WORK << order);
		EXPECT_EQ(b->nr_merges, 0);
		EXPECT_EQ(buddy_free_batch(b, order, 10, rest), 10);
		EXPECT_SOUND(buddy_check(b));
	}
}

TEST(buddy_edges, splits_and_merges_are_counted)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);

	for (unsigned order = 0; order <= 12; order++) {
		u64 splits = b->nr_splits, merges = b->nr_merges;
		u32 pfn = buddy_alloc(b, order);

		EXPECT_EQ(b->nr_splits - splits, 12 - order);
		EXPECT_EQ(b->nr_merges, merges);
		buddy_free(b, pfn, order);
		EXPECT_EQ(b->nr_merges - merges, 12 - order);
	}
}

/* --- what looks right --- */

/* A run in all its words, in a frame that nothing vouches for. */
TEST(buddy_edges, a_run_in_the_garbage_is_none)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	struct page *page = &b->map[4096 + 7];

	ASSERT_EQ(buddy_alloc(b, 12), 4096);
	page->head = page_head_word(PAGE_ALLOCATED, ORDER_RUN, ARENA_ZONE);
	page->nr_pages = 3;
	EXPECT_PANIC("buddy: not a run", buddy_free_run(b, 4096 + 7, 3));
	EXPECT_EQ(b->nr_free_pages, 0);
}

/* Of a free block every page but the head is an inner page of order 0 of the zone. */
TEST(buddy_edges, B7_knows_the_whole_word)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	struct page *inner = &b->map[4096 + 77];

	buddy_free(b, buddy_alloc(b, 0), 0);
	EXPECT_SOUND(buddy_check(b));
	inner->order = 1;
	EXPECT_BROKEN(buddy_check(b), "B7:");
	inner->order = 0;
	inner->zone ^= 1;
	EXPECT_BROKEN(buddy_check(b), "B7:");
	inner->zone ^= 1;
	inner->flags = 1;
	EXPECT_BROKEN(buddy_check(b), "B7:");
	inner->flags = 0;
	EXPECT_SOUND(buddy_check(b));
}

/* --- gigabytes --- */

#if __STDC_HOSTED__
#define GIB_PAGES (1u << MAX_ORDER)

TEST(buddy_edges, the_largest_block_goes_back)
{
	giants_open();
	buddy_add_range(&giants, GIB_PAGES, 2 * GIB_PAGES);
	ASSERT_EQ(buddy_alloc(&giants, MAX_ORDER), GIB_PAGES);
	EXPECT_FALSE(buddy_try_free(&giants, GIB_PAGES, MAX_ORDER + 1));
	EXPECT_TRUE(buddy_try_free(&giants, GIB_PAGES, MAX_ORDER));
	EXPECT_EQ(giants.nr_free_blocks[MAX_ORDER], 1);
	EXPECT_SOUND(buddy_check(&giants));
}

/* The place of an extent that is gone says nothing, whatever stands there. */
TEST(buddy_edges, extents_that_are_gone_are_forgotten)
{
	struct buddy *b = &giants;

	giants_open();
	buddy_add_range(b, GIB_PAGES, 2 * GIB_PAGES);
	buddy_add_range(b, 3 * GIB_PAGES, 5 * GIB_PAGES);
	ASSERT_TRUE(buddy_claim(b, GIB_PAGES, 2 * GIB_PAGES)); /* the second takes its place */
	ASSERT_EQ(b->nr_untouched, 1);
	ASSERT_EQ(buddy_alloc(b, MAX_ORDER), 4 * GIB_PAGES);
	EXPECT_FALSE(buddy_is_untouched(b, 4 * GIB_PAGES));
	EXPECT_TRUE(buddy_is_untouched(b, 3 * GIB_PAGES));
	ASSERT_EQ(buddy_alloc(b, MAX_ORDER), 3 * GIB_PAGES);
	EXPECT_FALSE(buddy_is_untouched(b, 3 * GIB_PAGES));
	buddy_free(b, 4 * GIB_PAGES, MAX_ORDER);
	ASSERT_TRUE(buddy_claim(b, 4 * GIB_PAGES, 5 * GIB_PAGES)); /* listed, not of an extent */
	EXPECT_EQ(b->nr_free_pages, 0);
	EXPECT_SOUND(buddy_check(b));
}

/* All extents are asked: the others stay as they are. */
TEST(buddy_edges, a_range_of_any_extent)
{
	struct buddy *b = &giants;

	for (u32 gib = 1; gib < 7; gib += 2) {
		giants_open();
		for (u32 at = 1; at < 7; at += 2)
			buddy_add_range(b, at * GIB_PAGES, (at + 1) * GIB_PAGES);
		ASSERT_EQ(b->nr_untouched, 3);
		ASSERT_TRUE(buddy_claim(b, gib * GIB_PAGES + 5, gib * GIB_PAGES + 6));
		EXPECT_EQ(b->nr_untouched, 2);
		for (u32 at = 1; at < 7; at += 2)
			EXPECT_EQ(buddy_is_untouched(b, at * GIB_PAGES), at != gib);
		EXPECT_SOUND(buddy_check(b));
	}
}
#endif
