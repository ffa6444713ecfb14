/*
 * NUMA nodes: the topology as the machine told it, the order of fallback, and the statistics.
 *
 *   N1  node_fallback(n, 0) is n; the others follow by ascending distance, equal ones by number
 *
 * Cost: the common allocation counts nothing here: hits and local allocations are what the zones
 * handed out less the exceptions, which are counted.
 */
#include "internal.h"

#include <lib/assert.h>
#include <lib/bits.h>
#include <mm/node.h>

static struct mm_topology topology;       /* C; nr_nodes 0: nobody told */
static u8 cpu_node[MAX_CPUS];             /* C once the CPU runs */
static u8 fallback[MAX_NODES][MAX_NODES]; /* C */
static u64 nr_miss[MAX_NODES], nr_foreign[MAX_NODES], nr_remote[MAX_NODES]; /* A */

unsigned mm_nr_nodes(void)
{
	return topology.nr_nodes != 0 ? topology.nr_nodes : 1;
}

unsigned mm_node_distance(unsigned a, unsigned b)
{
	if (a < topology.nr_nodes && b < topology.nr_nodes)
		return topology.distance[a][b];
	return a == b ? NODE_NEAR : NODE_FAR;
}

static bool is_nearer(unsigned node, unsigned a, unsigned b)
{
	unsigned to_a = mm_node_distance(node, a), to_b = mm_node_distance(node, b);

	return to_a != to_b ? to_a < to_b : a < b;
}

/* Insertion: the nodes are few. All MAX_NODES, since memory may be added to any by hand. */
static void order_fallback(unsigned node)
{
	unsigned nr = 0;

	fallback[node][nr++] = (u8)node;
	for (unsigned other = 0; other < MAX_NODES; other++) {
		unsigned at = nr;

		if (other == node)
			continue;
		for (; at > 1 && is_nearer(node, other, fallback[node][at - 1]); at--)
			fallback[node][at] = fallback[node][at - 1];
		fallback[node][at] = (u8)other;
		nr++;
	}
}

void node_init(void)
{
	for (unsigned node = 0; node < MAX_NODES; node++) {
		order_fallback(node);
		nr_miss[node] = nr_foreign[node] = nr_remote[node] = 0;
	}
}

unsigned node_fallback(unsigned node, unsigned i)
{
	return fallback[node][i];
}

void mm_set_topology(const struct mm_topology *t)
{
	assert(t->nr_nodes >= 1 && t->nr_nodes <= MAX_NODES && t->nr_ranges <= NODE_RANGES_MAX);
	topology = *t;
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		cpu_node[cpu] = 0;
}

void mm_set_cpu_node(unsigned cpu, unsigned node)
{
	assert(cpu < MAX_CPUS && node < MAX_NODES);
	cpu_node[cpu] = (u8)node;
	cpu_pages_set_node(cpu, node);
}

unsigned node_of_cpu(unsigned cpu)
{
	return cpu_node[cpu];
}

unsigned mm_this_node(void)
{
	return mm_this(pages)->node;
}

unsigned mm_node_of(u64 pa, u64 *end)
{
	for (u32 i = 0; i < topology.nr_ranges; i++) {
		const struct mm_node_range *r = &topology.range[i];

		if (pa < r->base) {
			*end = r->base;
			return 0;
		}
		if (pa - r->base < r->length) {
			*end = r->base + r->length;
			return r->node;
		}
	}
	*end = UINT64_MAX;
	return 0;
}

void node_count(unsigned wanted, unsigned from)
{
	if (wanted != from) {
		__atomic_add_fetch(&nr_miss[from], 1, __ATOMIC_RELAXED);
		__atomic_add_fetch(&nr_foreign[wanted], 1, __ATOMIC_RELAXED);
	}
	if (from != mm_this_node())
		__atomic_add_fetch(&nr_remote[from], 1, __ATOMIC_RELAXED);
}

/* Racy: a snapshot. */
void node_stats(unsigned node, struct node_stats *out)
{
	u64 nr_allocs = 0;

	assert(node < MAX_NODES);
	*out = (struct node_stats){0};
	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
		const struct zone *z = &zone_table[ZONE_ID(node, kind)];

		out->total_pages += z->buddy.nr_managed_pages;
		out->free_pages += z->buddy.nr_free_pages;
		nr_allocs += z->nr_allocs;
	}
	out->miss = __atomic_load_n(&nr_miss[node], __ATOMIC_RELAXED);
	out->foreign = __atomic_load_n(&nr_foreign[node], __ATOMIC_RELAXED);
	out->remote = __atomic_load_n(&nr_remote[node], __ATOMIC_RELAXED);
	out->hit = nr_allocs - min_u64(nr_allocs, out->miss);
	out->local = nr_allocs - min_u64(nr_allocs, out->remote);
}
