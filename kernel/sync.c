/*
 * Mutexes and wait queues, both a list of waiting threads under a spinlock.
 *
 *   M1  a mutex with waiters has an owner: unlock hands it over instead of letting it go, so nobody
 *       overtakes
 *   M2  a waiter is on one list from before it sleeps until its waker took it off
 *
 * Sleeping calls say so first (sched_check_sleep()), also when they would not sleep this time.
 *
 * The waiter's record lies on its own stack: it cannot return before it was taken off (M2).
 */
#include <kernel/sched.h>
#include <kernel/sync.h>
#include <lib/assert.h>
#include <mm/platform.h>

struct waiter {
	struct thread *thread;
	bool listed; /* L */
	struct list link;
};

/* Sleeps as a member of the list. Called and returns with the lock held. The record is the
 * caller's, because compilers warn of a local one that may stay listed (M2 says that it does not).
 */
/* lab 6.2 */
static __noinline void sleep_as(struct waiter *w, struct spinlock *lock, struct list *waiters,
                                u64 *flags)
{
	*w = (struct waiter){.thread = thread_self(), .listed = true};
	list_push_back(waiters, &w->link);
	while (w->listed) {
		thread_prepare_wait();
		spin_unlock_irq(lock, *flags);
		thread_wait();
		*flags = spin_lock_irq(lock);
	}
}

/* Takes the longest waiter off, and wakes it; NULL: there is none. The lock is held. */
/* lab 6.2 */
static struct thread *wake_first(struct list *waiters)
{
	struct waiter *w;
	struct thread *t;

	if (list_is_empty(waiters))
		return NULL;
	w = list_first(waiters, struct waiter, link);
	t = w->thread;
	list_remove(&w->link);
	w->listed = false;
	thread_wake(t);
	return t;
}

void mutex_init(struct mutex *m, const char *name)
{
	spin_init(&m->lock, name);
	m->owner = NULL;
	list_init(&m->waiters);
}

/* lab 6.2 */
bool mutex_try_lock(struct mutex *m)
{
	u64 flags = spin_lock_irq(&m->lock);
	bool taken = m->owner == NULL;

	if (taken)
		m->owner = thread_self();
	spin_unlock_irq(&m->lock, flags);
	return taken;
}

/* lab 6.2 */
void mutex_lock(struct mutex *m)
{
	struct thread *self = thread_self();
	struct waiter w;
	u64 flags;

	sched_check_sleep("mutex_lock", irq_is_enabled(), 0);
	flags = spin_lock_irq(&m->lock);
	if (m->owner == self)
		panic("mutex: taken again by its owner: %s", m->lock.name);
	if (m->owner == NULL)
		m->owner = self;
	else
		sleep_as(&w, &m->lock, &m->waiters, &flags); /* M1: it is ours then */
	assert(m->owner == self);
	spin_unlock_irq(&m->lock, flags);
}

/* lab 6.2 */
void mutex_unlock(struct mutex *m)
{
	u64 flags = spin_lock_irq(&m->lock);

	if (m->owner != thread_self())
		panic("mutex: released by another than its owner: %s", m->lock.name);
	m->owner = wake_first(&m->waiters);
	spin_unlock_irq(&m->lock, flags);
}

bool mutex_is_held(const struct mutex *m)
{
	return __atomic_load_n(&m->owner, __ATOMIC_RELAXED) == thread_self();
}

void wait_queue_init(struct wait_queue *q, const char *name)
{
	spin_init(&q->lock, name);
	list_init(&q->waiters);
}

u64 wait_lock(struct wait_queue *q)
{
	return spin_lock_irq(&q->lock);
}

void wait_unlock(struct wait_queue *q, u64 flags)
{
	spin_unlock_irq(&q->lock, flags);
}

void wait_sleep(struct wait_queue *q, u64 *flags)
{
	struct waiter w;

	spin_assert_held(&q->lock);
	sched_check_sleep("wait_sleep", (*flags & RFLAGS_INTERRUPTS) != 0, 1);
	sleep_as(&w, &q->lock, &q->waiters, flags);
}

void wake_one_locked(struct wait_queue *q)
{
	spin_assert_held(&q->lock);
	(void)wake_first(&q->waiters);
}

void wake_all_locked(struct wait_queue *q)
{
	spin_assert_held(&q->lock);
	while (wake_first(&q->waiters) != NULL)
		;
}

/* --- for mm/ (mm/platform.h) --- */

bool platform_may_wait(void)
{
	return thread_may_wait();
}

void platform_wait(struct list *waiters, struct spinlock *lock, u64 *flags)
{
	struct waiter w;

	spin_assert_held(lock);
	sched_check_sleep("platform_wait", (*flags & RFLAGS_INTERRUPTS) != 0, 1);
	sleep_as(&w, lock, waiters, flags);
}

void platform_wake_one(struct list *waiters)
{
	(void)wake_first(waiters);
}
