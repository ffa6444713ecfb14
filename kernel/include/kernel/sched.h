/*
 * Kernel threads and what runs them: a run queue on each CPU, round robin, pre-empted by the timer.
 * A thread stays on the CPU that it was created on.
 *
 * Threads may be created, joined and slept on from threads only; waking is for any context.
 */
#pragma once

#include <lib/list.h>
#include <lib/types.h>

#define THREAD_NAME_MAX 24
#define THREAD_ANY_CPU 0xffffffffu
#define SCHED_HZ 100u

struct thread;

/* Starts fn(arg) as a thread of that CPU (THREAD_ANY_CPU: the one with the fewest). NULL without
 * memory or for a CPU that is not there. */
struct thread *thread_create(unsigned cpu, void (*fn)(void *arg), void *arg, const char *name);

/* Waits until the thread's function has returned, and frees it. Once for each thread. */
void thread_join(struct thread *t);

/* Gives the CPU to the next ready thread. */
void thread_yield(void);

/* At least so long, to the timer's tick (10 ms). */
void thread_sleep(unsigned milliseconds);

struct thread *thread_self(void);
const char *thread_name(const struct thread *t);

/* 1 … 32767, the same on every CPU; another thread's long after this one was joined. */
u32 thread_id(const struct thread *t);

/* The thread that runs here, or that a handler interrupted; NULL before there are threads. For
 * reports: in any context, of a damaged machine too. */
const struct thread *thread_here(void);

struct thread_info {
	u32 id;
	unsigned cpu;
	const char *state; /* "ready", "running", "waits", "ended": a moment old */
	char name[THREAD_NAME_MAX];
};

/* The thread with the lowest id above `after` (0: the first). False: there is none. */
bool thread_next(u32 after, struct thread_info *out);

/*
 * To wait for something: under a lock that the waker takes too, interrupts off, look whether it is
 * there; if not thread_prepare_wait() and put the thread where the waker finds it; unlock; then
 * thread_wait(). A thread_wake() in between is not lost.
 */
void thread_prepare_wait(void);
void thread_wait(void);
void thread_wake(struct thread *t);

/* Whether this is a thread that may sleep here: not a handler, not with interrupts off or inside
 * sched_stay(), and threads were started. (That no spinlock is held is the caller's to know.) */
bool thread_may_wait(void);

/*
 * In CONFIG=debug: stops the machine when who is called where nobody may sleep, even if it would
 * not sleep this time: with interrupts off, within sched_stay(), or while this CPU holds more than
 * nr_locks spinlocks (a wait queue's own is released by the sleep). One line, with the lock's name.
 */
#ifdef CONFIG_DEBUG
void sched_check_sleep(const char *who, bool interrupts_on, unsigned nr_locks);
#else
#define sched_check_sleep(who, interrupts_on, nr_locks) ((void)sizeof((interrupts_on) + (nr_locks)))
#endif

/* No pre-emption between the two; they nest. Interrupts still come. */
void sched_stay(void);
void sched_move(void);

/* Whether this CPU's timer runs: a halt ends at its next tick, if not before. */
bool sched_is_ticking(void);

/* Milliseconds since CPU 0's timer started: its ticks. */
u64 sched_milliseconds(void);

/* For tests: called at every tick of every CPU, in the interrupt. NULL: nothing is. */
void sched_set_tick_hook(void (*hook)(void));

/* --- for kernel/smp.c, kernel/trap.c, kernel/main.c --- */

struct cpu;
struct trap_frame;

void sched_init(void);                  /* CPU 0: what runs becomes its first thread */
bool sched_add_cpu(struct cpu *cpu);    /* its run queue. False: no memory */
void sched_remove_cpu(struct cpu *cpu); /* one that never ran */
_Noreturn void sched_run_cpu(void);     /* another CPU: what runs becomes its idle thread */
bool sched_cpu_runs(unsigned cpu);
void sched_start_timer(void); /* this CPU's; the others' start with them */
void sched_tick(void);        /* VECTOR_TIMER */
void sched_resched(void);     /* VECTOR_RESCHEDULE */
/* The end of every interrupt: pre-empts what it interrupted, if that may be. */
void sched_leave_interrupt(const struct trap_frame *f);

struct sched_stats {
	unsigned nr_threads; /* of the CPU, the idle one left out */
	u64 nr_switches, nr_preempted, nr_ticks;
	u64 nr_deferred; /* pre-emptions put off because a fast path of mm was interrupted */
};
void sched_stats(unsigned cpu, struct sched_stats *out);
