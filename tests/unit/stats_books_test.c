/*
 * The sums of mm_traffic() and the numbers of the reports, on a machine of the test's own, each
 * against what the parts say: contexts, zones, caches and arenas one by one.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <lib/lock_class.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/test.h"

static struct mm_traffic sum_of_parts(void)
{
	struct mm_traffic sum = {0};

	for_each_zone(z)
		sum.zone_locks += spin_nr_taken(&z->lock);
	for (unsigned i = 0; i < mm_nr_contexts(); i++)
		sum.page_trips += cpu_pages_of(i)->nr_refills + cpu_pages_of(i)->nr_drains;
	return sum;
}

/* Trips of the pages by both ways, of every context's pages. */
static void travel(void *arg)
{
	static struct page *page[2][300];
	u32 cpu = cpu_id();

	(void)arg;
	for (unsigned i = 0; i < ARRAY_SIZE(page[0]); i++)
		page[cpu][i] = alloc_page(GFP_KERNEL);
	for (unsigned i = 0; i < ARRAY_SIZE(page[0]); i++)
		free_page(page[cpu][i]);
	drain_cpu_pages();
}

TEST(stats_books, traffic_is_the_sum_of_its_parts)
{
	struct mm_traffic t, sum;
	u32 class_nr;

	host_machine_borrow(64 * MIB, 2);
	host_cpus_run(2, travel, NULL);
	class_nr = lock_class_of(&zone_table[ZONE_NORMAL].lock);
	lock_class(class_nr)->nr_waited += 7;
	sum = sum_of_parts();
	mm_traffic(&t);
	EXPECT_EQ(t.zone_locks, sum.zone_locks);
	EXPECT_EQ(t.page_trips, sum.page_trips);
	EXPECT_EQ(t.zone_waits, lock_class(class_nr)->nr_waited);
	EXPECT_GE(t.zone_waits, 7);
	if (!page_debug_on)
		EXPECT_GE(t.page_trips, 2 * 2);
	EXPECT_GE(t.zone_locks, 2 * 2);
	lock_class(class_nr)->nr_waited -= 7;
	host_machine_return();
}

static void expect_pages(const char *label, u64 pages)
{
	char line[96], size[16];

	format_buf(line, sizeof(line), "%-26s %12lu pages %10s\n", label, pages,
	           format_bytes(size, pages * PAGE_SIZE));
	EXPECT_TEXT(line);
}

/* One page leaves at once, since it is free; two that are in use are noted. */
TEST(stats_books, retired_pages_are_told)
{
	struct page *page;

	host_machine_borrow(64 * MIB, 1);
	page = alloc_pages(GFP_KERNEL, 7);
	ASSERT_NOT_NULL(page);
	free_pages(page, 7);
	drain_cpu_pages();
	EXPECT_EQ(page_retire(page_to_pfn(page)), 0);
	page = alloc_pages(GFP_KERNEL, 7);
	EXPECT_EQ(page_retire(page_to_pfn(page) + 1), -EBUSY);
	EXPECT_EQ(page_retire(page_to_pfn(page) + 2), -EBUSY);
	CATCH(stats_print_mem());
	expect_pages("retired", 1);
	expect_pages("to retire when freed", 2);
	host_machine_return();
}

/* What an arena keeps for the next one who asks is in no use. */
TEST(stats_books, an_arenas_idle_addresses)
{
	struct vmem_stats s;
	struct vmem *v;
	char line[160];
	u64 addr[3];

	host_machine_borrow(64 * MIB, 1);
	v = vmem_create("idle", 0x1000, 0x100000, 0x1000, NULL, NULL, NULL, 0x4000, GFP_KERNEL);
	ASSERT_NOT_NULL(v);
	for (unsigned i = 0; i < ARRAY_SIZE(addr); i++)
		addr[i] = vmem_alloc(v, 0x2000, GFP_KERNEL);
	vmem_free(v, addr[1], 0x2000);
	vmem_stats(v, &s);
	ASSERT_GT(s.idle, 0);
	format_buf(line, sizeof(line), "\n%-16s %#9x %#16x %#16x %#13lx ", "idle", 0x1000, 0x100000,
	           2 * 0x2000, s.idle);
	CATCH(stats_print_vmeminfo());
	EXPECT_TEXT(line);
	host_machine_return();
}

/* --- sorted by what caches cost --- */

static u64 bytes_of(struct kmem_cache *c)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	return s.nr_slabs * s.pages_per_slab * PAGE_SIZE + s.metadata_bytes;
}

static struct kmem_cache *cache_named(const char *name, size_t size)
{
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		if (strlen(kmem_cache_name(c)) == size &&
		    strncmp(kmem_cache_name(c), name, size) == 0)
			return c;
	return NULL;
}

/* Each line's cache costs no more than the former's, and of equals the names rise. */
static void expect_falling_bytes(void)
{
	struct kmem_cache *former = NULL;

	for (const char *line = strchr(text, '\n') + 1; *line != '\0';
	     line = strchr(line, '\n') + 1) {
		struct kmem_cache *c = cache_named(line, (size_t)(strchr(line, ' ') - line));

		ASSERT_NOT_NULL(c);
		if (former != NULL)
			EXPECT_LE(bytes_of(c), bytes_of(former));
		if (former != NULL && bytes_of(c) == bytes_of(former))
			EXPECT_LT(strcmp(kmem_cache_name(former), kmem_cache_name(c)), 0);
		former = c;
	}
}

/* Caches of as many pages, which differ in what their slabs' records take; and of many. */
TEST(stats_books, slabinfo_by_bytes)
{
	static const u32 sizes[] = {8, 16, 64, 256, 3000, 5000};
	struct kmem_cache *c;

	host_machine_borrow(64 * MIB, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++)
		for (unsigned slabs = 1; slabs <= 5; slabs++) {
			char name[24];

			format_buf(name, sizeof(name), "bytes-%u-%u", sizes[i], slabs);
			c = kmem_cache_create(name, sizes[i], 0, SLAB_NO_DEBUG, NULL);
			ASSERT_NOT_NULL(c);
			while (c->nr_slabs < slabs)
				ASSERT_NOT_NULL(kmem_cache_alloc(c, GFP_KERNEL));
		}
	CATCH(EXPECT_EQ(stats_print_slabinfo_by("bytes"), 0));
	expect_falling_bytes();
	host_machine_return();
}
#endif
