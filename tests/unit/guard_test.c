/*
 * Sampled guard pages: where an object stands and what surrounds it; every wrong access and wrong
 * free is named; every function that takes objects takes these; and what is sampled.
 */
#include "mm/debug/guard_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define NR_OBJECTS 16

/* Samples every trip; whoever wants a sample says so by guard_tick() or empty magazines. */
static void start(u64 interval, u64 nr_objects)
{
	struct guard_options options = {.interval = interval, .nr_objects = nr_objects};

	if (guard_on)
		test_skip("kfence= is on");
	ASSERT_EQ(guard_start(&options), 0);
}

static void stop(void)
{
	EXPECT_SOUND(guard_check());
	EXPECT_EQ(guard_stop(), 0);
}

static struct guard_stats stats_now(void)
{
	struct guard_stats st;

	guard_stats(&st);
	return st;
}

/* Neither the compiler's allocation attributes nor its warnings shall see through it. */
static char *hide(void *p)
{
	ASSERT_NOT_NULL(p);
	__asm__ volatile("" : "+r"(p));
	return p;
}

/* A kmalloc that is a sample: with every trip one, and no magazine. */
static char *sample(size_t size)
{
	slab_bypass(true);
	char *p = hide(kmalloc(size, GFP_KERNEL));

	slab_bypass(false);
	ASSERT_TRUE(guard_owns(p));
	return p;
}

/* One at the end of its page, or at its start. */
static char *sample_at(size_t size, bool left)
{
	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		char *p = sample(size);

		if (is_aligned((u64)p, PAGE_SIZE) == left)
			return p;
		kfree(p);
	}
	ASSERT_TRUE(false);
	return NULL;
}

TEST(guard, an_object_stands_at_its_pages_end_or_start)
{
	static const u16 sizes[] = {1, 8, 17, 64, 100, 512, 4096};

	start(1, NR_OBJECTS);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *left = sample_at(sizes[i], true),
		     *right = sizes[i] < 4096 ? sample_at(sizes[i], false) : sample(4096);
		size_t align = is_pow2(sizes[i]) ? sizes[i] : 8;

		EXPECT_EQ(ksize(left), sizes[i]);
		EXPECT_EQ(ksize(right), sizes[i]);
		EXPECT_TRUE(is_aligned((u64)right, align));
		EXPECT_LT(PAGE_SIZE - ((u64)right % PAGE_SIZE + sizes[i]), align);
		memset(left, 1, sizes[i]);
		memset(right, 2, sizes[i]);
		EXPECT_EQ(virt_to_page(right)->type, PAGE_INNER); /* in the direct map */
		kfree(left);
		kfree(right);
	}
	stop();
}

TEST(guard, an_access_past_either_end_is_named)
{
	volatile char *p;

	start(1, NR_OBJECTS);
	p = sample_at(64, false);
	EXPECT_PANIC("BUG: out of bounds right in kmalloc-64: object", p[64] = 1);
	EXPECT_PANIC("+64 (size 64): write at", p[64] = 1);
	EXPECT_PANIC("+70 (size 64): read at", (void)p[70]);
	EXPECT_PANIC("guard_test.c", (void)p[70]);
	kfree((void *)p);
	p = sample_at(64, true);
	EXPECT_PANIC("BUG: out of bounds left in kmalloc-64: object", p[-1] = 1);
	EXPECT_PANIC("-1 (size 64): write at", p[-1] = 1);
	kfree((void *)p);
	stop();
}

TEST(guard, a_use_after_free_is_named)
{
	volatile char *p;

	start(1, NR_OBJECTS);
	p = sample(100);
	kfree((void *)p);
	EXPECT_PANIC("BUG: use after free in kmalloc-112: object", (void)p[5]);
	EXPECT_PANIC("+5 (size 100): write at", p[5] = 1);
	stop();
}

