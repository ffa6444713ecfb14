/*
 * The audit: every page of the memory map and every object of every cache is counted where it is,
 * each in exactly one state, and the counts are held against the books that the layers keep. What
 * X_check() is for the links, this is for the sums: nothing is missing, nothing is there twice.
 */
#pragma once

#include <mm/memmap.h>
#include <mm/page.h>
#include <mm/zone.h>

/* States of a page that the memory map calls usable, as found by walking it. */
enum audit_state {
	AUDIT_UNTOUCHED, /* free, never handed out */
	AUDIT_FREE,      /* in a free block */
	AUDIT_CACHED,    /* in a CPU's cache */
	AUDIT_SLAB,
	AUDIT_LARGE,     /* large kmallocs */
	AUDIT_ALLOCATED, /* alloc_pages(): vmalloc memory, page tables, stacks … */
	AUDIT_OFFLINE,   /* pages_offline(): no memory of the page allocator's now */
	NR_AUDIT_STATES
};

#define AUDIT_TYPES 32u /* of the memory map: enum mem_type */

struct audit {
	u64 pages[NR_AUDIT_STATES];
	u64 usable, other;                     /* pages by the map: usable; all other types */
	u64 by_type[AUDIT_TYPES];              /* pages of each type in the map */
	u64 free_blocks[MAX_ZONES][NR_ORDERS]; /* found, untouched memory apart */
	u64 vmalloc, tables;                   /* of AUDIT_ALLOCATED, by their own books */
	u64 objects, in_slabs, in_magazines, in_depots, live; /* of all caches */
	char fault[128]; /* "": all sums agree; else the first that does not: "A2: …" */
};

/*
 * Takes it. table_pages: page tables in pages of the page allocator, as the machine knows. 0, with
 * out->fault; or -EAGAIN: other CPUs cannot be held now. In threads; the machine stands still.
 */
int audit_take(const struct memmap *map, u64 table_pages, struct audit *out);

/* The balance, for people; 0 when all agrees, -EFAULT, or -EAGAIN. */
int stats_print_audit(const struct memmap *map, u64 table_pages);
