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

/* From a slab, past the magazines. */
static void *take_one(struct kmem_cache *c, u32 tag)
{
	struct magazine_slot slot;
	u32 taken;

	spin_lock(&c->lock);
	taken = slab_take_locked(c, &slot, 1);
	spin_unlock(&c->lock);
	if (taken == 0)
		return NULL;
	*slot.tag = (u16)tag;
	return slot.object;
}

/* Any free object that there is. Interrupts off. */
static void *alloc_here(struct kmem_cache *c, u32 tag)
{
	struct cpu_objects *o = cpu_objects_here(c->cpu);
	void *object;

	if (pop(o, tag, &object))
		return object;
	if (o->top->object != NULL)
		panic("slab: cached object is in use, freed twice at once? object=%p cache=%s",
		      o->top->object, c->name);
	if (!cpu_objects_refill(c, o))
		return take_one(c, tag);
	return pop(o, tag, &object) ? object : NULL;
}

__noinline void *slab_alloc_slowly(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	if (unlikely(c->magic != CACHE_MAGIC))
		panic("slab: allocation from a destroyed cache cache=%p", (void *)c);
	for (;;) {
		u64 flags = irq_save();
		void *object = alloc_here(c, tag);

		irq_restore(flags);
		if (object != NULL) {
			platform_unpoison(object, c->size);
			return object;
		}
		if (!slab_grow(c, gfp))
			return NULL;
	}
}

__mm_fast void *slab_alloc(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	void *object;

	if (unlikely(!pop(cpu_objects_here(c->cpu), tag, &object)))
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
	struct cpu_objects *o = cpu_objects_here(c->cpu);
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

static void put_one(struct kmem_cache *c, struct magazine_slot slot, struct list *surplus)
{
	spin_lock(&c->lock);
	slab_put_locked(c, &slot, 1);
	slab_trim_locked(c, surplus);
	spin_unlock(&c->lock);
}

__noinline void slab_free_slowly(const char *who, struct kmem_cache *c, void *object)
{
	struct list surplus = LIST_INIT(surplus);
	struct slab_object_info info;
	struct cpu_objects *o;
	u16 *tag;
	u64 flags;

	if (!slab_object_of(object, &info) || info.offset != 0 ||
	    (c != NULL ? info.cache != c : (info.cache->flags & SLAB_INTERNAL) != 0))
		slab_bad_free(who, c, object);
	tag = &slab_of(object)->tag[info.index];
	if (!retire(tag))
		slab_bad_free(who, c, object);
	c = info.cache;
	if (c->flags & SLAB_ZERO_ON_FREE)
		memset(object, 0, c->size);
	platform_poison(object, c->size);
	flags = irq_save();
	o = cpu_objects_here(c->cpu);
	if (!cpu_objects_make_room(c, o, &surplus))
		put_one(c, (struct magazine_slot){object, tag}, &surplus);
	else
		push(o, object, tag);
	irq_restore(flags);
	slab_release(c, &surplus);
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

void kmem_cache_free_bulk(struct kmem_cache *c, size_t n, void *objects[])
{
	for (size_t i = 0; i < n; i++)
		kmem_cache_free(c, objects[i]);
}
