/* Contiguous ranges of any size, and pages that leave the page allocator and come back. */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct free_shape shape;
static struct hoard hoard;

static bool is_held(const struct page *page, u64 nr_pages)
{
	for (u64 i = 0; i < nr_pages; i++) {
		const struct page *head = page_block_of(page_to_pfn(page) + i);

		if (head == NULL || head->type != PAGE_ALLOCATED)
			return false;
	}
	return true;
}

TEST(contig, odd_sizes_at_any_alignment)
{
	struct mm_usage usage;

	mm_usage(&usage);
	free_shape_take(&shape);
	for (u64 align = 1; align <= 1024; align *= 4)
		for (u64 nr = 1; nr < min_u64(3000, usage.free_pages / 2); nr = nr * 2 + 1) {
			struct page *page =
			    alloc_contig_pages(nr, align, GFP_KERNEL | __GFP_NOWARN);

			if (page == NULL) { /* the kernel lies in the middle of a small one */
				EXPECT_GT((nr + align) * 8, usage.free_pages);
				continue;
			}
			EXPECT_TRUE(is_aligned(page_to_pfn(page), align));
			EXPECT_TRUE(is_held(page, nr));
			memset(page_address(page), 0x5a, nr << PAGE_SHIFT);
			EXPECT_SOUND(mm_check());
			free_contig_pages(page, nr);
		}
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(contig, zeroed_on_request)
{
	struct page *page = alloc_contig_pages(5, 0, GFP_KERNEL | __GFP_ZERO);

	ASSERT_NOT_NULL(page);
	EXPECT_NULL(mem_find_other(page_address(page), 0, 5 << PAGE_SHIFT));
	free_contig_pages(page, 5);
}

TEST(contig, impossible_requests)
{
	EXPECT_NULL(alloc_contig_pages(0, 1, GFP_KERNEL));
	EXPECT_NULL(alloc_contig_pages(4, 3, GFP_KERNEL));
	EXPECT_NULL(alloc_contig_pages(CONTIG_MAX_PAGES + 1, 1, GFP_KERNEL));
	EXPECT_NULL(alloc_contig_pages(~0ull, 1, GFP_KERNEL));
	EXPECT_NULL(alloc_contig_pages(CONTIG_MAX_PAGES, 1, GFP_KERNEL | __GFP_NOWARN));
	EXPECT_NULL(alloc_contig_pages(1, 1ull << 40, GFP_KERNEL | __GFP_NOWARN));
}

TEST(contig, stays_in_the_zones_that_the_flags_allow)
{
	struct page *page = alloc_contig_pages(100, 1, GFP_KERNEL | __GFP_DMA);

	if (page == NULL)
		return test_skip("this machine has no contiguous DMA memory");
	EXPECT_LE(page_to_pfn(page) + 100, zone_kind_end_pfn(ZONE_DMA));
	free_contig_pages(page, 100);
}

/* Two blocks that are no buddies: alloc_pages() sees no block twice as large, this does. */
TEST(contig, finds_what_is_in_pieces)
{
	struct page *block = alloc_pages(GFP_KERNEL, 6), *page;
	u32 pfn;

	ASSERT_NOT_NULL(block);
	pfn = page_to_pfn(block);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages(block, 6);
	drain_cpu_pages();
	for (unsigned i = 0; i < 64; i++) /* all but the middle half */
		if (i < 16 || i >= 48)
			EXPECT_EQ(pages_offline(pfn + i, 1), 0);
	EXPECT_NULL(alloc_pages(GFP_NOWAIT | __GFP_NOWARN, 5));
	page = alloc_contig_pages(32, 1, GFP_NOWAIT | __GFP_MEMALLOC);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_to_pfn(page), pfn + 16);
	free_contig_pages(page, 32);
	EXPECT_EQ(pages_online(pfn, 16), 0);
	EXPECT_EQ(pages_online(pfn + 48, 16), 0);
	hoard_drop_all(&hoard);
	EXPECT_SOUND(mm_check());
}

