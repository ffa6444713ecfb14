/*
 * Zones at their edges: what all of them are from the start, when background reclaim is called, and
 * (on the host, where machines can be made to the page) the marks of machines of every size.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

TEST(zone_edges, every_zone_of_every_node_is_ready)
{
	for (unsigned node = 0; node < MAX_NODES; node++)
		for (enum zone_kind kind = 0; kind < NR_ZONE_KINDS; kind++) {
			struct zone *z = &zone_table[ZONE_ID(node, kind)];

			EXPECT_EQ(z->id, ZONE_ID(node, kind));
			EXPECT_EQ(z->buddy.zone, z->id);
			EXPECT_EQ(z->buddy.start, zone_kind_start_pfn(kind));
			EXPECT_EQ(z->buddy.end, zone_kind_end_pfn(kind));
			EXPECT_SOUND(zone_check(z));
		}
}

TEST(zone_edges, a_node_that_cannot_be)
{
	EXPECT_PANIC("assertion failed", zone_add_range(MAX_NODES, 1, 1));
}

/* Small machines have zones whose marks are one number. */
TEST(zone_edges, marks_may_be_equal)
{
	for_each_zone(z) {
		u64 low = z->mark[MARK_LOW], high = z->mark[MARK_HIGH];

		z->mark[MARK_LOW] = z->mark[MARK_HIGH] = z->mark[MARK_MIN];
		EXPECT_SOUND(zone_check(z));
		z->mark[MARK_LOW] = low;
		z->mark[MARK_HIGH] = high;
	}
}

TEST(zone_edges, batches_follow_the_low_water_mark)
{
	for_each_zone(z) {
		struct page *pages[4];
		u64 flags, free = zone_free_pages(z);
		unsigned nr, back = 0;

		if (free < 100)
			continue;
		mm_reset_peak();
		flags = irq_save();
		nr = zone_alloc_batch(z, 0, ARRAY_SIZE(pages), pages);
		EXPECT_EQ(z->min_free_pages, free - nr);
		while (back < nr)
			back += zone_free_batch(z, 0, nr - back, pages + back);
		irq_restore(flags);
		EXPECT_EQ(z->min_free_pages, free - nr);
		EXPECT_EQ(zone_free_pages(z), free);
	}
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

/* The low mark is set to where the allocation ends, and a page above it. */
#define EXPECT_WANTED_BELOW(z, allocation)                                      \
	({                                                                      \
		u64 low_ = (z)->mark[MARK_LOW], end_ = zone_free_pages(z) - 16; \
		(z)->mark[MARK_LOW] = end_;                                     \
		host_reclaim_wanted = 0;                                        \
		allocation;                                                     \
		EXPECT_EQ(host_reclaim_wanted, 0);                              \
		(z)->mark[MARK_LOW] = end_ + 1;                                 \
		allocation;                                                     \
		EXPECT_EQ(host_reclaim_wanted, 1);                              \
		(z)->mark[MARK_LOW] = low_;                                     \
	})

static void take_block(struct zone *z)
{
	struct page *page = zone_alloc(z, 4);

	ASSERT_NOT_NULL(page);
	ASSERT_TRUE(zone_free(z, page, 4));
}

static void take_run(struct zone *z)
{
	struct page *page = zone_alloc_run(z, 16);

	ASSERT_NOT_NULL(page);
	zone_free_run(z, page, 16);
}

/* 15 pages, and one behind them. */
static void take_apart(struct zone *z)
{
	struct page *page = zone_alloc_apart(z, 0, 15);

	ASSERT_NOT_NULL(page);
	zone_free_run(z, page, 15);
	ASSERT_TRUE(zone_free(z, page + 15, 0));
}

static void take_batch(struct zone *z)
{
	struct page *pages[16];
	u64 flags = irq_save();
	unsigned nr = 0, back = 0;

	while (nr < 16)
		nr += zone_alloc_batch(z, 0, 16 - nr, pages + nr);
	while (back < 16)
		back += zone_free_batch(z, 0, 16 - back, pages + back);
	irq_restore(flags);
}

TEST(zone_edges, background_reclaim_is_wanted_below_the_low_mark)
{
	for_each_zone(z) {
		drain_cpu_pages();
		if (zone_free_pages(z) < 100)
			continue;
		EXPECT_WANTED_BELOW(z, take_block(z));
		EXPECT_WANTED_BELOW(z, take_run(z));
		EXPECT_WANTED_BELOW(z, take_apart(z));
		EXPECT_WANTED_BELOW(z, take_batch(z));
	}
}

TEST(zone_edges, the_low_water_mark_begins_at_all)
{
	struct mm_usage u;

	host_machine_borrow(64 * MIB, 1);
	mm_usage(&u);
	EXPECT_LT(u.peak_used_pages, u.managed_pages / 4);
	host_machine_return();
}

/* --- marks of machines to the page --- */

static struct mem_range storage[24];
static struct memmap map;
static struct bootmem boot;

/* One zone; so many pages less than there could be. Returns how many it manages. */
static u64 boot_without(u64 nr_pages)
{
	struct mm_usage u;

	host_machine_destroy();
	memmap_init(&map, storage, ARRAY_SIZE(storage), 40);
	memmap_add(&map, 16 * MIB, 16 * MIB, MEM_USABLE);
	memmap_normalize(&map);
	host_machine_create(map.range, map.nr);
	bootmem_init(&boot, &map, 16 * MIB, PLATFORM_MAX_PA);
	EXPECT_EQ(memmap_reserve(&map, 16 * MIB, nr_pages * PAGE_SIZE, MEM_KERNEL), 0);
	mm_init(&map, &boot);
	mm_usage(&u);
	return u.managed_pages;
}

/* Memory of n² pages is (2n)² KiB, that of n² + n + 1 at least (2n + 1)² KiB; a page less, less. */
TEST(zone_edges, the_reserve_is_the_root_to_the_page)
{
	u64 bytes = host_machine_pc_bytes(), most, n = 2;

	if (bytes == 0)
		return test_skip("this machine could not be made again");
	most = boot_without(0);
	while ((n + 1) * (n + 1) + n + 2 <= most)
		n++;
	for (u64 root = 2 * n - 1; root <= 2 * n + 1; root++) {
		u64 nr_pages = div_round_up(root * root, 4);

		EXPECT_EQ(boot_without(most - nr_pages), nr_pages);
		EXPECT_EQ(zone_next(NULL)->mark[MARK_MIN], root);
		EXPECT_EQ(boot_without(most - nr_pages + 1), nr_pages - 1);
		EXPECT_EQ(zone_next(NULL)->mark[MARK_MIN], root - 1);
	}
	host_machine_boot_pc(bytes);
}
#endif
