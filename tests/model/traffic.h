/*
 * Two workloads, and how often they leave the allocators' fast ways: for the tests that hold the
 * goals, and for the monitor's `locks`.
 *
 *   mix      objects of mixed sizes, so many live; a step frees one that is chosen at random and
 *            allocates another in its place
 *   remote   half of the CPUs allocate and hand every object to a CPU of the other half through a
 *            ring of its own; that one frees it: no free is on the CPU of its allocation
 *
 * An operation is one allocation or one free. What is counted is exact (mm_traffic()), and of the
 * whole machine: nobody else should be at work.
 */
#pragma once

#include <lib/types.h>
#include <mm/stats.h>

#define TRAFFIC_MAX_PAIRS 32u
#define TRAFFIC_MIX 0u /* in place of a size: sizes of the mix */

struct traffic {
	u64 nr_ops;
	struct mm_traffic of; /* what these operations added */
};

/* steps * 2 operations, after twice as many steps as objects that are not counted. Fewer objects
 * live where memory is little. False: no memory. One at a time, threads only. */
bool traffic_mix(u64 seed, u64 nr_live, u64 steps, struct traffic *out);

/*
 * remote: one CPU calls begin, then each of nr_pairs * 2 CPUs (or threads on CPUs of their own)
 * calls run with another number from 0 on, at the same time; when all have returned, one calls end.
 * size: bytes of each object, or TRAFFIC_MIX. Returns whether every object arrived whole and there
 * was memory for all.
 */
void traffic_remote_begin(u64 seed, unsigned nr_pairs, u64 objects_each, size_t size);
void traffic_remote_run(unsigned number);
bool traffic_remote_end(struct traffic *out);

/* Tenths per 1000 operations: of all lock acquisitions, or of any of the counts. */
u64 traffic_locks(const struct traffic *t);
u64 traffic_per_1000(const struct traffic *t, u64 count);

/* The counts in one line of text, without a newline, for people. */
char *traffic_format(char buf[128], const struct traffic *t);
