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
 * 5. Size of a slab: the smallest power of two of pages (up to 4) that holds 64 objects, else the
 * largest, when its tail is at most 1/32; for sizes where no tail is, a run of just the pages that
 * k objects need. With many objects a slab, few frees move a slab from list to list.
 *
 * 6. Full, two grades of partial, and empty slabs stand on lists of their own. A refill takes from
 * the fullest, so that the emptiest get a chance to run empty, and by whole cache lines of tags, so
 * that two CPUs do not write to the same ones; records are aligned to lines for that. Empty slabs
 * are kept in proportion to the cache; those that are more go back a few at a time, so that no
 * operation pays for many.
 *
 * 7. With slab_randomize() a refill takes each object at random from the slab, so that neither the
 * next address nor the neighbour of an object can be foretold (the choice is hardened_malloc's: the
 * next free slot behind a random one).
 *
 * Invariants: slab_check.c. Not here: the public alloc and free (slab_cpu.c), magazines
 * (slab_depot.c), sizes (kmalloc.c). Locks: a cache's lock guards its lists and bits; pages and
 * records are allocated and freed outside it.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/rng.h>
#include <lib/string.h>
#include <mm/node.h>
#include <mm/page_alloc.h>

/* --- lists --- */

void slab_set_grades(struct kmem_cache *c)
{
	c->list_at[SLABS_FULL] = 0;
	for (u32 grade = 0; grade < NR_PARTIAL; grade++)
		c->list_at[SLABS_PARTIAL + grade] =
		    (u32)max_u64(1, div_round_up((u64)c->nr_objects * grade, NR_PARTIAL));
	c->list_at[SLABS_EMPTY] = c->nr_objects;
	c->list_at[NR_SLAB_LISTS] = UINT32_MAX;
}

/* Puts a slab with so many free objects on the list where it belongs, which is not below `list`. */
static __always_inline void list_slab(struct kmem_cache *c, struct slab *s, u32 nr_free, u8 list)
{
	while (nr_free >= c->list_at[list + 1])
		list++;
	s->list = list;
	s->nr_to_next = c->list_at[list + 1] - nr_free;
	list_push_front(&c->slabs[list], &s->link);
	c->nonempty_lists |= 1u << list;
	c->nr_empty += list == SLABS_EMPTY;
}

static __always_inline void unlist_slab(struct kmem_cache *c, struct slab *s)
{
	list_remove(&s->link);
	if (list_is_empty(&c->slabs[s->list]))
		c->nonempty_lists &= ~(1u << s->list);
	c->nr_empty -= s->list == SLABS_EMPTY;
}

/* It has as many free objects as the next list wants. */
/* lab 4.3 */
static __noinline void relist_slab(struct kmem_cache *c, struct slab *s)
{
	unlist_slab(c, s);
	list_slab(c, s, c->list_at[s->list + 1], s->list + 1);
}

/* --- objects in and out of slabs --- */

static _Noreturn __cold void bad_free_bit(const struct kmem_cache *c, struct slab *s, u32 index)
{
	if (index >= c->nr_objects)
		panic("slab: fewer free bits than free objects slab=%p cache=%s", (void *)s,
		      c->name);
	panic("slab: free bit of a used object object=%p cache=%s", slab_object(c, s, index),
	      c->name);
}

/* Objects of the slab, which has `most` free ones at least: up to that, but no other line of tags
 * once there are `enough`. Returns the end of them. */
/* lab 4.2 */
static struct magazine_slot *take_from_slab(struct kmem_cache *c, struct slab *s,
                                            struct magazine_slot *to, u32 enough, u32 most)
{
	const struct magazine_slot *start = to, *end = to + most, *stop = to + enough;
	u64 *bits = slab_bits(c, s), base = s->base;
	u32 stride = c->stride;

