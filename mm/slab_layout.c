/*
 * How a cache's slabs are cut: pages a slab, objects, tags and bits, and what the record of all
 * that needs.
 *
 * The smallest power of two of pages, up to 4, that holds WANTED_OBJECTS with a tail of at most
 * 1/32; else the largest with such a tail; else, for sizes where no power of two has one, a run of
 * just the pages that k objects need; else the same with a tail of 1/8. Tail and record together
 * waste at most 1/8. The records' own caches have the record at the start of their single page
 * instead.
 *
 * Pure arithmetic on struct kmem_cache, done once a cache. mm/slab.c holds the theory (its sections
 * 2, 3 and 5).
 */
#include "slab_internal.h"

/* lab 4.1 */
static u32 bits_offset(u32 nr_objects, u32 nr_slots)
{
	if (nr_objects <= 64)
		return offsetof(struct slab, bits);
	return (u32)align_up(sizeof(struct slab) + nr_slots * sizeof(u16), sizeof(u64));
}

/* lab 4.1 */
static u32 record_bytes(u32 nr_objects, u32 nr_slots)
{
	if (nr_objects <= 64)
		return (u32)(sizeof(struct slab) + nr_slots * sizeof(u16));
	return bits_offset(nr_objects, nr_slots) + (u32)(bitmap_words(nr_objects) * sizeof(u64));
}

/* Cuts nr_pages into objects. False when that is no usable layout. */
/* lab 4.1 */
static bool try_layout(struct kmem_cache *c, u32 nr_pages)
{
	u32 bytes = nr_pages << PAGE_SHIFT;
	u32 nr_objects = bytes / c->stride;

	if (nr_objects == 0)
		return false;
	c->nr_pages = nr_pages;
	c->nr_objects = nr_objects;
	c->nr_slots = (u32)div_round_up(bytes, c->stride);
	c->record_bytes = record_bytes(nr_objects, c->nr_slots);
	c->record_cache = slab_record_cache(c->record_bytes);
	return c->record_cache != NULL;
}

/* The tail at most 1/share of the pages; tail and metadata together at most 1/8 of all. */
/* lab 4.1 */
static bool wastes_little(const struct kmem_cache *c, u32 share)
{
	u32 bytes = c->nr_pages << PAGE_SHIFT, tail = bytes - c->nr_objects * c->stride;
	u32 record = c->record_cache->stride;

	return tail * share <= bytes && (tail + record) * 8 <= bytes + record;
}

/* A record's own slab: one page, record first, objects behind it. */
/* lab 4.1 */
static void on_slab_layout(struct kmem_cache *c)
{
	u32 n = PAGE_SIZE / c->stride;

	while (align_up(record_bytes(n, n + 1), CACHE_LINE) + n * c->stride > PAGE_SIZE)
		n--;
	c->nr_pages = 1;
	c->nr_objects = n;
	c->nr_slots = n + 1;
	c->record_bytes = record_bytes(n, n + 1);
	c->record_cache = NULL;
}

/* False: no number of pages wastes so little. */
/* lab 4.1 */
static bool frugal_layout(struct kmem_cache *c, u32 share)
{
	enum { WANTED_OBJECTS = 64, MAX_ORDER_PAGES = 4, MAX_RUN_PAGES = 32 };

	for (u32 pages = 1; pages <= MAX_ORDER_PAGES; pages *= 2)
		if (try_layout(c, pages) && wastes_little(c, share) &&
		    c->nr_objects >= WANTED_OBJECTS)
			return true;
	for (u32 pages = MAX_ORDER_PAGES; pages >= 1; pages /= 2)
		if (try_layout(c, pages) && wastes_little(c, share))
			return true;
	for (u32 pages = 1; pages <= MAX_RUN_PAGES; pages++)
		if (try_layout(c, pages) && wastes_little(c, share))
			return true;
	return false;
}

/* lab 4.1 */
static bool off_slab_layout(struct kmem_cache *c)
{
	return frugal_layout(c, 32) || frugal_layout(c, 8) ||
	       try_layout(c, (u32)div_round_up(c->stride, PAGE_SIZE));
}

/* So many pages, few enough objects that one record holds what is kept of each. */
static void cut_debugged(struct kmem_cache *c, u32 nr_pages)
{
	c->nr_pages = nr_pages;
	c->nr_objects =
	    (u32)min_u64(((nr_pages << PAGE_SHIFT) - c->lead) / c->stride, SLAB_DEBUG_OBJECTS);
	c->nr_slots = c->nr_objects;
	c->debug_offset = (u32)align_up(record_bytes(c->nr_objects, c->nr_slots), sizeof(u64));
	c->record_bytes = c->debug_offset + c->nr_objects * (u32)sizeof(struct object_debug);
	c->record_cache = slab_record_cache(c->record_bytes);
}

/*
 * Under debugging, bytes count less than what they tell. Between two objects lie the right red zone
 * of one and then the left one of the next, half each; before the first, its left zone. A free
 * always takes the long way: with the reciprocal 0 no address starts a slot (slab.c, 3).
 */
static bool debug_layout(struct kmem_cache *c)
{
	enum { WANTED_OBJECTS = 8, MAX_ORDER_PAGES = 8 };

	c->lead = c->left_zone = 0;
	if (c->debug & DEBUG_RED_ZONE) {
		c->stride =
		    (u32)align_up(max_u64(c->size, SLAB_MIN_STRIDE) + RED_ZONE_MIN, c->align);
		c->left_zone = (c->stride - c->size) / 2 & ~7u;
		c->lead = (u32)align_up(c->left_zone, c->align);
	}
	for (u32 pages = 1; pages <= MAX_ORDER_PAGES; pages *= 2) {
		cut_debugged(c, pages);
		if (c->nr_objects >= WANTED_OBJECTS)
			return c->record_cache != NULL;
	}
	cut_debugged(c, (u32)div_round_up(c->lead + c->stride, PAGE_SIZE));
	return c->record_cache != NULL;
}

bool cache_layout(struct kmem_cache *c)
{
	bool has_layout = true;

	if (c->debug != 0)
		has_layout = debug_layout(c);
	else if (c->flags & SLAB_ON_SLAB)
		on_slab_layout(c);
	else
		has_layout = off_slab_layout(c);
	if (!has_layout)
		return false;
	c->bits_offset = bits_offset(c->nr_objects, c->nr_slots);
	c->reciprocal = c->flags & SLAB_ON_SLAB || c->debug ? 0 : UINT64_MAX / c->stride + 1;
	return true;
}

u32 cache_natural_align(size_t size, size_t align, unsigned flags)
{
	if (flags & SLAB_HWCACHE_ALIGN)
		align = max_u64(align, size > 32 ? 64 : 1ull << log2_ceil(size));
	if (align == 0)
		align = is_pow2(size) ? min_u64(size, 64) : 8;
	return (u32)max_u64(align, 8);
}
