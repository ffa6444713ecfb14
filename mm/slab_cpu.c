/*
 * In and out of a cache: the fast ways, and what is around them.
 *
 * The common allocation pops an object from the context's loaded magazine and stores the call site
 * in its tag; the common free checks and stores the tag and pushes. No lock, no atomic instruction,
 * and interrupts stay on: a handler has magazines of its own (mm/context.h). A slot holds the
 * object and the address of its tag, so the pop looks nothing up.
 *
 * Everything unusual is found by a test that the common way needs anyway: an empty magazine is a
 * bottom that is not free, a cache without magazines, one that wipes its objects, and the manager's
 * own have records that lead to an array which is always full. Then the slow path begins again from
 * the arguments, with interrupts off.
 *
 * Who may write a tag: who owns the object in that moment. The owner of a live object is its user;
 * of one in a magazine, that context; of one in a slab or the depot, the holder of the cache's
 * lock. Two CPUs (or a thread and a handler) that free one object at once may both see it live;
 * then it is in two magazines, and the second allocation finds a tag that is not TAG_IN_MAGAZINE
 * and stops the machine.
 *
 * Cost: docs/benchmarks.md has the counts. Slabs, magazines and the depot: slab.c, slab_depot.c.
 */
#include "slab_fast.h"

#include <lib/assert.h>
#include <lib/string.h>

/* --- alloc --- */

/* Any free object that there is. Interrupts off. */
static void *alloc_here(struct kmem_cache *c, u32 tag)
{
	struct cpu_objects *o = cpu_objects_here(c->cpu);
	void *object;

	if (pop(o, tag, &object))
		return object;
	if (o->top->object != NULL)
		panic_about(
		    report_story, o->top->object,
		    "slab: cached object is in use, freed twice at once? object=%p cache=%s",
		    o->top->object, c->name);
	if (!cpu_objects_refill(c, o)) /* with a magazine it has looked in the slabs */
		return o->loaded == NULL ? slab_take_bare(c, tag) : NULL;
	return pop(o, tag, &object) ? object : NULL;
}

/* A cache's fast way, for who comes to it from a slow one. */
static void *alloc_of_copy(struct kmem_cache *c, gfp_t gfp, u32 tag, size_t size)
{
	u64 flags = irq_save();
	void *object;
	bool found = pop(cpu_objects_here(c->hot), tag, &object);

	irq_restore(flags);
	if (!found)
		return slab_alloc_sized(c, gfp, tag, size);
	platform_unpoison(object, c->size);
	return object;
}

void slab_record(enum event_kind kind, const struct kmem_cache *c, const void *object, size_t size,
                 u32 tag)
{
	const struct alloc_site *site = site_of_tag(tag);

	if (object == NULL || c->flags & SLAB_INTERNAL)
		return;
	if (size == 0)
		size = site != NULL && site->size != 0 && kind == EVENT_OBJECT_ALLOC ? site->size
		                                                                     : c->size;
	event_bytes(kind, (u64)object, size, c->number, tag);
}

/* Of a cache without copies and debugging. */
static __always_inline void *alloc_plain(struct kmem_cache *c, gfp_t gfp, u32 tag, size_t size)
{
	void *guarded;

	if (inject_fails_object(c, gfp, tag))
		return NULL;
	guarded = guard_alloc(c, tag, size);
	if (guarded != NULL)
		return guarded;
	for (;;) {
		u64 flags = irq_save();
		void *object = alloc_here(c, tag);

		irq_restore(flags);
		if (object != NULL) {
			platform_unpoison(object, c->size);
			return object;
		}
		slab_pay_for_growth(c);
		if (!slab_grow(c, gfp) && !(PLATFORM_POISONS && quarantine_drain(c)))
			return NULL;
	}
}

__noinline void *slab_alloc_sized(struct kmem_cache *c, gfp_t gfp, u32 tag, size_t size)
{
	void *object;

	if (unlikely(c->magic != CACHE_MAGIC))
		panic("slab: allocation from a destroyed cache cache=%p", (void *)c);
	if (unlikely(c->copies != NULL))
		return alloc_of_copy(cache_copy(c, tag), gfp, tag, size);
	if (unlikely(c->debug != 0))
		return slab_debug_alloc(c, gfp, tag, size, ANY_NODE);
	object = alloc_plain(c, gfp, tag, size);
	if (event_any())
		slab_record(EVENT_OBJECT_ALLOC, c, object, size, tag);
	return object;
}

__noinline void *slab_alloc_slowly(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	return slab_alloc_sized(c, gfp, tag, 0);
}

__mm_fast void *slab_alloc(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	void *object;

	if (unlikely(!pop(cpu_objects_here(c->hot), tag, &object)))
		return slab_alloc_slowly(c, gfp, tag);
	platform_unpoison(object, c->size);
	return object;
}

__noinline void *slab_alloc_zeroed(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	void *object;

	assert(c->ctor == NULL); /* zeroing would undo the constructor */
	object = slab_alloc(c, gfp & ~__GFP_ZERO, tag);
	if (object != NULL)
		memset(object, 0, c->size);
	return object;
}