TEST(guard, what_is_written_beside_is_found_at_the_free)
{
	volatile char *p;

	start(1, NR_OBJECTS);
	p = sample_at(50, true);
	p[50] = 1;
	EXPECT_NOT_NULL(guard_check());
	EXPECT_PANIC("BUG: canary overwritten right in kmalloc-64: object", kfree((void *)p));
	p = sample_at(50, true);
	p[4095] = 1;
	EXPECT_PANIC("+4095 (size 50): byte is 0x01, not 0xa7", kfree((void *)p));
	p = sample_at(50, false);
	p[-1] = 1;
	EXPECT_PANIC("BUG: canary overwritten left in", kfree((void *)p));
	p = sample_at(50, false);
	p[51] = 1; /* as far as the alignment leaves room */
	EXPECT_PANIC("+51 (size 50)", kfree((void *)p));
	stop();
}

TEST(guard, wrong_frees_are_named)
{
	struct kmem_cache *mine = kmem_cache_create("mine", 40, 0, 0, NULL);
	char *p;

	ASSERT_NOT_NULL(mine);
	start(1, NR_OBJECTS);
	p = sample_at(64, true);
	EXPECT_PANIC("kfree: not the start of an object", kfree(p + 8));
	EXPECT_PANIC("kfree: beside an object between guard pages", kfree(p + 64));
	EXPECT_PANIC("kfree: beside an object between guard pages", kfree(p - 8));
	EXPECT_PANIC("ksize: not the start of an object", (void)ksize(p + 8));
	EXPECT_PANIC("slab: wrong cache", kmem_cache_free(mine, p));
	kfree(p);
	EXPECT_PANIC("kfree: double free object=", kfree(p));
	EXPECT_PANIC("slab: wrong cache", kmem_cache_free(mine, p));
	EXPECT_PANIC("ksize: freed object", (void)ksize(p));
	EXPECT_PANIC("krealloc: freed object", (void)krealloc(p, 200, GFP_KERNEL));
	stop();
	EXPECT_EQ(kmem_cache_destroy(mine), 0);
}

TEST(guard, krealloc_keeps_the_contents)
{
	char *p;

	start(1, NR_OBJECTS);
	p = sample(100);
	memset(p, 'x', 100);
	p = hide(krealloc(p, 300, GFP_KERNEL));
	EXPECT_NULL(mem_find_other(p, 'x', 100));
	EXPECT_EQ(stats_now().nr_live, guard_owns(p) ? 1 : 0);
	kfree(p);
	p = sample(64);
	EXPECT_EQ(krealloc(p, 60, GFP_KERNEL), p);
	kfree_sensitive(p);
	EXPECT_EQ(stats_now().nr_live, 0);
	stop();
}

static void construct(void *object)
{
	memset(object, 'c', 40);
}

TEST(guard, caches_of_all_kinds)
{
	struct kmem_cache *constructed = kmem_cache_create("constructed", 40, 0, 0, construct);
	struct kmem_cache *zeroed = kmem_cache_create("zeroed", 40, 64, SLAB_ZERO_ON_FREE, NULL);
	struct kmem_cache *large = kmem_cache_create("large", 5000, 0, 0, NULL);
	char *a, *b, *c, *z;

	ASSERT_TRUE(constructed && zeroed && large);
	start(1, NR_OBJECTS);
	a = hide(kmem_cache_alloc(constructed, GFP_KERNEL));
	b = hide(kmem_cache_alloc(zeroed, GFP_KERNEL));
	c = hide(kmem_cache_alloc(large, GFP_KERNEL));
	z = hide(kmem_cache_zalloc(zeroed, GFP_KERNEL));
	EXPECT_TRUE(guard_owns(a) && guard_owns(b) && guard_owns(z));
	EXPECT_FALSE(guard_owns(c)); /* more than a page */
	EXPECT_NULL(mem_find_other(a, 'c', 40));
	EXPECT_TRUE(is_aligned((u64)b, 64));
	EXPECT_NULL(mem_find_other(z, 0, 40));
	kmem_cache_free(constructed, a);
	kmem_cache_free(zeroed, b);
	kmem_cache_free(zeroed, z);
	kmem_cache_free(large, c);
	stop();
	EXPECT_EQ(kmem_cache_destroy(constructed), 0);
	EXPECT_EQ(kmem_cache_destroy(zeroed), 0);
	EXPECT_EQ(kmem_cache_destroy(large), 0);
}

