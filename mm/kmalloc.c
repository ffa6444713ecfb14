/*
 * kmalloc: memory by size.
 *
 * Up to 8 KiB a request is rounded up to one of 32 size classes, each an object cache:
 * kmalloc_classes.c.
 *
 * Above, a request gets a run of just the pages that it needs: the tail of the power-of-two block
 * goes back at once. The head's struct page keeps the exact size and the call site.
 *
 * kfree learns everything from the address: page → slab → cache and object, or page → large run.
 *
 * Where a sanitizer looks (mm/platform.h), exactly the bytes that were asked for may be touched,
 * until ksize() tells of more.
 *
 * Memory that must lie low (__GFP_DMA, __GFP_DMA32) always comes as a run, since slabs may lie
 * anywhere.
 *
 * Invariants:
 *   K1  a size class's stride is its size (but under debugging, or with a sanitizer's red zone),
 *       and sizes ascend
 *   K2  every PAGE_LARGE page is the head of a run of at least `bytes`; their sums are those
 *       counted
 *   K3  a size class that has copies has no objects of its own
 */
#include "slab_fast.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/bounds.h>
#include <mm/harden.h>
#include <mm/kmalloc.h>
#include <mm/page_alloc.h>
#include <mm/vmalloc.h> /* is_vmalloc_addr() alone: what a wrong free is called */

/* The cache of a class. 1 … KMALLOC_MAX_CLASS bytes. */
static __always_inline struct kmem_cache *class_for(size_t size, gfp_t gfp)
{
	return (gfp & __GFP_DATA ? kmalloc_data_cache : kmalloc_cache)[(size - 1) / 16];
}

/* Of room bytes, which are somebody's now, these may be touched. */
static __always_inline void *narrow(void *p, size_t room, size_t size, enum poison_kind kind)
{
	const size_t whole = align_down(size, 8);

	if (!PLATFORM_POISONS) {
		platform_unpoison(p, room);
		return p;
	}
	platform_poison_as((char *)p + whole, room - whole, kind);
	platform_unpoison(p, size);
	return p;
}

/* --- large --- */

static u64 large_pages, large_objects; /* A */

u64 kmalloc_large_pages(void)
{
	return __atomic_load_n(&large_pages, __ATOMIC_RELAXED);
}

u64 kmalloc_large_objects(void)
{
	return __atomic_load_n(&large_objects, __ATOMIC_RELAXED);
}

bool kmalloc_large_has_zone; /* C: the bytes behind a large one, to the end of its last page */

static void large_set_bytes(struct page *head, size_t size)
{
	head->bytes = (u32)size;
	if (unlikely(kmalloc_large_has_zone))
		large_mark(head);
}

/* lab 5.2 */
static void *alloc_large(size_t size, gfp_t gfp, unsigned node, u32 tag)
{
	const u32 nr_pages = (u32)div_round_up(size, PAGE_SIZE);
	struct page *head;

	if (size > KMALLOC_MAX_SIZE)
		return NULL;
	head = unlikely(large_guard_on) ? large_guard_alloc(node, gfp, nr_pages)
	                                : page_run_alloc_node(node, gfp, nr_pages);
	if (head == NULL)
		return NULL;
	large_set_bytes(head, size);
	head->site = tag;
	__atomic_store_n(&head->type, PAGE_LARGE, __ATOMIC_RELEASE);
	if (unlikely(large_guard_on))
		large_guard_close(head);
	__atomic_add_fetch(&large_pages, head->nr_pages, __ATOMIC_RELAXED);
	__atomic_add_fetch(&large_objects, 1, __ATOMIC_RELAXED);
	if (event_any())
		event_bytes(EVENT_LARGE_ALLOC, (u64)large_address(head), size, EVENT_NO_CACHE, tag);
	if (PLATFORM_POISONS && !kmalloc_large_has_zone)
		narrow(large_address(head), (size_t)nr_pages << PAGE_SHIFT, size,
		       POISON_LARGE_TAIL);
	return large_address(head);
}

