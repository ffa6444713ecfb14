/*
 * A workload to watch: objects, pages and vmalloc areas that come and go, in phases of some
 * seconds, from a thread of its own.
 */
#pragma once

#include <lib/types.h>

/* What it does now: "objects", "blocks of pages" …; "" when it does not run. */
const char *demo_phase(void);

/* In threads. Started twice: does nothing. False: no memory for a thread. */
bool demo_start(u64 seed);
/* Waits until it has freed everything and ended. */
void demo_stop(void);

/* It neither allocates nor frees until it may go on. Its end is no longer than else. */
void demo_pause(bool pause);
