/*
 * Caches under `slab_debug=`: what is done at each alloc and free of them.
 *
 * Such a cache has no magazines and slabs whose reciprocal is 0 (slab_layout.c), so that the fast
 * ways in and out find nothing there and end here, in one function each, under the cache's lock.
 * Other caches are not touched, and neither are the fast ways themselves.
 *
 * What is kept of each object (struct object_debug: its size as asked for, stacks, the last owner)
 * stands in the slab's record, where no overflow reaches it. In the slot stand only marks:
 *
 *     left zone | object, as large as was asked for | right zone … | left zone of the next
 *
 * Z  The zones hold RED_ACTIVE around a live object and RED_INACTIVE around a free one. kmalloc's
 *    right zone begins behind the last byte that was asked for.
 * P  A free object is POISON_FREE to its last byte, which is POISON_END; zeros in a cache that
 *    zeroes on free. A constructor's work cannot be overwritten: there a sum over the free object
 *    takes the place of the pattern.
 * F  Each alloc and free checks the slab's record and all its objects.
 * U  Stacks of the last alloc and free. Q: debug/quarantine.c.
 *
 * Invariants, which kmem_cache_check() names:
 *   D1  zones hold what the state of their object says
 *   D2  a free object is as it was when it was freed
 *
 * Damage is found when its object is next allocated or freed (with F: any of its slab), and when
 * its slab goes. The operation is undone before the panic: a test may repair the byte and go on.
 *
 * Cost: O(bytes of the object); with F, O(bytes of the slab). Locks: the cache's.
 */
#include "debug_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

/* --- the marks of one object --- */

/* Its right zone goes from its last byte to the left zone of the next. */
static size_t right_zone(const struct kmem_cache *c, size_t size)
{
	return c->stride - c->left_zone - size;
}

static void mark_zones(const struct kmem_cache *c, void *object, size_t size, u8 byte)
{
	if (!(c->debug & DEBUG_RED_ZONE))
		return;
	mark_fill((char *)object - c->left_zone, byte, c->left_zone);
	mark_fill((char *)object + size, byte, right_zone(c, size));
}

static u8 poison_byte(const struct kmem_cache *c)
{
	return c->flags & SLAB_ZERO_ON_FREE ? 0 : POISON_FREE;
}

static u8 poison_end(const struct kmem_cache *c)
{
	return c->flags & SLAB_ZERO_ON_FREE ? 0 : POISON_END;
}

/* The object is free from now on: its contents and its zones. */
static void mark_free(struct kmem_cache *c, struct slab *s, u32 index)
{
	void *object = slab_object(c, s, index);

	mark_zones(c, object, c->size, RED_INACTIVE);
	if (c->ctor != NULL) {
		if (c->debug & DEBUG_POISON)
			slab_object_debug(c, s, index)->sum = mark_sum(object, c->size);
	} else if ((c->debug & DEBUG_POISON) || (c->flags & SLAB_ZERO_ON_FREE)) {
		mark_fill(object, poison_byte(c), c->size - 1u);
		mark_fill((char *)object + c->size - 1, poison_end(c), 1);
	}
}

/* --- damage --- */

static bool damage_at(struct damage *d, enum report_kind kind, const void *at, u8 should)
{
	d->found = true;
	d->kind = kind;
	d->at = at;
	d->is = mark_read(at);
	d->should = should;
	return false;
}

static bool zones_are(const struct kmem_cache *c, const void *object, size_t size, u8 byte,
                      struct damage *d)
{
	const void *at;

	if (!(c->debug & DEBUG_RED_ZONE))
		return true;
	at = mark_find_other((const char *)object + size, byte, right_zone(c, size));
	if (at != NULL)
		return damage_at(d, REPORT_RIGHT_RED_ZONE, at, byte);
	at = mark_find_other((const char *)object - c->left_zone, byte, c->left_zone);
	return at == NULL || damage_at(d, REPORT_LEFT_RED_ZONE, at, byte);
}

static bool contents_are_free(const struct kmem_cache *c, struct slab *s, u32 index,
                              struct damage *d)
{
	const char *object = slab_object(c, s, index), *last = object + c->size - 1;
	const void *at;

	if (!(c->debug & DEBUG_POISON))
		return true;
	if (c->ctor != NULL) {
		if (mark_sum(object, c->size) == slab_object_debug(c, s, index)->sum)
			return true;
		d->why = "its contents have changed";
		return damage_at(d, REPORT_WRITE_AFTER_FREE, object, mark_read(object));
	}
	at = mark_find_other(object, poison_byte(c), c->size - 1u);
	if (at != NULL)
		return damage_at(d, REPORT_WRITE_AFTER_FREE, at, poison_byte(c));
	return mark_read(last) == poison_end(c) ||
	       damage_at(d, REPORT_WRITE_AFTER_FREE, last, poison_end(c));
}

