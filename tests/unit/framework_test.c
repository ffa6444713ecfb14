/*
 * The framework's own promises, as far as a passing test can show them. That failures are seen and
 * reported is shown by tests/host/framework_negative_main.c and tests/tools/test_framework.py.
 */
#include <lib/assert.h>
#include <lib/platform.h>
#include <tests/test.h>

TEST(framework, compares_values_not_bits)
{
	u32 small = UINT32_MAX;
	s64 minus = -1;

	EXPECT_LT(-1, 1u);
	EXPECT_LT(-1, UINT64_MAX);
	EXPECT_NE(-1, UINT64_MAX);
	EXPECT_NE(minus, small);
	EXPECT_GT(UINT64_MAX, INT64_MAX);
	EXPECT_LT(INT64_MIN, -1);
	EXPECT_EQ((signed char)-1, minus);
	EXPECT_EQ((u8)255, 255);
	EXPECT_GE(0u, -0);
	EXPECT_LE(INT64_MIN, INT64_MIN);
	EXPECT_EQ(true, 1);
	EXPECT_EQ('a', 97);
	EXPECT_EQ((void *)&small, &small);
}

TEST(framework, evaluates_arguments_once)
{
	int calls = 0;

	EXPECT_EQ(++calls, 1);
	EXPECT_TRUE(++calls == 2);
	EXPECT_NOT_NULL((calls++, &calls));
	EXPECT_STREQ((calls++, "x"), "x");
	EXPECT_EQ(calls, 4);
}

TEST(framework, strings_may_be_null)
{
	const char *null = NULL;

	EXPECT_STREQ(null, null);
	EXPECT_STREQ("a", "a");
}

/* Not a tail call: each level keeps its frame. */
static __noinline int panic_deep(int depth)
{
	volatile int kept = depth;

	if (kept < 0)
		return 0;
	if (kept == 0)
		panic("framework: the end of %d calls", 7);
	return panic_deep(depth - 1) + kept;
}

TEST(framework, expects_panics_from_any_depth)
{
	volatile int kept = 5;

	EXPECT_PANIC("framework: the end of 7 calls", panic_deep(0));
	EXPECT_PANIC("the end of", kept++; panic_deep(7));
	EXPECT_EQ(kept, 6);
	for (unsigned i = 0; i < 50; i++)
		EXPECT_PANIC("calls", panic_deep(1));
}

TEST(framework, a_panic_restores_interrupts)
{
	bool enabled = irq_is_enabled();
	u64 flags;

	EXPECT_PANIC("calls", (void)irq_save(); panic_deep(1));
	EXPECT_EQ(irq_is_enabled(), enabled);
	flags = irq_save();
	EXPECT_PANIC("calls", panic_deep(1));
	EXPECT_FALSE(irq_is_enabled());
	irq_restore(flags);
}

TEST(framework, assert_panics_with_its_place)
{
	int two = 2;

	assert(two == 2);
	EXPECT_PANIC("assertion failed: two == 3 (", assert(two == 3));
	EXPECT_PANIC("framework_test.c:", assert(two == 3));
}

/* Formatting cuts the line; the fixed words at its start stay. */
TEST(framework, long_panics_are_cut)
{
	EXPECT_PANIC("framework: 000", panic("framework: %0600d", 1));
}

TEST(framework, catchers_nest_by_hand)
{
	panic_catcher before = panic_set_catcher(NULL);

	EXPECT_NULL((void *)(uintptr_t)before);
	EXPECT_NULL((void *)(uintptr_t)panic_set_catcher(before));
}

static u64 first_number(const char *full_name)
{
	u64 hash = 0xcbf29ce484222325;
	struct rng r;

	for (; *full_name != '\0'; full_name++)
		hash = (hash ^ (u8)*full_name) * 0x100000001b3;
	rng_seed(&r, test_seed() ^ hash);
	return rng_next(&r);
}

/* Written out again here, so that a seed that someone noted down stays good. */
TEST(framework, random_numbers_depend_on_seed_and_name_only)
{
	EXPECT_EQ(rng_next(test_rng()),
	          first_number("framework.random_numbers_depend_on_seed_and_name_only"));
}

TEST(framework, random_numbers_differ_between_tests)
{
	EXPECT_NE(rng_next(test_rng()),
	          first_number("framework.random_numbers_depend_on_seed_and_name_only"));
}

TEST(framework, knows_the_running_test)
{
	EXPECT_STREQ(test_current()->suite, "framework");
	EXPECT_STREQ(test_current()->name, "knows_the_running_test");
}
