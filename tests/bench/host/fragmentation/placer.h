/*
 * Page allocators side by side: Strata's own, and textbook buddies to compare it with. One of each
 * at a time; all manage the same frames.
 */
#pragma once

#include <mm/mm.h>

#define HUGE_ORDER PAGEBLOCK_ORDER /* 2 MiB */

struct free_state {
	u64 blocks[NR_ORDERS]; /* maximal free blocks of each order */
	u64 pages;
};

struct placer {
	const char *name, *what;
	void (*start)(u64 bytes);     /* memory of so many bytes, all free but for the metadata */
	u32 (*alloc)(unsigned order); /* a block's first frame, or 0 */
	void (*release)(u32 pfn, unsigned order);
	void (*look)(struct free_state *out); /* pages in caches count as taken */
};

extern const struct placer strata_placer, textbook_placers[]; /* these end with a NULL name */

/* How many blocks of the order can be allocated at once. */
u64 free_blocks(const struct free_state *s, unsigned order);

/* Calls visit for every free block of Strata's machine, which must have been started. */
void strata_visit_free(void (*visit)(u32 pfn, unsigned order));

/* [low, high) are the frames of the machine. */
extern u32 strata_low, strata_high;

/* --- experiments --- */

struct options {
	u64 memory, seed;
	unsigned rounds, percent;
	const char *trace;
};

void run_churn(const struct placer *p, const struct options *o);
void run_replay(const struct placer *p, const struct options *o);

/* Prints "fragmentation: …" and ends with the status. */
_Noreturn void fail(int status, const char *format, ...) __printf(2, 3);
enum { STATUS_FAILED = 1, STATUS_USAGE = 64 };

/* Zeroed memory for tables. */
void *table(u64 bytes);

/* 2 MiB that are wholly free, of those that the free pages would make if the others were packed. */
double huge_share(const struct free_state *s);
