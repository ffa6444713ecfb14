/*
 * Leaks: live objects that nothing leads to.
 *
 * The scan is conservative (Boehm and Weiser, "Garbage Collection in an Uncooperative Environment",
 * 1988; Linux's kmemleak): any aligned word of a root, or of an object that something leads to,
 * that is an address in a live object leads to that object. Roots are what the machine says (data,
 * stacks, registers: platform_roots()) and every block of alloc_pages() but those that it says are
 * not. So nothing in use is reported; a leak can hide behind a stale word that looks like its
 * address.
 *
 * Objects are those of caches and of kmalloc(), the manager's own left out. Not judged: blocks of
 * pages and vmalloc areas, which have no tags, and objects between guard pages (mm/guard.h). Ages
 * are kept in caches under slab_debug= alone: elsewhere an object has no room for one.
 */
#pragma once

#include <lib/types.h>

#define LEAK_SITES 16u   /* call sites that a report has room for: those that are met first */
#define LEAK_SAMPLES 16u /* addresses */
#define LEAK_NO_AGE UINT32_MAX

struct leak_report {
	u64 nr_objects, nr_roots; /* live objects looked at; words of roots */
	u64 nr_leaked, leaked_bytes;
	unsigned nr_sites, nr_samples;
	struct leak_site {
		u64 objects, bytes;
		u32 tag;                    /* site_name() */
		u32 youngest_ms, oldest_ms; /* since they were allocated; LEAK_NO_AGE: not known */
	} site[LEAK_SITES];
	const void *sample[LEAK_SAMPLES];
	u32 sample_ms[LEAK_SAMPLES]; /* their ages, or LEAK_NO_AGE */
	u64 nr_rounds; /* over all objects, because the work list was full: 0 is usual */
};

/* For roots: words of [start, end) may lead to objects; this block of pages is no root. */
struct leak_scan;
struct page;
void leak_add_root(struct leak_scan *scan, const void *start, const void *end);
void leak_pass_by(struct leak_scan *scan, struct page *head);

typedef void (*leak_roots)(struct leak_scan *scan);

/*
 * Finds them. roots: NULL for the machine's. 0; or -EAGAIN: other CPUs cannot be held now. In
 * threads. The machine stands still meanwhile, interrupts off: for as long as it takes to read all
 * roots and live objects. Allocates nothing.
 */
int leak_find(leak_roots roots, struct leak_report *out);

/* The same, for people; returns how many objects leaked, or -EAGAIN. */
s64 stats_print_leaks(void);
