/*
 * Objects of a node that the caller names, on a machine of three nodes: from where they come, in
 * which order, and what is given when that node has none. On the host, where such machines are
 * made.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define NR_NODES 3u

static const struct mem_range memory[] = {
    {0, 64 * MIB, MEM_USABLE}, {64 * MIB, 32 * MIB, MEM_USABLE}, {128 * MIB, 32 * MIB, MEM_USABLE}};
static const struct mm_topology topology = {
    .nr_nodes = NR_NODES,
    .nr_ranges = NR_NODES,
    .range = {{0, 64 * MIB, 0}, {64 * MIB, 64 * MIB, 1}, {128 * MIB, 32 * MIB, 2}},
    .distance = {{10, 20, 20}, {20, 10, 20}, {20, 20, 10}},
};

static struct kmem_cache *c;

static void begin(size_t size, unsigned flags)
{
	host_machine_borrow_nodes(memory, ARRAY_SIZE(memory), &topology, 1);
	c = kmem_cache_create("of nodes", size, 0, flags, NULL);
	ASSERT_NOT_NULL(c);
}

static void end(void)
{
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

static unsigned node_at(const void *p)
{
	u64 stop;

	return mm_node_of(virt_to_phys(p), &stop);
}

static char *must_take(unsigned node)
{
	char *p = kmem_cache_alloc_node(c, GFP_KERNEL, node);

	ASSERT_NOT_NULL(p);
	ASSERT_EQ(node_at(p), node);
	return p;
}

static u64 nr_slabs(void)
{
	return c->nr_slabs;
}

/* By turns, and no node gets a slab more than it needs. */
TEST(slab_node, every_node_fills_its_own_slabs)
{
	static void *p[NR_NODES][100];

	begin(256, SLAB_NO_DEBUG);
	for (unsigned i = 0; i < 100; i++)
		for (unsigned node = 0; node < NR_NODES; node++)
			p[node][i] = must_take(node);
	EXPECT_EQ(nr_slabs(), NR_NODES * div_round_up(100, c->nr_objects));
	EXPECT_SOUND(kmem_cache_check(c));
	for (unsigned node = 0; node < NR_NODES; node++)
		kmem_cache_free_bulk(c, 100, p[node]);
	EXPECT_NULL(kmem_cache_alloc_node(c, GFP_KERNEL, MAX_NODES));
	end();
}

TEST(slab_node, the_hottest_object_comes_if_it_lies_there)
{
	struct slab_object_info info;
	char *p, *q;

	begin(256, SLAB_NO_DEBUG);
	p = must_take(1);
	memset(p, 0x5c, 256);
	kmem_cache_free(c, p);
	q = must_take(2); /* not that one */
	EXPECT_EQ(must_take(1), p);
	EXPECT_NULL(mem_find_other(p, 0x5c, 256));
	ASSERT_TRUE(slab_object_of(p, &info));
	EXPECT_GE(info.tag, TAG_FIRST_SITE);
	ASSERT_TRUE(slab_object_of(q, &info));
	EXPECT_GE(info.tag, TAG_FIRST_SITE);
	kmem_cache_free(c, p);
	p = kmem_cache_alloc_node(c, GFP_KERNEL | __GFP_ZERO, 1);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 0, 256));
	kmem_cache_free(c, p);
	kmem_cache_free(c, q);
	end();
}

static void construct(void *object)
{
	memset(object, 'c', 64);
}

TEST(slab_node, zeroing_would_undo_the_constructor)
{
	struct kmem_cache *constructed;
	char *p;

	begin(64, 0);
	constructed = kmem_cache_create("constructed", 64, 0, 0, construct);
	ASSERT_NOT_NULL(constructed);
	p = kmem_cache_alloc_node(constructed, GFP_KERNEL, 1);
	ASSERT_NOT_NULL(p);
	EXPECT_NULL(mem_find_other(p, 'c', 64));
	kmem_cache_free(constructed, p);
	EXPECT_PANIC("assertion",
	             (void)kmem_cache_alloc_node(constructed, GFP_KERNEL | __GFP_ZERO, 1));
	end();
}

/* A slab that ran empty is used before a new one is made. */
TEST(slab_node, empty_slabs_are_looked_at_too)
{
	void *p;

	begin(256, SLAB_NO_MAGAZINE | SLAB_NO_DEBUG);
	kmem_cache_free(c, must_take(1));
	EXPECT_EQ(nr_slabs(), 1);
	EXPECT_FALSE(list_is_empty(&c->slabs[SLABS_EMPTY]));
	p = must_take(1);
	EXPECT_EQ(nr_slabs(), 1);
	kmem_cache_free(c, p);
	end();
}

/* --- how far a list is looked through --- */

enum { SIZE = 4000, NR_THERE = 16 };

static struct slab *look(unsigned node)
{
	u64 flags = spin_lock_irq(&c->lock);
	struct slab *s = slab_of_node_locked(c, node);

	spin_unlock_irq(&c->lock, flags);
	return s;
}

/* So many slabs of node 1 with one free object each; the objects are chained by their first words.
 */
