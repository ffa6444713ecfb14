/*
 * Nodes by their rules: what topologies are accepted, whose memory lies where to the byte, the
 * order of fallback for any distances, and what is counted for each node. On the host only: what
 * is told here is no real machine's.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/mm.h>
#include <mm/node.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"

static struct mm_topology t;

static void tell_one_node(void)
{
	t = (struct mm_topology){.nr_nodes = 1};
	mm_set_topology(&t);
}

TEST(node_rules, there_is_one_node_unless_told)
{
	EXPECT_EQ(mm_nr_nodes(), 1);
	EXPECT_EQ(mm_node_distance(0, 1), NODE_FAR);
	EXPECT_EQ(mm_node_distance(1, 1), NODE_NEAR);
}

TEST(node_rules, impossible_topologies_are_refused)
{
	t = (struct mm_topology){.nr_nodes = 0};
	EXPECT_PANIC("assertion failed", mm_set_topology(&t));
	t.nr_nodes = MAX_NODES + 1;
	EXPECT_PANIC("assertion failed", mm_set_topology(&t));
	t.nr_nodes = 1;
	t.nr_ranges = NODE_RANGES_MAX + 1;
	EXPECT_PANIC("assertion failed", mm_set_topology(&t));
	EXPECT_EQ(mm_nr_nodes(), 1);
	t.nr_nodes = MAX_NODES;
	t.nr_ranges = NODE_RANGES_MAX;
	mm_set_topology(&t);
	EXPECT_EQ(mm_nr_nodes(), MAX_NODES);
	tell_one_node();
}

TEST(node_rules, cpus_and_nodes_that_cannot_be)
{
	struct node_stats stats;

	EXPECT_PANIC("assertion failed", mm_set_cpu_node(MAX_CPUS, 0));
	EXPECT_PANIC("assertion failed", mm_set_cpu_node(0, MAX_NODES));
	EXPECT_PANIC("assertion failed", node_stats(MAX_NODES, &stats));
}

/* A new topology forgets it. */
TEST(node_rules, the_node_of_each_cpu)
{
	EXPECT_EQ(mm_this_node(), 0);
	mm_set_cpu_node(cpu_id(), 2);
	EXPECT_EQ(mm_this_node(), 2);
	mm_set_cpu_node(cpu_id(), 0);
	EXPECT_EQ(mm_this_node(), 0);
	for (unsigned cpu = mm_nr_cpus; cpu < MAX_CPUS; cpu++)
		mm_set_cpu_node(cpu, 1 + cpu % (MAX_NODES - 1));
	EXPECT_EQ(node_of_cpu(MAX_CPUS - 1), 1 + (MAX_CPUS - 1) % (MAX_NODES - 1));
	mm_set_cpu_node(0, 1);
	tell_one_node();
	for (unsigned cpu = 0; cpu < MAX_CPUS; cpu++)
		EXPECT_EQ(node_of_cpu(cpu), 0);
	mm_set_cpu_node(0, 0);
}

TEST(node_rules, distances_are_the_table_s_or_near_and_far)
{
	t = (struct mm_topology){.nr_nodes = 2,
	                         .distance = {{11, 33, 99}, {44, 12, 99}, {99, 99, 99}}};
	mm_set_topology(&t);
	EXPECT_EQ(mm_node_distance(0, 0), 11);
	EXPECT_EQ(mm_node_distance(0, 1), 33);
	EXPECT_EQ(mm_node_distance(1, 0), 44);
	EXPECT_EQ(mm_node_distance(1, 1), 12);
	EXPECT_EQ(mm_node_distance(0, 2), NODE_FAR);
	EXPECT_EQ(mm_node_distance(2, 0), NODE_FAR);
	EXPECT_EQ(mm_node_distance(2, 2), NODE_NEAR);
	tell_one_node();
}

static void expect_node(u64 pa, unsigned node, u64 end)
{
	u64 found = 0;

	EXPECT_EQ(mm_node_of(pa, &found), node);
	EXPECT_EQ(found, end);
}

TEST(node_rules, whose_memory_lies_where)
{
	t = (struct mm_topology){
	    .nr_nodes = 4, .nr_ranges = 3, .range = {{100, 50, 2}, {150, 50, 1}, {300, 10, 3}}};
	t.range[3] = (struct mm_node_range){310, 10, 1}; /* none: there are three */
	mm_set_topology(&t);
	expect_node(0, 0, 100);
	expect_node(99, 0, 100);
	expect_node(100, 2, 150);
	expect_node(149, 2, 150);
	expect_node(150, 1, 200);
	expect_node(199, 1, 200);
	expect_node(200, 0, 300);
	expect_node(299, 0, 300);
	expect_node(300, 3, 310);
	expect_node(309, 3, 310);
	expect_node(310, 0, UINT64_MAX);
	expect_node(UINT64_MAX - 1, 0, UINT64_MAX);
	tell_one_node();
}