/* What a CPU's caches and empty slabs hold back is found too. */
TEST(contig, empties_the_caches_first)
{
	struct page *block = alloc_pages(GFP_KERNEL, 4), *page;
	u32 pfn;

	ASSERT_NOT_NULL(block);
	pfn = page_to_pfn(block);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages(block, 4);
	drain_cpu_pages();
	for (unsigned i = 0; i < 16; i++) {
		ASSERT_NOT_NULL(alloc_page(GFP_NOWAIT | __GFP_MEMALLOC));
	}
	for (unsigned i = 0; i < 16; i++)
		free_page(pfn_to_page(pfn + i)); /* into this CPU's cache */
	EXPECT_GT(cpu_pages_count(), 0);
	page = alloc_contig_pages(16, 16, GFP_NOWAIT | __GFP_MEMALLOC);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_to_pfn(page), pfn);
	free_contig_pages(page, 16);
	hoard_drop_all(&hoard);
}

TEST(contig, wrong_frees_are_named)
{
	struct page *page = alloc_contig_pages(100, 64, GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	EXPECT_PANIC("page_alloc: not a contiguous range", free_contig_pages(NULL, 1));
	EXPECT_PANIC("page_alloc: not a contiguous range", free_contig_pages(page, 0));
	EXPECT_PANIC("page_alloc: not a contiguous range", free_contig_pages(page, ~0ull));
	EXPECT_PANIC("page_alloc: not a contiguous range",
	             free_contig_pages((struct page *)((u8 *)page + 1), 1));
	free_contig_pages(page, 100);
}

/* --- on loan --- */

static u64 managed(void)
{
	struct mm_usage u;

	mm_usage(&u);
	return u.managed_pages;
}

TEST(contig, offline_and_online_again)
{
	struct page *page = alloc_contig_pages(700, 1, GFP_KERNEL);
	u64 before = managed();
	u32 pfn;

	ASSERT_NOT_NULL(page);
	pfn = page_to_pfn(page);
	EXPECT_EQ(pages_offline(pfn, 700), -EBUSY);
	EXPECT_EQ(managed(), before);
	free_contig_pages(page, 700);
	free_shape_take(&shape);
	EXPECT_EQ(pages_offline(pfn, 700), 0);
	EXPECT_EQ(managed(), before - 700);
	EXPECT_EQ(pages_offline(pfn, 700), -EBUSY);
	EXPECT_PANIC("not RAM", free_page(pfn_to_page(pfn + 300)));
	hoard_take_all(&hoard, GFP_NOWAIT); /* nobody gets them */
	for (unsigned i = 0; i < 700; i++)
		EXPECT_NULL(page_block_of(pfn + i));
	hoard_drop_all(&hoard);
	EXPECT_SOUND(mm_check());
	EXPECT_EQ(pages_online(pfn, 700), 0);
	EXPECT_EQ(managed(), before);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(contig, offline_what_is_no_memory)
{
	EXPECT_EQ(pages_offline(0, 1), -EINVAL);
	EXPECT_EQ(pages_offline(1, 0), -EINVAL);
	EXPECT_EQ(pages_offline(1, ~0ull), -EINVAL);
	EXPECT_EQ(pages_offline(PLATFORM_MAX_PA >> PAGE_SHIFT, 1), -EINVAL);
	EXPECT_EQ(pages_offline(zone_kind_end_pfn(ZONE_DMA) - 1, 2), -EINVAL);
	EXPECT_EQ(pages_online(0, 1), -EINVAL);
	EXPECT_EQ(pages_online((PLATFORM_MAX_PA >> PAGE_SHIFT) - 1, 1), -EINVAL);
}

/* A page in an empty slab, or in a CPU's cache, is nobody's. */
TEST(contig, offline_of_what_caches_hold)
{
	struct kmem_cache *c = kmem_cache_create("lender", 256, 0, 0, NULL);
	void *object = kmem_cache_alloc(c, GFP_KERNEL);
	u32 pfn;

	ASSERT_NOT_NULL(object);
	pfn = page_to_pfn(virt_to_page(object));
	EXPECT_EQ(pages_offline(pfn, 1), -EBUSY);
	kmem_cache_free(c, object);
	EXPECT_EQ(pages_offline(pfn, 1), 0);
	EXPECT_EQ(pages_online(pfn, 1), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
