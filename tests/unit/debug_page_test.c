/*
 * Pages under `slab_debug=P,pages`: filled when they are freed, verified when they are allocated.
 * Blocks too large for the CPUs' stacks, so that the same tests run where stacks are in use.
 */
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>

#include "tests/model/debugged.h"

enum { ORDER = 5 };
#define BYTES (PAGE_SIZE << ORDER)

static bool own;

static void begin(const char *text, bool init_on_alloc, bool init_on_free)
{
	struct mm_debug_choice run = mm_debug_choice();

	own = !page_debug_on;
	if (!own)
		return;
	mm_debug_configure(text, init_on_alloc, init_on_free);
	page_debug_init();
	mm_debug_choose(&run);
	ASSERT_TRUE(page_debug_on);
}

static void end(void)
{
	if (own)
		page_debug_finish();
}

static struct page *must_take(void)
{
	struct page *page = alloc_pages_node(mm_this(pages)->node, GFP_KERNEL, ORDER);

	ASSERT_NOT_NULL(page);
	return page;
}

TEST(debug_page, every_page_of_a_block_is_filled_and_verified)
{
	const size_t at[] = {0, 8, PAGE_SIZE - 1, 3 * PAGE_SIZE + 77, BYTES - 1};
	struct page *page;
	char *p;

	begin("P,pages", false, false);
	page = must_take();
	p = page_address(page);
	memset(p, 1, BYTES);
	free_pages(page, ORDER);
	EXPECT_NULL(mark_find_other(p, POISON_PAGE, BYTES));
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		char line[96];

		format_buf(
		    line, sizeof(line),
		    "BUG: write after free in pages: object %p+%lu (size 4096) is 0x77, not 0xaa",
		    (void *)align_down((u64)p + at[i], PAGE_SIZE), at[i] % PAGE_SIZE);
		(void)plant(p + at[i], 0x77);
		EXPECT_PANIC(line, (void)must_take());
		(void)plant(p + at[i], POISON_PAGE);
	}
	EXPECT_TRUE(must_take() == page); /* it was not lost */
	free_pages(page, ORDER);
	end();
}

TEST(debug_page, exact_sizes_and_large_kmallocs)
{
	char *p;

	begin("P,pages", false, false);
	p = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	free_pages_exact(p, 5 * PAGE_SIZE);
	EXPECT_NULL(mark_find_other(p, POISON_PAGE, 5 * PAGE_SIZE));
	p = kmalloc(20 * PAGE_SIZE, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	kfree(p);
	EXPECT_NULL(mark_find_other(p, POISON_PAGE, 20 * PAGE_SIZE));
	end();
}

TEST(debug_page, a_wrong_free_fills_nothing)
{
	struct page *page;
	char *p;

	begin("P,pages", false, false);
	page = must_take();
	p = page_address(page);
	memset(p, 1, BYTES);
	EXPECT_PANIC("page_alloc: wrong order", free_pages(page, ORDER + 1));
	EXPECT_NULL(mem_find_other(p, 1, BYTES));
	free_pages(page, ORDER);
	end();
}

TEST(debug_page, zeros_on_alloc_and_on_free)
{
	struct page *page;
	char *p;

	if (page_debug_on) {
		test_skip("this run has chosen otherwise");
		return;
	}
	begin(NULL, true, false);
	page = must_take();
	p = page_address(page);
	EXPECT_NULL(mem_find_other(p, 0, BYTES));
	memset(p, 1, BYTES);
	free_pages(page, ORDER);
	EXPECT_EQ(mark_read(p + BYTES - 1), 1);
	end();
	begin(NULL, false, true);
	page = must_take();
	p = page_address(page);
	memset(p, 1, BYTES);
	free_pages(page, ORDER);
	EXPECT_NULL(mark_find_other(p, 0, BYTES));
	end();
}

/* What leaves the allocator another way comes back with other contents. */
TEST(debug_page, pages_on_loan_are_forgotten)
{
	struct page *page;
	char *p;

	begin("P,pages", false, false);
	page = must_take();
	p = page_address(page);
	free_pages(page, ORDER);
	ASSERT_EQ(pages_offline(page_to_pfn(page), 1u << ORDER), 0);
	memset(p, 1, BYTES);
	EXPECT_EQ(pages_online(page_to_pfn(page), 1u << ORDER), 0);
	page = must_take();
	free_pages(page, ORDER);
	end();
}
