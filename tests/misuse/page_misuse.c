/*
 * Misuse of pages, of virtually contiguous memory, of arenas and pools.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/misuse/misuse.h"
#include "tests/model/arena.h"

#define PAGE_STATE "a bad page state, if anything else is wrong with it; DEBUG_VM, KASAN"

static unsigned long pfn_of(const struct page *page)
{
	return page_to_pfn(page);
}

/* --- twice --- */

MISUSE(page_twice, "free_page() twice, page in a CPU's cache", TIER_RELEASE, "at the free",
       PAGE_STATE)
{
	struct page *page = must(alloc_page(GFP_KERNEL));

	free_page(page);
	CAUGHT(free_page(page), "page_alloc: double free pfn=%#lx order=0", pfn_of(page));
}

MISUSE(block_twice, "free_pages() twice, block in its zone", TIER_RELEASE, "at the free",
       "corrupted free lists; DEBUG_VM, DEBUG_LIST, KASAN")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 5));

	free_pages(page, 5);
	CAUGHT(free_pages(page, 5), "page_alloc: double free pfn=%#lx order=5", pfn_of(page));
}

/* Both CPUs have seen it allocated; so it is in two stacks. */
MISUSE(page_raced, "two CPUs free one page in the same moment", TIER_RELEASE,
       "at the next allocation of it", "the atomic reference count tells; DEBUG_VM stops")
{
	struct page *page = must(alloc_page(GFP_KERNEL));
	u32 live = page->head;

	free_page(page);
	page->head = live; /* the other's first allocation of it */
	CAUGHT((void)alloc_page(GFP_KERNEL), "page_alloc: cached block overwritten pfn=%#x order=0",
	       page_to_pfn(page));
	page->head = page_head_word(PAGE_CACHED, 0, page->zone);
}

/* --- the wrong block --- */

MISUSE(wrong_order, "free_pages() with another order", TIER_RELEASE, "at the free",
       "nothing: pages are lost, or others' are freed")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 2));

	CAUGHT(free_pages(page, 1), "page_alloc: wrong order pfn=%#lx order=1", pfn_of(page));
	CAUGHT(free_pages(page, 3), "page_alloc: wrong order pfn=%#lx order=3", pfn_of(page));
	free_pages(page, 2);
}

MISUSE(tail_page, "free_page() of a page inside a block", TIER_RELEASE, "at the free",
       "a compound page's: bad page state; else it is freed out of the block")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 2));

	CAUGHT(free_page(page + 1), "page_alloc: not the head of a block pfn=%#lx order=0",
	       pfn_of(page) + 1);
	free_pages(page, 2);
}

MISUSE(slab_page, "free_page() of a page that a slab uses", TIER_RELEASE, "at the free",
       "bad page state, after the last reference")
{
	char *p = must(kmalloc(100, GFP_KERNEL));
	struct page *page = virt_to_page(p);

	CAUGHT(free_page(page), "page_alloc: in use by a slab pfn=%#lx order=0", pfn_of(page));
	kfree(p);
}

MISUSE(no_ram, "free_page() of a frame that is no RAM", TIER_RELEASE, "at the free",
       "an oops, or a reserved page's bad state")
{
	CAUGHT(free_page(pfn_to_page(0)), "page_alloc: not RAM pfn=");
}

MISUSE(no_struct_page, "free_page() of what is no struct page", TIER_RELEASE, "at the free",
       "an oops, or memory is overwritten")
{
	static struct page stray;

	CAUGHT(free_page(must(&stray)), "page_alloc: not a struct page");
	CAUGHT(free_page((struct page *)0x4141414141414140ul), "page_alloc: not a struct page");
}

MISUSE(exact_size, "free_pages_exact() with another size", TIER_RELEASE, "at the free",
       "nothing: pages are lost, or others' are freed")
{
	void *p = must(alloc_pages_exact(5 * PAGE_SIZE, GFP_KERNEL));

	CAUGHT(free_pages_exact(p, 4 * PAGE_SIZE),
	       "page_alloc: not an exact allocation of this size address=%p bytes=%lu", p,
	       4 * PAGE_SIZE);
	free_pages_exact(p, 5 * PAGE_SIZE);
}

/* Any damage to its head: seen before the page is handed out. */
MISUSE(cached_page_damaged, "the struct page of a cached page overwritten", TIER_RELEASE,
       "at the next allocation of it", "bad page state (check_pages=1, or DEBUG_VM)")
{
	struct page *page = must(alloc_page(GFP_KERNEL));

	free_page(page);
	page->flags = 1;
	page->type = PAGE_INNER;
	CAUGHT((void)alloc_page(GFP_KERNEL), "page_alloc: cached block overwritten pfn=%#x order=0",
	       page_to_pfn(page));
	page->type = PAGE_CACHED;
	page->flags = 0;
}

