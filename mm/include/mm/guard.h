/*
 * Sampled guard pages (`kfence=INTERVAL`): now and then an object comes from a pool in which each
 * has a page of its own between two that are not mapped. There an access past either end, or after
 * the free, faults at once and is reported with the object, its cache and call sites; what is
 * written beside an object in its own page is found when it is freed.
 *
 * The idea is that of Linux's KFENCE (Marco Elver, Alexander Potapenko, 2020) and of GWP-ASan; what
 * is sampled here, and when, is in mm/debug/guard.c. Objects of up to a page, of any cache but the
 * manager's own, kmalloc's classes included; they lie in the direct map as others do, and every
 * function that takes an object takes these.
 */
#pragma once

#include <lib/types.h>

#define GUARD_MAX_OBJECTS 4095u
#define GUARD_DEFAULT_OBJECTS 255u /* with their guard pages one page less than 2 MiB */
#define GUARD_WHY_MAX 96

struct guard_options {
	u64 interval;   /* every so many-th trip of an allocation to its slow way; 1 … 2^32 */
	u64 nr_objects; /* of the pool: 1 … GUARD_MAX_OBJECTS */
	bool random; /* the trips between two are 1 … 2 * interval - 1 by chance, the sides too */
	u64 seed;    /* of that chance */
};

/*
 * Reads "100", "100,random", "100,random,seed=7,objects=64". 0; or -EINVAL, with one line in `why`
 * that says what is wrong; then *out is undefined.
 */
int guard_parse(const char *text, struct guard_options *out, char why[GUARD_WHY_MAX]);

/* Makes the pool, for good or until guard_stop(). 0; -ENOMEM; -EBUSY: there is one, or the other
 * CPUs cannot be told now. In threads. */
int guard_start(const struct guard_options *options);

/* Takes no more samples and gives the pool back. 0; -EBUSY: objects of it live, or the other CPUs
 * cannot be told now: nothing is changed. In threads. */
int guard_stop(void);

/*
 * The next allocation of the next cache, in turn, is a sample, fast way or not. For the machine's
 * timer: what allocates and frees in turns makes no trips. Any context; nothing while there is no
 * pool.
 */
void guard_tick(void);

/*
 * A page fault: returns false when the address is none of the pool's. Otherwise it is a wrong
 * access, which panics with one line that says so ("BUG: use after free in …"), or true: the page
 * has become accessible meanwhile, try again. who: what accessed it, for the line.
 */
bool guard_fault(u64 address, bool is_write, const char *who);

struct guard_stats {
	u64 nr_objects;          /* of the pool; 0: there is none */
	u64 nr_live;             /* now */
	u64 nr_sampled, nr_left; /* since the start; with the object at its page's start */
	u64 nr_by_tick;          /* of them, those of guard_tick() */
	u64 nr_refused;          /* samples that found no object free, or none for their site */
};
void guard_stats(struct guard_stats *out);

/* For people, through kprintf. */
void stats_print_guard(void);
