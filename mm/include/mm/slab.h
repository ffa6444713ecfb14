/*
 * Object caches (Bonwick 1994), with per-CPU magazines (Bonwick and Adams 2001) in front of the
 * slabs.
 *
 * Nothing of the allocator's lies inside an object: a slab's free objects are bits, every object
 * has a 2-byte tag (free, in a magazine, or its call site), both off the slab. So a constructor's
 * work survives a free, objects keep their natural alignment, and an overflow cannot steer the
 * allocator. mm/slab.c holds the theory.
 *
 * Context of alloc and free: any, interrupt handlers included (with GFP_ATOMIC or GFP_NOWAIT).
 * Create, destroy and shrink: not in handlers. A wrong free stops the machine with one line: "slab:
 * double free object=… cache=… …".
 */
#pragma once

#include <lib/list.h>
#include <lib/spinlock.h>
#include <mm/gfp.h>
#include <mm/site.h>

#define SLAB_HWCACHE_ALIGN \
	0x1u /* align to 64 bytes (less for small objects that fit several a line) */
#define SLAB_ZERO_ON_FREE 0x2u /* contents are wiped when the object is freed */
#define SLAB_NO_MAGAZINE 0x4u  /* straight to the slabs: for rare, large or internal objects */

#define SLAB_NO_DEBUG 0x8u /* never under slab_debug= and init_on_…=: for tests of the layout */

#define SLAB_MIN_STRIDE 16ul      /* smaller objects take as much */
#define SLAB_MAX_SIZE (1ul << 18) /* 256 KiB: above, use pages */

struct kmem_cache;

/*
 * size: 1 … SLAB_MAX_SIZE bytes. align: a power of two up to a page, or 0 for the natural one (8;
 * sizes that are powers of two are aligned to themselves up to 64). ctor: runs once for each object
 * when its slab is made, or NULL. The name is copied (31 characters). NULL when out of memory or
 * for arguments outside these ranges (with a line in the log).
 */
struct kmem_cache *kmem_cache_create(const char *name, size_t size, size_t align, unsigned flags,
                                     void (*ctor)(void *object));

/* 0; or -EBUSY while objects live: nothing is changed, and the log lists them by call site. NULL is
 * a no-op. */
int kmem_cache_destroy(struct kmem_cache *c);

/* Gives back this CPU's magazines, the depot and all empty slabs. Returns how many pages of the
 * cache's that were. */
u64 kmem_cache_shrink(struct kmem_cache *c);

#define kmem_cache_alloc(c, gfp) kmem_cache_alloc_tag(c, gfp, ALLOC_TAG())
#define kmem_cache_zalloc(c, gfp) kmem_cache_alloc_tag(c, (gfp) | __GFP_ZERO, ALLOC_TAG())
void kmem_cache_free(struct kmem_cache *c, void *object); /* NULL is a no-op */

/* All n or none: returns n or 0. */
#define kmem_cache_alloc_bulk(c, gfp, n, objects) \
	kmem_cache_alloc_bulk_tag(c, gfp, n, objects, ALLOC_TAG())
void kmem_cache_free_bulk(struct kmem_cache *c, size_t n, void *objects[]);

/* The same for another call site than this one, by its tag. The fast way knows nothing of
 * __GFP_ZERO; where the flags are constant, the choice costs nothing. */
void *slab_alloc(struct kmem_cache *c, gfp_t gfp, u32 tag) __attribute__((malloc));
void *slab_alloc_zeroed(struct kmem_cache *c, gfp_t gfp, u32 tag) __attribute__((malloc));
size_t kmem_cache_alloc_bulk_tag(struct kmem_cache *c, gfp_t gfp, size_t n, void *objects[],
                                 u32 tag);

static __always_inline void *kmem_cache_alloc_tag(struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	return unlikely(gfp & __GFP_ZERO) ? slab_alloc_zeroed(c, gfp, tag)
	                                  : slab_alloc(c, gfp, tag);
}

/* Of the node's memory, or of the nearest node's that has some (mm/node.h). NULL also for a node
 * that there cannot be. Freed like any other; slower than the others where the machine has more
 * nodes. */
#define kmem_cache_alloc_node(c, gfp, node) kmem_cache_alloc_node_tag(c, gfp, node, ALLOC_TAG())
void *kmem_cache_alloc_node_tag(struct kmem_cache *c, gfp_t gfp, unsigned node, u32 tag)
    __attribute__((malloc));

size_t kmem_cache_size(const struct kmem_cache *c); /* as created */
const char *kmem_cache_name(const struct kmem_cache *c);

/* --- looking in --- */

struct kmem_cache_stats {
	const char *name;
	size_t size, stride; /* bytes; stride is from one object to the next */
	unsigned pages_per_slab;
	unsigned objects_per_slab;
	u64 nr_slabs, nr_empty_slabs, nr_partial_slabs, nr_full_slabs;
	u64 nr_live, nr_cached, nr_in_slab; /* objects; their sum is nr_slabs * objects_per_slab */
	u64 nr_guarded;             /* live ones besides, between guard pages (mm/guard.h) */
	u64 nr_magazines;           /* the CPUs' and the depot's */
	u64 metadata_bytes;         /* off the slabs: records, bits, tags, magazines */
	u64 nr_refills, nr_flushes; /* trips of the CPUs to the depot or the slabs */
};

/* The next cache after c in creation order (NULL: the first), or NULL. Not while caches are
 * destroyed. */
struct kmem_cache *kmem_cache_next(const struct kmem_cache *c);
void kmem_cache_stats(struct kmem_cache *c, struct kmem_cache_stats *out);

/* Live objects and bytes of each call site, over all caches and large kmallocs: site tag -> sums.
 * Calls visit for each site with at least one live object. Stops no other CPU: the sums are a
 * snapshot. */
void slab_visit_sites(void (*visit)(void *context, u32 tag, u64 objects, u64 bytes), void *context);

/* What an address is to the slab layer. */
struct slab_object_info {
	struct kmem_cache *cache;
	void *object;   /* its first byte */
	size_t offset;  /* of the address in the object */
	unsigned index; /* in its slab */
	u32 tag;        /* TAG_IN_SLAB, TAG_IN_MAGAZINE, or the call site's */
};
/* False when the address is not inside a slab's object. Any address. */
bool slab_object_of(const void *address, struct slab_object_info *out);

/* From here on all caches give out what is free in random order (hardening: neighbours cannot be
 * foretold); 0: in order of addresses, as when nothing was said. What magazines hold already stays
 * in its order. Any context. */
void slab_randomize(u64 seed);

/* kmem_cache_shrink() of every cache. */
u64 slab_shrink_all(void);

/* Walks everything in all caches. NULL, or the broken invariant: "S1: …". */
const char *slab_check(void);
const char *kmem_cache_check(struct kmem_cache *c);
