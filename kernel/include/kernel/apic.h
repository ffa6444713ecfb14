/*
 * The local APIC of each CPU (interrupts between CPUs, the timer), the I/O APICs (device lines),
 * and the one clock to wait by before there is another (the PC's interval timer).
 */
#pragma once

#include <boot/acpi.h>
#include <lib/types.h>

/* Vectors above those of the device lines (kernel/irq.h). */
enum {
	VECTOR_TIMER = 0xe0,
	VECTOR_CALL = 0xe1,       /* smp_call() has work for this CPU */
	VECTOR_RESCHEDULE = 0xe2, /* a thread became ready here */
	VECTOR_SPURIOUS = 0xff,
};

/* CPU 0's local APIC, as the tables say where it is. False: this machine has none that answers
 * (then there is one CPU, and the 8259 pair for the devices). */
bool apic_init(const struct acpi_info *acpi);

/* Another CPU's own. */
void apic_init_cpu(void);

bool apic_is_present(void);
bool apic_is_x2apic(void);
u32 apic_id(void); /* of this CPU; 0 without an APIC */
void apic_end_of_interrupt(void);

/* To one CPU, by APIC id. Any context. */
void apic_send(u32 id, u8 vector);
void apic_send_nmi_to_others(void);
void apic_send_init(u32 id);
void apic_send_startup(u32 id, u64 page_pa); /* page_pa: below 1 MiB */

/* Measures the timer against the interval timer, once, on CPU 0. False: it does not run. */
bool apic_timer_calibrate(void);
/* This CPU's timer gives VECTOR_TIMER so often a second from now on. */
void apic_timer_start(unsigned hz);
void apic_timer_stop(void);

/* --- I/O APICs, kernel/ioapic.c --- */

/* False: there are none, and the devices stay with the 8259 pair. Every entry starts masked. */
bool ioapic_init(const struct acpi_info *acpi);
/* The ISA line arrives as this vector at CPU 0. False: no I/O APIC has it. */
bool ioapic_unmask(unsigned line, u8 vector);

/* --- the interval timer, kernel/pit.c --- */

/* Waits at least so long (at most 50 ms); interrupts may be off. */
void pit_wait(unsigned microseconds);
