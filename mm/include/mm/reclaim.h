/*
 * The one way back up: whoever can give memory back registers a shrinker, and the page allocator
 * asks when it has nothing left (callers with __GFP_RECLAIM only). No recursion: an allocation made
 * by a shrinker never reclaims.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

struct shrinker {
	const char *name;
	/* Frees what it can, nr_pages or more at best; returns the pages freed. Must not wait for
	 * memory. */
	u64 (*shrink)(struct shrinker *self, u64 nr_pages);
	struct list link; /* private */
};

void register_shrinker(struct shrinker *s);
void unregister_shrinker(struct shrinker *s);

/* Asks the shrinkers in turn until nr_pages are free; returns the pages freed. 0 inside a shrinker.
 */
u64 reclaim_pages(u64 nr_pages);
