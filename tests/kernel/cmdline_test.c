/*
 * The command line: each form of option, quotes, and everything that people get wrong. The lines
 * that report the problems appear in the log.
 */
#include <kernel/cmdline.h>
#include <kernel/console.h>
#include <lib/log.h>
#include <tests/test.h>

static struct options o;

/* Parses without showing the reports. */
static void parse(const char *text, bool skip_image)
{
	int level = console_level();

	console_set_level(LOG_ERROR);
	options_parse(text, skip_image, &o);
	console_set_level(level);
}

TEST(cmdline, empty_gives_the_defaults)
{
	const char *const empty[] = {"", "   \t "};

	for (size_t i = 0; i < ARRAY_SIZE(empty); i++) {
		parse(empty[i], false);
		EXPECT_FALSE(o.test || o.bench || o.quiet || o.safe || o.monitor || o.has_seed);
		EXPECT_STREQ(o.replay, "");
		EXPECT_EQ(o.mem, UINT64_MAX);
		EXPECT_EQ(o.maxcpus, 256);
		EXPECT_EQ(o.loglevel, LOG_INFO);
		EXPECT_EQ(o.nr_problems, 0);
	}
}

TEST(cmdline, every_option_is_understood)
{
	parse("test=buddy.* seed=0x10 bench replay=kmalloc monitor mem=64M maxcpus=4 "
	      "slab_debug=poison quiet loglevel=7 safe console=serial",
	      false);
	EXPECT_TRUE(o.test && o.bench && o.monitor && o.quiet && o.safe && o.has_seed);
	EXPECT_STREQ(o.test_pattern, "buddy.*");
	EXPECT_EQ(o.seed, 16);
	EXPECT_STREQ(o.replay, "kmalloc");
	EXPECT_EQ(o.mem, 64 * MIB);
	EXPECT_EQ(o.maxcpus, 4);
	EXPECT_STREQ(o.slab_debug, "poison");
	EXPECT_EQ(o.loglevel, 7);
	EXPECT_STREQ(o.console, "serial");
	EXPECT_EQ(o.nr_problems, 0);
}

TEST(cmdline, test_needs_no_pattern)
{
	parse("test", false);
	EXPECT_TRUE(o.test);
	EXPECT_STREQ(o.test_pattern, "");
}

TEST(cmdline, image_name_is_skipped_once)
{
	parse("/boot/strata.elf test=a", true);
	EXPECT_STREQ(o.test_pattern, "a");
	EXPECT_EQ(o.nr_problems, 0);
	parse("safe", true);
	EXPECT_FALSE(o.safe);
	parse("", true);
	EXPECT_EQ(o.nr_problems, 0);
	parse("/boot/strata.elf", false);
	EXPECT_EQ(o.nr_problems, 1);
}

TEST(cmdline, quotes_keep_blanks)
{
	parse("\"test=a b\" replay='x \"y' console=\"\"", false);
	EXPECT_STREQ(o.test_pattern, "a b");
	EXPECT_STREQ(o.replay, "x \"y");
	EXPECT_STREQ(o.console, "");
	parse("test=\"never closed", false);
	EXPECT_STREQ(o.test_pattern, "never closed");
}

TEST(cmdline, rules_of_failing_allocations)
{
	parse("failslab=interval=10,cache=kmalloc-* fail_page_alloc=order=2", false);
	EXPECT_STREQ(o.fail[INJECT_OBJECTS], "interval=10,cache=kmalloc-*");
	EXPECT_STREQ(o.fail[INJECT_PAGES], "order=2");
	EXPECT_EQ(o.nr_problems, 0);
}

TEST(cmdline, last_of_several_wins)
{
	parse("mem=1M mem=2M", false);
	EXPECT_EQ(o.mem, 2 * MIB);
}

TEST(cmdline, unknown_words_are_reported_and_ignored)
{
	parse("tests seed maxcpu=1 =5 test-x safe", false);
	EXPECT_EQ(o.nr_problems, 5);
	EXPECT_TRUE(o.safe);
	EXPECT_FALSE(o.test || o.has_seed);
}

TEST(cmdline, malformed_values_leave_the_default)
{
	parse("mem=lots mem= mem=0 maxcpus=0 maxcpus=257 loglevel=8 loglevel=-1 seed=12x", false);
	EXPECT_EQ(o.nr_problems, 8);
	EXPECT_EQ(o.mem, UINT64_MAX);
	EXPECT_EQ(o.maxcpus, 256);
	EXPECT_EQ(o.loglevel, LOG_INFO);
	EXPECT_FALSE(o.has_seed);
	parse("safe=1 replay mem seed=99999999999999999999", false);
	EXPECT_EQ(o.nr_problems, 4);
	EXPECT_FALSE(o.safe);
}

TEST(cmdline, long_words_are_refused)
{
	char text[400];

	memset(text, 'a', sizeof(text));
	memcpy(text, "test=", 5);
	text[OPTION_TEXT_MAX + 5] = '\0';
	parse(text, false);
	EXPECT_EQ(o.nr_problems, 1);
	EXPECT_FALSE(o.test);
	text[OPTION_TEXT_MAX + 4] = '\0';
	parse(text, false);
	EXPECT_EQ(o.nr_problems, 0);
	EXPECT_EQ(strlen(o.test_pattern), OPTION_TEXT_MAX - 1);
	memset(text, 'a', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	parse(text, false);
	EXPECT_EQ(o.nr_problems, 1);
}
