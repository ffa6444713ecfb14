/*
 * Nodes of awkward shapes, on the host: a tiny one full of holes, one that has only memory above
 * 4 GiB, and CPUs of all of them. Whatever is allocated where, pages go home to their own zones.
 */
#if __STDC_HOSTED__
#include "tests/model/exchange.h"
#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#include <mm/node.h>
#include <tests/host/cpus.h>

#define NR_NODES 4u
#define TINY 1u /* 16 pieces of 8 pages each, with holes between them */
#define TINY_PAGES (16 * 8u)
#define HIGH 3u

#define USABLE(base, length)             \
	{                                \
		base, length, MEM_USABLE \
	}
#define PIECE(i) USABLE(64 * MIB + (i)*64 * KIB, 32 * KIB)

static const struct mem_range memory[] = {
    USABLE(0, 64 * MIB),
    PIECE(0),
    PIECE(1),
    PIECE(2),
    PIECE(3),
    PIECE(4),
    PIECE(5),
    PIECE(6),
    PIECE(7),
    PIECE(8),
    PIECE(9),
    PIECE(10),
    PIECE(11),
    PIECE(12),
    PIECE(13),
    PIECE(14),
    PIECE(15),
    USABLE(128 * MIB, 32 * MIB),
    USABLE(4 * GIB, 32 * MIB),
};

/* TINY's page map is taken from it too: what is left of 512 KiB. */
static const struct mm_topology topology = {
    .nr_nodes = NR_NODES,
    .nr_ranges = NR_NODES,
    .range = {{0, 64 * MIB, 0},
              {64 * MIB, 64 * MIB, TINY},
              {128 * MIB, 32 * MIB, 2},
              {4 * GIB, 32 * MIB, HIGH}},
    .distance = {{10, 20, 20, 20}, {20, 10, 20, 20}, {20, 20, 10, 20}, {20, 20, 20, 10}},
};

static void borrow(unsigned nr_cpus)
{
	host_machine_borrow_nodes(memory, ARRAY_SIZE(memory), &topology, nr_cpus);
}

static unsigned node_of(const struct page *page)
{
	return page_zone(page)->node;
}

static u64 managed_pages(unsigned node)
{
	struct node_stats stats;

	node_stats(node, &stats);
	return stats.total_pages;
}

