/*
 * Untouched memory as the rest of the memory manager sees it, on a machine that has some: counts,
 * wrong frees, and that all of it can be had.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define QUIET (GFP_NOWAIT | __GFP_NOWARN)

static struct hoard hoard;

/* The highest zone with untouched memory, or NULL and the test is skipped. */
static struct zone *untouched_zone(void)
{
	struct zone *last = NULL;

	for_each_zone(z)
		if (z->buddy.nr_untouched != 0)
			last = z;
	if (last == NULL)
		test_skip("this machine has no whole GiB that was never handed out");
	return last;
}

static u64 untouched_pages(void)
{
	u64 nr = 0;

	for_each_zone(z)
		for (u32 i = 0; i < z->buddy.nr_untouched; i++)
			nr += z->buddy.untouched[i].end - z->buddy.untouched[i].start;
	return nr;
}

static void expect_wrong_frees_are_named(struct zone *z)
{
	u32 pfn = z->buddy.untouched[0].start;

	EXPECT_TRUE(zone_of_untouched(pfn) == z);
	EXPECT_NULL(zone_of_untouched(0));
	EXPECT_NULL(zone_of_untouched(PLATFORM_MAX_PA >> PAGE_SHIFT));
	EXPECT_NULL(page_block_of(pfn));
	for (unsigned order = 0; order <= 4; order += 4) {
		EXPECT_STREQ(page_free_fault(pfn_to_page(pfn), order), "double free");
		EXPECT_PANIC("page_alloc: double free", free_pages(pfn_to_page(pfn), order));
	}
	EXPECT_PANIC("kfree: not heap memory", kfree(phys_to_virt((u64)pfn << PAGE_SHIFT)));
}

/* Small requests are served from what is listed. */
static void expect_small_ones_leave_it(struct zone *z)
{
	u64 untouched = untouched_pages();
	struct page *page = zone_alloc(z, 0);

	ASSERT_NOT_NULL(page);
	EXPECT_EQ(untouched_pages(), untouched);
	ASSERT_TRUE(zone_free(z, page, 0));
}

/* All free memory, in the largest blocks first; and afterwards nothing is untouched. */
static void expect_all_can_be_had(void)
{
	struct mm_usage before, now;

	drain_cpu_pages();
	mm_usage(&before);
	hoard_take_all(&hoard, QUIET);
	mm_usage(&now);
	EXPECT_EQ(now.free_pages, 0);
	EXPECT_EQ(hoard.nr_pages, before.free_pages);
	EXPECT_EQ(untouched_pages(), 0);
	EXPECT_SOUND(mm_check());
	hoard_drop_all(&hoard);
	drain_cpu_pages();
	mm_usage(&now);
	EXPECT_EQ(now.free_pages, before.free_pages);
	EXPECT_SOUND(mm_check());
}

#if __STDC_HOSTED__
#include <tests/host/machine.h>

TEST(zone_untouched, a_machine_of_20_gib)
{
	u64 bytes = host_machine_pc_bytes();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot_pc(20 * GIB);
	if (untouched_pages() < (1 + 16) << MAX_ORDER) {
		host_machine_boot_pc(bytes);
		return test_skip("the machines of this build have less memory");
	}
	EXPECT_EQ(untouched_pages(), (1 + 16) << MAX_ORDER); /* 1-2 and 4-20 GiB */
	EXPECT_TRUE(zone_may_have(&zone_table[ZONE_NORMAL], MAX_ORDER));
	expect_wrong_frees_are_named(untouched_zone());
	expect_small_ones_leave_it(&zone_table[ZONE_DMA32]);
	expect_all_can_be_had();
	EXPECT_TRUE(zone_may_have(&zone_table[ZONE_NORMAL], MAX_ORDER));
	host_machine_boot_pc(bytes);
}
#else
TEST(zone_untouched, wrong_frees_are_named)
{
	struct zone *z = untouched_zone();

	if (z)
		expect_wrong_frees_are_named(z);
}

TEST(zone_untouched, all_of_it_can_be_had)
{
	struct zone *z = untouched_zone();

	if (z == NULL)
		return;
	expect_small_ones_leave_it(z);
	expect_all_can_be_had();
}
#endif
