/*
 * lib/spinlock.c under contention, with real threads: what one CPU cannot show. Host only.
 *
 * Two counters that the lock guards are advanced by plain loads and stores with a pause between
 * them: without mutual exclusion they lose steps or drift apart. Fairness is shown by queuing
 * waiters one after another, each seen to have drawn its ticket, and the order in which they then
 * get the lock. Waits are counted there too: each of them waits once. The last test takes two
 * locks in both orders on two CPUs that do not meet: CONFIG=debug sees it all the same.
 */
#include <lib/lock_class.h>
#include <lib/platform.h>
#include <lib/spinlock.h>
#include <tests/test.h>

#include <pthread.h>
#include <sched.h>

#define NR_THREADS 4u
#define ROUNDS 20000u

static struct spinlock lock = SPINLOCK_INIT("threads");
static volatile u64 first, second;
static unsigned mismatches;
static unsigned number[NR_THREADS], order[NR_THREADS], nr_served;

static void advance(void)
{
	u64 seen = first;

	mismatches += seen != second || !spin_is_held(&lock);
	first = seen + 1;
	if (seen % 64 == 0)
		sched_yield(); /* while it is held */
	second = seen + 1;
}

static void *take_often(void *which)
{
	host_cpu_id = 1 + *(unsigned *)which;
	for (unsigned i = 0; i < ROUNDS; i++) {
		if (i % 3 != 0)
			spin_lock(&lock);
		else
			while (!spin_try_lock(&lock))
				sched_yield();
		advance();
		spin_unlock(&lock);
		if (i % 16 == 0)
			sched_yield();
	}
	return NULL;
}

TEST(spinlock_threads, exclude_each_other)
{
	pthread_t thread[NR_THREADS];

	first = second = mismatches = 0;
	for (unsigned i = 0; i < NR_THREADS; i++) {
		number[i] = i;
		ASSERT_EQ(pthread_create(&thread[i], NULL, take_often, &number[i]), 0);
	}
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	EXPECT_EQ(first, NR_THREADS * ROUNDS);
	EXPECT_EQ(second, NR_THREADS * ROUNDS);
	EXPECT_EQ(mismatches, 0);
	EXPECT_FALSE(spin_is_locked(&lock));
}

static void *take_once(void *which)
{
	host_cpu_id = 1 + *(unsigned *)which;
	spin_lock(&lock);
	order[nr_served++] = *(unsigned *)which;
	spin_unlock(&lock);
	return NULL;
}

TEST(spinlock_threads, are_served_in_order_of_arrival)
{
	pthread_t thread[NR_THREADS];
	struct lock_class *c = lock_class(lock_class_of(&lock));
	u64 waited = c->nr_waited, taken = c->nr_taken;
	u32 ticket, tickets = spin_nr_taken(&lock);

	nr_served = 0;
	spin_lock(&lock);
	for (unsigned i = 0; i < NR_THREADS; i++) {
		number[i] = i;
		ticket = __atomic_load_n(&lock.next, __ATOMIC_RELAXED);
		ASSERT_EQ(pthread_create(&thread[i], NULL, take_once, &number[i]), 0);
		while (__atomic_load_n(&lock.next, __ATOMIC_RELAXED) == ticket)
			sched_yield();
	}
	spin_unlock(&lock);
	for (unsigned i = 0; i < NR_THREADS; i++)
		pthread_join(thread[i], NULL);
	for (unsigned i = 0; i < NR_THREADS; i++)
		EXPECT_EQ(order[i], i);
	EXPECT_EQ(c->nr_waited, waited + NR_THREADS);
	EXPECT_EQ(lock_class_nr_waited(&lock), waited + NR_THREADS);
	EXPECT_EQ(spin_nr_taken(&lock), tickets + 1 + NR_THREADS);
#ifdef CONFIG_DEBUG
	EXPECT_EQ(c->nr_taken, taken + 1 + NR_THREADS);
#else
	EXPECT_EQ(c->nr_taken, taken);
#endif
}

#ifdef CONFIG_DEBUG
static struct spinlock left = SPINLOCK_INIT("left"), right = SPINLOCK_INIT("right");

static void *take_left_then_right(void *unused)
{
	host_cpu_id = 1;
	spin_lock(&left);
	spin_lock(&right);
	spin_unlock(&right);
	spin_unlock(&left);
	return unused;
}

TEST(spinlock_threads, an_order_seen_on_one_cpu_holds_on_all)
{
	pthread_t thread;

	ASSERT_EQ(pthread_create(&thread, NULL, take_left_then_right, NULL), 0);
	pthread_join(thread, NULL);
	spin_lock(&right);
	EXPECT_PANIC("lock order: taking left while holding right", spin_lock(&left));
	spin_unlock(&right);
}
#endif
