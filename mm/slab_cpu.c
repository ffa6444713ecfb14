/*
 * Magazines: the fast way in and out of a cache (Bonwick and Adams, "Magazines and Vmem", USENIX
 * 2001).
 *
 * Each CPU keeps, for each cache, a stack of free objects. The common allocation pops one and
 * stores the call site in its tag; the common free checks and stores the tag and pushes. No lock,
 * no atomic instruction. An empty magazine takes half its capacity from the fullest slabs under one
 * acquisition of the cache's lock; a full one gives its coldest half back. A slot holds the object
 * and the address of its tag, so the pop looks nothing up.
 *
 * An object freed on another CPU than the one that allocated it goes into the freeing CPU's
 * magazine, and home to its slab when that spills.
 *
 * Who may write a tag: the CPU that owns the object in that moment. The owner of a live object is
 * its user; of one in a magazine, that CPU with interrupts off; of one in a slab, the holder of the
 * cache's lock. Two CPUs that free one object at once may both see it live; then it is in two
 * magazines, and the second allocation finds a tag that is not TAG_IN_MAGAZINE and stops the
 * machine.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

struct magazine *magazine_of_cpu(const struct kmem_cache *c, unsigned cpu)
{
	return (struct magazine *)(c->magazines + (size_t)cpu * MAGAZINE_BYTES);
}

/* This CPU's, or NULL. Interrupts off. */
static struct magazine *magazine_of(const struct kmem_cache *c)
{
	return likely(c->magazines != NULL) ? magazine_of_cpu(c, cpu_id()) : NULL;
}

void magazine_init(struct kmem_cache *c, char *memory)
{
	/* Large objects: few, so that what one CPU hoards stays small. */
	u64 capacity = min_u64(max_u64(64 * KIB / c->stride, 4), MAGAZINE_SLOTS);

	memset(memory, 0, (size_t)MAGAZINE_BYTES * mm_nr_cpus);
	c->magazines = memory;
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
		magazine_of_cpu(c, cpu)->capacity = (u32)capacity;
}

/* --- alloc --- */

static __always_inline void *claim(const struct kmem_cache *c, struct magazine_slot slot, u32 tag)
{
	if (unlikely(*slot.tag != TAG_IN_MAGAZINE))
		panic("slab: cached object is in use, freed twice at once? object=%p cache=%s",
		      slot.object, c->name);
	*slot.tag = (u16)tag;
	return slot.object;
}

/* One object for the caller, and half a magazine more. */
static void *refill_locked(struct kmem_cache *c, u32 tag)
{
	struct magazine *m = magazine_of(c);
	struct magazine_slot slot;

	if (slab_take_locked(c, &slot, 1) == 0)
		return NULL;
	if (m != NULL && m->nr < m->capacity / 2) {
		m->nr += slab_take_locked(c, m->slot + m->nr, m->capacity / 2 - m->nr);
		m->nr_refills++;
	}
	return claim(c, slot, tag);
}

static __noinline void *alloc_slowly(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	if (unlikely(c->magic != CACHE_MAGIC))
		panic("slab: allocation from a destroyed cache cache=%p", (void *)c);
	for (;;) {
		u64 flags = spin_lock_irq(&c->lock);
		void *object = refill_locked(c, tag);

		spin_unlock_irq(&c->lock, flags);
		if (object != NULL)
			return object;
		if (!slab_grow(c, gfp))
			return NULL;
	}
}

static __noinline void *alloc_zeroed(struct kmem_cache *c, gfp_t gfp, const struct alloc_site *site)
{
	void *object;

	assert(c->ctor == NULL); /* zeroing would undo the constructor */
	object = kmem_cache_alloc_at(c, gfp & ~__GFP_ZERO, site);
	if (object != NULL)
		memset(object, 0, c->size);
	return object;
}

/* The common way calls nothing, so that it needs no stack frame. */
__mm_fast void *kmem_cache_alloc_at(struct kmem_cache *c, gfp_t gfp, const struct alloc_site *site)
{
	struct magazine *m;
	u64 flags;

	if (unlikely(gfp & __GFP_ZERO))
		return alloc_zeroed(c, gfp, site);
	flags = irq_save();
	m = magazine_of(c);
	if (likely(m != NULL && m->nr != 0)) {
		void *object = claim(c, m->slot[--m->nr], site->tag);

		irq_restore(flags);
		return object;
	}
	irq_restore(flags);
	return alloc_slowly(c, gfp, site->tag);
}

/* What this CPU's magazine holds, up to n, with interrupts off once. */
static size_t pop_many(struct kmem_cache *c, size_t n, void *objects[], u32 tag)
{
	u64 flags = irq_save();
	struct magazine *m = magazine_of(c);
	size_t nr = 0;

	for (; m != NULL && nr < n && m->nr != 0; nr++)
		objects[nr] = claim(c, m->slot[--m->nr], tag);
	irq_restore(flags);
	return nr;
}

size_t kmem_cache_alloc_bulk_at(struct kmem_cache *c, gfp_t gfp, size_t n, void *objects[],
                                const struct alloc_site *site)
{
	size_t nr = 0;

	while (nr < n) {
		if (!(gfp & __GFP_ZERO))
			nr += pop_many(c, n - nr, objects + nr, site->tag);
		if (nr == n)
			break;
		objects[nr] = kmem_cache_alloc_at(c, gfp, site); /* refills */
		if (objects[nr] == NULL) {
			kmem_cache_free_bulk(c, nr, objects);
			return 0;
		}
		nr++;
	}
	return n;
}