TEST(guard, bulk_shrink_and_destroy)
{
	struct kmem_cache *c = kmem_cache_create("bulky", 40, 0, 0, NULL);
	void *objects[100];
	struct kmem_cache_stats st;
	volatile char *p;

	ASSERT_NOT_NULL(c);
	start(1, NR_OBJECTS);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 100, objects), 100);
	EXPECT_EQ(stats_now().nr_live,
	          12 + 1); /* 3/4, and one: a site that has one gets no other */
	kmem_cache_stats(c, &st);
	EXPECT_EQ(st.nr_guarded, 13);
	EXPECT_EQ(st.nr_live, 100 - 13);
	kmem_cache_shrink(c);
	kmem_cache_free_bulk(c, 99, objects + 1);
	EXPECT_EQ(kmem_cache_destroy(c), -EBUSY); /* a sample alone keeps it */
	EXPECT_EQ(guard_stop(), -EBUSY);
	p = objects[0];
	EXPECT_TRUE(guard_owns(objects[0]));
	kmem_cache_free(c, objects[0]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_PANIC("BUG: use after free in bulky", (void)*p); /* its name outlives it */
	stop();
}

TEST(guard, freed_objects_wait_as_long_as_they_can)
{
	char *first, *p;

	start(1, NR_OBJECTS);
	first = sample(64);
	kfree(first);
	for (unsigned i = 1; i < NR_OBJECTS; i++) {
		p = sample(64);
		EXPECT_NE(align_down((u64)p, PAGE_SIZE), align_down((u64)first, PAGE_SIZE));
		kfree(p);
	}
	p = sample(64);
	EXPECT_EQ(align_down((u64)p, PAGE_SIZE), align_down((u64)first, PAGE_SIZE));
	kfree(p);
	stop();
}

/* --- what is sampled --- */

#define NR_CACHES 3
#define NR_BURST 400u

static struct kmem_cache *caches[NR_CACHES];
static void *burst[NR_CACHES][2][NR_BURST];

/* Two call sites by turns, each with a burst of every cache. */
static void allocate_bursts(void)
{
	for (unsigned i = 0; i < NR_BURST; i++)
		for (unsigned c = 0; c < NR_CACHES; c++) {
			burst[c][0][i] = kmem_cache_alloc(caches[c], GFP_KERNEL);
			burst[c][1][i] = kmem_cache_alloc(caches[c], GFP_KERNEL);
		}
}

static void free_bursts(u64 guarded[NR_CACHES][2], u64 left[NR_CACHES][2])
{
	for (unsigned i = 0; i < NR_BURST; i++)
		for (unsigned c = 0; c < NR_CACHES; c++)
			for (unsigned site = 0; site < 2; site++) {
				void *object = burst[c][site][i];

				guarded[c][site] += guard_owns(object);
				left[c][site] +=
				    guard_owns(object) && is_aligned((u64)object, PAGE_SIZE);
				kmem_cache_free(caches[c], object);
			}
}

static void share_out(const struct guard_options *options, unsigned nr_bursts)
{
	u64 guarded[NR_CACHES][2] = {{0}}, left[NR_CACHES][2] = {{0}};

	if (guard_on)
		test_skip("kfence= is on");
	for (unsigned c = 0; c < NR_CACHES; c++)
		caches[c] = kmem_cache_create("shared-out", 64, 0, 0, NULL);
	ASSERT_EQ(guard_start(options), 0);
	for (unsigned n = 0; n < nr_bursts; n++) {
		allocate_bursts();
		free_bursts(guarded, left);
		for (unsigned c = 0; c < NR_CACHES; c++)
			kmem_cache_shrink(caches[c]);
	}
	stop();
	for (unsigned c = 0; c < NR_CACHES; c++) {
		for (unsigned site = 0; site < 2; site++) {
			/* 13 refills a cache and burst, and a sample after interval - 1 */
			u64 fair = nr_bursts * 13 / (options->interval - 1) / 2;

			EXPECT_GE(guarded[c][site] * 3, fair);
			EXPECT_LE(guarded[c][site], fair * 3);
			EXPECT_GT(left[c][site], 0);
			EXPECT_LT(left[c][site], guarded[c][site]);
		}
		EXPECT_EQ(kmem_cache_destroy(caches[c]), 0);
	}
}

TEST(guard, every_cache_and_site_gets_its_share_by_count)
{
	share_out(&(struct guard_options){.interval = 2, .nr_objects = 64}, 6);
	share_out(&(struct guard_options){.interval = 3, .nr_objects = 64}, 8);
}

