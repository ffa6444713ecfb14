/*
 * Wrong frees and other misuse of objects: caches' and kmalloc()'s.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/misuse/misuse.h"
#include "tests/model/plain_cache.h"

#define FREELIST "nothing but two in a row (SLAB_FREELIST_HARDENED); slab_debug=F, KASAN"
#define INVALID "nothing: the free list is corrupted; slab_debug=F, KASAN"

static struct kmem_cache *must_create(void)
{
	return must(kmem_cache_create("planted", 120, 0, 0, NULL));
}

static void destroy(struct kmem_cache *c)
{
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- twice --- */

MISUSE(kfree_twice, "double kfree(), object in a magazine", TIER_RELEASE, "at the free", FREELIST)
{
	char *p = must(kmalloc(100, GFP_KERNEL)), *q = must(kmalloc(100, GFP_KERNEL));

	kfree(p);
	kfree(q);
	CAUGHT(kfree(p), "kfree: double free object=%p cache=kmalloc-112", p);
	CAUGHT(kfree(q), "kfree: double free object=%p cache=kmalloc-112", q);
}

MISUSE(free_twice_in_slab, "double free, object back in its slab", TIER_RELEASE, "at the free",
       FREELIST)
{
	struct kmem_cache *c = must_create();
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL)), *pin;

	pin = must(kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_free(c, p);
	(void)kmem_cache_shrink(c);
	CAUGHT(kmem_cache_free(c, p), "slab: double free object=%p cache=planted", p);
	kmem_cache_free(c, pin);
	destroy(c);
}

MISUSE(bulk_free_twice, "one object twice in a bulk free", TIER_RELEASE, "at the free",
       "SLAB_FREELIST_HARDENED where they are neighbours; slab_debug=F, KASAN")
{
	struct kmem_cache *c = must_create();
	void *objects[3];

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 2, objects), 2);
	objects[2] = objects[0];
	CAUGHT(kmem_cache_free_bulk(c, 3, objects), "slab: double free object=%p cache=planted",
	       objects[0]);
	destroy(c);
}

/* Both CPUs have seen it live; so it is in two magazines. */
MISUSE(free_raced, "two CPUs free one object in the same moment", TIER_RELEASE,
       "at the next allocation of it", "nothing: one object has two owners; KASAN may see it")
{
	struct kmem_cache *c = must_create();
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL));
	struct slab_object_info info;
	u16 *tag;

	ASSERT_TRUE(slab_object_of(p, &info));
	tag = &slab_of(p)->tag[info.index];
	kmem_cache_free(c, p);
	*tag = (u16)info.tag; /* the other's first allocation of it */
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "slab: cached object is in use, freed twice at once? object=%p cache=planted", p);
	*tag = TAG_IN_MAGAZINE;
	destroy(c);
}

MISUSE(large_kfree_twice, "double kfree() of a large block", TIER_RELEASE, "at the free",
       "a warning (order 0) or a corrupted free list; KASAN")
{
	char *p = must(kmalloc(50000, GFP_KERNEL));

	kfree(p);
	CAUGHT(kfree(p), "kfree: memory of a freed page address=%p cache=kmalloc", p);
}

MISUSE(sensitive_twice, "kfree_sensitive() of a freed object", TIER_RELEASE, "before it is wiped",
       "KASAN; the new owner's data are wiped")
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	kfree(p);
	CAUGHT(kfree_sensitive(p), "kfree: double free object=%p cache=kmalloc-112", p);
}

/* --- the wrong address --- */

MISUSE(kfree_interior, "kfree() of an address inside an object", TIER_RELEASE, "at the free",
       INVALID)
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	CAUGHT(kfree(p + 8),
	       "kfree: not the start of an object address=%p object=%p offset=8 cache=kmalloc-112",
	       p + 8, p);
	CAUGHT(kfree(p + 111), "offset=111");
	kfree(p);
}

MISUSE(kfree_misaligned, "kfree() of a misaligned address", TIER_RELEASE, "at the free", INVALID)
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	CAUGHT(kfree(p + 1), "kfree: not the start of an object address=%p", p + 1);
	kfree(p);
}

MISUSE(kfree_inside_large, "kfree() of an address inside a large block", TIER_RELEASE,
       "at the free", "a warning (order 0), or the block's head is freed; KASAN")
{
	char *p = must(kmalloc(50000, GFP_KERNEL));

	CAUGHT(kfree(p + 4096), "kfree: inside a large kmalloc address=%p", p + 4096);
	kfree(p);
}

MISUSE(kfree_on_stack, "kfree() of an address on the stack", TIER_RELEASE, "at the free",
       "an oops, or a warning where the stack is in the direct map; KASAN")
{
	int local;

	CAUGHT(kfree(must(&local)), "kfree: not heap memory address=%p", (void *)&local);
}

