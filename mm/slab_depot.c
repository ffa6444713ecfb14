/*
 * Magazines and the depot: how objects travel between the contexts' stacks and the slabs (Bonwick
 * and Adams, "Magazines and Vmem", USENIX 2001, section 3).
 *
 * Each context has two magazines of a cache, the loaded one and a spare that is full or empty. The
 * fast ways (slab_cpu.c) use the loaded one alone. When it is empty or full, in this order:
 *
 *   1. the spare is exchanged for it, if that helps: so a program that goes to and fro about the
 *      edge of a magazine makes no trip at each step;
 *   2. whole magazines are exchanged with the depot, two lists of full and of empty ones under the
 *      cache's lock. This is how objects that one CPU frees come to another that allocates;
 *   3. a magazine's worth of objects is taken from the slabs; or the spare's go back to them: the
 *      colder half of what the context has.
 *
 * How many magazines the depot keeps: slab_kept.c. Magazines are objects of an internal cache. A
 * context gets its first when it first makes a trip, so caches and contexts that are not used cost
 * none; where there is no memory for one, objects go straight from and to the slabs.
 *
 * cpu_objects_none is what contexts have before their first magazine, and caches without magazines
 * for ever: its top is a bottom, so nothing can be popped, and its limit is its top, so nothing can
 * be pushed. The fast ways need no other test.
 *
 * Cost: O(1) for an exchange; a magazine of objects at most otherwise. Locks: the cache's, for
 * the depot and the slabs; interrupts are off around all of it, which guards the context.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/race.h>
#include <lib/rng.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

static u16 bottom_tag = TAG_IN_SLAB; /* and for ever */
static struct magazine_slot nothing = {NULL, &bottom_tag};

struct kmem_cache magazine_cache, cpu_objects_cache;
struct cpu_objects *cpu_objects_none __ro_after_init;

/* --- magazines --- */

static struct magazine *magazine_create(struct kmem_cache *c)
{
	struct magazine *m =
	    slab_alloc_bare(&magazine_cache, GFP_NOWAIT | __GFP_NOWARN, ALLOC_TAG());

	if (m == NULL)
		return NULL;
	m->slot[0] = (struct magazine_slot){NULL, &bottom_tag};
	__atomic_add_fetch(&c->nr_magazines, 1, __ATOMIC_RELAXED);
	return m;
}

static void magazine_destroy(struct kmem_cache *c, struct magazine *m)
{
	__atomic_sub_fetch(&c->nr_magazines, 1, __ATOMIC_RELAXED);
	slab_free_bare(&magazine_cache, m);
}

/* --- a context's --- */

struct cpu_objects *cpu_objects_of(const struct kmem_cache *c, unsigned context)
{
	return &c->cpu[context];
}

static u64 nr_loaded(const struct cpu_objects *o)
{
	return o->loaded != NULL ? (u64)(o->top - o->loaded->slot) : 0;
}

u64 cpu_objects_count(const struct cpu_objects *o)
{
	return nr_loaded(o) + o->nr_spare;
}

static void load(struct cpu_objects *o, struct magazine *m, u64 nr, u32 capacity)
{
	o->loaded = m;
	o->top = &m->slot[nr];
	o->limit = &m->slot[capacity];
}

static void load_nothing(struct cpu_objects *o)
{
	*o = (struct cpu_objects){
	    .top = &nothing,
	    .limit = &nothing,
	    .nr_refills = o->nr_refills,
	    .nr_flushes = o->nr_flushes,
	    .random = o->random,
	};
}

static void load_nothing_anywhere(struct cpu_objects array[])
{
	memset(array, 0, sizeof(array[0]) * mm_nr_contexts());
	for (unsigned i = 0; i < mm_nr_contexts(); i++)
		load_nothing(&array[i]);
}

void cpu_objects_init(void)
{
	u64 bytes = sizeof(struct cpu_objects) * mm_nr_contexts();
	void *array = alloc_pages_exact(bytes, GFP_NOWAIT);

	if (array == NULL)
		panic("slab: no memory for %u execution contexts", mm_nr_contexts());
	cpu_objects_none = array;
	load_nothing_anywhere(cpu_objects_none);
}

