/*
 * The trips of the per-CPU page caches: how many blocks a refill may take, from which zone, and
 * what becomes of zones that are not cached; and what a machine's start makes of the stacks.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

static unsigned entries(const struct page_stack *s, unsigned order)
{
	return (unsigned)(s->top - page_stack_base(s, order));
}

/* Lets requests for any memory take so many pages of the zone and no more. */
struct floors {
	u64 floor[NR_ZONE_DEPTHS][NR_ZONE_KINDS];
};

static struct floors leave(struct zone *z, u64 ordinary, u64 urgent)
{
	struct floors former;
	u64 free = zone_free_pages(z);

	memcpy(former.floor, z->floor, sizeof(former.floor));
	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
		z->floor[DEPTH_ORDINARY][kind] = free - min_u64(free, ordinary);
		z->floor[DEPTH_HIGH][kind] = free - min_u64(free, urgent);
	}
	return former;
}

static void put_back(struct zone *z, const struct floors *former)
{
	memcpy(z->floor, former->floor, sizeof(former->floor));
}

static bool has_plenty(const struct zone *z)
{
	return zone_free_pages(z) > 1000;
}

/* Takes a block of the order with these pages to spare; returns how many stay on the stack. */
static unsigned left_by_a_refill(struct zone *z, unsigned order, gfp_t gfp, u64 ordinary,
                                 u64 urgent)
{
	struct page_stack *s = &mm_this(pages)->stack[0][order];
	struct floors former;
	struct page *page;
	unsigned left;

	drain_cpu_pages();
	former = leave(z, ordinary, urgent);
	page = cpu_pages_alloc_near(gfp, order, 0);
	left = entries(s, order);
	put_back(z, &former);
	ASSERT_NOT_NULL(page);
	EXPECT_TRUE(page_zone(page) == z);
	free_pages(page, order);
	return left;
}

TEST(cpu_pages_edges, a_refill_takes_what_anybody_may_have)
{
	struct zone *z = mm_this(pages)->zone[0];

	if (!has_plenty(z))
		return test_skip("this machine's highest zone is too small");
	/* A batch, or as many small blocks as one trip takes. */
	EXPECT_LE(left_by_a_refill(z, 0, GFP_KERNEL, 100, 100), CPU_PAGES_BATCH - 1);
	EXPECT_GE(left_by_a_refill(z, 0, GFP_KERNEL, CPU_PAGES_BATCH, 100), BUDDY_BATCH_BLOCKS - 1);
	EXPECT_EQ(left_by_a_refill(z, 0, GFP_KERNEL, 5, 100), 4);
	EXPECT_EQ(left_by_a_refill(z, 0, GFP_ATOMIC, 5, 100), 4);
	EXPECT_EQ(left_by_a_refill(z, 0, GFP_KERNEL, 1, 100), 0);
	EXPECT_EQ(left_by_a_refill(z, 1, GFP_KERNEL, 7, 100), 2);
	EXPECT_EQ(left_by_a_refill(z, 0, GFP_ATOMIC, 0, 100), 0); /* the reserve, one by one */
	EXPECT_EQ(left_by_a_refill(z, 2, GFP_ATOMIC, 3, 100), 0);
}

TEST(cpu_pages_edges, a_zone_with_too_little_is_passed_over)
{
	struct zone *z = mm_this(pages)->zone[0];
	struct floors former;
	struct page *page;

	if (mm_this(pages)->nr_zones < 2 || !has_plenty(z) ||
	    !has_plenty(mm_this(pages)->zone[1]) ||
	    zone_free_pages(mm_this(pages)->zone[1]) <
	        mm_this(pages)->zone[1]->floor[DEPTH_ORDINARY][NR_ZONE_KINDS - 1] + 1000)
		return test_skip("this machine has one zone with memory for all");
	drain_cpu_pages();
	former = leave(z, 1, 1);
	page = cpu_pages_alloc_near(GFP_KERNEL, 1, 0);
	put_back(z, &former);
	ASSERT_NOT_NULL(page);
	EXPECT_TRUE(page_zone(page) == mm_this(pages)->zone[1]);
	free_pages(page, 1);
}

/* --- single pages, many at a time --- */

TEST(cpu_pages_edges, many_come_from_the_highest_zones_stack)
{
	static const gfp_t places[] = {__GFP_DMA, __GFP_DMA32, 0};
	struct page *pages[64], *page;
	size_t nr, on_stack;

	drain_cpu_pages();
	for (unsigned i = 0; i < ARRAY_SIZE(places); i++) {
		page = alloc_page(GFP_KERNEL | __GFP_NOWARN | places[i]);
		if (page != NULL)
			free_page(page);
		page = alloc_pages(GFP_KERNEL, 1);
		if (page != NULL)
			free_pages(page, 1);
	}
	on_stack = entries(&mm_this(pages)->stack[0][0], 0);
	ASSERT_TRUE(on_stack > 2 && on_stack < ARRAY_SIZE(pages));
	EXPECT_EQ(cpu_pages_pop_many(2, pages), 2);
	nr = 2 + cpu_pages_pop_many(ARRAY_SIZE(pages) - 2, pages + 2);
	EXPECT_EQ(nr, on_stack);
	for (size_t i = 0; i < nr; i++) {
		EXPECT_TRUE(page_zone(pages[i]) == mm_this(pages)->zone[0]);
		EXPECT_EQ(pages[i]->order, 0);
		EXPECT_EQ(pages[i]->type, PAGE_ALLOCATED);
		free_page(pages[i]);
	}
}

/* --- zones that are not cached --- */

