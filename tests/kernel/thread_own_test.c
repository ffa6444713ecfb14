/*
 * What belongs to a thread and not to its CPU, where others run in turn: that it reclaims, and the
 * panic that it expects.
 */
#include <kernel/sched.h>
#include <lib/assert.h>
#include <mm/mm.h>
#include <mm/platform.h>
#include <mm/reclaim.h>
#include <tests/test.h>

static void run_beside(void (*fn)(void *arg), void *arg)
{
	struct thread *t = thread_create(cpu_id(), fn, arg, "beside");

	ASSERT_NOT_NULL(t);
	thread_join(t);
}

static void keep_address(void *address)
{
	*(struct mm_thread **)address = platform_thread();
}

TEST(thread_own, what_mm_keeps_is_each_thread_s)
{
	struct mm_thread *mine = platform_thread(), *other = NULL;

	run_beside(keep_address, &other);
	EXPECT_NOT_NULL(other);
	EXPECT_TRUE(other != mine);
	EXPECT_TRUE(platform_thread() == mine);
}

/* --- reclaim --- */

#define MORE_THAN_THERE_IS 1000000000u /* so every shrinker is asked */

static unsigned nr_asked, nr_nested, nr_beside;

static void reclaim_all(void *unused)
{
	(void)unused;
	(void)reclaim_pages(MORE_THAN_THERE_IS);
}

/* Calls of the shrinker while this thread, or another of its CPU, reclaims. */
static unsigned asked(bool by_another)
{
	unsigned before = nr_asked;

	if (by_another)
		run_beside(reclaim_all, NULL);
	else
		reclaim_all(NULL);
	return nr_asked - before;
}

/* The first time it lets another thread of the CPU run, and reclaim. */
static u64 ask_others(struct shrinker *self, u64 nr)
{
	(void)self;
	(void)nr;
	if (nr_asked++ == 0) {
		nr_nested = asked(false);
		nr_beside = asked(true);
		nr_nested += asked(false); /* the other one's end was not this one's */
	}
	return 0;
}

TEST(thread_own, a_thread_may_reclaim_while_another_does)
{
	static struct shrinker shrinker = {.name = "asks others", .scan = ask_others};

	nr_asked = 0;
	register_shrinker(&shrinker);
	EXPECT_GT(asked(false), 0);
	EXPECT_EQ(nr_nested, 0);
	EXPECT_GT(nr_beside, 0);
	EXPECT_GT(asked(false), 0);
	unregister_shrinker(&shrinker);
}

/* --- panics --- */

static void look(void *expected)
{
	*(bool *)expected = test_expects_panic();
}

static void look_around_and_panic(bool *mine, bool *other)
{
	*mine = test_expects_panic();
	run_beside(look, other);
	panic("thread_own: mine");
}

TEST(thread_own, a_panic_is_expected_in_one_thread_alone)
{
	static bool mine, other; /* not in registers: the panic jumps back */

	mine = false;
	other = true;
	EXPECT_FALSE(test_expects_panic());
	EXPECT_PANIC("thread_own: mine", look_around_and_panic(&mine, &other));
	EXPECT_TRUE(mine);
	EXPECT_FALSE(other);
	EXPECT_FALSE(test_expects_panic());
}
