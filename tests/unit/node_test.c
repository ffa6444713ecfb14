/*
 * NUMA nodes: the order of fallback, what lies where, and (on the host, where machines can be made)
 * allocations on machines with several nodes, interleaved, without memory or without CPUs.
 */
#include "mm/internal.h"

#include <mm/mm.h>
#include <tests/test.h>

TEST(node, each_is_its_own_first_choice)
{
	for (unsigned node = 0; node < MAX_NODES; node++) {
		u32 seen = 0;

		EXPECT_EQ(node_fallback(node, 0), node);
		for (unsigned i = 0; i < MAX_NODES; i++)
			seen |= 1u << node_fallback(node, i);
		EXPECT_EQ(seen, (1u << MAX_NODES) - 1);
		for (unsigned i = 2; i < MAX_NODES; i++)
			EXPECT_LE(mm_node_distance(node, node_fallback(node, i - 1)),
			          mm_node_distance(node, node_fallback(node, i)));
	}
}

TEST(node, this_cpus_memory_is_its_nodes)
{
	struct page *page = alloc_page(GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	if (zone_free_pages(page_zone(page)) > 1000)
		EXPECT_EQ(page_zone(page)->node, mm_this_node());
	free_pages(page, 0);
}

static unsigned node_at(const void *p)
{
	u64 end;

	return mm_node_of(virt_to_phys(p), &end);
}

static bool has_plenty(unsigned node)
{
	struct node_stats stats;

	node_stats(node, &stats);
	return stats.free_pages > 4096;
}

/* Of every size: from slabs, and from pages. What was freed lies in this CPU's magazines when the
 * next node is asked for. */
TEST(node, kmalloc_node_gives_the_nodes_own)
{
	static const size_t sizes[] = {16, 100, 500, 4096, 8192, 20000, 300000};
	void *p[40];

	for (unsigned node = 0; node < mm_nr_nodes(); node++)
		for (unsigned i = 0; i < ARRAY_SIZE(sizes) && has_plenty(node); i++) {
			for (unsigned k = 0; k < ARRAY_SIZE(p); k++) {
				p[k] = kmalloc_node(sizes[i], GFP_KERNEL | __GFP_ZERO, node);
				ASSERT_NOT_NULL(p[k]);
				EXPECT_EQ(node_at(p[k]), node);
				EXPECT_EQ(((char *)p[k])[sizes[i] - 1], 0);
			}
			for (unsigned k = 0; k < ARRAY_SIZE(p); k++)
				kfree(p[k]);
		}
	EXPECT_EQ(kmalloc_node(0, GFP_KERNEL, 0), ZERO_SIZE_PTR);
	EXPECT_NULL(kmalloc_node(16, GFP_KERNEL, MAX_NODES));
}

#if __STDC_HOSTED__
#include "tests/model/expect.h"

#include <tests/host/machine.h>

static u64 this_machine;

static bool remember_this_machine(void)
{
	const struct zone *last = NULL;
	u64 high;

	for_each_zone(z)
		last = z;
	high = last->kind == ZONE_NORMAL ? (u64)last->buddy.high * PAGE_SIZE - 4 * GIB : 0;
	this_machine = high < 3 * GIB ? 2 * high : high + 3 * GIB;
	if (this_machine == 0)
		test_skip("this machine could not be made again");
	return this_machine != 0;
}

static void back_to_this_machine(void)
{
	static const struct mm_topology one = {.nr_nodes = 1};

	EXPECT_SOUND(mm_check());
	mm_set_topology(&one);
	host_machine_boot_pc(this_machine);
}

/* Four nodes, 64 MiB each in turns of 16 MiB, from 16 MiB on; node 3 is far from all. */
static struct mm_topology interleaved(void)
{
	struct mm_topology t = {.nr_nodes = 4, .nr_ranges = 16};

	for (u32 i = 0; i < 16; i++)
		t.range[i] = (struct mm_node_range){(i + 1) * 16 * MIB, 16 * MIB, i % 4};
	for (u32 a = 0; a < 4; a++)
		for (u32 b = 0; b < 4; b++)
			t.distance[a][b] = a == b ? 10 : a == 3 || b == 3 ? 40 : (u8)(20 + (a ^ b));
	return t;
}

static const struct mem_range memory[] = {{0, 272 * MIB, MEM_USABLE}};

static unsigned node_of(const struct page *page)
{
	return page_zone(page)->node;
}

TEST(node, allocations_come_from_the_node_that_is_wanted)
{
	struct mm_topology t = interleaved();

	if (!remember_this_machine())
		return;
	mm_set_topology(&t);
	mm_set_cpu_node(0, 2);
	host_machine_boot(memory, 1);
	EXPECT_EQ(mm_nr_nodes(), 4);
	EXPECT_EQ(mm_this_node(), 2);
	for (unsigned node = 0; node < 4; node++)
		for (unsigned order = 0; order <= 9; order += 3) {
			struct page *page = alloc_pages_node(node, GFP_KERNEL, order);

			ASSERT_NOT_NULL(page);
			EXPECT_EQ(node_of(page), node);
			EXPECT_EQ((page_to_phys(page) / (16 * MIB) + 3) % 4, node);
			free_pages(page, order);
		}
	back_to_this_machine();
}

TEST(node, fallback_is_by_distance)
{
	struct mm_topology t = interleaved();
	static const u8 order[] = {1, 0, 2, 3};
	unsigned at = 0;

	if (!remember_this_machine())
		return;
	for (unsigned a = 0; a < 4; a++) /* 1 is nearer to 0 (21) than to 2 (23) */
		for (unsigned b = 0; b < 4; b++)
			EXPECT_EQ(t.distance[a][b], t.distance[b][a]);
	mm_set_topology(&t);
	mm_set_cpu_node(0, 1);
	host_machine_boot(memory, 1);
	for (struct page *page, *next = NULL;;) { /* 2 MiB at a time, all of it */
		page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, 9);
		if (page == NULL)
			break;
		while (at < 4 && node_of(page) != order[at])
			at++;
		ASSERT_LT(at, 4);
		*(struct page **)page_address(page) = next;
		next = page;
	}
	EXPECT_EQ(at, 3);
	back_to_this_machine();
}

