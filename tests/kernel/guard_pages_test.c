/*
 * Guard pages on the machine: what of the pool is mapped, and that a wrong access from any
 * function is named with the function.
 */
#include <kernel/paging.h>
#include <mm/mm.h>
#include <tests/test.h>

#define NR_OBJECTS 4

static char *start_and_sample(size_t size)
{
	struct guard_options options = {.interval = 1, .nr_objects = NR_OBJECTS};
	struct kmem_cache *any = NULL;
	char *p;

	if (guard_start(&options) == -EBUSY)
		test_skip("kfence= is on");
	do
		any = kmem_cache_next(any);
	while (any != NULL && strcmp(kmem_cache_name(any), "kmalloc-64") != 0);
	ASSERT_NOT_NULL(any);
	kmem_cache_shrink(any); /* the magazine is empty: the next one makes a trip */
	p = kmalloc(size, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	__asm__ volatile("" : "+r"(p));
	return p;
}

static bool is_mapped(const void *p)
{
	return paging_translate((u64)p, NULL, NULL);
}

TEST(guard_pages, a_page_is_mapped_while_its_object_lives)
{
	char *p = start_and_sample(64);
	u64 pa = 0;

	EXPECT_TRUE(paging_translate((u64)p, &pa, NULL));
	EXPECT_EQ(pa, virt_to_phys(p));
	EXPECT_FALSE(is_mapped(p + PAGE_SIZE));
	EXPECT_FALSE(is_mapped(p - PAGE_SIZE));
	EXPECT_FALSE(is_mapped(p + 2 * PAGE_SIZE)); /* the next object's */
	kfree(p);
	EXPECT_FALSE(is_mapped(p));
	EXPECT_EQ(guard_stop(), 0);
	EXPECT_TRUE(is_mapped(p) && is_mapped(p + PAGE_SIZE));
	EXPECT_NULL(paging_check());
}

static __noinline void writes_too_much(volatile char *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		p[i] = 1;
}

TEST(guard_pages, the_function_at_fault_is_named)
{
	char *p = start_and_sample(64), *edge = (char *)align_up((u64)p + 1, PAGE_SIZE);
	bool enabled = irq_is_enabled();

	EXPECT_PANIC("write at writes_too_much+", writes_too_much(edge - 4, 8));
	EXPECT_EQ(irq_is_enabled(), enabled);
	memset(p + 64, 0xa7,
	       (size_t)(edge - (p + 64))); /* the canary, if the object is at the left */
	kfree(p);
	EXPECT_PANIC("BUG: use after free in kmalloc-64", writes_too_much(p, 1));
	EXPECT_EQ(guard_stop(), 0);
}