static size_t size_of(const struct kmem_cache *c, struct slab *s, u32 index)
{
	return c->ctor != NULL ? c->size : slab_object_debug(c, s, index)->size;
}

/* Whether one object's marks are what its tag says. */
static bool object_is_whole(const struct kmem_cache *c, struct slab *s, u32 index, struct damage *d)
{
	const void *object = slab_object(c, s, index);
	bool live = s->tag[index] >= TAG_FIRST_SITE, whole;
	size_t size = live ? size_of(c, s, index) : c->size;

	whole = zones_are(c, object, size, live ? RED_ACTIVE : RED_INACTIVE, d) &&
	        (live || contents_are_free(c, s, index, d));
	if (whole)
		return true;
	d->where = c->name;
	d->object = object;
	d->size = size;
	d->tag = live ? s->tag[index] : slab_object_debug(c, s, index)->last_tag;
	return false;
}

static bool all_objects_are_whole(const struct kmem_cache *c, struct slab *s, struct damage *d)
{
	for (u32 i = 0; i < c->nr_objects; i++)
		if (!object_is_whole(c, s, i, d))
			return false;
	return true;
}

/* Of the object that is to be allocated or freed; with F, its slab and everything in it. L */
static bool is_sound(const struct kmem_cache *c, struct slab *s, u32 index, struct damage *d)
{
	const char *broken;

	spin_assert_held(&c->lock);
	if (!object_is_whole(c, s, index, d))
		return false;
	if (!(c->debug & DEBUG_CHECK))
		return true;
	broken = slab_check_one_locked(c, s);
	if (broken == NULL)
		return all_objects_are_whole(c, s, d);
	*d = (struct damage){.found = true,
	                     .kind = REPORT_INCONSISTENT_SLAB,
	                     .where = c->name,
	                     .object = slab_object(c, s, index),
	                     .at = slab_object(c, s, index),
	                     .size = c->size,
	                     .why = broken};
	return false;
}

const char *slab_debug_check_locked(struct kmem_cache *c)
{
	struct damage d = {0};

	spin_assert_held(&c->lock);
	for (unsigned list = 0; list < NR_SLAB_LISTS; list++)
		for (struct list *l = c->slabs[list].next; l != &c->slabs[list]; l = l->next)
			if (!all_objects_are_whole(c, list_entry(l, struct slab, link), &d))
				return d.kind == REPORT_WRITE_AFTER_FREE
				           ? "D2: a free object was written"
				           : "D1: a red zone was written";
	return NULL;
}

/* --- slabs --- */

void slab_debug_enter(struct kmem_cache *c, struct slab *s)
{
	for (u32 i = 0; i < c->nr_objects; i++)
		mark_free(c, s, i);
}

void slab_debug_leave(struct kmem_cache *c, struct slab *s)
{
	struct damage d = {0};

	if (!all_objects_are_whole(c, s, &d))
		report_damage(&d);
}

static u32 index_of(const struct slab *s, const void *object)
{
	return (u32)(((u64)object - s->base) / s->cache->stride);
}

static u32 save_stack(const struct kmem_cache *c)
{
	return c->debug & DEBUG_OWNER ? stack_depot_save_here() : 0;
}

/* --- alloc --- */

struct request {
	u32 tag, size, stack;
	unsigned node; /* ANY_NODE, or of which node's memory */
};

/* What the call site says, where it said nothing here: mm/site.h. */
static u32 request_size(const struct kmem_cache *c, size_t size, u32 tag)
{
	const struct alloc_site *site = site_of_tag(tag);

	if (size == 0 && site != NULL)
		size = site->size;
	return size != 0 && size <= c->size ? (u32)size : c->size;
}

static void make_live(struct kmem_cache *c, struct slab *s, u32 index, const struct request *r)
{
	struct object_debug *o = slab_object_debug(c, s, index);

	if (c->ctor == NULL)
		o->size = r->size;
	o->alloc_stack = r->stack;
	o->last_tag = (u16)r->tag;
	o->alloc_cpu = (u8)cpu_id();
	o->changed_ms = (u32)platform_milliseconds();
	mark_zones(c, slab_object(c, s, index), r->size, RED_ACTIVE);
	s->tag[index] = (u16)r->tag;
}

/* L */
static bool take_one(struct kmem_cache *c, unsigned node, struct magazine_slot *slot)
{
	struct slab *s;

	if (node == ANY_NODE)
		return slab_take_locked(c, slot, 1) == 1;
	s = slab_of_node_locked(c, node);
	if (s != NULL)
		*slot = slab_take_one_locked(c, s);
	return s != NULL;
}

