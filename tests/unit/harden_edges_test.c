/*
 * Guard pages around large kmallocs where not all goes well: no memory to split the direct map for
 * the first or the second, and faults at addresses that are in no guard page. On the host, where
 * the platform can be made to refuse.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/harden.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/expect.h"

static struct mm_hardening former;

static void begin(void)
{
	const struct mm_hardening guards = {.kmalloc_guard = true, .kmalloc_copies = 1};

	former = mm_hardening();
	mm_harden(&guards);
	host_machine_borrow(64 * MIB, 1);
	ASSERT_TRUE(large_guard_on);
}

static void end(void)
{
	host_guard_refused = 0;
	EXPECT_SOUND(mm_check());
	mm_harden(&former);
	host_machine_return();
}

static u64 free_now(void)
{
	u64 nr = 0;

	drain_cpu_pages();
	for_each_zone(z)
		nr += zone_free_pages(z);
	return nr;
}

/* Both or neither, and in the end as many pages are free as before. */
TEST(harden_edges, a_run_has_both_guard_pages_or_none)
{
	u64 before;

	begin();
	before = free_now();
	for (u64 refused = 0; refused < 4; refused++) {
		u32 with = refused == 0 || refused == 3 ? 7 : 5;
		struct page *head;

		host_guard_refused = refused;
		head = large_guard_alloc(0, GFP_KERNEL, 5);
		ASSERT_NOT_NULL(head);
		EXPECT_EQ(head->nr_pages, with);
		EXPECT_EQ(free_now(), before - with);
		EXPECT_SOUND(mm_check());
		page_run_free(head, head->nr_pages);
		EXPECT_EQ(free_now(), before);
	}
	end();
}

static bool faults(const void *at)
{
	return large_guard_fault((u64)at, false, "a test");
}

/* Every byte of its own is the block's, and one that has no guard pages has no faults at all. */
TEST(harden_edges, faults_beside_guard_pages)
{
	struct page *page;
	char *with, *without;

	begin();
	with = kmalloc(20000, GFP_KERNEL);
	host_guard_refused = 1;
	without = kmalloc(20000, GFP_KERNEL);
	page = alloc_pages(GFP_KERNEL, 3);
	ASSERT_TRUE(with != NULL && without != NULL && page != NULL);
	EXPECT_FALSE(faults(with));
	EXPECT_FALSE(faults(with + 19999));
	EXPECT_FALSE(faults(with + 20479));
	EXPECT_PANIC("BUG: out of bounds left in kmalloc-large", (void)faults(with - 1));
	EXPECT_PANIC("BUG: out of bounds right in kmalloc-large", (void)faults(with + 20480));
	EXPECT_FALSE(faults(without));
	EXPECT_FALSE(faults(without + 20479));
	EXPECT_FALSE(faults(page_address(page)));
	EXPECT_FALSE(faults((char *)page_address(page) + 8 * PAGE_SIZE - 1));
	kfree(with);
	kfree(without);
	free_pages(page, 3);
	end();
}
#endif
