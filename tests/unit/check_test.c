/*
 * mm_check() asks every layer: what only one of them can see is reported, with that one's name.
 */
#include "mm/slab_internal.h"

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
	char *small = kmalloc(100, GFP_KERNEL), *large = kmalloc(20000, GFP_KERNEL);
	struct page_stack *s = &mm_this(pages)->stack[0][0];
	struct page *head = virt_to_page(large);

	for_each_zone(z)
		EXPECT_BREAKS("B", z->buddy.nr_free_pages, z->buddy.nr_free_pages + 1);
	EXPECT_BREAKS("C4:", *page_stack_base(s, 0), NULL);
	EXPECT_BREAKS("S", slab_of(small)->nr_to_next, slab_of(small)->nr_to_next + 1);
	EXPECT_BREAKS("K2:", head->bytes, (head->nr_pages << PAGE_SHIFT) + 1);
	kfree(small);
	kfree(large);
}
