/*
 * NUMA nodes: which memory and which CPUs belong together, and how far nodes are from each other.
 * The machine tells it before mm_init(); without that all is node 0.
 */
#pragma once

#include <lib/types.h>
#include <mm/zone.h>

#define NODE_RANGES_MAX 64
#define NODE_NEAR 10 /* the distance of a node to itself (ACPI's SLIT) */
#define NODE_FAR 20

struct mm_topology {
	u32 nr_nodes; /* 1 … MAX_NODES */
	u32 nr_ranges;
	struct mm_node_range {
		u64 base, length; /* bytes */
		u32 node;
	} range[NODE_RANGES_MAX]; /* sorted, disjoint */
	u8 distance[MAX_NODES][MAX_NODES];
};

/* Before mm_init(), and to be repeated before each (the host's tests): it forgets. Copied. */
void mm_set_topology(const struct mm_topology *t);

/* The node of a CPU that does not use the memory manager yet; CPU 0's before mm_init(). Node 0 if
 * never said. */
void mm_set_cpu_node(unsigned cpu, unsigned node);

unsigned mm_nr_nodes(void);
unsigned mm_node_distance(unsigned a, unsigned b);
unsigned mm_this_node(void); /* of the CPU that asks */

/* The node of the memory at pa, and in *end where the range ends (memory of no range is node 0's).
 */
unsigned mm_node_of(u64 pa, u64 *end);

/* The i-th node to ask when `node` was wanted: itself, then by distance, then by number. */
unsigned node_fallback(unsigned node, unsigned i);

/*
 * Where allocations went, in blocks. hit: served by the node that was wanted; miss: served here,
 * though another was wanted; foreign: wanted here, served elsewhere; local, remote: served to a CPU
 * of this node, or of another. Pages that a CPU's cache holds count when the cache gets them.
 */
struct node_stats {
	u64 total_pages, free_pages;
	u64 hit, miss, foreign, local, remote;
};
void node_stats(unsigned node, struct node_stats *out);

/* For page_alloc.c: a block came from `from` when `wanted` was asked. */
void node_count(unsigned wanted, unsigned from);