bool cpu_objects_create(struct kmem_cache *c)
{
	/* Large objects: few, so that what one context hoards stays small. */
	u64 capacity = min_u64(max_u64(MAGAZINE_BYTES / c->stride, 4), MAGAZINE_SLOTS);
	struct cpu_objects *array = slab_alloc(&cpu_objects_cache, GFP_KERNEL, ALLOC_TAG());

	if (array == NULL)
		return false;
	load_nothing_anywhere(array);
	c->cpu = array;
	c->capacity = (u32)capacity;
	return true;
}

void cpu_objects_destroy(struct kmem_cache *c)
{
	if (c->cpu != cpu_objects_none)
		kmem_cache_free(&cpu_objects_cache, c->cpu);
	c->cpu = c->hot = c->home = cpu_objects_none;
	c->capacity = 0;
}

/* lab 6.4 */
static void load_spare(struct kmem_cache *c, struct cpu_objects *o)
{
	struct magazine *m = o->loaded;
	u64 nr = nr_loaded(o);

	load(o, o->spare, o->nr_spare, c->capacity);
	o->spare = m;
	o->nr_spare = nr;
}

/* --- trips --- */

/* Interrupts off. False: none, and no memory for one. */
/* lab 6.4 */
static bool has_magazine(struct kmem_cache *c, struct cpu_objects *o)
{
	struct magazine *m;

	if (likely(o->loaded != NULL))
		return true;
	m = c->capacity != 0 ? magazine_create(c) : NULL;
	if (m != NULL)
		load(o, m, 0, c->capacity);
	return m != NULL;
}

/* What was freed last does not come first: slab_randomize(). (Fisher and Yates.) By numbers of the
 * context's own, which begin with the cache's. */
static __noinline void shuffle(const struct kmem_cache *c, struct cpu_objects *o)
{
	struct magazine_slot *slot = &o->loaded->slot[1];

	if (o->random == 0)
		o->random = (data_race(c->random) ^ mm_this(id) * 0x9e3779b97f4a7c15) | 1;
	for (u64 left = nr_loaded(o); left > 1; left--) {
		u64 other = rng_word_below(&o->random, left);
		struct magazine_slot last = slot[left - 1];

		slot[left - 1] = slot[other];
		slot[other] = last;
	}
}

/* lab 6.4 */
bool cpu_objects_refill(struct kmem_cache *c, struct cpu_objects *o)
{
	struct magazine *full, *surplus = NULL;

	if (!has_magazine(c, o))
		return false;
	if (o->nr_spare != 0) {
		load_spare(c, o);
		if (unlikely(data_race(c->random) != 0))
			shuffle(c, o);
		return true;
	}
	o->nr_refills++;
	spin_lock(&c->lock);
	full = depot_pop_full(c);
	if (full != NULL) {
		if (depot_wants_empty(c))
			depot_push_empty(c, o->loaded);
		else
			surplus = o->loaded;
		load(o, full, c->capacity, c->capacity);
	} else {
		depot_note_miss(c, o);
		o->top += slab_take_locked(c, o->top + 1, c->capacity);
	}
	depot_note_trip(c);
	if (unlikely(c->random != 0))
		shuffle(c, o);
	spin_unlock(&c->lock);
	if (surplus != NULL)
		magazine_destroy(c, surplus);
	if (event_any())
		event_trip(EVENT_MAGAZINE_REFILL, c->number, 0, 0, nr_loaded(o));
	return nr_loaded(o) != 0;
}

/* Both magazines are full. */
/* lab 6.4 */
static void send_away(struct kmem_cache *c, struct cpu_objects *o, struct list *surplus)
{
	struct magazine *empty = NULL;
	bool exchange = depot_wants_full(c);

	o->nr_flushes++;
	if (exchange && data_race(c->depot.nr_empty) == 0)
		empty = magazine_create(c);
	spin_lock(&c->lock);
	if (exchange && empty == NULL)
		empty = depot_pop_empty(c);
	if (empty != NULL) {
		depot_push_full(c, o->spare);
		o->spare = empty;
	} else {
		depot_note_refusal(c, o);
		slab_put_locked(c, &o->spare->slot[1], c->capacity);
		slab_trim_locked(c, c->capacity, surplus);
	}
	depot_note_trip(c);
	spin_unlock(&c->lock);
	if (event_any())
		event_trip(EVENT_MAGAZINE_DRAIN, c->number, 0, 0, c->capacity);
	o->nr_spare = 0;
	load_spare(c, o);
}

