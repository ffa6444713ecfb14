/*
 * How a design's cost grows with the number of blocks: counted in steps, exactly, and held against
 * what its file claims (alloc_order, free_order).
 *
 * Two heaps are looked at, for n from n/1000 to n by tens or twos. "Holes": n objects live and n
 * holes between them, all a little too small for what is then asked for, and objects here and there
 * freed: the worst for a search. "Alone": an empty heap whose memory is in proportion to n, one
 * object allocated and freed: the worst for what is cut in halves. For objects of one size: all but
 * the last of n taken.
 */
#pragma once

#include <mm/heap.h>

#define COMPLEXITY_POINTS 4u
#define COMPLEXITY_PROBES 16u /* operations a point: the cost is their sum */

struct complexity_curve {
	u64 cost[COMPLEXITY_POINTS]; /* of COMPLEXITY_PROBES operations: one each, and their steps
	                              */
	enum heap_order fitted;
};

struct complexity {
	u64 n[COMPLEXITY_POINTS];
	struct complexity_curve alloc, free; /* the worse of both heaps, point by point */
};

/* How much memory n blocks need, and how many bytes of table. */
size_t complexity_memory(u64 n);

/*
 * Counts at first, first * factor, first * factor^2 … COMPLEXITY_POINTS of them. The memory is
 * complexity_memory() of the last; objects: 2 pointers for each of the last n. False: a heap could
 * not be filled (its memory was too small).
 */
bool complexity_count(const struct heap_design *design, u64 first, u64 factor, void *memory,
                      void **objects, struct complexity *out);

/* The order of growth of a curve over points that are `factor` apart: O(1) while it grows by less
 * than half in all; O(n) when each step grows the increase by about the factor; O(log n) when the
 * increases stay about the same. */
enum heap_order complexity_fit(const u64 cost[COMPLEXITY_POINTS], u64 factor);
