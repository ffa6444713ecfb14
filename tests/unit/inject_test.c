/*
 * Fault injection: rules choose exactly what they say, from every way into the allocators, and when
 * none is armed all is as it was.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/sweep.h"

static void arm(enum inject_point point, const char *text)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(point, text, &rule, why), 0);
	ASSERT_EQ(inject_set(point, &rule), 0);
}

static void disarm(void)
{
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
}

static bool object_fails(void)
{
	void *p = kmalloc(100, GFP_KERNEL);

	kfree(p);
	return p == NULL;
}

static bool block_fails(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

	if (page != NULL)
		free_pages(page, order);
	return page == NULL;
}

static unsigned count_object_failures(unsigned n)
{
	unsigned failed = 0;

	for (unsigned i = 0; i < n; i++)
		failed += object_fails();
	return failed;
}

TEST(inject, off_fails_nothing)
{
	struct kmem_cache *c = kmem_cache_create("test", 100, 0, 0, NULL);

	ASSERT_NOT_NULL(c);
	EXPECT_TRUE(c->hot == c->cpu);
	arm(INJECT_OBJECTS, "");
	EXPECT_TRUE(inject_on && c->hot == cpu_objects_none);
	disarm();
	EXPECT_TRUE(!inject_on && c->hot == c->cpu);
	EXPECT_EQ(count_object_failures(100), 0);
	EXPECT_FALSE(block_fails(0));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(inject, objects_by_interval_after_and_times)
{
	struct inject_stats s;
	unsigned failed_at[8], nr = 0;

	arm(INJECT_OBJECTS, "interval=5,after=20,times=3,cache=kmalloc-*");
	for (unsigned i = 1; i <= 100; i++)
		if (object_fails() && nr < 8)
			failed_at[nr++] = i;
	inject_stats(INJECT_OBJECTS, &s);
	disarm();
	ASSERT_EQ(nr, 3);
	EXPECT_EQ(failed_at[0], 25);
	EXPECT_EQ(failed_at[1], 30);
	EXPECT_EQ(failed_at[2], 35);
	EXPECT_EQ(s.nr_failed, 3);
	EXPECT_GE(s.nr_asked, 100);
}

TEST(inject, by_probability_and_the_same_for_a_seed)
{
	unsigned first, again, other;

	arm(INJECT_OBJECTS, "probability=30,seed=7,cache=kmalloc-*");
	first = count_object_failures(1000);
	arm(INJECT_OBJECTS, "probability=30,seed=7,cache=kmalloc-*");
	again = count_object_failures(1000);
	arm(INJECT_OBJECTS, "probability=1");
	other = count_object_failures(1000);
	disarm();
	EXPECT_EQ(first, again);
	EXPECT_GT(first, 200);
	EXPECT_LT(first, 400);
	EXPECT_LT(other, 50);
}

TEST(inject, by_cache_and_by_call_site)
{
	struct kmem_cache *c = kmem_cache_create("chosen", 100, 0, 0, NULL);
	void *p;

	ASSERT_NOT_NULL(c);
	arm(INJECT_OBJECTS, "cache=chos*");
	EXPECT_FALSE(object_fails());
	EXPECT_NULL(kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_NULL(kmem_cache_zalloc(c, GFP_KERNEL));
	EXPECT_NULL(kmem_cache_alloc_node(c, GFP_KERNEL, 0));
	EXPECT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 1, &p), 0);
	arm(INJECT_OBJECTS, "site=*(object_fails)");
	EXPECT_TRUE(object_fails());
	p = kmalloc(100, GFP_KERNEL);
	EXPECT_NOT_NULL(p);
	disarm();
	kfree(p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(inject, every_way_to_an_object)
{
	void *p = kmalloc(10, GFP_KERNEL), *q;

	ASSERT_NOT_NULL(p);
	arm(INJECT_OBJECTS, "");
	EXPECT_NULL(kmalloc(8, GFP_KERNEL));
	EXPECT_NULL(kzalloc(8, GFP_ATOMIC));
	EXPECT_NULL(kmalloc_node(8, GFP_KERNEL, 0));
	EXPECT_NULL(kcalloc(3, 8, GFP_KERNEL));
	EXPECT_NULL(krealloc(p, 4000, GFP_KERNEL));
	EXPECT_NULL(kstrdup("text", GFP_KERNEL));
	q = kmalloc(100000, GFP_KERNEL); /* pages alone */
	EXPECT_NOT_NULL(q);
	EXPECT_NULL(kmem_cache_create("test", 10, 0, 0, NULL));
	disarm();
	kfree(q);
	kfree(p);
}

TEST(inject, every_way_to_pages)
{
	struct page *pages[4], *page;

	arm(INJECT_PAGES, "");
	for (unsigned order = 0; order <= 5; order++)
		EXPECT_TRUE(block_fails(order));
	EXPECT_NULL(alloc_page(GFP_ATOMIC));
	EXPECT_NULL(alloc_page(GFP_KERNEL | __GFP_ZERO));
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_DMA32, 1));
	EXPECT_NULL(alloc_pages_node(0, GFP_KERNEL, 2));
	EXPECT_EQ(alloc_pages_bulk(GFP_KERNEL, 4, pages), 0);
	EXPECT_NULL(alloc_pages_exact(5000, GFP_KERNEL));
	EXPECT_NULL(alloc_contig_pages(3, 1, GFP_KERNEL));
	EXPECT_NULL(kmalloc(100000, GFP_KERNEL));
	EXPECT_NULL(vmalloc(100000));
	arm(INJECT_PAGES, "order=4");
	EXPECT_FALSE(block_fails(3));
	EXPECT_TRUE(block_fails(4));
	disarm();
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	free_page(page);
}

