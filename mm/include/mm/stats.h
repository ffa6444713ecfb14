/*
 * The state of the whole memory manager in numbers and text. Snapshots: other CPUs go on.
 */
#pragma once

#include <mm/zone.h>

struct mm_usage {
	u64 managed_pages; /* all that the page allocator ever received */
	u64 free_pages;    /* in the buddies */
	u64 cached_pages;  /* in the CPUs' caches */
	u64 slab_pages;    /* in slabs, and slab metadata */
	u64 large_pages;   /* of kmallocs above the size classes */
	u64 used_pages; /* managed - free - cached: all allocated ones, slab and large included */
	u64 peak_used_pages; /* the highest used_pages since the last mm_reset_peak() */
	u64 live_objects; /* slab objects with an owner, and large kmallocs; without the manager's
	                     own */
};

void mm_usage(struct mm_usage *out);
void mm_reset_peak(void);

/*
 * How often the allocators left their fast ways, since the boot: what costs when CPUs are many. The
 * locks are those of the zones and of the caches that there are now (a destroyed one's count goes
 * with it); only differences within 2^32 acquisitions of one lock are exact.
 */
struct mm_traffic {
	u64 zone_locks, cache_locks; /* acquisitions */
	u64 zone_waits, cache_waits; /* those that waited for another CPU */
	u64 page_trips;              /* between the CPUs' pages and the zones */
	u64 object_trips;            /* between the CPUs' magazines and the depots or slabs */
};

void mm_traffic(struct mm_traffic *out);

/* What page frames hold. From MM_FREE on: free, in blocks of order 0 … MAX_ORDER. */
enum mm_kind { MM_NONE, MM_ALLOCATED, MM_SLAB, MM_LARGE, MM_CACHED, MM_FREE };
#define MM_NR_KINDS (MM_FREE + NR_ORDERS)

/* Adds the pages of each kind in [start, end) to pages[]. MM_NONE: not the page allocator's.
 * O(blocks). */
void mm_count_kinds(u64 start, u64 end, u64 pages[MM_NR_KINDS]);

/* The name of the cache whose slab has the page frame, or NULL. As long as the cache is there. */
const char *mm_cache_at(u64 pfn);

/* Per mille of the free pages that lie in blocks too small for this order (Gorman and Whitcroft's
 * unusable free space index, Ottawa Linux Symposium 2006). 1000 when nothing is free. */
u64 mm_unusable_index(unsigned order);

/* For people: one screen each, through kprintf. */
void stats_print_mem(void);       /* totals */
void stats_print_zones(void);     /* a line a zone */
void stats_print_buddyinfo(void); /* free blocks by order, and how fragmented free memory is */
void stats_print_slabinfo(void);  /* a line a cache */
/* The same sorted by a column's name, or by memory ("bytes"): names upwards, numbers downwards.
 * -EINVAL: no such column; -ENOMEM. */
int stats_print_slabinfo_by(const char *column);
void stats_print_vmeminfo(void); /* a line an arena */
void stats_print_sites(void);    /* live bytes and objects by call site */
void stats_print_owners(void);   /* the caches and call sites that hold most */
void stats_print_page(u64 pfn);  /* one page in words; a slab's with its objects one by one */
/* The same, but a slab's objects as a picture, and who holds them: at most 23 lines. */
void stats_print_page_words(u64 pfn);
void stats_print_map(unsigned columns,
                     unsigned rows); /* ASCII map by type and order, with legend */
