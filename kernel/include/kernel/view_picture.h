/*
 * What the live view shows, without how it is drawn: what each cell of memory holds, and the
 * numbers below the cells. Taken at one moment, and then kept until the next is taken.
 */
#pragma once

#include <lib/types.h>
#include <mm/stats.h>

#define PICTURE_MAX_CELLS (128u * 48u)
#define PICTURE_MAX_ZONES 16u

/* What a cell can show beyond mm/stats.h's kinds. */
enum {
	VIEW_KERNEL = MM_NR_KINDS,
	VIEW_PAGE_MAP,
	VIEW_TABLES,
	VIEW_BOOT,
	VIEW_RESERVED,
	VIEW_OFFLINE,
	VIEW_VMALLOC,
	VIEW_NR_KINDS
};

struct view_kind {
	char letter; /* no two kinds have the same, but slabs, which have their cache's first */
	u8 colours;  /* as kernel/screen.h's */
	const char *name; /* NULL for those of free memory */
};

struct view_kind view_kind(unsigned kind);

struct picture {
	u64 first;                   /* frame of the first cell */
	u64 end;                     /* frames there are to see, of all the machine */
	unsigned shift;              /* a cell has 2^shift frames */
	u32 nr_cells;                /* at most PICTURE_MAX_CELLS */
	u16 cell[PICTURE_MAX_CELLS]; /* letters and colours (kernel/screen.h) */
	u32 vmalloc[PICTURE_MAX_CELLS], tables[PICTURE_MAX_CELLS]; /* pages of each cell */
};

/* Looks at the memory of all cells, as first, end, shift and nr_cells say. Other CPUs stand still
 * while page tables are walked. */
void picture_take(struct picture *p);

/* A cell's letter and colours as they would be now. */
u16 picture_cell_now(const struct picture *p, u64 pfn);

/* The lowest frame of RAM, and the one behind the last: the managed ones, and what the boot made of
 * the others. */
void picture_limits(u64 *low, u64 *high);

struct picture_numbers {
	u64 taken_ms;
	struct mm_usage usage;
	u64 trips;            /* between the CPUs' caches and zones or slabs, since the boot */
	u16 index[NR_ORDERS]; /* mm_unusable_index() */
	u32 nr_zones;
	struct {
		const char *name;
		unsigned node;
		u64 used_pages, all_pages;
	} zone[PICTURE_MAX_ZONES];                /* by node; zones beyond are not shown */
	s64 pages_rate, objects_rate, trips_rate; /* a second, since the last time */
};

/* *n holds the last ones, or zeros. */
void picture_count(struct picture_numbers *n, u64 now_ms);
