/*
 * Sampled guard pages, more closely: how many trips lie between two samples, which side and which
 * slot they get, what the counters say, the pool's ends, what is told of guarded objects elsewhere,
 * and that the end leaves nothing behind. On the host, where no timer and no other CPU takes
 * samples.
 */
#if __STDC_HOSTED__
#include "mm/debug/guard_internal.h"

#include <mm/mm.h>
#include <mm/stats.h>
#include <tests/host/machine.h>

#include "tests/host/caught_text.h"
#include "tests/model/expect.h"

static struct kmem_cache *cache;

static void start(u64 interval, u64 nr_objects)
{
	struct guard_options options = {.interval = interval, .nr_objects = nr_objects};

	if (guard_on)
		test_skip("kfence= is on");
	cache = kmem_cache_create("sampled", 64, 0, SLAB_NO_DEBUG, NULL);
	ASSERT_NOT_NULL(cache);
	ASSERT_EQ(guard_start(&options), 0);
}

static void stop(void)
{
	EXPECT_SOUND(guard_check());
	EXPECT_EQ(guard_stop(), 0);
	EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

static struct guard_stats stats_now(void)
{
	struct guard_stats st;

	guard_stats(&st);
	return st;
}

/* A trip of this call site that is due; NULL: it got no sample. */
static char *sample(u32 tag)
{
	guard_pool.left = 1;
	return guard_sample(cache, tag, 0);
}

static void give_back(void *object)
{
	guard_free("kfree", cache, object);
}

static u64 slot_of(const void *object)
{
	return (u64)(guard_slot_of(object) - guard_pool.slots);
}

/* --- what is sampled --- */

/* By chance 1 … 2 * interval - 1, each of them. */
TEST(guard_more, the_trips_between_two_by_chance)
{
	struct guard_options options = {.interval = 2, .nr_objects = 1, .random = true};
	unsigned nr[8] = {0};

	if (guard_on)
		return test_skip("kfence= is on");
	for (options.seed = 1; options.seed <= 40; options.seed++) {
		ASSERT_EQ(guard_start(&options), 0);
		ASSERT_TRUE(guard_pool.left >= 0 && guard_pool.left < 8);
		nr[guard_pool.left]++;
		ASSERT_EQ(guard_stop(), 0);
	}
	EXPECT_TRUE(nr[1] != 0 && nr[2] != 0 && nr[3] != 0);
	EXPECT_EQ(nr[1] + nr[2] + nr[3], 40);
}

TEST(guard_more, the_trips_between_two_by_count)
{
	char *p;

	start(5, 4);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 4; i++)
			EXPECT_NULL(guard_sample(cache, 50, 0));
		p = guard_sample(cache, 50, 0);
		ASSERT_NOT_NULL(p);
		give_back(p);
	}
	stop();
}

/* When more than three quarters live, who has one gets no other; who has none does. */
TEST(guard_more, one_a_site_when_most_live)
{
	char *p[8], *more;

	start(1, 8);
	for (u32 i = 0; i < 7; i++) {
		p[i] = sample(100 + i);
		ASSERT_NOT_NULL(p[i]);
	}
	for (u32 i = 0; i < 7; i++)
		EXPECT_NULL(sample(100 + i));
	EXPECT_EQ(stats_now().nr_refused, 7);
	EXPECT_EQ(stats_now().nr_live, 7);
	more = sample(200);
	ASSERT_NOT_NULL(more);
	EXPECT_NULL(sample(300)); /* nothing waits */
	give_back(more);
	more = sample(200); /* what it had is free */
	ASSERT_NOT_NULL(more);
	give_back(p[0]);
	p[0] = sample(100);
	ASSERT_NOT_NULL(p[0]);
	for (u32 i = 0; i < 7; i++)
		give_back(p[i]);
	give_back(more);
	EXPECT_EQ(stats_now().nr_live, 0);
	stop();
}

