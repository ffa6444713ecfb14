/*
 * Blocks with a page of nobody's behind them, layer by layer: buddy_set_apart() cuts exactly that,
 * zone_alloc_apart() takes no larger block than it needs, and alloc_pages() asks for one only where
 * the zone can spare it. What the page is for: page_gap_test.c.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"
#include "tests/model/hoard.h"
#include "tests/model/page_gaps.h"

/* A block and the one page behind it, of an arena that was never split; all of it free again. */
static void expect_apart(unsigned order, u32 nr_pages, bool is_run)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	u32 pfn = buddy_alloc(b, order), behind = pfn + nr_pages;
	const struct page *page;

	buddy_set_apart(b, pfn, order, nr_pages, is_run);
	EXPECT_EQ(b->nr_free_pages, ARENA_PAGES - 4096 - nr_pages - 1);
	page = page_block_in(b->map, b->pageblock, behind);
	EXPECT_TRUE(page == &b->map[behind]);
	EXPECT_EQ(page->head, page_head_word(PAGE_ALLOCATED, 0, ARENA_ZONE));
	EXPECT_EQ(page_block_pages(&b->map[pfn]), nr_pages);
	EXPECT_EQ(b->map[pfn].order == ORDER_RUN, is_run);
	EXPECT_SOUND(buddy_check(b));
	buddy_free(b, behind, 0);
	if (is_run)
		buddy_free_run(b, pfn, nr_pages);
	else
		buddy_free(b, pfn, highest_bit(nr_pages));
	EXPECT_EQ(b->nr_free_pages, ARENA_PAGES - 4096);
	EXPECT_SOUND(buddy_check(b));
}

/* Above a pageblock nothing but the first frame is known of the block that is cut. */
TEST(buddy_apart, the_page_behind_is_a_block_by_itself)
{
	for (unsigned order = 1; order <= 11; order++) {
		expect_apart(order, 1u << (order - 1), false);
		expect_apart(order, 1u << (order - 1), true);
		expect_apart(order, (1u << order) - 1, true);
		expect_apart(order, 1, false);
		expect_apart(order, 1, true);
	}
}

TEST(buddy_apart, what_cannot_be_cut_is_refused)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	u32 pfn = buddy_alloc(b, 3);

	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 3, 0, true));
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 3, 0, false));
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 3, 8, true));
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 3, 8, false));
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 3, 9, true));
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 3, 3, false)); /* no block */
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, pfn, 4, 3, true));
	EXPECT_SOUND(buddy_check(b));
	buddy_free(b, pfn, 3);
	EXPECT_PANIC("assertion failed", buddy_set_apart(b, 4096, 12, 3, true)); /* free */
}

TEST(zone_apart, it_counts_as_the_two_blocks_that_it_is)
{
	for_each_zone(z) {
		u64 allocs = z->nr_allocs;
		struct page *page = zone_alloc_apart(z, 2, 0);

		if (page == NULL)
			continue;
		EXPECT_EQ(z->nr_allocs, allocs + 2);
		EXPECT_TRUE(zone_free(z, page + 4, 0));
		EXPECT_TRUE(zone_free(z, page, 2));
	}
}

/* 2^n - 1 pages and the one behind them fill a block: no larger one is needed for it. */
TEST(zone_apart, a_block_that_just_fits_is_enough)
{
	static struct hoard hoard;
	struct zone *z = zone_next(NULL);
	struct page *block = zone_alloc(z, 4), *page;

	ASSERT_NOT_NULL(block);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_TRUE(zone_free(z, block, 4));
	EXPECT_NULL(zone_alloc_apart(z, 0, 16));
	EXPECT_NULL(zone_alloc_apart(z, 4, 0));
	page = zone_alloc_apart(z, 0, 15);
	EXPECT_TRUE(page == block);
	if (page != NULL) {
		zone_free_run(z, page, 15);
		EXPECT_TRUE(zone_free(z, page + 15, 0));
	}
	hoard_drop_all(&hoard);
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>

/* Half a gigabyte, cut from the largest block that there is. */
TEST(zone_apart, from_a_block_of_the_highest_order)
{
	struct page *page;

	host_machine_borrow(4 * GIB, 1);
	for_each_zone(z) {
		bool has_one = z->buddy.nr_free_blocks[MAX_ORDER] != 0;

		page = zone_alloc_apart(z, MAX_ORDER - 1, 0);
		EXPECT_EQ(page != NULL, has_one);
		if (page == NULL)
			continue;
		EXPECT_TRUE(zone_free(z, page + (1u << (MAX_ORDER - 1)), 0));
		EXPECT_TRUE(zone_free(z, page, MAX_ORDER - 1));
	}
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* Where the zone can spare the block twice it has a page behind it; where less, it has none. */
TEST(page_alloc_apart, only_what_can_be_spared_is_spent_on_it)
{
	for (u64 spare = 63; spare <= 65; spare++) {
		struct page *page;
		struct zone *z;
		u64 free, floor;

		host_machine_borrow(64 * MIB, 1);
		page_gaps_begin();
		z = NULL;
		for_each_zone(other)
			z = other;
		free = zone_free_pages(z);
		floor = z->floor[DEPTH_ORDINARY][ZONE_NORMAL];
		z->floor[DEPTH_ORDINARY][ZONE_NORMAL] = free - spare;
		page = alloc_pages(GFP_KERNEL, 5);
		z->floor[DEPTH_ORDINARY][ZONE_NORMAL] = floor;
		ASSERT_NOT_NULL(page);
		EXPECT_TRUE(page_zone(page) == z);
		EXPECT_EQ(free - zone_free_pages(z), spare < 64 ? 32 : 33);
		free_pages(page, 5);
		page_gaps_end();
		host_machine_return();
	}
}
#endif
