/*
 * Events: what is recorded is what happened, in order and in whole; the stream says all that a
 * reader needs; what is lost is counted; and off, everything is as if there were none.
 *
 * Most tests look through a reader: it takes the stream's bytes as they come, puts the records
 * together, and follows live objects and free pages as tools/events does.
 */
#include "mm/event_record.h"
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <mm/stats.h>

#include "tests/model/expect.h"

#define NR_CAUGHT 512

struct reader {
	u64 nr[NR_EVENT_KINDS];
	u64 nr_bytes, text_left, last_time, lost, free_pages, order_steps;
	bool site_named, cache_named; /* those of the last record that has them */
	bool late;
	struct event caught[NR_CAUGHT]; /* of kinds above END */
	u64 nr_caught;
	u8 named_sites[TAG_MARK / 8], named_caches[1024];
};

static struct reader reader;

static void follow(struct reader *r, const struct event *e)
{
	r->nr[e->kind]++;
	if (e->kind == EVENT_NAME_SITE)
		r->named_sites[e->site / 8] |= (u8)(1u << e->site % 8);
	else if (e->kind == EVENT_NAME_CACHE)
		r->named_caches[e->cache % 1024] = 1;
	if (e->kind == EVENT_NAME_SITE || e->kind == EVENT_NAME_CACHE)
		r->text_left = align_up(e->size, sizeof(*e));
	if (e->site != EVENT_NO_SITE)
		r->site_named = r->named_sites[e->site / 8] >> e->site % 8 & 1;
	if (e->cache != EVENT_NO_CACHE)
		r->cache_named = r->named_caches[e->cache % 1024];
	if (e->kind == EVENT_ALREADY_FREE || e->kind == EVENT_BUDDY_FREE)
		r->free_pages += e->size >> PAGE_SHIFT;
	else if (e->kind == EVENT_BUDDY_ALLOC)
		r->free_pages -= e->size >> PAGE_SHIFT;
	else if (e->kind == EVENT_LOST)
		r->lost += e->size;
}

static void read(void *context, const void *bytes, size_t n)
{
	struct reader *r = context;
	struct event e;

	r->nr_bytes += n;
	if (r->text_left != 0) {
		r->text_left -= n;
		return;
	}
	memcpy(&e, bytes, sizeof(e));
	follow(r, &e);
	if (e.kind <= EVENT_END)
		return;
	r->late |= e.time < r->last_time;
	r->last_time = e.time;
	if (r->nr_caught < NR_CAUGHT)
		r->caught[r->nr_caught++] = e;
}

static int start(u32 groups, u32 nr_records, bool drop)
{
	memset(&reader, 0, sizeof(reader));
	return event_start(&(struct event_options){.groups = groups,
	                                           .nr_records = nr_records,
	                                           .write = read,
	                                           .context = &reader,
	                                           .ticks_a_second = 12345,
	                                           .drop = drop});
}

static void stop(void)
{
	EXPECT_EQ(event_stop(), 0);
	event_release();
}

/* The first that was caught of a kind, at an address if that is not 0; or NULL. */
static const struct event *find(unsigned kind, u64 address)
{
	for (u64 i = 0; i < reader.nr_caught; i++)
		if (reader.caught[i].kind == kind &&
		    (address == 0 || reader.caught[i].address == address))
			return &reader.caught[i];
	return NULL;
}

static u64 all_free_pages(void)
{
	u64 nr = 0;

	for_each_zone(z)
		nr += zone_free_pages(z);
	return nr;
}

/* --- off --- */

TEST(event, off_nothing_is_recorded)
{
	struct event_stats s;
	struct event e;

	kfree(kmalloc(100, GFP_KERNEL));
	event_stats(&s);
	EXPECT_FALSE(s.on);
	EXPECT_EQ(event_mask, 0);
	EXPECT_EQ(event_last(&e, 1), 0);
	EXPECT_EQ(event_drain(100), 0);
	EXPECT_EQ(event_stop(), -ENOENT);
	event_release();
}

