/*
 * Device interrupts: lines 0 … 15 of the ISA bus as vectors 32 … 47, through the I/O APICs where
 * there are any, else through the two 8259 controllers. Interrupts between CPUs have vectors above.
 */
#pragma once

#include <lib/types.h>

#define IRQ_VECTOR_BASE 32
#define IRQ_NR_LINES 16

typedef void (*irq_handler)(void *context);

/* Moves the controllers' vectors away from the exceptions', masks every line, then turns on the
 * serial port's and the keyboard's. Leaves the interrupt flag alone: the caller turns interrupts
 * on. */
void irq_init(void);

struct acpi_info;
/* From now on the I/O APICs deliver the lines, if there are any. Before irq_init(). */
void irq_use_ioapics(const struct acpi_info *acpi);

/* Every vector from 32 on, called by the trap entry with interrupts off. */
void irq_dispatch(unsigned vector);

/* Installs the line's handler (called with interrupts off) and unmasks the line. -EINVAL, or -EBUSY
 * if taken. */
int irq_register(unsigned line, irq_handler handler, void *context);

/* Halts this CPU until an interrupt has been handled. Called and returns with interrupts off; the
 * caller checks its condition first, and no interrupt is lost between the check and the halt. */
void irq_wait(void);

/* A device says that its line fires if interrupts work at all on this machine. Until each such line
 * has fired, irq_wait() polls the devices instead of halting. */
void irq_expect(unsigned line);

/* How often the line fired; for `cpu` in the monitor and for tests. */
u64 irq_count(unsigned line);
u64 irq_spurious_count(void);

/* --- the 8259 pair, kernel/pic.c --- */

bool pic_init(void); /* false: no controller answers */
void pic_unmask(unsigned line);
void pic_mask(unsigned line);
/* Whether the interrupt of `line` is real (lines 7 and 15 also stand for noise); acknowledges it as
 * needed. */
bool pic_acknowledge(unsigned line);