/* The bytes that may be used. */
static size_t large_size(const struct page *head)
{
	return kmalloc_large_has_zone ? head->bytes : align_up(head->bytes, PAGE_SIZE);
}

/* The head of the large run that starts at the address, or NULL. Any address. */
/* lab 5.2 */
static struct page *large_of(const void *p)
{
	u64 pfn = is_direct_map(p) ? virt_to_phys(p) >> PAGE_SHIFT : ~0ull;
	struct page *head = page_lookup(pfn);

	/* The page in front, the first of a block of which no more may have been written. */
	if (unlikely(large_guard_on) && (head == NULL || head->type == PAGE_INNER))
		head = page_lookup(pfn - 1);
	return head != NULL && head->type == PAGE_LARGE && large_address(head) == p ? head : NULL;
}

/* Only one of two racing frees turns the type. */
/* lab 5.2 */
static __noinline void free_large(const void *p)
{
	struct page *head = large_of(p);
	u8 large = PAGE_LARGE;

	if (unlikely(kmalloc_large_has_zone) && head != NULL)
		large_verify(head);
	if (unlikely(large_guard_on) && head != NULL)
		large_guard_open(head);
	if (head == NULL || !__atomic_compare_exchange_n(&head->type, &large, PAGE_ALLOCATED, false,
	                                                 __ATOMIC_ACQ_REL, __ATOMIC_RELAXED))
		slab_bad_free("kfree", NULL, p);
	if (event_any())
		event_bytes(EVENT_LARGE_FREE, (u64)p, head->bytes, EVENT_NO_CACHE, head->site);
	__atomic_sub_fetch(&large_pages, head->nr_pages, __ATOMIC_RELAXED);
	__atomic_sub_fetch(&large_objects, 1, __ATOMIC_RELAXED);
	platform_unpoison(page_address(head), (size_t)head->nr_pages << PAGE_SHIFT);
	page_run_free(head, head->nr_pages);
}

/* Calls visit for each large run, found by walking the page map block by block. Racy against other
 * CPUs. */
static void visit_large(void (*visit)(void *context, struct page *head), void *context)
{
	for_each_zone(z) {
		for (u64 pfn = z->buddy.low; pfn < z->buddy.high;) {
			struct page *page = page_lookup(pfn);

			if (page == NULL) {
				pfn = page_next_known_in(pageblock_map,
				                         align_down(pfn, PAGEBLOCK_PAGES) +
				                             PAGEBLOCK_PAGES,
				                         z->buddy.high);
				continue;
			}
			if (page->type == PAGE_LARGE && page->zone == z->id)
				visit(context, page);
			pfn += page->type == PAGE_FREE || page->type == PAGE_LARGE
			           ? page_block_pages(page)
			           : 1;
		}
	}
}

static void sum_large(void *context, struct page *head)
{
	(void)context;
	site_sums_add(head->site, 1, head->bytes);
}

void kmalloc_sum_large(void)
{
	visit_large(sum_large, NULL);
}

/* --- the interface --- */

static bool must_lie_low(gfp_t gfp)
{
	return (gfp & (__GFP_DMA | __GFP_DMA32)) != 0;
}

/* All that ksize() tells of may be touched. */
static __always_inline void widen(const void *p, size_t room)
{
	if (PLATFORM_POISONS && !guard_owns(p))
		platform_unpoison(p, room);
}

/* p: an object of the class for so many bytes, or NULL. Nothing without a sanitizer, and nothing to
 * those between guard pages, which are looked after already. */
static __always_inline void *narrow_object(void *p, size_t size)
{
	if (PLATFORM_POISONS && p != NULL && !guard_owns(p) && slab_of(p)->cache->debug == 0)
		narrow(p, kmalloc_cache[(size - 1) / 16]->size, size, POISON_RED_ZONE);
	return p;
}

