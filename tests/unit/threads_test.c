/*
 * Several CPUs at once, as threads of the host: objects and pages that are allocated on one and
 * freed on another, with their contents verified (tests/model/exchange.h). At the end each CPU
 * gives back what it caches; then exactly as much must be in use as at the beginning.
 *
 * What a CPU finds wrong is counted; the macros are for CPU 0, after the others have ended.
 */
#if __STDC_HOSTED__
#include "tests/model/exchange.h"
#include "tests/model/expect.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#define NR_CPUS 4u

static u64 seeds[NR_CPUS];
static unsigned rounds;

static void empty_this_cpu(void)
{
	slab_shrink_all();
	drain_cpu_pages();
}

static void step_and_empty(void *unused)
{
	struct rng rng;

	(void)unused;
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned i = 0; i < rounds; i++)
		exchange_step(&rng, GFP_KERNEL | __GFP_NOWARN);
	host_cpus_meet();
	empty_this_cpu();
}

static void run_exchange(unsigned kinds, u64 bytes, unsigned rounds_each)
{
	struct mm_usage before, after;

	host_machine_borrow(bytes, NR_CPUS);
	rounds = rounds_each;
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
		seeds[cpu] = rng_next(test_rng());
	empty_this_cpu();
	mm_usage(&before);
	EXPECT_TRUE(exchange_begin(kinds));
	host_cpus_run(NR_CPUS, step_and_empty, NULL);
	EXPECT_SOUND(mm_check());
	EXPECT_GT(exchange_moved(), rounds);
	EXPECT_SOUND(exchange_end());
	empty_this_cpu();
	mm_usage(&after);
	EXPECT_EQ(after.used_pages, before.used_pages);
	EXPECT_EQ(after.live_objects, before.live_objects);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(threads, memory_of_any_size_changes_hands)
{
	run_exchange(1u << EXCHANGE_SIZES, 0, 12000);
}

TEST(threads, objects_of_one_cache_change_hands)
{
	run_exchange(1u << EXCHANGE_OBJECTS, 0, 12000);
}

TEST(threads, pages_change_hands)
{
	run_exchange(1u << EXCHANGE_PAGES | 1u << EXCHANGE_BLOCKS | 1u << EXCHANGE_EXACT, 0, 12000);
}

/* So little memory that some allocations fail, and all CPUs reclaim. */
TEST(threads, everything_changes_hands_on_a_small_machine)
{
	run_exchange(0, 16 * MIB, 12000);
}
#endif