TEST(inject, what_must_not_fail_does_not)
{
	struct inject_stats s;
	struct page *page;
	void *p, *large;

	arm(INJECT_OBJECTS, "");
	arm(INJECT_PAGES, "");
	p = kmalloc(100, GFP_KERNEL | __GFP_NOFAIL);
	large = kmalloc(100000, GFP_KERNEL | __GFP_NOFAIL);
	page = alloc_page(GFP_KERNEL | __GFP_NOFAIL);
	inject_stats(INJECT_PAGES, &s);
	disarm();
	EXPECT_EQ(s.nr_asked, 0);
	EXPECT_NOT_NULL(p);
	EXPECT_NOT_NULL(large);
	ASSERT_NOT_NULL(page);
	free_page(page);
	kfree(large);
	kfree(p);
}

TEST(inject, frees_and_checks_hold_while_armed)
{
	struct page *page = alloc_page(GFP_KERNEL);
	void *p = kmalloc(100, GFP_KERNEL), *q;

	ASSERT_NOT_NULL(page);
	ASSERT_NOT_NULL(p);
	arm(INJECT_OBJECTS, "interval=2");
	kfree(p);
	free_page(page);
	q = kmalloc(100, GFP_KERNEL);
	EXPECT_TRUE(q == p); /* from the magazine, by the slow way */
	EXPECT_SOUND(mm_check());
	EXPECT_PANIC("double free", {
		kfree(q);
		kfree(q);
	});
	EXPECT_PANIC("double free", free_page(page));
	disarm();
	EXPECT_SOUND(mm_check());
}

TEST(inject, failures_are_not_the_page_allocators)
{
	u64 before = page_alloc_failures();

	arm(INJECT_PAGES, "");
	EXPECT_TRUE(block_fails(0));
	disarm();
	EXPECT_EQ(page_alloc_failures(), before);
}

static void expect_refused(enum inject_point point, const char *text, const char *why)
{
	struct inject_rule rule;
	char said[INJECT_WHY_MAX];

	EXPECT_EQ(inject_parse(point, text, &rule, said), -EINVAL);
	EXPECT_STREQ(said, why);
}

TEST(inject, rules_are_read)
{
	struct inject_rule r;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(INJECT_OBJECTS, "", &r, why), 0);
	EXPECT_TRUE(r.probability == 100 && r.interval == 1 && r.after == 0 &&
	            r.times == UINT64_MAX && r.cache[0] == '\0' && r.site[0] == '\0');
	ASSERT_EQ(inject_parse(INJECT_OBJECTS,
	                       "probability=5,interval=2,after=3,times=4,seed=9,cache=a*,site=b*",
	                       &r, why),
	          0);
	EXPECT_TRUE(r.probability == 5 && r.interval == 2 && r.after == 3 && r.times == 4 &&
	            r.seed == 9);
	EXPECT_STREQ(r.cache, "a*");
	EXPECT_STREQ(r.site, "b*");
	ASSERT_EQ(inject_parse(INJECT_PAGES, "order=3", &r, why), 0);
	EXPECT_EQ(r.min_order, 3);
	expect_refused(INJECT_OBJECTS, "probability=0", "it is 1 to 100 per cent: probability=0");
	expect_refused(INJECT_OBJECTS, "times=x", "no number: times=x");
	expect_refused(INJECT_PAGES, "order=19", "out of its range: order=19");
	expect_refused(INJECT_PAGES, "cache=x",
	               "not probability, interval, after, times, seed or order: cache=x");
	expect_refused(INJECT_OBJECTS, "order",
	               "not probability, interval, after, times, seed, cache or site: order");
	expect_refused(INJECT_OBJECTS, "cache=a-name-of-more-than-31-characters-is-none",
	               "the text is too long: cache=a-name-of-more-than-31-characters-is-none");
	expect_refused(INJECT_OBJECTS,
	               "site=0123456789012345678901234567890123456789012345678901234567890123456789"
	               "0123456789",
	               "a word is too long: 80 characters and more");
}

/* --- the n-th --- */

TEST(inject, the_nth_fails_and_no_other)
{
	for (unsigned n = 1; n <= 3; n++) {
		unsigned failed = 0, at = 0;

		kfree(kmalloc(100, GFP_KERNEL)); /* there is a free one */
		ASSERT_EQ(inject_nth_begin(n), 0);
		for (unsigned i = 1; i <= 10; i++)
			if (object_fails()) {
				failed++;
				at = i;
			}
		EXPECT_TRUE(inject_nth_end());
		EXPECT_EQ(failed, 1);
		EXPECT_EQ(at, n);
	}
	ASSERT_EQ(inject_nth_begin(1), 0);
	EXPECT_FALSE(inject_nth_end());
	EXPECT_FALSE(inject_on);
}

static bool leaks_at_its_second_step(void *kept)
{
	void *first = kmalloc(100, GFP_KERNEL), *second;

	if (first == NULL)
		return false;
	second = kmalloc(2000, GFP_KERNEL);
	if (second == NULL) {
		*(void **)kept = first;
		return false;
	}
	kfree(second);
	kfree(first);
	return true;
}

/* The helper itself: without it a sweep would prove nothing. */
TEST(inject, a_sweep_sees_what_a_failure_left_behind)
{
	struct test_usage before, after;
	void *kept = NULL;
	unsigned n;

	for (n = 1; kept == NULL && n < 20; n++) {
		test_usage_now(&before);
		ASSERT_EQ(inject_nth_begin(n), 0);
		(void)leaks_at_its_second_step(&kept);
		(void)inject_nth_end();
	}
	test_usage_now(&after);
	EXPECT_EQ(after.objects, before.objects + 1);
	kfree(kept);
}
