/*
 * Threads for kernel/sync.c on the host: coroutines on one CPU. Whenever interrupts are on and one
 * of the calls of kernel/sched.h is made, chance decides who goes on, from the run's seed; and who
 * waits may wake for nothing. So every order of events between unlocking and sleeping is seen.
 */
#pragma once

#include <kernel/sync.h>
#include <lib/types.h>

#define SYNC_THREADS 8u

void sync_start(void);                         /* the test itself is thread 0 */
unsigned sync_create(void (*fn)(unsigned nr)); /* its number; it runs when others let it */
void sync_yield(void);                         /* chance decides who goes on */
void sync_run_until_waiting(unsigned nr);      /* this thread alone, until it waits or is done */
bool sync_is_waiting(unsigned nr);
bool sync_owns(const struct mutex *m, unsigned nr);

/* Lets them run to their ends. False: those that are left wait for each other, or for nobody. */
bool sync_join(void);
