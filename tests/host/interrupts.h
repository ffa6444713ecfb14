/*
 * Interrupts for the tests: a handler that runs on the calling CPU (a thread) in the context of its
 * interrupt handlers, with interrupts off, where the caller is or wherever it happens to be.
 *
 * Each CPU has one interrupt line. It is connected by the functions below, which differ in when it
 * is raised: now; at every n-th irq_restore() that turns interrupts on; after n more machine
 * instructions; or by a timer. Raised while interrupts are off, or from its own handler, it is
 * pending, once, and comes when they are on again.
 *
 * The last two come by signals, at any instruction. Between begin and end the caller may therefore
 * call nothing of the C library that a signal handler may not call: mm/ and lib/ only. Not under
 * valgrind (it does not step) nor the thread sanitizer (it holds signals back).
 */
#pragma once

#include <lib/types.h>

/* May allocate, with GFP_ATOMIC. Leaves interrupts off. */
typedef void (*host_interrupt_handler)(void *arg);

void host_interrupt_fire(host_interrupt_handler handler, void *arg);

/* From now on at every n-th irq_restore(); n = 0: no more. */
void host_interrupt_at_restores(u64 n, host_interrupt_handler handler, void *arg);

/* By a timer, about every period_ns; 0: no more. */
void host_interrupt_by_timer(u64 period_ns, host_interrupt_handler handler, void *arg);

/* How often this thread's handlers have run. */
u64 host_interrupt_count(void);

/*
 * In the middle of an operation, exactly: n instructions after the begin (1: the first), which
 * counts a few of its own. Only those with interrupts on count, as it could come nowhere else.
 *
 *	host_interrupt_step_begin(n, handler, arg);
 *	...
 *	came = host_interrupt_step_end(&where);
 *
 * Returns false when the operation had fewer instructions; *where is the address that the
 * interrupt came back to. Loop from n = 1 until false: every instruction has been interrupted.
 *
 * n = HOST_INTERRUPT_EVERY_STEP: after each of them, in one go, for handlers that only look. They
 * ask host_interrupted_at() where the operation is.
 */
#define HOST_INTERRUPT_EVERY_STEP 0u

u64 host_interrupted_at(void);
void host_interrupt_step_prepare(u64 n, host_interrupt_handler handler, void *arg);
bool host_interrupt_step_finish(u64 *where);

/* The processor's trap flag. The red zone below the stack pointer may be in use. */
#define HOST_TRAP_FLAG(change)                               \
	__asm__ volatile("leaq -128(%%rsp), %%rsp\n\t"       \
	                 "pushfq\n\t" change ", (%%rsp)\n\t" \
	                 "popfq\n\t"                         \
	                 "leaq 128(%%rsp), %%rsp\n\t"        \
	                 :                                   \
	                 :                                   \
	                 : "memory", "cc")

#define host_interrupt_step_begin(n, handler, arg)                \
	do {                                                      \
		host_interrupt_step_prepare((n), handler, (arg)); \
		HOST_TRAP_FLAG("orq $0x100");                     \
	} while (0)

#define host_interrupt_step_end(where)             \
	({                                         \
		HOST_TRAP_FLAG("andq $~0x100");    \
		host_interrupt_step_finish(where); \
	})
