/*
 * What threads wait with: a mutex, and a queue of waiters for anything else. In threads only, with
 * interrupts on and pre-emption allowed (it may sleep); waking is for any context.
 */
#pragma once

#include <lib/list.h>
#include <lib/spinlock.h>

struct thread;

/* First come, first served: an unlock hands the mutex to the longest waiter. */
struct mutex {
	struct spinlock lock;
	struct thread *owner; /* L */
	struct list waiters;  /* L */
};

#define MUTEX_INIT(m, name)                                       \
	{                                                         \
		SPINLOCK_INIT(name), NULL, LIST_INIT((m).waiters) \
	}

void mutex_init(struct mutex *m, const char *name);
void mutex_lock(struct mutex *m); /* taken again by its owner: panics */
bool mutex_try_lock(struct mutex *m);
void mutex_unlock(struct mutex *m);        /* by another than its owner: panics */
bool mutex_is_held(const struct mutex *m); /* by this thread */

/*
 * Threads that wait until a condition holds. The condition's state is guarded by the queue's lock:
 *
 *     flags = wait_lock(&q);                     flags = wait_lock(&q);
 *     while (!condition)                         … make the condition true …
 *             wait_sleep(&q, &flags);            wake_all_locked(&q);
 *     … use it …                                 wait_unlock(&q, flags);
 *     wait_unlock(&q, flags);
 */
struct wait_queue {
	struct spinlock lock;
	struct list waiters; /* L */
};

#define WAIT_QUEUE_INIT(q, name)                            \
	{                                                   \
		SPINLOCK_INIT(name), LIST_INIT((q).waiters) \
	}

void wait_queue_init(struct wait_queue *q, const char *name);
u64 wait_lock(struct wait_queue *q);
void wait_unlock(struct wait_queue *q, u64 flags);
/* Unlocks, sleeps until woken, and locks again. */
void wait_sleep(struct wait_queue *q, u64 *flags);
void wake_one_locked(struct wait_queue *q);
void wake_all_locked(struct wait_queue *q);
