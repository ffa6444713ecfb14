/*
 * Several CPUs: threads that run at once, each a CPU of the machine in this process.
 */
#pragma once

#include <lib/types.h>
#include <mm/memmap.h>
#include <mm/node.h>

/*
 * Runs fn(arg) on n CPUs at once and waits for all of them. CPU 0 is the caller, the others are
 * threads; all begin together. mm_nr_cpus must have been at least n when the machine was booted.
 *
 * A panic on any of them ends the process, as everywhere; an EXPECT_PANIC around it is for CPU 0
 * alone. The test's macros are for CPU 0 alone too, and ASSERT_ not inside fn, since it would leave
 * the others running.
 */
void host_cpus_run(unsigned n, void (*fn)(void *arg), void *arg);

/* All of them wait here for one another. Inside fn only. */
void host_cpus_meet(void);

/* Set by a test whose one thread is all CPUs by turns (host_cpu_enter()): what one of them asks of
 * the others is done in their place. Otherwise no CPU can ask another. host_machine_return() clears
 * it. */
extern bool host_cpus_answer;

/* The so-many-th platform_guard_begin() from now on finds no memory; 0: none. */
extern u64 host_guard_refused;

/* A PC with so many bytes (0: as many as now) and CPUs, in place of the one that runs the tests:
 * its memory map; and that one again. What was allocated on a machine is gone with it. */
const struct memmap *host_machine_borrow(u64 bytes, unsigned nr_cpus);
void host_machine_return(void);

/* The same for a machine of this memory, with these nodes. CPU i is node i's. */
const struct memmap *host_machine_borrow_nodes(const struct mem_range *firmware, u32 nr,
                                               const struct mm_topology *topology,
                                               unsigned nr_cpus);
