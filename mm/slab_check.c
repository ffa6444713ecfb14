/*
 * Looking into slabs: the walk over everything, the sums, and what to say of a bad pointer.
 *
 * Invariants, which kmem_cache_check() walks and names:
 *   S1  a slab stands on the list that its number of free objects says; the lists' bits are right
 *   S2  a slab has as many set bits as its list and countdown say, and none beyond its objects
 *   S3  a bit is set exactly where the tag is TAG_IN_SLAB; slots that are no objects always are
 *   S4  every page of a slab is PAGE_SLAB and leads to its record, and the record to its cache
 *   S5  a magazine holds at most its capacity; its bottom is never free; each slot is an object of
 *       this cache with its own tag, TAG_IN_MAGAZINE
 *   S6  the tags that say TAG_IN_MAGAZINE are those of the magazines' objects, each once
 *   S7  nr_slabs, nr_empty and nr_free of the cache are the sums over its slabs
 *   S8  a context has nothing, or a loaded magazine with top and limit in it, and no spare or one
 *       that is full or empty
 *   S9  the depot's lists are as long as it says; nr_magazines is the contexts' and the depot's
 *   S10 what the depots keep, together, is the sum over the caches
 * What waits in quarantine counts as in a magazine. D1 and D2 of caches under debugging:
 * debug/slab_debug.c.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/race.h>

bool slab_object_of(const void *address, struct slab_object_info *out)
{
	struct slab *s = slab_of(address);
	u64 offset, index;

	if (s == NULL)
		return guard_object_of(address, out);
	offset = (u64)address - s->base;
	index = offset / s->cache->stride;
	if (index >= s->cache->nr_objects)
		return false;
	*out = (struct slab_object_info){
	    .cache = s->cache,
	    .object = slab_object(s->cache, s, (u32)index),
	    .offset = offset - index * s->cache->stride,
	    .index = (unsigned)index,
	    .tag = s->tag[index],
	};
	return true;
}

/* What memory that is in no slab is. */
static const char *kind_of_memory(const void *address)
{
	const struct page *head;

	if (guard_owns(address))
		return "beside an object between guard pages";
	if (!is_direct_map(address))
		return "not heap memory";
	head = page_block_of(virt_to_phys(address) >> PAGE_SHIFT);
	if (head == NULL)
		return "not heap memory";
	switch (head->type) {
	case PAGE_FREE:
	case PAGE_CACHED:
		return "memory of a freed page";
	case PAGE_ALLOCATED:
		return "memory of alloc_pages";
	case PAGE_LARGE:
		return large_address(head) == address ? "a large kmalloc"
		                                      : "inside a large kmalloc";
	default:
		return "not an object of its slab";
	}
}

void slab_bad_free(const char *who, const struct kmem_cache *c, const void *object)
{
	const char *name = c != NULL ? c->name : "kmalloc";
	struct slab_object_info info;

	if (!slab_object_of(object, &info))
		panic_about(report_story, object, "%s: %s address=%p cache=%s", who,
		            kind_of_memory(object), object, name);
	if (info.cache->flags & SLAB_INTERNAL && info.cache != c)
		panic_about(report_story, object,
		            "%s: memory of the allocator itself address=%p cache=%s", who, object,
		            info.cache->name);
	if (c != NULL && info.cache != c)
		panic_about(report_story, object, "%s: wrong cache object=%p cache=%s owner=%s",
		            who, object, name, info.cache->name);
	if (info.offset != 0)
		panic_about(
		    report_story, object,
		    "%s: not the start of an object address=%p object=%p offset=%lu cache=%s", who,
		    object, info.object, info.offset, info.cache->name);
	panic_about(report_story, object, "%s: double free object=%p cache=%s", who, object,
	            info.cache->name);
}

/* --- sums --- */

void cache_visit_slabs(struct kmem_cache *c, void (*visit)(void *context, struct slab *s),
                       void *context)
{
	spin_assert_held(&c->lock);
	for (unsigned i = 0; i < NR_SLAB_LISTS; i++)
		for (struct list *l = c->slabs[i].next; l != &c->slabs[i]; l = l->next)
			visit(context, list_entry(l, struct slab, link));
}

void kmem_cache_stats(struct kmem_cache *c, struct kmem_cache_stats *out)
{
	u64 flags = spin_lock_irq(&c->lock);

	*out = (struct kmem_cache_stats){
	    .name = c->name,
	    .size = c->size,
	    .stride = c->stride,
	    .pages_per_slab = c->nr_pages,
	    .objects_per_slab = c->nr_objects,
	    .nr_slabs = c->nr_slabs,
	    .nr_empty_slabs = c->nr_empty,
	    .nr_in_slab = c->nr_free,
	    .nr_cached = magazine_objects(c),
	    .nr_magazines = c->nr_magazines,
	    .metadata_bytes =
	        c->nr_slabs * (c->record_cache ? c->record_cache->stride : c->record_bytes) +
	        c->nr_magazines * sizeof(struct magazine),
	};
	for (struct list *l = c->slabs[SLABS_FULL].next; l != &c->slabs[SLABS_FULL]; l = l->next)
		out->nr_full_slabs++;
	spin_unlock_irq(&c->lock, flags);
	out->nr_partial_slabs = out->nr_slabs - out->nr_full_slabs - out->nr_empty_slabs;
	out->nr_live = out->nr_slabs * c->nr_objects - out->nr_in_slab - out->nr_cached;
	out->nr_guarded = guard_nr_live(c);
	for (unsigned i = 0; c->capacity != 0 && i < mm_nr_contexts(); i++) {
		out->nr_refills += cpu_objects_of(c, i)->nr_refills;
		out->nr_flushes += cpu_objects_of(c, i)->nr_flushes;
	}
}

