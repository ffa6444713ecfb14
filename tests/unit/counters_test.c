/*
 * What people read and nothing else depends on: counters of trips and locks, names, the peak after
 * a boot, which failures are logged. And what callers may rely on without seeing it in one call.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

TEST(counters, a_trip_to_the_zone_and_its_lock_are_counted)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct zone *z = page_zone(page);
	struct cpu_pages *cpu = mm_this(pages);
	u64 refills, drains, locks;

	free_page(page);
	drain_cpu_pages();
	refills = cpu->nr_refills;
	locks = z->nr_lock_acquisitions;
	page = alloc_page(GFP_KERNEL);
	EXPECT_EQ(cpu->nr_refills, refills + 1);
	EXPECT_EQ(z->nr_lock_acquisitions, locks + 1);
	free_page(page);
	drains = cpu->nr_drains;
	locks = z->nr_lock_acquisitions;
	drain_cpu_pages();
	EXPECT_GE(cpu->nr_drains, drains);
	EXPECT_GT(z->nr_lock_acquisitions, locks);
	locks = z->nr_lock_acquisitions;
	page = alloc_pages(GFP_KERNEL, MAX_ORDER / 2);
	EXPECT_EQ(page_zone(page)->nr_lock_acquisitions, locks + 1);
	free_pages(page, MAX_ORDER / 2);
	EXPECT_EQ(page_zone(page)->nr_lock_acquisitions, locks + 2);
}

TEST(counters, the_manager_s_own_caches_have_names)
{
	unsigned nr_records = 0, nr_kmalloc = 0;
	struct kmem_cache_stats s;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		kmem_cache_stats(c, &s);
		nr_records += strncmp(s.name, "slab-record-", 12) == 0;
		nr_kmalloc += strncmp(s.name, "kmalloc-", 8) == 0;
	}
	EXPECT_GT(nr_records, 1);
	EXPECT_GT(nr_kmalloc, 10);
}

static void construct(void *object)
{
	memset(object, 0x5a, 48);
}

/* An object comes as its constructor or its last user left it: zeroed only when asked. */
TEST(counters, constructed_objects_are_not_zeroed)
{
	struct kmem_cache *c = kmem_cache_create("constructed", 48, 0, 0, construct);
	void *object[40];

	ASSERT_NOT_NULL(c);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(object), object),
	          ARRAY_SIZE(object));
	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		EXPECT_NULL(mem_find_other(object[i], 0x5a, 48));
	kmem_cache_free_bulk(c, ARRAY_SIZE(object), object);
	object[0] = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_NULL(mem_find_other(object[0], 0x5a, 48));
	kmem_cache_free(c, object[0]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

#if __STDC_HOSTED__
#include <tests/host/machine.h>

#include <stdio.h>
#include <stdlib.h>

/* Bytes that the log gets of a request that must fail. */
static size_t logged(gfp_t gfp)
{
	static char text[512];
	enum log_level level = host_log_level;
	FILE *terminal = stdout;

	memset(text, 0, sizeof(text));
	host_log_level = LOG_WARN;
	stdout = fmemopen(text, sizeof(text), "w");
	EXPECT_NULL(alloc_pages(gfp, MAX_ORDER));
	fclose(stdout);
	stdout = terminal;
	host_log_level = level;
	return strlen(text);
}

TEST(counters, a_failure_is_logged_when_its_number_is_a_power_of_two)
{
	for (u64 nr = page_alloc_failures() + 1, end = nr + 40; nr < end; nr++) {
		EXPECT_EQ(logged(GFP_NOWAIT | __GFP_DMA) != 0, is_pow2(nr));
		EXPECT_EQ(page_alloc_failures(), nr);
	}
	while (!is_pow2(page_alloc_failures() + 1))
		logged(GFP_NOWAIT | __GFP_DMA | __GFP_NOWARN);
	EXPECT_EQ(logged(GFP_NOWAIT | __GFP_DMA | __GFP_NOWARN), 0);
}

TEST(counters, the_peak_of_a_new_machine_is_what_its_boot_used)
{
	u64 bytes = host_machine_pc_bytes();
	struct mm_usage usage;

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot_pc(bytes);
	mm_usage(&usage);
	EXPECT_LT(usage.peak_used_pages, usage.managed_pages / 64);
}
#endif
