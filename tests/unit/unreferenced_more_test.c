/*
 * The leak finder, more closely: odd roots, the report's limits and sums, ages, what a full work
 * list leaves for later rounds, and what is printed. On the host: a quiet machine, whose report is
 * the same twice.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <lib/format.h>
#include <mm/guard.h>
#include <mm/leak.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/model/debugged.h"
#include "tests/model/expect.h"

static struct leak_report before, now;
static const void *root[4];
static u64 root_start, root_end; /* in bytes of root */

static void give_roots(struct leak_scan *scan)
{
	leak_add_root(scan, (const char *)root + root_start, (const char *)root + root_end);
}

static void begin(void)
{
	memset(root, 0, sizeof(root));
	root_start = 0;
	root_end = sizeof(root);
	ASSERT_EQ(leak_find(give_roots, &before), 0);
}

/* Leaks beyond those of the beginning. */
static u64 count(void)
{
	EXPECT_EQ(leak_find(give_roots, &now), 0);
	return now.nr_leaked - before.nr_leaked;
}

static void *must(void *p)
{
	ASSERT_NOT_NULL(p);
	return p;
}

static u16 *tag_of(void *object)
{
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(object, &info));
	return &slab_of(object)->tag[info.index];
}

/* --- roots --- */

/* Whole words alone, each counted. */
TEST(unreferenced_more, roots_are_whole_words)
{
	u64 words;
	void *p;

	begin();
	words = before.nr_roots - 4;
	p = must(kzalloc(100, GFP_KERNEL));
	root[0] = root[3] = p;
	root_start = 1;
	root_end = sizeof(root) - 1;
	EXPECT_EQ(count(), 1);
	EXPECT_EQ(now.leaked_bytes - before.leaked_bytes, 112);
	EXPECT_EQ(now.nr_roots, words + 2);
	root_start = 8;
	root_end = 31;
	EXPECT_EQ(count(), 1);
	root_end = 32;
	EXPECT_EQ(count(), 0);
	EXPECT_EQ(now.leaked_bytes, before.leaked_bytes);
	root_start = 24;
	root_end = 8; /* nothing */
	EXPECT_EQ(count(), 1);
	EXPECT_EQ(now.nr_roots, words);
	kfree(p);
}

/* The first call site's number counts like any other. */
TEST(unreferenced_more, objects_of_the_first_call_site)
{
	void *p;
	u16 tag;

	begin();
	p = must(kzalloc(100, GFP_KERNEL));
	tag = *tag_of(p);
	*tag_of(p) = TAG_FIRST_SITE;
	EXPECT_EQ(count(), 1);
	EXPECT_EQ(now.nr_objects, before.nr_objects + 1);
	root[2] = p;
	EXPECT_EQ(count(), 0);
	EXPECT_EQ(*tag_of(p), TAG_FIRST_SITE);
	*tag_of(p) = tag;
	kfree(p);
}

TEST(unreferenced_more, every_guarded_object_is_a_root)
{
	struct guard_options options = {.interval = 1, .nr_objects = 4};
	void **holder[2], *held;

	if (guard_on)
		return test_skip("kfence= is on");
	begin();
	held = must(kzalloc(100, GFP_KERNEL));
	ASSERT_EQ(guard_start(&options), 0);
	slab_bypass(true);
	holder[0] = must(kzalloc(64, GFP_KERNEL));
	holder[1] = must(kzalloc(64, GFP_KERNEL));
	slab_bypass(false);
	for (unsigned i = 0; i < 2; i++) {
		ASSERT_TRUE(guard_owns(holder[i]));
		EXPECT_EQ(count(), 1);
		holder[i][7] = held;
		EXPECT_EQ(count(), 0);
		holder[i][7] = NULL;
	}
	kfree(holder[0]);
	kfree(holder[1]);
	EXPECT_EQ(guard_stop(), 0);
	kfree(held);
}

/* --- a full work list --- */

/* Hundreds of large ones, of which the list has no room for all, each leading to one more; and two
 * lost ones that lead to others, which lead nowhere by that. */
TEST(unreferenced_more, large_ones_are_read_again_too)
{
	enum { NR = 600 };
	void **table, **lost, **lost_large;

	host_machine_borrow(256 * MIB, 1);
	begin();
	table = must(kcalloc(NR, sizeof(void *), GFP_KERNEL));
	lost = must(kzalloc(64, GFP_KERNEL));
	lost_large = must(kzalloc(20000, GFP_KERNEL));
	lost[3] = must(kzalloc(64, GFP_KERNEL));
	lost_large[3] = must(kzalloc(64, GFP_KERNEL));
	root[1] = table;
	for (unsigned i = 0; i < NR; i++) {
		void **middle = must(kzalloc(20000, GFP_KERNEL));

		table[i] = middle;
		middle[2000] = must(kzalloc(16, GFP_KERNEL));
	}
	EXPECT_EQ(count(), 4);
	EXPECT_TRUE(now.nr_rounds >= 1 && now.nr_rounds < 10);
	EXPECT_EQ(now.nr_objects, before.nr_objects + 2 * NR + 5);
	host_machine_return();
}

