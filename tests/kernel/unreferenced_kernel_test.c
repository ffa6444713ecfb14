/*
 * The leak finder on the machine itself: nothing that the kernel uses is taken for a leak, and what
 * a test loses is found, on one CPU and on all.
 */
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/sync.h>
#include <mm/mm.h>

#include "tests/test.h"

#define NR_LOST 4000u
#define LOST_SIZE 200u

static struct leak_report report;
static u64 hidden[NR_LOST]; /* the addresses, so that no word is one */

static __noinline void lose(void)
{
	for (unsigned i = 0; i < NR_LOST; i++)
		hidden[i] = ~(u64)kmalloc(LOST_SIZE, GFP_KERNEL);
}

static __noinline void wipe_stack(void)
{
	volatile u64 old[256];

	for (unsigned i = 0; i < ARRAY_SIZE(old); i++)
		old[i] = 0;
}

static void note_leaks(void)
{
	char name[96];

	for (unsigned i = 0; i < report.nr_sites; i++)
		test_note("%lu objects of %s", report.site[i].objects,
		          site_name(name, report.site[i].tag));
}

/* What the suite so far, and the boot, left: nothing. */
TEST(unreferenced_kernel, the_kernel_leads_to_all_that_it_uses)
{
	ASSERT_EQ(leak_find(NULL, &report), 0);
	EXPECT_EQ(report.nr_leaked, 0);
	note_leaks();
	EXPECT_GT(report.nr_objects, 0);
}

/* In memory that was hot, old words in other tests' data may still look like some of them; not in
 * so much. */
TEST(unreferenced_kernel, what_is_lost_is_found)
{
	u64 nr;

	lose();
	wipe_stack();
	ASSERT_EQ(leak_find(NULL, &report), 0);
	nr = report.nr_leaked;
	for (unsigned i = 0; i < NR_LOST; i++)
		kfree((void *)~hidden[i]);
	EXPECT_GE(nr, NR_LOST / 4);
	EXPECT_LE(nr, NR_LOST);
	ASSERT_EQ(report.nr_sites, 1);
	EXPECT_EQ(report.site[0].bytes, nr * kmalloc_class_size(LOST_SIZE));
}

static struct mutex gate = MUTEX_INIT(gate, "test gate");
static bool holds; /* A */

/* Only its stack leads to the object while it waits. */
static void hold_one(void *arg)
{
	void *volatile p = kmalloc(LOST_SIZE, GFP_KERNEL);

	(void)arg;
	__atomic_store_n(&holds, true, __ATOMIC_RELEASE);
	mutex_lock(&gate);
	mutex_unlock(&gate);
	kfree(p);
}

TEST(unreferenced_kernel, stacks_of_waiting_threads_are_roots)
{
	struct thread *t;

	holds = false;
	mutex_lock(&gate);
	t = thread_create(smp_nr_cpus() - 1, hold_one, NULL, "holds one");
	ASSERT_NOT_NULL(t);
	while (!__atomic_load_n(&holds, __ATOMIC_ACQUIRE))
		thread_yield();
	ASSERT_EQ(leak_find(NULL, &report), 0);
	mutex_unlock(&gate);
	thread_join(t);
	EXPECT_EQ(report.nr_leaked, 0);
	note_leaks();
}

TEST(unreferenced_kernel, not_with_interrupts_off_on_several_cpus)
{
	u64 flags = irq_save();
	int result = leak_find(NULL, &report);

	irq_restore(flags);
	EXPECT_EQ(result, smp_nr_cpus() > 1 ? -EAGAIN : 0);
}
