/*
 * Wrong frees of pages: each stops the machine with the line that names it, before anything is
 * changed.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

static struct page *must_alloc(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(page);
	return page;
}

#define EXPECT_BAD_FREE(page, order, fault)                                          \
	({                                                                           \
		EXPECT_STREQ(page_free_fault(page, order), fault);                   \
		EXPECT_PANIC("page_alloc: " fault " pfn=", free_pages(page, order)); \
	})

TEST(page_free, twice)
{
	for (unsigned order = 0; order <= 6; order++) {
		struct page *page = must_alloc(order);

		EXPECT_NULL(page_free_fault(page, order));
		free_pages(page, order);
		EXPECT_BAD_FREE(page, order,
		                "double free"); /* in this CPU's cache, if that takes it */
		drain_cpu_pages();
		EXPECT_BAD_FREE(page, order, "double free"); /* in the buddy, merged or not */
		EXPECT_SOUND(mm_check());
	}
}

TEST(page_free, of_the_wrong_order)
{
	struct page *page = must_alloc(2), *large = must_alloc(9);

	EXPECT_BAD_FREE(page, 0, "wrong order");
	EXPECT_BAD_FREE(page, 1, "wrong order");
	EXPECT_BAD_FREE(page, 3, "wrong order");
	EXPECT_BAD_FREE(page, MAX_ORDER, "wrong order");
	EXPECT_BAD_FREE(page, MAX_ORDER + 1, "impossible order");
	EXPECT_BAD_FREE(page, ~0u, "impossible order");
	EXPECT_BAD_FREE(large, 8, "wrong order");
	EXPECT_BAD_FREE(large, 10, "wrong order");
	EXPECT_BAD_FREE(large, 0, "wrong order");
	EXPECT_SOUND(mm_check());
	free_pages(page, 2);
	free_pages(large, 9);
}

TEST(page_free, inside_a_block)
{
	struct page *page = must_alloc(3), *large = must_alloc(9);

	for (unsigned i = 1; i < 8; i++)
		EXPECT_BAD_FREE(page + i, 0, "not the head of a block");
	EXPECT_BAD_FREE(page + 4, 2, "not the head of a block");
	EXPECT_BAD_FREE(large + 1, 0, "not the head of a block");
	EXPECT_BAD_FREE(large + 256, 8, "not the head of a block");
	free_pages(page, 3);
	free_pages(large, 9);
	EXPECT_BAD_FREE(page + 1, 0, "double free");
}

TEST(page_free, of_what_is_no_ram)
{
	EXPECT_BAD_FREE(pfn_to_page(0), 0, "not RAM");
	EXPECT_BAD_FREE(pfn_to_page(0xa0000 >> PAGE_SHIFT), 0, "not RAM"); /* VGA memory */
	EXPECT_BAD_FREE(pfn_to_page((u32)((PLATFORM_MAX_PA >> PAGE_SHIFT) - 1)), 0, "not RAM");
	EXPECT_BAD_FREE(pfn_to_page(0xfee00), 0, "not RAM"); /* the APIC */
}

TEST(page_free, of_what_is_no_struct_page)
{
	static int anything;
	struct page *page = must_alloc(0);
	char local;

	EXPECT_BAD_FREE(NULL, 0, "not a struct page");
	EXPECT_BAD_FREE((struct page *)((char *)page + 8), 0, "not a struct page");
	EXPECT_BAD_FREE((struct page *)((char *)page + 1), 0, "not a struct page");
	EXPECT_BAD_FREE((struct page *)((char *)page_map - 16), 0, "not a struct page");
	EXPECT_BAD_FREE((struct page *)align_down((u64)&anything, 16), 0, "not a struct page");
	EXPECT_BAD_FREE((struct page *)align_down((u64)&local, 16), 0, "not a struct page");
	EXPECT_BAD_FREE((struct page *)0x4141414141414140, 0, "not a struct page");
	free_page(page);
}

TEST(page_free, of_pages_in_other_hands)
{
	void *small = kmalloc(100, GFP_KERNEL), *large = kmalloc(20000, GFP_KERNEL);

	struct page *head;

	ASSERT_NOT_NULL(small);
	ASSERT_NOT_NULL(large);
	head =
	    page_block_of(page_to_pfn(virt_to_page(large))); /* a page before with kmalloc_guard */
	EXPECT_BAD_FREE(virt_to_page(small), 0, "in use by a slab");
	EXPECT_BAD_FREE(head, 0, "in use by kmalloc");
	EXPECT_BAD_FREE(head + 1, 0, "not the head of a block");
	kfree(small);
	kfree(large);
}

TEST(page_free, exact_with_another_size)
{
	char *p = alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL);
	struct page *block = must_alloc(0);
	static int anything;

	ASSERT_NOT_NULL(p);
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p, 4 * PAGE_SIZE));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p, 5 * PAGE_SIZE + 1));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p, 0));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p, 5 * PAGE_SIZE + 16 * TIB));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p + 8, 5 * PAGE_SIZE));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p + PAGE_SIZE, 4 * PAGE_SIZE));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(page_address(block), PAGE_SIZE));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(&anything, PAGE_SIZE));
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact((void *)0x5000, PAGE_SIZE));
	EXPECT_BAD_FREE(virt_to_page(p), 0, "wrong order");
	EXPECT_BAD_FREE(virt_to_page(p), 2, "wrong order");
	EXPECT_BAD_FREE(virt_to_page(p), ORDER_RUN, "impossible order");
	EXPECT_BAD_FREE(virt_to_page(p) + 1, 0, "not the head of a block");
	free_pages_exact(p, 5 * PAGE_SIZE - 1); /* as many pages: the same size */
	EXPECT_PANIC("page_alloc: not an exact", free_pages_exact(p, 5 * PAGE_SIZE));
	free_page(block);
	EXPECT_SOUND(mm_check());
}
