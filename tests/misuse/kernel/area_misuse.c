/*
 * Legal programs that map and unmap virtually contiguous memory in every size and order, as Linux's
 * test_vmalloc does, and look at what it holds when it is handed out.
 */
#include <mm/mm.h>

#include "tests/misuse/misuse.h"

LEGAL(zeroed_areas_of_every_size)
{
	for (unsigned shift = 0; shift < 20; shift++) {
		volatile size_t size = 1ul << shift;
		char *p = must(vmalloc(size));

		memset(p, 0x9e, size);
		vfree(p);
		p = must(vzalloc(size));
		EXPECT_NULL(mem_find_other(p, 0, size));
		vfree(p);
	}
}

static void use(char *p, size_t size)
{
	p[0] = 1;
	p[size - 1] = 1;
}

LEGAL(areas_of_one_size_and_of_many)
{
	for (unsigned i = 0; i < 100; i++) {
		const size_t size = (1 + i % 7 * 3) * PAGE_SIZE;
		char *fixed = must(vmalloc(3 * PAGE_SIZE)), *any = must(vmalloc(size));

		use(fixed, 3 * PAGE_SIZE);
		use(any, size);
		vfree(fixed);
		vfree(any);
	}
	EXPECT_NULL(vmalloc_check());
}

/* Every other one goes, and its place is taken again. */
LEGAL(areas_between_many_others)
{
	static char *p[200];

	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = must(vmalloc(PAGE_SIZE));
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = round % 2; i < ARRAY_SIZE(p); i += 2)
			vfree(p[i]);
		for (unsigned i = round % 2; i < ARRAY_SIZE(p); i += 2)
			use(p[i] = must(vmalloc(PAGE_SIZE)), PAGE_SIZE);
	}
	EXPECT_NULL(vmalloc_check());
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		vfree(p[i]);
}

LEGAL(pages_mapped_twice)
{
	struct page *pages[8];
	char *first, *second;

	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		pages[i] = must(alloc_page(GFP_KERNEL));
	for (unsigned i = 0; i < 20; i++) {
		first = must(vmap(pages, ARRAY_SIZE(pages), VM_WRITE));
		second = must(vmap(pages, ARRAY_SIZE(pages), VM_WRITE));
		first[5 * PAGE_SIZE] = (char)i;
		EXPECT_EQ(second[5 * PAGE_SIZE], (char)i);
		vunmap(first);
		vunmap(second);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++)
		free_page(pages[i]);
}

LEGAL(areas_of_impossible_sizes_are_none)
{
	volatile size_t size = 0;

	EXPECT_NULL(vmalloc(size));
	size = 1ul << 62;
	EXPECT_NULL(vmalloc(size));
	EXPECT_NULL(kvmalloc(size, GFP_KERNEL | __GFP_NOWARN));
}
