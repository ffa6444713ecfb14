/*
 * Legal programs that look at what memory holds when it is handed out (the checks of Linux's
 * test_meminit), and that free blocks beside the edges of zones.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/misuse/misuse.h"
#include "tests/model/debugged.h"

enum { ORDERS = 10, NR_SHIFTS = 20, NR_SIZES = 13, GARBAGE = 0x9e };

static unsigned nr_checks;

static void expect_zeros(const void *p, size_t n)
{
	nr_checks++;
	EXPECT_NULL(mem_find_other(p, 0, n));
}

/* Garbage was there before, on the way that the next one takes. */
static void soil_pages(unsigned order)
{
	struct page *page = must(alloc_pages(GFP_KERNEL, order));

	memset(page_address(page), GARBAGE, PAGE_SIZE << order);
	free_pages(page, order);
}

LEGAL(zeroed_pages_of_every_order)
{
	nr_checks = 0;
	for (unsigned order = 0; order < ORDERS; order++) {
		struct page *page;

		soil_pages(order);
		page = must(alloc_pages(GFP_KERNEL | __GFP_ZERO, order));
		expect_zeros(page_address(page), PAGE_SIZE << order);
		free_pages(page, order);
	}
	EXPECT_EQ(nr_checks, 10);
}

LEGAL(zeroed_memory_of_every_size)
{
	nr_checks = 0;
	for (unsigned shift = 0; shift < NR_SHIFTS; shift++) {
		volatile size_t size = 1ul << shift;
		char *p = must(kmalloc(size, GFP_KERNEL)), *q;

		memset(p, GARBAGE, size);
		kfree(p);
		q = must(kzalloc(size, GFP_KERNEL));
		expect_zeros(q, size);
		kfree(q);
		q = must(kvzalloc(size, GFP_KERNEL));
		expect_zeros(q, size);
		kvfree(q);
	}
	EXPECT_EQ(nr_checks, 40);
}

static void construct(void *object)
{
	*(u64 *)object = 0x5ca1ab1e;
}

/* It is free: nobody's words wait in memory. */
static void expect_wiped(void *p, size_t size)
{
	if (guard_owns(p))
		return; /* nobody can look at it any more */
	platform_unpoison(p, size);
	EXPECT_NULL(mem_find_other(p, 0, size));
	platform_poison(p, size);
}

/* One cache: with a constructor its word survives a free; without, zeros are zeros; wiped, what is
 * freed is zero at once. One object, and several. */
static void check_cache(size_t size, bool ctor, bool wiped, bool bulk)
{
	struct kmem_cache *c = must(kmem_cache_create(
	    "content", size, 0, wiped ? SLAB_ZERO_ON_FREE : 0, ctor ? construct : NULL));
	const gfp_t gfp = ctor ? GFP_KERNEL : GFP_KERNEL | __GFP_ZERO;
	const size_t n = bulk ? 10 : 1;
	void *p[10];

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, n, p), n);
	for (size_t i = 0; i < n; i++)
		memset((char *)p[i] + (ctor ? 8 : 0), GARBAGE, size - (ctor ? 8 : 0));
	kmem_cache_free_bulk(c, n, p);
	for (size_t i = 0; i < n && wiped; i++)
		expect_wiped(p[i], size);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, gfp, n, p), n);
	for (size_t i = 0; i < n; i++)
		if (ctor)
			EXPECT_EQ(*(u64 *)p[i], 0x5ca1ab1e);
		else
			EXPECT_NULL(mem_find_other(p[i], 0, size));
	nr_checks++;
	kmem_cache_free_bulk(c, n, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Sizes from 8 to 32 KiB; a constructor and wiping exclude each other. */
LEGAL(contents_of_caches_of_every_kind)
{
	nr_checks = 0;
	for (unsigned i = 0; i < NR_SIZES; i++)
		for (unsigned bulk = 0; bulk < 2; bulk++) {
			check_cache(8ul << i, false, false, bulk);
			check_cache(8ul << i, true, false, bulk);
			check_cache(8ul << i, false, true, bulk);
		}
	EXPECT_EQ(nr_checks, 78);
}

/* --- the edges of zones --- */

/* The pages on both sides of an edge are freed, when somebody can have them: their blocks stay on
 * their sides, whatever the XOR of their numbers says. */
LEGAL(blocks_do_not_merge_across_the_edge_of_a_zone)
{
	static struct page *page[256];
	unsigned nr = 0;

	for (; nr < ARRAY_SIZE(page) - 1; nr += 2) {
		page[nr] = must(alloc_pages(GFP_KERNEL, 3));
		page[nr + 1] = alloc_pages(GFP_KERNEL | __GFP_DMA | __GFP_NOWARN, 3);
		if (page[nr + 1] == NULL)
			page[nr + 1] = must(alloc_pages(GFP_KERNEL, 3));
	}
	for (unsigned i = 0; i < nr; i++)
		free_pages(page[i], 3);
	for_each_zone(z)
		for (u64 pfn = z->buddy.low; pfn < z->buddy.high; pfn++) {
			struct page *head = page_lookup(pfn);

			if (head == NULL || head->type != PAGE_FREE || head->zone != z->id)
				continue;
			EXPECT_LE(pfn + page_block_pages(head), z->buddy.high);
			pfn += page_block_pages(head) - 1;
		}
}