/* Thue's sequence: no stretch of it comes three times in a row. */
TEST(guard_more, sides_by_turns_without_a_rhythm)
{
	static const u8 left[16] = {0, 1, 1, 0, 1, 0, 0, 1, 1, 0, 0, 1, 0, 1, 1, 0};

	start(1, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(left); i++) {
		char *p = sample(100);

		ASSERT_NOT_NULL(p);
		EXPECT_EQ(is_aligned((u64)p, PAGE_SIZE), left[i]);
		give_back(p);
	}
	EXPECT_EQ(stats_now().nr_sampled, 16);
	EXPECT_EQ(stats_now().nr_left, 8);
	EXPECT_EQ(stats_now().nr_by_tick, 0);
	EXPECT_EQ(stats_now().nr_refused, 0);
	EXPECT_EQ(stats_now().nr_objects, 4);
	stop();
}

TEST(guard_more, ticks_are_counted)
{
	char *p;
	s64 left;

	start(1000, 4);
	left = guard_pool.left;
	cache->gated = true; /* as guard_tick() leaves it when this cache's turn comes */
	p = guard_sample(cache, 100, 0);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(stats_now().nr_by_tick, 1);
	EXPECT_EQ(guard_pool.left, left); /* the trips to the next are as before */
	give_back(p);
	stop();
}

static enum guard_state state_in_constructor;

static void look_around(void *object)
{
	if (guard_owns(object))
		state_in_constructor = guard_slot_of(object)->state;
}

/* Between the queue and live it is neither: nobody else may have it, or free it. */
TEST(guard_more, a_slot_is_busy_while_it_is_made)
{
	struct kmem_cache *made;
	char *p;

	start(1, 4);
	made = kmem_cache_create("made", 64, 0, SLAB_NO_DEBUG, look_around);
	ASSERT_NOT_NULL(made);
	p = guard_sample(made, 100, 0);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(state_in_constructor, SLOT_BUSY);
	EXPECT_EQ(guard_slot_of(p)->state, SLOT_LIVE);
	guard_free("kfree", made, p);
	EXPECT_EQ(kmem_cache_destroy(made), 0);
	stop();
}

/* --- free --- */

static bool page_holds(const char *p, u8 byte, size_t n)
{
	char *page = (char *)align_down((u64)p, PAGE_SIZE);
	bool holds;

	platform_guard(page, true);
	holds = mem_find_other(p, byte, n) == NULL;
	platform_guard(page, false);
	return holds;
}

TEST(guard_more, what_is_zeroed_on_free)
{
	struct kmem_cache *zeroed;
	char *p;

	start(1, 4);
	zeroed = kmem_cache_create("zeroed", 64, 0, SLAB_ZERO_ON_FREE | SLAB_NO_DEBUG, NULL);
	ASSERT_NOT_NULL(zeroed);
	p = guard_sample(zeroed, 100, 0);
	ASSERT_NOT_NULL(p);
	memset(p, 'x', 64);
	guard_free("kfree", zeroed, p);
	EXPECT_TRUE(page_holds(p, 0, 64));
	EXPECT_EQ(kmem_cache_destroy(zeroed), 0);
	p = sample(100);
	ASSERT_NOT_NULL(p);
	memset(p, 'x', 64);
	give_back(p);
	EXPECT_TRUE(page_holds(p, 'x', 64));
	stop();
}

TEST(guard_more, its_free_is_an_event)
{
	struct event last[2];
	char *p;

	start(1, 4);
	p = sample(TAG_FIRST_SITE);
	ASSERT_NOT_NULL(p);
	ASSERT_EQ(event_start(&(struct event_options){.groups = EVENT_GROUP_OBJECTS,
	                                              .nr_records = EVENT_RING_MIN}),
	          0);
	give_back(p);
	EXPECT_EQ(event_last(last, 2), 1);
	EXPECT_EQ(last[0].kind, EVENT_OBJECT_FREE);
	EXPECT_EQ(last[0].address, (u64)p);
	EXPECT_EQ(last[0].size, 64);
	EXPECT_EQ(last[0].site, TAG_FIRST_SITE);
	EXPECT_EQ(last[0].cache, cache->number);
	EXPECT_EQ(event_stop(), 0);
	event_release();
	stop();
}

/* --- the pool --- */

