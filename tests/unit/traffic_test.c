/*
 * How often the allocators take a lock: the goals of docs/locking.md, as counts. The counts do not
 * depend on how fast the machine is; those of several CPUs depend a little on who runs when.
 * tests/kernel/traffic_test.c has the same with the kernel's threads.
 */
#include "tests/model/traffic.h"

#include <mm/mm.h>
#include <tests/test.h>

#define MIX_GOAL 200u /* tenths per 1000 operations */
#define REMOTE_GOAL 600u

static void note(const char *what, const struct traffic *t)
{
	char text[128];

	test_note("%s, per 1000 operations: %s", what, traffic_format(text, t));
}

TEST(traffic, random_mix)
{
	struct traffic t;

	ASSERT_TRUE(traffic_mix(rng_next(test_rng()), 100000, 200000, &t));
	note("mix", &t);
	EXPECT_EQ(t.nr_ops, 400000);
	EXPECT_LE(traffic_locks(&t), MIX_GOAL);
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>

static void run(void *unused)
{
	(void)unused;
	traffic_remote_run(cpu_id());
}

static void remote(unsigned nr_pairs, size_t size, const char *what)
{
	struct traffic t;

	host_machine_borrow(0, 2 * nr_pairs);
	traffic_remote_begin(rng_next(test_rng()), nr_pairs, 100000, size);
	host_cpus_run(2 * nr_pairs, run, NULL);
	EXPECT_TRUE(traffic_remote_end(&t));
	host_machine_return();
	note(what, &t);
	EXPECT_LE(traffic_locks(&t), REMOTE_GOAL);
}

TEST(traffic, every_free_is_remote)
{
	remote(1, TRAFFIC_MIX, "remote, 2 CPUs");
}

TEST(traffic, every_free_is_remote_between_four_cpus)
{
	remote(2, TRAFFIC_MIX, "remote, 4 CPUs");
}

/* Depots keep them for different reasons: mm/slab_kept.c. */
TEST(traffic, every_free_of_one_size_is_remote)
{
	remote(1, 64, "remote, 2 CPUs, 64 bytes");
	remote(1, 256, "remote, 2 CPUs, 256 bytes");
}
#endif
