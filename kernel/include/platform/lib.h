/* lib/platform.h in the kernel: the interrupt flag, the time stamp counter, and the CPU's number at
 * %gs:8. */
#pragma once

#include <lib/types.h>

#define MAX_CPUS 256

#ifdef CONFIG_DEBUG
#define PLATFORM_CHECKS_ACCESS 1 /* kernel/kasan.c, or kernel/access.c */
#endif

/* Where struct cpu keeps its number (kernel/cpu.h asserts it). */
#define CPU_ID_OFFSET 8
#define RFLAGS_INTERRUPTS (1ull << 9)

static inline unsigned cpu_id(void)
{
	unsigned id;

	__asm__ volatile("movl %%gs:%c1, %0" : "=r"(id) : "i"(CPU_ID_OFFSET));
	return id;
}

static inline u64 irq_flags(void)
{
	u64 flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags));
	return flags;
}

static inline bool irq_is_enabled(void)
{
	return (irq_flags() & RFLAGS_INTERRUPTS) != 0;
}

static inline u64 irq_save(void)
{
	u64 flags = irq_flags();

	__asm__ volatile("cli" : : : "memory");
	return flags;
}

/* popf would be slower and would put back more than the one flag. */
static inline void irq_restore(u64 flags)
{
	if (flags & RFLAGS_INTERRUPTS)
		__asm__ volatile("sti" : : : "memory");
	else
		__asm__ volatile("cli" : : : "memory");
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause");
}

static inline u64 cycles(void)
{
	u32 low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (u64)high << 32 | low;
}
