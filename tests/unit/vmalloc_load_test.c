/*
 * What Linux's lib/test_vmalloc.c does, case by case under its names, and on several CPUs at once:
 * tests/model/vmalloc_load.c. tests/kernel/vmalloc_test.c has the latter on real CPUs.
 */
#include "tests/model/vmalloc_load.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

static void run(void (*load)(struct vmalloc_load *), unsigned loops)
{
	struct vmalloc_load l = {.loops = loops};

	rng_seed(&l.rng, rng_next(test_rng()));
	load(&l);
	vmalloc_load_finish(&l);
	EXPECT_EQ(l.nr_none, 0);
	EXPECT_EQ(l.nr_wrong, 0);
	EXPECT_GE(l.nr_had, loops);
	EXPECT_SOUND(vmalloc_check());
}

#define LOAD(name, loops)                \
	TEST(test_vmalloc, name)         \
	{                                \
		run(load_##name, loops); \
	}

LOAD(fix_size_alloc, 100)
LOAD(full_fit_alloc, 100)
LOAD(long_busy_list_alloc, 20)
LOAD(random_size_alloc, 50)
LOAD(fix_align_alloc, 100)
LOAD(random_size_align_alloc, 100)
LOAD(align_shift_alloc, 42) /* 2^0 … 2^40, and the arena */
LOAD(kvfree_later, 100)
LOAD(vm_map_ram, 50)
LOAD(no_block_alloc, 100)

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#include <tests/host/interrupts.h>

#define NR_CPUS 4u

static void take_and_drop(void *l)
{
	load_no_block_alloc(l);
}

TEST(test_vmalloc, no_block_alloc_in_a_handler)
{
	struct vmalloc_load l = {.loops = 3};

	rng_seed(&l.rng, rng_next(test_rng()));
	host_interrupt_fire(take_and_drop, &l);
	EXPECT_EQ(l.nr_had, 3);
	EXPECT_EQ(l.nr_wrong, 0);
}

static struct vmalloc_load of_cpu[NR_CPUS];

static void run_all(void *unused)
{
	(void)unused;
	vmalloc_load_all(&of_cpu[cpu_id()]);
}

TEST(threads_vmalloc, all_loads_at_once)
{
	host_machine_borrow(0, NR_CPUS);
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++) {
		of_cpu[cpu] = (struct vmalloc_load){.loops = 20};
		rng_seed(&of_cpu[cpu].rng, rng_next(test_rng()));
	}
	host_cpus_run(NR_CPUS, run_all, NULL);
	vmalloc_load_finish(&of_cpu[0]);
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++) {
		EXPECT_EQ(of_cpu[cpu].nr_none, 0);
		EXPECT_EQ(of_cpu[cpu].nr_wrong, 0);
		EXPECT_GT(of_cpu[cpu].nr_had, 300);
	}
	EXPECT_SOUND(mm_check());
	host_machine_return();
}
#endif
