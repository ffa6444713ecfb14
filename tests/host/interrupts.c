/*
 * Interrupts of the host's CPUs: see interrupts.h.
 *
 * A thread's line is raised by its own code, or by a signal that the kernel delivers to it: SIGTRAP
 * of the processor's trap flag, or a timer's. The signal's handler is the interrupt: what it finds
 * is what an interrupt would find. Only with the flag host_irq_off set does it leave a note instead
 * (pending), which irq_restore() sees after it has cleared the flag: a signal before that leaves
 * the note, one after it runs at once, so none is lost.
 *
 *   I1  a handler runs with host_irq_off set, so handlers of one thread do not nest
 *   I2  pending implies host_irq_attention
 */
#define _GNU_SOURCE
#include <lib/assert.h>
#include <lib/platform.h>
#include <mm/context.h>
#include <tests/host/interrupts.h>

#include <errno.h>
#include <signal.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

#define TIMER_SIGNAL SIGUSR1

static _Thread_local struct {
	host_interrupt_handler handler;
	void *arg;
	volatile bool pending;
	u64 nr_handled;
	u64 restore_period, nr_restores; /* 0: not at restores */
	volatile u64 steps_left;
	bool every_step;
	volatile bool step_paused; /* while interrupts are off */
	volatile u64 interrupted;  /* the instruction before which the last step's interrupt came */
	volatile bool has_timer;
	timer_t timer;
	u64 timer_period;
} line;

u64 host_interrupt_count(void)
{
	return line.nr_handled;
}

/* Interrupts on. */
static void handle(void)
{
	struct mm_context former;

	host_irq_off = true;
	line.pending = false;
	former = mm_context_enter(CONTEXT_INTERRUPTS);
	line.nr_handled++;
	line.handler(line.arg);
	if (!host_irq_off)
		panic("host: an interrupt handler turned interrupts on");
	mm_context_leave(former);
	host_irq_off = false;
}

static void handle_pending(void)
{
	while (line.pending && !host_irq_off)
		handle();
}

static void raise_line(void)
{
	if (line.handler == NULL) /* a timer's last signal, late */
		return;
	line.pending = true;
	host_irq_attention = true;
	handle_pending();
}

void host_irq_restored(void)
{
	if (line.restore_period != 0 && ++line.nr_restores % line.restore_period == 0)
		line.pending = true;
	host_irq_attention = line.restore_period != 0;
	handle_pending();
	if (line.step_paused) {
		line.step_paused = false;
		HOST_TRAP_FLAG("orq $0x100");
	}
}

static void connect(host_interrupt_handler handler, void *arg)
{
	if (line.pending)
		panic("host: another interrupt is still pending");
	line.handler = handler;
	line.arg = arg;
}

void host_interrupt_fire(host_interrupt_handler handler, void *arg)
{
	connect(handler, arg);
	raise_line();
}

void host_interrupt_at_restores(u64 n, host_interrupt_handler handler, void *arg)
{
	line.restore_period = 0;
	connect(handler, arg);
	line.nr_restores = 0;
	line.restore_period = n;
	host_irq_attention = true;
}

/* --- by signals --- */

/* Once. A handler that took longer than the period would else come again before the code that it
 * interrupted got anywhere. */
static int start_timer(void)
{
	struct itimerspec when = {.it_value = {.tv_nsec = (long)line.timer_period}};

	return timer_settime(line.timer, 0, &when, NULL);
}

static void on_timer(int signal)
{
	int saved = errno;

	(void)signal;
	raise_line();
	if (line.has_timer)
		start_timer();
	errno = saved;
}

/* After every instruction while the trap flag is set. While interrupts are off none can come: the
 * flag goes until irq_restore(). */
static void on_step(int signal, siginfo_t *info, void *context)
{
	greg_t *reg = ((ucontext_t *)context)->uc_mcontext.gregs;
	int saved = errno;

	(void)signal;
	(void)info;
	if (host_irq_off) {
		line.step_paused = host_irq_attention = true;
		reg[REG_EFL] &= ~0x100;
	} else if (line.every_step || --line.steps_left == 0) {
		if (!line.every_step)
			reg[REG_EFL] &= ~0x100;
		line.interrupted = (u64)reg[REG_RIP];
		raise_line();
	}
	errno = saved;
}

static void must(int result, const char *what)
{
	if (result != 0)
		panic("host: %s: error %d", what, errno);
}

static void take_signal(int signal, void (*simple)(int), void (*full)(int, siginfo_t *, void *))
{
	struct sigaction action = {.sa_flags = SA_RESTART};

	if (full != NULL) {
		action.sa_sigaction = full;
		action.sa_flags |= SA_SIGINFO;
	} else {
		action.sa_handler = simple;
	}
	must(sigaction(signal, &action, NULL), "sigaction");
}

void host_interrupt_step_prepare(u64 n, host_interrupt_handler handler, void *arg)
{
	take_signal(SIGTRAP, NULL, on_step);
	connect(handler, arg);
	line.step_paused = false;
	line.steps_left = n;
	line.every_step = n == HOST_INTERRUPT_EVERY_STEP;
}

u64 host_interrupted_at(void)
{
	return line.interrupted;
}

bool host_interrupt_step_finish(u64 *where)
{
	*where = line.interrupted;
	return line.steps_left == 0;
}

static void stop_timer(void)
{
	bool had_timer = line.has_timer;

	line.has_timer = false;
	if (had_timer)
		must(timer_delete(line.timer), "timer_delete");
}

void host_interrupt_by_timer(u64 period_ns, host_interrupt_handler handler, void *arg)
{
	struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = TIMER_SIGNAL};

	assert(period_ns < 1000000000);
	stop_timer();
	line.handler = NULL; /* a late signal finds nothing */
	connect(period_ns != 0 ? handler : NULL, arg);
	if (period_ns == 0)
		return;
	event.sigev_notify_thread_id = gettid();
	line.timer_period = period_ns;
	take_signal(TIMER_SIGNAL, on_timer, NULL);
	must(timer_create(CLOCK_MONOTONIC, &event, &line.timer), "timer_create");
	line.has_timer = true;
	must(start_timer(), "timer_settime");
}
