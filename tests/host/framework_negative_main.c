/*
 * Tests that must fail: what the framework reports is only worth something if it sees failures. The
 * program takes a pattern, runs those of its own tests, and ends as the host's test program does.
 * tests/tools/test_framework.py compares report and status with what they have to be; the line
 * numbers in it are found by the tests' names.
 *
 * There is no memory manager here: this file supplies what the gates ask.
 */
#include <lib/assert.h>
#include <lib/platform.h>
#include <lib/spinlock.h>
#include <tests/test.h>

#include <pthread.h>
#include <stdio.h>

static struct test_usage in_use = {100, 10};
static const char *broken;

void test_usage_now(struct test_usage *out)
{
	*out = in_use;
}

const char *test_state_check(void)
{
	const char *now = broken;

	broken = NULL; /* for one test */
	return now;
}

/* --- Each form of expectation, false; the test goes on --- */

TEST(expect, is_true)
{
	int two = 2;

	EXPECT_TRUE(two == 3);
	test_note("went on");
}

TEST(expect, is_false)
{
	EXPECT_FALSE(1 + 1);
	test_note("went on");
}

TEST(expect, eq)
{
	EXPECT_EQ(5, 6u);
}

TEST(expect, eq_of_one_bit_pattern)
{
	EXPECT_EQ(-1, UINT64_MAX);
}

TEST(expect, ne)
{
	EXPECT_NE((u8)7, 7ll);
}

TEST(expect, lt)
{
	EXPECT_LT(1u, -1);
}

TEST(expect, le)
{
	EXPECT_LE(INT64_MAX, INT64_MIN);
}

TEST(expect, gt)
{
	EXPECT_GT(3, 3);
}

TEST(expect, ge)
{
	EXPECT_GE(-2, -1);
}

TEST(expect, null)
{
	EXPECT_NULL((void *)16);
}

TEST(expect, not_null)
{
	EXPECT_NOT_NULL(NULL);
}

TEST(expect, streq)
{
	EXPECT_STREQ("left", "right\nok 1 forged");
	EXPECT_STREQ("left", NULL);
}

TEST(expect, panic_that_does_not_come)
{
	EXPECT_PANIC("anything", (void)0);
}

TEST(expect, another_panic)
{
	EXPECT_PANIC("this text", panic("other text %d", 3));
}

static void expect_inner_panic(void)
{
	EXPECT_PANIC("inner", (void)0);
}

TEST(expect, panic_inside_panic)
{
	EXPECT_PANIC("outer", expect_inner_panic());
}

TEST(expect, too_much_to_say)
{
	for (int i = 0; i < 1000; i++)
		EXPECT_EQ(i, -1);
}

/* --- ASSERT_ ends the test, from any depth --- */

static __noinline void assert_deep(int depth)
{
	if (depth > 0)
		assert_deep(depth - 1);
	ASSERT_LT(2, 1);
	test_note("must not come here");
}

TEST(ends, from_a_depth)
{
	assert_deep(5);
	test_note("must not come here");
}

TEST(ends, inside_a_trap)
{
	EXPECT_PANIC("never", ASSERT_TRUE(false));
	test_note("must not come here");
}

TEST(ends, and_the_next_one_passes)
{
	EXPECT_PANIC("as usual", panic("as usual"));
}

/* --- Gates --- */

TEST(gate, leaks_pages)
{
	in_use.pages += 3;
}

TEST(gate, frees_too_many_pages)
{
	in_use.pages -= 2;
}

TEST(gate, leaks_objects)
{
	in_use.objects++;
}

TEST(gate, breaks_an_invariant)
{
	broken = "B3: a block with its buddy";
}

TEST(gate, leaves_interrupts_off)
{
	(void)irq_save();
}

TEST(gate, interrupts_are_on_again)
{
	EXPECT_TRUE(irq_is_enabled());
}

#ifdef CONFIG_DEBUG /* other builds do not know what is held */
TEST(gate, keeps_a_lock)
{
	static struct spinlock l = SPINLOCK_INIT("demo");

	spin_lock(&l);
}
#endif

TEST(gate, skipped_but_failed)
{
	test_skip("for no reason");
	EXPECT_TRUE(false);
}

TEST(gate, skipped)
{
	test_skip("for a reason");
}

/* --- The end of the run --- */

TEST(fatal, unexpected_panic)
{
	panic("demo: object=%p", (void *)0x1000);
}

static void *panic_elsewhere(void *unused)
{
	(void)unused;
	host_cpu_id = 1;
	panic("demo: on another CPU");
}

TEST(fatal, panic_of_another_cpu)
{
	pthread_t thread;

	EXPECT_PANIC("demo", pthread_create(&thread, NULL, panic_elsewhere, NULL);
	             pthread_join(thread, NULL));
}

static void *panic_in_thread(void *unused)
{
	(void)unused;
	panic("demo: in another thread");
}

/* Of the same CPU, as its threads in the kernel are. */
TEST(fatal, panic_of_another_thread)
{
	pthread_t thread;

	EXPECT_PANIC("demo", pthread_create(&thread, NULL, panic_in_thread, NULL);
	             pthread_join(thread, NULL));
}

int main(int argc, char **argv)
{
	int failed = test_run_all(argc > 1 ? argv[1] : "expect,ends,gate", 7);

	return failed < 0 ? 2 : failed > 0;
}
