/*
 * What the framework asks after every test: are as many pages and objects in use as before, and
 * does every layer's check hold? Caches are emptied first, so that the answer is exact.
 *
 * Slabs with live objects are not counted as pages, for the objects are: the few that outlive a
 * test (boundary tags of an arena, say) may have moved to a slab more, or fewer.
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

static u64 pages_of_used_slabs(void)
{
	u64 pages = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		struct kmem_cache_stats s;

		kmem_cache_stats(c, &s);
		pages += (s.nr_partial_slabs + s.nr_full_slabs) * s.pages_per_slab;
	}
	return pages;
}

void test_usage_now(struct test_usage *out)
{
	struct mm_usage usage;

	(void)reclaim_pages(~0ull);
	(void)platform_on_other_cpus(shrink_here);
	shrink_here();
	mm_usage(&usage);
	out->pages = usage.used_pages - pages_of_used_slabs() - test_pages_kept();
	out->objects = usage.live_objects;
}

const char *test_state_check(void)
{
	return mm_check();
}
