/*
 * Quarantine: freed objects wait in a queue before they are used again, so that a write through a
 * stale pointer meets poison and not the next owner's data, and a second free meets a free object.
 *
 * Two kinds of caches have one: those with the letter Q of slab_debug=, and all where a sanitizer
 * looks (CONFIG=kasan), whose frees then take the longer way (cpu_objects_for_free()). There what
 * has waited goes on to a magazine, as what is freed elsewhere.
 *
 * A cache's queue is one page of slots, first in first out, and holds at most QUARANTINE_BYTES of
 * memory. Shrinking the cache (reclaim does) and an allocation that finds no memory empty it.
 *
 *   Q1  nr <= limit <= QUARANTINE_SLOTS; the slots first … first + nr - 1, round the end, are
 *       objects of the cache, TAG_IN_MAGAZINE: kmem_cache_check() counts them as S5 and S6 say
 *
 * Cost: O(1). Locks: the cache's, but for create and destroy.
 */
#include "debug_internal.h"

#include <lib/race.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

#define QUARANTINE_BYTES (256 * KIB) /* of a cache's objects with their zones */

static_assert(sizeof(struct quarantine) <= PAGE_SIZE, "a queue is one page");

bool quarantine_is_paused;

bool quarantine_create(struct kmem_cache *c)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	struct quarantine *q;

	if (page == NULL)
		return false;
	q = page_address(page);
	q->limit = (u32)max_u64(1, min_u64(QUARANTINE_BYTES / c->stride, QUARANTINE_SLOTS));
	c->quarantine = q;
	return true;
}

void quarantine_destroy(struct kmem_cache *c)
{
	if (c->quarantine == NULL)
		return;
	free_page(virt_to_page(c->quarantine));
	c->quarantine = NULL;
}

static u32 place(const struct quarantine *q, u32 i)
{
	return (q->first + i) % QUARANTINE_SLOTS;
}

bool quarantine_take(struct quarantine *q, struct magazine_slot *out)
{
	if (q->nr == 0)
		return false;
	*out = q->slot[q->first];
	q->slot[q->first] =
	    (struct magazine_slot){NULL, NULL}; /* leads to no live object: leak.c */
	q->first = place(q, 1);
	q->nr--;
	return true;
}

bool quarantine_exchange(struct quarantine *q, struct magazine_slot in, struct magazine_slot *out)
{
	bool full = q->nr == q->limit;

	if (full)
		(void)quarantine_take(q, out);
	q->slot[place(q, q->nr)] = in;
	q->nr++;
	return full;
}

const struct magazine_slot *quarantine_at(const struct quarantine *q, u32 i)
{
	return &q->slot[place(q, i)];
}

bool quarantine_drain(struct kmem_cache *c)
{
	struct magazine_slot slot;
	bool drained = false;
	u64 flags;

	if (c->quarantine == NULL)
		return false;
	flags = spin_lock_irq(&c->lock);
	while (quarantine_take(c->quarantine, &slot)) {
		slab_put_locked(c, &slot, 1);
		drained = true;
	}
	spin_unlock_irq(&c->lock, flags);
	return drained;
}

bool quarantine_pass(struct kmem_cache *c, struct magazine_slot *slot)
{
	bool passes;
	u64 flags;

	if (c->quarantine == NULL || data_race(quarantine_is_paused))
		return true;
	flags = spin_lock_irq(&c->lock);
	passes = quarantine_exchange(c->quarantine, *slot, slot);
	spin_unlock_irq(&c->lock, flags);
	return passes;
}