/* Of a class under debugging or of a copy, on any node or this one. */
static void *alloc_of_class(struct kmem_cache *c, size_t size, gfp_t gfp, unsigned node, u32 tag)
{
	if (c->debug != 0)
		return slab_debug_alloc(c, gfp, tag, size, node);
	if (c->copies != NULL)
		c = cache_copy(c, tag);
	return node == ANY_NODE ? kmem_cache_alloc_tag(c, gfp, tag)
	                        : kmem_cache_alloc_node_tag(c, gfp, node, tag);
}

/* Above the plain classes, low, or data. */
static void *alloc_unusual(size_t size, gfp_t gfp, u32 tag)
{
	if (size > KMALLOC_MAX_CLASS || must_lie_low(gfp))
		return alloc_large(size, gfp, mm_this(pages)->node, tag);
	return narrow_object(alloc_of_class(class_for(size, gfp), size, gfp, ANY_NODE, tag), size);
}

static __noinline void *alloc_special(size_t size, gfp_t gfp, u32 tag)
{
	if (size == 0)
		return ZERO_SIZE_PTR;
	if (size > kmalloc_plain_classes || gfp & (KMALLOC_SPECIAL & ~__GFP_ZERO))
		return alloc_unusual(size, gfp, tag);
	return narrow_object(kmem_cache_alloc_tag(kmalloc_cache[(size - 1) / 16], gfp, tag), size);
}

static __noinline void *alloc_from_class_slowly(size_t size, gfp_t gfp, u32 tag)
{
	return narrow_object(slab_alloc_sized(class_for(size, gfp), gfp, tag, size), size);
}

static __always_inline void *alloc_from_class(struct kmem_cache *c, size_t size, gfp_t gfp, u32 tag)
{
	void *object;

	if (unlikely(!pop(cpu_objects_here(c->hot), tag, &object)))
		return alloc_from_class_slowly(size, gfp, tag);
	return narrow(object, c->size, size, POISON_RED_ZONE);
}

__mm_fast void *kmalloc_any(size_t size, gfp_t gfp, u32 tag)
{
	if (unlikely(size - 1 >= KMALLOC_MAX_CLASS || gfp & KMALLOC_SPECIAL))
		return alloc_special(size, gfp, tag);
	return alloc_from_class(kmalloc_cache[(size - 1) / 16], size, gfp, tag);
}

__mm_fast void *kmalloc_plain(size_t size, gfp_t gfp, u32 tag)
{
	if (unlikely(size - 1 >= KMALLOC_MAX_CLASS))
		return alloc_special(size, gfp, tag);
	return alloc_from_class(kmalloc_cache[(size - 1) / 16], size, gfp, tag);
}

__mm_fast void *kmalloc_plain_data(size_t size, gfp_t gfp, u32 tag)
{
	if (unlikely(size - 1 >= KMALLOC_MAX_CLASS))
		return alloc_special(size, gfp, tag);
	return alloc_from_class(kmalloc_data_cache[(size - 1) / 16], size, gfp, tag);
}

void *kmalloc_node_tag(size_t size, gfp_t gfp, unsigned node, u32 tag)
{
	if (node >= MAX_NODES)
		return NULL;
	if (size == 0)
		return ZERO_SIZE_PTR;
	if (size > KMALLOC_MAX_CLASS || must_lie_low(gfp))
		return alloc_large(size, gfp, node, tag);
	return narrow_object(
	    alloc_of_class(class_for(size, gfp), size, gfp, slab_has_nodes ? node : ANY_NODE, tag),
	    size);
}

/* lab 5.5 */
void *kmalloc_array_tag(size_t n, size_t size, gfp_t gfp, u32 tag)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return NULL;
	return kmalloc_any(bytes, gfp, tag);
}

static bool is_nothing(const void *p)
{
	return p == NULL || p == ZERO_SIZE_PTR;
}