TEST(node_more, every_order_from_every_node_goes_home)
{
	static struct free_shape shape;

	borrow(1);
	free_shape_take(&shape);
	for (unsigned node = 0; node < NR_NODES; node++)
		for (unsigned order = 0; order <= 10; order++) {
			struct page *page = alloc_pages_node(node, GFP_KERNEL, order);

			ASSERT_NOT_NULL(page);
			if (node != TINY || order <= 3)
				EXPECT_EQ(node_of(page), node);
			else
				EXPECT_NE(node_of(page), TINY); /* it has no such block */
			free_pages(page, order);
		}
	EXPECT_TRUE(free_shape_is(&shape));
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* Its pages first, all of them, then the neighbours'. */
TEST(node_more, a_tiny_node_is_used_up_and_recovers)
{
	static struct page *pages[TINY_PAGES + 64];
	static struct free_shape shape;
	u64 nr_tiny;

	borrow(1);
	free_shape_take(&shape);
	nr_tiny = managed_pages(TINY);
	EXPECT_GT(nr_tiny, 32);
	EXPECT_LE(nr_tiny, TINY_PAGES);
	for (unsigned i = 0; i < ARRAY_SIZE(pages); i++) {
		pages[i] = alloc_pages_node(TINY, GFP_KERNEL | __GFP_MEMALLOC, 0);
		ASSERT_NOT_NULL(pages[i]);
		EXPECT_EQ(node_of(pages[i]) == TINY, i < nr_tiny);
	}
	free_pages_bulk(ARRAY_SIZE(pages), pages);
	EXPECT_TRUE(free_shape_is(&shape));
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(node_more, kmalloc_node_answers_for_every_node)
{
	borrow(1);
	for (unsigned node = 0; node < NR_NODES; node++)
		for (size_t size = 16; size < 100000; size *= 5) {
			void *p = kmalloc_node(size, GFP_KERNEL, node);

			EXPECT_NOT_NULL(p);
			kfree(p);
		}
	EXPECT_NULL(kmalloc_node(16, GFP_KERNEL, MAX_NODES));
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

static unsigned node_at(const void *p)
{
	u64 end;

	return mm_node_of(virt_to_phys(p), &end);
}

/* From its node first, and when that is used up from another; NULL when there is none at all. */
TEST(node_more, objects_of_a_node_that_is_used_up)
{
	struct kmem_cache *c;
	void *chain = NULL;
	unsigned nr_there = 0, nr_elsewhere = 0;

	borrow(1);
	c = kmem_cache_create("used up", 2048, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	for (void **p; nr_elsewhere < 100; chain = p) {
		p = kmem_cache_alloc_node(c, GFP_KERNEL, TINY);
		ASSERT_NOT_NULL(p);
		*p = chain;
		if (node_at(p) != TINY)
			nr_elsewhere++;
		else
			nr_there++;
	}
	EXPECT_GT(nr_there, 16);
	while (chain != NULL) {
		void *next = *(void **)chain;

		kmem_cache_free(c, chain);
		chain = next;
	}
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* A slab of another node is fuller, so it would be first; but this CPU's node has one too. */
TEST(node_more, refills_prefer_the_cpus_node)
{
	struct kmem_cache *c;
	void *far[3], *near[2];

	borrow(1);
	c = kmem_cache_create("near", 256, 0, SLAB_NO_MAGAZINE, NULL);
	ASSERT_NOT_NULL(c);
	near[0] = kmem_cache_alloc_node(c, GFP_KERNEL, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(far); i++) {
		far[i] = kmem_cache_alloc_node(c, GFP_KERNEL, HIGH);
		EXPECT_EQ(node_at(far[i]), HIGH);
	}
	near[1] = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_EQ(node_at(near[0]), 0);
	EXPECT_EQ(node_at(near[1]), 0);
	kmem_cache_free_bulk(c, ARRAY_SIZE(far), far);
	kmem_cache_free_bulk(c, ARRAY_SIZE(near), near);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	host_machine_return();
}

/* What lies low is node 0's, whoever asks. */
TEST(node_more, low_memory_comes_from_where_it_is)
{
	borrow(1);
	for (unsigned node = 0; node < NR_NODES; node++) {
		struct page *dma = alloc_pages_node(node, GFP_KERNEL | __GFP_DMA, 2);
		struct page *dma32 = alloc_pages_node(node, GFP_KERNEL | __GFP_DMA32, 0);

		ASSERT_NOT_NULL(dma);
		ASSERT_NOT_NULL(dma32);
		EXPECT_EQ(node_of(dma), 0);
		EXPECT_LT(page_to_phys(dma), 16 * MIB);
		EXPECT_EQ(node_of(dma32), node == HIGH ? 0 : node);
		EXPECT_LT(page_to_phys(dma32), 4 * GIB);
		free_pages(dma, 2);
		free_pages(dma32, 0);
	}
	host_machine_return();
}

/* --- CPUs of all nodes --- */

static u64 seeds[NR_NODES], nr_wrong; /* A */

/* A CPU's first page is its node's; then it exchanges blocks with the others. */
static void exchange_from_own_node(void *unused)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct rng rng;

	(void)unused;
	if (page == NULL || node_of(page) != cpu_id())
		__atomic_add_fetch(&nr_wrong, 1, __ATOMIC_RELAXED);
	if (page != NULL)
		free_page(page);
	rng_seed(&rng, seeds[cpu_id()]);
	for (unsigned i = 0; i < 4000; i++)
		exchange_step(&rng, GFP_KERNEL | __GFP_NOWARN);
	host_cpus_meet();
	slab_shrink_all();
	drain_cpu_pages();
}

TEST(node_threads, cpus_of_all_nodes_free_each_others_pages)
{
	static struct free_shape shape;

	borrow(NR_NODES);
	nr_wrong = 0;
	for (unsigned cpu = 0; cpu < NR_NODES; cpu++)
		seeds[cpu] = rng_next(test_rng());
	slab_shrink_all();
	free_shape_take(&shape);
	EXPECT_TRUE(exchange_begin(0));
	host_cpus_run(NR_NODES, exchange_from_own_node, NULL);
	EXPECT_SOUND(mm_check());
	EXPECT_SOUND(exchange_end());
	EXPECT_EQ(nr_wrong, 0);
	slab_shrink_all();
	EXPECT_TRUE(free_shape_is(&shape));
	EXPECT_SOUND(mm_check());
	host_machine_return();
}
#endif
