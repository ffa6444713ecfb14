/*
 * What CONFIG=debug watches over spinlocks. In other builds all of it is nothing.
 *
 * A mistake stops the machine with one line, before the lock is waited for:
 *
 *   lock order: taking A while holding B, but B was taken while holding A before
 *   lock order: taking A while holding another A
 *   lock context: A taken with interrupts on, but in an interrupt handler before
 *   lock context: A taken in an interrupt handler, but with interrupts on before
 *   (and both with "by spin_lock_irq()" for the handler: who uses that form expects handlers)
 *   spinlock: released by a CPU that does not hold it: A
 *   spinlock: not held by this CPU: A
 */
#pragma once

#include <lib/types.h>

struct spinlock;

#ifdef CONFIG_DEBUG

/* Called by spinlock.c and spinlock.h. */
void lock_check_init(const struct spinlock *l); /* it is nobody's any more */
void lock_check_irq_form(struct spinlock *l);   /* spin_lock_irq() is about to take it */
void lock_check_try(struct spinlock *l);        /* … to take it if nobody has it */
void lock_check_take(struct spinlock *l);       /* … to wait for it */
void lock_check_taken(struct spinlock *l);      /* this CPU has it */
void lock_check_release(struct spinlock *l);    /* this CPU is about to release it */
void lock_check_held(const struct spinlock *l); /* spin_assert_held() */

/* The locks that this CPU holds: how many, the name of number i (0: the first taken), and all in
 * one line, or nothing when there are none. */
unsigned lock_check_nr_held(void);
const char *lock_check_name(unsigned i);
void lock_check_print(void);

/* The CPU holds only the first n any more: for tests, whose caught panics leave locks taken. */
void lock_check_forget(unsigned n);

#else

static inline void lock_check_init(const struct spinlock *l)
{
	(void)l;
}

static inline void lock_check_irq_form(struct spinlock *l)
{
	(void)l;
}

static inline void lock_check_try(struct spinlock *l)
{
	(void)l;
}

static inline void lock_check_take(struct spinlock *l)
{
	(void)l;
}

static inline void lock_check_taken(struct spinlock *l)
{
	(void)l;
}

static inline void lock_check_release(struct spinlock *l)
{
	(void)l;
}

static inline void lock_check_held(const struct spinlock *l)
{
	(void)l;
}

static inline unsigned lock_check_nr_held(void)
{
	return 0;
}

static inline const char *lock_check_name(unsigned i)
{
	(void)i;
	return "";
}

static inline void lock_check_print(void)
{
}

static inline void lock_check_forget(unsigned n)
{
	(void)n;
}

#endif