static void *partial_slabs(unsigned nr)
{
	void *chain = NULL, **p;

	for (unsigned i = 0; i < nr * c->nr_objects; i++, chain = p) {
		p = (void **)must_take(1);
		*p = chain;
	}
	for (void **at = &chain; *at != NULL;) {
		void **object = *at;

		if (slab_nr_free(c, slab_of(object)) == 0) {
			*at = *object;
			kmem_cache_free(c, object);
		} else {
			at = object;
		}
	}
	return chain;
}

static void free_chain(void *chain)
{
	while (chain != NULL) {
		void *next = *(void **)chain;

		kmem_cache_free(c, chain);
		chain = next;
	}
}

static unsigned list_of(const struct slab *s)
{
	for (unsigned list = 0; list < NR_SLAB_LISTS; list++)
		for (struct list *l = c->slabs[list].next; l != &c->slabs[list]; l = l->next)
			if (l == &s->link)
				return list;
	return NR_SLAB_LISTS;
}

TEST(slab_node, sixteen_slabs_of_a_list_are_looked_at)
{
	struct slab *far, *first;
	void *chain, *p;

	begin(SIZE, SLAB_NO_MAGAZINE | SLAB_NO_DEBUG);
	chain = partial_slabs(NR_THERE);
	first = look(1);
	ASSERT_NOT_NULL(first);
	p = must_take(2);
	far = slab_of(p);
	list_remove(&far->link); /* to the seventeenth place of its list */
	list_push_back(&c->slabs[list_of(first)], &far->link);
	EXPECT_NULL(look(2));
	list_remove(&first->link); /* the sixteenth */
	list_push_back(&c->slabs[list_of(look(1))], &first->link);
	list_remove(&far->link);
	list_push_back(&first->link, &far->link);
	EXPECT_NULL(look(0));
	EXPECT_EQ(look(2), far);
	EXPECT_EQ(c->slabs[list_of(far)].next, &far->link); /* the next look finds it at once */
	kmem_cache_free(c, p);
	free_chain(chain);
	end();
}

/* --- no memory --- */

TEST(slab_node, without_memory_any_object_will_do)
{
	struct hoard hoard = {0};
	void *hot, *p, *chain = NULL;

	begin(256, SLAB_NO_DEBUG);
	hot = must_take(0);
	kmem_cache_free(c, hot); /* in the magazine */
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	p = kmem_cache_alloc_node(c, GFP_NOWAIT | __GFP_NOWARN, 1);
	EXPECT_EQ(p, hot);
	for (; p != NULL; p = kmem_cache_alloc_node(c, GFP_NOWAIT | __GFP_NOWARN, 1)) {
		EXPECT_EQ(node_at(p), 0);
		*(void **)p = chain;
		chain = p;
	}
	hoard_drop_all(&hoard);
	free_chain(chain);
	end();
}

TEST(slab_node, injected_failures_reach_it)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	begin(256, SLAB_NO_DEBUG);
	ASSERT_EQ(inject_parse(INJECT_OBJECTS, "cache=of nodes", &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	EXPECT_NULL(kmem_cache_alloc_node(c, GFP_KERNEL, 1));
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	kmem_cache_free(c, must_take(1));
	end();
}

/* --- other caches --- */

TEST(slab_node, a_destroyed_cache_is_not_used)
{
	begin(256, SLAB_NO_DEBUG);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	platform_unpoison(c, sizeof(*c));
	EXPECT_PANIC("slab: allocation from a destroyed cache",
	             (void)kmem_cache_alloc_node(c, GFP_KERNEL, 1));
	host_machine_return();
}

/* A cache under slab_debug= has the node's objects too, whole, and others when there are none. */
TEST(slab_node, debugged_objects_come_from_the_node)
{
	struct hoard hoard = {0};
	struct kmem_cache *debugged;
	char *p[NR_NODES], *q;

	begin(256, 0);
	debugged_begin("ZQ");
	debugged = kmem_cache_create("debugged", 100, 0, 0, NULL);
	debugged_end();
	ASSERT_NOT_NULL(debugged);
	for (unsigned node = 0; node < NR_NODES; node++) {
		p[node] = kmem_cache_alloc_node(debugged, GFP_KERNEL | __GFP_ZERO, node);
		ASSERT_NOT_NULL(p[node]);
		EXPECT_EQ(node_at(p[node]), node);
		EXPECT_EQ(slab_debug_size(slab_of(p[node]), p[node]), 100);
		EXPECT_NULL(mem_find_other(p[node], 0, 100));
	}
	kmem_cache_free(debugged, p[1]); /* in quarantine */
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	for (unsigned i = 0;
	     (q = kmem_cache_alloc_node(debugged, GFP_NOWAIT | __GFP_NOWARN, 1)) != NULL; i++) {
		if (i == 0)
			EXPECT_EQ(node_at(q), 1);
		*(void **)q = p[1];
		p[1] = q;
	}
	hoard_drop_all(&hoard);
	EXPECT_SOUND(kmem_cache_check(debugged));
	host_machine_return();
}
#endif
