/*
 * What the benchmark's workloads share: the clock, phases, random numbers and sizes.
 *
 * A phase is a piece of work that is timed in blocks and reported as its median a operation. Under
 * callgrind each phase runs in one block, inside measured(), and the driver (bench_host.py) takes
 * the instructions that were counted there: the lines that the program prints come in the order of
 * the counts.
 */
#pragma once

#include <tests/bench/host/subject.h>

#define MAX_BLOCKS 64

struct phase {
	const char *name;
	u64 ops; /* in a block */
	unsigned nr;
	double block[MAX_BLOCKS]; /* ns an operation */
};

/* How many blocks a phase has: the option --blocks, 1 with --count. */
extern unsigned nr_blocks;

/* Runs the body and keeps the time that it took of this thread's processor time. */
void phase_run(struct phase *p, void (*body)(void));

/* For work that is not one thread's: a time taken elsewhere, in ns for all ops. */
void phase_add(struct phase *p, double ns);

/* Prints "name value": the median of the blocks; with --count, "name operations". */
void phase_report(const struct phase *p);
void report(const char *name, double value);

double wall_ns(void); /* elapsed */
double cpu_ns(void);  /* this thread's processor time */

/* Ends the program with a line and the status. */
_Noreturn void fail(int status, const char *format, ...) __printf(1 + 1, 3);
enum { STATUS_FAILED = 1, STATUS_USAGE = 64 };

/* p, or the end: no workload goes on without memory. */
static __always_inline void *must(void *p)
{
	if (unlikely(p == NULL))
		fail(STATUS_FAILED, "the allocator has no memory left");
	return p;
}

/* Memory for the workload's own tables, which is not the measured allocator's. */
void *table(size_t bytes);

/* A cheap generator for places and orders (Knuth's 64-bit LCG, upper bits). */
struct lcg {
	u64 state;
};

static inline u32 lcg_next(struct lcg *g)
{
	g->state = g->state * 6364136223846793005u + 1442695040888963407u;
	return (u32)(g->state >> 32);
}

static inline u32 lcg_below(struct lcg *g, u32 bound)
{
	return (u32)((u64)lcg_next(g) * bound >> 32);
}

/*
 * A size of the mix: 16 to 8191 bytes, mostly small. The logarithm is the lesser of two uniform
 * draws over the nine doublings, linear inside each. Mean 430, median 104.
 */
u32 mix_size(struct lcg *g);

struct work {
	const char *name, *what;
	void (*run)(const char *argument); /* NULL when there is none */
};

extern const struct work pair_works[], batch_works[], mix_works[], thread_works[], replay_works[];
