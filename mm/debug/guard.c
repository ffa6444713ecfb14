/*
 * Sampled guard pages: <mm/guard.h>.
 *
 *     | guard |  object 0 | guard |  object 1 | … | guard |      one page each
 *
 * The pool is a run of pages in the direct map, so that an object's physical address and struct
 * page are what they would be anywhere. A guard page is never accessible, an object's while it is
 * live. The object stands at the start of its page or, as far as its alignment allows, at the end,
 * by turns: an access past that side faults. The rest of the page is CANARY and looked at when the
 * object is freed. Freed objects stand in a queue, so that each waits as long as it can.
 *
 * What is sampled. The fast ways hold no hook: they pop from a magazine and know nothing of this.
 * When the magazine is empty the allocation makes a trip to the slow way, and every INTERVAL-th
 * trip, over all caches and CPUs, gets a guarded object instead of a refill. So
 *
 *   1. who allocates more than is freed, or in bursts, is sampled in proportion to what it takes:
 *      a trip a magazine (4 … 62 objects) of its cache;
 *   2. a sample leaves the magazine empty, and the next allocation makes the trip. So each sample
 *      moves the trips on by one, and patterns that fit the magazines, or the interval, have each
 *      of their sites sampled in turn, though nothing is random;
 *   3. who allocates and frees in turns makes no trips. For it guard_tick(), ten milliseconds after
 *      another in the kernel, bends one cache's fast way in, the next each time: it finds nothing
 *      (as for mm/inject.h), and the first allocation that comes is a sample, whoever's.
 *
 * When more than 3/4 of the pool live, a call site that has one gets no other, so that what stays
 * for good does not fill the pool.
 *
 * Invariants, which guard_check() names:
 *   G1  an object is live or in the queue, and they are as many as is said
 *   G2  a live object lies in its own page, and the bytes beside it are CANARY
 *   G3  a page is accessible exactly while its object is live
 *
 * Another CPU may remember for a while that a page was accessible, and miss a use after free: the
 * others are not interrupted for each object (KFENCE does the same). Not here: objects of more than
 * a page; memory that must lie low, or on a chosen node of several.
 *
 * Cost: off, one test on the slow way in. A sample: filling and looking at one page, two changes of
 * a page table entry. Lock: one, the last in the order, for the queue and the slots' states;
 * contents are touched outside.
 */
#include "guard_internal.h"

#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/race.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

struct guard_pool guard_pool = {.lock = SPINLOCK_INIT("guard pool")};
bool guard_on;

/* --- alloc --- */

/* The trips to the next sample. L */
static s64 draw_interval(void)
{
	u64 interval = guard_pool.chose.interval;

	return (s64)(guard_pool.chose.random ? 1 + rng_below(&guard_pool.rng, 2 * interval - 1)
	                                     : interval);
}

static bool is_due(struct kmem_cache *c, bool *by_tick)
{
	*by_tick = cache_gate_pass(c);
	return *by_tick || __atomic_sub_fetch(&guard_pool.left, 1, __ATOMIC_RELAXED) == 0;
}

/* L */
static bool site_has_one(u32 tag)
{
	for (u64 i = 0; i < guard_pool.stats.nr_objects; i++)
		if (guard_pool.slots[i].state == SLOT_LIVE && guard_pool.slots[i].tag == tag)
			return true;
	return false;
}

/* L */
static bool may_have_one(u32 tag)
{
	const struct guard_stats *st = &guard_pool.stats;

	if (list_is_empty(&guard_pool.queue))
		return false;
	return st->nr_live * 4 <= st->nr_objects * 3 || !site_has_one(tag);
}

/* By turns, but in no rhythm that call sites could have too: Thue's and Morse's sequence, which has
 * no period and half of each in any stretch. L */
static bool is_left_turn(void)
{
	return bit_count(guard_pool.stats.nr_sampled) % 2 != 0;
}

/* NULL: none. *at_left: where in its page the object is to stand. */
static struct guard_slot *take_slot(u32 tag, bool by_tick, bool *at_left)
{
	u64 flags = spin_lock_irq(&guard_pool.lock);
	struct guard_slot *s = NULL;

	if (!by_tick)
		__atomic_store_n(&guard_pool.left, draw_interval(), __ATOMIC_RELAXED);
	if (may_have_one(tag)) {
		s = list_first(&guard_pool.queue, struct guard_slot, link);
		list_remove(&s->link);
		s->state = SLOT_BUSY;
		*at_left = guard_pool.chose.random ? rng_next(&guard_pool.rng) & 1 : is_left_turn();
		guard_pool.stats.nr_sampled++;
		guard_pool.stats.nr_live++;
		guard_pool.stats.nr_by_tick += by_tick;
		guard_pool.stats.nr_left += *at_left;
	} else {
		guard_pool.stats.nr_refused++;
	}
	spin_unlock_irq(&guard_pool.lock, flags);
	return s;
}

static void set_state(struct guard_slot *s, enum guard_state state)
{
	__atomic_store_n(&s->state, state, __ATOMIC_RELEASE);
}

static void place(struct guard_slot *s, const struct kmem_cache *c, u32 size, u32 align,
                  bool at_left)
{
	char *page = guard_page_of(s);

	s->object = at_left ? page : page + align_down(PAGE_SIZE - size, align);
	s->size = size;
	s->cache = (struct kmem_cache *)c;
	memcpy(s->name, c->name, sizeof(s->name));
	platform_guard(page, true);
	memset(page, CANARY, PAGE_SIZE);
	if (c->ctor != NULL)
		c->ctor(s->object);
}

