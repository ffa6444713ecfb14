/*
 * Guaranteed reserves: see <mm/mempool.h>.
 *
 * A pool is an array of elements that are kept back, under its lock, and the list of the threads
 * that wait for one. Freeing fills the reserve before anything goes back to the allocator.
 *
 *   P1  0 <= nr <= min_nr; element[0 … nr) are there, each once
 *   P2  min_nr - nr elements of the reserve are out, with users: each of them comes back here
 *   P3  nobody waits while nr > 0, but those who are woken already
 *
 * P2 is why a waiter is woken for certain: an empty reserve means that its elements have users, and
 * the next free() finds the reserve not full. So the two functions look at nr without the lock
 * first; a free() that could be one of P2's has seen nr fall when its element was taken.
 *
 * Cost: while memory lasts that of the allocator and one comparison.
 */
#include "internal.h"

#include <lib/assert.h>
#include <lib/race.h>
#include <mm/kmalloc.h>
#include <mm/mempool.h>
#include <mm/page_alloc.h>
#include <mm/report.h>

struct mempool {
	mempool_alloc_fn alloc;
	mempool_free_fn free;
	void *data;
	union { /* for the three kinds below */
		size_t size;
		struct kmem_cache *cache;
		unsigned order;
	};
	u32 tag; /* the call site that elements belong to */
	unsigned min_nr;
	struct spinlock lock; /* L */
	unsigned nr;          /* L, read without it where P2 says so */
	struct list waiters;  /* L */
	u64 nr_from_reserve;  /* L */
	u64 nr_waits;         /* L */
	void *element[];      /* L; min_nr of them */
};

/* An element of the reserve, or NULL. */
static void *take(struct mempool *p)
{
	u64 flags = spin_lock_irq(&p->lock);
	void *element = NULL;

	if (p->nr > 0) {
		element = p->element[--p->nr];
		p->nr_from_reserve++;
	}
	spin_unlock_irq(&p->lock, flags);
	return element;
}

static bool is_in_reserve(const struct mempool *p, const void *element)
{
	for (unsigned i = 0; i < p->nr; i++)
		if (p->element[i] == element)
			return true;
	return false;
}

/* False: the reserve is full. */
static bool put(struct mempool *p, void *element)
{
	u64 flags = spin_lock_irq(&p->lock);
	bool has_room = p->nr < p->min_nr, is_twice = is_in_reserve(p, element); /* P1 */

	if (has_room && !is_twice) {
		p->element[p->nr++] = element;
		platform_wake_one(&p->waiters); /* P3 */
	}
	spin_unlock_irq(&p->lock, flags);
	if (is_twice)
		panic_about(report_story, element, "mempool: double free element=%p pool=%p",
		            element, (void *)p);
	return has_room;
}

/* Until an element may be there. False: this code cannot wait. */
static bool wait_for_element(struct mempool *p)
{
	u64 flags;

	if (!platform_may_wait())
		return false;
	flags = spin_lock_irq(&p->lock);
	if (p->nr == 0) {
		p->nr_waits++;
		platform_wait(&p->waiters, &p->lock, &flags);
	}
	spin_unlock_irq(&p->lock, flags);
	return true;
}

/* The allocator with all that the caller allows comes after the reserve: reclaim takes long. */
static __noinline void *alloc_slowly(struct mempool *p, gfp_t gfp)
{
	void *element;

	do {
		element = take(p);
		if (element == NULL && (gfp & __GFP_RECLAIM))
			element = p->alloc((gfp & ~__GFP_NOFAIL) | __GFP_NOWARN, p->data);
	} while (element == NULL && (gfp & __GFP_RECLAIM) && wait_for_element(p));
	return element;
}

void *mempool_alloc(struct mempool *p, gfp_t gfp)
{
	const gfp_t gently = (gfp & ~(__GFP_RECLAIM | __GFP_NOFAIL)) | __GFP_NOWARN | __GFP_NORETRY;
	void *element;

	assert(!(gfp & __GFP_ZERO));
	element = p->alloc(gently, p->data);
	return likely(element != NULL) ? element : alloc_slowly(p, gfp);
}

