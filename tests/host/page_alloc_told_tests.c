/*
 * That a sanitizer is told of every page that is given out and of every one that comes back, by
 * each way in and out of the page allocator: once, and with the right number of pages. Otherwise it
 * would report right accesses, or be blind. The kernel's sanitizer would see one of them; here it
 * is a sum (host_pages_told, with the address sanitizer only).
 */
#include "mm/internal.h"

#include <mm/harden.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"

#if HOST_ASAN

#define EXPECT_TELLS(n, statement)                                \
	do {                                                      \
		u64 before_ = host_pages_told;                    \
		statement;                                        \
		EXPECT_EQ((s64)(host_pages_told - before_), (n)); \
	} while (0)

/* Twice: the first may take a longer way than the second. */
TEST(page_alloc_told, blocks)
{
	for (unsigned order = 0; order <= 9; order++)
		for (unsigned i = 0; i < 2; i++) {
			struct page *page = NULL, *placed = NULL, *near = NULL;
			s64 nr = 1l << order;

			EXPECT_TELLS(nr, page = alloc_pages(GFP_KERNEL, order));
			EXPECT_TELLS(nr, placed = alloc_pages(GFP_KERNEL | __GFP_DMA32, order));
			EXPECT_TELLS(nr, near = alloc_pages_node(0, GFP_KERNEL, order));
			ASSERT_TRUE(page != NULL && placed != NULL && near != NULL);
			EXPECT_TELLS(-nr, free_pages(page, order));
			EXPECT_TELLS(-nr, free_pages(placed, order));
			EXPECT_TELLS(-nr, free_pages(near, order));
		}
}

TEST(page_alloc_told, what_fails_is_no_page)
{
	struct page *page = alloc_pages(GFP_KERNEL, 5);

	ASSERT_NOT_NULL(page);
	EXPECT_TELLS(0, EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER + 1)));
	EXPECT_TELLS(0, EXPECT_PANIC("wrong order", free_pages(page, 4)));
	free_pages(page, 5);
}

/* More than the stacks hold. */
TEST(page_alloc_told, many_at_once)
{
	static struct page *pages[3 * CPU_PAGES_MAX];

	for (size_t n = 1; n <= ARRAY_SIZE(pages); n = 3 * n + 1) {
		EXPECT_TELLS((s64)n, EXPECT_EQ(alloc_pages_bulk(GFP_KERNEL, n, pages), n));
		EXPECT_TELLS(-(s64)n, free_pages_bulk(n, pages));
	}
	EXPECT_TELLS(0, drain_cpu_pages());
}

TEST(page_alloc_told, runs_and_ranges)
{
	struct page *range = NULL;
	void *exact = NULL, *large = NULL;
	s64 nr = mm_hardening().kmalloc_guard ? 5 : 3; /* with a page on either side */

	EXPECT_TELLS(5, exact = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL));
	EXPECT_TELLS(-5, free_pages_exact(exact, 5 * PAGE_SIZE));
	EXPECT_TELLS(nr, large = kmalloc(3 * PAGE_SIZE - 1, GFP_KERNEL));
	EXPECT_TELLS(-nr, kfree(large));
	EXPECT_TELLS(7, range = alloc_contig_pages(7, 1, GFP_KERNEL));
	ASSERT_NOT_NULL(range);
	EXPECT_TELLS(-7, free_contig_pages(range, 7));
	EXPECT_TELLS(7, EXPECT_EQ(pages_offline(page_to_pfn(range), 7), 0));
	EXPECT_TELLS(-7, EXPECT_EQ(pages_online(page_to_pfn(range), 7), 0));
}

/* A page that is to leave is told of with its block, and again when it comes back. */
TEST(page_alloc_told, a_page_that_leaves)
{
	struct page *page = alloc_pages(GFP_KERNEL, 3);
	u64 pfn;

	ASSERT_NOT_NULL(page);
	pfn = page_to_pfn(page) + 2u;
	EXPECT_EQ(page_retire(pfn), -EBUSY);
	EXPECT_TELLS(-8, free_pages(page, 3));
	EXPECT_EQ(page_unretire(pfn), 0);
}

/* From the first page of a machine on: what is not free was given out. */
TEST(page_alloc_told, a_whole_machine)
{
	struct mm_usage u;
	u64 before = host_pages_told;

	host_machine_borrow(64 * MIB, 1);
	mm_usage(&u);
	EXPECT_EQ(before - host_pages_told, u.free_pages + u.cached_pages);
	host_machine_return();
}
#endif
