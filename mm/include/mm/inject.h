/*
 * Fault injection: allocations that fail although there is memory, chosen by a rule. For the error
 * paths, which memory that never runs out would leave untried.
 *
 * Two points can be told to fail: objects (kmalloc's classes, caches, the manager's own records)
 * and pages (blocks, runs, contiguous ranges; slabs and large kmallocs get theirs there). Requests
 * with __GFP_NOFAIL never fail so. While nothing is armed the fast ways know nothing of it; while
 * something is, every allocation takes the slow way, where the rules are asked. Frees are as fast
 * as ever for objects; pages go to their zone at once.
 *
 * The ideas are those of Linux's failslab, fail_page_alloc and fail-nth (Akinobu Mita, 2006; Dmitry
 * Vyukov, 2017).
 */
#pragma once

#include <lib/types.h>
#include <mm/gfp.h>

enum inject_point { INJECT_OBJECTS, INJECT_PAGES, NR_INJECT_POINTS };

struct inject_rule {
	u64 probability; /* per cent of those that the rest of the rule chooses: 1 … 100 */
	u64 interval;    /* every so many-th of them: 1 is each */
	u64 after;       /* so many go through first */
	u64 times;       /* so many fail at most */
	u64 seed;        /* of the choice by probability: the same seed, the same choice */
	u64 min_order;   /* pages: of blocks of this order and above */
	char cache[32];  /* objects: of caches whose name matches (*, ?); "": of all */
	char site[64];   /* objects: whose "file:line (function)" matches; "": all */
};

#define INJECT_WHY_MAX 96

/*
 * Reads "interval=10,times=3,cache=kmalloc-*": a list of probability (100), interval (1), after
 * (0), times (no end), seed (1), and cache= and site= for objects, order= (0) for pages. 0; or
 * -EINVAL, with one line in `why` that says what is wrong; then *out is undefined.
 */
int inject_parse(enum inject_point point, const char *text, struct inject_rule *out,
                 char why[INJECT_WHY_MAX]);

/* Arms the point with a copy of the rule, its counts at 0; NULL: it fails nothing any more. 0; or
 * -EAGAIN: other CPUs cannot be told now (interrupts are off), and nothing is changed. In threads,
 * one at a time. */
int inject_set(enum inject_point point, const struct inject_rule *rule);

/* Allocations of either point that a rule was asked about, and that failed by it, since it was
 * armed; and whether it is. */
struct inject_stats {
	bool armed;
	u64 nr_asked, nr_failed;
};
void inject_stats(enum inject_point point, struct inject_stats *out);

/*
 * Between the two, the n-th allocation (1: the first) of this thread fails, at whichever point;
 * those of others and of interrupt handlers are not counted. inject_nth_end(): whether there was an
 * n-th. begin: as inject_set().
 */
int inject_nth_begin(u64 n);
bool inject_nth_end(void);

/* For people, through kprintf. */
void stats_print_inject(void);