MISUSE(kfree_of_data, "kfree() of a global", TIER_RELEASE, "at the free",
       "a warning: no slab page; KASAN")
{
	static int global;

	CAUGHT(kfree(must(&global)), "kfree: not heap memory address=%p", (void *)&global);
}

MISUSE(kfree_of_nonsense, "kfree() of a number that is no address", TIER_RELEASE, "at the free",
       "an oops in kfree()")
{
	CAUGHT(kfree((void *)0x4141414141414141ul), "kfree: not heap memory address=0x41414141");
	CAUGHT(kfree((void *)0x1000), "kfree: not heap memory address=");
}

MISUSE(kfree_of_vmalloc, "kfree() of a vmalloc address", TIER_RELEASE, "at the free",
       "an oops; DEBUG_VIRTUAL")
{
	char *p = must(vmalloc(100));

	CAUGHT(kfree(p), "kfree: a vmalloc address, for vfree() address=%p", p);
	vfree(p);
}

MISUSE(kfree_of_a_page, "kfree() of memory from alloc_pages()", TIER_RELEASE, "at the free",
       "frees it (order > 0), or warns")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 2));

	CAUGHT(kfree(page_address(page)), "kfree: memory of alloc_pages address=%p",
	       page_address(page));
	free_pages(page, 2);
}

MISUSE(kfree_of_a_freed_page, "kfree() of an address in a freed page", TIER_RELEASE, "at the free",
       "a warning, or a page freed twice; KASAN")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 2));

	free_pages(page, 2);
	CAUGHT(kfree(page_address(page)), "kfree: memory of a freed page address=%p",
	       page_address(page));
}

MISUSE(kfree_never_allocated, "free of an object that was never allocated", TIER_RELEASE,
       "at the free", "nothing: it is handed out twice; slab_debug=F, KASAN")
{
	struct kmem_cache *c = must(plain_cache_create("planted", 120, 0, SLAB_NO_MAGAZINE));
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL));

	CAUGHT(kmem_cache_free(c, p + 120), "slab: double free object=%p cache=planted", p + 120);
	kmem_cache_free(c, p);
	destroy(c);
}

MISUSE(free_behind_the_last, "free of a slab's tail", TIER_RELEASE, "at the free", INVALID)
{
	struct kmem_cache *c = must_create();
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL)), *tail;

	tail = slab_object(c, slab_of(p), c->nr_objects);
	CAUGHT(kmem_cache_free(c, tail), "slab: not an object of its slab address=%p", tail);
	kmem_cache_free(c, p);
	destroy(c);
}

/* --- the wrong cache --- */

MISUSE(wrong_cache, "kmem_cache_free() to another cache", TIER_RELEASE, "at the free",
       "a line, and goes on (SLAB_FREELIST_HARDENED); slab_debug=F")
{
	struct kmem_cache *c = must_create(), *owner;
	char *p;

	owner = must(kmem_cache_create("owner", 120, 0, 0, NULL));
	p = must(kmem_cache_alloc(owner, GFP_KERNEL));
	CAUGHT(kmem_cache_free(c, p), "slab: wrong cache object=%p cache=planted owner=owner", p);
	kmem_cache_free(owner, p);
	destroy(owner);
	destroy(c);
}

MISUSE(kfree_of_the_managers, "kfree() of the allocator's own records", TIER_RELEASE, "at the free",
       "frees them")
{
	struct kmem_cache *c = must_create();

	CAUGHT(kfree(c), "kfree: memory of the allocator itself address=%p cache=kmem_cache",
	       (void *)c);
	destroy(c);
}

/* --- sizes and freed objects --- */

MISUSE(size_overflows, "kmalloc_array() whose product overflows", TIER_RELEASE,
       "at once: NULL is the answer", "the same")
{
	volatile size_t n = 1ul << 61;

	REFUSED(kmalloc_array(n, 16, GFP_KERNEL) == NULL, "(NULL)");
	EXPECT_NULL(kcalloc(n, 8, GFP_KERNEL));
}

MISUSE(size_is_negative, "kmalloc() of a negative size", TIER_RELEASE,
       "at once: NULL is the answer", "the same, with a warning")
{
	volatile long size = -5;

	REFUSED(kmalloc((size_t)size, GFP_KERNEL) == NULL, "(NULL)");
	EXPECT_NULL(vmalloc((size_t)size));
}

MISUSE(krealloc_freed, "krealloc() of a freed object", TIER_RELEASE, "at the call", "KASAN")
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	kfree(p);
	CAUGHT((void)krealloc(p, 5000, GFP_KERNEL),
	       "krealloc: freed object object=%p cache=kmalloc-112", p);
}

MISUSE(ksize_freed, "ksize() of a freed object", TIER_RELEASE, "at the call", "KASAN")
{
	char *p = must(kmalloc(100, GFP_KERNEL));

	kfree(p);
	CAUGHT((void)ksize(p), "ksize: freed object object=%p cache=kmalloc-112", p);
}

