/*
 * kernel/sync.c on the host, with the threads of sync_threads.c: who gets the mutex, in which
 * order, and what comes between unlocking and sleeping. tests/kernel/thread_test.c shows the same
 * on real CPUs.
 */
#include "sync_threads.h"

#include <tests/test.h>

#include "tests/model/expect.h"

#define ROUNDS 40u

static struct mutex mutex;
static struct wait_queue queue;
static unsigned inside, nr_entered, mismatches, order[SYNC_THREADS], nr_served;

static void begin(void)
{
	mutex_init(&mutex, "lab6");
	wait_queue_init(&queue, "lab6 queue");
	inside = nr_entered = mismatches = nr_served = 0;
	sync_start();
}

static void enter_often(unsigned nr)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		mutex_lock(&mutex);
		mismatches += inside++ != 0 || !mutex_is_held(&mutex) || !sync_owns(&mutex, nr);
		sync_yield();
		nr_entered++;
		mismatches += --inside != 0;
		mutex_unlock(&mutex);
		sync_yield();
	}
}

TEST(lab6_mutex, lets_one_in)
{
	for (unsigned round = 0; round < 20; round++) {
		begin();
		for (unsigned i = 0; i < 5; i++)
			(void)sync_create(enter_often);
		ASSERT_TRUE(sync_join());
		ASSERT_EQ(mismatches, 0);
		ASSERT_EQ(nr_entered, 5 * ROUNDS);
		ASSERT_NULL(mutex.owner);
		ASSERT_TRUE(list_is_empty(&mutex.waiters));
	}
}

static void enter_once(unsigned nr)
{
	mutex_lock(&mutex);
	order[nr_served++] = nr;
	mutex_unlock(&mutex);
}

/* Each is seen to wait before the next one comes. */
static void queue_all(void)
{
	begin();
	ASSERT_TRUE(mutex_try_lock(&mutex));
	for (unsigned i = 0; i < 5; i++) {
		unsigned nr = sync_create(enter_once);

		sync_run_until_waiting(nr);
		ASSERT_TRUE(sync_is_waiting(nr));
	}
}

TEST(lab6_mutex, first_come_first_served)
{
	for (unsigned round = 0; round < 20; round++) {
		queue_all();
		mutex_unlock(&mutex);
		ASSERT_TRUE(sync_join());
		ASSERT_EQ(nr_served, 5);
		for (unsigned i = 0; i < 5; i++)
			ASSERT_EQ(order[i], i + 1);
	}
}

/* Between the release and the waiter's first step nobody comes in. */
TEST(lab6_mutex, is_handed_over)
{
	queue_all();
	mutex_unlock(&mutex);
	EXPECT_TRUE(sync_owns(&mutex, 1));
	EXPECT_FALSE(mutex_try_lock(&mutex));
	EXPECT_FALSE(mutex_is_held(&mutex));
	EXPECT_FALSE(sync_is_waiting(1));
	EXPECT_TRUE(sync_is_waiting(2));
	ASSERT_TRUE(sync_join());
	EXPECT_TRUE(mutex_try_lock(&mutex));
	EXPECT_TRUE(mutex_is_held(&mutex));
	mutex_unlock(&mutex);
	EXPECT_NULL(mutex.owner);
}

TEST(lab6_mutex, misuse_is_named)
{
	begin();
	EXPECT_TRUE(mutex_try_lock(&mutex));
	EXPECT_FALSE(mutex_try_lock(&mutex));
	EXPECT_PANIC("mutex: taken again by its owner: lab6", mutex_lock(&mutex));
	spin_init(&mutex.lock, "lab6"); /* a panic leaves what was held */
	mutex_unlock(&mutex);
	EXPECT_PANIC("mutex: released by another than its owner: lab6", mutex_unlock(&mutex));
	spin_init(&mutex.lock, "lab6");
	EXPECT_TRUE(irq_is_enabled());
	mutex_lock(&mutex);
	EXPECT_TRUE(mutex_is_held(&mutex));
	mutex_unlock(&mutex);
}

static void wait_once(unsigned nr)
{
	u64 flags = wait_lock(&queue);

	wait_sleep(&queue, &flags);
	order[nr_served++] = nr;
	wait_unlock(&queue, flags);
}

/* A queue has the same waiters: one is woken, the longest; or all. */
TEST(lab6_mutex, queues_wake_the_longest_waiter)
{
	u64 flags;

	begin();
	for (unsigned i = 0; i < 5; i++)
		sync_run_until_waiting(sync_create(wait_once));
	for (unsigned i = 1; i <= 2; i++) {
		flags = wait_lock(&queue);
		wake_one_locked(&queue);
		wait_unlock(&queue, flags);
		EXPECT_FALSE(sync_join()); /* the others wait */
		ASSERT_EQ(nr_served, i);
		EXPECT_EQ(order[i - 1], i);
	}
	flags = wait_lock(&queue);
	wake_all_locked(&queue);
	wait_unlock(&queue, flags);
	EXPECT_TRUE(sync_join());
	EXPECT_EQ(nr_served, 5);
	EXPECT_TRUE(list_is_empty(&queue.waiters));
	flags = wait_lock(&queue);
	wake_one_locked(&queue); /* nobody is there */
	wait_unlock(&queue, flags);
}
