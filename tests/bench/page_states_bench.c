/*
 * The dearest steady state of a hot order-0 pair: states in which Strata's paths could differ, each
 * entered by other work, then pairs. A file of its own, for the rest of the page benchmarks is
 * compiled for Linux too (docs/benchmarks-linux.md), whose states are others.
 */
#include <lib/log.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/bench/bench.h>

enum { PAIRS = 100, HELD_ON_STACK = 200 };

static u64 taken; /* a chain through the blocks' first words */

static void take_block(struct page *page, unsigned order)
{
	u64 *word = page_address(page);

	word[0] = taken;
	word[1] = order;
	taken = (u64)word;
}

/* All of the zone that requests prefer: what is left comes from a zone below. */
static void exhaust_highest_zone(void)
{
	struct page *page = alloc_page(GFP_NOWAIT);
	struct zone *highest = page_zone(page);

	free_page(page);
	drain_cpu_pages();
	for (unsigned order = NR_ORDERS; order-- > 0;)
		while ((page = alloc_pages(GFP_NOWAIT | __GFP_NOWARN, order)) != NULL) {
			if (page_zone(page) != highest) {
				free_pages(page, order);
				break;
			}
			take_block(page, order);
		}
}

static void give_back(void)
{
	while (taken != 0) {
		u64 *word = (u64 *)taken;

		taken = word[0];
		free_pages(virt_to_page(word), (unsigned)word[1]);
	}
}

static void drain(void)
{
	drain_cpu_pages();
}

/* More blocks of that order than a stack holds, freed. */
static void overfill(unsigned order)
{
	static struct page *pages[HELD_ON_STACK];

	for (unsigned i = 0; i < HELD_ON_STACK; i++)
		pages[i] = alloc_pages(GFP_KERNEL, order);
	for (unsigned i = 0; i < HELD_ON_STACK; i++)
		free_pages(pages[i], order);
}

static void overfill_single(void)
{
	overfill(0);
}

static void overfill_others(void)
{
	drain_cpu_pages();
	for (unsigned order = 1; order < 4; order++)
		overfill(order);
}

static void nothing_but_the_last_zone(void)
{
	exhaust_highest_zone();
}

static void nothing_but_large_blocks(void)
{
	exhaust_highest_zone();
	drain_cpu_pages();
}

static u64 cost_of_pairs(void)
{
	u64 cost[BENCH_BLOCKS], clock = bench_clock_cost();

	for (unsigned i = 0; i < BENCH_BLOCKS; i++) {
		u64 flags = irq_save(), start = bench_clock();

		for (u32 j = 0; j < PAIRS; j++)
			free_page(bench_opaque(alloc_page(GFP_KERNEL)));
		cost[i] = bench_clock() - start - clock;
		irq_restore(flags);
	}
	return bench_median(cost, BENCH_BLOCKS) * 10 / PAIRS;
}

BENCH_OWN(alloc_pages_pair_order0_worst_state)
{
	static const struct {
		const char *name;
		void (*enter)(void);
	} states[] = {
	    {"the stack empty", drain},
	    {"the stack full", overfill_single},
	    {"the stack empty, those of other orders full", overfill_others},
	    {"the highest zone empty, the next one's stack in use", nothing_but_the_last_zone},
	    {"the highest zone empty, the next one whole", nothing_but_large_blocks},
	};
	u64 worst = 0;

	(void)n;
	for (unsigned i = 0; i < ARRAY_SIZE(states); i++) {
		u64 cost;

		states[i].enter();
		cost = cost_of_pairs();
		worst = cost > worst ? cost : worst;
		kprintf("# alloc_pages_pair_order0, %s: %lu.%lu\n", states[i].name, cost / 10,
		        cost % 10);
		give_back();
		drain_cpu_pages();
	}
	bench_report("alloc_pages_pair_order0_worst_state", worst);
}