	for (u32 first = 0; to < stop; first += TAGS_A_LINE) {
		u64 *word = &bits[first / 64], line = TAGS_A_LINE_MASK << first % 64;
		u64 left = first < c->nr_objects ? *word & line : (bad_free_bit(c, s, first), 0ull);

		for (; left != 0 && to < end; left &= left - 1) {
			u32 index = first / 64 * 64 + lowest_bit(left);
			u16 *tag = &s->tag[index];

			if (unlikely(*tag != TAG_IN_SLAB))
				bad_free_bit(c, s, index);
			*tag = TAG_IN_MAGAZINE;
			*to++ = (struct magazine_slot){(void *)(base + (u64)index * stride), tag};
		}
		*word = (*word & ~line) | left;
	}
	c->nr_free -= (u32)(to - start);
	return to;
}

/* The same, but each object is the next free one behind a random place. */
static __noinline struct magazine_slot *take_randomly(struct kmem_cache *c, struct slab *s,
                                                      struct magazine_slot *to, u32 n)
{
	u64 *bits = slab_bits(c, s);

	for (const struct magazine_slot *end = to + n; to < end; to++) {
		u64 from = rng_word_below(&c->random, c->nr_objects);
		size_t index = bitmap_next(bits, c->nr_objects, from);

		if (index == c->nr_objects)
			index = bitmap_next(bits, c->nr_objects, 0);
		if (unlikely(index == c->nr_objects || s->tag[index] != TAG_IN_SLAB))
			bad_free_bit(c, s, (u32)index);
		bitmap_clear(bits, index);
		s->tag[index] = TAG_IN_MAGAZINE;
		*to = (struct magazine_slot){slab_object(c, s, (u32)index), &s->tag[index]};
	}
	c->nr_free -= n;
	return to;
}

/* Objects of one slab, which has some: to enough of them, to the end at most. Returns their end. */
/* lab 4.2 */
static __always_inline struct magazine_slot *
take_part(struct kmem_cache *c, struct slab *s, struct magazine_slot *to, u32 enough, u32 most)
{
	u32 nr_free = slab_nr_free(c, s), part;
	struct magazine_slot *end;

	debug_assert(nr_free != 0);
	most = (u32)min_u64(most, nr_free);
	if (unlikely(c->random != 0))
		end = take_randomly(c, s, to, most);
	else
		end = take_from_slab(c, s, to, (u32)min_u64(enough, most), most);
	part = (u32)(end - to);
	s->nr_to_next += part;
	if (nr_free - part < c->list_at[s->list]) {
		unlist_slab(c, s);
		list_slab(c, s, nr_free - part, SLABS_FULL);
	}
	return end;
}

struct magazine_slot slab_take_one_locked(struct kmem_cache *c, struct slab *s)
{
	struct magazine_slot slot;

	spin_assert_held(&c->lock);
	(void)take_part(c, s, &slot, 1, 1);
	return slot;
}

/* Half of n is enough: then the rest of a slab is left to others before a line of tags, which both
 * would write to, is divided. */
/* lab 4.2 */
u32 slab_take_locked(struct kmem_cache *c, struct magazine_slot slots[], u32 n)
{
	struct magazine_slot *to = slots, *stop = slots + (n - n / 2), *end = slots + n;

	spin_assert_held(&c->lock);
	while (to < stop) {
		u32 usable = c->nonempty_lists & ~(1u << SLABS_FULL);
		struct slab *s = NULL;

		if (usable == 0)
			break;
		if (unlikely(slab_has_nodes))
			s = slab_of_node_locked(c, mm_this_node());
		if (likely(s == NULL))
			s = list_first(&c->slabs[lowest_bit(usable)], struct slab, link);
		to = take_part(c, s, to, (u32)(stop - to), (u32)(end - to));
	}
	return (u32)(to - slots);
}