/* lab 6.4 */
bool cpu_objects_make_room(struct kmem_cache *c, struct cpu_objects *o, struct list *surplus)
{
	if (!has_magazine(c, o))
		return false;
	if (o->top != o->limit)
		return true;
	if (o->spare == NULL) {
		o->spare = magazine_create(c);
		if (o->spare == NULL)
			return false;
	}
	if (o->nr_spare == 0)
		load_spare(c, o);
	else
		send_away(c, o, surplus);
	return true;
}

/* --- flush --- */

static void empty_magazine(struct kmem_cache *c, struct magazine *m, u64 nr)
{
	u64 flags = spin_lock_irq(&c->lock);

	slab_put_locked(c, &m->slot[1], (u32)nr);
	spin_unlock_irq(&c->lock, flags);
	magazine_destroy(c, m);
}

static_assert(CONTEXT_THREADS < CONTEXT_INTERRUPTS, "flush_cpu() begins with the current kind");

/* Interrupts off, unless nobody uses the cache. */
static void flush_context(struct kmem_cache *c, unsigned context)
{
	struct cpu_objects *o = cpu_objects_of(c, context), had = *o;

	load_nothing(o);
	if (had.loaded != NULL)
		empty_magazine(c, had.loaded, nr_loaded(&had));
	if (had.spare != NULL)
		empty_magazine(c, had.spare, had.nr_spare);
}

/* This CPU's: both from a thread, but a handler's own alone, for it may have stopped a thread in
 * the middle of a fast way. */
static void flush_cpu(struct kmem_cache *c)
{
	unsigned first = (unsigned)(mm_this(id) % NR_CONTEXT_KINDS);

	for (unsigned kind = first; kind < NR_CONTEXT_KINDS; kind++) {
		u64 flags = irq_save();

		flush_context(c, cpu_id() * NR_CONTEXT_KINDS + kind);
		irq_restore(flags);
	}
}

/* One magazine of the depot, whichever. */
static struct magazine *depot_take(struct kmem_cache *c, u64 *nr)
{
	u64 flags = spin_lock_irq(&c->lock);
	struct magazine *m = depot_pop_full(c);

	*nr = m != NULL ? c->capacity : 0;
	if (m == NULL)
		m = depot_pop_empty(c);
	spin_unlock_irq(&c->lock, flags);
	return m;
}

static void flush_depot(struct kmem_cache *c)
{
	struct magazine *m;
	u64 nr;

	u64 flags;

	while ((m = depot_take(c, &nr)) != NULL)
		empty_magazine(c, m, nr);
	flags = spin_lock_irq(&c->lock);
	depot_forget(c);
	spin_unlock_irq(&c->lock, flags);
}

void depot_give_back(struct kmem_cache *c)
{
	struct list surplus = LIST_INIT(surplus);
	u64 nr, flags;
	struct magazine *m = depot_take(c, &nr);

	if (m == NULL)
		return;
	empty_magazine(c, m, nr);
	flags = spin_lock_irq(&c->lock);
	slab_trim_locked(c, 1, &surplus); /* one slab at most */
	spin_unlock_irq(&c->lock, flags);
	slab_release(c, &surplus);
}

/* lab 6.4 */
void magazine_flush(struct kmem_cache *c, bool all_cpus)
{
	(void)quarantine_drain(c);
	if (c->capacity == 0)
		return;
	if (!all_cpus)
		flush_cpu(c);
	for (unsigned context = 0; all_cpus && context < mm_nr_contexts(); context++)
		flush_context(c, context);
	flush_depot(c);
}

u64 magazine_objects(const struct kmem_cache *c)
{
	u64 nr = (u64)c->depot.nr_full * c->capacity + quarantine_count(c);

	for (unsigned i = 0; c->capacity != 0 && i < mm_nr_contexts(); i++)
		nr += cpu_objects_count(cpu_objects_of(c, i));
	return nr;
}
