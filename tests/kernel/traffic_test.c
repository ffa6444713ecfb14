/*
 * The goals of docs/locking.md on real CPUs and with interrupts: tests/unit/traffic_test.c has them
 * on the host. A producer that waits keeps its CPU, as a busy kernel would.
 */
#include "traffic.h"

#include <kernel/sched.h>
#include <kernel/smp.h>
#include <mm/mm.h>
#include <tests/test.h>

#define REMOTE_GOAL 600u /* tenths per 1000 operations */

static u64 nr_begun, nr_to_begin; /* A */

/* All begin together: a thread that can't be made makes none wait for it. */
static void run(void *number)
{
	__atomic_add_fetch(&nr_begun, 1, __ATOMIC_ACQ_REL);
	while (__atomic_load_n(&nr_begun, __ATOMIC_ACQUIRE) <
	       __atomic_load_n(&nr_to_begin, __ATOMIC_ACQUIRE))
		cpu_relax();
	if (__atomic_load_n(&nr_to_begin, __ATOMIC_ACQUIRE) != 0)
		traffic_remote_run((unsigned)(u64)number);
}

bool traffic_remote_on_cpus(u64 seed, unsigned nr_pairs, u64 objects_each, size_t size,
                            struct traffic *out)
{
	struct thread *thread[2 * TRAFFIC_MAX_PAIRS];
	unsigned n = 2 * nr_pairs, made = 0;

	nr_begun = 0;
	nr_to_begin = n;
	traffic_remote_begin(seed, nr_pairs, objects_each, size);
	while (made < n &&
	       (thread[made] = thread_create(made, run, (void *)(u64)made, "traffic")) != NULL)
		made++;
	if (made < n)
		__atomic_store_n(&nr_to_begin, 0, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < made; i++)
		thread_join(thread[i]);
	return traffic_remote_end(out) && made == n;
}

static void remote(unsigned nr_pairs, size_t size)
{
	struct traffic t;
	char text[128];

	if (smp_nr_cpus() < 2 * nr_pairs) {
		test_skip("too few CPUs");
		return;
	}
	ASSERT_TRUE(traffic_remote_on_cpus(rng_next(test_rng()), nr_pairs, 50000, size, &t));
	test_note("%u CPUs, per 1000 operations: %s", 2 * nr_pairs, traffic_format(text, &t));
	EXPECT_LE(traffic_locks(&t), REMOTE_GOAL);
}

TEST(traffic_cpus, every_free_is_remote)
{
	remote(1, TRAFFIC_MIX);
}

TEST(traffic_cpus, every_free_is_remote_between_four_cpus)
{
	remote(2, TRAFFIC_MIX);
}

TEST(traffic_cpus, every_free_of_256_bytes_is_remote)
{
	remote(1, 256);
}
