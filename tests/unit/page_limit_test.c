/*
 * struct page at the edges: no frame is at or beyond the limit of physical addresses, whatever the
 * memory behind the tables says; and the pages of a slab that another CPU is about to make. On the
 * host, where what lies behind the tables can be written.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <sys/mman.h>

#include "tests/model/plain_cache.h"
#include "tests/test.h"

TEST(page_limit, the_first_frame_that_there_is_not)
{
	const u64 pfn = PLATFORM_MAX_PA >> PAGE_SHIFT;
	u8 *behind = &pageblock_map[pfn >> PAGEBLOCK_ORDER];
	void *page = (void *)align_down((u64)behind, PAGE_SIZE);

	ASSERT_EQ(mprotect(page, PAGE_SIZE, PROT_READ | PROT_WRITE), 0);
	*behind = PAGEBLOCK_FULL;
	EXPECT_NULL(page_lookup(pfn));
	EXPECT_NULL(page_block_of(pfn));
	*behind = PAGEBLOCK_UNKNOWN;
	ASSERT_EQ(mprotect(page, PAGE_SIZE, PROT_READ), 0);
}

/* The first pages are named, the last is not yet: all are found to be of the block. */
TEST(page_limit, a_slab_that_is_half_made)
{
	struct kmem_cache *c = plain_cache_create("half", 1024, 0, 0);
	struct page *head;
	void *p;

	ASSERT_NOT_NULL(c);
	ASSERT_EQ(c->nr_pages, 4);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	head = page_block_of(align_down(virt_to_phys(p) >> PAGE_SHIFT, 4));
	for (unsigned named = 4; named-- > 1;) {
		head[named].type = PAGE_INNER;
		for (unsigned i = named; i < 4; i++)
			EXPECT_TRUE(page_block_of(page_to_pfn(head) + i) == head);
	}
	for (unsigned i = 1; i < 4; i++)
		head[i].type = PAGE_SLAB;
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
#endif
