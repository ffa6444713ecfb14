/*
 * Fair spinlocks (tickets: Mellor-Crummey and Scott 1991, section 2.1). FIFO among the waiters.
 *
 * The plain forms are for locks that no interrupt handler takes; the irq forms also keep this CPU's
 * interrupts off while the lock is held, so that a handler which allocates cannot deadlock with the
 * code it interrupted. docs/locking.md holds the one lock order; in CONFIG=debug lib/lock_check.h
 * watches over it.
 */
#pragma once

#include <lib/lock_check.h>
#include <lib/platform.h>
#include <lib/types.h>

struct spinlock {
	u32 next;         /* the ticket that the next taker draws */
	u32 serving;      /* the ticket that holds the lock */
	const char *name; /* of its class (lib/lock_class.h); must stay for ever */
	u32 holder;       /* cpu_id() + 1 while held, else 0 */
	u32 class_nr;     /* 0: not looked up yet */
};

#define SPINLOCK_INIT(lock_name)      \
	{                             \
		0, 0, lock_name, 0, 0 \
	}

/*
 * The holder stays on its CPU. Taking a lock again on the CPU that holds it, and releasing one that
 * is not held, are bugs: they stop the machine with a line that names the lock.
 */
void spin_init(struct spinlock *l, const char *name);
void spin_lock(struct spinlock *l);
void spin_unlock(struct spinlock *l);
bool spin_try_lock(struct spinlock *l);
bool spin_is_locked(const struct spinlock *l); /* by anyone */
bool spin_is_held(const struct spinlock *l);   /* by this CPU: what a `_locked` function asserts */

/* In CONFIG=debug: panics when this CPU does not hold it. */
static inline void spin_assert_held(const struct spinlock *l)
{
	lock_check_held(l);
}

/* How often it was taken since spin_init(), with the present waiters, mod 2^32. In every build, for
 * nothing: it is the next ticket. */
static inline u32 spin_nr_taken(const struct spinlock *l)
{
	return __atomic_load_n(&l->next, __ATOMIC_RELAXED);
}

/* Returns what spin_unlock_irq() needs to put the interrupt flag back as it was. */
static inline u64 spin_lock_irq(struct spinlock *l)
{
	u64 flags = irq_save();

	lock_check_irq_form(l);
	spin_lock(l);
	return flags;
}

static inline void spin_unlock_irq(struct spinlock *l, u64 flags)
{
	spin_unlock(l);
	irq_restore(flags);
}