TEST(guard, every_cache_and_site_gets_its_share_by_chance)
{
	share_out(
	    &(struct guard_options){.interval = 2, .nr_objects = 64, .random = true, .seed = 1}, 8);
}

/* Who allocates and frees in turns makes no trips: the ticks see to it. */
TEST(guard, ticks_sample_what_makes_no_trips)
{
	struct kmem_cache *c = kmem_cache_create("in turns", 64, 0, 0, NULL);
	unsigned guarded = 0, nr_caches = 0;

	ASSERT_NOT_NULL(c);
	start(UINT32_MAX, NR_OBJECTS);
	for (struct kmem_cache *at = kmem_cache_next(NULL); at != NULL; at = kmem_cache_next(at))
		nr_caches++;
	for (unsigned i = 0; i < 3 * nr_caches; i++) {
		void *object;

		guard_tick();
		object = kmem_cache_alloc(c, GFP_KERNEL);
		guarded += guard_owns(object);
		kmem_cache_free(c, object);
	}
	EXPECT_GE(guarded, 3);
	EXPECT_LE(guarded, 6);
	EXPECT_GE(stats_now().nr_by_tick, guarded);
	stop();
	EXPECT_EQ(c->hot, c->cpu);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(guard, live_samples_are_counted_and_named)
{
	struct test_usage before, now;
	char *p;

	start(1, NR_OBJECTS);
	test_usage_now(&before);
	p = sample(64);
	test_usage_now(&now);
	EXPECT_EQ(now.objects, before.objects + 1);
	kfree(p);
	stop();
}

TEST(guard, options)
{
	static const char *const wrong[] = {
	    "",
	    "0",
	    "x",
	    "5,",
	    "5,random=1",
	    "5,objects=0",
	    "5,objects=4096",
	    "5,seed=",
	    "4294967296",
	    "5,,random",
	    "1,aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"};
	struct guard_options o;
	char why[GUARD_WHY_MAX];

	EXPECT_EQ(guard_parse("100", &o, why), 0);
	EXPECT_EQ(o.interval, 100);
	EXPECT_EQ(o.nr_objects, GUARD_DEFAULT_OBJECTS);
	EXPECT_FALSE(o.random);
	EXPECT_EQ(guard_parse("7,random,seed=9,objects=12", &o, why), 0);
	EXPECT_EQ(o.interval, 7);
	EXPECT_EQ(o.nr_objects, 12);
	EXPECT_EQ(o.seed, 9);
	EXPECT_TRUE(o.random);
	for (unsigned i = 0; i < ARRAY_SIZE(wrong); i++)
		EXPECT_EQ(guard_parse(wrong[i], &o, why), -EINVAL);
}

/* --- faults, by their addresses --- */

/* Two live neighbours: the one at the end of its page, the other at the start of the next's. */
static void two_neighbours(char **left, char **right)
{
	char *p[NR_OBJECTS] = {NULL};

	*left = *right = NULL;
	for (unsigned i = 0; i < NR_OBJECTS && *left == NULL; i++) {
		p[i] = sample_at(64, i % 2);
		for (unsigned k = 0; i % 2 == 1 && k < i; k += 2)
			if (align_down((u64)p[k], PAGE_SIZE) + 2 * PAGE_SIZE == (u64)p[i]) {
				*left = p[k];
				*right = p[i];
			}
	}
	for (unsigned i = 0; i < NR_OBJECTS; i++)
		if (p[i] != NULL && p[i] != *left && p[i] != *right)
			kfree(p[i]);
	ASSERT_NOT_NULL(*left);
}

#define EXPECT_FAULT(line, address) \
	EXPECT_PANIC(line, (void)guard_fault((u64)(address), false, "a test"))

TEST(guard, a_fault_between_two_objects_is_the_nearer_ones)
{
	char *left, *right, line[80];

	start(1, NR_OBJECTS);
	two_neighbours(&left, &right);
	format_buf(line, sizeof(line), "BUG: out of bounds right in kmalloc-64: object %p+%u ",
	           (void *)left, 64 + 2047);
	EXPECT_FAULT(line, left + 64 + 2047);
	format_buf(line, sizeof(line), "BUG: out of bounds left in kmalloc-64: object %p-%u ",
	           (void *)right, 2047);
	EXPECT_FAULT(line, right - 2047);

	kfree(left);
	EXPECT_FAULT("BUG: out of bounds left in", right - 4000); /* the only one that lives */
	kfree(right);
	EXPECT_FAULT("BUG: use after free in kmalloc-64: object", right - 4000);
	EXPECT_FAULT("read at a test", right - 4000);
	stop();
}

TEST(guard, a_fault_where_nothing_was_is_wild)
{
	char *p, *base;

	EXPECT_FALSE(guard_fault(0x1000, false, "a test"));
	start(1, 4);
	base = guard_pool.base;
	EXPECT_FAULT("BUG: wild access in the pool of guard pages: address", base);
	EXPECT_FAULT("BUG: wild access in the pool of guard pages: address", base + PAGE_SIZE);
	EXPECT_FAULT("BUG: wild access in the pool", base + guard_pool.bytes - 1);
	EXPECT_FALSE(guard_fault((u64)base + guard_pool.bytes, false, "a test"));
	EXPECT_FALSE(guard_fault((u64)base - 1, false, "a test"));
	p = sample(64);
	EXPECT_TRUE(guard_fault((u64)p, false, "a test")); /* by now it may be touched */
	kfree(p);
	stop();
}

/* --- the check --- */

TEST(guard, the_check_names_each_broken_invariant)
{
	struct guard_slot *s, was;
	char *p;

	start(1, 4);
	p = sample_at(64, true);
	s = guard_slot_of(p);
	was = *s;
	EXPECT_SOUND(guard_check());
	s->object -= 1; /* out of its page */
	EXPECT_BROKEN(guard_check(), "G2: a guarded object does not lie in its page");
	*s = was;
	s->size = PAGE_SIZE + 1;
	EXPECT_BROKEN(guard_check(), "G2: a guarded object does not lie in its page");
	*s = was;
	s->state = SLOT_FREED;
	EXPECT_BROKEN(guard_check(), "G1:");
	*s = was;
	guard_pool.stats.nr_live--;
	EXPECT_BROKEN(guard_check(), "G1:");
	guard_pool.stats.nr_live++;
	list_remove(&guard_pool.slots[3].link); /* in nobody's hands */
	EXPECT_BROKEN(guard_check(), "G1:");
	list_push_back(&guard_pool.queue, &guard_pool.slots[3].link);
	EXPECT_SOUND(guard_check());
	kfree(p);
	stop();
}

/* --- the pool --- */

TEST(guard, a_pool_of_one_gives_one)
{
	char *p, *q;

	start(1, 1);
	p = sample(64);
	slab_bypass(true);
	q = hide(kmalloc(64, GFP_KERNEL));
	slab_bypass(false);
	EXPECT_FALSE(guard_owns(q));
	EXPECT_GE(stats_now().nr_refused, 1);
	EXPECT_EQ(stats_now().nr_sampled, 1);
	kfree(q);
	kfree(p);
	stop();
}

/* In the kernel one CPU alone may always. */
#if __STDC_HOSTED__
TEST(guard, it_starts_once_and_where_others_can_be_told)
{
	struct guard_options options = {.interval = 5, .nr_objects = 4};
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];
	u64 flags;

	EXPECT_EQ(guard_stop(), 0); /* there is none */
	flags = irq_save();
	EXPECT_EQ(guard_start(&options), -EBUSY);
	irq_restore(flags);
	start(5, 4);
	EXPECT_EQ(guard_start(&options), -EBUSY);
	flags = irq_save();
	EXPECT_EQ(guard_stop(), -EBUSY);
	irq_restore(flags);
	stop();
	for (unsigned after = 0; after < 2; after++) { /* no memory for either part */
		char text[16];

		format_buf(text, sizeof(text), "after=%u", after);
		ASSERT_EQ(inject_parse(INJECT_PAGES, text, &rule, why), 0);
		ASSERT_EQ(inject_set(INJECT_PAGES, &rule), 0);
		EXPECT_EQ(guard_start(&options), -ENOMEM);
		ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
		EXPECT_FALSE(guard_on);
	}
}
#endif
