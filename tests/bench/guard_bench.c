/*
 * What sampled guard pages cost a program: the same random mix of kmalloc and kfree with
 * `kfence=100` and without, and one sample. The whole run is counted, not the median of its parts,
 * which would leave the few samples out.
 */
#include <lib/rng.h>
#include <mm/mm.h>
#include <tests/bench/bench.h>

enum { NR_SLOTS = 512, NR_OPERATIONS = 100000 };

static void *slots[NR_SLOTS];

/* Each frees what its slot holds and takes another size, as often small as large. */
static void mix(u32 nr)
{
	struct rng rng;

	rng_seed(&rng, 1);
	for (u32 i = 0; i < nr; i++) {
		u64 r = rng_next(&rng);
		void **slot = &slots[r % NR_SLOTS];
		size_t size = 1 + (r >> 16 & ((16ul << (r >> 32) % 8) - 1));

		kfree(*slot);
		*slot = r >> 60 < 7 ? NULL : bench_opaque(kmalloc(size, GFP_KERNEL));
	}
	for (u32 i = 0; i < NR_SLOTS; i++) {
		kfree(slots[i]);
		slots[i] = NULL;
	}
}

/* Tenths of an instruction for one operation. */
static u64 cost_of_mix(void)
{
	u64 flags, start, end;

	mix(NR_OPERATIONS / 10);
	flags = irq_save();
	start = bench_clock();
	mix(NR_OPERATIONS);
	end = bench_clock();
	irq_restore(flags);
	return (end - start) * 10 / NR_OPERATIONS;
}

BENCH_OWN(kmalloc_mix)
{
	const struct guard_options every_100 = {.interval = 100, .nr_objects = 255};
	struct guard_stats stats;

	(void)n;
	bench_report("kmalloc_mix_per_op", cost_of_mix());
	if (guard_start(&every_100) != 0)
		return;
	bench_report("kmalloc_mix_kfence100_per_op", cost_of_mix());
	guard_stats(&stats);
	bench_report_count("kmalloc_mix_kfence100_samples", stats.nr_sampled);
	guard_stop();
}

/* One: a trip that is a sample, and the free. */
BENCH_OWN(kfence_sample)
{
	const struct guard_options each = {.interval = 1, .nr_objects = 255};
	struct kmem_cache *c = kmem_cache_create("bench_guard", 256, 0, SLAB_NO_MAGAZINE, NULL);
	u64 costs[BENCH_BLOCKS], clock = bench_clock_cost();

	(void)n;
	if (c == NULL || guard_start(&each) != 0)
		return;
	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		u64 flags = irq_save(), start = bench_clock();

		kmem_cache_free(c, bench_opaque(kmem_cache_alloc(c, GFP_KERNEL)));
		costs[i] = bench_clock() - start - clock;
		irq_restore(flags);
	}
	bench_report("kfence_sample_256", bench_median(costs, BENCH_BLOCKS) * 10);
	guard_stop();
	kmem_cache_destroy(c);
}
