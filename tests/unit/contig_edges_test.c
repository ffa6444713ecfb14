/*
 * Contiguous ranges at the edges: who is asked to give memory back, and how often; the first and
 * the last frame of a zone; borders of zones and nodes; what is counted.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define QUIET (GFP_NOWAIT | __GFP_NOWARN)
#define ROUNDS 4 /* mm/contig.c: RECLAIM_ROUNDS */

static struct hoard hoard;

/* --- who is asked --- */

/* A page in each of some blocks: what comes back is never two in a row. */
static struct {
	struct shrinker shrinker;
	struct page *page[2 * ROUNDS];
	unsigned nr, nr_asked, nr_a_time;
} source;

static u64 give(struct shrinker *self, u64 nr)
{
	u64 given = 0;

	(void)self;
	source.nr_asked++;
	for (; source.nr > 0 && given < min_u64(source.nr_a_time, nr); given++)
		free_page(source.page[--source.nr]);
	return given;
}

static u64 count(struct shrinker *self)
{
	(void)self;
	return source.nr;
}

/* All memory is taken, and each scan gives so many of the source's single pages back. */
static void open_source(unsigned nr_a_time)
{
	struct page *block[ARRAY_SIZE(source.page)];

	source.nr = source.nr_asked = 0;
	source.nr_a_time = nr_a_time;
	for (unsigned i = 0; i < ARRAY_SIZE(block); i++)
		ASSERT_NOT_NULL(block[i] = alloc_pages(GFP_KERNEL, 4));
	(void)reclaim_pages(~0ull);
	hoard_take_all(&hoard, GFP_NOWAIT);
	for (unsigned i = 0; i < ARRAY_SIZE(block); i++) {
		u32 pfn = page_to_pfn(block[i]);

		free_pages(block[i], 4);
		ASSERT_EQ(pages_offline(pfn, 4), 0); /* the others go to the hoard */
		hoard_take_all(&hoard, GFP_NOWAIT);
		ASSERT_EQ(pages_online(pfn, 4), 0);
		source.page[source.nr++] = alloc_page(GFP_NOWAIT | __GFP_MEMALLOC);
		hoard_take_all(&hoard, GFP_NOWAIT);
	}
	source.shrinker = (struct shrinker){.name = "contig", .scan = give};
	register_shrinker(&source.shrinker);
}

static void close_source(void)
{
	unregister_shrinker(&source.shrinker);
	while (source.nr > 0)
		free_page(source.page[--source.nr]);
	hoard_drop_all(&hoard);
}

TEST(contig_edges, shrinkers_are_asked_for_those_who_may_wait)
{
	u64 failures;

	open_source(1);
	failures = page_alloc_failures();
	EXPECT_NULL(alloc_contig_pages(2, 1, QUIET | __GFP_MEMALLOC));
	EXPECT_NULL(
	    alloc_contig_pages(2, 1, GFP_KERNEL | __GFP_NORETRY | __GFP_NOWARN | __GFP_MEMALLOC));
	EXPECT_EQ(source.nr_asked, 0);
	EXPECT_NULL(alloc_contig_pages(2, 1, GFP_KERNEL | __GFP_NOWARN | __GFP_MEMALLOC));
	EXPECT_EQ(source.nr_asked, ROUNDS);
	EXPECT_EQ(page_alloc_failures() - failures, 3);
	close_source();
}

TEST(contig_edges, shrinkers_that_have_nothing_are_asked_once)
{
	open_source(0);
	EXPECT_NULL(alloc_contig_pages(2, 1, GFP_KERNEL | __GFP_NOWARN | __GFP_MEMALLOC));
	EXPECT_EQ(source.nr_asked, 1);
	close_source();
}

TEST(contig_edges, what_a_shrinker_gave_is_found_and_nobody_asked_again)
{
	struct page *page;

	open_source(1);
	page = alloc_contig_pages(1, 1, GFP_KERNEL | __GFP_NOWARN | __GFP_MEMALLOC);
	EXPECT_NOT_NULL(page);
	EXPECT_EQ(source.nr_asked, 1);
	if (page != NULL)
		free_contig_pages(page, 1);
	close_source();
}

