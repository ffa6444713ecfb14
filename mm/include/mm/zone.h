/*
 * Zones: a node's memory by address limit, each a buddy with a lock. Nodes: NUMA
 * domains.
 */
#pragma once

#include <lib/race.h>
#include <lib/spinlock.h>
#include <mm/buddy.h>
#include <mm/gfp.h>

enum zone_kind { ZONE_DMA, ZONE_DMA32, ZONE_NORMAL, NR_ZONE_KINDS };

#define MAX_NODES 8
#define ZONE_ID(node, kind) ((u8)((node) << 2 | (kind)))
#define MAX_ZONES (MAX_NODES * 4)

/* Free pages below which … ordinary requests end; background reclaim should begin; it may rest. */
enum zone_mark { MARK_MIN, MARK_LOW, MARK_HIGH, NR_ZONE_MARKS };

/* How far a request may go down: mm/include/mm/gfp.h. */
enum zone_depth { DEPTH_ORDINARY, DEPTH_HIGH, DEPTH_ALL, DEPTH_ALL_TOO, NR_ZONE_DEPTHS };

/* Z: guarded by lock. C: constant after init. */
struct zone {
	struct spinlock lock;
	struct buddy buddy; /* Z */
	const char *name;   /* C: "DMA", "DMA32", "NORMAL" */
	u8 id, node, kind;  /* C */
	u64 nr_allocs, nr_frees,
	    nr_failures;          /* Z: blocks taken from and given to the buddy; NULLs */
	u64 nr_lock_acquisitions; /* Z */
	u64 min_free_pages;       /* Z: the fewest free pages since the last reset */
	u64 mark[NR_ZONE_MARKS];  /* C: pages */
	u64 floor[NR_ZONE_DEPTHS][NR_ZONE_KINDS]; /* C: what a request leaves, by the highest kind
	                                             of zone that it may use */
};

extern struct zone
    zone_table[MAX_ZONES]; /* indexed by zone id; an unused zone has no managed pages */

static inline struct zone *page_zone(const struct page *page)
{
	return &zone_table[page->zone];
}

/* The next zone with memory after z in id order; zone_next(NULL) is the first. NULL at the end. */
struct zone *zone_next(const struct zone *z);
#define for_each_zone(z) for (struct zone *z = zone_next(NULL); z != NULL; z = zone_next(z))

/* Frame bounds of a zone kind: [zone_kind_start, zone_kind_end). */
u64 zone_kind_start_pfn(enum zone_kind kind);
u64 zone_kind_end_pfn(enum zone_kind kind);

/* Whether the zone may have a free block of that order or above: a look without the lock, so a
 * moment old. */
static inline bool zone_may_have(const struct zone *z, unsigned order)
{
	return (data_race(z->buddy.nonempty) >> order | data_race(z->buddy.nr_untouched)) != 0;
}

/* The zone in whose untouched memory (buddy_is_untouched()) the frame lies, or NULL. For any
 * number. */
struct zone *zone_of_untouched(u64 pfn);

/* The highest kind of zone that such a request may use. */
static inline enum zone_kind gfp_zone_kind(gfp_t gfp)
{
	if (gfp & __GFP_DMA)
		return ZONE_DMA;
	return gfp & __GFP_DMA32 ? ZONE_DMA32 : ZONE_NORMAL;
}

static inline enum zone_depth gfp_zone_depth(gfp_t gfp)
{
	return gfp / __GFP_HIGH %
	       NR_ZONE_DEPTHS; /* the two bits of __GFP_HIGH and __GFP_MEMALLOC */
}

/* Whether a request that may use zones up to that kind may take so many pages more: a look without
 * the lock, so a moment old. */
static inline bool zone_can_spare(const struct zone *z, gfp_t gfp, enum zone_kind highest,
                                  u64 nr_pages)
{
	return data_race(z->buddy.nr_free_pages) >=
	       z->floor[gfp_zone_depth(gfp)][highest] + nr_pages;
}

/* How many pages such a request may still take: a look without the lock, so a moment old. */
static inline u64 zone_spare_pages(const struct zone *z, gfp_t gfp)
{
	u64 free = data_race(z->buddy.nr_free_pages);
	u64 floor = z->floor[gfp_zone_depth(gfp)][gfp_zone_kind(gfp)];

	return free > floor ? free - floor : 0;
}

/* Whether the zone has fewer free pages than the mark says, a moment ago. */
static inline bool zone_below(const struct zone *z, enum zone_mark mark)
{
	return data_race(z->buddy.nr_free_pages) < z->mark[mark];
}

void zone_init_all(void);

/* Computes the marks and reserves from what all zones have now. */
void zone_set_marks(void);

/* Frames become free memory of the node, in the zones that they fall into. One CPU, at boot, or
 * later with the zone's lock free. Neighbouring free blocks merge. */
void zone_add_range(unsigned node, u64 start_pfn, u64 end_pfn);

/* From the buddy itself, past the per-CPU caches. Any context. zone_alloc: NULL when there is none.
 * zone_free: false when it is no allocated block of that order in this zone; nothing was changed.
 */
struct page *zone_alloc(struct zone *z, unsigned order);
bool zone_free(struct zone *z, struct page *page, unsigned order);

/* buddy_alloc_batch() and buddy_free_batch() under one acquisition of the lock. Interrupts off. */
unsigned zone_alloc_batch(struct zone *z, unsigned order, unsigned n, struct page *pages[]);
unsigned zone_free_batch(struct zone *z, unsigned order, unsigned n, struct page *const pages[]);

/* A block (nr_pages 0) or a run, and behind it a block of one page: buddy_set_apart(). NULL: there
 * is none so large. */
struct page *zone_alloc_apart(struct zone *z, unsigned order, u32 nr_pages);

/* Runs of any number of pages, as buddy_trim() describes. */
struct page *zone_alloc_run(struct zone *z, u32 nr_pages);
void zone_free_run(struct zone *z, struct page *head, u32 nr_pages);

u64 zone_free_pages(const struct zone *z);

const char *zone_check(struct zone *z);
