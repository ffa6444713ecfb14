/*
 * The heap under test, counted: every basic block that labs/8-malloc-contest/heap.c enters is one
 * step (it alone is compiled with -fsanitize-coverage=trace-pc), and heap->steps is that number,
 * whatever the heap itself counts. No clock is read: the same heap gets the same score anywhere.
 */
#pragma once

#include <mm/heap.h>

extern const struct heap_design heap_contest;

/* heap_contest with its steps counted, and without traits that would excuse it from trials. */
const struct heap_design *contest_design(void);

/* One kind of program: how many objects live at most, how large, and what it does to them. */
struct contest_program {
	const char *name;
	unsigned slots;        /* objects at most */
	unsigned small, large; /* bytes at most; one request in `rare` is large */
	unsigned rare, kinds;  /* kinds: sizes are multiples of small / kinds, 0: any */
	unsigned grows;        /* percent of steps at a live object that resize it; else it goes */
	unsigned phase;        /* steps, after which most objects go at once; 0: never */
};

struct contest_score {
	unsigned points_tenths;     /* of 1000 */
	unsigned used_percent;      /* U: mean of peak live bytes / peak footprint */
	unsigned long steps_tenths; /* mean of an operation */
};

/* P = 100 (0.6 U + 0.4 min(1, par / steps)), over all the programs. Fails the test where an object
 * is refused or overlaps another. */
void contest_score(const struct contest_program *programs, unsigned nr, u64 seed,
                   struct contest_score *out);
