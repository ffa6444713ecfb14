/*
 * What the depots keep: how many full magazines wait there, and who gives them up.
 *
 * A magazine that waits costs the next allocations one pointer; one that goes back to the slabs
 * costs about forty instructions an object, there and back again. So a program that frees and
 * allocates in bursts should find its magazines where it left them. What waits is memory that
 * nobody else can have, so it is bounded three times:
 *
 *   1. All depots together keep at most 1/32 of memory. Reclaim takes all of it (slab_cache.c).
 *   2. Only objects of 128 to 1024 bytes are kept so. A smaller one weighs too little beside its
 *      slot, which takes 16 bytes; a larger one too much beside what a trip costs. Of those, a
 *      128th of the cache's objects is kept.
 *   3. Where caches grow, as many bytes go back to their slabs, a magazine at a time, each from
 *      the depot that keeps the most. So what one kind of object no longer needs becomes another's.
 *
 * Objects of any size that go from CPU to CPU are kept beyond that. A context that finds the depot
 * empty after another's full magazine was refused would have had that one: each such pair is room
 * for one more, up to EXTRA_BYTES of a cache. At the end of each EXTRA_INTERVAL trips as many are
 * forgotten as were not used in it; flushing the depot forgets all.
 *
 * (Bonwick and Adams, 2001, give back what was not needed for some seconds; here there is no clock,
 * and need is what counts.) Empty magazines join the depot while they are fewer than the full ones,
 * or a few.
 *
 * Invariant S10, which slab_check() names: slab_kept is the sum over all caches' full magazines in
 * depots of the bytes of their objects.
 *
 * Cost: O(1); a cache that grows while anything is kept looks at each cache. Locks: a depot is its
 * cache's lock's; the sum is atomic, so the bound may be passed by a magazine a CPU.
 */
#include "slab_internal.h"

#include <lib/race.h>

#define EXTRA_BYTES (256 * KIB) /* of objects of a cache, at most, because they were missed */
#define MAX_EXTRA 32u           /* magazines of them, at most */
#define EXTRA_INTERVAL 256u     /* trips */

#define KEPT_SHARE 32      /* of memory */
#define KEPT_MIN_SIZE 128u /* bytes of an object */
#define KEPT_MAX_SIZE 1024u
#define OTHERS_SHARE 128 /* of a cache's objects, where they are smaller or larger */
#define MAX_EMPTY_BEYOND_FULL 4

u64 slab_kept, slab_kept_limit;
static u64 owed; /* A: bytes by which caches grew since a depot last gave some back */

void slab_kept_init(void)
{
	slab_kept = owed = 0;
	slab_kept_limit = 0;
	for_each_zone(z)
		slab_kept_limit += zone_free_pages(z) * PAGE_SIZE / KEPT_SHARE;
}

static u64 magazine_bytes(const struct kmem_cache *c)
{
	return (u64)c->capacity * c->stride;
}

u64 depot_kept(const struct kmem_cache *c)
{
	return data_race(c->depot.nr_full) * magazine_bytes(c);
}

bool depot_wants_full(const struct kmem_cache *c)
{
	u64 nr_full = data_race(c->depot.nr_full) + 1ull;

	if (nr_full * c->capacity * OTHERS_SHARE <= data_race(c->nr_slabs) * c->nr_objects ||
	    nr_full <= data_race(c->depot.extra))
		return true;
	return c->stride >= KEPT_MIN_SIZE && c->stride <= KEPT_MAX_SIZE &&
	       data_race(slab_kept) + magazine_bytes(c) <= slab_kept_limit;
}

/* Of objects of one cache. */
static u32 max_extra(const struct kmem_cache *c)
{
	return (u32)min_u64(EXTRA_BYTES / magazine_bytes(c), MAX_EXTRA);
}

void depot_note_miss(struct kmem_cache *c, const struct cpu_objects *o)
{
	struct depot *d = &c->depot;

	if (d->nr_refused == 0 || d->refused == o)
		return;
	d->nr_refused--;
	if (d->extra < max_extra(c))
		d->extra++;
}

void depot_note_refusal(struct kmem_cache *c, const struct cpu_objects *o)
{
	struct depot *d = &c->depot;

	d->refused = o;
	if (d->nr_refused < MAX_EXTRA)
		d->nr_refused++;
}

void depot_note_trip(struct kmem_cache *c)
{
	struct depot *d = &c->depot;

	if (likely(d->extra == 0))
		return;
	d->min_full = (u32)min_u64(d->min_full, d->nr_full);
	if (++d->nr_trips % EXTRA_INTERVAL != 0)
		return;
	d->extra -= (u32)min_u64(d->extra, d->min_full);
	d->min_full = d->nr_full;
}

void depot_forget(struct kmem_cache *c)
{
	c->depot.extra = c->depot.nr_refused = 0;
}

bool depot_wants_empty(const struct kmem_cache *c)
{
	return c->depot.nr_empty < c->depot.nr_full + MAX_EMPTY_BEYOND_FULL;
}

static void push(struct magazine **list, u32 *nr, struct magazine *m)
{
	m->next = *list;
	*list = m;
	++*nr;
}

static struct magazine *pop(struct magazine **list, u32 *nr)
{
	struct magazine *m = *list;

	if (m != NULL) {
		*list = m->next;
		--*nr;
	}
	return m;
}

void depot_push_full(struct kmem_cache *c, struct magazine *m)
{
	spin_assert_held(&c->lock);
	push(&c->depot.full, &c->depot.nr_full, m);
	__atomic_add_fetch(&slab_kept, magazine_bytes(c), __ATOMIC_RELAXED);
}

struct magazine *depot_pop_full(struct kmem_cache *c)
{
	struct magazine *m;

	spin_assert_held(&c->lock);
	m = pop(&c->depot.full, &c->depot.nr_full);
	if (m != NULL)
		__atomic_sub_fetch(&slab_kept, magazine_bytes(c), __ATOMIC_RELAXED);
	return m;
}

void depot_push_empty(struct kmem_cache *c, struct magazine *m)
{
	spin_assert_held(&c->lock);
	push(&c->depot.empty, &c->depot.nr_empty, m);
}

struct magazine *depot_pop_empty(struct kmem_cache *c)
{
	spin_assert_held(&c->lock);
	return pop(&c->depot.empty, &c->depot.nr_empty);
}

void slab_pay_for_growth(const struct kmem_cache *growing)
{
	u64 bytes = (u64)growing->nr_pages << PAGE_SHIFT;
	struct kmem_cache *c;

	if (data_race(slab_kept) == 0 ||
	    __atomic_add_fetch(&owed, bytes, __ATOMIC_RELAXED) < MAGAZINE_BYTES)
		return;
	__atomic_store_n(&owed, 0, __ATOMIC_RELAXED);
	c = cache_hold_richest(growing);
	if (c == NULL)
		return;
	depot_give_back(c);
	cache_let_go(c);
}
