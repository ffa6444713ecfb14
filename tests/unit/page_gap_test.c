/*
 * Gaps between page blocks (page_red_zones=1): blocks are what they are without, and what is
 * written behind one is found when it is freed.
 */
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/page_gaps.h"

static u64 free_pages_now(void)
{
	u64 pages = 0;

	for_each_zone(z)
		pages += zone_free_pages(z);
	return pages;
}

static struct page *must_take(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(page);
	return page;
}

/* The largest order of which every zone has a larger block. */
static unsigned largest_apart(void)
{
	unsigned least = MAX_ORDER;

	for_each_zone(z) {
		unsigned order = MAX_ORDER;

		while (order > 0 && z->buddy.nr_free_blocks[order] == 0)
			order--;
		least = order < least ? order : least;
	}
	return least - 1;
}

TEST(page_gap, blocks_are_as_ever_and_cost_a_page_more)
{
	page_gaps_begin();
	ASSERT_GE(largest_apart(), 5);
	for (unsigned order = 0; order <= 10 && order <= largest_apart(); order++) {
		u64 before = free_pages_now();
		struct page *page = must_take(order), *behind = page + (1u << order);

		EXPECT_EQ(page->head, page_head_word(PAGE_ALLOCATED, order, page->zone));
		EXPECT_EQ(page_to_pfn(page) % (1u << order), 0);
		EXPECT_EQ(behind->head, page_head_word(PAGE_ALLOCATED, 0, page->zone));
		EXPECT_EQ(before - free_pages_now(), (1u << order) + 1);
		memset(page_address(page), 1, PAGE_SIZE << order);
		EXPECT_NULL(mark_find_other(page_address(behind), RED_ACTIVE, PAGE_SIZE));
		EXPECT_SOUND(mm_check());
		EXPECT_PANIC("page_alloc: wrong order", free_pages(page, order + 1));
		free_pages(page, order);
		EXPECT_EQ(free_pages_now(), before);
		EXPECT_PANIC("page_alloc: double free", free_pages(page, order));
	}
	page_gaps_end();
}

TEST(page_gap, runs_of_any_length)
{
	page_gaps_begin();
	for (u64 n = 1; n <= 520; n += n < 20 ? 1 : 61) {
		u64 before = free_pages_now();
		char *p = alloc_pages_exact(n * PAGE_SIZE, GFP_KERNEL);

		ASSERT_NOT_NULL(p);
		EXPECT_EQ(before - free_pages_now(), n + 1);
		EXPECT_SOUND(mm_check());
		free_pages_exact(p, n * PAGE_SIZE);
		EXPECT_EQ(free_pages_now(), before);
	}
	page_gaps_end();
}

TEST(page_gap, a_byte_behind_is_found_at_the_free)
{
	struct page *page, *single;
	char *p, *exact;
	u8 was;

	page_gaps_begin();
	page = must_take(5);
	single = must_take(0);
	exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);
	ASSERT_NOT_NULL(exact);
	p = page_address(page);
	was = plant(p + 33 * PAGE_SIZE - 1, 0x41); /* the last byte of the gap */
	EXPECT_PANIC("BUG: right red zone overwritten in pages: object ", free_pages(page, 5));
	EXPECT_PANIC("+135167 (size 131072) is 0x41, not 0xcc", free_pages(page, 5));
	(void)plant(p + 33 * PAGE_SIZE - 1, was);
	free_pages(page, 5);
	p = page_address(single);
	was = plant(p + PAGE_SIZE, 0x41);
	EXPECT_PANIC("+4096 (size 4096) is 0x41, not 0xcc", free_page(single));
	(void)plant(p + PAGE_SIZE, was);
	free_page(single);
	was = plant(exact + 3 * PAGE_SIZE, 0x41);
	EXPECT_PANIC("+12288 (size 12288) is 0x41", free_pages_exact(exact, 3 * PAGE_SIZE));
	(void)plant(exact + 3 * PAGE_SIZE, was);
	free_pages_exact(exact, 3 * PAGE_SIZE);
	page_gaps_end();
}

/* What has none is freed as ever, whatever lies behind it. */
TEST(page_gap, what_was_allocated_before_has_none)
{
	struct page *page = must_take(1), *behind;

	page_gaps_begin();
	behind = must_take(0);
	behind->link = page;
	free_pages(page, 1);
	behind->link = NULL;
	free_page(behind);
	page_gaps_end();
}

TEST(page_gap, without_a_larger_block_there_is_none)
{
	for_each_zone(z)
		EXPECT_NULL(zone_alloc_apart(z, MAX_ORDER, 0));
}

TEST(page_gap, slabs_and_large_blocks)
{
	struct kmem_cache *c;
	void *p, *large;

	page_gaps_begin();
	c = kmem_cache_create("apart", 3000, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	large = kmalloc(5 * PAGE_SIZE, GFP_KERNEL);
	EXPECT_NOT_NULL(p);
	EXPECT_NOT_NULL(large);
	EXPECT_SOUND(mm_check());
	kfree(large);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	(void)slab_shrink_all();
	page_gaps_end();
}