/* The fast ways look where they looked before. */
TEST(event, off_again_the_fast_ways_are_open)
{
	struct kmem_cache *c = kmem_cache_create("test", 100, 0, 0, NULL);
	void *object = kmem_cache_alloc(c, GFP_KERNEL);
	struct slab *s = slab_of(object);
	struct cpu_pages *cpu = mm_this(pages);
	struct page_stack *of_zone = cpu->of_zone[cpu->zone[0]->id];
	const struct cpu_objects *of_slab;

	ASSERT_NOT_NULL(s);
	of_slab = s->cpu; /* with a quarantine it is closed already */
	ASSERT_EQ(start(0, 0, false), 0);
	EXPECT_TRUE(c->hot == cpu_objects_none);
	EXPECT_TRUE(s->cpu == cpu_objects_none);
	EXPECT_TRUE(cpu->of_zone[cpu->zone[0]->id] != cpu->stack[0]);
	EXPECT_EQ(*cpu->stack[0][0].top == *page_stack_base(&cpu->stack[0][0], 0), true);
	EXPECT_SOUND(mm_check());
	stop();
	EXPECT_TRUE(c->hot == c->cpu);
	EXPECT_TRUE(s->cpu == of_slab);
	EXPECT_TRUE(cpu->of_zone[cpu->zone[0]->id] == of_zone);
	EXPECT_EQ(c->number, EVENT_NO_CACHE);
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_SOUND(mm_check());
}

/* One call site: with copies of the size classes another might be served by another. */
static void *object_of_200(void)
{
	return kmalloc(200, GFP_KERNEL);
}

static void expect_again(const struct page *page, const void *object)
{
	struct page *p = alloc_page(GFP_KERNEL);
	void *o = object_of_200();

	EXPECT_TRUE(p == page);
	EXPECT_TRUE(o == object);
	kfree(o);
	free_page(p);
}

/* What a CPU held when events came on it holds still, and the other way round. */
TEST(event, stacks_and_magazines_keep_what_they_hold)
{
	struct page *page = alloc_page(GFP_KERNEL);
	void *object = object_of_200();
	u64 cached;

	kfree(object);
	free_page(page);
	cached = cpu_pages_count();
	ASSERT_EQ(event_start(&(struct event_options){.nr_records = 64}), 0);
	expect_again(page, object);
	EXPECT_EQ(event_stop(), 0);
	expect_again(page, object);
	event_release();
	EXPECT_TRUE(cpu_pages_count() <= cached + 16); /* the ring's own first pages apart */
	EXPECT_SOUND(mm_check());
}

/* --- what is recorded --- */

TEST(event, an_object_with_size_cache_and_call_site)
{
	const struct event *in, *out;
	char site[96];
	size_t size = 100;
	void *p;

	__asm__("" : "+r"(size)); /* no literal, which the call site's record would know */
	ASSERT_EQ(start(EVENT_GROUP_OBJECTS, 0, false), 0);
	p = kmalloc(size, GFP_KERNEL);
	kfree(p);
	stop();
	in = find(EVENT_OBJECT_ALLOC, (u64)p);
	out = find(EVENT_OBJECT_FREE, (u64)p);
	ASSERT_TRUE(in != NULL && out != NULL && in < out);
	EXPECT_EQ(in->size, 100);
	EXPECT_EQ(out->size, kmalloc_class_size(100));
	EXPECT_EQ(in->cache, out->cache);
	EXPECT_NE(in->cache, EVENT_NO_CACHE);
	EXPECT_EQ(in->site, out->site);
	EXPECT_TRUE(str_matches("*event_test.c:*", site_name(site, in->site)));
	EXPECT_EQ(in->cpu, out->cpu);
	EXPECT_EQ(reader.nr[EVENT_PAGES_ALLOC] + reader.nr[EVENT_SLAB_NEW], 0);
}

