/* Which ranges lie in one object, and what the others are called. */
#include <mm/mm.h>
#include <tests/test.h>

static char *hide(void *p)
{
	ASSERT_NOT_NULL(p);
	__asm__ volatile("" : "+r"(p));
	return p;
}

TEST(bounds, of_a_slabs_object)
{
	char *p = hide(kmalloc(64, GFP_KERNEL));

	EXPECT_NULL(object_bounds_fault(p, 64));
	EXPECT_NULL(object_bounds_fault(p + 60, 4));
	EXPECT_NULL(object_bounds_fault(p, 0));
	EXPECT_STREQ(object_bounds_fault(p, 65), "past the end of the object");
	EXPECT_STREQ(object_bounds_fault(p + 60, 5), "past the end of the object");
	EXPECT_STREQ(object_bounds_fault(p, ~0ul), "around the end of all addresses");
	EXPECT_PANIC("BUG: past the end of the object: in kmalloc-64: object",
	             check_object_bounds(p + 60, 5));
	EXPECT_PANIC("+60 (size 64): 5 bytes, by tests/unit/bounds_test.c",
	             check_object_bounds(p + 60, 5));
	kfree(p);
	EXPECT_STREQ(object_bounds_fault(p, 1), "in a freed object");
}

TEST(bounds, of_pages_and_large_blocks)
{
	char *large = hide(kmalloc(18000, GFP_KERNEL));
	struct page *page = alloc_pages(GFP_KERNEL, 1);
	char *p;

	ASSERT_NOT_NULL(page);
	p = page_address(page);
	EXPECT_NULL(object_bounds_fault(p, 8192));
	EXPECT_NULL(object_bounds_fault(p + 5000, 3192));
	EXPECT_STREQ(object_bounds_fault(p + 5000, 3193), "past the end of the block of pages");
	free_pages(page, 1);
	EXPECT_STREQ(object_bounds_fault(p, 1), "in a freed page");
	EXPECT_NULL(object_bounds_fault(large, 20480));
	EXPECT_NULL(object_bounds_fault(large + 20479, 1));
	EXPECT_STREQ(object_bounds_fault(large + 20479, 2), "past the end of the large kmalloc");
	EXPECT_PANIC("BUG: past the end of the large kmalloc: 20481 bytes",
	             check_object_bounds(large, 20481));
	kfree(large);
}

TEST(bounds, of_an_object_between_guard_pages)
{
	const struct guard_options each = {.interval = 1, .nr_objects = 4};
	struct kmem_cache *c = kmem_cache_create("bounded", 40, 0, SLAB_NO_MAGAZINE, NULL);
	char *p;

	ASSERT_NOT_NULL(c);
	if (guard_start(&each) != 0) {
		EXPECT_EQ(kmem_cache_destroy(c), 0);
		test_skip("kfence= is on");
		return;
	}
	p = hide(kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_NULL(object_bounds_fault(p, 40));
	EXPECT_STREQ(object_bounds_fault(p, 41), "past the end of the object");
	EXPECT_STREQ(object_bounds_fault(p - 1, 1), "beside an object between guard pages");
	kmem_cache_free(c, p);
	EXPECT_EQ(guard_stop(), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(bounds, of_what_the_allocators_do_not_know)
{
	static char here[16];
	char on_the_stack[16];

	EXPECT_NULL(object_bounds_fault(here, 16));
	EXPECT_NULL(object_bounds_fault(on_the_stack, 16));
}

TEST(bounds, kmemdup_looks_first)
{
	char *p = hide(kmalloc(64, GFP_KERNEL)), *q = kmemdup(p, 64, GFP_KERNEL);

	EXPECT_NOT_NULL(q);
#ifdef CONFIG_DEBUG
	EXPECT_PANIC("BUG: past the end of the object", (void)kmemdup(p, 65, GFP_KERNEL));
#endif
	kfree(p);
	kfree(q);
}

/* What the kernel's memcpy() asks: check_copy(). */
TEST(bounds, of_copies)
{
	struct kmem_cache *c = kmem_cache_create("wiped", 64, 0, SLAB_ZERO_ON_FREE, NULL);
	char *p = hide(kmalloc(64, GFP_KERNEL)), *q;

	ASSERT_NOT_NULL(c);
	q = hide(kmem_cache_alloc(c, GFP_KERNEL));
	check_copy(p, 64);
	check_copy(p + 64, 0);
	EXPECT_PANIC("BUG: past the end of the object: in kmalloc-64: object",
	             check_copy(p + 1, 64));
	EXPECT_PANIC("BUG: around the end of all addresses", check_copy(p, (size_t)-1));
	kfree(p);
	kmem_cache_free(c, q);
	EXPECT_PANIC("BUG: in a freed object: in kmalloc-64", check_copy(p, 1));
	check_copy(q, 64); /* it is wiped when it is free already */
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
