/*
 * lib/spinlock.c under contention, with real threads: what one CPU cannot show. Host only.
 *
 * Two counters that the lock guards are advanced by plain loads and stores with a pause between
 * them: without mutual exclusion they lose steps or drift apart. Fairness is shown by queuing
 * waiters one after another, each seen to have drawn its ticket, and the order in which they then
 * get the lock.
 */
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
	u32 ticket;

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
}
