/*
 * Slabs and nodes: objects of a node that the caller names, and refills from the CPU's own node.
 *
 * A slab's memory is all of one node, which its record names. Slabs are not kept apart by node: on
 * machines with several the first few of each list are looked at, and the one that is found comes
 * to the front, so that the next look finds it at once. Whoever names a node gets
 *
 *   1. the hottest object of the CPU's magazine, if it happens to lie there;
 *   2. an object of a slab there, by the cache's lock: past the magazines, so that they stay near;
 *   3. an object of a new slab there, or on the nearest node that has memory (alloc_pages_node());
 *   4. any object that there is.
 *
 * A free goes into the freeing CPU's magazine wherever the object lies, and home by the depot or
 * the slabs. So a magazine may hold objects of other nodes, where CPUs free what others' nodes
 * gave; refills from slabs prefer the CPU's own node, those from the depot do not look.
 *
 * Cost: a lock and at most NR_LOOKS slabs a list; nothing on machines with one node.
 */
#include "slab_fast.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/node.h>

#define NR_LOOKS 16

bool slab_has_nodes __ro_after_init;

static struct slab *find(struct list *slabs, unsigned node)
{
	struct list *at = slabs->next;

	for (unsigned i = 0; i < NR_LOOKS && at != slabs; i++, at = at->next)
		if (list_entry(at, struct slab, link)->node == node)
			return list_entry(at, struct slab, link);
	return NULL;
}

struct slab *slab_of_node_locked(struct kmem_cache *c, unsigned node)
{
	for (unsigned list = SLABS_PARTIAL; list <= SLABS_EMPTY; list++) {
		struct slab *s = find(&c->slabs[list], node);

		if (s == NULL)
			continue;
		list_remove(&s->link);
		list_push_front(&c->slabs[list], &s->link);
		return s;
	}
	return NULL;
}

/* The hottest object here, if it is of that node. */
static void *pop_of_node(struct kmem_cache *c, unsigned node, u32 tag)
{
	u64 flags = irq_save();
	struct cpu_objects *o = cpu_objects_here(c->hot);
	const struct magazine_slot *top = o->top;
	void *object = NULL;

	if (*top->tag == TAG_IN_MAGAZINE && page_at(top->object)->slab->node == node)
		(void)pop(o, tag, &object);
	irq_restore(flags);
	return object;
}

static void *take_of_node(struct kmem_cache *c, unsigned node, u32 tag)
{
	u64 flags = spin_lock_irq(&c->lock);
	struct slab *s = slab_of_node_locked(c, node);
	void *object = NULL;

	if (s != NULL) {
		struct magazine_slot slot = slab_take_one_locked(c, s);

		*slot.tag = (u16)tag;
		object = slot.object;
	}
	spin_unlock_irq(&c->lock, flags);
	return object;
}

static void *alloc_on(struct kmem_cache *c, gfp_t gfp, unsigned node, u32 tag)
{
	void *object = pop_of_node(c, node, tag);

	while (object == NULL && (object = take_of_node(c, node, tag)) == NULL) {
		slab_pay_for_growth(c);
		if (!slab_grow_on(c, gfp, &node))
			return slab_alloc(c, gfp, tag);
	}
	platform_unpoison(object, c->size);
	if (event_any())
		slab_record(EVENT_OBJECT_ALLOC, c, object, 0, tag);
	return object;
}

void *kmem_cache_alloc_node_tag(struct kmem_cache *c, gfp_t gfp, unsigned node, u32 tag)
{
	void *object;

	if (node >= MAX_NODES)
		return NULL;
	if (!slab_has_nodes)
		return kmem_cache_alloc_tag(c, gfp, tag);
	if (c->magic != CACHE_MAGIC)
		panic("slab: allocation from a destroyed cache cache=%p", (void *)c);
	if (c->debug != 0)
		object = slab_debug_alloc(c, gfp & ~__GFP_ZERO, tag, 0, node);
	else if (inject_fails_object(c, gfp, tag))
		return NULL;
	else
		object = alloc_on(c, gfp & ~__GFP_ZERO, node, tag);
	if (object != NULL && (gfp & __GFP_ZERO)) {
		assert(c->ctor == NULL); /* zeroing would undo the constructor */
		memset(object, 0, c->size);
	}
	return object;
}
