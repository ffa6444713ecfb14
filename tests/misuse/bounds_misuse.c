/*
 * Copies over the bounds of what they are from or to: what check_object_bounds() finds (LKDTM's
 * usercopy set), and the rest of illumos' wrong sizes.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/misuse/misuse.h"

#define USERCOPY "hardened usercopy, for copies to and from user space; KASAN"

MISUSE(copy_over_object, "a copy over an object's end", TIER_HARDENED, "at the call", USERCOPY)
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	CAUGHT(
	    check_object_bounds(p + 50, 63),
	    "BUG: past the end of the object: in kmalloc-112: object %p+50 (size 112): 63 bytes, "
	    "by ",
	    (void *)p);
	check_object_bounds(p + 50, 62);
	kfree(p);
}

MISUSE(copy_of_a_cache_object, "a copy over the end of a cache's object", TIER_HARDENED,
       "at the call", USERCOPY)
{
	struct kmem_cache *c = must(kmem_cache_create("planted", 120, 0, 0, NULL));
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL));

	CAUGHT(
	    check_object_bounds(p, 121),
	    "BUG: past the end of the object: in planted: object %p+0 (size 120): 121 bytes, by ",
	    (void *)p);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

MISUSE(copy_from_freed, "a copy from a freed object", TIER_HARDENED, "at the call",
       "nothing; KASAN")
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	kfree(p);
	CAUGHT(check_object_bounds(p, 1), "BUG: in a freed object: in kmalloc-112: object %p+0",
	       (void *)p);
}

MISUSE(copy_over_large, "a copy over the end of a large block", TIER_HARDENED, "at the call",
       USERCOPY)
{
	char *p = must(kmalloc(20000, GFP_KERNEL));

	CAUGHT(check_object_bounds(p + 20000, 481),
	       "BUG: past the end of the large kmalloc: 481 bytes at %p", (void *)(p + 20000));
	kfree(p);
}

MISUSE(copy_over_pages, "a copy over the end of a block of pages", TIER_HARDENED, "at the call",
       "the same for compound pages; KASAN where the next page is free")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 1));
	char *p = page_address(page);

	CAUGHT(check_object_bounds(p + 8000, 193),
	       "BUG: past the end of the block of pages: 193 bytes at %p", (void *)(p + 8000));
	free_pages(page, 1);
}

MISUSE(copy_to_freed_page, "a copy to a freed page", TIER_HARDENED, "at the call", "KASAN")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 1));

	free_pages(page, 1);
	CAUGHT(check_object_bounds(page_address(page), 8), "BUG: in a freed page: 8 bytes at %p",
	       page_address(page));
}

MISUSE(copy_of_negative_size, "a copy of a negative size", TIER_HARDENED, "at the call",
       "the same (check_copy_size); KASAN")
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	CAUGHT(check_object_bounds(p, (size_t)-1), "BUG: around the end of all addresses");
	kfree(p);
}

/* --- arenas --- */

static struct vmem *must_arena(void)
{
	return must(
	    vmem_create("planted", 0x1000, 0x10000, 0x1000, NULL, NULL, NULL, 0, GFP_KERNEL));
}

MISUSE(vmem_wrong_size, "vmem_free() of another size", TIER_RELEASE, "at the free",
       "(illumos' vmem: a panic; its kmem: BADSIZE)")
{
	struct vmem *v = must_arena();
	u64 at = vmem_alloc(v, 0x3000, GFP_KERNEL);

	ASSERT_NE(at, 0);
	CAUGHT(vmem_free(v, at, 0x2000), "vmem: wrong size arena=planted addr=%#lx size=0x2000",
	       (unsigned long)at);
	vmem_free(v, at, 0x3000);
	EXPECT_EQ(vmem_destroy(v), 0);
}

MISUSE(vmem_wrong_base, "vmem_free() of an address inside a segment", TIER_RELEASE, "at the free",
       "(illumos' vmem: a panic; its kmem: BADBASE)")
{
	struct vmem *v = must_arena();
	u64 at = vmem_alloc(v, 0x3000, GFP_KERNEL);

	ASSERT_NE(at, 0);
	CAUGHT(vmem_free(v, at + 0x1000, 0x2000), "vmem: inside a segment arena=planted addr=%#lx",
	       (unsigned long)at + 0x1000);
	vmem_free(v, at, 0x3000);
	EXPECT_EQ(vmem_destroy(v), 0);
}

MISUSE(vmem_foreign, "vmem_free() of what no span holds", TIER_RELEASE, "at the free",
       "(illumos' vmem: a panic; its kmem: BADADDR)")
{
	struct vmem *v = must_arena();

	CAUGHT(vmem_free(v, 0x900000, 0x1000), "vmem: free of what no span holds arena=planted");
	EXPECT_EQ(vmem_destroy(v), 0);
}
