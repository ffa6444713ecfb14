/*
 * The quarantine of pages (slab_debug=Q): how long they wait, in which order they leave, what is
 * found then, and that the books know them.
 */
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/waiting_pages.h"

enum { LIMIT = 32 };

static struct page *must_take(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(page);
	return page;
}

/* First in, first out, by pages and not by blocks. */
TEST(page_quarantine, pages_wait_until_so_many_others_were_freed)
{
	struct page *first, *block[LIMIT / 2];

	if (!waiting_pages_begin(LIMIT))
		return;
	drain_cpu_pages();
	first = must_take(0);
	for (unsigned i = 0; i < ARRAY_SIZE(block); i++)
		block[i] = must_take(1);
	free_page(first);
	for (unsigned i = 0; i < ARRAY_SIZE(block); i++) {
		EXPECT_EQ(first->type, PAGE_CACHED);
		EXPECT_EQ(page_quarantine_pages(), 1 + 2 * i);
		EXPECT_SOUND(mm_check());
		free_pages(block[i], 1);
	}
	EXPECT_NE(first->type, PAGE_CACHED);
	EXPECT_EQ(page_quarantine_pages(), LIMIT);
	EXPECT_EQ(block[0]->type, PAGE_CACHED);
	EXPECT_PANIC("page_alloc: double free pfn=", free_pages(block[0], 1));
	drain_cpu_pages();
	EXPECT_EQ(page_quarantine_pages(), 0);
	EXPECT_NE(block[0]->type, PAGE_CACHED);
	waiting_pages_end();
}

TEST(page_quarantine, what_waits_is_free_to_the_books)
{
	struct mm_usage before, after;
	struct page *page;

	if (!waiting_pages_begin(LIMIT))
		return;
	drain_cpu_pages();
	mm_usage(&before);
	page = must_take(3);
	free_pages(page, 3);
	mm_usage(&after);
	EXPECT_EQ(after.used_pages, before.used_pages);
	EXPECT_EQ(after.cached_pages, before.cached_pages + 8);
	page->order = 2;
	EXPECT_BROKEN(page_quarantine_check(), "PQ1:");
	page->order = 3;
	page->type = PAGE_ALLOCATED;
	EXPECT_BROKEN(mm_check(), "PQ1:");
	page->type = PAGE_CACHED;
	EXPECT_SOUND(mm_check());
	waiting_pages_end();
}

/* Larger blocks are free at once, and so are those that are more than may wait. */
TEST(page_quarantine, large_blocks_do_not_wait)
{
	if (!waiting_pages_begin(4))
		return;
	drain_cpu_pages();
	free_pages(must_take(3), 3);
	free_pages(must_take(4), 4);
	EXPECT_EQ(page_quarantine_pages(), 0);
	free_pages(must_take(2), 2);
	EXPECT_EQ(page_quarantine_pages(), 4);
	EXPECT_EQ(page_quarantine_limit(0), 4);
	EXPECT_EQ(page_quarantine_pages(), 0);
	waiting_pages_end();
}

TEST(page_quarantine, what_was_written_meanwhile_is_found_when_it_leaves)
{
	struct page *page;
	char *p, line[96];

	if (!waiting_pages_begin(LIMIT))
		return;
	drain_cpu_pages();
	page = must_take(1);
	p = page_address(page);
	free_pages(page, 1);
	(void)plant(p + PAGE_SIZE + 5, 0x41);
	format_buf(line, sizeof(line),
	           "BUG: write after free in pages: object %p+5 (size 4096) is 0x41, not 0xaa",
	           (void *)(p + PAGE_SIZE));
	EXPECT_PANIC(line, drain_cpu_pages());
	EXPECT_EQ(page_quarantine_pages(), 0); /* it was not lost, nor is it there */
	(void)plant(p + PAGE_SIZE + 5, POISON_PAGE);
	waiting_pages_end();
}

#if __STDC_HOSTED__
#include "tests/model/hoard.h"

#include <tests/host/cpus.h>

/* All of memory can be had, whatever waits. */
TEST(page_quarantine, what_waits_is_used_before_an_allocation_fails)
{
	static struct hoard hoard;
	struct page *page[LIMIT];

	host_machine_borrow(16 * MIB, 1);
	if (waiting_pages_begin(LIMIT)) {
		for (unsigned i = 0; i < LIMIT; i++)
			page[i] = must_take(0);
		hoard_take_all(&hoard, GFP_KERNEL | __GFP_NOWARN);
		for (unsigned i = 0; i < LIMIT; i++)
			free_page(page[i]);
		EXPECT_EQ(page_quarantine_pages(), LIMIT);
		for (unsigned i = 0; i < LIMIT; i++) {
			page[i] = alloc_page(GFP_NOWAIT | __GFP_MEMALLOC);
			ASSERT_NOT_NULL(page[i]);
		}
		EXPECT_EQ(page_quarantine_pages(), 0);
		for (unsigned i = 0; i < LIMIT; i++)
			free_page(page[i]);
		hoard_drop_all(&hoard);
		waiting_pages_end();
	}
	host_machine_return();
}
#endif