/* kmalloc's promise for a size, or the cache's for its objects. */
static u32 align_of(const struct kmem_cache *c, u32 size)
{
	if (size == c->size)
		return c->align;
	return is_pow2(size) ? size : 8;
}

void *guard_sample(struct kmem_cache *c, u32 tag, size_t size)
{
	bool by_tick, at_left;
	struct guard_slot *s;

	if (c->size > PAGE_SIZE || c->flags & SLAB_INTERNAL || !is_due(c, &by_tick))
		return NULL;
	s = take_slot(tag, by_tick, &at_left);
	if (s == NULL)
		return NULL;
	if (size == 0)
		size = c->size;
	s->tag = tag;
	place(s, c, (u32)size, align_of(c, (u32)size), at_left);
	set_state(s, SLOT_LIVE);
	return s->object;
}

/* --- free --- */

/* A live object is busy now: false when it is not one that may be freed so. */
static bool retire(struct guard_slot *s, const struct kmem_cache *c, const void *object)
{
	u64 flags = spin_lock_irq(&guard_pool.lock);
	bool live = s->state == SLOT_LIVE && s->object == object && (c == NULL || s->cache == c);

	if (live)
		s->state = SLOT_BUSY;
	spin_unlock_irq(&guard_pool.lock, flags);
	return live;
}

static void release(struct guard_slot *s)
{
	u64 flags = spin_lock_irq(&guard_pool.lock);

	s->state = SLOT_FREED;
	list_push_back(&guard_pool.queue, &s->link);
	guard_pool.stats.nr_live--;
	spin_unlock_irq(&guard_pool.lock, flags);
}

void guard_free(const char *who, const struct kmem_cache *c, void *object)
{
	struct guard_slot *s = guard_slot_of(object);
	const char *damage;
	u8 byte;

	if (s == NULL || !retire(s, c, object))
		slab_bad_free(who, c, object);
	if (event_any())
		slab_record(EVENT_OBJECT_FREE, s->cache, object, 0, s->tag);
	damage = guard_canary_damage(s);
	byte = damage != NULL ? (u8)*damage : CANARY;
	if (s->cache->flags & SLAB_ZERO_ON_FREE)
		memset(object, 0, s->size);
	platform_guard(guard_page_of(s), false);
	release(s);
	if (damage != NULL)
		guard_report_canary(s, damage, byte);
}

/* --- the pool --- */

void guard_tick(void)
{
	if (unlikely(data_race(guard_on)))
		cache_gate_next();
}

static bool make_slots(u64 nr)
{
	guard_pool.bytes = (2 * nr + 1) * PAGE_SIZE;
	guard_pool.slots =
	    alloc_pages_exact(nr * sizeof(struct guard_slot), GFP_KERNEL | __GFP_ZERO);
	guard_pool.base = alloc_pages_exact(guard_pool.bytes, GFP_KERNEL);
	if (guard_pool.base != NULL && guard_pool.slots != NULL &&
	    platform_guard_begin(guard_pool.base, guard_pool.bytes))
		return true;
	free_pages_exact(guard_pool.slots, nr * sizeof(struct guard_slot));
	free_pages_exact(guard_pool.base, guard_pool.bytes);
	return false;
}

static void set_all(bool accessible)
{
	for (u64 at = 0; at < guard_pool.bytes; at += PAGE_SIZE)
		platform_guard(guard_pool.base + at, accessible);
	platform_flush((u64)guard_pool.base, (u64)guard_pool.base + guard_pool.bytes);
}

int guard_start(const struct guard_options *options)
{
	if (guard_on || !platform_may_flush())
		return -EBUSY;
	if (!make_slots(options->nr_objects))
		return -ENOMEM;
	guard_pool.chose = *options;
	rng_seed(&guard_pool.rng, options->seed);
	list_init(&guard_pool.queue);
	for (u64 i = 0; i < options->nr_objects; i++)
		list_push_back(&guard_pool.queue, &guard_pool.slots[i].link);
	guard_pool.stats = (struct guard_stats){.nr_objects = options->nr_objects};
	guard_pool.left = draw_interval();
	set_all(false);
	__atomic_store_n(&guard_on, true, __ATOMIC_RELEASE);
	return 0;
}

int guard_stop(void)
{
	if (!guard_on)
		return 0;
	if (!platform_may_flush())
		return -EBUSY;
	__atomic_store_n(&guard_pool.left, INT64_MAX, __ATOMIC_RELAXED); /* no more */
	cache_gate_end();
	if (guard_nr_live(NULL) != 0) {
		__atomic_store_n(&guard_pool.left, (s64)guard_pool.chose.interval,
		                 __ATOMIC_RELAXED);
		return -EBUSY;
	}
	__atomic_store_n(&guard_on, false, __ATOMIC_RELEASE);
	set_all(true);
	free_pages_exact(guard_pool.slots, guard_pool.stats.nr_objects * sizeof(struct guard_slot));
	free_pages_exact(guard_pool.base, guard_pool.bytes);
	guard_pool.base = NULL;
	guard_pool.bytes = 0;
	guard_pool.stats = (struct guard_stats){0};
	return 0;
}
