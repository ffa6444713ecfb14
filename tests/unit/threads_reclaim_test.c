/*
 * Several CPUs at once, when memory goes back: caches that are shrunk, created and destroyed beside
 * those who allocate, and machines whose memory is used up by all CPUs together, so that each asks
 * for reclaim while the others do.
 */
#if __STDC_HOSTED__
#include "tests/model/exchange.h"
#include "tests/model/expect.h"

#include <mm/mm.h>
#include <mm/reclaim.h>
#include <tests/host/cpus.h>

#define NR_CPUS 4u
#define NR_HELD 200u

static u64 nr_wrong, nr_done; /* A */
static u64 seeds[NR_CPUS];
static struct kmem_cache *shared;

static void count(u64 *counter)
{
	__atomic_add_fetch(counter, 1, __ATOMIC_RELAXED);
}

static void empty_this_cpu(void)
{
	slab_shrink_all();
	drain_cpu_pages();
}

static void begin_run(u64 bytes)
{
	host_machine_borrow(bytes, NR_CPUS);
	nr_wrong = nr_done = 0;
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
		seeds[cpu] = rng_next(test_rng());
}

static void must(bool holds)
{
	if (!holds)
		count(&nr_wrong);
}

static void run_on_all(void (*fn)(void *arg))
{
	struct mm_usage before, after;

	empty_this_cpu();
	mm_usage(&before);
	host_cpus_run(NR_CPUS, fn, NULL);
	mm_usage(&after);
	EXPECT_EQ(nr_wrong, 0);
	EXPECT_EQ(after.used_pages, before.used_pages);
	EXPECT_EQ(after.live_objects, before.live_objects);
	EXPECT_SOUND(mm_check());
}

/* --- shrinking --- */

static void fill(struct kmem_cache *c, u64 *held[NR_HELD], struct rng *rng)
{
	for (unsigned i = 0; i < NR_HELD; i++)
		held[i] =
		    block_sign(kmem_cache_alloc(c, GFP_KERNEL), kmem_cache_size(c), rng_next(rng));
}

/* Returns how many there were. */
static unsigned empty(struct kmem_cache *c, u64 *held[NR_HELD])
{
	unsigned n = 0;

	for (unsigned i = 0; i < NR_HELD; i++) {
		must(held[i] == NULL || block_is_signed(held[i], kmem_cache_size(c)));
		n += held[i] != NULL;
		kmem_cache_free(c, held[i]);
	}
	return n;
}

/* CPU 0 takes empty slabs away all the time; the others fill and empty. */
static void use_or_shrink(void *unused)
{
	u64 *held[NR_HELD];
	struct rng rng;

	(void)unused;
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned i = 0; i < 100; i++) {
		if (cpu_id() == 0) {
			kmem_cache_shrink(shared);
			slab_shrink_all();
			drain_cpu_pages();
			continue;
		}
		fill(shared, held, &rng);
		must(empty(shared, held) == NR_HELD);
		count(&nr_done);
	}
	host_cpus_meet();
	empty_this_cpu();
}

TEST(threads_reclaim, caches_are_shrunk_while_they_are_used)
{
	begin_run(0);
	shared = kmem_cache_create("shared", 200, 0, 0, NULL);
	if (shared != NULL)
		run_on_all(use_or_shrink);
	EXPECT_EQ(nr_done, (NR_CPUS - 1) * 100);
	EXPECT_EQ(kmem_cache_destroy(shared), 0);
	host_machine_return();
}

/* --- creating and destroying --- */

static void create_and_destroy(void *unused)
{
	u64 *held[NR_HELD];
	struct rng rng;

	(void)unused;
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned i = 0; i < 60; i++) {
		size_t size = 16 + rng_below(&rng, 2000);
		unsigned flags = rng_below(&rng, 4) ? 0 : SLAB_NO_MAGAZINE;
		struct kmem_cache *c = kmem_cache_create("passing", size, 0, flags, NULL);

		must(c != NULL);
		fill(c, held, &rng);
		must(empty(c, held) == NR_HELD);
		must(kmem_cache_destroy(c) == 0);
		count(&nr_done);
	}
	host_cpus_meet();
	empty_this_cpu();
}

TEST(threads_reclaim, caches_come_and_go)
{
	begin_run(0);
	run_on_all(create_and_destroy);
	EXPECT_EQ(nr_done, NR_CPUS * 60);
	host_machine_return();
}

/* Reclaim may come at any time, and walks the list of all caches. */
static void come_and_go_or_shrink(void *unused)
{
	if (cpu_id() != 0) {
		create_and_destroy(unused);
		return;
	}
	while (__atomic_load_n(&nr_done, __ATOMIC_RELAXED) < (NR_CPUS - 1) * 60)
		slab_shrink_all();
	host_cpus_meet();
	empty_this_cpu();
}

TEST(threads_reclaim, caches_come_and_go_beside_reclaim)
{
	begin_run(0);
	run_on_all(come_and_go_or_shrink);
	EXPECT_EQ(nr_done, (NR_CPUS - 1) * 60);
	host_machine_return();
}

/* --- exhaustion --- */

/* Takes what it gets of blocks of one order, in a list through the blocks themselves. */
static u64 *take_all(unsigned order, struct rng *rng)
{
	u64 *first = NULL;

	for (;;) {
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);
		u64 *block;

		if (page == NULL)
			return first;
		block = block_sign(page_address(page), (PAGE_SIZE << order) - 64, rng_next(rng));
		block[(PAGE_SIZE << order) / sizeof(u64) - 1] = (u64)first;
		first = block;
	}
}

static void give_all(u64 *first, unsigned order)
{
	while (first != NULL) {
		u64 *next = (u64 *)first[(PAGE_SIZE << order) / sizeof(u64) - 1];

		must(block_is_signed(first, (PAGE_SIZE << order) - 64));
		free_pages(virt_to_page(first), order);
		count(&nr_done);
		first = next;
	}
}

static void use_up(void *unused)
{
	struct rng rng;

	(void)unused;
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned round = 0; round < 6; round++) {
		unsigned order = (round + cpu_id()) % 5;
		u64 *objects[NR_HELD], *first;

		fill(shared, objects, &rng); /* as far as the others left memory; to be reclaimed */
		empty(shared, objects);
		first = take_all(order, &rng);
		give_all(first, order);
	}
	host_cpus_meet();
	empty_this_cpu();
}

TEST(threads_reclaim, all_cpus_use_up_memory_at_once)
{
	begin_run(16 * MIB);
	shared = kmem_cache_create("shared", 64, 0, 0, NULL);
	if (shared != NULL)
		run_on_all(use_up);
	EXPECT_GT(nr_done, 1000);
	EXPECT_EQ(kmem_cache_destroy(shared), 0);
	host_machine_return();
}
#endif
