/* Arenas: hot pairs through the quantum caches and past them, and pairs among many segments. */
#include <lib/format.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/bench/bench.h>

#define QUANTUM 0x1000ull

static struct vmem *arena(u64 size, u64 qcache_max)
{
	return vmem_create("bench", 0x100000, size, QUANTUM, NULL, NULL, NULL, qcache_max,
	                   GFP_KERNEL);
}

static void pairs(struct vmem *v, u64 size, gfp_t flags, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		u64 addr = vmem_alloc(v, size, flags);

		if (addr != 0)
			vmem_free(v, addr, size);
	}
}

static void aligned_pairs(struct vmem *v, u32 n)
{
	for (u32 i = 0; i < n; i++) {
		u64 addr = vmem_xalloc(v, QUANTUM, 8 * QUANTUM, 0, 0, 0, 0, GFP_KERNEL);

		if (addr != 0)
			vmem_xfree(v, addr, QUANTUM);
	}
}

enum { ROUNDS = 1000 };

static void report(const char *name, struct vmem *v, u64 size, gfp_t flags)
{
	u64 cost[BENCH_BLOCKS + 1], clock = bench_clock_cost();

	for (unsigned i = 0; i <= BENCH_BLOCKS; i++) {
		u64 irq = irq_save(), start = bench_clock();

		if (size != 0)
			pairs(v, size, flags, ROUNDS);
		else
			aligned_pairs(v, ROUNDS);
		cost[i] = bench_clock() - start - clock;
		irq_restore(irq);
	}
	bench_report(name, bench_median(cost + 1, BENCH_BLOCKS) * 10 / ROUNDS);
}

BENCH_OWN(vmem_pairs)
{
	struct vmem *v = arena(1 << 30, 16 * QUANTUM);

	(void)n;
	if (v == NULL)
		return;
	report("vmem_pair_quantum_cache", v, QUANTUM, GFP_KERNEL);
	report("vmem_pair_quantum_cache_16", v, 16 * QUANTUM, GFP_KERNEL);
	report("vmem_pair_plain", v, 17 * QUANTUM, GFP_KERNEL);
	report("vmem_pair_best_fit", v, 17 * QUANTUM, GFP_KERNEL | VM_BESTFIT);
	report("vmem_pair_next_fit", v, 17 * QUANTUM, GFP_KERNEL | VM_NEXTFIT);
	report("vmem_pair_aligned", v, 0, GFP_KERNEL);
	(void)vmem_destroy(v);
}

/*
 * Pairs in an arena with nr segments, every other one free, in two cases: one quantum, which any of
 * the free ones serves, and two, which only what lies behind them does.
 */
static void among(u32 nr)
{
	struct vmem *v = arena((u64)nr * QUANTUM + (1 << 20), 0);
	char name[48];
	u32 made = 0;

	if (v == NULL)
		return;
	while (made < nr && vmem_alloc(v, QUANTUM, GFP_KERNEL | __GFP_NOWARN) != 0)
		made++;
	for (u32 i = 0; i < made; i += 2)
		vmem_free(v, 0x100000 + i * QUANTUM, QUANTUM);
	format_buf(name, sizeof(name), "vmem_pair_among_%u", nr);
	if (made == nr)
		report(name, v, QUANTUM, GFP_KERNEL);
	format_buf(name, sizeof(name), "vmem_pair_of_two_among_%u", nr);
	if (made == nr)
		report(name, v, 2 * QUANTUM, GFP_KERNEL);
	for (u32 i = 1; i < made; i += 2)
		vmem_free(v, 0x100000 + i * QUANTUM, QUANTUM);
	(void)vmem_destroy(v);
}

BENCH_OWN(vmem_pair_among)
{
	(void)n;
	for (u32 nr = 10; nr <= 1000000; nr *= 10)
		among(nr);
}
