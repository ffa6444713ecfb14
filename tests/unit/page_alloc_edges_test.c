/*
 * The page allocator at its edges: who is asked when there is nothing, and how often; which zone
 * and node serve what; the largest sizes; and what is refused though most of it looks right.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define QUIET (GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC)
#define PATIENT (GFP_KERNEL | __GFP_NOWARN | __GFP_MEMALLOC)
#define ROUNDS 16 /* mm/page_alloc.c: RECLAIM_ROUNDS */

static struct hoard hoard;

/* --- who is asked --- */

static struct {
	struct shrinker shrinker;
	struct page *page[2 * ROUNDS];
	unsigned order, nr, nr_asked, nr_a_time;
	gfp_t own_request; /* what scan() asks for itself */
	struct page *got;
} source;

static u64 give(struct shrinker *self, u64 nr)
{
	u64 given = 0;

	(void)self;
	source.nr_asked++;
	if (source.own_request != 0 && source.got == NULL)
		source.got = alloc_page(source.own_request);
	for (; source.nr > 0 && given < min_u64(source.nr_a_time, nr); given++)
		free_pages(source.page[--source.nr], source.order);
	return given;
}

static u64 count(struct shrinker *self)
{
	(void)self;
	return source.nr;
}

/* All other memory is taken. */
static void open_source(unsigned order, unsigned nr, unsigned nr_a_time, bool counts)
{
	source.order = order;
	source.nr_asked = 0;
	source.nr_a_time = nr_a_time;
	source.own_request = 0;
	source.got = NULL;
	for (source.nr = 0; source.nr < nr; source.nr++)
		ASSERT_NOT_NULL(source.page[source.nr] = alloc_pages(GFP_KERNEL, order));
	(void)reclaim_pages(~0ull);
	hoard_take_all(&hoard, GFP_NOWAIT);
	source.shrinker =
	    (struct shrinker){.name = "page_alloc", .scan = give, .count = counts ? count : NULL};
	register_shrinker(&source.shrinker);
}

static void close_source(void)
{
	unregister_shrinker(&source.shrinker);
	while (source.nr > 0)
		free_pages(source.page[--source.nr], source.order);
	if (source.got != NULL)
		free_page(source.got);
	hoard_drop_all(&hoard);
}

/* Progress that helps nobody: single pages, where a large block is wanted. */
TEST(page_alloc_edges, shrinkers_are_asked_so_often_and_no_more)
{
	open_source(0, 2 * ROUNDS, 1, false);
	EXPECT_NULL(alloc_pages(PATIENT, MAX_ORDER));
	EXPECT_EQ(source.nr_asked, ROUNDS);
	EXPECT_NULL(alloc_pages(PATIENT | __GFP_NORETRY, MAX_ORDER));
	EXPECT_NULL(alloc_pages(QUIET, MAX_ORDER));
	EXPECT_EQ(source.nr_asked, ROUNDS);
	close_source();
}

TEST(page_alloc_edges, shrinkers_that_have_nothing_are_asked_once)
{
	open_source(0, 1, 0, false);
	EXPECT_NULL(alloc_pages(PATIENT, MAX_ORDER));
	EXPECT_EQ(source.nr_asked, 1);
	close_source();
}

/* As many pages are asked for as the block has: what is of use is given up too. */
TEST(page_alloc_edges, shrinkers_are_asked_for_the_whole_block)
{
	struct page *page;

	open_source(5, 1, 1, true);
	page = alloc_pages(PATIENT, 5);
	EXPECT_NOT_NULL(page);
	if (page != NULL)
		free_pages(page, 5);
	close_source();
}

/* What a shrinker asks for in a hurry is not the request that it serves. */
TEST(page_alloc_edges, only_patient_requests_of_a_shrinker_take_all)
{
	for (unsigned patient = 0; patient < 2; patient++) {
		struct page *spare = alloc_page(GFP_KERNEL);
		struct zone *z = page_zone(spare);

		open_source(0, 1, 0, false);
		free_page(spare); /* below every mark */
		drain_cpu_pages();
		source.own_request = __GFP_NOWARN | (patient ? GFP_KERNEL : GFP_ATOMIC);
		EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER));
		EXPECT_EQ(source.nr_asked, 1);
		if (z->mark[MARK_MIN] > 2)
			EXPECT_EQ(source.got != NULL, patient == 1);
		close_source();
	}
}

TEST(page_alloc_edges, memory_is_not_cleared_unless_asked)
{
	struct page *page = alloc_pages_node(0, GFP_KERNEL, 6), *again;

	ASSERT_NOT_NULL(page);
	memset(page_address(page), 0x5a, PAGE_SIZE);
	free_pages(page, 6);
	again = alloc_pages_node(page_zone(page)->node, GFP_KERNEL, 6);
	ASSERT_NOT_NULL(again);
	if (again == page)
		EXPECT_NULL(mem_find_other(page_address(page), 0x5a, PAGE_SIZE));
	free_pages(again, 6);
}

/* --- which zone --- */

/* Blocks of all zones on this CPU's stacks. */
static void cache_some_of_each_zone(unsigned order)
{
	static const gfp_t places[] = {__GFP_DMA, __GFP_DMA32, 0};
	struct page *page[ARRAY_SIZE(places)];

	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		page[i] = alloc_pages(QUIET | places[i], order);
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++)
		if (page[i] != NULL)
			free_pages(page[i], order);
}