void mempool_free(void *element, struct mempool *p)
{
	if (element == NULL)
		return;
	if (unlikely(data_race(p->nr) < p->min_nr) && put(p, element)) /* P2 */
		return;
	p->free(element, p->data);
}

static void free_reserve(struct mempool *p)
{
	for (unsigned i = 0; i < p->nr; i++)
		p->free(p->element[i], p->data);
	kfree(p);
}

void mempool_destroy(struct mempool *p)
{
	if (p == NULL)
		return;
	if (p->nr != p->min_nr)
		panic_about(report_story, p, "mempool: destroyed in use pool=%p missing=%u",
		            (void *)p, p->min_nr - p->nr);
	free_reserve(p);
}

void mempool_stats(struct mempool *p, struct mempool_stats *out)
{
	u64 flags = spin_lock_irq(&p->lock);

	*out = (struct mempool_stats){p->min_nr, p->nr, p->nr_from_reserve, p->nr_waits};
	spin_unlock_irq(&p->lock, flags);
}

/* --- making one --- */

/* Without elements and functions; NULL: no memory, or an impossible number. */
static struct mempool *new_pool(unsigned min_nr)
{
	struct mempool *p;

	if (min_nr == 0 || min_nr > MEMPOOL_MAX)
		return NULL;
	p = kzalloc(sizeof(*p) + min_nr * sizeof(p->element[0]), GFP_KERNEL);
	if (p == NULL)
		return NULL;
	p->min_nr = min_nr;
	spin_init(&p->lock, "mempool");
	list_init(&p->waiters);
	return p;
}

/* Fills the reserve. Returns p; NULL and nothing taken when memory did not suffice. */
static struct mempool *fill(struct mempool *p, mempool_alloc_fn alloc, mempool_free_fn free,
                            void *data)
{
	p->alloc = alloc;
	p->free = free;
	p->data = data;
	for (; p->nr < p->min_nr; p->nr++) {
		p->element[p->nr] = alloc(GFP_KERNEL, data);
		if (p->element[p->nr] == NULL) {
			free_reserve(p);
			return NULL;
		}
	}
	return p;
}

struct mempool *mempool_create(unsigned min_nr, mempool_alloc_fn alloc, mempool_free_fn free,
                               void *data)
{
	struct mempool *p;

	assert(alloc != NULL && free != NULL);
	p = new_pool(min_nr);
	return p ? fill(p, alloc, free, data) : NULL;
}

static void *kmalloc_element(gfp_t gfp, void *data)
{
	const struct mempool *p = data;

	return kmalloc_any(p->size, gfp, p->tag);
}

static void kfree_element(void *element, void *data)
{
	(void)data;
	kfree(element);
}

struct mempool *mempool_create_kmalloc_pool_tag(unsigned min_nr, size_t size, u32 tag)
{
	struct mempool *p = new_pool(min_nr);

	if (p == NULL)
		return NULL;
	p->size = size;
	p->tag = tag;
	return fill(p, kmalloc_element, kfree_element, p);
}

static void *slab_element(gfp_t gfp, void *data)
{
	const struct mempool *p = data;

	return slab_alloc(p->cache, gfp, p->tag);
}

static void slab_free_element(void *element, void *data)
{
	const struct mempool *p = data;

	kmem_cache_free(p->cache, element);
}

struct mempool *mempool_create_slab_pool_tag(unsigned min_nr, struct kmem_cache *cache, u32 tag)
{
	struct mempool *p = new_pool(min_nr);

	if (p == NULL)
		return NULL;
	p->cache = cache;
	p->tag = tag;
	return fill(p, slab_element, slab_free_element, p);
}

static void *page_element(gfp_t gfp, void *data)
{
	const struct mempool *p = data;

	return alloc_pages(gfp, p->order);
}

static void free_page_element(void *element, void *data)
{
	const struct mempool *p = data;

	free_pages(element, p->order);
}

struct mempool *mempool_create_page_pool(unsigned min_nr, unsigned order)
{
	struct mempool *p = new_pool(min_nr);

	if (p == NULL)
		return NULL;
	p->order = order;
	return fill(p, page_element, free_page_element, p);
}
