/*
 * The binary buddy algorithm (Knowlton 1965; Knuth, TAOCP 1, 2.5) over page frames. An instance
 * owns a set of frames in [start, end) and their struct pages; it has no lock and no globals: the
 * zone around it supplies the lock, a test owns a private instance. Frame 0 is never managed: 0
 * means "none".
 *
 * Alloc and free cost at most one step an order (19), without any search. mm/buddy.c holds the
 * theory.
 */
#pragma once

#include <mm/page.h>

/* Page frames [start, end): free blocks of the highest order that no list has. */
#define BUDDY_EXTENTS 4
struct buddy_extent {
	u32 start, end;
};

struct buddy {
	struct page *map; /* map[pfn] */
	u8 *pageblock;    /* pageblock[pfn >> 9]: enum pageblock_state */
	u32 start, end;   /* no block ever reaches outside */
	u32 low, high;    /* what was added lies in [low, high) */
	u8 zone;          /* goes into struct page: blocks of two zones never merge */

	u32 nonempty;                  /* bit o is set while head[o] is not 0 */
	u32 head[NR_ORDERS];           /* first free block of each order */
	u32 nr_free_blocks[NR_ORDERS]; /* listed, and for the highest order untouched ones too */
	u64 nr_free_pages;             /* = Σ nr_free_blocks[o] << o */
	u64 nr_managed_pages;          /* all that were ever added */
	u64 nr_splits, nr_merges;

	u32 nr_untouched;
	struct buddy_extent untouched[BUDDY_EXTENTS]; /* never handed out: nothing was written */
};

/* start < end; both may have any alignment. pageblock bytes and page metadata outside what is added
 * stay untouched, but for the 2 MiB blocks at the edges of added ranges. */
void buddy_init(struct buddy *b, struct page *map, u8 *pageblock, u32 start, u32 end, u8 zone);

/*
 * Frames [start, end) become free. They must be inside the instance's bounds and not yet managed.
 * Costs one write a maximal block below 1 GiB, up to 512 at an edge that is not 2 MiB-aligned, and
 * nothing for the whole GiB blocks between; those cost one write each where BUDDY_EXTENTS ranges
 * with such blocks were added already.
 */
void buddy_add_range(struct buddy *b, u32 start, u32 end);

/* The first frame of a block of 2^order pages (type PAGE_ALLOCATED), or 0 when there is none. order
 * <= MAX_ORDER. */
u32 buddy_alloc(struct buddy *b, unsigned order);

/* Gives back a block exactly as allocated. Panics, naming the fault, if the frame is not the head
 * of an allocated (or cached) block of that order in this instance. */
void buddy_free(struct buddy *b, u32 pfn, unsigned order);

/* The same for allocated blocks alone. False: it is none, and nothing was changed. */
bool buddy_try_free(struct buddy *b, u32 pfn, unsigned order);

/* Why [pfn, pfn + 2^order) may not be freed: "double free", "wrong order" … NULL: it may. */
const char *buddy_free_fault(const struct buddy *b, u32 pfn, unsigned order);

/*
 * Runs: contiguous pages in any number. buddy_trim() keeps the first nr_pages (1 … 2^order) of an
 * allocated block and frees the rest; what remains has one head, of order ORDER_RUN, and is freed
 * by buddy_free_run() only, which panics unless it is given exactly that run.
 */
void buddy_trim(struct buddy *b, u32 pfn, unsigned order, u32 nr_pages);
void buddy_free_run(struct buddy *b, u32 pfn, u32 nr_pages);

/*
 * Cuts an allocated block of 2^order pages: its first nr_pages become a block (is_run: a run, else
 * nr_pages is a power of two), the page behind them a block by itself, and the rest is free.
 * nr_pages < 2^order.
 */
void buddy_set_apart(struct buddy *b, u32 pfn, unsigned order, u32 nr_pages, bool is_run);

/*
 * Batches, for the CPUs' caches: up to n blocks of 2^order pages, as PAGE_CACHED heads; together
 * fewer pages than a pageblock has, whose metadata is then there for each of them. They are
 * the pieces of larger blocks, BUDDY_BATCH_BLOCKS of those at most; of each, the highest address
 * comes first, so that a stack hands out the lowest first. Returns how many: 0 only when there is
 * none.
 *
 * The way back does at least one block and then stops at a bound of work, blocks and merges
 * together: returns how many of pages[0 … n) it took. Panics at one that is no PAGE_CACHED head of
 * that order in this instance.
 */
#define BUDDY_BATCH_BLOCKS 8
#define BUDDY_BATCH_WORK 21
unsigned buddy_alloc_batch(struct buddy *b, unsigned order, unsigned n, struct page *pages[]);
unsigned buddy_free_batch(struct buddy *b, unsigned order, unsigned n, struct page *const pages[]);

/*
 * Ranges by place (buddy_range.c). A claimed range stands as if its largest aligned blocks, from
 * start on, had been allocated one by one.
 *
 * find: the first nr_pages free frames in a row that begin at a multiple of `align` (a power of
 * two); 0: none. A look: without the lock it may be out of date. claim: takes [start, end) if all
 * of it is free; false, and nothing changed, if not. free: gives a claimed range back whole;
 * anything else panics.
 */
u32 buddy_find_range(const struct buddy *b, u64 nr_pages, u64 align);
bool buddy_claim(struct buddy *b, u32 start, u32 end);
void buddy_free_range(struct buddy *b, u32 start, u32 end);

/* A claimed range is no longer this instance's: its frames are like frames without RAM, and are not
 * counted. restore: frames that were removed become free; others panic. */
void buddy_remove(struct buddy *b, u32 start, u32 end);
void buddy_restore(struct buddy *b, u32 start, u32 end);

/* Whether the frame lies in memory that was never handed out since it was added: free, and without
 * any metadata. For any number; a moment old without the lock. */
bool buddy_is_untouched(const struct buddy *b, u64 pfn);

/* Walks all free lists and all metadata. NULL, or the broken invariant: "B1: …". */
const char *buddy_check(const struct buddy *b);
