/* kmalloc, kfree, krealloc and object caches: hot pairs, batches in three orders, bulk. */
#include <lib/format.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/bench/batch.h>

#define HOT_PAIR(size, rounds)                                          \
	BENCH(kmalloc_kfree_hot_##size, rounds)                         \
	{                                                               \
		for (u32 i = 0; i < n; i++)                             \
			kfree(bench_opaque(kmalloc(size, GFP_KERNEL))); \
	}

/* clang-format off */
HOT_PAIR(8, 10000)
HOT_PAIR(16, 10000)
HOT_PAIR(32, 10000)
HOT_PAIR(64, 10000)
HOT_PAIR(96, 10000)
HOT_PAIR(128, 10000)
HOT_PAIR(192, 10000)
HOT_PAIR(256, 10000)
HOT_PAIR(512, 10000)
HOT_PAIR(1024, 10000)
HOT_PAIR(2048, 10000)
HOT_PAIR(4096, 2000)
HOT_PAIR(8192, 2000)
HOT_PAIR(16384, 2000)
/* clang-format on */

BENCH(kmalloc_kfree_hot_256_runtime_size, 10000)
{
	size_t size = (size_t)bench_opaque((void *)256);

	for (u32 i = 0; i < n; i++)
		kfree(bench_opaque(kmalloc(size, GFP_KERNEL)));
}

BENCH(kmalloc_kfree_hot_256_atomic, 10000)
{
	for (u32 i = 0; i < n; i++)
		kfree(bench_opaque(kmalloc(256, GFP_ATOMIC)));
}

BENCH(kzalloc_kfree_hot_256, 10000)
{
	for (u32 i = 0; i < n; i++)
		kfree(bench_opaque(kzalloc(256, GFP_KERNEL)));
}

static struct kmem_cache *own_cache;

/* The cache is made in the warm-up and stays: what is measured is the pair. */
BENCH(kmem_cache_pair_hot_256, 10000)
{
	static struct kmem_cache *cache;

	if (cache == NULL)
		cache = kmem_cache_create("bench_pair", 256, 0, 0, NULL);
	for (u32 i = 0; i < n; i++)
		kmem_cache_free(cache, bench_opaque(kmem_cache_alloc(cache, GFP_KERNEL)));
}

static void *alloc_32(void)
{
	return kmalloc(32, GFP_KERNEL);
}

static void *alloc_256(void)
{
	return kmalloc(256, GFP_KERNEL);
}

static void *alloc_1024(void)
{
	return kmalloc(1024, GFP_KERNEL);
}

static void free_object(void *p)
{
	kfree(p);
}

BENCH_OWN(kmalloc_batch_32)
{
	(void)n;
	bench_batches("kmalloc_batch_32", 10000, alloc_32, free_object);
}

BENCH_OWN(kmalloc_batch_256)
{
	(void)n;
	bench_batches("kmalloc_batch_256", 10000, alloc_256, free_object);
}

BENCH_OWN(kmalloc_batch_1024)
{
	(void)n;
	bench_batches("kmalloc_batch_1024", 10000, alloc_1024, free_object);
}

enum { BULK = 64 };

BENCH_OWN(kmem_cache_bulk64_256)
{
	void *objects[BULK];
	u64 alloc[BENCH_BLOCKS + 1], release[BENCH_BLOCKS + 1], clock = bench_clock_cost();

	(void)n;
	own_cache = kmem_cache_create("bench", 256, 0, 0, NULL);
	for (unsigned i = 0; i <= BENCH_BLOCKS; i++) {
		u64 flags = irq_save(), start = bench_clock(), middle;

		kmem_cache_alloc_bulk(own_cache, GFP_KERNEL, BULK, objects);
		middle = bench_clock();
		kmem_cache_free_bulk(own_cache, BULK, objects);
		release[i] = bench_clock() - middle - clock;
		alloc[i] = middle - start - clock;
		irq_restore(flags);
	}
	kmem_cache_destroy(own_cache);
	bench_report("kmem_cache_bulk64_256_alloc_per_obj",
	             bench_median(alloc + 1, BENCH_BLOCKS) * 10 / BULK);
	bench_report("kmem_cache_bulk64_256_free_per_obj",
	             bench_median(release + 1, BENCH_BLOCKS) * 10 / BULK);
}

BENCH(krealloc_32_to_4096_7_steps, 1000)
{
	for (u32 i = 0; i < n; i++) {
		void *p = kmalloc(32, GFP_KERNEL);

		for (size_t size = 64; size <= 4096; size *= 2)
			p = krealloc(bench_opaque(p), size, GFP_KERNEL);
		kfree(p);
	}
}
