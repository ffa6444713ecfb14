/*
 * Exceptions: the interrupt descriptor table, their names and what their error codes say.
 *
 * An exception in the kernel is a bug, so each ends in a panic whose first line says as much as the
 * CPU told: the name, what the access was, and what kind of address it hit. The one exception from
 * this is trap_expect(), which runs a function that may fault and survives it: the handler rewrites
 * the frame so that the return from the exception lands behind the call.
 *
 * T1  Gates turn interrupts off; handlers run with interrupts off.
 * T2  #DF, NMI and #MC use the stacks of their own that the TSS names.
 *
 * Page faults that are served: the first access to pageblock bytes (kernel/page_map.c). Those
 * between guard pages are reported by mm/guard.h. Nothing else is paged. It does not handle user
 * mode.
 */
#include <kernel/cpu.h>
#include <kernel/irq.h>
#include <kernel/kasan.h>
#include <kernel/layout.h>
#include <kernel/page_map.h>
#include <kernel/panic.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/symbols.h>
#include <kernel/trap.h>
#include <lib/format.h>
#include <lib/string.h>
#include <mm/guard.h>

#define STUB_SIZE 16
#define NULL_ZONE 0x10000ull /* so close to 0 an address is a null pointer and an offset */

struct gate {
	u16 offset_low, selector;
	u8 ist, type;
	u16 offset_middle;
	u32 offset_high, reserved;
};
static_assert(sizeof(struct gate) == 16, "a gate is the hardware's");

#define GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off */

extern u8 trap_stubs[], trap_recover[];
bool trap_recoverable_call(void (*fn)(void *), void *arg, struct trap_recovery *recovery);
void trap_handle(struct trap_frame *f);

static struct gate idt[256] __aligned(16) __ro_after_init;

static const char *const names[TRAP_FIRST_IRQ] = {
    [0] = "divide error (#DE)",
    [TRAP_DEBUG] = "debug exception (#DB)",
    [TRAP_NMI] = "non-maskable interrupt (NMI)",
    [TRAP_BREAKPOINT] = "breakpoint (#BP)",
    [4] = "overflow (#OF)",
    [5] = "bound range exceeded (#BR)",
    [TRAP_INVALID_OPCODE] = "invalid opcode (#UD)",
    [7] = "device not available (#NM)",
    [TRAP_DOUBLE_FAULT] = "double fault (#DF)",
    [9] = "coprocessor segment overrun",
    [TRAP_INVALID_TSS] = "invalid TSS (#TS)",
    [11] = "segment not present (#NP)",
    [12] = "stack segment fault (#SS)",
    [TRAP_GENERAL_PROTECTION] = "general protection fault (#GP)",
    [TRAP_PAGE_FAULT] = "page fault (#PF)",
    [16] = "x87 floating-point error (#MF)",
    [17] = "alignment check (#AC)",
    [TRAP_MACHINE_CHECK] = "machine check (#MC)",
    [19] = "SIMD floating-point error (#XM)",
    [20] = "virtualization exception (#VE)",
    [21] = "control protection (#CP)",
    [28] = "hypervisor injection (#HV)",
    [29] = "VMM communication (#VC)",
    [30] = "security exception (#SX)",
};

const char *trap_name(u64 vector)
{
	if (vector >= TRAP_FIRST_IRQ)
		return "interrupt";
	return names[vector] ? names[vector] : "reserved exception";
}

/* --- Decoding --- */

/* What kind of address this is, as a text that follows a comma; "" when there is nothing to say. */
static const char *address_kind(u64 va, char *buf, size_t size)
{
	const struct kernel_stack *stack = cpu_stack_of_guard(va);

	if (stack)
		format_buf(buf, size, ": stack overflow, guard page of the %s", stack->name);
	else if (va < NULL_ZONE)
		return ": null dereference";
	else if (va >> 47 != 0 && va >> 47 != 0x1ffff)
		return ": not a canonical address";
	else if (va < DIRECT_MAP_BASE)
		return ": user half, never mapped";
	else
		buf[0] = '\0';
	return buf;
}

static void describe_page_fault(const struct trap_frame *f, char *buf, size_t size)
{
	char kind[80];
	const char *access = f->error & FAULT_FETCH   ? "fetch from"
	                     : f->error & FAULT_WRITE ? "write to"
	                                              : "read of";
	const char *why = f->error & FAULT_RESERVED     ? "reserved bit set in a page table"
	                  : !(f->error & FAULT_PRESENT) ? "not present"
	                  : f->error & FAULT_KEY        ? "protection key"
	                  : f->error & FAULT_FETCH      ? "not executable"
	                  : f->error & FAULT_WRITE      ? "read-only"
	                                                : "protected";

	format_buf(buf, size, "%s: %s 0x%016llx, %s, %s mode%s", trap_name(f->vector), access,
	           (unsigned long long)f->cr2, why, f->error & FAULT_USER ? "user" : "kernel",
	           address_kind(f->cr2, kind, sizeof(kind)));
}