MISUSE(free_list_damaged, "a free list's link overwritten", TIER_RELEASE,
       "when the block is unlinked", "DEBUG_LIST")
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);
	u32 first;

	for (u32 pfn = 101; pfn < 108; pfn += 2)
		buddy_add_range(b, pfn, pfn + 1);
	first = b->head[0];
	b->map[first].next ^= 64;
	CAUGHT(buddy_alloc(b, 0), "buddy: free list corrupted pfn=%#x order=0", first);
}

/* --- vmalloc --- */

MISUSE(vfree_twice, "vfree() twice", TIER_RELEASE, "at the free", "a warning; KASAN")
{
	char *p = must(vmalloc(5000));

	vfree(p);
	CAUGHT(vfree(p), "vfree: double free address=%p", p);
}

MISUSE(vfree_interior, "vfree() of an address inside an area", TIER_RELEASE, "at the free",
       "a warning")
{
	char *p = must(vmalloc(5000));

	CAUGHT(vfree(p + 16), "vfree: not the start of an area address=%p", p + 16);
	vfree(p);
}

MISUSE(vfree_of_kmalloc, "vfree() of a kmalloc address", TIER_RELEASE, "at the free", "a warning")
{
	char *p = must(kmalloc(5000, GFP_KERNEL));

	CAUGHT(vfree(p), "vfree: not a vmalloc area address=%p", p);
	kfree(p);
}

MISUSE(vunmap_of_vmalloc, "vunmap() of vmalloc() memory", TIER_RELEASE, "at the free",
       "nothing: its pages are lost")
{
	char *p = must(vmalloc(5000));

	CAUGHT(vunmap(p), "vunmap: an area for vfree() address=%p", p);
	vfree(p);
}

/* --- arenas and pools --- */

MISUSE(vmem_twice, "vmem_free() twice", TIER_RELEASE, "at the free", "(illumos' vmem: a panic)")
{
	struct vmem *v =
	    must(vmem_create("planted", 0x1000, 0x10000, 0x1000, NULL, NULL, NULL, 0, GFP_KERNEL));
	u64 at = vmem_alloc(v, 0x3000, GFP_KERNEL);

	ASSERT_NE(at, 0);
	vmem_free(v, at, 0x3000);
	CAUGHT(vmem_free(v, at, 0x3000), "vmem: double free arena=planted addr=%#lx size=0x3000",
	       (unsigned long)at);
	EXPECT_EQ(vmem_destroy(v), 0);
}

/* Two elements, and no more: so they come from the reserve. */
static u32 element[2];
static unsigned nr_out;

static void *take_element(gfp_t gfp, void *data)
{
	(void)gfp;
	(void)data;
	return nr_out < ARRAY_SIZE(element) ? &element[nr_out++] : NULL;
}

static void give_element(void *p, void *data)
{
	(void)p;
	(void)data;
	nr_out--;
}

MISUSE(mempool_twice, "an element put back into a pool twice", TIER_RELEASE, "at the free",
       "slab_debug= or KASAN, by poison")
{
	struct mempool *pool = must(mempool_create(2, take_element, give_element, NULL));
	void *first = must(mempool_alloc(pool, GFP_NOWAIT));
	void *second = must(mempool_alloc(pool, GFP_NOWAIT));

	mempool_free(first, pool);
	CAUGHT(mempool_free(first, pool), "mempool: double free element=%p pool=%p", first,
	       (void *)pool);
	mempool_free(second, pool);
	mempool_destroy(pool);
}

MISUSE(mempool_in_use, "mempool_destroy() while elements are out", TIER_RELEASE, "at the call",
       "nothing: they are freed into a pool that is gone")
{
	struct mempool *pool = must(mempool_create(2, take_element, give_element, NULL));
	void *first = must(mempool_alloc(pool, GFP_NOWAIT));

	CAUGHT(mempool_destroy(pool), "mempool: destroyed in use pool=%p missing=1", (void *)pool);
	mempool_free(first, pool);
	mempool_destroy(pool);
}

/* --- what must stay silent --- */

LEGAL(pages_of_every_order)
{
	for (unsigned order = 0; order <= 9; order++) {
		struct page *page = must(alloc_pages(GFP_KERNEL | __GFP_ZERO, order));

		EXPECT_NULL(mem_find_other(page_address(page), 0, PAGE_SIZE << order));
		free_pages(page, order);
	}
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER + 1));
}

LEGAL(kvfree_of_either_kind)
{
	kvfree(must(kvmalloc(100, GFP_KERNEL)));
	kvfree(must(kvmalloc(300000, GFP_KERNEL)));
	kvfree(must(vmalloc(100)));
}

LEGAL(bulk_free_of_single_pages)
{
	struct page *pages[5];

	for (unsigned i = 0; i < 5; i++)
		pages[i] = must(alloc_page(GFP_KERNEL));
	free_pages_bulk(5, pages);
}