/* NULL: there is none, or it was damaged, and is free again. */
static void *take(struct kmem_cache *c, const struct request *r, struct damage *d)
{
	u64 flags = spin_lock_irq(&c->lock);
	struct magazine_slot slot = {NULL, NULL};

	if (take_one(c, r->node, &slot)) {
		struct slab *s = page_at(slot.object)->slab;
		u32 index = index_of(s, slot.object);

		if (is_sound(c, s, index, d)) {
			make_live(c, s, index, r);
		} else {
			debug_assert(d->found); /* it is told, and not the next one taken */
			slab_put_locked(c, &slot, 1);
			slot.object = NULL;
		}
	}
	spin_unlock_irq(&c->lock, flags);
	return slot.object;
}

/* False: no memory, though nothing waits any more. */
static bool grow(struct kmem_cache *c, gfp_t gfp, struct request *r)
{
	slab_pay_for_growth(c);
	if (r->node == ANY_NODE ? slab_grow(c, gfp) : slab_grow_on(c, gfp, &r->node))
		return true;
	if (quarantine_drain(c))
		return true;
	if (r->node == ANY_NODE)
		return false;
	r->node = ANY_NODE;
	return true;
}

void *slab_debug_alloc(struct kmem_cache *c, gfp_t gfp, u32 tag, size_t size, unsigned node)
{
	struct request r = {tag, request_size(c, size, tag), save_stack(c), node};
	struct damage d = {0};
	void *object;

	if (inject_fails_object(c, gfp, tag))
		return NULL;
	while ((object = take(c, &r, &d)) == NULL) {
		if (d.found)
			report_damage(&d);
		if (!grow(c, gfp, &r))
			return NULL;
	}
	platform_unpoison(object, r.size);
	if ((gfp & __GFP_ZERO) || (c->debug & DEBUG_ZERO_ALLOC))
		memset(object, 0, r.size);
	if (event_any())
		slab_record(EVENT_OBJECT_ALLOC, c, object, r.size, tag);
	return object;
}

/* --- free --- */

static void make_free(struct kmem_cache *c, struct slab *s, u32 index, u32 stack)
{
	struct object_debug *o = slab_object_debug(c, s, index);

	o->free_stack = stack;
	o->changed_ms = (u32)platform_milliseconds();
	platform_poison(slab_object(c, s, index), c->size);
	mark_free(c, s, index);
	s->tag[index] = TAG_IN_MAGAZINE;
}

/* What goes home now: the object, or what it displaces from the quarantine. L */
static void send_home(struct kmem_cache *c, struct magazine_slot slot, struct list *surplus)
{
	if (c->quarantine != NULL && !quarantine_exchange(c->quarantine, slot, &slot))
		return;
	slab_put_locked(c, &slot, 1);
	slab_trim_locked(c, 1, surplus);
}

void slab_debug_free(const char *who, struct slab *s, void *object)
{
	struct list surplus = LIST_INIT(surplus);
	struct kmem_cache *c = s->cache;
	u32 index = index_of(s, object), stack = save_stack(c);
	struct damage d = {0};
	u64 flags = spin_lock_irq(&c->lock);
	bool live = s->tag[index] >= TAG_FIRST_SITE;

	if (live && event_any())
		slab_record(EVENT_OBJECT_FREE, c, object, 0, s->tag[index]);
	if (live && is_sound(c, s, index, &d)) {
		make_free(c, s, index, stack);
		send_home(c, (struct magazine_slot){object, &s->tag[index]}, &surplus);
	}
	spin_unlock_irq(&c->lock, flags);
	if (!live)
		slab_bad_free(who, c, object);
	if (d.found)
		report_damage(&d);
	slab_release(c, &surplus);
}

/* --- sizes --- */

size_t slab_debug_size(struct slab *s, const void *object)
{
	const struct kmem_cache *c = s->cache;

	return c->debug & DEBUG_RED_ZONE ? size_of(c, s, index_of(s, object)) : c->size;
}

void slab_debug_resize(struct slab *s, void *object, size_t size)
{
	struct kmem_cache *c = s->cache;
	u32 index = index_of(s, object);
	struct damage d = {0};
	u64 flags = spin_lock_irq(&c->lock);

	if (c->ctor == NULL && object_is_whole(c, s, index, &d)) {
		slab_object_debug(c, s, index)->size = (u32)size;
		mark_zones(c, object, size, RED_ACTIVE);
		platform_poison(object, c->size);
		platform_unpoison(object, size);
	}
	spin_unlock_irq(&c->lock, flags);
	if (d.found)
		report_damage(&d);
}