/* A guard page at either end, and no page more; what is behind it may be touched. */
TEST(guard_more, the_pools_pages)
{
	volatile char *behind;

	start(1, 3);
	EXPECT_EQ(guard_pool.bytes, 7 * PAGE_SIZE);
	behind = guard_pool.base + guard_pool.bytes; /* its block has eight */
	(void)*behind;
	EXPECT_FALSE(guard_is_in_pool((const void *)behind));
	EXPECT_TRUE(guard_is_in_pool((const void *)(behind - 1)));
	EXPECT_EQ(guard_stop(), 0);
	EXPECT_FALSE(guard_is_in_pool((const void *)(behind - 1)));
	EXPECT_NULL(guard_pool.base);
	EXPECT_EQ(guard_pool.bytes, 0);
	EXPECT_EQ(stats_now().nr_objects, 0);
	EXPECT_EQ(kmem_cache_destroy(cache), 0);
}

TEST(guard_more, a_pool_that_cannot_be_had_leaves_nothing)
{
	struct guard_options options = {.interval = 1, .nr_objects = 4};
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	if (guard_on)
		return test_skip("kfence= is on");
	ASSERT_EQ(inject_parse(INJECT_PAGES, "times=1", &rule, why), 0); /* the slots alone */
	ASSERT_EQ(inject_set(INJECT_PAGES, &rule), 0);
	EXPECT_EQ(guard_start(&options), -ENOMEM);
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
	EXPECT_FALSE(guard_on);
}

/* Who cannot end goes on as before: so many trips to the next. */
TEST(guard_more, an_end_that_is_refused_changes_nothing)
{
	char *p;

	start(7, 4);
	p = sample(100);
	ASSERT_NOT_NULL(p);
	EXPECT_EQ(guard_stop(), -EBUSY);
	EXPECT_EQ(guard_pool.left, 7);
	EXPECT_TRUE(guard_on);
	give_back(p);
	stop();
}

/* A tick whose sample nobody took: the gate is open again. */
TEST(guard_more, the_end_opens_the_gate)
{
	u64 nr_closed = 0, nr_closed_before = 0;

	start(1000, 4);
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		nr_closed_before += c->hot != c->cpu;
	guard_tick();
	stop();
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		nr_closed += c->hot != c->cpu;
		EXPECT_FALSE(c->gated);
	}
	EXPECT_LE(nr_closed, nr_closed_before);
}

/* --- faults at the pool's ends --- */

#define EXPECT_FAULT(line, address) \
	EXPECT_PANIC(line, (void)guard_fault((u64)(address), false, "a test"))

static void expect_fault_of(const char *side, const char *object, const char *address)
{
	char line[96];

	format_buf(line, sizeof(line), "BUG: out of bounds %s in sampled: object %p%+ld ", side,
	           (const void *)object, (long)(address - object));
	EXPECT_FAULT(line, address);
}

TEST(guard_more, every_guard_page_is_its_neighbours)
{
	char *p[3], *base;

	start(1, 3);
	base = guard_pool.base;
	for (unsigned i = 0; i < 3; i++) {
		char *one = sample(100 + i);

		ASSERT_NOT_NULL(one);
		p[slot_of(one)] = one;
	}
	expect_fault_of("left", p[0], base + 5);
	expect_fault_of("left", p[0], base + PAGE_SIZE - 1);
	expect_fault_of("right", p[2], base + 6 * PAGE_SIZE);
	expect_fault_of("right", p[2], base + 7 * PAGE_SIZE - 1);
	give_back(p[1]);
	expect_fault_of("right", p[0], base + 3 * PAGE_SIZE - 1); /* the only one that lives */
	expect_fault_of("left", p[2], base + 4 * PAGE_SIZE);
	give_back(p[0]);
	give_back(p[2]);
	EXPECT_FAULT("BUG: use after free in sampled", base + 5);
	stop();
}

/* --- what is told elsewhere --- */

static void add_up(void *context, u32 tag, u64 objects, u64 bytes)
{
	u64 *sum = context;

	(void)tag;
	sum[0] += objects;
	sum[1] += bytes;
}