/* --- caches --- */

MISUSE(destroy_with_live, "kmem_cache_destroy() with live objects", TIER_RELEASE,
       "at once: -EBUSY, a line a call site", "a warning; whose they are with slab_debug=U")
{
	struct kmem_cache *c = must_create();
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL));

	REFUSED(kmem_cache_destroy(c) == -EBUSY,
	        "slab: cache planted not destroyed: 1 objects are live");
	kmem_cache_free(c, p);
	destroy(c);
}

MISUSE(destroy_twice, "kmem_cache_destroy() twice", TIER_RELEASE, "at the call", "KASAN")
{
	struct kmem_cache *c = must_create();

	destroy(c);
	CAUGHT((void)kmem_cache_destroy(c), "slab: not a cache, or destroyed before cache=%p",
	       (void *)c);
}

MISUSE(alloc_after_destroy, "allocation from a destroyed cache", TIER_RELEASE, "at the allocation",
       "KASAN")
{
	struct kmem_cache *c = must_create();

	destroy(c);
	platform_unpoison(c, sizeof(*c));
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "slab: allocation from a destroyed cache cache=%p", (void *)c);
	platform_poison(c, sizeof(*c));
}

MISUSE(free_bits_damaged, "a slab's free bits damaged", TIER_RELEASE, "at the next refill",
       "nothing: its free list lies in the objects; SLAB_FREELIST_HARDENED hides the links")
{
	struct kmem_cache *c = must(plain_cache_create("planted", 120, 0, SLAB_NO_MAGAZINE));
	char *p = must(kmem_cache_alloc(c, GFP_KERNEL));
	struct slab *s = slab_of(p);

	s->tag[1] = TAG_FIRST_SITE;
	CAUGHT((void)kmem_cache_alloc(c, GFP_KERNEL),
	       "slab: free bit of a used object object=%p cache=planted", p + c->stride);
	spin_unlock(&c->lock); /* the panic came under it */
	s->tag[1] = TAG_IN_SLAB;
	kmem_cache_free(c, p);
	destroy(c);
}

static void no_roots(struct leak_scan *scan)
{
	(void)scan;
}

/* Several: a word in somebody's block of pages may look like one of them. */
MISUSE(object_leaked, "objects that nothing leads to any more", TIER_ASKED, "when asked: `leaks`",
       "kmemleak (every allocation recorded)")
{
	static struct leak_report before, after;
	char *p[50];

	ASSERT_EQ(leak_find(no_roots, &before), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = must(kzalloc(300, GFP_KERNEL));
	ASSERT_EQ(leak_find(no_roots, &after), 0);
	REFUSED(after.nr_leaked > before.nr_leaked,
	        "%lu live objects, %lu KiB of roots: %lu objects (%lu bytes) unreferenced", 0ul,
	        0ul, 0ul, 0ul);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kfree(p[i]);
}

/* --- what must stay silent --- */

LEGAL(free_of_nothing)
{
	struct kmem_cache *c = must_create();

	kfree(NULL);
	kfree(ZERO_SIZE_PTR);
	kfree(kmalloc(0, GFP_KERNEL));
	kfree_sensitive(NULL);
	kvfree(NULL);
	vfree(NULL);
	kmem_cache_free(c, NULL);
	kmem_cache_free_bulk(c, 0, NULL);
	EXPECT_EQ(kmem_cache_destroy(NULL), 0);
	mempool_free(NULL, NULL);
	mempool_destroy(NULL);
	destroy(c);
}

LEGAL(kfree_of_a_cache_object)
{
	struct kmem_cache *c = must_create();

	kfree(must(kmem_cache_alloc(c, GFP_KERNEL)));
	destroy(c);
}

/* All of what ksize() says may be used, whatever was asked for. */
LEGAL(all_of_the_usable_size)
{
	for (size_t size = 1; size < 20000; size = size * 3 / 2 + 1) {
		char *p = must(kmalloc(size, GFP_KERNEL));

		EXPECT_GE(ksize(p), size);
		memset(p, 0x5a, ksize(p));
		kfree(p);
	}
}

LEGAL(freed_and_allocated_again_at_the_same_address)
{
	for (unsigned i = 0; i < 200; i++) {
		char *p = must(kmalloc(100, GFP_KERNEL));

		memset(p, (int)i, 100);
		kfree(p);
	}
}

LEGAL(krealloc_up_and_down)
{
	char *p = must(kmalloc(10, GFP_KERNEL));

	for (size_t size = 20; size < 50000; size *= 3) {
		p = must(krealloc(p, size, GFP_KERNEL));
		p[size - 1] = 1;
	}
	p = must(krealloc(p, 7, GFP_KERNEL));
	EXPECT_TRUE(krealloc(p, 0, GFP_KERNEL) == ZERO_SIZE_PTR);
}
