/*
 * "Fail the n-th": runs a body again and again, the first, the second, the third … of its
 * allocations failing, until none is left to fail. After each run as many pages and objects must be
 * in use as before, and every layer's check must hold; so what a failure leaves half done is found
 * at the step that left it. The idea is Linux's fail-nth (Vyukov, 2017), and SQLite's tests before.
 */
#pragma once

#include <lib/types.h>

/* Does something and undoes it. False: it could not, for lack of memory, and nothing has changed.
 * It may also succeed without what failed. */
typedef bool (*sweep_fn)(void *arg);

struct sweep {
	unsigned nr_steps;  /* allocations that were failed, each in a run of its own */
	unsigned nr_failed; /* runs that said so */
};

/* From the thread that runs the test. Fails it at the step that breaks something. */
struct sweep sweep_run(sweep_fn body, void *arg);