TEST(page_alloc_edges, hot_pages_are_of_the_highest_zone)
{
	struct zone *highest = mm_this(pages)->zone[0];

	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		struct page *page;

		if (zone_free_pages(highest) < 1000)
			break;
		cache_some_of_each_zone(order);
		page = alloc_pages(GFP_KERNEL, order);
		ASSERT_NOT_NULL(page);
		EXPECT_TRUE(page_zone(page) == highest);
		free_pages(page, order);
	}
}

/* A run of five pages is cut from eight: where no eight are free the zone is not asked. */
TEST(page_alloc_edges, runs_are_asked_of_zones_with_a_block_around_them)
{
	struct page *block = alloc_pages(GFP_KERNEL, 2);
	struct zone *z;
	u64 failures;

	ASSERT_NOT_NULL(block);
	z = page_zone(block);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages(block, 2);
	drain_cpu_pages();
	failures = z->nr_failures;
	EXPECT_NULL(page_run_alloc(QUIET, 5));
	EXPECT_EQ(z->nr_failures, failures);
	hoard_drop_all(&hoard);
}

/* --- what looks right --- */

TEST(page_alloc_edges, the_first_struct_page_behind_the_map)
{
	struct page *behind = page_map + (PLATFORM_MAX_PA >> PAGE_SHIFT);

	EXPECT_STREQ(page_free_fault(behind, 0), "not a struct page");
	EXPECT_PANIC("page_alloc: not a struct page", free_pages(behind, 4));
	EXPECT_STREQ(page_free_fault(behind - 1, 0), "not RAM");
}

TEST(page_alloc_edges, a_large_block_with_another_zone)
{
	struct page *page = alloc_pages(GFP_KERNEL, 5);
	u8 zone;

	ASSERT_NOT_NULL(page);
	zone = page->zone;
	page->zone = MAX_ZONES;
	EXPECT_PANIC("page_alloc: overwritten metadata", free_pages(page, 5));
	page->zone = 0xff;
	EXPECT_PANIC("page_alloc: overwritten metadata", free_pages(page, 5));
	page->zone = zone;
	free_pages(page, 5);
}

/* A run with the right number of pages, but kmalloc's. */
TEST(page_alloc_edges, a_large_kmalloc_is_no_exact_allocation)
{
	void *p = kmalloc(5 * PAGE_SIZE, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	ASSERT_EQ(page_block_of(virt_to_phys(p) >> PAGE_SHIFT)->order, ORDER_RUN);
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p, 5 * PAGE_SIZE));
	kfree(p);
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

/* Nothing is taken from a zone then, so the one that fails says it. */
TEST(page_alloc_edges, background_reclaim_is_wanted_where_nothing_is_left)
{
	hoard_take_all(&hoard, GFP_NOWAIT);
	host_reclaim_wanted = 0;
	EXPECT_NULL(alloc_page(QUIET));
	EXPECT_EQ(host_reclaim_wanted, 1);
	hoard_drop_all(&hoard);
}

TEST(page_alloc_edges, the_largest_sizes)
{
	struct page *page;
	void *p;

	host_machine_borrow(4 * GIB, 1);
	page = alloc_pages_node(0, GFP_KERNEL, MAX_ORDER);
	if (page == NULL) {
		host_machine_return();
		return test_skip("the machines of this build have less memory");
	}
	free_pages(page, MAX_ORDER);
	p = alloc_pages_exact(PAGE_SIZE << MAX_ORDER, GFP_KERNEL);
	EXPECT_NOT_NULL(p);
	EXPECT_NULL(alloc_pages_exact((PAGE_SIZE << MAX_ORDER) + 1, QUIET));
	free_pages_exact(p, PAGE_SIZE << MAX_ORDER);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

static struct node_stats stats_of(unsigned node)
{
	struct node_stats s;

	node_stats(node, &s);
	return s;
}

/* This CPU is node 0's. */
TEST(page_alloc_edges, what_comes_from_another_node_is_counted)
{
	static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};
	static const struct mm_topology two = {
	    .nr_nodes = 3, .nr_ranges = 1, .range = {{64 * MIB, 64 * MIB, 1}}};
	struct page *page[4];

	host_machine_borrow_nodes(memory, 1, &two, 1);
	page[0] = alloc_pages_node(0, GFP_KERNEL, 4);
	EXPECT_EQ(stats_of(0).miss + stats_of(0).foreign + stats_of(0).remote, 0);
	EXPECT_EQ(stats_of(1).miss + stats_of(1).foreign + stats_of(1).remote, 0);
	page[1] = alloc_pages_node(1, GFP_KERNEL, 4);
	EXPECT_EQ(stats_of(1).remote, 1);
	EXPECT_EQ(stats_of(1).miss, 0);
	page[2] = alloc_pages_node(2, GFP_KERNEL, 4); /* which has none */
	EXPECT_EQ(stats_of(2).foreign, 1);
	EXPECT_EQ(stats_of(0).miss, 1);
	EXPECT_EQ(stats_of(0).remote, 0);
	page[3] = alloc_pages_node(2, QUIET, MAX_ORDER); /* nobody's */
	EXPECT_NULL(page[3]);
	EXPECT_EQ(stats_of(2).foreign, 1);
	EXPECT_EQ(stats_of(1).miss, 0);
	for (unsigned i = 0; i < 3; i++)
		free_pages(page[i], 4);
	host_machine_return();
}
#endif
