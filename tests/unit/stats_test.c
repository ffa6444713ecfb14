/*
 * The numbers of mm_usage(), and that the reports for people print whatever the state.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct mm_usage usage_now(void)
{
	struct mm_usage usage;

	mm_usage(&usage);
	return usage;
}

/* The pages of a zone, counted one by one from their metadata. */
static u64 count_pages(const struct zone *z, u64 by_type[NR_PAGE_TYPES])
{
	u64 total = 0;

	for (u64 pfn = z->buddy.low; pfn < z->buddy.high;) {
		const struct page *head = page_block_of(pfn);
		u64 nr = 1;

		if (head != NULL && head->type != PAGE_SLAB)
			nr = page_to_pfn(head) + page_block_pages(head) - pfn;
		if (zone_of_untouched(pfn) == z) {
			nr = 1u << MAX_ORDER;
			by_type[PAGE_FREE] += nr;
			total += nr;
		}
		if (head != NULL) {
			by_type[head->type] += nr;
			total += nr;
		}
		pfn += nr;
	}
	return total;
}

TEST(stats, the_books_agree_with_every_page)
{
	u64 by_type[NR_PAGE_TYPES] = {0}, managed = 0;
	void *large = kmalloc(50000, GFP_KERNEL), *small = kmalloc(50, GFP_KERNEL);
	struct page *block = alloc_pages(GFP_KERNEL, 3);
	struct mm_usage usage;

	for_each_zone(z) {
		u64 pages = count_pages(z, by_type);

		EXPECT_EQ(pages, z->buddy.nr_managed_pages);
		managed += pages;
	}
	usage = usage_now();
	EXPECT_EQ(usage.managed_pages, managed);
	EXPECT_EQ(usage.free_pages, by_type[PAGE_FREE]);
	EXPECT_EQ(usage.cached_pages, by_type[PAGE_CACHED]);
	EXPECT_EQ(usage.slab_pages, by_type[PAGE_SLAB]);
	EXPECT_EQ(usage.large_pages, by_type[PAGE_LARGE]);
	EXPECT_EQ(usage.used_pages,
	          by_type[PAGE_ALLOCATED] + by_type[PAGE_SLAB] + by_type[PAGE_LARGE]);
	free_pages(block, 3);
	kfree(large);
	kfree(small);
}

TEST(stats, objects_are_counted)
{
	u64 before = usage_now().live_objects;
	void *small = kmalloc(50, GFP_KERNEL), *large = kmalloc(50000, GFP_KERNEL);
	struct kmem_cache *c = kmem_cache_create("test", 50, 0, 0, NULL);
	void *object;

	EXPECT_EQ(usage_now().live_objects, before + 2); /* the cache itself is the manager's own */
	object = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_EQ(usage_now().live_objects, before + 3);
	kmem_cache_free(c, object);
	kfree(small);
	kfree(large);
	EXPECT_EQ(usage_now().live_objects, before);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(stats, the_peak_is_kept)
{
	struct mm_usage before;
	struct page *page;

	drain_cpu_pages();
	mm_reset_peak();
	before = usage_now();
	EXPECT_EQ(before.peak_used_pages, before.used_pages);
	page = alloc_pages(GFP_KERNEL, 6);
	ASSERT_NOT_NULL(page);
	free_pages(page, 6);
	EXPECT_EQ(usage_now().peak_used_pages, before.used_pages + 64);
	EXPECT_EQ(usage_now().used_pages, before.used_pages);
	page = alloc_pages(GFP_KERNEL, 5);
	ASSERT_NOT_NULL(page);
	free_pages(page, 5);
	EXPECT_EQ(usage_now().peak_used_pages, before.used_pages + 64);
	mm_reset_peak();
	EXPECT_EQ(usage_now().peak_used_pages, before.used_pages);
}

TEST(stats, blocks_are_found_from_any_page)
{
	struct page *block = alloc_pages(GFP_KERNEL, 4), *large = alloc_pages(GFP_KERNEL, 9);

	ASSERT_TRUE(block != NULL && large != NULL);
	for (unsigned i = 0; i < 16; i++)
		EXPECT_TRUE(page_block_of(page_to_pfn(block) + i) == block);
	for (unsigned i = 0; i < 512; i += 73)
		EXPECT_TRUE(page_block_of(page_to_pfn(large) + i) == large);
	EXPECT_TRUE(page_lookup(page_to_pfn(block)) == block);
	EXPECT_NULL(page_block_of(0));
	EXPECT_NULL(page_block_of(PLATFORM_MAX_PA >> PAGE_SHIFT));
	EXPECT_NULL(page_block_of(UINT64_MAX));
	EXPECT_NULL(page_lookup(PLATFORM_MAX_PA >> PAGE_SHIFT));
	EXPECT_NULL(page_lookup(UINT64_MAX));
	free_pages(block, 4);
	free_pages(large, 9);
}

TEST(stats, page_types_have_names)
{
	for (unsigned type = 0; type < NR_PAGE_TYPES; type++)
		EXPECT_STREQ(page_type_name(type), page_type_name(type));
	EXPECT_STREQ(page_type_name(PAGE_FREE), "free");
	EXPECT_STREQ(page_type_name(PAGE_SLAB), "slab");
	EXPECT_STREQ(page_type_name(NR_PAGE_TYPES), "unknown");
	EXPECT_STREQ(page_type_name(255), "unknown");
}
