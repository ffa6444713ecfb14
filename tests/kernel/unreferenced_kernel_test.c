/*
 * The leak finder on the machine itself: nothing that the kernel uses is taken for a leak, and what
 * a test loses is found, on one CPU and on all.
 */
#include "mm/slab_internal.h"

#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/sync.h>
#include <mm/mm.h>

#include "tests/test.h"

#define NR_LOST 4000u
#define LOST_SIZE 200u

static struct leak_report report;
static u64 hidden[NR_LOST]; /* the addresses, so that no word is one */

/* Zeroed: what their memory held before would lead from one to another. */
static __noinline void lose(void)
{
	for (unsigned i = 0; i < NR_LOST; i++)
		hidden[i] = ~(u64)kzalloc(LOST_SIZE, GFP_KERNEL);
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

static bool is_lost(const void *p)
{
	for (unsigned i = 0; i < NR_LOST; i++)
		if (hidden[i] == ~(u64)p)
			return true;
	return false;
}

static const void *volatile found_again;

/* In memory that was hot, old words in other tests' data still look like most of them. What is
 * reported is lost, though; and no longer when a word of data leads to it. */
TEST(unreferenced_kernel, what_is_lost_is_found)
{
	u64 nr;

	lose();
	wipe_stack();
	ASSERT_EQ(leak_find(NULL, &report), 0);
	nr = report.nr_leaked;
	EXPECT_GE(nr, 1);
	EXPECT_LE(nr, NR_LOST);
	for (unsigned i = 0; i < report.nr_samples; i++)
		EXPECT_TRUE(is_lost(report.sample[i]));
	EXPECT_EQ(report.nr_sites, 1);
	EXPECT_EQ(report.site[0].bytes, nr * kmalloc_class_size(LOST_SIZE));
	found_again = report.sample[0];
	memset(&report, 0, sizeof(report));
	wipe_stack();
	ASSERT_EQ(leak_find(NULL, &report), 0);
	found_again = NULL;
	EXPECT_EQ(report.nr_leaked, nr - 1);
	for (unsigned i = 0; i < NR_LOST; i++)
		kfree((void *)~hidden[i]);
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

/* Objects between guard pages lead to others; the guard pages between them are not touched. */
TEST(unreferenced_kernel, guarded_objects_are_roots)
{
	struct guard_options options;
	char why[GUARD_WHY_MAX];
	void **guarded[8];
	u64 nr_guarded = 0, nr;

	ASSERT_EQ(guard_parse("1", &options, why), 0);
	ASSERT_EQ(guard_start(&options), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(guarded); i++) {
		(void)slab_shrink_all(); /* the next trip is a sample */
		guarded[i] = kzalloc(LOST_SIZE, GFP_KERNEL);
		ASSERT_NOT_NULL(guarded[i]);
		nr_guarded += guard_owns(guarded[i]);
		guarded[i][3] = kzalloc(LOST_SIZE, GFP_KERNEL);
	}
	ASSERT_EQ(leak_find(NULL, &report), 0);
	nr = report.nr_leaked;
	note_leaks();
	for (unsigned i = 0; i < ARRAY_SIZE(guarded); i++) {
		kfree(guarded[i][3]);
		kfree(guarded[i]);
	}
	EXPECT_EQ(guard_stop(), 0);
	EXPECT_EQ(nr, 0);
	EXPECT_GE(nr_guarded, 1);
}

TEST(unreferenced_kernel, not_with_interrupts_off_on_several_cpus)
{
	u64 flags = irq_save();
	int result = leak_find(NULL, &report);

	irq_restore(flags);
	EXPECT_EQ(result, smp_nr_cpus() > 1 ? -EAGAIN : 0);
}
