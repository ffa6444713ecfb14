/*
 * Moments inside the slab layer's longer ways, and what it says: interrupts at the end of each
 * section with interrupts off, and the lines in the log. On the host only.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/host/interrupts.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#include <stdio.h>

static struct kmem_cache *c;

/* --- interrupts at chosen places --- */

static unsigned nr_came, nr_claimed, nr_claimed_too_early;

/* At the end of each section with interrupts off: a walk stands at the cache, and goes on later. */
static void walk_goes_on(void *unused)
{
	(void)unused;
	nr_came++;
	nr_claimed_too_early += c->nr_walks != 0 && c->claimed;
	nr_claimed += c->nr_walks == 0 && c->claimed;
	if (nr_came == 5)
		c->nr_walks = 0;
}

TEST(slab_cache_moments, destroying_waits_for_walks_and_keeps_others_away)
{
	void *object;

	c = kmem_cache_create("walked", 64, 0, 0, NULL);
	object = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(object);
	nr_came = nr_claimed = nr_claimed_too_early = 0;
	c->nr_walks = 1;
	host_interrupt_at_restores(1, walk_goes_on, NULL);
	EXPECT_EQ(kmem_cache_destroy(c), -EBUSY);
	host_interrupt_at_restores(0, NULL, NULL);
	EXPECT_GT(nr_came, 5);
	EXPECT_EQ(nr_claimed_too_early, 0);
	EXPECT_GT(nr_claimed, 0); /* it was alone with it */
	EXPECT_FALSE(c->claimed);
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static void *victim;

static void free_it_too(void *unused)
{
	(void)unused;
	if (victim != NULL) {
		void *p = victim;

		victim = NULL;
		EXPECT_PANIC("slab: double free object=", kmem_cache_free(c, p));
		nr_came++;
	}
}

/* On the long way too, from the moment that it was found live. */
TEST(slab_cpu_moments, an_object_is_freed_by_a_thread_or_a_handler_but_not_by_both)
{
	void *object;

	c = kmem_cache_create("both", 64, 0, SLAB_NO_MAGAZINE, NULL);
	object = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(object);
	victim = object;
	nr_came = 0;
	host_interrupt_at_restores(1, free_it_too, NULL);
	kmem_cache_free(c, object);
	host_interrupt_at_restores(0, NULL, NULL);
	EXPECT_EQ(nr_came, 1);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- the log --- */

static char text[4096];
static FILE *terminal;
static enum log_level level;

static void catch_begin(void)
{
	memset(text, 0, sizeof(text));
	level = host_log_level;
	host_log_level = LOG_INFO;
	terminal = stdout;
	stdout = fmemopen(text, sizeof(text), "w");
}

static void catch_end(void)
{
	fclose(stdout);
	stdout = terminal;
	host_log_level = level;
}

TEST(slab_cache_moments, live_objects_are_listed_when_a_cache_stays)
{
	void *object;

	c = kmem_cache_create("leaky", 200, 0, 0, NULL);
	object = slab_alloc(c, GFP_KERNEL, TAG_FIRST_SITE);
	ASSERT_NOT_NULL(object);
	catch_begin();
	EXPECT_EQ(kmem_cache_destroy(c), -EBUSY);
	catch_end();
	EXPECT_TRUE(strstr(text, "slab: cache leaky not destroyed: 1 objects are live\n") != NULL);
	EXPECT_TRUE(strstr(text, "slab:   1 objects, 200 bytes from ") != NULL);
	kmem_cache_free(c, object);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* A magazine that cannot be had is nobody's failure: there is a way without. */
TEST(slab_depot_moments, magazines_are_asked_for_quietly)
{
	static struct hoard hoard;
	static void *magazines[512];
	void *object;
	u32 n = 0;

	c = kmem_cache_create("quiet", 64, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	ASSERT_TRUE(slab_grow(c, GFP_KERNEL));
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	while (n < ARRAY_SIZE(magazines) &&
	       (magazines[n] = slab_take_bare(&magazine_cache, TAG_FIRST_SITE)) != NULL)
		n++;
	ASSERT_LT(n, ARRAY_SIZE(magazines));
	catch_begin();
	object = kmem_cache_alloc(c, GFP_KERNEL);
	catch_end();
	EXPECT_NOT_NULL(object);
	EXPECT_EQ(c->nr_magazines, 0);
	EXPECT_STREQ(text, "");
	kmem_cache_free(c, object);
	while (n-- > 0) {
		platform_unpoison(magazines[n], magazine_cache.size);
		slab_free_bare(&magazine_cache, magazines[n]);
	}
	hoard_drop_all(&hoard);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
#endif
