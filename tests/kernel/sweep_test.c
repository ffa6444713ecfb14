/*
 * The kernel's own operations that take memory more than once, with each allocation failing in
 * turn: see tests/model/sweep.h.
 */
#include <kernel/sched.h>
#include <kernel/stack.h>
#include <mm/mm.h>

#include "tests/model/sweep.h"
#include "tests/test.h"

static void nothing(void *arg)
{
	(void)arg;
}

/* Two, so that the second needs a stack that nobody has used before, or one that reclaim took. */
static bool create_threads(void *arg)
{
	struct thread *first = thread_create(0, nothing, NULL, "first");
	struct thread *second = thread_create(0, nothing, NULL, "second");
	bool done = first != NULL && second != NULL;

	(void)arg;
	if (first != NULL)
		thread_join(first);
	if (second != NULL)
		thread_join(second);
	return done;
}

TEST(sweep_kernel, threads)
{
	struct sweep s = sweep_run(create_threads, NULL);

	EXPECT_GE(s.nr_steps, 4); /* for each a record and a stack */
	EXPECT_GE(s.nr_failed, 4);
}