/* What is of use to somebody stays: a page on loan is asked for by its place. */
TEST(contig_edges, offline_asks_for_what_nobody_uses)
{
	struct page *page = alloc_page(GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	source.nr = source.nr_asked = source.nr_a_time = 1;
	source.page[0] = page;
	source.shrinker = (struct shrinker){.name = "contig", .scan = give, .count = count};
	register_shrinker(&source.shrinker);
	EXPECT_EQ(pages_offline(page_to_pfn(page), 1), -EBUSY);
	EXPECT_EQ(source.nr_asked, 1);
	close_source();
}

/* --- what it costs --- */

TEST(contig_edges, plenty_is_had_without_emptying_caches)
{
	struct page *page;
	u64 cached;

	free_page(alloc_page(GFP_KERNEL));
	cached = cpu_pages_count();
	EXPECT_GT(cached, 0);
	page = alloc_contig_pages(3, 1, GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(cpu_pages_count(), cached);
	free_contig_pages(page, 3);
}

TEST(contig_edges, is_counted_in_its_zone)
{
	struct page *page = alloc_contig_pages(6, 2, GFP_KERNEL);
	struct zone *z;
	u64 allocs, frees, locks;

	ASSERT_NOT_NULL(page);
	z = page_zone(page);
	free_contig_pages(page, 6);
	mm_reset_peak();
	allocs = z->nr_allocs;
	frees = z->nr_frees;
	locks = z->nr_lock_acquisitions;
	page = alloc_contig_pages(6, 2, GFP_KERNEL);
	ASSERT_TRUE(page != NULL && page_zone(page) == z);
	EXPECT_EQ(z->nr_allocs, allocs + 1);
	EXPECT_EQ(z->nr_lock_acquisitions, locks + 1);
	EXPECT_EQ(z->min_free_pages, zone_free_pages(z));
	free_contig_pages(page, 6);
	EXPECT_EQ(z->nr_frees, frees + 1);
	EXPECT_EQ(z->nr_lock_acquisitions, locks + 2);
}

TEST(contig_edges, is_cleared_only_on_request)
{
	struct page *page = alloc_contig_pages(1, 1, GFP_KERNEL), *again;

	ASSERT_NOT_NULL(page);
	memset(page_address(page), 0x5a, PAGE_SIZE);
	free_contig_pages(page, 1);
	again = alloc_contig_pages(1, 1, GFP_KERNEL);
	ASSERT_TRUE(again == page);
	EXPECT_NULL(mem_find_other(page_address(page), 0x5a, PAGE_SIZE));
	free_contig_pages(page, 1);
}

TEST(contig_edges, the_low_water_mark_follows_a_loan)
{
	struct page *page = alloc_contig_pages(9, 1, GFP_KERNEL);
	struct zone *z;
	u64 low;
	u32 pfn;

	ASSERT_NOT_NULL(page);
	z = page_zone(page);
	pfn = page_to_pfn(page);
	free_contig_pages(page, 9);
	mm_reset_peak();
	ASSERT_EQ(pages_offline(pfn, 9), 0);
	EXPECT_EQ(z->min_free_pages, zone_free_pages(z));
	low = z->min_free_pages;
	EXPECT_EQ(pages_online(pfn, 9), 0);
	ASSERT_EQ(pages_offline(pfn, 1), 0);
	EXPECT_EQ(z->min_free_pages, low);
	EXPECT_EQ(pages_online(pfn, 1), 0);
}

/* --- places --- */

TEST(contig_edges, at_an_odd_frame)
{
	struct page *block = alloc_pages(GFP_KERNEL, 4), *page;
	u32 pfn;

	ASSERT_NOT_NULL(block);
	pfn = page_to_pfn(block);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages(block, 4);
	EXPECT_EQ(pages_offline(pfn, 1), 0);
	page = alloc_contig_pages(15, 1, QUIET | __GFP_MEMALLOC);
	EXPECT_NOT_NULL(page);
	EXPECT_TRUE(page == block + 1);
	if (page != NULL)
		free_contig_pages(page, 15);
	EXPECT_EQ(pages_online(pfn, 1), 0);
	hoard_drop_all(&hoard);
}

/* The highest free frames of the zone that ends with them. */
TEST(contig_edges, up_to_the_end_of_a_zone)
{
	for_each_zone(z) {
		u32 high = z->buddy.high, pfn = high - 1;
		struct page *page = pfn_to_page(pfn);
		u64 flags;
		bool claimed;

		drain_cpu_pages();
		flags = zone_lock(z);
		claimed = buddy_claim(&z->buddy, pfn, high);
		spin_unlock_irq(&z->lock, flags);
		if (!claimed) /* in use since the boot */
			continue;
		EXPECT_PANIC("page_alloc: not a contiguous", free_contig_pages(page, 2));
		EXPECT_PANIC("page_alloc: not a contiguous", free_contig_pages(page, 2ull << 32));
		free_contig_pages(page, 1);
		EXPECT_EQ(pages_offline(pfn, 1), 0);
		EXPECT_EQ(pages_online(pfn, 2), -EINVAL);
		EXPECT_EQ(pages_online(pfn, 1), 0);
		EXPECT_SOUND(zone_check(z));
	}
}

TEST(contig_edges, an_overwritten_head_is_not_believed)
{
	struct page *page = alloc_contig_pages(1, 1, GFP_KERNEL);
	u8 zone;

	ASSERT_NOT_NULL(page);
	zone = page->zone;
	page->zone = MAX_ZONES;
	EXPECT_PANIC("page_alloc: not a contiguous", free_contig_pages(page, 1));
	page->zone = zone;
	free_contig_pages(page, 1);
}

TEST(contig_edges, sizes_that_nobody_has_are_failures)
{
	u64 failures = page_alloc_failures();

	EXPECT_NULL(alloc_contig_pages(CONTIG_MAX_PAGES, 1, QUIET));
	EXPECT_EQ(page_alloc_failures(), failures + 1);
	EXPECT_NULL(alloc_contig_pages(CONTIG_MAX_PAGES + 1, 1, QUIET)); /* a wrong argument */
	EXPECT_EQ(page_alloc_failures(), failures + 1);
}

/* Frames of a zone, but far above its memory: nothing is looked at there. */
TEST(contig_edges, offline_far_above_all_memory)
{
	u64 end = zone_kind_end_pfn(ZONE_NORMAL);

	for (u64 pfn = zone_kind_start_pfn(ZONE_NORMAL); pfn < end; pfn *= 2)
		if (zone_table[ZONE_NORMAL].buddy.high * 4ull < pfn)
			EXPECT_NE(pages_offline(pfn, 1), 0);
	EXPECT_NE(pages_offline(end - 1, 1), 0);
	EXPECT_EQ(pages_offline(end - 1, 2), -EINVAL);
	EXPECT_EQ(pages_offline(end, 1), -EINVAL);
	EXPECT_EQ(pages_offline(2 * end, 1), -EINVAL);
	EXPECT_EQ(pages_offline(1, end), -EINVAL);
	EXPECT_EQ(pages_offline(~0ull, 2), -EINVAL);
	EXPECT_EQ(pages_offline(end - 1, ~0ull), -EINVAL);
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/host/caught_text.h"

static const struct mem_range memory[] = {{0, 112 * MIB, MEM_USABLE}};

/* Node 1 has [32, 49) and [64, 96) MiB; node 2 nothing but a place in the map. */
static const struct mm_topology three = {
    .nr_nodes = 3,
    .nr_ranges = 5,
    .range = {{0, 32 * MIB, 0},
              {32 * MIB, 17 * MIB, 1},
              {49 * MIB, 15 * MIB, 0},
              {64 * MIB, 32 * MIB, 1},
              {TIB, TIB, 2}},
};

#define FRAMES(bytes) ((bytes) >> PAGE_SHIFT)

TEST(contig_edges, a_loan_is_of_one_node)
{
	struct zone *z;
	u64 managed;

	host_machine_borrow_nodes(memory, 1, &three, 1);
	z = &zone_table[ZONE_ID(1, ZONE_DMA32)];
	managed = z->buddy.nr_managed_pages;
	EXPECT_EQ(pages_offline(FRAMES(64 * MIB), 100), 0);
	EXPECT_EQ(z->buddy.nr_managed_pages, managed - 100);
	EXPECT_EQ(pages_online(FRAMES(64 * MIB), 100), 0);
	EXPECT_EQ(pages_offline(FRAMES(49 * MIB) - 1, 1), 0); /* up to the border */
	EXPECT_EQ(pages_online(FRAMES(49 * MIB) - 1, 1), 0);
	EXPECT_EQ(pages_offline(FRAMES(49 * MIB) - 1, 2), -EINVAL); /* over it */
	EXPECT_EQ(pages_offline(FRAMES(64 * MIB) - 1, 2), -EINVAL);
	EXPECT_EQ(pages_offline(FRAMES(TIB), 1), -EINVAL); /* nobody's memory */
	EXPECT_EQ(z->buddy.nr_managed_pages, managed);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* This node's zones from the highest down, then the others'. */
TEST(contig_edges, the_nodes_are_asked_in_their_order)
{
	struct page *page[2];

	host_machine_borrow_nodes(memory, 1, &three, 1);
	page[0] = alloc_contig_pages(FRAMES(20 * MIB), 1, GFP_KERNEL); /* 64-96 MiB alone */
	ASSERT_NOT_NULL(page[0]);
	EXPECT_EQ(page_zone(page[0])->node, 1);
	page[1] = alloc_contig_pages(FRAMES(MIB), 1, GFP_KERNEL);
	ASSERT_NOT_NULL(page[1]);
	EXPECT_EQ(page_zone(page[1])->node, 0);
	EXPECT_EQ(page_zone(page[1])->kind, ZONE_DMA32);
	free_contig_pages(page[0], FRAMES(20 * MIB));
	free_contig_pages(page[1], FRAMES(MIB));
	EXPECT_NULL(alloc_contig_pages(FRAMES(100 * MIB), 1, QUIET));
	host_machine_return();
}

/* Frame 0 is nobody's, frame 1 the first that there is: DMA memory too. */
TEST(contig_edges, from_the_first_frame_on)
{
	struct page *page;

	host_machine_borrow_nodes(memory, 1, &(struct mm_topology){.nr_nodes = 1}, 1);
	page = alloc_contig_pages(1, 1, GFP_KERNEL | __GFP_DMA);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_to_pfn(page), 1);
	EXPECT_EQ(page_zone(page)->kind, ZONE_DMA);
	free_contig_pages(page, 1);
	host_machine_return();
}

/* The report names the order that would have held it; it comes at every power of two. */
TEST(contig_edges, a_failure_is_reported_with_its_order)
{
	struct page *page;

	do {
		CATCH(page = alloc_contig_pages(CONTIG_MAX_PAGES - 1, 1, GFP_ATOMIC));
		EXPECT_NULL(page);
	} while (!is_pow2(page_alloc_failures()));
	EXPECT_TEXT("out of memory order=30 ");
}
#endif
