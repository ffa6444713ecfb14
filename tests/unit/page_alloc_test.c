/*
 * The page allocator's face: flags, zones, bulk and exact forms, and exhaustion. Wrong frees are in
 * page_free_test.c, random operations in tests/model/page_model.c.
 *
 * Memory is never touched as a whole: a machine of many gigabytes takes most of it in large blocks.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

/* To the bottom of every zone: what the reserves do is in watermark_test.c. */
#define QUIET (GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC)

static struct hoard hoard, second;
static struct free_shape shape;

static struct zone *highest_zone(void)
{
	struct zone *last = NULL;

	for_each_zone(z)
		if (z->node == mm_this_node() || last == NULL)
			last = z;
	return last;
}

static u64 used_pages(void)
{
	struct mm_usage usage;

	mm_usage(&usage);
	return usage.used_pages;
}

TEST(page_alloc, gives_aligned_blocks_of_every_order)
{
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		u64 used = used_pages();
		struct page *page = alloc_pages(QUIET, order);

		if (page == NULL)
			continue;
		EXPECT_EQ(used_pages() - used, 1ull << order);
		EXPECT_TRUE(is_aligned(page_to_pfn(page), 1ull << order));
		EXPECT_NE(page_to_pfn(page), 0);
		EXPECT_EQ(page->type, PAGE_ALLOCATED);
		EXPECT_EQ(page->order, order);
		EXPECT_EQ(page_block_pages(page), 1ull << order);
		EXPECT_TRUE(pfn_to_page(page_to_pfn(page)) == page);
		EXPECT_TRUE(virt_to_page(page_address(page)) == page);
		EXPECT_EQ(page_to_phys(page), (u64)page_to_pfn(page) << PAGE_SHIFT);
		free_pages(page, order);
		EXPECT_EQ(used_pages(), used);
	}
}

TEST(page_alloc, impossible_requests_give_null)
{
	u64 failures = page_alloc_failures();

	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER + 1));
	EXPECT_NULL(alloc_pages(QUIET, 32));
	EXPECT_NULL(alloc_pages(QUIET, ~0u));
	EXPECT_NULL(alloc_pages_node(MAX_NODES, QUIET, 0));
	EXPECT_NULL(alloc_pages_node(~0u, QUIET, 0));
	EXPECT_EQ(page_alloc_failures() - failures, 5);
}

TEST(page_alloc, another_node_helps_out)
{
	struct page *page = alloc_pages_node(MAX_NODES - 1, QUIET, 0);

	ASSERT_NOT_NULL(page);
	free_page(page);
}

