/*
 * Several CPUs in one arena, as threads of the host: segments that are allocated on one and freed
 * on another, through the quantum caches, past them, and with imports. A table of slots has one bit
 * a quantum, set while its segment is held: two holders of one quantum are noticed.
 */
#if __STDC_HOSTED__
#include "tests/model/expect.h"

#include <lib/bits.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#define NR_CPUS 4u
#define NR_SLOTS 64u
#define QUANTA (1u << 14)
#define BASE 0x100000ull

static struct vmem *v;
static u64 seeds[NR_CPUS], nr_wrong, nr_moved;
static u64 slot[NR_SLOTS]; /* quantum << 16 | quanta; 0: empty */
static u8 held[QUANTA];

static void mark(u64 segment, u8 from, u8 to)
{
	for (u64 i = segment >> 16; i < (segment >> 16) + (segment & 0xffff); i++)
		if (__atomic_exchange_n(&held[i], to, __ATOMIC_RELAXED) != from)
			__atomic_fetch_add(&nr_wrong, 1, __ATOMIC_RELAXED);
}

static void give_back(u64 segment)
{
	if (segment == 0)
		return;
	mark(segment, 1, 0);
	vmem_free(v, BASE + (segment >> 16 << 12), (segment & 0xffff) << 12);
	__atomic_fetch_add(&nr_moved, 1, __ATOMIC_RELAXED);
}

static void step(struct rng *rng)
{
	u64 quanta = 1 + rng_below(rng, rng_below(rng, 4) == 0 ? 40 : 4), addr, segment;

	addr = vmem_alloc(v, quanta << 12, GFP_KERNEL | __GFP_NOWARN);
	segment = addr != 0 ? (addr - BASE) >> 12 << 16 | quanta : 0;
	if (segment != 0)
		mark(segment, 0, 1);
	give_back(__atomic_exchange_n(&slot[rng_below(rng, NR_SLOTS)], segment, __ATOMIC_ACQ_REL));
	if (rng_below(rng, 512) == 0)
		vmem_reap_here();
}

static void run(void *unused)
{
	struct rng rng;

	(void)unused;
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned i = 0; i < 6000; i++)
		step(&rng);
}

static void run_with(struct vmem *parent, u64 qcache_max)
{
	nr_wrong = nr_moved = 0;
	v = vmem_create("shared", parent ? 0 : BASE, parent ? 0 : (u64)QUANTA << 12, 0x1000, NULL,
	                NULL, parent, qcache_max, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
		seeds[cpu] = rng_next(test_rng());
	host_cpus_run(NR_CPUS, run, NULL);
	for (unsigned i = 0; i < NR_SLOTS; i++)
		give_back(__atomic_exchange_n(&slot[i], 0, __ATOMIC_RELAXED));
	EXPECT_EQ(nr_wrong, 0);
	EXPECT_GT(nr_moved, 10000);
	EXPECT_SOUND(vmem_check(v));
	EXPECT_EQ(vmem_size(v, VMEM_ALLOC), 0);
	EXPECT_EQ(vmem_destroy(v), 0);
}

TEST(threads_vmem, segments_change_hands)
{
	host_machine_borrow(0, NR_CPUS);
	run_with(NULL, 0);
	run_with(NULL, 0x10000);
	host_machine_return();
}

TEST(threads_vmem, imports_race_for_the_source)
{
	struct vmem *parent;

	host_machine_borrow(0, NR_CPUS);
	parent =
	    vmem_create("parent", BASE, (u64)QUANTA << 12, 0x1000, NULL, NULL, NULL, 0, GFP_KERNEL);
	ASSERT_NOT_NULL(parent);
	run_with(parent, 0);
	run_with(parent, 0x4000);
	EXPECT_EQ(vmem_size(parent, VMEM_ALLOC), 0);
	EXPECT_EQ(vmem_destroy(parent), 0);
	host_machine_return();
}
#endif
