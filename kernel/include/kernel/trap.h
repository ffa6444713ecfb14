/*
 * Exceptions and the interrupt descriptor table. Vectors 0-31 are the CPU's exceptions and end in a
 * panic, unless trap_expect() waits for them; 32-255 go to irq_dispatch() of kernel/irq.h.
 */
#pragma once

#include <lib/types.h>

/* What the entry code leaves on the stack, lowest address first (kernel/trap_entry.asm). */
struct trap_frame {
	u64 cr2, unused; /* cr2: of a page or double fault, otherwise 0 */
	u64 r15, r14, r13, r12, r11, r10, r9, r8, rbp, rdi, rsi, rdx, rcx, rbx, rax;
	u64 vector, error;
	u64 rip, cs, rflags, rsp, ss;
};

enum {
	TRAP_DEBUG = 1,
	TRAP_NMI = 2,
	TRAP_BREAKPOINT = 3,
	TRAP_INVALID_OPCODE = 6,
	TRAP_DOUBLE_FAULT = 8,
	TRAP_INVALID_TSS = 10,
	TRAP_GENERAL_PROTECTION = 13,
	TRAP_PAGE_FAULT = 14,
	TRAP_MACHINE_CHECK = 18,
	TRAP_FIRST_IRQ = 32,
};

/* Error code of a page fault. */
enum {
	FAULT_PRESENT = 1,
	FAULT_WRITE = 2,
	FAULT_USER = 4,
	FAULT_RESERVED = 8,
	FAULT_FETCH = 16,
	FAULT_KEY = 32,
};

/* Builds the table and loads it on CPU 0; trap_load() loads it on another. */
void trap_init(void);
void trap_load(void);

/* "page fault (#PF)"; never NULL. */
const char *trap_name(u64 vector);

/* One line: the name, the decoded error code, and for an address fault what the address is. Returns
 * buf. */
const char *trap_describe(const struct trap_frame *f, char *buf, size_t size);

/*
 * Runs fn(arg) and says whether it ended by an exception; then *out (if not NULL) is the frame.
 * Whatever fn held is still held. Nests. For tests, and for reading what may not be there.
 */
bool trap_expect(void (*fn)(void *), void *arg, struct trap_frame *out);
