/*
 * Hardening of the allocators, chosen at boot: what makes a bug harder to exploit. Each of these
 * costs something, so all are off until they are asked for; off, they are no instruction on a fast
 * way. What each is against, and its price: docs/debugging.md.
 */
#pragma once

#include <lib/types.h>

#define KMALLOC_COPIES_MAX 16u

struct mm_hardening {
	u64 seed; /* of all random choices: the same boot with the same seed chooses alike */
	bool slab_random;   /* objects are given out in random order: slab_randomize() */
	bool kmalloc_data;  /* __GFP_DATA has size classes of its own: kmalloc-data-64 … */
	bool kmalloc_guard; /* a large kmalloc lies between two pages that may not be touched */
	u32 kmalloc_copies; /* each size class so many times, the call site says which; below 2:
	                       once. At most KMALLOC_COPIES_MAX */
};

/* What holds from the next mm_init() on. Before anything is called, all is off. */
void mm_harden(const struct mm_hardening *choice);
struct mm_hardening mm_hardening(void);

/* --- kmalloc_guard: the pages around a large kmalloc --- */

/*
 * A page fault: false when the address is in no such page. Otherwise it panics with one line:
 * "BUG: out of bounds left in kmalloc-large: …", or right. who: what accessed it. Any context.
 */
bool large_guard_fault(u64 address, bool is_write, const char *who);
