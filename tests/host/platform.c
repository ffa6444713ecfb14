/*
 * lib/platform.h on the host: text goes to standard output, a panic ends the process with status
 * 37, as it ends QEMU in the kernel. A sanitizer's report is a panic too, so it ends with the same
 * status.
 */
#define _GNU_SOURCE
#include <lib/assert.h>
#include <lib/platform.h>
#include <mm/context.h>
#include <mm/platform.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>
#include <tests/test.h>

#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <unistd.h>

#define STATUS_PANIC 37

_Thread_local unsigned host_cpu_id;
_Thread_local volatile bool host_irq_off, host_irq_attention;
_Thread_local struct mm_context host_mm_context;
enum log_level host_log_level = LOG_INFO;
u64 host_milliseconds;

/* Programs without tests are linked without the framework. */
extern __typeof__(test_current) test_current __attribute__((weak));

void host_cpu_enter(unsigned cpu)
{
	host_cpu_id = cpu;
	mm_context_enter(CONTEXT_THREADS);
}

struct mm_thread *platform_thread(void)
{
	static _Thread_local struct mm_thread self;

	return &self;
}

u64 platform_milliseconds(void)
{
	return __atomic_load_n(&host_milliseconds, __ATOMIC_RELAXED);
}

bool platform_in_interrupt(void)
{
	return host_mm_context.id % NR_CONTEXT_KINDS == CONTEXT_INTERRUPTS;
}

void platform_write(const char *text, size_t len)
{
	fwrite(text, 1, len, stdout);
}

void platform_log(enum log_level level, const char *text, size_t len)
{
	if (level <= host_log_level)
		printf("%.*s\n", (int)len, text);
}

bool host_cpus_answer;

/* Other threads are not interrupted for it: they must be out of the memory manager. Where one
 * thread is all CPUs by turns, it answers for them. */
bool platform_on_other_cpus(void (*fn)(void))
{
	const unsigned self = cpu_id();

	if (mm_nr_cpus == 1 || !host_cpus_answer)
		return mm_nr_cpus == 1;
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++) {
		if (cpu == self)
			continue;
		host_cpu_enter(cpu);
		fn();
	}
	host_cpu_enter(self);
	return true;
}

/* As above. */
bool platform_alone(void (*fn)(void *arg), void *arg)
{
	const bool alone = mm_nr_cpus == 1 || host_cpus_answer;
	u64 flags = irq_save();

	if (alone)
		fn(arg);
	irq_restore(flags);
	return alone;
}

/* The host's own data and stacks are not the machine's: tests say what their roots are. */
void platform_roots(struct leak_scan *scan)
{
	(void)scan;
}

/* Several CPUs are threads, which can wait for one another. */
bool platform_may_wait(void)
{
	return mm_nr_cpus > 1 && irq_is_enabled();
}

struct waiter {
	struct list link;
	bool listed;
};

/* The record is the caller's, because compilers warn of a local one that may stay listed. */
static __noinline void wait_as(struct waiter *w, struct list *waiters, struct spinlock *lock,
                               u64 *flags)
{
	w->listed = true;
	list_push_back(waiters, &w->link);
	while (w->listed) {
		spin_unlock_irq(lock, *flags);
		sched_yield();
		*flags = spin_lock_irq(lock);
	}
}

void platform_wait(struct list *waiters, struct spinlock *lock, u64 *flags)
{
	struct waiter w;

	spin_assert_held(lock);
	wait_as(&w, waiters, lock, flags);
}

u64 host_wakes;

void platform_wake_one(struct list *waiters)
{
	__atomic_add_fetch(&host_wakes, 1, __ATOMIC_RELAXED);
	if (!list_is_empty(waiters)) {
		struct waiter *w = list_first(waiters, struct waiter, link);

		list_remove(&w->link);
		w->listed = false;
	}
}

u64 host_reclaim_wanted;

void platform_reclaim_wanted(void)
{
	__atomic_add_fetch(&host_reclaim_wanted, 1, __ATOMIC_RELAXED);
}

/* The end of this thread's stack. */
static u64 stack_end(void)
{
	static _Thread_local u64 end;
	pthread_attr_t attr;
	void *base;
	size_t size;

	if (end == 0 && pthread_getattr_np(pthread_self(), &attr) == 0) {
		pthread_attr_getstack(&attr, &base, &size);
		pthread_attr_destroy(&attr);
		end = (u64)base + size;
	}
	return end;
}

/* By frame pointers, which the C library's own functions do not keep: the walk ends there. */
__noinline __no_asan size_t platform_backtrace(u64 *out, size_t max)
{
	const u64 *frame = __builtin_frame_address(0);
	u64 end = stack_end();
	size_t n = 0;

	while (n < max && (u64)(frame + 2) <= end && (u64)frame % sizeof(u64) == 0) {
		const u64 *caller = (const u64 *)frame[0];

		if (frame[1] == 0)
			break;
		out[n++] = frame[1];
		if (caller <= frame)
			break;
		frame = caller;
	}
	return n;
}

/* For addr2line. */
char *platform_symbol(char buf[96], u64 va)
{
	snprintf(buf, 96, "0x%lx", (unsigned long)va);
	return buf;
}

/* No exit handlers: nothing that runs there can be trusted now. */
void platform_panic(const char *line)
{
	const struct test *test = test_current ? test_current() : NULL;

	fflush(stdout);
	if (test)
		fprintf(stderr, "PANIC: %s (in %s.%s)\n", line, test->suite, test->name);
	else
		fprintf(stderr, "PANIC: %s\n", line);
	fflush(stderr);
	panic_story();
	fflush(stdout);
	_exit(STATUS_PANIC);
}

const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "exitcode=37";
}

const char *__ubsan_default_options(void);
const char *__ubsan_default_options(void)
{
	return "exitcode=37:print_stacktrace=1";
}

const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "exitcode=37:halt_on_error=1";
}