static void sum_slab(void *context, struct slab *s)
{
	struct kmem_cache *c = context;

	for (u32 i = 0; i < c->nr_objects; i++)
		site_sums_add(s->tag[i], 1, c->size);
}

static void sum_cache(struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&c->lock);

	cache_visit_slabs(c, sum_slab, c);
	spin_unlock_irq(&c->lock, flags);
	guard_sum_sites(c);
}

void cache_visit_sites(struct kmem_cache *c,
                       void (*visit)(void *context, u32 tag, u64 objects, u64 bytes), void *context)
{
	site_sums_begin();
	sum_cache(c);
	site_sums_end(visit, context);
}

void slab_visit_sites(void (*visit)(void *context, u32 tag, u64 objects, u64 bytes), void *context)
{
	site_sums_begin();
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		sum_cache(c);
	kmalloc_sum_large();
	site_sums_end(visit, context);
}

u64 slab_pages(void)
{
	u64 pages = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		pages += c->nr_slabs * c->nr_pages;
	return pages;
}

u64 slab_live_objects(void)
{
	u64 live = guard_nr_live(NULL);

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		if (!(c->flags & SLAB_INTERNAL))
			live += c->nr_slabs * c->nr_objects - c->nr_free - magazine_objects(c);
	return live;
}

/* --- checks --- */

struct slab_sums {
	u64 nr_slabs, nr_empty, nr_free, nr_cached, nr_magazines;
	u64 cached_tags; /* the sum of their addresses: which they are, not only how many */
};

static const char *check_pages(const struct kmem_cache *c, const struct slab *s)
{
	const struct page *head;

	if (s->cache != c || s->nr_pages != c->nr_pages)
		return "S4: a slab's record does not lead to its cache";
	head = virt_to_page((void *)slab_start(s));
	for (u32 i = 0; i < c->nr_pages; i++)
		if (head[i].type != PAGE_SLAB || head[i].slab != s)
			return "S4: a page of a slab does not lead to its record";
	return NULL;
}

static const char *check_objects(const struct kmem_cache *c, struct slab *s, struct slab_sums *sums)
{
	const u64 *bits = slab_bits(c, s);
	u32 nr_free = slab_nr_free(c, s);

	if (bitmap_count(bits, bitmap_words(c->nr_objects) * 64) != nr_free ||
	    bitmap_count(bits, c->nr_objects) != nr_free)
		return "S2: a slab's free bits are not as many as it says";
	for (u32 i = 0; i < c->nr_slots; i++) {
		bool is_free = i >= c->nr_objects || bitmap_test(bits, i);

		if (is_free != (s->tag[i] == TAG_IN_SLAB))
			return "S3: a tag and a free bit contradict each other";
		if (s->tag[i] == TAG_IN_MAGAZINE) {
			sums->nr_cached++;
			sums->cached_tags += (u64)&s->tag[i];
		}
	}
	return NULL;
}

static const char *check_slab(const struct kmem_cache *c, struct slab *s, u8 list,
                              struct slab_sums *sums)
{
	const char *fault;

	if (s->list != list || s->nr_to_next == 0 || slab_nr_free(c, s) < c->list_at[list] ||
	    slab_nr_free(c, s) > c->nr_objects)
		return "S1: a slab is on the wrong list";
	fault = check_pages(c, s);
	return fault ? fault : check_objects(c, s, sums);
}

const char *slab_check_one_locked(const struct kmem_cache *c, struct slab *s)
{
	struct slab_sums sums = {0};

	spin_assert_held(&c->lock);
	return check_slab(c, s, s->list, &sums);
}

static const char *check_list(const struct kmem_cache *c, u8 list, struct slab_sums *sums)
{
	const struct list *head = &c->slabs[list];

	if (list_is_empty(head) == (c->nonempty_lists >> list & 1))
		return "S1: a list of slabs and its bit contradict each other";
	for (struct list *l = head->next; l != head; l = l->next) {
		struct slab *s = list_entry(l, struct slab, link);
		const char *fault = check_slab(c, s, list, sums);

		if (fault)
			return fault;
		if (l->next->prev != l)
			return "S1: a list of slabs has asymmetric links";
		sums->nr_slabs++;
		sums->nr_empty += list == SLABS_EMPTY;
		sums->nr_free += slab_nr_free(c, s);
	}
	return NULL;
}

/* An object in a magazine: takes it off the sums, so that both must end at 0 (S6). */
static const char *check_cached(const struct kmem_cache *c, const struct magazine_slot *slot,
                                struct slab_sums *sums)
{
	struct slab_object_info info;

