/*
 * What only Linux's column has, or what takes Linux's own words: the order-0 pair without the
 * look-up of the NUMA policy, the pair's dearest steady state, and krealloc without its copying.
 *
 * The dearest state. A CPU keeps free pages in lists, one for each kind of page (movable,
 * unmovable, reclaimable) and order, under one limit for their sum. When other lists fill that
 * limit and the kernel's own list is empty, each allocation fetches a batch from the buddy
 * allocator, and each free is over the limit and gives the batch back.
 */
#include <compat.h>
#include <tests/bench/bench.h>

enum { OTHERS = 4096, PAIRS = 100, COPIES = 1000 };

/* The median cost of one call, after a warm-up, without the clock's. */
static u64 cost_of(void (*run)(u32 n), u32 n)
{
	u64 values[BENCH_BLOCKS], clock = bench_clock_cost();

	run(n);
	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		u64 flags = irq_save(), start = bench_clock();

		run(n);
		values[i] = bench_clock() - start - clock;
		irq_restore(flags);
	}
	return bench_median(values, BENCH_BLOCKS);
}

static noinline void empty_rounds(u32 n)
{
	for (u32 i = 0; i < n; i++)
		bench_opaque(NULL);
}

BENCH(alloc_pages_pair_order0_node, 10000)
{
	for (u32 i = 0; i < n; i++) {
		struct page *page = bench_opaque(alloc_pages_node(0, GFP_KERNEL, 0));

		if (page != NULL)
			free_pages(page, 0);
	}
}

/* --- the dearest steady state of an order-0 pair --- */

static const struct {
	const char *text;
	gfp_t gfp;
	unsigned order;
} states[] = {
    {"kernel pages", GFP_KERNEL, 0},
    {"freed user pages", GFP_HIGHUSER_MOVABLE, 0},
    {"freed cache pages", GFP_KERNEL | __GFP_RECLAIMABLE, 0},
    {"freed blocks of 8 pages", GFP_KERNEL, 3},
};

struct held {
	u32 nr;
	struct page *pages[OTHERS];
};

static void hold(struct held *held, gfp_t gfp, unsigned order)
{
	struct page *page = alloc_pages(gfp, order);

	if (page != NULL)
		held->pages[held->nr++] = page;
}

static void let_go(struct held *held, unsigned order)
{
	free_pages(held->pages[--held->nr], order);
}

/* The lists of this CPU for the zone that kernel pages come from. */
static struct per_cpu_pages *cpu_lists(const struct held *kernel)
{
	return this_cpu_ptr(page_zone(kernel->pages[0])->per_cpu_pageset);
}

/* Takes the kernel's own single pages away until none is left, then frees others until one more
 * would be over the limit. */
static void fill_lists(struct held *kernel, struct held *others, gfp_t gfp, unsigned order)
{
	u64 flags = irq_save();
	struct per_cpu_pages *lists;

	hold(kernel, GFP_KERNEL, 0);
	lists = cpu_lists(kernel);
	while (others->nr < OTHERS >> order)
		hold(others, gfp, order);
	while (kernel->nr < OTHERS && !list_empty(&lists->lists[MIGRATE_UNMOVABLE]))
		hold(kernel, GFP_KERNEL, 0);
	while (others->nr > 0 && lists->count + (1 << order) < lists->high)
		let_go(others, order);
	irq_restore(flags);
}

static noinline void page_pairs(u32 n)
{
	for (u32 i = 0; i < n; i++) {
		struct page *page = bench_opaque(alloc_pages(GFP_KERNEL, 0));

		if (page != NULL)
			free_pages(page, 0);
	}
}

static u64 pair_in_state(gfp_t gfp, unsigned order)
{
	static struct held kernel, others;
	u64 cost;

	fill_lists(&kernel, &others, gfp, order);
	cost = cost_of(page_pairs, PAIRS);
	while (others.nr > 0)
		let_go(&others, order);
	while (kernel.nr > 0)
		let_go(&kernel, 0);
	return cost;
}

BENCH_OWN(alloc_pages_pair_order0_worst_state)
{
	u64 worst = 0, empty = cost_of(empty_rounds, PAIRS);

	(void)n;
	for (u32 i = 0; i < ARRAY_SIZE(states); i++) {
		u64 cost = pair_in_state(states[i].gfp, states[i].order) - empty;

		kprintf("# bench: an order-0 pair costs %llu with the CPU's lists full of %s\n",
		        cost / PAIRS, states[i].text);
		worst = max(worst, cost);
	}
	bench_report("alloc_pages_pair_order0_worst_state", worst * 10 / PAIRS);
}

/* --- krealloc without its copying --- */

static noinline void krealloc_steps(u32 n)
{
	for (u32 i = 0; i < n; i++) {
		void *p = kmalloc(32, GFP_KERNEL);

		for (size_t size = 64; size <= 4096; size *= 2)
			p = krealloc(bench_opaque(p), size, GFP_KERNEL);
		kfree(p);
	}
}

static noinline void copy_steps(u32 n)
{
	static char from[2048], to[2048];

	for (u32 i = 0; i < n; i++)
		for (size_t size = 32; size <= 2048; size *= 2)
			memcpy(bench_opaque(to), bench_opaque(from),
			       (size_t)bench_opaque((void *)size));
}

BENCH_OWN(krealloc_32_to_4096_less_copy)
{
	u64 all = cost_of(krealloc_steps, COPIES), copies = cost_of(copy_steps, COPIES);

	(void)n;
	bench_report("krealloc_32_to_4096_copies_alone", copies * 10 / COPIES);
	bench_report("krealloc_32_to_4096_less_copy", (all - copies) * 10 / COPIES);
}