static bool comes_before(unsigned node, unsigned a, unsigned b)
{
	unsigned to_a = mm_node_distance(node, a), to_b = mm_node_distance(node, b);

	return to_a < to_b || (to_a == to_b && a < b);
}

TEST(node_rules, fallback_by_distance_then_by_number)
{
	for (unsigned round = 0; round < 20; round++) {
		t = (struct mm_topology){.nr_nodes = MAX_NODES};
		for (unsigned i = 0; i < MAX_NODES * MAX_NODES; i++)
			t.distance[i / MAX_NODES][i % MAX_NODES] =
			    (u8)(20 + rng_below(test_rng(), 6));
		mm_set_topology(&t);
		node_init();
		for (unsigned node = 0; node < MAX_NODES; node++) {
			EXPECT_EQ(node_fallback(node, 0), node);
			for (unsigned i = 2; i < MAX_NODES; i++)
				EXPECT_TRUE(comes_before(node, node_fallback(node, i - 1),
				                         node_fallback(node, i)));
			for (unsigned i = 1; i < MAX_NODES; i++)
				EXPECT_NE(node_fallback(node, i), node);
		}
	}
	tell_one_node();
	node_init();
}

/* --- counts --- */

/* From the zones themselves. */
static void expect_sums(unsigned node)
{
	u64 total = 0, free = 0, allocs = 0;
	struct node_stats s;

	for_each_zone(z) {
		total += z->node == node ? z->buddy.nr_managed_pages : 0;
		free += z->node == node ? z->buddy.nr_free_pages : 0;
		allocs += z->node == node ? z->nr_allocs : 0;
	}
	memset(&s, 0xa5, sizeof(s));
	node_stats(node, &s);
	EXPECT_EQ(s.total_pages, total);
	EXPECT_EQ(s.free_pages, free);
	EXPECT_EQ(s.hit, allocs - min_u64(allocs, s.miss));
	EXPECT_EQ(s.local, allocs - min_u64(allocs, s.remote));
}

TEST(node_rules, sums_are_those_over_a_nodes_zones)
{
	static const struct mem_range memory[] = {{0, 256 * MIB, MEM_USABLE}};

	expect_sums(0);
	expect_sums(MAX_NODES - 1);
	t = (struct mm_topology){
	    .nr_nodes = 3,
	    .nr_ranges = 3,
	    .range = {{0, 8 * MIB, 0}, {8 * MIB, 100 * MIB, 1}, {108 * MIB, 148 * MIB, 2}}};
	host_machine_borrow_nodes(memory, 1, &t, 1);
	for (unsigned node = 0; node < MAX_NODES; node++)
		expect_sums(node);
	node_count(1, 1); /* as wanted, but by a CPU of node 0 */
	node_count(1, 2);
	expect_sums(1);
	expect_sums(2);
	host_machine_return();
}

static struct node_stats stats_of(unsigned node)
{
	struct node_stats s;

	node_stats(node, &s);
	return s;
}

TEST(node_rules, what_came_from_elsewhere_is_counted)
{
	node_init();
	node_count(0, 0); /* nothing unusual */
	EXPECT_EQ(stats_of(0).miss + stats_of(0).foreign + stats_of(0).remote, 0);
	node_count(2, 1);
	EXPECT_EQ(stats_of(1).miss, 1);
	EXPECT_EQ(stats_of(1).remote, 1);
	EXPECT_EQ(stats_of(1).foreign, 0);
	EXPECT_EQ(stats_of(2).foreign, 1);
	EXPECT_EQ(stats_of(2).miss + stats_of(2).remote, 0);
	node_count(3, 0);
	EXPECT_EQ(stats_of(0).miss, 1);
	EXPECT_EQ(stats_of(0).remote, 0);
	for (unsigned node = 0; node < MAX_NODES; node++)
		node_count(node, (node + 1) % MAX_NODES);
	node_init();
	for (unsigned node = 0; node < MAX_NODES; node++)
		EXPECT_EQ(stats_of(node).miss + stats_of(node).foreign + stats_of(node).remote, 0);
}
#endif
