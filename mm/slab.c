/*
 * Slabs: pages cut into objects of one size, with everything that the allocator must remember kept
 * outside them.
 *
 * 1. The idea (Bonwick, "The Slab Allocator", USENIX 1994). Objects of one kind come from slabs:
 * runs of pages cut into equal slots. Finding a free slot needs no search by size, what is freed is
 * reused at once, and constructed state survives between uses. Bonwick kept the free list inside
 * the free objects; here nothing of the allocator's is inside an object, free or not.
 *
 * 2. The record. Every slab has one: base, reciprocal, a tag for each slot and a bit for each free
 * object. Records are objects of a few internal caches, whose own records stand at the start of
 * their slab (else the recursion would not end). Each page of a slab leads to the record through
 * its struct page, so an address is traced in O(1).
 *
 * 3. Index of an address: the high half of (address - base) * reciprocal, with reciprocal = 2^64 /
 * stride rounded up; and a slot starts at the address exactly when the low half is below the
 * reciprocal (Lemire, Kaser and Kurz, "Faster remainder by direct computation", 2019; the bounds
 * are in slab_internal.h). A record on its slab has the reciprocal 0, so that no address of the
 * page, the record's own among them, starts a slot: what lies there is nobody's to free.
 *
 * 4. Tags. 0: free in the slab; 1: free in a magazine; above: allocated, by that call site. One
 * store on each path buys exact double-free detection, the owner of every live object and the leak
 * report. A tail that is no object has a tag too, which stays 0: an address in it is not live.
 *
 * 5. Size of a slab: the smallest power of two of pages (up to 8) whose tail and metadata waste at
 * most 1/8 and which holds WANTED_OBJECTS if it can; for sizes where none does, a run of just the
 * pages that k objects need. With many objects a slab, few frees move a slab from list to list.
 *
 * 6. Full, four grades of partial, and empty slabs stand on lists of their own. A refill takes from
 * the fullest, so that the emptiest get a chance to run empty. Empty slabs are kept in proportion
 * to the cache; those that are more go back a few at a time, so that no operation pays for many.
 *
 * Invariants: slab_check.c. Not here: the public alloc and free (slab_cpu.c), magazines
 * (slab_depot.c), sizes (kmalloc.c). Locks: a cache's lock guards its lists and bits; pages and
 * records are allocated and freed outside it.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

/* --- lists --- */

u8 slab_list_for(const struct kmem_cache *c, u32 nr_free)
{
	if (nr_free == 0)
		return SLABS_FULL;
	if (nr_free == c->nr_objects)
		return SLABS_EMPTY;
	return (u8)(SLABS_PARTIAL + nr_free * NR_PARTIAL / c->nr_objects);
}

/* The least number of free objects above the slab's for which slab_list_for() differs. */
static u32 next_list_at(const struct kmem_cache *c, const struct slab *s)
{
	u32 grade = s->list - SLABS_PARTIAL + 1u;

	if (s->list == SLABS_FULL)
		return 1;
	if (s->list == SLABS_EMPTY)
		return UINT32_MAX;
	return (grade * c->nr_objects + NR_PARTIAL - 1) / NR_PARTIAL;
}

static void list_slab(struct kmem_cache *c, struct slab *s)
{
	s->list = slab_list_for(c, s->nr_free);
	s->relist_at = next_list_at(c, s);
	list_push_front(&c->slabs[s->list], &s->link);
	c->nonempty_lists |= 1u << s->list;
	c->nr_empty += s->list == SLABS_EMPTY;
}

static void unlist_slab(struct kmem_cache *c, struct slab *s)
{
	list_remove(&s->link);
	if (list_is_empty(&c->slabs[s->list]))
		c->nonempty_lists &= ~(1u << s->list);
	c->nr_empty -= s->list == SLABS_EMPTY;
}

static void relist_slab(struct kmem_cache *c, struct slab *s)
{
	unlist_slab(c, s);
	list_slab(c, s);
}

/* --- objects in and out of slabs --- */

static u32 take_from_slab(struct kmem_cache *c, struct slab *s, struct magazine_slot slots[], u32 n)
{
	u64 *bits = slab_bits(c, s);
	u32 taken = 0;

	for (u32 word = 0; taken < n && taken < s->nr_free; word++) {
		u64 left = bits[word];

		for (; left != 0 && taken < n; left &= left - 1) {
			u32 index = word * 64 + lowest_bit(left);

			if (unlikely(s->tag[index] != TAG_IN_SLAB))
				panic("slab: free bit of a used object object=%p cache=%s",
				      slab_object(c, s, index), c->name);
			s->tag[index] = TAG_IN_MAGAZINE;
			slots[taken++] =
			    (struct magazine_slot){slab_object(c, s, index), &s->tag[index]};
		}
		bits[word] = left;
	}
	s->nr_free -= taken;
	c->nr_free -= taken;
	return taken;
}

u32 slab_take_locked(struct kmem_cache *c, struct magazine_slot slots[], u32 n)
{
	u32 taken = 0;

	while (taken < n) {
		u32 usable = c->nonempty_lists & ~(1u << SLABS_FULL);
		struct slab *s;

		if (usable == 0)
			break;
		s = list_first(&c->slabs[lowest_bit(usable)], struct slab, link);
		taken += take_from_slab(c, s, slots + taken, n - taken);
		relist_slab(c, s);
	}
	return taken;
}

