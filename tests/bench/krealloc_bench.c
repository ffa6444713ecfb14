/*
 * krealloc without its copying: the steps of krealloc_32_to_4096_7_steps, less the same copies
 * alone. Each is measured as a benchmark is, by hand.
 */
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <tests/bench/bench.h>

enum { ROUNDS = 1000 };

static __noinline void krealloc_steps(void)
{
	for (u32 i = 0; i < ROUNDS; i++) {
		void *p = kmalloc(32, GFP_KERNEL);

		for (size_t size = 64; size <= 4096; size *= 2)
			p = krealloc(bench_opaque(p), size, GFP_KERNEL);
		kfree(p);
	}
}

static __noinline void copy_steps(void)
{
	static char from[2048], to[2048];

	for (u32 i = 0; i < ROUNDS; i++)
		for (size_t size = 32; size <= 2048; size *= 2)
			memcpy(bench_opaque(to), bench_opaque(from),
			       (size_t)bench_opaque((void *)size));
}

static u64 median_cost(void (*run)(void))
{
	u64 values[BENCH_BLOCKS], clock = bench_clock_cost();

	run(); /* warm-up */
	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		u64 flags = irq_save(), start = bench_clock();

		run();
		values[i] = bench_clock() - start - clock;
		irq_restore(flags);
	}
	return bench_median(values, BENCH_BLOCKS);
}

BENCH_OWN(krealloc_32_to_4096_less_copy)
{
	u64 all = median_cost(krealloc_steps), copies = median_cost(copy_steps);

	(void)n;
	bench_report("krealloc_32_to_4096_less_copy", (all - copies) * 10 / ROUNDS);
}
