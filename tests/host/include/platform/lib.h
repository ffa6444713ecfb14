/*
 * lib/platform.h on the host: a CPU is a thread that says which one it is (CPU 0 if it says
 * nothing), its interrupt flag is a variable of the thread. Interrupts come when a test asks for
 * them (tests/host/interrupts.h): at an irq_restore(), or at any instruction by a signal, which
 * waits for the irq_restore() while the flag is off. So these are what compilers may not move
 * memory accesses across, as `cli` and `sti` in the kernel.
 */
#pragma once

#include <lib/types.h>

#define MAX_CPUS 256

extern _Thread_local unsigned host_cpu_id; /* host_cpu_enter() sets it */
extern _Thread_local volatile bool host_irq_off;
/* Whether irq_restore() has more to do when it turns interrupts on: one is pending, or due now. */
extern _Thread_local volatile bool host_irq_attention;
void host_irq_restored(void);

/* Makes the calling thread this CPU. One thread per number at a time. */
void host_cpu_enter(unsigned cpu);

static inline unsigned cpu_id(void)
{
	return host_cpu_id;
}

static inline bool irq_is_enabled(void)
{
	return !host_irq_off;
}

static inline u64 irq_save(void)
{
	u64 flags = host_irq_off;

	host_irq_off = true;
	__asm__ volatile("" : : : "memory");
	return flags;
}

static inline void irq_restore(u64 flags)
{
	__asm__ volatile("" : : : "memory");
	host_irq_off = flags != 0;
	if (unlikely(host_irq_attention) && flags == 0)
		host_irq_restored();
}

/* The one that is waited for may need this very processor. (Not <sched.h>: nothing of the C library
 * may be seen here.) */
int sched_yield(void);
static inline void cpu_relax(void)
{
	(void)sched_yield();
}

static inline u64 cycles(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}