TEST(event, every_way_in_and_out_of_a_cache)
{
	struct kmem_cache *c;
	void *objects[40], *p;

	ASSERT_EQ(start(EVENT_GROUP_OBJECTS, 0, false), 0);
	c = kmem_cache_create("made-later", 48, 0, 0, NULL);
	EXPECT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 40, objects), 40);
	kmem_cache_free_bulk(c, 40, objects);
	p = kmem_cache_alloc(c, GFP_KERNEL | __GFP_ZERO);
	kmem_cache_free(c, p);
	p = kmem_cache_alloc_node(c, GFP_KERNEL, 0);
	kmem_cache_free(c, p);
	p = krealloc(kmalloc(20, GFP_KERNEL), 500, GFP_KERNEL);
	kfree_sensitive(p);
	kfree(kzalloc(300, GFP_KERNEL));
	kfree(kmalloc_node(300, GFP_KERNEL, 0));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	stop();
	EXPECT_EQ(reader.nr[EVENT_OBJECT_ALLOC], 40 + 1 + 1 + 2 + 1 + 1);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_FREE], 40 + 1 + 1 + 2 + 1 + 1);
	EXPECT_TRUE(reader.site_named && reader.cache_named);
	EXPECT_EQ(find(EVENT_OBJECT_ALLOC, 0)->size, 48);
}

TEST(event, large_ones_and_areas)
{
	const struct event *e;
	void *p;

	ASSERT_EQ(start(EVENT_GROUP_OBJECTS | EVENT_GROUP_VMALLOC, 0, false), 0);
	p = kmalloc(20000, GFP_KERNEL);
	kfree(p);
	vfree(vmalloc(10000));
	vfree(vmalloc(3 * MIB));
	stop();
	e = find(EVENT_LARGE_ALLOC, (u64)p);
	ASSERT_NOT_NULL(e);
	EXPECT_EQ(e->size, 20000);
	EXPECT_EQ(find(EVENT_LARGE_FREE, (u64)p)->site, e->site);
	EXPECT_EQ(reader.nr[EVENT_VMALLOC], 2);
	EXPECT_EQ(reader.nr[EVENT_VFREE], 2);
	EXPECT_EQ(find(EVENT_VMALLOC, 0)->size, 10000);
	EXPECT_EQ(find(EVENT_VFREE, 0)->site, find(EVENT_VMALLOC, 0)->site);
}

static void expect_block(struct page *page, unsigned order, u64 bytes)
{
	const struct event *in = find(EVENT_PAGES_ALLOC, page_to_phys(page));
	const struct event *out = find(EVENT_PAGES_FREE, page_to_phys(page));

	ASSERT_TRUE(in != NULL && out != NULL && in < out);
	EXPECT_EQ(in->order, order);
	EXPECT_EQ(in->size, bytes);
	EXPECT_EQ(out->order, order);
	EXPECT_EQ(out->size, bytes);
	EXPECT_EQ(in->node, page_zone(page)->node);
}

TEST(event, blocks_of_every_way_in_and_out)
{
	struct page *single, *small, *large, *placed, *range, *many[20];
	void *exact;

	ASSERT_EQ(start(EVENT_GROUP_PAGES, 0, false), 0);
	single = alloc_page(GFP_KERNEL);
	small = alloc_pages(GFP_KERNEL, 2);
	large = alloc_pages(GFP_KERNEL, 6);
	placed = alloc_pages(GFP_KERNEL | __GFP_DMA | __GFP_ZERO, 1);
	range = alloc_contig_pages(5, 1, GFP_KERNEL);
	exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);
	EXPECT_EQ(alloc_pages_bulk(GFP_KERNEL, 20, many), 20);
	free_pages_bulk(20, many);
	free_pages_exact(exact, 3 * PAGE_SIZE);
	free_contig_pages(range, 5);
	free_pages(placed, 1);
	free_pages(large, 6);
	free_pages(small, 2);
	free_page(single);
	stop();
	expect_block(single, 0, PAGE_SIZE);
	expect_block(small, 2, 4 * PAGE_SIZE);
	expect_block(large, 6, 64 * PAGE_SIZE);
	expect_block(placed, 1, 2 * PAGE_SIZE);
	expect_block(range, 3, 5 * PAGE_SIZE);
	expect_block(virt_to_page(exact), 2, 3 * PAGE_SIZE);
	EXPECT_EQ(reader.nr[EVENT_PAGES_ALLOC], 26);
	EXPECT_EQ(reader.nr[EVENT_PAGES_FREE], 26);
	EXPECT_TRUE(reader.site_named); /* who asked */
	EXPECT_FALSE(reader.late);
}

static struct {
	struct page *page[64];
	void *object[400];
} held;

