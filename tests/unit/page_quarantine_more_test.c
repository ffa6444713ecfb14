/*
 * The quarantine of pages, more closely: blocks that are too large push nothing out, what is no
 * live block does not enter, interrupts come between the pages that leave, and the checker. On the
 * host, where no other CPU takes pages.
 */
#if __STDC_HOSTED__
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/interrupts.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/waiting_pages.h"

static struct page *must_take(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(page);
	return page;
}

TEST(page_quarantine_more, what_is_too_large_pushes_nothing_out)
{
	if (!waiting_pages_begin(6))
		return;
	drain_cpu_pages();
	free_pages(must_take(1), 1);
	free_pages(must_take(3), 3);
	EXPECT_EQ(page_quarantine_pages(), 2);
	free_pages(must_take(2), 2);
	EXPECT_EQ(page_quarantine_pages(), 6);
	waiting_pages_end();
}

TEST(page_quarantine_more, only_a_live_block_of_that_order_enters)
{
	struct page *page;

	if (!waiting_pages_begin(32))
		return;
	drain_cpu_pages();
	page = must_take(1);
	EXPECT_FALSE(page_quarantine_add(page, 0));
	EXPECT_FALSE(page_quarantine_add(page, 2));
	EXPECT_FALSE(page_quarantine_add(page + 1, 0));
	EXPECT_EQ(page_quarantine_pages(), 0);
	page_debug_freed(page, 2);
	EXPECT_TRUE(page_quarantine_add(page, 1));
	EXPECT_FALSE(page_quarantine_add(page, 1)); /* another CPU's free of it */
	EXPECT_EQ(page_quarantine_pages(), 2);
	waiting_pages_end();
}

static void look(void *arg)
{
	(void)arg;
}

/* However many pages leave, an interrupt need not wait for more than one. */
TEST(page_quarantine_more, interrupts_come_between_pages)
{
	enum { NR = 20 };
	struct page *page[NR];
	u64 before;

	if (!waiting_pages_begin(NR))
		return;
	drain_cpu_pages();
	for (unsigned i = 0; i < NR; i++)
		page[i] = must_take(0);
	for (unsigned i = 0; i < NR; i++)
		free_page(page[i]);
	EXPECT_EQ(page_quarantine_pages(), NR);
	host_interrupt_at_restores(1, look, NULL);
	before = host_interrupt_count();
	page_quarantine_drain();
	EXPECT_GE(host_interrupt_count() - before, NR);
	host_interrupt_at_restores(0, NULL, NULL);
	waiting_pages_end();
}

/* A block that counts for fewer pages than it did: the queue ends too early. One of an order that
 * never waits: it is no block of the queue, even where there are so many pages. */
TEST(page_quarantine_more, the_check_sees_wrong_orders)
{
	struct page *first, *second, *small;

	if (!waiting_pages_begin(32))
		return;
	drain_cpu_pages();
	first = must_take(3);
	second = must_take(3);
	small = must_take(2);
	second->link = small; /* of whoever had it: no word that leads on */
	free_pages(small, 2);
	free_pages(first, 3);
	free_pages(second, 3);
	second->order = 2;
	EXPECT_BROKEN(page_quarantine_check(), "PQ1:");
	second->order = 3;
	first->order = 4;
	EXPECT_BROKEN(page_quarantine_check(), "PQ1:");
	first->order = 3;
	EXPECT_SOUND(page_quarantine_check());
	waiting_pages_end();
}

/* A machine begins with an empty queue, whatever another one had in it. */
TEST(page_quarantine_more, begins_empty)
{
	host_machine_borrow(64 * MIB, 1);
	if (waiting_pages_begin(32)) {
		free_pages(must_take(1), 1);
		EXPECT_EQ(page_quarantine_pages(), 2);
		page_quarantine_init(7);
		EXPECT_EQ(page_quarantine_pages(), 0);
		EXPECT_SOUND(page_quarantine_check());
		free_pages(must_take(1), 1);
		EXPECT_EQ(page_quarantine_pages(), 2);
		EXPECT_EQ(page_quarantine_limit(32), 7);
		waiting_pages_end();
	}
	host_machine_return();
}
#endif
