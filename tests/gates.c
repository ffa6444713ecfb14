/*
 * What the framework asks after every test: are as many pages and objects in use as before, and
 * does every layer's check hold? Caches are emptied first, so that the answer is exact.
 */
#include <mm/mm.h>
#include <mm/reclaim.h>
#include <tests/test.h>

static void shrink_here(void)
{
	slab_shrink_all();
	drain_cpu_pages();
}

/* Pages that the machine took for good: the kernel's tests say how many page tables that are. */
__attribute__((weak)) u64 test_pages_kept(void)
{
	return 0;
}

void test_usage_now(struct test_usage *out)
{
	struct mm_usage usage;

	(void)reclaim_pages(~0ull);
	(void)platform_on_other_cpus(shrink_here);
	shrink_here();
	mm_usage(&usage);
	out->pages = usage.used_pages - test_pages_kept();
	out->objects = usage.live_objects;
}

const char *test_state_check(void)
{
	return mm_check();
}
