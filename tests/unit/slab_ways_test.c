/*
 * What holds of a slab cache on machines of several nodes and CPUs, with events recorded, with
 * hardening and under debugging: where objects and their pages come from, what is told of them, and
 * how a debugged slab is cut. On the host, where a machine is made for each.
 */
#if __STDC_HOSTED__
#include "mm/event_record.h"
#include "mm/slab_internal.h"

#include <mm/guard.h>
#include <mm/harden.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"

static struct kmem_cache *c;

static void end(void)
{
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* --- nodes --- */

static const struct mem_range low_and_high[] = {{0, 128 * MIB, MEM_USABLE},
                                                {4 * GIB, 64 * MIB, MEM_USABLE}};
static const struct mm_topology two_nodes = {
    .nr_nodes = 2,
    .nr_ranges = 2,
    .range = {{64 * MIB, 64 * MIB, 1}, {4 * GIB, 64 * MIB, 0}},
};

static void begin_with_nodes(void)
{
	host_machine_borrow_nodes(low_and_high, 2, &two_nodes, 1);
	ASSERT_TRUE(slab_has_nodes);
	c = kmem_cache_create("ways", 200, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
}

static struct zone *zone_at(const void *p)
{
	return page_zone(virt_to_page((void *)align_down((u64)p, PAGE_SIZE)));
}

/* Slabs may lie anywhere, so none is spent of low memory, whatever the flags say. */
TEST(slab_ways, scarce_memory_is_not_spent_on_slabs)
{
	static const gfp_t flags[] = {0, __GFP_DMA, __GFP_DMA32, __GFP_DATA, __GFP_ZERO};

	for (unsigned i = 0; i < 2 * ARRAY_SIZE(flags); i++) {
		gfp_t gfp = GFP_KERNEL | flags[i / 2];
		char *p;

		begin_with_nodes();
		p = i % 2 ? kmem_cache_alloc(c, gfp) : kmem_cache_alloc_node(c, gfp, 0);
		ASSERT_NOT_NULL(p);
		EXPECT_EQ(zone_at(p)->kind, ZONE_NORMAL);
		if (gfp & __GFP_ZERO)
			EXPECT_NULL(mem_find_other(p, 0, 200));
		kmem_cache_free(c, p);
		end();
	}
}

/* A CPU fills its magazine from its own node, though slabs of the other are fuller. */
TEST(slab_ways, a_refill_is_of_this_cpus_node)
{
	void *far[6], *near, *p;

	begin_with_nodes();
	near = kmem_cache_alloc_node(c, GFP_KERNEL, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(far); i++) {
		far[i] = kmem_cache_alloc_node(c, GFP_KERNEL, 1);
		EXPECT_EQ(zone_at(far[i])->node, 1);
	}
	p = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_EQ(zone_at(p)->node, 0);
	kmem_cache_free(c, p);
	kmem_cache_free(c, near);
	kmem_cache_free_bulk(c, ARRAY_SIZE(far), far);
	end();
}

TEST(slab_ways, only_machines_with_nodes_look_for_them)
{
	host_machine_borrow(64 * MIB, 1);
	EXPECT_FALSE(slab_has_nodes);
	host_machine_return();
}

/* --- CPUs --- */

TEST(slab_ways, what_other_cpus_hold_goes_with_the_cache)
{
	struct mm_usage before, after;

	host_machine_borrow(64 * MIB, 3);
	host_cpus_answer = true;
	(void)slab_shrink_all();
	mm_usage(&before);
	c = kmem_cache_create("ways", 3000, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	for (unsigned cpu = 0; cpu < 3; cpu++) {
		host_cpu_enter(cpu);
		kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	}
	host_cpu_enter(0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	(void)slab_shrink_all();
	mm_usage(&after);
	EXPECT_EQ(after.used_pages, before.used_pages);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* --- what is told --- */

static struct event events[256];
static size_t nr_events;

static const struct event *find(unsigned kind, u64 address)
{
	for (size_t i = 0; i < nr_events; i++)
		if (events[i].kind == kind && (address == 0 || events[i].address == address))
			return &events[i];
	return NULL;
}

static void begin_recorded(u32 groups)
{
	ASSERT_EQ(event_start(&(struct event_options){.groups = groups}), 0);
}

static void end_recorded(void)
{
	nr_events = event_last(events, ARRAY_SIZE(events));
	EXPECT_EQ(event_stop(), 0);
	event_release();
}

static void expect_pages_of(const struct event *e, u64 pa, u64 bytes, u16 cache)
{
	ASSERT_NOT_NULL(e);
	EXPECT_EQ(e->address, pa);
	EXPECT_EQ(e->size, bytes);
	EXPECT_EQ(e->cache, cache);
}

/* A cache that is made meanwhile has a number too. */
TEST(slab_ways, slabs_that_come_and_go_are_told_of)
{
	struct slab *s;
	u64 pa, bytes;
	u16 number;
	void *p;

	host_machine_borrow(64 * MIB, 1);
	c = kmem_cache_create("before", 64, 0, 0, NULL);
	EXPECT_EQ(c->number, EVENT_NO_CACHE);
	begin_recorded(EVENT_GROUP_SLABS);
	EXPECT_NE(c->number, EVENT_NO_CACHE);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	c = kmem_cache_create("ways", 5000, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	number = c->number;
	EXPECT_NE(number, EVENT_NO_CACHE);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	s = slab_of(p);
	pa = virt_to_phys((void *)slab_start(s));
	bytes = (u64)s->nr_pages << PAGE_SHIFT;
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	end_recorded();
	expect_pages_of(find(EVENT_SLAB_NEW, pa), pa, bytes, number);
	expect_pages_of(find(EVENT_SLAB_GONE, pa), pa, bytes, number);
	c = kmem_cache_create("after", 64, 0, 0, NULL);
	EXPECT_EQ(c->number, EVENT_NO_CACHE);
	end();
}

/* By a node's way, and by the first call site that there is. */
TEST(slab_ways, objects_of_every_way_are_told_of)
{
	void *p, *first;

	begin_with_nodes();
	begin_recorded(EVENT_GROUP_OBJECTS);
	p = kmem_cache_alloc_node(c, GFP_KERNEL, 1);
	kmem_cache_free(c, p);
	first = kmalloc_any(100, GFP_KERNEL, TAG_FIRST_SITE);
	kfree(first);
	end_recorded();
	ASSERT_NOT_NULL(find(EVENT_OBJECT_ALLOC, (u64)p));
	EXPECT_EQ(find(EVENT_OBJECT_ALLOC, (u64)p)->size, 200);
	EXPECT_NOT_NULL(find(EVENT_OBJECT_FREE, (u64)p));
	ASSERT_NOT_NULL(find(EVENT_OBJECT_FREE, (u64)first));
	EXPECT_EQ(find(EVENT_OBJECT_FREE, (u64)first)->site, TAG_FIRST_SITE);
	end();
}

/* The former machine's choices are gone with it. */
TEST(slab_ways, a_boot_begins_unrecorded)
{
	const struct cpu_objects *o;

	slab_divert(true, true);
	host_machine_borrow(64 * MIB, 1);
	c = kmem_cache_create("ways", 64, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	EXPECT_EQ(c->number, EVENT_NO_CACHE);
	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	o = cpu_objects_of(c, (unsigned)mm_this(id));
	ASSERT_NOT_NULL(o->loaded);
	EXPECT_TRUE(o->top != o->loaded->slot); /* it is at hand for the fast ways */
	end();
}

/* --- guard pages --- */

/* One that is guarded and one that is not are two that are live. */
TEST(slab_ways, objects_of_both_kinds_keep_the_cache)
{
	const struct guard_options one = {.interval = 1, .nr_objects = 1};
	void *p[2];

	host_machine_borrow(64 * MIB, 1);
	ASSERT_EQ(guard_start(&one), 0);
	c = kmem_cache_create("ways", 64, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	p[0] = kmem_cache_alloc(c, GFP_KERNEL);
	p[1] = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_TRUE(guard_owns(p[0]) && !guard_owns(p[1]));
	EXPECT_EQ(kmem_cache_destroy(c), -EBUSY);
	kmem_cache_free_bulk(c, 2, p);
	EXPECT_EQ(guard_stop(), 0);
	end();
}

/* --- hardening --- */

/* Of a cache with copies one object is one object, and interrupts are as they were. */
TEST(slab_ways, an_object_of_a_copy_is_counted_once)
{
	const struct mm_hardening former = mm_hardening();
	const struct mm_hardening copies = {.seed = 7, .kmalloc_copies = 4};
	struct mm_usage u[2];
	void *p[20];

	mm_harden(&copies);
	host_machine_borrow(64 * MIB, 1);
	kfree(kmalloc(100, GFP_KERNEL));
	mm_usage(&u[0]);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++) {
		p[i] = kmalloc(100, GFP_KERNEL);
		EXPECT_TRUE(irq_is_enabled());
	}
	mm_usage(&u[1]);
	EXPECT_EQ(u[1].live_objects - u[0].live_objects, ARRAY_SIZE(p));
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kfree(p[i]);
	host_machine_return();
	mm_harden(&former);
}

/* Any seed is one, the same again the same. */
TEST(slab_ways, the_seed_of_the_boot_is_that_of_the_caches)
{
	static const u64 seeds[] = {0, 0, 8, 8, 9};
	const struct mm_hardening former = mm_hardening();
	u64 random[ARRAY_SIZE(seeds)];

	for (unsigned i = 0; i < ARRAY_SIZE(seeds); i++) {
		struct mm_hardening choice = {
		    .seed = seeds[i], .slab_random = true, .kmalloc_copies = 1};

		mm_harden(&choice);
		host_machine_borrow(64 * MIB, 1);
		random[i] = kmalloc_cache[0]->random;
		EXPECT_NE(random[i], 0);
		host_machine_return();
	}
	mm_harden(&former);
	EXPECT_EQ(random[0], random[1]);
	EXPECT_EQ(random[2], random[3]);
	EXPECT_NE(random[2], random[0]);
	host_machine_borrow(64 * MIB, 1);
	EXPECT_EQ(kmalloc_cache[0]->random != 0, former.slab_random);
	host_machine_return();
}

/* --- debugging --- */

static void expect_cut(void)
{
	u64 in_half = ((u64)c->nr_pages / 2 << PAGE_SHIFT) / c->stride;

	EXPECT_EQ(c->left_zone % 8, 0);
	EXPECT_EQ(c->lead % c->align, 0);
	EXPECT_GE(c->lead, c->left_zone);
	EXPECT_GE(c->left_zone, 8);
	EXPECT_GE(c->stride, c->size + c->left_zone + 8);
	EXPECT_LE(c->lead + (u64)c->nr_objects * c->stride, (u64)c->nr_pages << PAGE_SHIFT);
	if (c->nr_objects >= 8)
		EXPECT_TRUE(c->nr_pages == 1 || in_half <= 8); /* half of it would not do */
	else
		EXPECT_LT((8ul * PAGE_SIZE - c->lead) / c->stride, 8);
}

/* Zones on both sides, objects aligned, and no more pages than eight objects need. */
TEST(slab_ways, how_a_slab_with_red_zones_is_cut)
{
	debugged_begin("Z");
	for (size_t size = 1; size <= 5000; size += 1 + size / 3)
		for (size_t align = 8; align <= 256; align *= 4) {
			c = kmem_cache_create("cut", size, align, 0, NULL);
			ASSERT_NOT_NULL(c);
			expect_cut();
			EXPECT_EQ(kmem_cache_destroy(c), 0);
		}
	debugged_end();
}
#endif
