/*
 * What lib/ and mm/ need of the machine below them. Two implementations: the kernel's
 * (kernel/include/platform/lib.h and kernel/) and the host's (tests/host/include/platform/lib.h and
 * tests/host/); the -I path chooses. The header <platform/lib.h> supplies, as inline functions or
 * macros:
 *
 *   MAX_CPUS                     a constant
 *   unsigned cpu_id(void)        this CPU, 0 … MAX_CPUS - 1; stable only while pre-emption or
 * interrupts are off u64 irq_save(void)           turns this CPU's interrupts off, returns their
 * former state void irq_restore(u64 flags)  puts that state back bool irq_is_enabled(void) void
 * cpu_relax(void)         in a loop that waits for another CPU u64 cycles(void)             a
 * counter that only grows (the TSC): cost measurements, seeds
 */
#pragma once

#include <lib/log.h>
#include <lib/types.h>

#include <platform/lib.h>

/* Puts text where people see it. Any context. */
void platform_write(const char *text, size_t len);

/* One line of the log, without the newline. Any context. */
void platform_log(enum log_level level, const char *text, size_t len);

/* Whether this CPU runs an interrupt handler. Any context. */
bool platform_in_interrupt(void);

/* Where PLATFORM_CHECKS_ACCESS is defined (the kernel in CONFIG=debug and kasan): what lib/string.c
 * is about to touch. Ends in a panic if one of these bytes may not be touched, or n is negative.
 * ip: the code that is to blame. Any context. */
void platform_check_access(const void *p, long n, bool write, const void *ip);

/* The end of panic(): reports, and ends the machine (the host: the process) with the failure
 * status. */
_Noreturn void platform_panic(const char *line);