/* --- free --- */

/* Gives the n coldest objects back to their slabs. Interrupts off. */
static void spill(struct kmem_cache *c, struct magazine *m, u32 n, struct list *surplus)
{
	u64 flags = spin_lock_irq(&c->lock);

	slab_put_locked(c, m->slot, n, surplus);
	spin_unlock_irq(&c->lock, flags);
	m->nr -= n;
	memmove(m->slot, m->slot + n, m->nr * sizeof(m->slot[0]));
	m->nr_flushes++;
}

static __noinline void put_without_magazine(struct kmem_cache *c, struct magazine_slot slot)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags = spin_lock_irq(&c->lock);

	slab_put_locked(c, &slot, 1, &surplus);
	spin_unlock_irq(&c->lock, flags);
	slab_release(c, &surplus);
}

static __noinline void make_room(struct kmem_cache *c)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags = irq_save();
	struct magazine *m = magazine_of(c);

	if (m->nr == m->capacity)
		spill(c, m, (m->capacity + 1) / 2, &surplus);
	irq_restore(flags);
	slab_release(c, &surplus);
}

/* Pushes if there is room. The tag says IN_MAGAZINE from here on. */
static __always_inline bool try_push(struct kmem_cache *c, struct magazine_slot slot)
{
	bool pushed = false;
	u64 flags = irq_save();
	struct magazine *m = magazine_of(c);

	if (likely(m->nr < m->capacity)) {
		m->slot[m->nr++] = slot;
		pushed = true;
	}
	irq_restore(flags);
	return pushed;
}

static __always_inline void free_slot(struct kmem_cache *c, struct magazine_slot slot)
{
	if (unlikely(c->flags & SLAB_ZERO_ON_FREE))
		memset(slot.object, 0, c->size);
	if (unlikely(c->magazines == NULL)) {
		put_without_magazine(c, slot);
		return;
	}
	while (unlikely(!try_push(c, slot)))
		make_room(c);
}

/* The tag of the object that starts at the address; NULL when none does. */
static __always_inline u16 *tag_of(struct slab *s, const void *object)
{
	u64 offset = (u64)object - s->base;
	u64 product = offset * s->reciprocal;

	if (unlikely(offset >= s->span || (u32)product >= (u32)s->reciprocal))
		return NULL;
	return &s->tag[product >> 32];
}

/* A live object is no longer live: false when it was not. Interrupts are off against a handler that
 * frees the same object between test and store. */
static bool retire(u16 *tag)
{
	u64 flags = irq_save();
	bool live = *tag >= TAG_FIRST_SITE;

	if (live)
		*tag = TAG_IN_MAGAZINE;
	irq_restore(flags);
	return live;
}

static __noinline void free_slowly(const char *who, struct slab *s, void *object)
{
	u16 *tag = tag_of(s, object);

	if (tag == NULL || !retire(tag))
		slab_bad_free(who, s->cache, object);
	free_slot(s->cache, (struct magazine_slot){object, tag});
}

/* Straight into the magazine, when nothing at all is unusual: check, tag and push with interrupts
 * off once. */
void slab_free_object(const char *who, struct slab *s, void *object)
{
	u16 *tag = tag_of(s, object);

	if (likely(tag != NULL && !(s->cache->flags & SLAB_ZERO_ON_FREE))) {
		u64 flags = irq_save();
		struct magazine *m = magazine_of(s->cache);

		if (likely(m != NULL && m->nr < m->capacity && *tag >= TAG_FIRST_SITE)) {
			*tag = TAG_IN_MAGAZINE;
			m->slot[m->nr++] = (struct magazine_slot){object, tag};
			irq_restore(flags);
			return;
		}
		irq_restore(flags);
	}
	free_slowly(who, s, object);
}

void kmem_cache_free(struct kmem_cache *c, void *object)
{
	struct slab *s;

	if (unlikely(object == NULL))
		return;
	s = slab_of(object);
	if (unlikely(s == NULL || s->cache != c))
		slab_bad_free("slab", c, object);
	slab_free_object("slab", s, object);
}

void kmem_cache_free_bulk(struct kmem_cache *c, size_t n, void *objects[])
{
	for (size_t i = 0; i < n; i++)
		kmem_cache_free(c, objects[i]);
}

/* --- flush --- */

static u64 flush_one(struct kmem_cache *c, unsigned cpu)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags = irq_save();
	struct magazine *m = magazine_of_cpu(c, cpu);

	if (m->nr != 0)
		spill(c, m, m->nr, &surplus);
	irq_restore(flags);
	return slab_release(c, &surplus);
}

u64 magazine_flush(struct kmem_cache *c, bool all_cpus)
{
	u64 pages = 0;

	if (c->magazines == NULL)
		return 0;
	if (!all_cpus)
		return flush_one(c, cpu_id());
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
		pages += flush_one(c, cpu);
	return pages;
}

u64 magazine_objects(const struct kmem_cache *c)
{
	u64 nr = 0;

	for (unsigned cpu = 0; c->magazines != NULL && cpu < mm_nr_cpus; cpu++)
		nr += magazine_of_cpu(c, cpu)->nr;
	return nr;
}
