/*
 * Fault injection, more closely: that a probability is what it says at both its ends, words of the
 * greatest length, and what the report lists. On the host, where nobody else allocates meanwhile.
 */
#if __STDC_HOSTED__
#include <lib/format.h>
#include <lib/string.h>
#include <mm/inject.h>
#include <mm/mm.h>

#include "mm/internal.h"
#include "tests/host/caught_text.h"
#include "tests/test.h"

enum { NR = 20000 };

static bool arm(enum inject_point point, const char *rule_text)
{
	char why[INJECT_WHY_MAX];
	struct inject_rule rule;

	return inject_parse(point, rule_text, &rule, why) == 0 && inject_set(point, &rule) == 0;
}

/* Of so many requests, those that failed. */
static u32 failures(u32 probability, u32 nr)
{
	char rule[48];
	u32 failed = 0;

	format_buf(rule, sizeof(rule), "probability=%u,seed=3", probability);
	ASSERT_TRUE(arm(INJECT_PAGES, rule));
	for (u32 i = 0; i < nr; i++)
		failed += inject_pages(GFP_KERNEL, 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
	return failed;
}

/* Seven standard deviations lie between what is right and what is not. */
TEST(inject_more, one_in_a_hundred_all_but_one_and_all)
{
	u32 failed = failures(1, NR), passed = NR - failures(99, NR);

	EXPECT_GT(failed, NR / 200);
	EXPECT_LT(failed, NR / 100 + NR / 200);
	EXPECT_GT(passed, NR / 200);
	EXPECT_LT(passed, NR / 100 + NR / 200);
	EXPECT_EQ(failures(100, NR / 10), NR / 10);
}

/* 79 characters are a word like any other, 80 are too many. */
TEST(inject_more, words_of_the_greatest_length)
{
	char word[96], why[INJECT_WHY_MAX];
	struct inject_rule rule;

	memset(word, 'w', sizeof(word));
	word[79] = '\0';
	EXPECT_EQ(inject_parse(INJECT_OBJECTS, word, &rule, why), -EINVAL);
	EXPECT_EQ(strncmp(why, "not probability", 15), 0);
	word[79] = 'w';
	word[80] = '\0';
	EXPECT_EQ(inject_parse(INJECT_OBJECTS, word, &rule, why), -EINVAL);
	EXPECT_EQ(strncmp(why, "a word is too long", 18), 0);
}

TEST(inject_more, the_report_lists_both)
{
	ASSERT_TRUE(arm(INJECT_PAGES, "after=1"));
	(void)inject_pages(GFP_KERNEL, 0);
	CATCH(stats_print_inject());
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
	EXPECT_STREQ(text, "failslab         off              0 asked            0 failed\n"
	                   "fail_page_alloc  armed            1 asked            0 failed\n");
}
#endif
