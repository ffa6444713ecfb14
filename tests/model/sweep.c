/*
 * See sweep.h. A first run without failures lets tables that only grow take their size; the caches
 * are emptied before each, so that a body gets as deep into the allocators each time.
 */
#include "tests/model/sweep.h"

#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/test.h"

#define MAX_STEPS 2000u

/* The manager's own objects too, which no gate counts. */
static void usage_now(struct test_usage *out)
{
	struct kmem_cache_stats s;

	test_usage_now(out);
	out->objects = kmalloc_large_objects();
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		kmem_cache_stats(c, &s);
		out->objects += s.nr_live;
	}
}

static bool usage_is(const struct test_usage *before, unsigned step)
{
	struct test_usage now;

	usage_now(&now);
	if (now.pages == before->pages && now.objects == before->objects)
		return true;
	test_note("sweep: with allocation %u failing, pages in use %lu, before %lu; objects %lu, "
	          "before %lu",
	          step, now.pages, before->pages, now.objects, before->objects);
	return false;
}

/* One run. False: there was no such allocation, or the test has failed. */
static bool step_holds(sweep_fn body, void *arg, unsigned n, struct sweep *s)
{
	struct test_usage before;
	const char *broken;
	bool done, fired;

	usage_now(&before);
	ASSERT_EQ(inject_nth_begin(n), 0);
	done = body(arg);
	fired = inject_nth_end();
	ASSERT_TRUE(fired || done); /* nothing failed, and it says so */
	ASSERT_TRUE(usage_is(&before, n));
	broken = mm_check();
	if (broken != NULL) {
		test_fail(__FILE__, __LINE__, "with allocation %u failing: %s", n, broken);
		test_end();
	}
	s->nr_steps += fired;
	s->nr_failed += !done;
	return fired;
}

struct sweep sweep_run(sweep_fn body, void *arg)
{
	struct sweep s = {0};

	ASSERT_TRUE(body(arg));
	for (unsigned n = 1; step_holds(body, arg, n, &s); n++)
		ASSERT_LT(n, MAX_STEPS);
	return s;
}