/* Kept short, for this is what a free costs beyond its fast way. */
/* lab 4.3 */
static __always_inline void put_objects(struct kmem_cache *c, const struct magazine_slot slots[],
                                        u32 n, bool one_word)
{
	u16 in_slab = TAG_IN_SLAB;

	__asm__("" : "+r"(in_slab)); /* or it is made anew for each object */
	for (const struct magazine_slot *at = slots, *end = slots + n; at < end; at++) {
		struct magazine_slot slot = *at;
		struct slab *s = page_at(slot.object)->slab;
		u64 index = (u64)((char *)slot.tag - (char *)s->tag) / sizeof(u16);

		*slot.tag = in_slab;
		if (one_word)
			s->bits |= 1ull << index;
		else
			bitmap_set(slab_bits(c, s), index);
		if (unlikely(--s->nr_to_next == 0))
			relist_slab(c, s);
	}
}

/* lab 4.3 */
void slab_put_locked(struct kmem_cache *c, const struct magazine_slot slots[], u32 n)
{
	spin_assert_held(&c->lock);
	if (c->nr_objects <= 64)
		put_objects(c, slots, n, true);
	else
		put_objects(c, slots, n, false);
	c->nr_free += n;
}

static void take_empty_locked(struct kmem_cache *c, struct list *surplus)
{
	struct slab *s = list_entry(c->slabs[SLABS_EMPTY].prev, struct slab, link); /* coldest */

	debug_assert(!list_is_empty(&c->slabs[SLABS_EMPTY]));
	unlist_slab(c, s);
	c->nr_slabs--;
	c->nr_free -= c->nr_objects;
	list_push_back(surplus, &s->link);
}

/* lab 4.3 */
void slab_trim_locked(struct kmem_cache *c, u32 nr_put, struct list *surplus)
{
	enum { KEPT = 1, KEPT_SHARE = 64 };

	spin_assert_held(&c->lock);
	for (u32 nr = 0; c->nr_empty > KEPT + c->nr_slabs / KEPT_SHARE; nr += c->nr_objects) {
		if (nr != 0 && nr >= nr_put)
			break;
		take_empty_locked(c, surplus);
	}
}

void slab_take_empty_locked(struct kmem_cache *c, struct list *surplus)
{
	spin_assert_held(&c->lock);
	while (c->nr_empty != 0)
		take_empty_locked(c, surplus);
}

/* --- one object, past the magazines --- */

void *slab_take_bare(struct kmem_cache *c, u32 tag)
{
	struct magazine_slot slot;
	u64 flags = spin_lock_irq(&c->lock);
	u32 taken = slab_take_locked(c, &slot, 1);

	spin_unlock_irq(&c->lock, flags);
	if (taken == 0)
		return NULL;
	*slot.tag = (u16)tag;
	return slot.object;
}

void *slab_alloc_bare(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	void *object;

	if (inject_fails_object(c, gfp, tag))
		return NULL;
	do
		object = slab_take_bare(c, tag);
	while (object == NULL && slab_grow(c, gfp));
	if (object != NULL)
		platform_unpoison(object, c->size);
	return object;
}

void slab_put_bare(struct kmem_cache *c, struct magazine_slot slot)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags = spin_lock_irq(&c->lock);

	slab_put_locked(c, &slot, 1);
	slab_trim_locked(c, 1, &surplus);
	spin_unlock_irq(&c->lock, flags);
	slab_release(c, &surplus);
}

void slab_free_bare(struct kmem_cache *c, void *object)
{
	struct slab *s = page_at(object)->slab;
	u64 index = ((u64)object - s->base) / c->stride;

	platform_poison(object, c->size);
	slab_put_bare(c, (struct magazine_slot){object, &s->tag[index]});
}

/* --- slabs from and to the page allocator --- */

static u64 nr_released; /* A: pages, ever */

static struct page *pages_alloc(const struct kmem_cache *c, gfp_t gfp)
{
	gfp &= ~(__GFP_ZERO | __GFP_DMA | __GFP_DMA32 | __GFP_DATA);
	return is_pow2(c->nr_pages) ? alloc_pages(gfp, highest_bit(c->nr_pages))
	                            : page_run_alloc(gfp, c->nr_pages);
}

