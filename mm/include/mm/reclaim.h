/*
 * The one way back up: whoever can give memory back registers a shrinker, and the page allocator
 * asks when it has nothing left (callers with __GFP_RECLAIM only).
 *
 * There are two kinds. Who keeps memory that nobody uses (empty slabs, spare stacks) has no
 * count(): it is asked for all of it, first. Who keeps something of use that it could do without (a
 * cache of objects) counts it, and is asked for a share: first for a 256th of what each counts,
 * then for twice as much, and so on to all, until enough pages came back. So all lose in
 * proportion to what they have. (The idea is that of Linux's shrinkers, mm/vmscan.c.)
 *
 * What counts is pages that came back, not what a shrinker claims; each is asked a bounded number
 * of times whatever it answers.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

struct shrinker {
	const char *name;
	/* How many objects could be given up now: a guess will do. 0: none. Or NULL: see above. */
	u64 (*count)(struct shrinker *self);
	/* Gives up to nr of them up, the least useful first; returns how many. Both run in the
	 * context of whoever allocates, with no lock of the manager's held, and in several threads
	 * at once; they may allocate, which never reclaims again. */
	u64 (*scan)(struct shrinker *self, u64 nr);
	u64 nr_asked, nr_given; /* in calls, and in objects as it says */
	/* private, under the list's lock */
	u64 nr_walks;
	struct list link;
};

/* In threads only. Unregistering waits until nobody is in the shrinker's functions, so not from
 * inside them; afterwards they are not called. */
void register_shrinker(struct shrinker *s);
void unregister_shrinker(struct shrinker *s);

/* Asks until nr_pages more are free; returns how many more there are. 0 inside a shrinker. */
u64 reclaim_pages(u64 nr_pages);

/* Reclaims until every zone is above its high mark: the work of a background thread, which
 * platform_reclaim_wanted() wakes. False: the shrinkers have no more. */
bool reclaim_balance(void);

/* Each shrinker, and what it could give: SHRINKER_FREE_ANYWAY where it does not count, because what
 * it holds is free. In threads; visit must not allocate. */
#define SHRINKER_FREE_ANYWAY UINT64_MAX
void shrinkers_visit(void (*visit)(const struct shrinker *s, u64 could_give));
/* A line for each, through kprintf. */
void stats_print_shrinkers(void);
