/*
 * One struct cpu for each processor, reached through %gs; descriptor tables, stacks and the CPU's
 * features.
 */
#pragma once

#include <kernel/trap.h>
#include <lib/platform.h>
#include <lib/types.h>
#include <mm/context.h>

#define SELECTOR_CODE 0x08
#define SELECTOR_DATA 0x10
#define SELECTOR_TSS 0x18

#ifdef CONFIG_KASAN /* red zones between local variables */
#define CPU_STACK_SIZE 32768u
#define IST_STACK_SIZE 16384u
#else
#define CPU_STACK_SIZE 16384u /* kernel stack */
#define IST_STACK_SIZE 8192u  /* stacks of the exceptions that must not trust the kernel stack */
#endif
#define STACK_GUARD_SIZE 4096u

/* Interrupt stack table entries, 1-based as in the descriptors. */
enum { IST_NONE, IST_DOUBLE_FAULT, IST_NMI, IST_MACHINE_CHECK, NR_IST = IST_MACHINE_CHECK };

/* [base, base + size), with an unmapped guard page below base. */
struct kernel_stack {
	u64 base, size;
	const char *name;
};

struct tss {
	u32 reserved0;
	u64 rsp[3];
	u64 reserved1;
	u64 ist[7]; /* [0] is IST 1 */
	u64 reserved2;
	u16 reserved3, io_map;
} __packed;

/* The place that an expected exception returns to (kernel/trap_entry.asm knows the first field). */
struct trap_recovery {
	u64 rsp;
	struct trap_frame *frame;
	struct trap_recovery *outer;
};

struct cpu {
	struct cpu *self;
	u32 id; /* at CPU_ID_OFFSET: cpu_id() */
	u32 panic_depth;
	struct mm_context context;      /* at MM_CONTEXT_OFFSET: mm_this() */
	struct trap_recovery *recovery; /* NULL: exceptions are fatal */
	u64 interrupted_ip;             /* where the latest interrupt came */
	u32 apic_id, node;              /* C */
	struct run_queue *run_queue;    /* C: kernel/sched.c */
	struct kernel_stack stack[1 + NR_IST];
	u64 gdt[5];
	struct tss tss;
};

static_assert(offsetof(struct cpu, id) == CPU_ID_OFFSET, "cpu_id() reads struct cpu");
static_assert(offsetof(struct cpu, context) == MM_CONTEXT_OFFSET, "mm_this() reads struct cpu");
static_assert(sizeof(struct tss) == 104, "the TSS is the hardware's");

static inline struct cpu *cpu_self(void)
{
	struct cpu *self;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(self));
	return self;
}

/* What CPU 0 has and Strata uses or shows. */
struct cpu_features {
	char vendor[13], brand[49];
	bool nx, gib_pages, global_pages, smep, smap, umip;
	unsigned phys_bits, virt_bits;
};
extern struct cpu_features cpu_features;

/* CPU 0: %gs, GDT, TSS and stacks. The first thing in C: cpu_id() and locks need it. */
void cpu_init(void);

/* Another CPU: its struct and stacks; NULL without memory. It loads them itself, and others see it
 * from cpu_publish() on. */
struct cpu *cpu_create(unsigned id);
void cpu_destroy(struct cpu *cpu);
void cpu_load(struct cpu *cpu);
void cpu_publish(struct cpu *cpu);

/* NULL for a number that no CPU has. Any context. */
struct cpu *cpu_of(unsigned id);

/* Makes %gs this CPU's again, whatever it was: an exception may come from code that broke it. */
void cpu_restore_self(void);

/* Reads CPUID into cpu_features. */
void cpu_detect(void);

/* `safe` on the command line: forgets the features that Strata can do without. */
void cpu_forget_features(void);

/* Turns on what cpu_features has, on this CPU; one log line. */
void cpu_enable_features(void);

/* A number that nobody can foretell, by RDRAND; where that is not there or gives nothing, one that
 * is hard to, by the time stamp counter. */
u64 cpu_random(void);

/* All of this CPU's translations. Any context. */
void cpu_forget_translations(void);

/* Whether [va, va + length) lies in one kernel stack. */
bool cpu_stack_contains(u64 va, u64 length);

/* The stack whose guard page holds va, or NULL. */
const struct kernel_stack *cpu_stack_of_guard(u64 va);