/* lab 5.3 */
static __noinline void kfree_slowly(const void *p)
{
	if (is_nothing(p))
		return;
	if (is_vmalloc_addr(p))
		panic("kfree: a vmalloc address, for vfree() address=%p", p);
	if (slab_of(p) != NULL || guard_owns(p))
		slab_free_slowly("kfree", NULL, (void *)p);
	else
		free_large(p);
}

/* lab 5.3 */
__mm_fast void kfree(const void *p)
{
	if (unlikely(!free_fast(NULL, true, (void *)p)))
		kfree_slowly(p);
}

/* A live object under debugging, of anyone's but the manager's. Any address. */
static bool is_debugged_object(const void *p)
{
	struct slab_object_info info;

	return slab_object_of(p, &info) && info.offset == 0 && info.cache->debug != 0 &&
	       info.tag >= TAG_FIRST_SITE;
}

/* `freed` is what to call it when the object is not live. */
static __noinline size_t usable_size_slowly(const char *who, const char *freed, const void *p)
{
	struct slab_object_info info;
	const struct page *head;

	if (is_nothing(p))
		return 0;
	if (guard_size(p) != 0)
		return guard_size(p);
	head = large_of(p);
	if (head != NULL)
		return large_size(head);
	if (is_debugged_object(p))
		return slab_debug_size(slab_of(p), p);
	if (!slab_object_of(p, &info) || info.offset != 0 || info.cache->flags & SLAB_INTERNAL)
		slab_bad_free(who, NULL, p);
	panic_about(report_story, p, "%s: %s object=%p cache=%s", who, freed, p, info.cache->name);
}

/* A live object of anyone's but the manager's, with its tag and size. Any address. */
static __always_inline bool find_users(const void *p, struct slab **s, u16 **tag, size_t *size)
{
	struct kmem_cache *c;

	if (unlikely(!find_slot(p, s, tag) || **tag < TAG_FIRST_SITE))
		return false;
	c = (*s)->cache;
	*size = c->size;
	return likely(!(c->flags & SLAB_INTERNAL));
}

static __always_inline size_t usable_size(const char *who, const char *freed, const void *p)
{
	struct slab *s;
	size_t size;
	u16 *tag;

	return likely(find_users(p, &s, &tag, &size)) ? size : usable_size_slowly(who, freed, p);
}

/* lab 5.3 */
size_t ksize(const void *p)
{
	size_t size = usable_size("ksize", "freed object", p);

	widen(p, size);
	return size;
}

/* lab 5.3 */
void kfree_sensitive(const void *p)
{
	size_t size = usable_size("kfree", "double free", p);

	if (size != 0) {
		widen(p, size);
		memset((void *)p, 0, size);
		__asm__ volatile("" : : "r"(p) : "memory"); /* the stores must happen */
	}
	kfree(p);
}

/* size <= old. A new size that the same class, or the same number of pages, would serve stays where
 * it is. */
/* lab 5.4 */
static bool fits_in_place(const void *p, size_t old, size_t size)
{
	struct slab *s = slab_of(p);

	if (size == 0)
		return false;
	if (s != NULL && s->cache->debug != 0) {
		if (kmalloc_class_size(size) != s->cache->size)
			return false;
		slab_debug_resize(s, (void *)p, size);
		return true;
	}
	if (s != NULL || guard_owns(p))
		return kmalloc_class_size(size) == old;
	if (size <= KMALLOC_MAX_CLASS ||
	    div_round_up(size, PAGE_SIZE) != div_round_up(old, PAGE_SIZE))
		return false;
	if (kmalloc_large_has_zone)
		large_verify(large_of(p));
	large_set_bytes(large_of(p), size);
	return true;
}

