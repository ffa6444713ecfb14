/*
 * Wrong kfrees, each named in one line; and the checker of kmalloc's own invariants.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define EXPECT_BAD_KFREE(p, fault) EXPECT_PANIC("kfree: " fault, kfree((const void *)(p)))

/* Neither the compiler's allocation attributes nor its warnings shall see through it. */
static char *must_alloc(volatile size_t size)
{
	char *p = kmalloc(size, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	__asm__ volatile("" : "+r"(p));
	return p;
}

TEST(kmalloc_fault, double_free)
{
	static const u16 sizes[] = {1, 100, 1024, 8192};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = must_alloc(sizes[i]), *pin = must_alloc(sizes[i]);

		kfree(p);
		EXPECT_BAD_KFREE(p, "double free object=");
		EXPECT_PANIC("ksize: freed object", (void)ksize(p));
		EXPECT_PANIC("kfree: double free", kfree_sensitive(p));
		EXPECT_PANIC("krealloc: freed object", (void)krealloc(p, 5, GFP_KERNEL));
		kfree(pin);
		EXPECT_BAD_KFREE(pin, "double free object=");
	}
}

TEST(kmalloc_fault, double_free_of_a_large_block)
{
	char *p = must_alloc(20000);

	kfree(p);
	EXPECT_BAD_KFREE(p, "memory of a freed page");
	drain_cpu_pages();
	EXPECT_BAD_KFREE(p, "memory of a freed page");
	EXPECT_SOUND(mm_check());
}

TEST(kmalloc_fault, interior_pointers)
{
	char *small = must_alloc(100), *large = must_alloc(20000);

	EXPECT_BAD_KFREE(small + 1, "not the start of an object");
	EXPECT_BAD_KFREE(small + 8, "not the start of an object");
	EXPECT_BAD_KFREE(small + 111, "not the start of an object");
	EXPECT_BAD_KFREE(large + 1, "inside a large kmalloc");
	EXPECT_BAD_KFREE(large + 16, "inside a large kmalloc");
	EXPECT_BAD_KFREE(large + 4096, "inside a large kmalloc");
	EXPECT_BAD_KFREE(large + 16384, "inside a large kmalloc");
	EXPECT_PANIC("ksize: not the start of an object", (void)ksize(small + 8));
	EXPECT_PANIC("ksize: ", (void)ksize(large + 8));
	kfree(small);
	kfree(large);
}

TEST(kmalloc_fault, size_of_freed_memory)
{
	char *small = must_alloc(100), *large = must_alloc(20000);

	kfree(small);
	kfree(large);
	EXPECT_PANIC("ksize: freed object", (void)ksize(small));
	EXPECT_PANIC("krealloc: freed object", (void)krealloc(small, 10, GFP_KERNEL));
	EXPECT_PANIC("ksize: memory of a freed page", (void)ksize(large));
}

TEST(kmalloc_fault, no_heap_memory)
{
	static char in_data[64];

	EXPECT_BAD_KFREE(__builtin_frame_address(0), "not heap memory"); /* the stack */
	EXPECT_BAD_KFREE(in_data, "not heap memory");
	EXPECT_BAD_KFREE(1, "not heap memory");
	EXPECT_BAD_KFREE(15, "not heap memory");
	EXPECT_BAD_KFREE(17, "not heap memory");
	EXPECT_BAD_KFREE(0xdeadbeefdeadbeeful, "not heap memory");
	EXPECT_BAD_KFREE(~0ul, "not heap memory");
	EXPECT_BAD_KFREE(phys_to_virt(0), "not heap memory");
	EXPECT_BAD_KFREE(phys_to_virt(0xb8000), "not heap memory");
}

TEST(kmalloc_fault, memory_of_others)
{
	struct page *page = alloc_page(GFP_KERNEL);
	char *p = must_alloc(10);

	ASSERT_NOT_NULL(page);
	EXPECT_BAD_KFREE(page_address(page), "memory of alloc_pages");
	free_page(page);
	EXPECT_BAD_KFREE(page_address(page), "memory of a freed page");
	EXPECT_BAD_KFREE(slab_of(p), "memory of the allocator itself");
	EXPECT_PANIC("ksize: memory of the allocator itself", (void)ksize(slab_of(p)));
	EXPECT_PANIC("krealloc: memory of the allocator",
	             (void)krealloc(slab_of(p), 9, GFP_KERNEL));
	EXPECT_PANIC("kfree: memory of the allocator itself", kfree_sensitive(slab_of(p)));
	kfree(p);
}

/* kfree takes objects of any cache that is not the manager's own, as elsewhere. */
TEST(kmalloc_fault, kfree_of_a_cache_object_is_right)
{
	struct kmem_cache *c = kmem_cache_create("test", 50, 0, 0, NULL);
	void *object = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(object);
	kfree(object);
	EXPECT_BAD_KFREE(object, "double free object=");
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(kmalloc_check(), name);   \
		(lvalue) = right_;                      \
		EXPECT_SOUND(kmalloc_check());          \
	})

TEST(kmalloc_check, K1_classes_are_as_large_as_their_sizes)
{
	static const u16 sizes[] = {16, 80, 8192};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = must_alloc(sizes[i]);
		struct kmem_cache *c = slab_of(p)->cache;

		EXPECT_BREAKS("K1:", c->stride, c->stride + 16);
		kfree(p);
	}
}

TEST(kmalloc_check, K2_large_blocks)
{
	char *first = must_alloc(20000), *second = must_alloc(9000);

	for (unsigned i = 0; i < 2; i++) {
		struct page *head =
		    page_block_of(virt_to_phys(i == 0 ? first : second) >> PAGE_SHIFT);

		EXPECT_BREAKS("K2:", head->bytes, (head->nr_pages << PAGE_SHIFT) + 1);
		EXPECT_BREAKS("K2:", head->order, 2);
		EXPECT_BREAKS("K2:", head->nr_pages, head->nr_pages + 1);
		EXPECT_BREAKS("K2:", head->type, PAGE_ALLOCATED);
	}
	kfree(first);
	kfree(second);
}

/* A walk over the page map misses none, wherever small ones stand between pages of others. */
TEST(kmalloc_check, K2_small_runs_between_pages)
{
	enum { N = 32 };
	struct page *pages[N];
	char *runs[N];

	for (unsigned i = 0; i < N; i++) {
		pages[i] = alloc_page(GFP_KERNEL | __GFP_DMA);
		ASSERT_NOT_NULL(pages[i]);
		runs[i] = kmalloc(100, GFP_KERNEL | __GFP_DMA);
		ASSERT_NOT_NULL(runs[i]);
		if (i % 8 == 7) { /* the other way round from here on */
			free_page(pages[i]);
			pages[i] = NULL;
		}
	}
	EXPECT_SOUND(kmalloc_check());
	for (unsigned i = 0; i < N; i++) {
		kfree(runs[i]);
		if (pages[i] != NULL)
			free_page(pages[i]);
	}
	EXPECT_SOUND(kmalloc_check());
}
