/*
 * What the checkers of mm/debug do with whole pages, to the page: which are remembered as filled,
 * which byte a story marks, which blocks a walk visits, and which large kmallocs get guard pages.
 * On the host, where machines are made and no other CPU takes pages.
 */
#if __STDC_HOSTED__
#include "mm/debug/blocks.h"
#include "mm/debug/debug_internal.h"

#include <mm/harden.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/page_gaps.h"
#include "tests/model/told.h"

/* --- stories --- */

/* --- pages that are filled --- */

static bool begin_filling(void)
{
	struct mm_debug_choice run = mm_debug_choice();

	if (page_debug_on) {
		test_skip("this run has chosen otherwise");
		return false;
	}
	mm_debug_configure("P,pages", false, false);
	page_debug_init();
	mm_debug_choose(&run);
	return page_debug_on;
}

static struct page *must_take(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(page);
	return page;
}

/* Of many blocks the lower one of two that are each other's buddies. */
static struct page *one_of_two(struct page *taken[], unsigned nr)
{
	for (unsigned i = 0; i < nr; i++)
		for (unsigned k = 0; k < nr; k++)
			if (taken[k] == taken[i] + 128 && page_to_pfn(taken[i]) % 256 == 0)
				return taken[i];
	return NULL;
}

/* Of a block its own pages are looked at, and forgotten, and not the first behind it. */
TEST(debug_pages, the_pages_of_a_block_and_no_others)
{
	struct page *taken[40], *lower, *upper;
	char *p;

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	host_machine_borrow(256 * MIB, 1);
	ASSERT_TRUE(begin_filling());
	for (unsigned i = 0; i < ARRAY_SIZE(taken); i++)
		taken[i] = must_take(7);
	lower = one_of_two(taken, ARRAY_SIZE(taken));
	ASSERT_NOT_NULL(lower);
	upper = lower + 128;
	page_debug_freed(lower, 128);
	page_debug_freed(upper, 128);
	p = page_address(upper);
	(void)plant(p, 0x77);
	page_debug_allocated(lower, 128);
	EXPECT_PANIC("BUG: write after free in pages", page_debug_allocated(upper, 128));
	EXPECT_TRUE(is_told(p, "[77]"));   /* the byte that was found */
	EXPECT_EQ(upper->type, PAGE_FREE); /* for a test that repairs it */
	(void)plant(p, POISON_PAGE);
	page_debug_finish();
	host_machine_return();
}

/* What comes back without a fill is not looked at for one. */
TEST(debug_pages, a_page_in_use_is_not_filled)
{
	struct page *page;

	if (!begin_filling())
		return;
	page = must_take(7);
	free_pages(page, 7);
	page = must_take(7); /* it again, most likely */
	memset(page_address(page), 1, PAGE_SIZE << 7);
	ASSERT_TRUE(zone_free(page_zone(page), page, 7)); /* as who frees without a fill */
	page = must_take(7);
	free_pages(page, 7);
	page_debug_finish();
}

TEST(debug_pages, the_byte_behind_a_block_is_marked)
{
	struct page *page;
	char *p;

	page_gaps_begin();
	page = must_take(0);
	p = page_address(page);
	(void)plant(p + PAGE_SIZE, 0x41);
	EXPECT_PANIC("BUG: right red zone overwritten in pages", free_page(page));
	EXPECT_TRUE(is_told(p + PAGE_SIZE, "[41]"));
	(void)plant(p + PAGE_SIZE, RED_ACTIVE);
	free_page(page);
	EXPECT_NULL(page[1].link); /* it leads to no block any more */
	page_gaps_end();
}

/* --- the walk over blocks --- */

static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};

/* Nodes' memory lies crosswise, so that zones' ranges hold each other's pages. */
static const struct mm_topology crosswise = {
    .nr_nodes = 2,
    .nr_ranges = 2,
    .range = {{24 * MIB, 16 * MIB, 1}, {64 * MIB, 64 * MIB, 1}},
};

