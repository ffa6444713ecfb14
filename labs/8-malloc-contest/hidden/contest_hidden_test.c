/*
 * Other programs than those that everyone can score on, drawn anew in each run. Their shapes differ
 * as programs do: the steps of the score are further apart, so that chance decides none.
 */
#include "labs/8-malloc-contest/tests/contest.h"

#include <lib/bits.h>
#include <lib/rng.h>
#include <tests/test.h>

static void reach(unsigned points)
{
	static const struct contest_program programs[] = {
	    {.name = "nodes of few sizes", .slots = 1800, .small = 160, .kinds = 5},
	    {.name = "lines and buffers",
	     .slots = 900,
	     .small = 120,
	     .large = 5000,
	     .rare = 30,
	     .grows = 25},
	    {.name = "requests",
	     .slots = 1200,
	     .small = 700,
	     .large = 6000,
	     .rare = 60,
	     .phase = 1700},
	    {.name = "growing tables", .slots = 100, .small = 2000, .grows = 75},
	};
	struct contest_score s;

	contest_score(programs, ARRAY_SIZE(programs), rng_next(test_rng()), &s);
	test_note("score %u.%u: U %u %%, %lu.%lu steps an operation", s.points_tenths / 10,
	          s.points_tenths % 10, s.used_percent, s.steps_tenths / 10, s.steps_tenths % 10);
	EXPECT_GE(s.points_tenths, points * 10);
}

TEST(lab8_others, at_least_45)
{
	reach(45);
}

TEST(lab8_others, at_least_60)
{
	reach(60);
}

TEST(lab8_others, at_least_75)
{
	reach(75);
}
