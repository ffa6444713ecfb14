/*
 * Events (mm/event.h) in the kernel: on and off by words, their way out of the machine, the thread
 * that writes them when nobody must, and the last ones as text.
 */
#pragma once

#include <lib/types.h>

struct options;

#define EVENTS_WHY_MAX 96

/*
 * Words with commas: groups of events (pages, buddy, objects, slabs, vmalloc, reclaim; none is
 * all), where to (debugcon, serial, memory; without one, the first of these that is there), drop.
 * 0; or negative, with one line in `why` that says what is wrong. In threads.
 */
int events_on(const char *words, char why[EVENTS_WHY_MAX]);

/* 0, or negative as event_stop(). In threads. */
int events_off(void);

/* The newest n as text, and what is on. Through kprintf. */
#define EVENTS_DUMP_MAX 256u
void events_dump(size_t n);
void events_status(void);
/* Since events were turned on last; where the clock's speed is unknown, ticks. */
u64 events_microseconds(u64 time);
/* Where they go: "debugcon", "serial", "memory". */
const char *events_port_name(void);

/* --- for the boot and the ends of the machine --- */

void events_boot(const struct options *o); /* trace= of the command line. After mm_init() */
void events_start_thread(void);            /* threads can be made from now on */
void events_finish(void);                  /* the machine is about to end: off, if they are on */
void events_panic(void); /* the last events; what waits goes into the stream. Any context */
