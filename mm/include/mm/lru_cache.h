/*
 * A cache of values that can be computed again: by key, the least recently used first out. It grows
 * as long as there is memory and gives way when the page allocator asks: the sample of how to plug
 * a shrinker in (<mm/reclaim.h>), and of use as it is.
 *
 * Contexts: threads; lru_cache_read() anywhere when nothing has to be computed, in threads
 * otherwise. fill() runs with no lock held and may allocate.
 */
#pragma once

#include <lib/types.h>

struct lru_cache;

/* Computes the value of a key into `value`. False: there is none. */
typedef bool (*lru_fill_fn)(u64 key, void *value, void *data);

#define LRU_MAX_SIZE 4096u

/* For values of 1 … LRU_MAX_SIZE bytes. NULL: no memory, or another size. The name is copied. */
struct lru_cache *lru_cache_create(const char *name, size_t size, lru_fill_fn fill, void *data);
void lru_cache_destroy(struct lru_cache *c); /* NULL is a no-op */

/* Copies the value to `out`, computing it if it must. False: the key has none. Without memory to
 * keep it the value is computed all the same. */
bool lru_cache_read(struct lru_cache *c, u64 key, void *out);

/* The value is out of date. */
void lru_cache_forget(struct lru_cache *c, u64 key);

struct lru_cache_stats {
	u64 nr_values;
	u64 nr_hits, nr_misses;
	u64 nr_evicted; /* by its shrinker */
};
void lru_cache_stats(struct lru_cache *c, struct lru_cache_stats *out);
