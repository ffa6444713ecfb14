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
#endif
