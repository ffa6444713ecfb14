/*
 * The benchmarks' method: a warm-up, seven blocks, the median, less the clock and an empty loop,
 * per round. Interrupts are off around a block. Before anything else the clock is tried on loops of
 * 2 and of 10 known instructions: where it does not count instructions (no -icount) the figures are
 * cycles, and the first line says so.
 */
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <tests/bench/bench.h>

extern const struct bench *const __start_strata_benches[] __attribute__((weak));
extern const struct bench *const __stop_strata_benches[] __attribute__((weak));

static const char *unit;

u64 bench_median(u64 values[], unsigned n)
{
	for (unsigned i = 1; i < n; i++)
		for (unsigned j = i; j > 0 && values[j] < values[j - 1]; j--) {
			u64 swap = values[j];

			values[j] = values[j - 1];
			values[j - 1] = swap;
		}
	return values[n / 2];
}

u64 bench_clock_cost(void)
{
	u64 values[BENCH_BLOCKS];

	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		u64 start = bench_clock();

		values[i] = bench_clock() - start;
	}
	return bench_median(values, BENCH_BLOCKS);
}

void bench_report(const char *name, u64 tenths)
{
	kprintf("%s %lu.%lu %s\n", name, tenths / 10, tenths % 10, unit);
}

void bench_report_count(const char *name, u64 value)
{
	kprintf("%s %lu count\n", name, value);
}

static __noinline void empty_loop(u32 n)
{
	for (u32 i = 0; i < n; i++)
		bench_opaque(NULL);
}

/* The median cost of one call with n rounds, without the clock's. */
static u64 cost_of(void (*run)(u32 n), u32 n)
{
	u64 values[BENCH_BLOCKS], clock = bench_clock_cost();

	run(n); /* warm-up */
	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		u64 flags = irq_save();
		u64 start = bench_clock();

		run(n);
		values[i] = bench_clock() - start;
		irq_restore(flags);
		values[i] -= values[i] < clock ? values[i] : clock;
	}
	return bench_median(values, BENCH_BLOCKS);
}

static void loop_of_2(u32 n)
{
	u64 count = n;

	__asm__ volatile("1: dec %0; jnz 1b" : "+r"(count) : : "cc");
}

static void loop_of_10(u32 n)
{
	u64 count = n;

	__asm__ volatile("1: nop; nop; nop; nop; nop; nop; nop; nop; dec %0; jnz 1b"
	                 : "+r"(count)
	                 :
	                 : "cc");
}

/* Whether a tick is an instruction: 8 more a round, exactly. */
static bool counts_instructions(void)
{
	return cost_of(loop_of_10, 10000) - cost_of(loop_of_2, 10000) == 80000;
}

static void run_one(const struct bench *b)
{
	u64 cost, empty;

	if (b->n == 0) {
		b->run(0);
		return;
	}
	cost = cost_of(b->run, b->n);
	empty = cost_of(empty_loop, b->n);
	bench_report(b->name, cost > empty ? (cost - empty) * 10 / b->n : 0);
}

int bench_run_all(const char *pattern)
{
	bool exact = counts_instructions();
	unsigned nr = 0;

	unit = exact ? "instructions" : "cycles";
	kprintf("# bench: %s\n", exact ? "one tick of the clock is one guest instruction"
	                               : "not under -icount shift=0: these are cycles, not exact");
	for (const struct bench *const *b = __start_strata_benches; b < __stop_strata_benches;
	     b++) {
		if (pattern != NULL && pattern[0] != '\0' && !str_matches(pattern, (*b)->name))
			continue;
		run_one(*b);
		nr++;
	}
	kprintf("# bench: %u benchmarks done\n", nr);
	return nr == 0 ? -ENOENT : 0;
}