static void *narrow_in_place(void *p, size_t room, size_t size)
{
	if (room <= KMALLOC_MAX_CLASS)
		return narrow_object(p, size);
	if (PLATFORM_POISONS && !kmalloc_large_has_zone)
		narrow(p, room, size, POISON_LARGE_TAIL);
	return p;
}

/* lab 5.4 */
static __noinline void *krealloc_slowly(const void *p, size_t size, gfp_t gfp, u32 tag)
{
	size_t old = usable_size("krealloc", "freed object", p);
	void *fresh;

	/* Where memory lies is not known here, so what must lie low always moves. */
	if (size <= old && !must_lie_low(gfp) && fits_in_place(p, old, size))
		return narrow_in_place((void *)p, old, size);
	fresh = kmalloc_any(size, gfp, tag);
	if (fresh == NULL)
		return NULL;
	if (old != 0) {
		widen(p, old);
		memcpy(fresh, p, min_u64(old, size));
	}
	kfree(p);
	return fresh;
}

/* An object that grows into another class. Two fast ways, of which nothing is carried across the
 * copying between them. */
/* lab 5.4 */
__mm_fast void *krealloc_tag(const void *p, size_t size, gfp_t gfp, u32 tag)
{
	struct kmem_cache *c;
	struct slab *s;
	u16 *old_tag;
	size_t old;
	void *fresh;

	if (unlikely(!find_users(p, &s, &old_tag, &old) || size <= old ||
	             size > KMALLOC_MAX_CLASS || gfp & KMALLOC_SPECIAL))
		return krealloc_slowly(p, size, gfp, tag);
	c = kmalloc_cache[(size - 1) / 16];
	if (unlikely(!pop(cpu_objects_here(c->hot), tag, &fresh)))
		return krealloc_slowly(p, size, gfp, tag);
	narrow(fresh, c->size, size, POISON_RED_ZONE);
	widen(p, old);
	memcpy(fresh, p, old);
	if (PLATFORM_POISONS)
		platform_poison(p, old);
	if (unlikely(*old_tag < TAG_FIRST_SITE ||
	             !push(cpu_objects_here(s->cpu), (void *)p, old_tag)))
		kfree(p);
	else if (!PLATFORM_POISONS)
		platform_poison(p, old);
	return fresh;
}

/* lab 5.5 */
char *kstrdup_tag(const char *s, gfp_t gfp, u32 tag)
{
	return s ? kmemdup_tag(s, strlen(s) + 1, gfp | __GFP_DATA, tag) : NULL;
}

/* lab 5.5 */
void *kmemdup_tag(const void *src, size_t size, gfp_t gfp, u32 tag)
{
	void *copy;

	if (size <= KMALLOC_MAX_SIZE)
		debug_check_bounds(src, size);
	copy = kmalloc_any(size, gfp, tag);
	if (copy != NULL && size != 0)
		memcpy(copy, src, size);
	return copy;
}

void kmalloc_init(void)
{
	large_pages = large_objects = 0;
	large_guard_on = mm_hardening().kmalloc_guard;
	kmalloc_large_has_zone = mm_debug_letters("kmalloc-large") & DEBUG_RED_ZONE;
	kmalloc_classes_init();
}

struct large_sums {
	u64 pages, objects;
	const char *fault;
};

static void check_large(void *context, struct page *head)
{
	struct large_sums *sums = context;

	if (head->order != ORDER_RUN || head->bytes > (u64)head->nr_pages << PAGE_SHIFT)
		sums->fault =
		    "K2: a large kmalloc's head is not that of a run which holds its bytes";
	sums->pages += head->nr_pages;
	sums->objects++;
}

const char *kmalloc_check(void)
{
	struct large_sums sums = {.fault = kmalloc_classes_check()};

	visit_large(check_large, &sums);
	if (sums.fault == NULL &&
	    (sums.pages != kmalloc_large_pages() || sums.objects != kmalloc_large_objects()))
		return "K2: the large kmallocs found are not those counted";
	return sums.fault;
}