static void work(void)
{
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < ARRAY_SIZE(held.page); i++)
			held.page[i] = alloc_pages(GFP_KERNEL, i % 6);
		for (unsigned i = 0; i < ARRAY_SIZE(held.object); i++)
			held.object[i] = kmalloc(8 + i % 50 * 40, GFP_KERNEL);
		for (unsigned i = 0; i < ARRAY_SIZE(held.object); i++)
			kfree(held.object[i]);
		for (unsigned i = 0; i < ARRAY_SIZE(held.page); i++)
			free_pages(held.page[i], i % 6);
		drain_cpu_pages();
	}
}

struct counters {
	u64 splits, merges, page_trips, object_trips;
};

static void count(struct counters *c)
{
	struct mm_traffic t;

	mm_traffic(&t);
	*c = (struct counters){.page_trips = t.page_trips, .object_trips = t.object_trips};
	for_each_zone(z) {
		c->splits += z->buddy.nr_splits;
		c->merges += z->buddy.nr_merges;
	}
}

/* The sums of the events are the differences of the counters. */
static u64 steps[2]; /* of splits and of merges */

static void read_steps(void *context, const void *bytes, size_t n)
{
	bool is_record = reader.text_left == 0;
	struct event e;

	read(context, bytes, n);
	memcpy(&e, bytes, sizeof(e));
	if (is_record && e.kind == EVENT_SPLIT)
		steps[0] += e.order - e.size;
	else if (is_record && e.kind == EVENT_MERGE)
		steps[1] += e.order - e.size;
}

TEST(event, counts_are_those_of_the_statistics)
{
	const u32 groups =
	    EVENT_GROUP_BUDDY | EVENT_GROUP_PAGES | EVENT_GROUP_OBJECTS | EVENT_GROUP_SLABS;
	struct counters before, after;

	memset(&reader, 0, sizeof(reader));
	steps[0] = steps[1] = 0;
	ASSERT_EQ(event_start(&(struct event_options){
	              .groups = groups, .write = read_steps, .context = &reader}),
	          0);
	count(&before);
	work();
	count(&after);
	EXPECT_EQ(event_stop(), 0);
	EXPECT_EQ(steps[0], after.splits - before.splits);
	EXPECT_EQ(steps[1], after.merges - before.merges);
	EXPECT_EQ(reader.nr[EVENT_MAGAZINE_REFILL] + reader.nr[EVENT_MAGAZINE_DRAIN],
	          after.object_trips - before.object_trips);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_ALLOC], 3 * ARRAY_SIZE(held.object));
	EXPECT_EQ(reader.nr[EVENT_OBJECT_FREE], 3 * ARRAY_SIZE(held.object));
	EXPECT_TRUE(reader.nr[EVENT_PAGES_REFILL] != 0 && reader.nr[EVENT_PAGES_DRAIN] != 0);
	EXPECT_TRUE(reader.nr[EVENT_SLAB_NEW] != 0 && steps[0] != 0 && steps[1] != 0);
	event_release();
}

/* The free blocks at the start and every change since: what the zones say is free at the end. */
TEST(event, free_memory_can_be_rebuilt)
{
	struct event_stats s;
	u64 free;

	ASSERT_EQ(start(0, 0, false), 0);
	EXPECT_EQ(reader.free_pages, all_free_pages());
	EXPECT_EQ(reader.nr[EVENT_HEADER], 1);
	EXPECT_TRUE(reader.nr[EVENT_MEMORY] != 0 && reader.nr[EVENT_ALREADY_SLAB] != 0);
	work();
	vfree(vmalloc(5 * MIB));
	free_contig_pages(alloc_contig_pages(777, 1, GFP_KERNEL), 777);
	free = all_free_pages();
	EXPECT_EQ(event_stop(), 0);
	event_stats(&s);
	EXPECT_EQ(reader.free_pages, free);
	EXPECT_EQ(reader.nr[EVENT_END], 1);
	EXPECT_EQ(reader.nr_bytes, s.nr_bytes);
	EXPECT_EQ(s.nr_lost + s.nr_waiting, 0);
	EXPECT_FALSE(s.on);
	event_release();
}