	if (!slab_object_of(slot->object, &info) || info.cache != c || info.offset != 0)
		return "S5: a magazine holds what is no object of its cache";
	if (slot->tag != &slab_of(info.object)->tag[info.index] || info.tag != TAG_IN_MAGAZINE)
		return "S5: an object in a magazine has a wrong tag";
	sums->nr_cached--;
	sums->cached_tags -= (u64)slot->tag;
	return NULL;
}

static const char *check_quarantine(const struct kmem_cache *c, struct slab_sums *sums)
{
	const char *fault = NULL;

	for (u32 i = 0; i < quarantine_count(c) && fault == NULL; i++)
		fault = check_cached(c, quarantine_at(c->quarantine, i), sums);
	return fault;
}

static const char *check_magazine(const struct kmem_cache *c, const struct magazine *m, u64 nr,
                                  struct slab_sums *sums)
{
	if (nr > c->capacity || c->capacity > MAGAZINE_SLOTS)
		return "S5: a magazine is fuller than it can be";
	if (m->slot[0].object != NULL || *m->slot[0].tag != TAG_IN_SLAB)
		return "S5: a magazine's bottom is not that of one";
	for (u64 i = 1; i <= nr; i++) {
		const char *fault = check_cached(c, &m->slot[i], sums);

		if (fault)
			return fault;
	}
	sums->nr_magazines++;
	return NULL;
}

static const char *check_context(const struct kmem_cache *c, const struct cpu_objects *o,
                                 struct slab_sums *sums)
{
	const char *fault = NULL;

	if (o->loaded == NULL)
		return o->top == cpu_objects_none->top && o->limit == cpu_objects_none->limit &&
		               o->spare == NULL && o->nr_spare == 0
		           ? NULL
		           : "S8: a context without magazines has objects";
	if (o->top < o->loaded->slot || o->limit != o->loaded->slot + c->capacity)
		return "S8: a context's top or limit is not in its magazine";
	if (o->nr_spare != 0 && (o->spare == NULL || o->nr_spare != c->capacity))
		return "S8: a spare magazine is neither full nor empty";
	fault = check_magazine(c, o->loaded, (u64)(o->top - o->loaded->slot), sums);
	if (fault == NULL && o->spare != NULL)
		fault = check_magazine(c, o->spare, o->nr_spare, sums);
	return fault;
}

static const char *check_depot_list(const struct kmem_cache *c, const struct magazine *m, u32 nr,
                                    u64 nr_objects, struct slab_sums *sums)
{
	const char *fault = NULL;

	for (; m != NULL && nr != 0 && fault == NULL; m = m->next, nr--)
		fault = check_magazine(c, m, nr_objects, sums);
	if (fault == NULL && (m != NULL || nr != 0))
		return "S9: the depot's magazines are not as many as it says";
	return fault;
}

static const char *check_magazines(const struct kmem_cache *c, struct slab_sums *sums)
{
	const char *fault = NULL;

	for (unsigned i = 0; c->capacity != 0 && fault == NULL && i < mm_nr_contexts(); i++)
		fault = check_context(c, cpu_objects_of(c, i), sums);
	if (fault == NULL)
		fault = check_depot_list(c, c->depot.full, c->depot.nr_full, c->capacity, sums);
	if (fault == NULL)
		fault = check_depot_list(c, c->depot.empty, c->depot.nr_empty, 0, sums);
	if (fault == NULL)
		fault = check_quarantine(c, sums);
	if (fault != NULL)
		return fault;
	if (sums->nr_cached != 0 || sums->cached_tags != 0)
		return "S6: magazines hold other objects than the tags say";
	return sums->nr_magazines == c->nr_magazines
	           ? NULL
	           : "S9: magazines are missing, or there are too many";
}

static const char *check_locked(struct kmem_cache *c)
{
	struct slab_sums sums = {0};
	const char *fault = NULL;

	spin_assert_held(&c->lock);
	for (u8 i = 0; i < NR_SLAB_LISTS && fault == NULL; i++)
		fault = check_list(c, i, &sums);
	if (fault == NULL)
		fault = check_magazines(c, &sums);
	if (fault != NULL)
		return fault;
	if (sums.nr_slabs != c->nr_slabs || sums.nr_free != c->nr_free ||
	    sums.nr_empty != c->nr_empty)
		return "S7: a cache's sums are not those over its slabs";
	return c->debug != 0 ? slab_debug_check_locked(c) : NULL;
}

const char *kmem_cache_check(struct kmem_cache *c)
{
	u64 flags = spin_lock_irq(&c->lock);
	const char *fault = check_locked(c);

	spin_unlock_irq(&c->lock, flags);
	return fault;
}

const char *slab_check(void)
{
	const char *fault = NULL;
	u64 kept = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c && !fault; c = kmem_cache_next(c)) {
		fault = kmem_cache_check(c);
		kept += depot_kept(c);
	}
	if (fault == NULL && kept != data_race(slab_kept))
		return "S10: the depots keep more or less than is counted";
	return fault;
}
