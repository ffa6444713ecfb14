/*
 * Coroutines that stand for threads: sync_threads.h. A thread is ready, waits, or is done; the ones
 * that wait are run when thread_wake() was called for them, or once in a while for nothing.
 */
#include "sync_threads.h"

#include <kernel/sched.h>
#include <lib/rng.h>
#include <tests/test.h>

#include <stdlib.h>
#include <ucontext.h>

#define STACK_BYTES (256 * KIB)

struct thread {
	ucontext_t context;
	void *stack;
	void (*fn)(unsigned nr);
	bool waits, done;
};

static struct thread threads[SYNC_THREADS];
static unsigned nr_threads, current;
static bool is_lonely; /* the current one goes on as long as it can */

void sync_start(void)
{
	for (unsigned i = 0; i < SYNC_THREADS; i++)
		free(threads[i].stack);
	memset(threads, 0, sizeof(threads));
	nr_threads = 1;
	current = 0;
	is_lonely = false;
}

static void switch_to(unsigned nr)
{
	unsigned from = current;

	current = nr;
	if (nr != from)
		swapcontext(&threads[from].context, &threads[nr].context);
}

static bool is_ready(unsigned nr)
{
	return !threads[nr].waits && !threads[nr].done;
}

/* To anyone who is ready; the test is always. */
static void pass(void)
{
	unsigned nr = (unsigned)rng_below(test_rng(), nr_threads);

	while (!is_ready(nr))
		nr = (nr + 1) % nr_threads;
	switch_to(nr);
}

static void maybe_pass(void)
{
	unsigned any = (unsigned)rng_below(test_rng(), nr_threads);

	if (!irq_is_enabled() || is_lonely)
		return;
	if (any != 0 && !threads[any].done && rng_below(test_rng(), 4) == 0)
		threads[any].waits = false; /* for nothing */
	pass();
}

static void begin(void)
{
	struct thread *t = &threads[current];

	t->fn(current);
	t->done = true;
	is_lonely = false;
	switch_to(0);
}

unsigned sync_create(void (*fn)(unsigned nr))
{
	struct thread *t = &threads[nr_threads];

	ASSERT_LT(nr_threads, SYNC_THREADS);
	t->stack = malloc(STACK_BYTES);
	ASSERT_NOT_NULL(t->stack);
	getcontext(&t->context);
	t->context.uc_stack.ss_sp = t->stack;
	t->context.uc_stack.ss_size = STACK_BYTES;
	t->fn = fn;
	makecontext(&t->context, begin, 0);
	return nr_threads++;
}

void sync_yield(void)
{
	maybe_pass();
}

void sync_run_until_waiting(unsigned nr)
{
	ASSERT_TRUE(is_ready(nr));
	is_lonely = true;
	switch_to(nr);
	is_lonely = false;
}

bool sync_is_waiting(unsigned nr)
{
	return threads[nr].waits;
}

bool sync_owns(const struct mutex *m, unsigned nr)
{
	return m->owner == &threads[nr];
}

bool sync_join(void)
{
	for (;;) {
		unsigned nr_ready = 0, nr_done = 0;

		for (unsigned i = 1; i < nr_threads; i++) {
			nr_ready += is_ready(i);
			nr_done += threads[i].done;
		}
		if (nr_ready == 0)
			return nr_done == nr_threads - 1;
		pass();
	}
}

/* --- kernel/sched.h --- */

struct thread *thread_self(void)
{
	return &threads[current];
}

bool thread_may_wait(void)
{
	return irq_is_enabled();
}

void sched_check_sleep(const char *who, bool interrupts_on, unsigned nr_locks)
{
	(void)nr_locks;
	if (!interrupts_on && current != 0)
		test_note("%s with interrupts off", who);
}

/* Under the lock nothing comes in between; elsewhere everything may. */
void thread_prepare_wait(void)
{
	maybe_pass();
	threads[current].waits = true;
}

void thread_wait(void)
{
	ASSERT_TRUE(irq_is_enabled()); /* or nobody could ever wake it */
	ASSERT_NE(current, 0);         /* the test does not wait */
	maybe_pass();
	while (threads[current].waits && is_lonely)
		switch_to(0);
	while (threads[current].waits)
		pass();
}

void thread_wake(struct thread *t)
{
	t->waits = false;
}
