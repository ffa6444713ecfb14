/*
 * Guaranteed reserves: a pool keeps min_nr elements back, so that whoever must make progress
 * without memory (to write something out, say, and so free memory) always can.
 *
 * mempool_alloc() asks the ordinary allocator first, gently; what that refuses comes from the
 * reserve; when that is empty too, a caller that may reclaim (GFP_KERNEL) waits until an element is
 * freed. So it never fails there, as long as those who hold elements free them without needing
 * more than one from the same pool.
 *
 * Contexts: create and destroy in threads; alloc in any, with GFP_ATOMIC or GFP_NOWAIT in interrupt
 * handlers and under spinlocks; free in any. Names and meaning are Linux's (mm/mempool.c, Molnár
 * 2000); where they differ: an element that is put back twice, and a pool that is destroyed while
 * elements of its reserve are out, stop the machine with a line.
 */
#pragma once

#include <mm/gfp.h>
#include <mm/site.h>

struct mempool;
struct kmem_cache;

#define MEMPOOL_MAX 4096u

/* Of one element. The gfp flags are the caller's, less what would wait at the first try. */
typedef void *(*mempool_alloc_fn)(gfp_t gfp, void *data);
typedef void (*mempool_free_fn)(void *element, void *data);

/*
 * A pool that keeps min_nr elements back (1 … MEMPOOL_MAX), already filled. NULL when out of memory
 * or for a min_nr outside that.
 */
struct mempool *mempool_create(unsigned min_nr, mempool_alloc_fn alloc, mempool_free_fn free,
                               void *data);

/* The same for kmalloc(size), for objects of a cache, and for struct pages of 2^order frames. Its
 * elements belong to the call site that creates the pool. */
#define mempool_create_kmalloc_pool(min_nr, size) \
	mempool_create_kmalloc_pool_tag(min_nr, size, ALLOC_TAG())
#define mempool_create_slab_pool(min_nr, cache) \
	mempool_create_slab_pool_tag(min_nr, cache, ALLOC_TAG())
struct mempool *mempool_create_page_pool(unsigned min_nr, unsigned order);

/* NULL only without __GFP_RECLAIM, or before there are threads that could be waited for. Elements
 * from the reserve hold what their last user left there: no __GFP_ZERO. */
void *mempool_alloc(struct mempool *p, gfp_t gfp);
void mempool_free(void *element, struct mempool *p); /* NULL is a no-op */

/* All elements must have been freed. NULL is a no-op. */
void mempool_destroy(struct mempool *p);

struct mempool_stats {
	unsigned min_nr, nr; /* elements of the reserve, and how many of them are there */
	u64 nr_from_reserve; /* allocations that came out of it */
	u64 nr_waits;        /* how often one had to wait */
};
void mempool_stats(struct mempool *p, struct mempool_stats *out);

/* --- the same for another call site than this one, by its tag --- */

struct mempool *mempool_create_kmalloc_pool_tag(unsigned min_nr, size_t size, u32 tag);
struct mempool *mempool_create_slab_pool_tag(unsigned min_nr, struct kmem_cache *cache, u32 tag);