void slab_put_locked(struct kmem_cache *c, const struct magazine_slot slots[], u32 n)
{
	for (u32 i = 0; i < n; i++) {
		struct slab *s = virt_to_page(slots[i].object)->slab;

		*slots[i].tag = TAG_IN_SLAB;
		bitmap_set(slab_bits(c, s), (size_t)(slots[i].tag - s->tag));
		if (++s->nr_free == s->relist_at)
			relist_slab(c, s);
	}
	c->nr_free += n;
}

static void take_empty_locked(struct kmem_cache *c, struct list *surplus)
{
	struct slab *s = list_entry(c->slabs[SLABS_EMPTY].prev, struct slab, link); /* coldest */

	unlist_slab(c, s);
	c->nr_slabs--;
	c->nr_free -= c->nr_objects;
	list_push_back(surplus, &s->link);
}

void slab_trim_locked(struct kmem_cache *c, struct list *surplus)
{
	enum { AT_ONCE = 2, KEPT = 1, KEPT_SHARE = 16 };

	for (u32 i = 0; i < AT_ONCE && c->nr_empty > KEPT + c->nr_slabs / KEPT_SHARE; i++)
		take_empty_locked(c, surplus);
}

void slab_take_empty_locked(struct kmem_cache *c, struct list *surplus)
{
	while (c->nr_empty != 0)
		take_empty_locked(c, surplus);
}

/* --- slabs from and to the page allocator --- */

static struct page *pages_alloc(const struct kmem_cache *c, gfp_t gfp)
{
	gfp &= ~(__GFP_ZERO | __GFP_DMA | __GFP_DMA32);
	return is_pow2(c->nr_pages) ? alloc_pages(gfp, highest_bit(c->nr_pages))
	                            : page_run_alloc(gfp, c->nr_pages);
}

static void pages_free(const struct kmem_cache *c, struct page *head)
{
	if (is_pow2(c->nr_pages))
		free_pages(head, highest_bit(c->nr_pages));
	else
		page_run_free(head, c->nr_pages);
}

static void pages_enter_slab(struct page *head, u32 nr_pages, struct slab *s)
{
	for (u32 i = 0; i < nr_pages; i++) {
		head[i].slab = s;
		head[i].type = PAGE_SLAB;
	}
}

static void pages_leave_slab(struct page *head, u32 nr_pages)
{
	head->type = PAGE_ALLOCATED;
	for (u32 i = 1; i < nr_pages; i++)
		head[i].type = PAGE_INNER;
}

static struct slab *record_alloc(struct kmem_cache *c, struct page *head, gfp_t gfp)
{
	if (c->record_cache == NULL)
		return page_address(head);
	return slab_alloc(c->record_cache, gfp & ~__GFP_ZERO, ALLOC_TAG());
}

static void record_init(struct kmem_cache *c, struct slab *s, struct page *head)
{
	u64 start = (u64)page_address(head);

	memset(s, 0, c->record_bytes);
	s->base = c->record_cache ? start : start + align_up(c->record_bytes, 16);
	s->reciprocal = c->reciprocal;
	s->cpu = c->flags & (SLAB_NO_MAGAZINE | SLAB_ZERO_ON_FREE) ? cpu_objects_none : c->cpu;
	s->cache = c;
	s->nr_pages = c->nr_pages;
	s->nr_free = c->nr_objects;
	bitmap_fill(slab_bits(c, s), c->nr_objects);
}

/* The end of its pages. */
static u64 slab_end(const struct slab *s)
{
	return align_down(s->base, PAGE_SIZE) + ((u64)s->nr_pages << PAGE_SHIFT);
}

bool slab_grow(struct kmem_cache *c, gfp_t gfp)
{
	struct page *head = pages_alloc(c, gfp);
	struct slab *s;
	u64 flags;

	if (head == NULL)
		return false;
	s = record_alloc(c, head, gfp);
	if (s == NULL) {
		pages_free(c, head);
		return false;
	}
	record_init(c, s, head);
	for (u32 i = 0; c->ctor != NULL && i < c->nr_objects; i++)
		c->ctor(slab_object(c, s, i));
	platform_poison((void *)s->base, slab_end(s) - s->base);
	pages_enter_slab(head, c->nr_pages, s);

	flags = spin_lock_irq(&c->lock);
	list_slab(c, s);
	c->nr_slabs++;
	c->nr_free += c->nr_objects;
	spin_unlock_irq(&c->lock, flags);
	return true;
}

u64 slab_release(struct kmem_cache *c, struct list *surplus)
{
	u64 pages = 0;

	while (!list_is_empty(surplus)) {
		struct slab *s = list_first(surplus, struct slab, link);
		struct page *head = virt_to_page((void *)align_down(s->base, PAGE_SIZE));

		list_remove(&s->link);
		pages += s->nr_pages;
		platform_unpoison((void *)s->base, slab_end(s) - s->base);
		pages_leave_slab(head, s->nr_pages);
		if (c->record_cache != NULL)
			kmem_cache_free(c->record_cache, s);
		pages_free(c, head);
	}
	return pages;
}
