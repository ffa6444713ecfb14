/*
 * The background reclaimer: a thread that asks the shrinkers as soon as a zone sinks below its low
 * mark, until all are above their high ones; so those who allocate seldom have to.
 */
#pragma once

#include <lib/types.h>

/* Not in runs that must be the same each time (tests, benchmarks). Twice: does nothing. False: no
 * memory for a thread. In threads. */
bool reclaimer_start(void);
/* Waits until it has ended. */
void reclaimer_stop(void);

/* How often it was woken, and found enough in the end. */
struct reclaimer_stats {
	bool is_running;
	u64 nr_wakes, nr_balanced;
};
void reclaimer_stats(struct reclaimer_stats *out);