/* --- the report --- */

/* Sites that are met first have a place, all are counted. */
TEST(unreferenced_more, more_call_sites_and_objects_than_are_listed)
{
	void *lost[3 * LEAK_SITES];
	u16 tag[3 * LEAK_SITES];
	u64 listed = 0;

	begin();
	for (unsigned i = 0; i < ARRAY_SIZE(lost); i++) {
		lost[i] = must(kzalloc(64, GFP_KERNEL));
		tag[i] = *tag_of(lost[i]);
		*tag_of(lost[i]) = (u16)(300 + i);
	}
	EXPECT_EQ(count(), ARRAY_SIZE(lost));
	EXPECT_EQ(now.nr_sites, LEAK_SITES);
	EXPECT_EQ(now.nr_samples, LEAK_SAMPLES);
	EXPECT_EQ(now.leaked_bytes - before.leaked_bytes, ARRAY_SIZE(lost) * 64);
	for (unsigned i = 0; i < now.nr_sites; i++)
		listed += now.site[i].objects;
	EXPECT_LT(listed, now.nr_leaked);
	for (unsigned i = 0; i < ARRAY_SIZE(lost); i++) {
		*tag_of(lost[i]) = tag[i];
		kfree(lost[i]);
	}
	EXPECT_EQ(count(), 0);
}

/* An object whose age is not known says nothing about those whose age is. */
TEST(unreferenced_more, ages_of_some_objects_of_a_site)
{
	struct kmem_cache *aging, *plain;
	const struct leak_site *site = NULL;
	void *a, *b, *c;

	host_machine_borrow(64 * MIB, 1); /* these have the tags of nobody */
	begin();
	debugged_begin("Z");
	aging = kmem_cache_create("aging", 200, 0, 0, NULL);
	debugged_end();
	plain = kmem_cache_create("plain", 200, 0, SLAB_NO_DEBUG, NULL);
	a = must(kmem_cache_zalloc(plain, GFP_KERNEL));
	b = must(kmem_cache_zalloc(aging, GFP_KERNEL));
	host_milliseconds += 40;
	c = must(kmem_cache_zalloc(plain, GFP_KERNEL));
	*tag_of(a) = *tag_of(b) = *tag_of(c) = 999;
	EXPECT_EQ(count(), 3);
	for (unsigned i = 0; i < now.nr_sites; i++)
		if (now.site[i].tag == 999)
			site = &now.site[i];
	ASSERT_NOT_NULL(site);
	EXPECT_EQ(site->objects, 3);
	EXPECT_EQ(site->bytes, 600);
	EXPECT_EQ(site->oldest_ms, 40);
	EXPECT_EQ(site->youngest_ms, 40);
	host_milliseconds = 0;
	host_machine_return();
}

/* Every sample with its age, as far as it is known. */
static void expect_samples(void)
{
	char line[64];

	for (unsigned i = 0; i < now.nr_samples; i++) {
		if (now.sample_ms[i] == LEAK_NO_AGE)
			format_buf(line, sizeof(line), "\n  %p\n", now.sample[i]);
		else
			format_buf(line, sizeof(line), "\n  %p, %u ms old\n", now.sample[i],
			           now.sample_ms[i]);
		EXPECT_TEXT(line);
	}
}

TEST(unreferenced_more, the_report_says_what_it_knows)
{
	char line[128];
	struct kmem_cache *aging;

	host_machine_borrow(64 * MIB, 1);
	debugged_begin("Z");
	aging = kmem_cache_create("aging", 3000, 0, 0, NULL);
	debugged_end();
	for (unsigned i = 0; i < 5; i++) {
		must(kmem_cache_zalloc(aging, GFP_KERNEL));
		host_milliseconds += 40;
	}
	EXPECT_EQ(leak_find(NULL, &now), 0);
	CATCH(EXPECT_EQ(stats_print_leaks(), (s64)now.nr_leaked));
	format_buf(line, sizeof(line),
	           "%lu live objects, %lu KiB of roots: %lu objects (%lu bytes) unreferenced\n",
	           now.nr_objects, now.nr_roots * 8 / 1024, now.nr_leaked, now.leaked_bytes);
	EXPECT_TEXT(line);
	ASSERT_LT(0, now.nr_roots / 1024);
	ASSERT_LT(0, now.nr_samples);
	expect_samples();
	if (now.nr_leaked > now.nr_samples) {
		format_buf(line, sizeof(line), "\n  and %lu more\n",
		           now.nr_leaked - now.nr_samples);
		EXPECT_TEXT(line);
	} else {
		EXPECT_NULL(strstr(text, " more\n"));
	}
	host_milliseconds = 0;
	host_machine_return();
}
#endif