TEST(guard_more, live_ones_count_for_their_call_sites)
{
	struct kmem_cache *other;
	u64 before[2] = {0}, with[2] = {0}, after[2] = {0};
	char *p[3], *q;

	start(1, 8);
	other = kmem_cache_create("other", 256, 0, SLAB_NO_DEBUG, NULL);
	ASSERT_NOT_NULL(other);
	slab_visit_sites(add_up, before);
	for (unsigned i = 0; i < 3; i++)
		p[i] = sample(TAG_FIRST_SITE + i);
	q = guard_sample(other, TAG_FIRST_SITE, 0);
	ASSERT_TRUE(p[0] && p[1] && p[2] && q);
	give_back(p[1]);
	slab_visit_sites(add_up, with);
	EXPECT_EQ(with[0], before[0] + 3);
	EXPECT_EQ(with[1], before[1] + 2 * 64 + 256);
	give_back(p[0]);
	give_back(p[2]);
	guard_free("kfree", other, q);
	slab_visit_sites(add_up, after);
	EXPECT_EQ(after[0], before[0]);
	EXPECT_EQ(after[1], before[1]);
	EXPECT_EQ(kmem_cache_destroy(other), 0);
	stop();
}

/* Of a cache that is gone nothing is known but its name; of others all. */
TEST(guard_more, a_destroyed_cache_is_forgotten)
{
	struct slab_object_info info;
	struct kmem_cache *gone;
	char *p, *q, *r;

	start(1, 4);
	gone = kmem_cache_create("gone", 64, 0, SLAB_NO_DEBUG, NULL);
	ASSERT_NOT_NULL(gone);
	p = guard_sample(gone, 100, 0);
	q = sample(101);
	r = guard_sample(gone, 102, 0);
	ASSERT_TRUE(p && q && r);
	guard_free("kfree", gone, p);
	guard_free("kfree", gone, r);
	EXPECT_TRUE(guard_object_of(p + 3, &info));
	EXPECT_EQ(info.tag, TAG_IN_SLAB);
	EXPECT_EQ(info.offset, 3);
	EXPECT_EQ(kmem_cache_destroy(gone), 0);
	EXPECT_FALSE(guard_object_of(p, &info));
	EXPECT_FALSE(guard_object_of(r, &info));
	EXPECT_TRUE(guard_object_of(q + 63, &info));
	EXPECT_TRUE(info.cache == cache);
	EXPECT_EQ(info.tag, 101);
	EXPECT_FALSE(guard_object_of(q + 64, &info));
	give_back(q);
	stop();
}

/* --- the option --- */

TEST(guard_more, the_options_limits)
{
	struct guard_options o;
	char why[GUARD_WHY_MAX];

	EXPECT_EQ(guard_parse("1,seed=0,objects=1", &o, why), 0);
	EXPECT_TRUE(o.interval == 1 && o.seed == 0 && o.nr_objects == 1);
	EXPECT_EQ(guard_parse("4294967295,seed=18446744073709551615,objects=4095", &o, why), 0);
	EXPECT_TRUE(o.interval == UINT32_MAX && o.seed == UINT64_MAX && o.nr_objects == 4095);
	EXPECT_EQ(guard_parse("5,objects=1K", &o, why), -EINVAL);
	EXPECT_STREQ(why, "not random, seed=N or objects=N (1 to 4095): objects=1K");
	EXPECT_EQ(guard_parse("0", &o, why), -EINVAL);
	EXPECT_STREQ(why, "the interval is a number from 1 on, not: 0");
	EXPECT_EQ(guard_parse("1,0123456789012345678901234567890123456789", &o, why), -EINVAL);
	EXPECT_STREQ(why, "a word is too long: 40 characters and more");
	EXPECT_EQ(guard_parse("1,seed=0000000000000000000000000000000007", &o, why), 0);
}

TEST(guard_more, other_cpus_forget_all_of_the_pool)
{
	char *base;

	start(1, 3);
	base = guard_pool.base;
	EXPECT_EQ(host_flushed_start, (u64)base);
	EXPECT_EQ(host_flushed_end, (u64)base + 7 * PAGE_SIZE);
	stop();
	EXPECT_EQ(host_flushed_start, (u64)base);
	EXPECT_EQ(host_flushed_end, (u64)base + 7 * PAGE_SIZE);
}

TEST(guard_more, nothing_more_is_said_without_a_pool)
{
	if (guard_on)
		return test_skip("kfence= is on");
	CATCH(stats_print_guard());
	EXPECT_STREQ(text, "no guard pages: boot with kfence=INTERVAL\n");
}
#endif
