/*
 * What every design of the gallery must do, as a list of trials that need no framework: the unit
 * tests, the contest and the table of deliberate bugs all run it (mm/heap.h has the contract).
 *
 * A trial makes a heap in the lent memory, in each kind of region that suits the design, uses it,
 * and looks with heap_check(), heap_walk() and at the content of every object.
 */
#pragma once

#include <lib/rng.h>
#include <mm/heap.h>

#define CONFORMANCE_BYTES (256 * KIB) /* of memory for the heap, page-aligned */
#define CONFORMANCE_OBJECTS 8192u     /* of the table of live objects */

struct conformance_object {
	u8 *at;
	size_t size;
	u64 stamp;
};

/* Lent by the caller, who may look at the rest after a failure. */
struct conformance {
	void *memory;
	struct conformance_object *objects; /* CONFORMANCE_OBJECTS of them */
	u64 seed;
	const char *trial; /* the one that failed */
	const char *kind;  /* of region */
	char why[120];
	/* --- the trials' own --- */
	struct heap *heap;
	struct region region;
	struct rng rng;
	size_t nr_live, live_bytes;
	u64 next_stamp;
};

/* trial: an index below conformance_nr_trials(). True: the design passed, or the trial is not for
 * it. */
unsigned conformance_nr_trials(void);
const char *conformance_trial_name(unsigned trial);
bool conformance_run(struct conformance *c, const struct heap_design *design, unsigned trial);

/* All of them. */
bool conformance_run_all(struct conformance *c, const struct heap_design *design);
