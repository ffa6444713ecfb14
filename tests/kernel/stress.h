/*
 * The stress: threads on every CPU that allocate, free each other's objects and pages, and shrink,
 * create and destroy caches, while timer interrupts allocate and free in the middle of it all.
 */
#pragma once

#include <lib/types.h>

struct stress_result {
	u64 nr_ops, nr_interrupt_ops, nr_failures; /* failures: allocations that gave NULL */
	u64 nr_corrupt;                            /* objects that had lost their content */
	const char *fault;                         /* NULL, or the invariant that is broken */
};

/* So many operations for each of the threads; everything is freed again. */
void stress_run(u64 seed, unsigned nr_threads, u64 ops_each, struct stress_result *out);

/* The kernel's `stress=SECONDS`: rounds of it, with a line each, until the time is over. Whether
 * all went well. */
bool stress_for(u64 seed, u64 seconds);
