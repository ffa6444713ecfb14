/*
 * Panic: the report of a machine that can't go on, and its end with the failure status.
 *
 * The order is that of worth: the one fixed line first, `PANIC: ` and what is wrong, then
 * registers, the backtrace, the last log lines. The report needs no lock, no memory and no
 * interrupts. A panic on the way says one line and ends; a third ends at once.
 */
#include <kernel/backtrace.h>
#include <kernel/console.h>
#include <kernel/cpu.h>
#include <kernel/events.h>
#include <kernel/kasan.h>
#include <kernel/log.h>
#include <kernel/machine.h>
#include <kernel/panic.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/symbols.h>
#include <lib/assert.h>
#include <lib/lock_check.h>
#include <lib/log.h>
#include <lib/platform.h>

#define LOG_LINES 20

typedef unsigned long long ull;

/* Counts the panics of this CPU; returns only for the first. */
static void enter(const char *line)
{
	u32 depth = ++cpu_self()->panic_depth;

	__asm__ volatile("cli");
	cpu_self()->recovery = NULL;
	if (depth > 2)
		machine_exit(MACHINE_PANIC);
	smp_stop_others();
	console_panic_begin();
	kprintf("\nPANIC: %s%s\n", depth == 1 ? "" : "while reporting a panic: ", line);
	if (depth == 2)
		machine_exit(MACHINE_PANIC);
}

static void print_control_registers(void)
{
	u64 cr0, cr2, cr3, cr4;

	__asm__ volatile("movq %%cr0, %0; movq %%cr2, %1; movq %%cr3, %2; movq %%cr4, %3"
	                 : "=r"(cr0), "=r"(cr2), "=r"(cr3), "=r"(cr4));
	kprintf("  cr0 %016llx  cr2 %016llx  cr3 %016llx  cr4 %016llx\n", (ull)cr0, (ull)cr2,
	        (ull)cr3, (ull)cr4);
}

static void print_frame(const struct trap_frame *f)
{
	char name[96];

	kprintf("  rip %016llx  %s\n", (ull)f->rip, symbol_format(name, sizeof(name), f->rip));
	kprintf("  rax %016llx  rbx %016llx  rcx %016llx  rdx %016llx\n", (ull)f->rax, (ull)f->rbx,
	        (ull)f->rcx, (ull)f->rdx);
	kprintf("  rsi %016llx  rdi %016llx  rbp %016llx  rsp %016llx\n", (ull)f->rsi, (ull)f->rdi,
	        (ull)f->rbp, (ull)f->rsp);
	kprintf("  r8  %016llx  r9  %016llx  r10 %016llx  r11 %016llx\n", (ull)f->r8, (ull)f->r9,
	        (ull)f->r10, (ull)f->r11);
	kprintf("  r12 %016llx  r13 %016llx  r14 %016llx  r15 %016llx\n", (ull)f->r12, (ull)f->r13,
	        (ull)f->r14, (ull)f->r15);
	kprintf("  cs %04llx  ss %04llx  rflags %016llx  vector %llu  error %llx\n", (ull)f->cs,
	        (ull)f->ss, (ull)f->rflags, (ull)f->vector, (ull)f->error);
}

/* Ends the line. */
static void print_where(void)
{
	const struct thread *t = thread_here();

	kprintf("CPU %u", cpu_id());
	if (t != NULL)
		kprintf(", thread %u (%s)", thread_id(t), thread_name(t));
	kprintf("\n");
}

static _Noreturn void leave(void)
{
	events_panic();
	kprintf("last log lines:\n");
	log_print_tail(LOG_LINES);
	kprintf("CPU %u stops\n", cpu_id());
	machine_exit(MACHINE_PANIC);
}

_Noreturn void panic_trap(const struct trap_frame *f)
{
	char line[192];

	enter(trap_describe(f, line, sizeof(line)));
	print_where();
	lock_check_print();
	print_frame(f);
	print_control_registers();
	backtrace_print(f->rip, f->rbp);
	leave();
}

_Noreturn void platform_panic(const char *line)
{
	u64 rbp = (u64)__builtin_frame_address(0);

	enter(line);
	panic_story();
	kasan_print_report(line);
	print_where();
	kprintf("  rbp %016llx  rflags %016llx\n", (ull)rbp, (ull)irq_flags());
	lock_check_print();
	print_control_registers();
	backtrace_print(0, rbp);
	leave();
}
