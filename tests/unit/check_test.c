/*
 * mm_check() asks every layer: what only one of them can see is reported, with that one's name.
 */
#include "mm/debug/guard_internal.h"
#include "mm/slab_internal.h"
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(mm_check(), name);        \
		(lvalue) = right_;                      \
		EXPECT_SOUND(mm_check());               \
	})

TEST(check, every_layer_is_asked)
{
	char *first = kmalloc(100, GFP_KERNEL), *second = kmalloc(100, GFP_KERNEL);
	char *small =
	    slab_of(first) != NULL ? first : second; /* not a sample's, between guard pages */
	char *large = kmalloc(20000, GFP_KERNEL);
	struct page_stack *s = &mm_this(pages)->stack[0][0];
	struct page *head = page_block_of(page_to_pfn(virt_to_page(large)));

	for_each_zone(z)
		EXPECT_BREAKS("B", z->buddy.nr_free_pages, z->buddy.nr_free_pages + 1);
	EXPECT_BREAKS("C4:", *page_stack_base(s, 0), NULL);
	EXPECT_BREAKS("S", slab_of(small)->nr_to_next, slab_of(small)->nr_to_next + 1);
	EXPECT_BREAKS("K2:", head->bytes, (head->nr_pages << PAGE_SHIFT) + 1);
	EXPECT_BREAKS("R1:", retire_nr_noted, retire_nr_noted + 1);
	kfree(first);
	kfree(second);
	kfree(large);
}

static struct vmem *arena_of(const char *name)
{
	struct vmem *v = vmem_next(NULL);
	struct vmem_stats s;

	for (; v != NULL; v = vmem_next(v)) {
		vmem_stats(v, &s);
		if (strcmp(s.name, name) == 0)
			break;
	}
	return v;
}

TEST(check, arenas_and_areas_are_asked)
{
	struct vmem *space = arena_of("vmalloc"), *v;
	u64 va;

	ASSERT_NOT_NULL(space);
	va = vmem_alloc(space, MIB, GFP_KERNEL);
	ASSERT_NE(va, 0);
	EXPECT_BROKEN(mm_check(), "VM2:");
	vmem_free(space, va, MIB);
	v = vmem_create("checked", 1, 100, 1, NULL, NULL, NULL, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	EXPECT_BREAKS("V", v->in_use, v->in_use + 1);
	ASSERT_EQ(vmem_destroy(v), 0);
}

TEST(check, guarded_objects_are_asked)
{
	struct guard_options options = {.interval = UINT32_MAX, .nr_objects = 4};

	if (guard_on) {
		test_skip("kfence= is on");
		return;
	}
	ASSERT_EQ(guard_start(&options), 0);
	EXPECT_BREAKS("G1:", guard_pool.stats.nr_live, 1);
	EXPECT_EQ(guard_stop(), 0);
}
