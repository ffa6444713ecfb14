/*
 * The kernel's benchmarks: exact counts of guest instructions, under QEMU with -icount shift=0,
 * where one tick of the time stamp counter is one instruction. docs/benchmarks.md defines names,
 * workloads and method.
 *
 * A benchmark is one block, found by the linker:
 *
 *     BENCH(alloc_pages_pair_order0, 10000) { ... n rounds of the work ... }
 *
 * Its body is a loop of n rounds; what is printed is the cost of one round, less that of an empty
 * loop of the same form.
 */
#pragma once

#include <lib/types.h>

struct bench {
	const char *name;
	void (*run)(u32 n);
	u32 n; /* rounds a block */
};

#define BENCH(name_, n_)                                                              \
	static void bench_##name_(u32 n);                                             \
	static const struct bench bench_record_##name_ = {#name_, bench_##name_, n_}; \
	static const struct bench *const bench_pointer_##name_                        \
	    __attribute__((section("strata_benches"), used)) = &bench_record_##name_; \
	static __noinline void bench_##name_(u32 n)

/* A figure that is not the cost of a loop: the function measures and prints by itself. */
#define BENCH_OWN(name_) BENCH(name_, 0)

/* Runs all whose name matches the pattern (NULL, "": all). 0, or -ENOENT when none does. */
int bench_run_all(const char *pattern);

/* --- for benchmarks that measure by themselves --- */

/* The time stamp counter, after everything before it. */
static inline u64 bench_clock(void)
{
	u32 low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (u64)high << 32 | low;
}

/* What two readings of the clock cost by themselves. */
u64 bench_clock_cost(void);

/* Prints `name value unit`; tenths of a unit. */
void bench_report(const char *name, u64 tenths);

/* Prints `name value count`. */
void bench_report_count(const char *name, u64 value);

/* The median of n values, which are sorted by this. */
u64 bench_median(u64 values[], unsigned n);

/* The compiler may assume nothing of what comes back. */
static inline void *bench_opaque(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

#define BENCH_BLOCKS 7
