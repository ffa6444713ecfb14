/*
 * The gallery's arena with four CPUs, as threads of the host: objects that are allocated on one and
 * freed on another, by a table of slots. Each object holds its own address; who frees it looks.
 */
#if __STDC_HOSTED__
#include <lib/bits.h>
#include <lib/platform.h>
#include <mm/heap.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/test.h>

#define NR_CPUS 4u
#define NR_SLOTS 64u
#define BYTES (1 * MIB)

static struct heap *heap;
static u64 seeds[NR_CPUS], nr_wrong, nr_freed;
static u64 *slot[NR_SLOTS];

static void give_back(u64 *object)
{
	if (object == NULL)
		return;
	if (*object != (u64)object)
		__atomic_fetch_add(&nr_wrong, 1, __ATOMIC_RELAXED);
	heap_free(heap, object);
	__atomic_fetch_add(&nr_freed, 1, __ATOMIC_RELAXED);
}

static void run(void *unused)
{
	struct rng rng;

	(void)unused;
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned i = 0; i < 3000; i++) {
		u64 *object = heap_alloc(heap, 8 + rng_below(&rng, 300));

		if (object != NULL)
			*object = (u64)object;
		give_back(__atomic_exchange_n(&slot[rng_below(&rng, NR_SLOTS)], object,
		                              __ATOMIC_ACQ_REL));
	}
	arena_heap_drain(heap);
}

TEST(heaps_threads, an_arena_serves_four_cpus)
{
	struct region region;
	void *memory;

	host_machine_borrow(0, NR_CPUS);
	memory = alloc_pages_exact(BYTES, GFP_KERNEL);
	region_init(&region, REGION_BUFFER, memory, BYTES, REGION_NO_THRESHOLD);
	heap = heap_create(heap_design_find("arena"), &region, NULL);
	nr_wrong = nr_freed = 0;
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
		seeds[cpu] = rng_next(test_rng());
	host_cpus_run(NR_CPUS, run, NULL);
	for (unsigned i = 0; i < NR_SLOTS; i++) {
		give_back(slot[i]);
		slot[i] = NULL;
	}
	arena_heap_drain(heap);
	EXPECT_EQ(nr_wrong, 0);
	EXPECT_EQ(nr_freed, NR_CPUS * 3000);
	EXPECT_NULL(heap_check(heap));
	EXPECT_NOT_NULL(heap_alloc(heap, BYTES * 3 / 4)); /* all of it is one block again */
	host_machine_return();
}
#endif