TEST(event, the_end_of_memory_and_reclaim)
{
	ASSERT_EQ(start(EVENT_GROUP_RECLAIM, 0, false), 0);
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER + 1));
	(void)reclaim_pages(1);
	stop();
	EXPECT_EQ(reader.nr[EVENT_OUT_OF_MEMORY], 1);
	EXPECT_EQ(find(EVENT_OUT_OF_MEMORY, 0)->order, MAX_ORDER + 1);
	EXPECT_EQ(reader.nr[EVENT_RECLAIM], 1);
}

/* --- full rings --- */

static void pairs(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kfree(kmalloc(64, GFP_KERNEL));
}

TEST(event, losses_are_counted_and_told)
{
	struct event_stats s;

	ASSERT_EQ(start(EVENT_GROUP_OBJECTS, EVENT_RING_MIN, true), 0);
	pairs(100); /* 200 events in 64 places */
	event_stats(&s);
	EXPECT_EQ(s.nr_recorded, EVENT_RING_MIN);
	EXPECT_EQ(s.nr_lost, 200 - EVENT_RING_MIN);
	EXPECT_EQ(s.nr_waiting, EVENT_RING_MIN);
	EXPECT_EQ(event_drain(1000), EVENT_RING_MIN);
	pairs(1);
	EXPECT_EQ(event_drain(1000), 3); /* one says how many were lost */
	EXPECT_EQ(reader.lost, 200 - EVENT_RING_MIN);
	pairs(50); /* 100: 36 of them at the end */
	stop();
	EXPECT_EQ(reader.lost, 200 - EVENT_RING_MIN + 100 - EVENT_RING_MIN);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_ALLOC] + reader.nr[EVENT_OBJECT_FREE] + reader.lost, 302);
}

/* A LOST record needs a place too: there is none for it alone. */
TEST(event, one_place_is_not_enough_after_a_loss)
{
	ASSERT_EQ(start(EVENT_GROUP_OBJECTS, EVENT_RING_MIN, true), 0);
	pairs(33); /* 66 */
	EXPECT_EQ(event_drain(1), 1);
	pairs(1);
	stop();
	EXPECT_EQ(reader.lost, 4);
	EXPECT_EQ(reader.nr[EVENT_LOST], 1);
}

TEST(event, who_finds_the_ring_full_writes)
{
	struct event_stats s;

	ASSERT_EQ(start(EVENT_GROUP_OBJECTS, EVENT_RING_MIN, false), 0);
	pairs(1000);
	event_stats(&s);
	stop();
	EXPECT_EQ(s.nr_recorded, 2000);
	EXPECT_EQ(s.nr_lost, 0);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_ALLOC], 1000);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_FREE], 1000);
	EXPECT_EQ(reader.nr[EVENT_LOST], 0);
	EXPECT_FALSE(reader.late);
}

TEST(event, without_a_stream_the_newest_stay)
{
	static struct event last[EVENT_RING_MIN + 10];
	struct event_stats s;
	void *p = NULL;

	ASSERT_EQ(event_start(&(struct event_options){.groups = EVENT_GROUP_OBJECTS,
	                                              .nr_records = EVENT_RING_MIN}),
	          0);
	for (unsigned i = 1; i <= 100; i++)
		kfree(p = kmalloc(i, GFP_KERNEL));
	event_stats(&s);
	EXPECT_TRUE(s.on);
	EXPECT_EQ(s.groups, EVENT_GROUP_OBJECTS);
	EXPECT_EQ(s.nr_recorded, 200);
	EXPECT_EQ(s.nr_lost + s.nr_waiting + s.nr_bytes, 0);
	EXPECT_EQ(event_drain(10), 0);
	EXPECT_EQ(event_last(last, 3), 3);
	EXPECT_EQ(last[0].kind, EVENT_OBJECT_FREE);
	EXPECT_EQ(last[1].kind, EVENT_OBJECT_ALLOC);
	EXPECT_EQ(last[1].size, 100);
	EXPECT_EQ(last[2].address, (u64)p);
	EXPECT_EQ(event_last(last, ARRAY_SIZE(last)), EVENT_RING_MIN - 1); /* one may be torn */
	EXPECT_EQ(last[EVENT_RING_MIN - 2].address, (u64)p);
	EXPECT_EQ(event_stop(), 0);
	EXPECT_EQ(event_last(last, 1), 1); /* until the memory goes back */
	event_release();
	EXPECT_EQ(event_last(last, 1), 0);
}