static u64 walked, nr_wrong;

static void count_block(void *context, struct page *head)
{
	u64 pfn = page_to_pfn(head);

	EXPECT_EQ(context, memory);
	walked += head->type == PAGE_SLAB ? 1 : page_block_pages(head);
	if (head->type != PAGE_SLAB)
		nr_wrong += page_block_of(pfn) != head;
}

static u64 pages_with_metadata(void)
{
	u64 nr = 0;

	for_each_zone(z) {
		nr += z->buddy.nr_managed_pages;
		for (u32 i = 0; i < z->buddy.nr_untouched; i++)
			nr -= z->buddy.untouched[i].end - z->buddy.untouched[i].start;
	}
	return nr;
}

static void expect_walk(void)
{
	walked = nr_wrong = 0;
	blocks_visit(count_block, (void *)memory);
	EXPECT_EQ(walked, pages_with_metadata());
	EXPECT_EQ(nr_wrong, 0);
}

/* Every page once, in blocks of all sizes, whatever the pages inside were before. */
TEST(debug_pages, a_walk_sees_every_page_once)
{
	static struct page *page[4000];

	host_machine_borrow_nodes(memory, 1, &crosswise, 1);
	expect_walk();
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		page[i] = must_take(i % 3);
	expect_walk();
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		if (i % 5 != 0)
			free_pages(page[i], i % 3);
	drain_cpu_pages();
	for (unsigned i = 0; i < 10; i++)
		(void)must_take(5);
	expect_walk();
	host_machine_return();
	host_machine_borrow(8 * GIB, 1); /* most of it without metadata */
	(void)must_take(0);
	(void)must_take(9);
	expect_walk();
	host_machine_return();
}

static u64 nr_visits;

static void count_visits(void *context, struct page *head)
{
	nr_visits += head == context;
}

/* A page whose type is that of no head is none, whatever else its words say. */
TEST(debug_pages, a_walk_passes_over_what_is_no_head)
{
	static const u8 types[] = {PAGE_NONE, PAGE_INNER, NR_PAGE_TYPES, 255};
	struct page *page = must_take(0);
	u32 word = page->head;

	nr_visits = 0;
	blocks_visit(count_visits, page);
	EXPECT_EQ(nr_visits, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(types); i++) {
		page->type = types[i];
		blocks_visit(count_visits, page);
		EXPECT_EQ(nr_visits, 1);
		page->head = word;
	}
	free_page(page);
}

/* --- guard pages around the largest --- */

static void expect_run(u32 nr_pages, u32 with)
{
	struct page *head = large_guard_alloc(0, GFP_KERNEL, nr_pages);

	ASSERT_NOT_NULL(head);
	EXPECT_EQ(head->nr_pages, with);
	page_run_free(head, with);
}

/* A run that would be larger than any block has none. */
TEST(debug_pages, the_largest_runs_have_no_guard_pages)
{
	const u32 most = 1u << MAX_ORDER;

	host_machine_borrow(8 * GIB, 1);
	expect_run(1, 3);
	expect_run(most - 3, most - 1);
	expect_run(most - 2, most);
	expect_run(most - 1, most - 1);
	expect_run(most, most);
	host_machine_return();
}

/* A fault in a run that has guard pages is its first or its last page, and nothing in between. */
TEST(debug_pages, faults_that_are_no_guard_page)
{
	struct page *page = must_take(2);
	char *plain = kmalloc(50000, GFP_KERNEL);

	ASSERT_NOT_NULL(plain);
	EXPECT_FALSE(large_guard_fault((u64)plain, false, "a test"));
	EXPECT_FALSE(large_guard_fault((u64)page_address(page), false, "a test"));
	EXPECT_FALSE(large_guard_fault(8, false, "a test"));
	kfree(plain);
	free_pages(page, 2);
}
#endif
