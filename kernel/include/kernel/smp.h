/*
 * The other CPUs: starting them, and asking them to do something.
 */
#pragma once

#include <boot/acpi.h>
#include <lib/types.h>

/* What the ACPI tables say, read by smp_read_tables() before the memory manager starts. */
const struct acpi_info *acpi_info(void);

/* Reads the tables, and tells the memory manager how many CPUs there may be: mm_nr_cpus. */
void smp_read_tables(void);

/* CPU 0's local APIC and the I/O APICs, then every other CPU that the tables list, up to maxcpus=.
 * One that does not answer is reported, and the boot goes on without it. */
void smp_init(void);

/* CPUs that run. Their numbers are 0 … smp_nr_cpus() - 1. */
unsigned smp_nr_cpus(void);

/* Starts the CPU with that APIC id as the next number. 0, or -ETIMEDOUT: it does not answer,
 * -ENOMEM, or -ENOSPC: there are as many as the memory manager was made for. */
int smp_start_cpu(u32 apic_id, u32 node);

/*
 * Runs fn(arg) on one CPU, or on all but this one (all at once), as an interrupt handler, and waits
 * for its end. Interrupts must be on: two CPUs that call each other with theirs off would wait for
 * ever. fn may not call others.
 */
void smp_call(unsigned cpu, void (*fn)(void *arg), void *arg);
void smp_call_others(void (*fn)(void *arg), void *arg);

/* The other side of smp_call(): the interrupt's handler. */
void smp_handle_call(void);

/* All other CPUs stop where they are (NMI): the end of a panic. Any context. */
void smp_stop_others(void);
/* Whether this NMI was that; then it does not return. */
void smp_handle_stop(void);

/* Every CPU forgets its translations of [va, va + length). */
void tlb_shootdown(u64 va, u64 length);