/* --- mistakes --- */

TEST(event, what_is_refused)
{
	ASSERT_EQ(start(0, 65, false), -EINVAL);
	ASSERT_EQ(start(0, EVENT_RING_MIN / 2, false), -EINVAL);
	ASSERT_EQ(start(0, 64, false), 0);
	EXPECT_EQ(event_start(&(struct event_options){0}), -EBUSY);
	event_release(); /* not while it is on */
	pairs(1);
	EXPECT_EQ(event_stop(), 0);
	ASSERT_EQ(start(0, 64, false), 0); /* without a release between */
	stop();
}

TEST(event, no_memory_for_rings)
{
	for (u64 n = 1; n <= 3; n++) {
		int error;

		ASSERT_EQ(inject_nth_begin(n), 0);
		error = start(0, 64, false);
		EXPECT_TRUE(inject_nth_end());
		EXPECT_EQ(error, -ENOMEM);
		EXPECT_EQ(event_mask, 0);
	}
	EXPECT_SOUND(mm_check());
}

/* --- words --- */

TEST(event, groups_by_name)
{
	char text[64];
	u32 groups = 0;

	EXPECT_EQ(event_parse_groups("all", &groups), 0);
	EXPECT_EQ(groups, EVENT_GROUPS_ALL);
	EXPECT_STREQ(event_groups_text(text, groups), "all");
	EXPECT_EQ(event_parse_groups("pages,slabs", &groups), 0);
	EXPECT_EQ(groups, EVENT_GROUP_PAGES | EVENT_GROUP_SLABS);
	EXPECT_STREQ(event_groups_text(text, groups), "pages,slabs");
	EXPECT_STREQ(event_groups_text(text, EVENT_GROUPS_ALL & ~1u),
	             "buddy,objects,slabs,vmalloc,reclaim");
	EXPECT_EQ(event_parse_groups("page", &groups), -EINVAL);
	EXPECT_EQ(event_parse_groups("pages,", &groups), -EINVAL);
	EXPECT_EQ(event_parse_groups("", &groups), -EINVAL);
	EXPECT_EQ(groups, EVENT_GROUP_PAGES | EVENT_GROUP_SLABS);
}

TEST(event, a_line_about_each)
{
	char text[EVENT_TEXT_MAX];
	const struct event split = {.kind = EVENT_SPLIT,
	                            .address = 0x400000,
	                            .order = 5,
	                            .size = 2,
	                            .cache = EVENT_NO_CACHE};
	const struct event merge = {.kind = EVENT_MERGE,
	                            .address = 0x400000,
	                            .order = 5,
	                            .size = 2,
	                            .cache = EVENT_NO_CACHE};
	const struct event odd = {.kind = 15, .cache = EVENT_NO_CACHE};

	EXPECT_STREQ(event_text(text, &split), "split 0x400000 order 5 to 2");
	EXPECT_STREQ(event_text(text, &merge), "merge 0x400000 order 2 to 5");
	EXPECT_STREQ(event_text(text, &odd), "unknown kind 15");
	EXPECT_STREQ(event_kind_name(EVENT_BUDDY_FREE), "buddy-free");
	EXPECT_NULL(event_kind_name(0));
	EXPECT_NULL(event_kind_name(NR_EVENT_KINDS));
	EXPECT_NULL(event_kind_name(255));
}

TEST(event, a_line_about_an_object)
{
	char text[EVENT_TEXT_MAX];
	struct event e;

	ASSERT_EQ(event_start(&(struct event_options){.groups = EVENT_GROUP_OBJECTS}), 0);
	kfree(kmalloc(100, GFP_KERNEL));
	EXPECT_EQ(event_last(&e, 1), 1);
	EXPECT_TRUE(str_matches("object-free 0x* bytes of kmalloc-*by *event_test.c:*",
	                        event_text(text, &e)));
	EXPECT_EQ(event_stop(), 0);
	event_release();
}