/* All that these flags can get lies below the limit; afterwards they get nothing more. */
static void expect_below(gfp_t gfp, u64 limit)
{
	free_shape_take(&shape);
	hoard_take_all(&hoard, gfp);
	EXPECT_GT(hoard.nr_pages, 0);
	for (unsigned i = 0; i < HOARD_LISTS; i++)
		for (u64 *mark = (u64 *)hoard.list[i]; mark; mark = (u64 *)mark[0])
			EXPECT_LE(virt_to_phys(mark) + (PAGE_SIZE << mark[1]), limit);
	EXPECT_NULL(alloc_page(gfp | __GFP_NOWARN));
	for_each_zone(z) {
		if (zone_kind_end_pfn(z->kind) << PAGE_SHIFT <= limit)
			EXPECT_EQ(zone_free_pages(z), 0);
		else
			EXPECT_EQ(memcmp(z->buddy.nr_free_blocks, shape.nr_blocks[z->id],
			                 sizeof(shape.nr_blocks[0])),
			          0);
	}
	hoard_drop_all(&hoard);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(page_alloc, dma_is_below_16_mib)
{
	expect_below(GFP_NOWAIT | __GFP_DMA, 16 * MIB);
}

TEST(page_alloc, dma32_is_below_4_gib)
{
	expect_below(GFP_NOWAIT | __GFP_DMA32, 4 * GIB);
}

TEST(page_alloc, dma_wins_over_dma32)
{
	expect_below(GFP_NOWAIT | __GFP_DMA | __GFP_DMA32, 16 * MIB);
}

/* Scarce low memory is spent last: within one order, a node's zones come in descending order. */
TEST(page_alloc, falls_back_from_high_zones_to_low)
{
	free_shape_take(&shape);
	for (unsigned order = NR_ORDERS; order-- > 0;) {
		unsigned kind = NR_ZONE_KINDS, node = mm_this_node();

		drain_cpu_pages();
		for (;;) {
			struct page *page = alloc_pages(QUIET, order);

			if (page == NULL)
				break;
			if (page_zone(page)->node == node)
				EXPECT_LE(page_zone(page)->kind, kind);
			kind = page_zone(page)->kind;
			node = page_zone(page)->node;
			free_pages(page, order); /* and in again, into the hoard */
			ASSERT_TRUE(hoard_take(&hoard, QUIET, order));
		}
	}
	for_each_zone(z)
		EXPECT_EQ(zone_free_pages(z), 0);
	hoard_drop_all(&hoard);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(page_alloc, prefers_the_highest_zone)
{
	struct page *page = alloc_page(QUIET);

	ASSERT_NOT_NULL(page);
	if (zone_free_pages(highest_zone()) > 0)
		EXPECT_TRUE(page_zone(page) == highest_zone());
	free_page(page);
}

static void fill(struct page *page, unsigned order, int byte)
{
	memset(page_address(page), byte, PAGE_SIZE << order);
}

TEST(page_alloc, zeroed_memory_is_zero_though_it_was_dirty)
{
	for (unsigned order = 0; order <= 6; order++) {
		struct page *page = alloc_pages(QUIET, order), *clean;
		u32 dirty_pfn;

		ASSERT_NOT_NULL(page);
		dirty_pfn = page_to_pfn(page);
		fill(page, order, 0xa5);
		free_pages(page, order);
		clean = alloc_pages(QUIET | __GFP_ZERO, order);
		ASSERT_NOT_NULL(clean);
		if (order < CPU_PAGE_ORDERS)
			EXPECT_EQ(page_to_pfn(clean), dirty_pfn);
		EXPECT_NULL(mem_find_other(page_address(clean), 0, PAGE_SIZE << order));
		free_pages(clean, order);
	}
}

/* The bytes behind the block belong to somebody else. */
TEST(page_alloc, zeroing_stays_inside_the_block)
{
	struct page *block = alloc_pages(QUIET, 3), *clean[8];

	ASSERT_NOT_NULL(block);
	fill(block, 3, 0x5a);
	free_pages(block, 3);
	block = alloc_pages(QUIET, 3);
	fill(block, 3, 0x5a);
	for (unsigned i = 0; i < ARRAY_SIZE(clean); i++)
		clean[i] = alloc_pages(QUIET | __GFP_ZERO, i % 4);
	EXPECT_NULL(mem_find_other(page_address(block), 0x5a, PAGE_SIZE << 3));
	for (unsigned i = 0; i < ARRAY_SIZE(clean); i++)
		if (clean[i])
			free_pages(clean[i], i % 4);
	free_pages(block, 3);
}

TEST(page_alloc, every_page_is_handed_out_exactly_once)
{
	struct mm_usage before, empty;

	free_shape_take(&shape);
	mm_usage(&before);
	hoard_leave(&hoard, 4096);
	while (hoard_take(&second, QUIET, 0))
		;
	mm_usage(&empty);
	EXPECT_EQ(empty.free_pages, 0);
	EXPECT_EQ(empty.cached_pages, 0);
	EXPECT_EQ(empty.used_pages, empty.managed_pages);
	EXPECT_EQ(hoard.nr_pages + second.nr_pages, before.free_pages + before.cached_pages);
	EXPECT_SOUND(mm_check());
	hoard_drop_all(&second); /* verifies the mark of each */
	hoard_drop_all(&hoard);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(page_alloc, exhaustion_gives_null_and_leaves_no_trace)
{
	u64 failures;

	free_shape_take(&shape);
	hoard_take_all(&hoard, GFP_NOWAIT);
	failures = page_alloc_failures();
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		EXPECT_NULL(alloc_pages(GFP_ATOMIC | __GFP_NOWARN, order));
	EXPECT_NULL(alloc_pages_exact(1, QUIET));
	EXPECT_NULL(alloc_pages_exact(3 * PAGE_SIZE, QUIET));
	EXPECT_EQ(page_alloc_failures() - failures, NR_ORDERS + 2);
	EXPECT_SOUND(mm_check());
	hoard_drop_all(&hoard);
	EXPECT_TRUE(free_shape_is(&shape));
}

/* What this CPU caches in blocks of another order is memory too. */
TEST(page_alloc, cached_blocks_are_used_before_failing)
{
	struct page *block = alloc_pages(QUIET, 2), *page;

	ASSERT_NOT_NULL(block);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages(block, 2);
	EXPECT_EQ(block->type, PAGE_CACHED);
	page = alloc_page(QUIET); /* breaks the block up */
	ASSERT_NOT_NULL(page);
	free_page(page);
	page = alloc_pages(QUIET, 2); /* and puts it together again */
	EXPECT_TRUE(page == block);
	if (page != NULL)
		free_pages(page, 2);
	hoard_drop_all(&hoard);
}

TEST(page_alloc, nofail_stops_rather_than_fail)
{
	struct page *page;

	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_PANIC("page_alloc: out of memory for a request that must not fail",
	             alloc_page(QUIET | __GFP_NOFAIL));
	hoard_drop_all(&hoard);
	page = alloc_page(QUIET | __GFP_NOFAIL);
	ASSERT_NOT_NULL(page);
	free_page(page);
}

TEST(page_alloc, bulk_fills_with_distinct_pages)
{
	static struct page *pages[200];
	u64 used = used_pages();

	EXPECT_EQ(alloc_pages_bulk(QUIET, 0, NULL), 0);
	EXPECT_EQ(used_pages(), used);
	ASSERT_EQ(alloc_pages_bulk(QUIET | __GFP_ZERO, ARRAY_SIZE(pages), pages),
	          ARRAY_SIZE(pages));
	EXPECT_EQ(used_pages() - used, ARRAY_SIZE(pages));
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		u64 *content = page_address(pages[i]);

		EXPECT_EQ(*content, 0);
		*content = i + 1;
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		EXPECT_EQ(*(u64 *)page_address(pages[i]), i + 1);
	free_pages_bulk(ARRAY_SIZE(pages), pages);
	free_pages_bulk(0, NULL);
	EXPECT_EQ(used_pages(), used);
}

TEST(page_alloc, bulk_says_how_many_it_got)
{
	struct page *pages[8];

	free_shape_take(&shape);
	ASSERT_EQ(alloc_pages_bulk(QUIET, 5, pages), 5);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_EQ(alloc_pages_bulk(QUIET, 1, pages + 5), 0);
	free_pages_bulk(5, pages);
	EXPECT_EQ(alloc_pages_bulk(QUIET, ARRAY_SIZE(pages), pages), 5);
	free_pages_bulk(5, pages);
	hoard_drop_all(&hoard);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(page_alloc, exact_sizes_cost_exactly_their_pages)
{
	static const size_t sizes[] = {1,      8,        4095,  4096,  4097,         8192,
	                               8193,   5 * 4096, 20000, 40000, 7 * 4096 + 1, 65536,
	                               100000, 131073,   300000};

	free_shape_take(&shape);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 used = used_pages();
		char *p = alloc_pages_exact(sizes[i], QUIET);

		ASSERT_NOT_NULL(p);
		EXPECT_TRUE(is_aligned((u64)p, PAGE_SIZE));
		EXPECT_EQ(used_pages() - used, div_round_up(sizes[i], PAGE_SIZE));
		memset(p, 0xee, sizes[i]);
		free_pages_exact(p, sizes[i]);
		EXPECT_EQ(used_pages(), used);
		p = alloc_pages_exact(sizes[i], QUIET | __GFP_ZERO);
		ASSERT_NOT_NULL(p);
		EXPECT_NULL(mem_find_other(p, 0, sizes[i]));
		free_pages_exact(p, sizes[i]);
	}
	EXPECT_NULL(alloc_pages_exact(0, QUIET));
	EXPECT_NULL(alloc_pages_exact((PAGE_SIZE << MAX_ORDER) + 1, QUIET));
	EXPECT_NULL(alloc_pages_exact(SIZE_MAX, QUIET));
	free_pages_exact(NULL, 0);
	EXPECT_TRUE(free_shape_is(&shape));
}
