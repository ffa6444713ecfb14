/* Batches: see batch.h. */
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <tests/bench/batch.h>

enum order { SAME, REVERSE, RANDOM, NR_BATCH_ORDERS };

static void *objects[BATCH_MAX];
static u32 order_of[BATCH_MAX];

/* Fisher and Yates from the top, with the generator that docs/benchmarks.md names. */
static void shuffle(u32 n)
{
	u32 x = 12345;

	for (u32 i = n - 1; i > 0; i--) {
		u32 j, swap = order_of[i];

		x = x * 1664525u + 1013904223u;
		j = (u32)((u64)x * (i + 1) >> 32);
		order_of[i] = order_of[j];
		order_of[j] = swap;
	}
}

static void set_order(enum order order, u32 n)
{
	for (u32 i = 0; i < n; i++)
		order_of[i] = order == REVERSE ? n - 1 - i : i;
	if (order == RANDOM)
		shuffle(n);
}

static __noinline void alloc_all(u32 n, void *(*alloc)(void))
{
	for (u32 i = 0; i < n; i++)
		objects[i] = alloc();
}

static __noinline void free_all(u32 n, void (*release)(void *))
{
	for (u32 i = 0; i < n; i++)
		release(objects[order_of[i]]);
}

static __noinline void *no_alloc(void)
{
	return bench_opaque(NULL);
}

static __noinline void no_release(void *p)
{
	bench_opaque(p);
}

struct cost {
	u64 alloc, release;
};

static struct cost one_round(u32 n, void *(*alloc)(void), void (*release)(void *))
{
	u64 flags = irq_save(), start = bench_clock(), middle, end;

	alloc_all(n, alloc);
	middle = bench_clock();
	free_all(n, release);
	end = bench_clock();
	irq_restore(flags);
	return (struct cost){middle - start, end - middle};
}

/* The median of the rounds after the first. */
static struct cost median_cost(u32 n, void *(*alloc)(void), void (*release)(void *))
{
	u64 a[BENCH_BLOCKS], f[BENCH_BLOCKS];

	one_round(n, alloc, release);
	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		struct cost c = one_round(n, alloc, release);

		a[i] = c.alloc;
		f[i] = c.release;
	}
	return (struct cost){bench_median(a, BENCH_BLOCKS), bench_median(f, BENCH_BLOCKS)};
}

static struct cost worst_cost(u32 n, void *(*alloc)(void), void (*release)(void *))
{
	u64 clock = bench_clock_cost(), flags = irq_save();
	struct cost worst = {0, 0};

	for (u32 i = 0; i < n; i++) {
		u64 start = bench_clock(), cost;

		objects[i] = alloc();
		cost = bench_clock() - start - clock;
		worst.alloc = cost > worst.alloc ? cost : worst.alloc;
	}
	for (u32 i = 0; i < n; i++) {
		u64 start = bench_clock(), cost;

		release(objects[order_of[i]]);
		cost = bench_clock() - start - clock;
		worst.release = cost > worst.release ? cost : worst.release;
	}
	irq_restore(flags);
	return worst;
}

static void report(const char *name, const char *order, const char *what, u64 tenths)
{
	char full[96];

	format_buf(full, sizeof(full), "%s%s_%s", name, order, what);
	bench_report(full, tenths);
}

static u64 per_op(u64 cost, u64 empty, u32 n)
{
	return cost > empty ? (cost - empty) * 10 / n : 0;
}

void bench_batches(const char *name, u32 n, void *(*alloc)(void), void (*release)(void *))
{
	static const char *const names[NR_BATCH_ORDERS] = {"_same", "_reverse", "_random"};
	struct cost worst;

	for (enum order order = SAME; order < NR_BATCH_ORDERS; order++) {
		struct cost empty, c;

		set_order(order, n);
		empty = median_cost(n, no_alloc, no_release);
		c = median_cost(n, alloc, release);
		report(name, names[order], "alloc", per_op(c.alloc, empty.alloc, n));
		report(name, names[order], "free", per_op(c.release, empty.release, n));
	}
	worst = worst_cost(n, alloc, release);
	report(name, "", "alloc_worst", worst.alloc * 10);
	report(name, "", "free_worst", worst.release * 10);
}