TEST(cpu_pages_edges, past_the_stacks_the_floor_holds_too)
{
	struct zone *z = mm_this(pages)->zone[0];
	struct page_stack **of_zone = &mm_this(pages)->of_zone[z->id], *own = *of_zone;
	struct floors former;
	struct page *page;

	if (!has_plenty(z))
		return test_skip("this machine's highest zone is too small");
	drain_cpu_pages();
	*of_zone = mm_this(pages)->of_zone[MAX_ZONES - 1]; /* as another node's */
	former = leave(z, 7, 7);
	EXPECT_NULL(cpu_pages_alloc(z, GFP_KERNEL, 3));
	page = cpu_pages_alloc(z, GFP_KERNEL, 2);
	put_back(z, &former);
	EXPECT_NOT_NULL(page);
	if (page != NULL) {
		cpu_pages_free(page, 2);
		EXPECT_PANIC("assertion failed", cpu_pages_free(page, 2)); /* the zone refuses */
	}
	*of_zone = own;
}

/* --- the start --- */

/* Each context's stacks are its own, follow each other and have their full depth. */
TEST(cpu_pages_edges, stacks_as_they_are_made)
{
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		struct cpu_pages *cpu = cpu_pages_of(id);

		EXPECT_TRUE(mm_context_of(id)->pages == cpu);
		EXPECT_EQ(cpu->node, node_of_cpu(id / NR_CONTEXT_KINDS));
		for (unsigned rank = 0; rank < NR_ZONE_KINDS; rank++) {
			struct page **slot = cpu->slot[rank];

			for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
				const struct page_stack *s = &cpu->stack[rank][order];

				EXPECT_TRUE(page_stack_base(s, order) == slot);
				EXPECT_EQ(s->limit - slot, CPU_PAGES_MAX >> order);
				EXPECT_TRUE(s->top >= slot && s->top <= s->limit);
				EXPECT_EQ((*slot)->type, PAGE_NONE);
				slot = s->limit + 1;
			}
			EXPECT_TRUE(slot == cpu->slot[rank] + CPU_PAGE_SLOTS);
		}
	}
}

/* A rank for each zone of the node with memory, the highest first; all others are always full. */
TEST(cpu_pages_edges, ranks_of_zones)
{
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		struct cpu_pages *cpu = cpu_pages_of(id);
		unsigned nr = 0;

		for (unsigned kind = NR_ZONE_KINDS; kind-- > 0;) {
			struct zone *z = &zone_table[ZONE_ID(cpu->node, kind)];

			if (z->buddy.nr_managed_pages == 0)
				continue;
			ASSERT_LT(nr, cpu->nr_zones);
			EXPECT_TRUE(cpu->zone[nr] == z);
			EXPECT_TRUE(cpu->of_zone[z->id] == cpu->stack[nr]);
			nr++;
		}
		EXPECT_EQ(cpu->nr_zones, nr);
		for (unsigned z = 0; z < MAX_ZONES; z++)
			if (zone_table[z].node != cpu->node ||
			    zone_table[z].buddy.nr_managed_pages == 0)
				EXPECT_TRUE(cpu->of_zone[z] == cpu->of_zone[MAX_ZONES - 1]);
	}
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};

/* Node 0: below 16 MiB and [32, 64). Node 1: [16, 32), DMA32 alone. Node 2 has no memory. */
static const struct mm_topology odd_nodes = {
    .nr_nodes = 3,
    .nr_ranges = 2,
    .range = {{16 * MIB, 16 * MIB, 1}, {64 * MIB, 64 * MIB, 1}},
};

TEST(cpu_pages_edges, a_cpu_caches_its_nodes_zones)
{
	host_machine_borrow_nodes(memory, 1, &odd_nodes, 3); /* CPU i is node i's */
	EXPECT_EQ(cpu_pages_of(0)->nr_zones, 2);
	EXPECT_EQ(cpu_pages_of(2)->nr_zones, 1);
	EXPECT_TRUE(cpu_pages_of(3)->zone[0] == &zone_table[ZONE_ID(1, ZONE_DMA32)]);
	EXPECT_EQ(cpu_pages_of(5)->nr_zones, 0);
	EXPECT_TRUE(cpu_pages_of(5)->zone[0] == &zone_table[0]); /* to be asked in vain */
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		EXPECT_EQ(cpu_pages_of(id)->node, id / NR_CONTEXT_KINDS);
		EXPECT_NOT_NULL(cpu_pages_of(id)->zone[0]);
		EXPECT_EQ(cpu_pages_of(id)->nr_drains, 0);
	}
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* What it held goes back, and it begins anew with the other node's. */
TEST(cpu_pages_edges, a_cpu_moves_to_another_node)
{
	struct mm_usage before, after;
	struct page *page;

	host_machine_borrow_nodes(memory, 1, &odd_nodes, 1);
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_zone(page)->node, 0);
	free_page(page);
	EXPECT_GT(cpu_pages_count(), 0);
	mm_usage(&before);
	mm_set_cpu_node(0, 1);
	mm_usage(&after);
	EXPECT_EQ(after.cached_pages, 0);
	EXPECT_EQ(after.used_pages, before.used_pages);
	EXPECT_SOUND(mm_check());
	for (unsigned id = 0; id < NR_CONTEXT_KINDS; id++) {
		EXPECT_EQ(cpu_pages_of(id)->node, 1);
		EXPECT_EQ(cpu_pages_of(id)->nr_zones, 1);
		EXPECT_EQ(cpu_pages_of(id)->nr_refills, 0);
	}
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_zone(page)->node, 1);
	free_page(page);
	EXPECT_GT(cpu_pages_count(), 0);
	mm_set_cpu_node(1, 1); /* there is no such CPU: nothing to change */
	EXPECT_GT(cpu_pages_count(), 0);
	host_machine_return();
}
#endif