/* What the loaded magazine holds, up to n. */
static size_t pop_many(struct kmem_cache *c, size_t n, void *objects[], u32 tag)
{
	u64 flags = irq_save();
	struct cpu_objects *o = cpu_objects_here(c->hot);
	size_t nr = 0;

	while (nr < n && pop(o, tag, &objects[nr]))
		platform_unpoison(objects[nr++], c->size);
	irq_restore(flags);
	return nr;
}

static void zero_all(const struct kmem_cache *c, size_t n, void *objects[])
{
	assert(c->ctor == NULL);
	for (size_t i = 0; i < n; i++)
		memset(objects[i], 0, c->size);
}

size_t kmem_cache_alloc_bulk_tag(struct kmem_cache *c, gfp_t gfp, size_t n, void *objects[],
                                 u32 tag)
{
	size_t nr = 0;

	while ((nr += pop_many(c, n - nr, objects + nr, tag)) < n) {
		objects[nr] = slab_alloc_slowly(c, gfp & ~__GFP_ZERO, tag); /* refills */
		if (objects[nr] == NULL) {
			kmem_cache_free_bulk(c, nr, objects);
			return 0;
		}
		nr++;
	}
	if (gfp & __GFP_ZERO)
		zero_all(c, n, objects);
	return n;
}

/* --- free --- */

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

/* The tag of the object that starts at the address; NULL: none does. */
static u16 *slab_tag_of(struct slab *s, const void *address)
{
	u64 offset = (u64)address - s->base, index = offset / s->cache->stride;

	return index < s->cache->nr_objects && offset % s->cache->stride == 0 ? &s->tag[index]
	                                                                      : NULL;
}

/* A free object, to a magazine or where there is room. */
static void put_away(struct kmem_cache *c, struct magazine_slot slot)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags = irq_save();
	struct cpu_objects *o = cpu_objects_here(c->cpu);
	bool has_room = cpu_objects_make_room(c, o, &surplus);

	if (has_room)
		push(o, slot.object, slot.tag);
	irq_restore(flags);
	if (!has_room)
		slab_put_bare(c, slot);
	slab_release(c, &surplus);
}

__noinline void slab_free_slowly(const char *who, struct kmem_cache *c, void *object)
{
	struct slab *s = slab_of(object);
	struct magazine_slot slot = {object, s != NULL ? slab_tag_of(s, object) : NULL};

	if (guard_owns(object)) {
		guard_free(who, c, object);
		return;
	}
	if (slot.tag == NULL ||
	    (c != NULL ? s->cache != c : (s->cache->flags & SLAB_INTERNAL) != 0))
		slab_bad_free(who, c, object);
	c = s->cache;
	if (unlikely(c->debug != 0)) {
		slab_debug_free(who, s, object);
		return;
	}
	if (event_any() && *slot.tag >= TAG_FIRST_SITE)
		slab_record(EVENT_OBJECT_FREE, c, object, 0, *slot.tag);
	if (!retire(slot.tag))
		slab_bad_free(who, c, object);
	if (c->flags & SLAB_ZERO_ON_FREE) {
		platform_unpoison(object, c->size);
		memset(object, 0, c->size);
	}
	platform_poison(object, c->size);
	if (!PLATFORM_POISONS || quarantine_pass(c, &slot))
		put_away(c, slot);
}

static __noinline void cache_free_slowly(struct kmem_cache *c, void *object)
{
	if (object != NULL)
		slab_free_slowly("slab", c, object);
}

__mm_fast void kmem_cache_free(struct kmem_cache *c, void *object)
{
	if (unlikely(!free_fast(c, false, object)))
		cache_free_slowly(c, object);
}

/* Frees objects into the loaded magazine, up to one that takes a longer way; returns that one.
 * Neighbours tend to be of one slab, so the page is looked up only for another. Interrupts off. */
static void **push_many(const struct kmem_cache *c, void **next, void **end)
{
	struct cpu_objects *o = cpu_objects_here(data_race(c->home)); /* for all of the batch */
	struct magazine_slot *top = o->top;
	u64 base = 0, bytes = 0, reciprocal = 0;
	struct slab *s = NULL;

	for (end = next + min_u64((u64)(end - next), (u64)(o->limit - top)); next < end; next++) {
		void *object = *next;
		u64 offset = (u64)object - base;
		u16 *tag;

		if (unlikely(offset >= bytes)) {
			s = slab_of(object);
			if (s == NULL || s->cache != c)
				break;
			base = s->base;
			bytes = (u64)s->nr_pages << PAGE_SHIFT;
			reciprocal = s->reciprocal;
			offset = (u64)object - base;
		}
		tag = tag_at(s, reciprocal, offset);
		if (unlikely(tag == NULL || *tag < TAG_FIRST_SITE))
			break;
		*tag = TAG_IN_MAGAZINE;
		*++top = (struct magazine_slot){object, tag};
		platform_poison(object, c->size);
	}
	o->top = top;
	return next;
}

void kmem_cache_free_bulk(struct kmem_cache *c, size_t n, void *objects[])
{
	void **next = objects, **end = n != 0 ? objects + n : objects; /* NULL may be none */

	while (next < end) {
		u64 flags = irq_save();

		next = push_many(c, next, end);
		irq_restore(flags);
		if (next < end)
			kmem_cache_free(c, *next++); /* whatever stopped it */
	}
}