TEST(node, statistics_name_hits_misses_and_remote_allocations)
{
	struct mm_topology t = interleaved();
	struct node_stats before[4], after[4];
	struct page *page;

	if (!remember_this_machine())
		return;
	mm_set_topology(&t);
	host_machine_boot(memory, 1);
	for (unsigned node = 0; node < 4; node++)
		node_stats(node, &before[node]);
	page = alloc_pages_node(1, GFP_KERNEL, 5); /* wanted there, by a CPU of node 0 */
	free_pages(page, 5);
	while ((page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, 11)) != NULL && node_of(page) == 0)
		;
	EXPECT_EQ(node_of(page), 1); /* node 0 has no 8 MiB left */
	for (unsigned node = 0; node < 4; node++)
		node_stats(node, &after[node]);
	EXPECT_EQ(after[1].hit - before[1].hit, 1);
	EXPECT_EQ(after[1].miss - before[1].miss, 1);
	EXPECT_EQ(after[0].foreign - before[0].foreign, 1);
	EXPECT_EQ(after[1].remote - before[1].remote, 2);
	EXPECT_EQ(after[1].local, before[1].local);
	EXPECT_GT(after[0].hit, before[0].hit);
	EXPECT_EQ(after[2].total_pages, (64 * MIB - 64 * MIB / 256) / PAGE_SIZE); /* its page map */
	back_to_this_machine();
}

TEST(node, one_without_memory)
{
	struct mm_topology t = {.nr_nodes = 2, .nr_ranges = 1, .range = {{0, GIB, 0}}};
	struct page *page;

	if (!remember_this_machine())
		return;
	mm_set_topology(&t);
	mm_set_cpu_node(0, 1);
	host_machine_boot(memory, 1);
	EXPECT_EQ(mm_this_node(), 1);
	for (unsigned order = 0; order < 6; order++) {
		page = alloc_pages(GFP_KERNEL, order);
		ASSERT_NOT_NULL(page);
		EXPECT_EQ(node_of(page), 0);
		free_pages(page, order);
	}
	kfree(kmalloc(100, GFP_KERNEL));
	back_to_this_machine();
}

TEST(node, borders_inside_a_page_or_a_pageblock)
{
	struct mm_topology t = {.nr_nodes = 2,
	                        .nr_ranges = 2,
	                        .range = {{0, 33 * MIB + 5000, 0}, {33 * MIB + 5000, 64 * MIB, 1}}};
	struct page *page;

	if (!remember_this_machine())
		return;
	mm_set_topology(&t);
	host_machine_boot(memory, 1);
	page = alloc_pages_node(1, GFP_KERNEL, 0);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(node_of(page), 1);
	free_pages(page, 0);
	drain_cpu_pages();
	EXPECT_EQ(page_block_of((33 * MIB + 4096) / PAGE_SIZE)->zone >> 2, 0);
	EXPECT_EQ(page_block_of((33 * MIB + 8192) / PAGE_SIZE)->zone >> 2, 1);
	EXPECT_EQ(page_block_of(100 * MIB / PAGE_SIZE)->zone >> 2, 0); /* of no range */
	back_to_this_machine();
}

TEST(node, the_page_map_lies_in_the_nodes_memory)
{
	struct mm_topology t = {
	    .nr_nodes = 2, .nr_ranges = 2, .range = {{0, 128 * MIB, 0}, {128 * MIB, 144 * MIB, 1}}};
	const struct memmap *map;
	u64 bytes[2] = {0, 0};

	if (!remember_this_machine())
		return;
	mm_set_topology(&t);
	map = host_machine_boot(memory, 1);
	for (u32 i = 0; i < map->nr; i++)
		if (map->range[i].type == MEM_PAGE_MAP)
			bytes[map->range[i].base >= 128 * MIB] += map->range[i].length;
	EXPECT_GE(bytes[0], 128 * MIB / 256);
	EXPECT_GE(bytes[1], 144 * MIB / 256);
	back_to_this_machine();
}

TEST(node, large_objects_are_counted_once)
{
	struct mm_topology t = interleaved();
	void *p[8];

	if (!remember_this_machine())
		return;
	mm_set_topology(&t);
	host_machine_boot(memory, 1);
	for (unsigned i = 0; i < 8; i++)
		p[i] = kmalloc(3 * MIB, GFP_KERNEL);
	EXPECT_NULL(kmalloc_check());
	for (unsigned i = 0; i < 8; i++)
		kfree(p[i]);
	back_to_this_machine();
}
#endif