static struct page *pages_alloc_on(const struct kmem_cache *c, gfp_t gfp, unsigned node)
{
	gfp &= ~(__GFP_ZERO | __GFP_DMA | __GFP_DMA32 | __GFP_DATA);
	return is_pow2(c->nr_pages) ? alloc_pages_node(node, gfp, highest_bit(c->nr_pages))
	                            : page_run_alloc_node(node, gfp, c->nr_pages);
}

static void pages_free(const struct kmem_cache *c, struct page *head)
{
	if (unlikely(retire_is_wanted()))
		retire_mark_owned(head, c->nr_pages);
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
	return slab_alloc_bare(c->record_cache, gfp, ALLOC_TAG());
}

static void record_init(struct kmem_cache *c, struct slab *s, struct page *head)
{
	u64 start = (u64)page_address(head);

	memset(s, 0, c->record_bytes);
	s->base = c->record_cache ? start + c->lead : start + align_up(c->record_bytes, CACHE_LINE);
	s->reciprocal = c->reciprocal;
	s->cache = c;
	s->nr_pages = (u16)c->nr_pages;
	s->node = (u8)page_zone(head)->node;
	bitmap_fill(slab_bits(c, s), c->nr_objects);
}

/* The end of its pages. */
static u64 slab_end(const struct slab *s)
{
	return slab_start(s) + ((u64)s->nr_pages << PAGE_SHIFT);
}

static __noinline void record_slab(enum event_kind kind, const struct kmem_cache *c,
                                   const struct page *head)
{
	event_bytes(kind, (u64)page_to_pfn(head) << PAGE_SHIFT, (u64)c->nr_pages << PAGE_SHIFT,
	            c->number, EVENT_NO_SITE);
}

/* Makes a slab of these pages. False: no memory for its record, or no pages. */
/* lab 4.4 */
static bool grow_with(struct kmem_cache *c, gfp_t gfp, struct page *head)
{
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
	if (c->debug != 0)
		slab_debug_enter(c, s);
	platform_poison_as((void *)s->base, slab_end(s) - s->base, POISON_RED_ZONE);
	pages_enter_slab(head, c->nr_pages, s);
	if (event_any())
		record_slab(EVENT_SLAB_NEW, c, head);

	flags = spin_lock_irq(&c->lock);
	s->cpu = c->home;
	list_slab(c, s, c->nr_objects, SLABS_EMPTY);
	c->nr_slabs++;
	c->nr_free += c->nr_objects;
	spin_unlock_irq(&c->lock, flags);
	return true;
}

u64 slab_nr_released(void)
{
	return __atomic_load_n(&nr_released, __ATOMIC_RELAXED);
}

/* lab 4.4 */
bool slab_grow(struct kmem_cache *c, gfp_t gfp)
{
	return grow_with(c, gfp, pages_alloc(c, gfp));
}

bool slab_grow_on(struct kmem_cache *c, gfp_t gfp, unsigned *node)
{
	struct page *head = pages_alloc_on(c, gfp, *node);

	if (head != NULL)
		*node = page_zone(head)->node;
	return grow_with(c, gfp, head);
}

/* lab 4.4 */
u64 slab_release(struct kmem_cache *c, struct list *surplus)
{
	u64 pages = 0;

	while (!list_is_empty(surplus)) {
		struct slab *s = list_first(surplus, struct slab, link);
		struct page *head = virt_to_page((void *)slab_start(s));

		list_remove(&s->link);
		if (c->debug != 0)
			slab_debug_leave(c, s);
		pages += s->nr_pages;
		platform_unpoison((void *)s->base, slab_end(s) - s->base);
		pages_leave_slab(head, s->nr_pages);
		if (c->record_cache != NULL)
			slab_free_bare(c->record_cache, s);
		if (event_any())
			record_slab(EVENT_SLAB_GONE, c, head);
		pages_free(c, head);
	}
	if (pages != 0)
		__atomic_add_fetch(&nr_released, pages, __ATOMIC_RELAXED);
	return pages;
}