/* --- interrupts --- */

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#include <tests/host/interrupts.h>

/* On the host no CPU can ask another. Nothing is changed then. */
TEST(event, other_cpus_that_cannot_be_told)
{
	host_machine_borrow(0, 2);
	EXPECT_EQ(start(EVENT_GROUP_OBJECTS | EVENT_GROUP_PAGES, 64, false), -EAGAIN);
	EXPECT_EQ(start(EVENT_GROUP_OBJECTS, 64, false), -EAGAIN);
	EXPECT_EQ(event_mask, 0);
	EXPECT_FALSE(mm_this(pages)->diverted);
	EXPECT_EQ(kmem_cache_next(NULL)->number, EVENT_NO_CACHE);
	pairs(3);
	EXPECT_EQ(event_stop(), -ENOENT);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* All rings together are a 64th of what is free at most, and a power of two. */
TEST(event, rings_fit_the_machine)
{
	const u64 memory[] = {32 * MIB, 256 * MIB};

	for (size_t i = 0; i < ARRAY_SIZE(memory); i++) {
		struct event_stats s;
		u64 bytes, free;

		host_machine_borrow(memory[i], 1);
		free = all_free_pages() << PAGE_SHIFT;
		EXPECT_EQ(event_start(&(struct event_options){.groups = EVENT_GROUP_VMALLOC}), 0);
		event_stats(&s);
		bytes = s.nr_records * sizeof(struct event);
		EXPECT_TRUE(is_pow2(s.nr_records));
		EXPECT_TRUE(bytes <= free / 64);
		EXPECT_TRUE(s.nr_records == EVENT_RING_RECORDS || bytes * 2 > free / 64);
		EXPECT_EQ(event_stop(), 0);
		event_release();
		host_machine_return();
	}
}

static void allocate_in_handler(void *arg)
{
	u64 *nr = arg;

	kfree(kmalloc(48, GFP_ATOMIC));
	free_page(alloc_page(GFP_ATOMIC));
	(*nr)++;
}

/* At each place where the main line turns interrupts on again: every record is there, whole. */
TEST(event, a_handler_records_between_two_of_the_main_line)
{
	u64 nr = 0;

	ASSERT_EQ(start(EVENT_GROUP_OBJECTS | EVENT_GROUP_PAGES, EVENT_RING_MIN, false), 0);
	host_interrupt_at_restores(3, allocate_in_handler, &nr);
	for (unsigned i = 0; i < 100; i++) {
		free_page(alloc_page(GFP_KERNEL));
		kfree(kmalloc(64, GFP_KERNEL));
	}
	host_interrupt_at_restores(0, NULL, NULL);
	stop();
	EXPECT_LT(50, nr);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_ALLOC], 100 + nr);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_FREE], 100 + nr);
	EXPECT_TRUE(reader.nr[EVENT_PAGES_ALLOC] >= 100 + nr); /* and the slabs' */
	EXPECT_TRUE(reader.nr[EVENT_PAGES_FREE] >= 100 + nr);
	EXPECT_FALSE(reader.late);
	EXPECT_SOUND(mm_check());
}

/* At every single instruction of an allocation and a free that are recorded. */
TEST(event, a_handler_in_the_middle_of_a_record)
{
	u64 nr = 0, where;
	bool came = true;

#if defined(HOST_VALGRIND) || defined(__SANITIZE_THREAD__)
	return test_skip("steps through instructions");
#endif
	ASSERT_EQ(start(EVENT_GROUP_OBJECTS, EVENT_RING_MIN, false), 0);
	for (u64 n = 1; came; n += 7) {
		host_interrupt_step_begin(n, allocate_in_handler, &nr);
		kfree(kmalloc(64, GFP_KERNEL));
		came = host_interrupt_step_end(&where);
	}
	stop();
	EXPECT_LT(10, nr);
	EXPECT_EQ(reader.nr[EVENT_OBJECT_ALLOC], reader.nr[EVENT_OBJECT_FREE]);
	EXPECT_TRUE(reader.nr[EVENT_OBJECT_ALLOC] >= 2 * nr);
	EXPECT_FALSE(reader.late);
	EXPECT_SOUND(mm_check());
}
#endif
