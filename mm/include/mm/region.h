/*
 * A region: what feeds a heap. One range of addresses that the caller lends, in the shape of a
 * process: a break that moves up from the bottom, mapped ranges from the top downwards.
 *
 *     base                        brk          bottom                 table            end
 *     | the heap, contiguous      |  . . . . . | ranges of pages      | 33 bits a page |
 *
 *   REGION_BUFFER   a fixed buffer: what was extended is never given back, and all of it counts
 *   REGION_BREAK    a break, as sbrk(): extend and shrink at its end
 *   REGION_MAPPED   a break and mapped ranges, as mmap(): requests of `threshold` bytes and more
 *                   go straight to pages of their own, and back when they are freed
 *
 * Not locked. Nothing in it is zeroed. The caller's memory is page-aligned.
 */
#pragma once

#include <lib/types.h>

#define REGION_PAGE 4096ul
#define REGION_NO_THRESHOLD (~0ul)

enum region_kind { REGION_BUFFER, REGION_BREAK, REGION_MAPPED };

struct region {
	enum region_kind kind;
	u8 *base, *brk;
	u8 *limit;        /* the break ends here: the lowest mapped page, or the end */
	u8 *pages;        /* REGION_MAPPED: of table[0] */
	u64 *free;        /* a bit a page, behind the table: set when it is free */
	u32 *table;       /* a word a page: 0 free, the range's pages at its first, INNER within */
	size_t nr_pages;  /* in the table */
	size_t next;      /* where the next search for pages begins, downwards */
	size_t threshold; /* bytes */
	size_t nr_bytes;  /* of the whole range */
	size_t mapped_bytes, peak_bytes;
};

/* bytes: whole pages, at least two. threshold: for REGION_MAPPED, or REGION_NO_THRESHOLD. */
void region_init(struct region *region, enum region_kind kind, void *memory, size_t bytes,
                 size_t threshold);

/* The break moves up by `bytes`: its old place, or NULL when there is no room. */
void *region_extend(struct region *region, size_t bytes);
/* The break moves down to `brk`. False: this kind of region keeps what it has. */
bool region_shrink(struct region *region, void *brk);

/* Whole pages; align: a power of two. NULL when there are none so, or this kind does not map. */
void *region_map(struct region *region, size_t bytes, size_t align);
void region_unmap(struct region *region, void *range);
/* Of the range that begins at p; 0 when none does. */
size_t region_mapped_bytes(const struct region *region, const void *p);

/* What the heap holds of it now, and at most since region_init(). */
size_t region_footprint(const struct region *region);
size_t region_peak(const struct region *region);

/* NULL, or the invariant that is broken. */
const char *region_check(const struct region *region);
/* Calls back for every mapped range. */
void region_for_each(const struct region *region, void (*visit)(void *context, void *range, size_t),
                     void *context);
