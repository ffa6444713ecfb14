/*
 * What the checkers of mm/debug say to people: sampled objects, rules of injection, leaks. On the
 * host only, where standard output can be caught; in the kernel the monitor's tests read the
 * serial port.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <lib/format.h>
#include <mm/mm.h>

#include "tests/host/caught_text.h"
#include "tests/host/machine.h"
#include "tests/model/debugged.h"

TEST(debug_text, guard_says_how_many_objects_it_has)
{
	struct guard_options options = {.interval = 1234, .nr_objects = 9};

	CATCH(stats_print_guard());
	EXPECT_TEXT("no guard pages: boot with kfence=INTERVAL");
	ASSERT_EQ(guard_start(&options), 0);
	CATCH(stats_print_guard());
	EXPECT_TEXT("every 1234 trips; 0 of 9 objects live");
	EXPECT_TEXT("0 sampled");
	ASSERT_EQ(guard_stop(), 0);
	options.random = true;
	ASSERT_EQ(guard_start(&options), 0);
	CATCH(stats_print_guard());
	EXPECT_TEXT("every 1234 (by chance) trips");
	ASSERT_EQ(guard_stop(), 0);
}

TEST(debug_text, inject_says_what_is_armed_and_what_failed)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	CATCH(stats_print_inject());
	EXPECT_TEXT("failslab         off");
	ASSERT_EQ(inject_parse(INJECT_OBJECTS, "interval=1,times=2", &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	for (unsigned i = 0; i < 3; i++)
		kfree(kmalloc(100, GFP_NOWAIT | __GFP_NOWARN));
	CATCH(stats_print_inject());
	EXPECT_TEXT("failslab         armed");
	EXPECT_TEXT(" 2 failed");
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
}

/* The host has no roots: all that is live is unreferenced, and only some of it is listed. */
TEST(debug_text, leaks_are_counted_and_the_first_are_listed)
{
	char line[64];
	void *lost[20];
	s64 before, nr;

	CATCH(before = stats_print_leaks());
	for (unsigned i = 0; i < ARRAY_SIZE(lost); i++)
		lost[i] = kzalloc(200, GFP_KERNEL);
	CATCH(nr = stats_print_leaks());
	EXPECT_EQ(nr, before + (s64)ARRAY_SIZE(lost));
	format_buf(line, sizeof(line), " KiB of roots: %lu objects (", (u64)nr);
	EXPECT_TEXT(line);
	EXPECT_TEXT("debug_text_test.c:");
	EXPECT_TEXT(" more\n");
	for (unsigned i = 0; i < ARRAY_SIZE(lost); i++)
		kfree(lost[i]);
}

/* Of three, so old, from one call site. */
static void lose_three(struct kmem_cache *c, void *lost[3])
{
	static const u32 after_ms[] = {1000, 30, 5};

	for (unsigned i = 0; i < 3; i++) {
		lost[i] = kmem_cache_zalloc(c, GFP_KERNEL);
		ASSERT_NOT_NULL(lost[i]);
		host_milliseconds += after_ms[i];
	}
}

static const struct leak_site *site_of(const struct leak_report *r, u32 tag)
{
	for (unsigned i = 0; i < r->nr_sites; i++)
		if (r->site[i].tag == tag)
			return &r->site[i];
	return NULL;
}

TEST(debug_text, a_debugged_cache_knows_the_ages_of_what_leaked)
{
	static struct leak_report r;
	struct slab_object_info info;
	const struct leak_site *site;
	struct kmem_cache *c;
	void *lost[3];

	debugged_begin("U");
	c = kmem_cache_create("aging", 200, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	host_milliseconds = UINT32_MAX; /* the ages do not see the clock wrap */
	lose_three(c, lost);
	ASSERT_TRUE(slab_object_of(lost[0], &info));
	ASSERT_EQ(leak_find(NULL, &r), 0);
	site = site_of(&r, info.tag);
	ASSERT_NOT_NULL(site);
	EXPECT_EQ(site->objects, 3);
	EXPECT_EQ(site->youngest_ms, 5);
	EXPECT_EQ(site->oldest_ms, 1035);
	CATCH(stats_print_leaks());
	EXPECT_TEXT("(lose_three), 5 to 1035 ms old\n");
	CATCH(report_story(lost[1]));
	EXPECT_TEXT(", 35 ms ago");
	kmem_cache_free(c, lost[1]);
	host_milliseconds += 7;
	CATCH(report_story(lost[1]));
	EXPECT_TEXT("freed 7 ms ago");
	kmem_cache_free(c, lost[0]);
	kmem_cache_free(c, lost[2]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	debugged_end();
	host_milliseconds = 0;
}
#endif
