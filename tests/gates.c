/*
 * What the framework asks after every test: are as many pages and objects in use as before, and
 * does every layer's check hold? Caches are emptied first, so that the answer is exact.
 */
#include <mm/mm.h>
#include <tests/test.h>

void test_usage_now(struct test_usage *out)
{
	struct mm_usage usage;

	slab_shrink_all();
	drain_cpu_pages();
	mm_usage(&usage);
	out->pages = usage.used_pages;
	out->objects = usage.live_objects;
}

const char *test_state_check(void)
{
	return mm_check();
}