/* #TS, #NP, #SS and #GP give the selector at fault, or 0. */
static void describe_selector(const struct trap_frame *f, char *buf, size_t size)
{
	const char *table = f->error & 2   ? "interrupt vector"
	                    : f->error & 4 ? "LDT entry"
	                                   : "GDT entry";
	unsigned index = (unsigned)(f->error >> 3 & 0x1fff);

	if (f->error == 0)
		format_buf(buf, size,
		           "%s: no selector (a non-canonical address or a privileged operation)",
		           trap_name(f->vector));
	else
		format_buf(buf, size, "%s: %s %u%s", trap_name(f->vector), table, index,
		           f->error & 1 ? ", by an external event" : "");
}

static void describe_double_fault(const struct trap_frame *f, char *buf, size_t size)
{
	char kind[80];

	/* A push below the stack faults, and so does the push of that fault's frame; cr2 tells. */
	format_buf(buf, size, "%s%s", trap_name(f->vector),
	           cpu_stack_of_guard(f->cr2)
	               ? address_kind(f->cr2, kind, sizeof(kind))
	               : ": an exception while entering an exception's handler");
}

const char *trap_describe(const struct trap_frame *f, char *buf, size_t size)
{
	if (f->vector == TRAP_PAGE_FAULT)
		describe_page_fault(f, buf, size);
	else if (f->vector == TRAP_DOUBLE_FAULT)
		describe_double_fault(f, buf, size);
	else if (f->vector >= TRAP_INVALID_TSS && f->vector <= TRAP_GENERAL_PROTECTION)
		describe_selector(f, buf, size);
	else if (f->error != 0)
		format_buf(buf, size, "%s: error code 0x%llx", trap_name(f->vector),
		           (unsigned long long)f->error);
	else
		format_buf(buf, size, "%s", trap_name(f->vector));
	return buf;
}

/* --- Handling --- */

static void recover(struct trap_recovery *r, struct trap_frame *f)
{
	*r->frame = *f;
	kasan_forget_frames(r->rsp);
	f->rip = (u64)trap_recover;
	f->rsp = r->rsp;
	f->ss = SELECTOR_DATA;
	f->cs = SELECTOR_CODE;
}

/* A fault between guard pages has a report of its own. True: the access may be tried again. */
static bool explain_fault(const struct trap_frame *f)
{
	char who[96];

	return guard_fault(f->cr2, f->error & FAULT_WRITE, symbol_format(who, sizeof(who), f->rip));
}

/* Called by trap_entry.asm for every vector, interrupts off. */
void trap_handle(struct trap_frame *f)
{
	struct trap_recovery *r;

	if (f->vector >= TRAP_FIRST_IRQ) {
		cpu_self()->interrupted_ip = f->rip;
		struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);

		irq_dispatch((unsigned)f->vector);
		mm_context_leave(former);
		sched_leave_interrupt(f);
		return;
	}
	cpu_restore_self();
	if (f->vector == TRAP_NMI)
		smp_handle_stop();
	if (f->vector == TRAP_PAGE_FAULT || f->vector == TRAP_DOUBLE_FAULT)
		__asm__ volatile("movq %%cr2, %0" : "=r"(f->cr2));
	if (f->vector == TRAP_PAGE_FAULT && !(f->error & FAULT_PRESENT) &&
	    page_map_serve_fault(f->cr2))
		return;
	if (f->vector == TRAP_PAGE_FAULT && kasan_serve_fault(f->cr2))
		return;
	r = cpu_self()->recovery;
	if (r && f->vector != TRAP_NMI && f->vector != TRAP_MACHINE_CHECK)
		recover(r, f);
	else if (f->vector != TRAP_PAGE_FAULT || !explain_fault(f))
		panic_trap(f);
}

bool trap_expect(void (*fn)(void *), void *arg, struct trap_frame *out)
{
	struct cpu *cpu = cpu_self();
	struct trap_frame unwanted;
	struct trap_recovery r = {.frame = out ? out : &unwanted, .outer = cpu->recovery};
	struct mm_context context = mm_context_read();
	u64 flags = irq_save();
	bool faulted;

	cpu->recovery = &r;
	irq_restore(flags);
	faulted = trap_recoverable_call(fn, arg, &r);
	irq_save(); /* the frame of a fault in fn may have had any flag */
	cpu->recovery = r.outer;
	mm_context_leave(context); /* it may have been in a handler of fn's */
	irq_restore(flags);
	return faulted;
}

/* --- The table --- */

static unsigned ist_of(unsigned vector)
{
	switch (vector) {
	case TRAP_DOUBLE_FAULT:
		return IST_DOUBLE_FAULT;
	case TRAP_NMI:
		return IST_NMI;
	case TRAP_MACHINE_CHECK:
		return IST_MACHINE_CHECK;
	default:
		return IST_NONE;
	}
}

void trap_load(void)
{
	struct __packed {
		u16 limit;
		u64 base;
	} idtr = {sizeof(idt) - 1, (u64)idt};

	__asm__ volatile("lidt %0" : : "m"(idtr));
}

void trap_init(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(idt); i++) {
		u64 stub = (u64)trap_stubs + STUB_SIZE * i;

		idt[i] = (struct gate){.offset_low = (u16)stub,
		                       .offset_middle = (u16)(stub >> 16),
		                       .offset_high = (u32)(stub >> 32),
		                       .selector = SELECTOR_CODE,
		                       .ist = (u8)ist_of(i),
		                       .type = GATE_INTERRUPT};
	}
	trap_load();
}
