/*
 * Pages under slab_debug=, more closely: how many may wait and what the bits take on machines of
 * several sizes, that its beginning and its end leave nothing behind, and which bits an allocation
 * clears. On the host, where machines are made.
 */
#if __STDC_HOSTED__
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"

static void init_with(const char *text)
{
	struct mm_debug_choice run = mm_debug_choice();

	mm_debug_configure(text, false, false);
	page_debug_init();
	mm_debug_choose(&run);
}

static u64 managed_pages(void)
{
	u64 nr = 0;

	for_each_zone(z)
		nr += z->buddy.nr_managed_pages;
	return nr;
}

static u64 free_now(void)
{
	u64 nr = 0;

	for_each_zone(z)
		nr += zone_free_pages(z);
	return nr;
}

static u64 frames(void)
{
	u64 end = 0;

	for_each_zone(z)
		end = z->buddy.high > end ? z->buddy.high : end;
	return end;
}

static struct page *must_take(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(page);
	return page;
}

/* A 64th of memory, 4 MiB at most; a bit a page, in whole pages; and all of it back. */
TEST(debug_page_more, what_it_takes)
{
	static const u64 sizes[] = {16 * MIB, 63 * MIB, 100 * MIB, 250 * MIB, 270 * MIB, GIB};

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u64 before, share;

		host_machine_borrow(sizes[i], 1);
		share = managed_pages() / 64;
		before = free_now();
		init_with("PQ,pages");
		EXPECT_EQ(page_quarantine_limit(0), share < 1024 ? share : 1024);
		EXPECT_EQ(before - free_now(), (frames() + 8 * PAGE_SIZE - 1) / (8 * PAGE_SIZE));
		(void)page_quarantine_limit(5);
		page_debug_finish();
		EXPECT_EQ(free_now(), before);
		EXPECT_EQ(page_quarantine_limit(0), 0);
		init_with("P,pages");
		EXPECT_EQ(page_quarantine_limit(0), 0);
		page_debug_finish();
		host_machine_return();
	}
}

/* The end of what is off does nothing, and the beginning forgets what was on before. */
TEST(debug_page_more, off_is_off)
{
	struct page *page;

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	host_machine_borrow(64 * MIB, 1);
	init_with("P,pages");
	page_debug_finish();
	page_debug_finish();
	EXPECT_FALSE(page_debug_on);
	page_debug_on = page_gaps_on = true;
	init_with("F,something-else");
	EXPECT_FALSE(page_debug_on);
	EXPECT_FALSE(page_gaps_on);
	page = must_take(3);
	page_debug_freed(page, 8);
	EXPECT_EQ(page->type, PAGE_ALLOCATED);
	page_debug_allocated(page, 8);
	free_pages(page, 3);
	host_machine_return();
}

/* Bits of a machine that is gone are not those of the next. */
TEST(debug_page_more, another_machines_bits)
{
	struct page *page;

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	host_machine_borrow(64 * MIB, 1);
	init_with("P,pages");
	page = must_take(5);
	page_debug_freed(page, 32);
	init_with("F,something-else");
	memset(page_address(page), 1, PAGE_SIZE);
	page_debug_verify(page, 32);
	free_pages(page, 5);
	host_machine_return();
}

/* Who has a page may write it, whatever becomes of it afterwards. */
TEST(debug_page_more, an_allocation_clears_its_bits)
{
	struct page *page;

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	host_machine_borrow(64 * MIB, 1);
	init_with("P,pages");
	page = must_take(5);
	page_debug_freed(page, 32);
	EXPECT_NULL(mark_find_other(page_address(page), POISON_PAGE, 32 * PAGE_SIZE));
	page_debug_allocated(page, 32);
	memset(page_address(page), 1, 32 * PAGE_SIZE);
	page_debug_verify(page, 32);
	free_pages(page, 5);
	page_debug_finish();
	host_machine_return();
}
#endif
