/*
 * Zones: their bounds and order, the way past the CPUs' caches, batches, runs, and their checker.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct free_shape shape;

TEST(zone, kinds_follow_each_other_without_a_gap)
{
	EXPECT_EQ(zone_kind_start_pfn(ZONE_DMA), 0);
	EXPECT_EQ(zone_kind_end_pfn(ZONE_DMA), 16 * MIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_kind_start_pfn(ZONE_DMA32), 16 * MIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_kind_end_pfn(ZONE_DMA32), 4 * GIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_kind_start_pfn(ZONE_NORMAL), 4 * GIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_kind_end_pfn(ZONE_NORMAL), PLATFORM_MAX_PA >> PAGE_SHIFT);
	EXPECT_EQ(PLATFORM_MAX_PA % (PAGE_SIZE << MAX_ORDER), 0);
}

TEST(zone, each_with_memory_is_visited_once_in_order)
{
	unsigned nr = 0, with_memory = 0;
	int last = -1;

	for_each_zone(z) {
		EXPECT_GT((int)z->id, last);
		EXPECT_GT(z->buddy.nr_managed_pages, 0);
		EXPECT_GE(z->buddy.low, zone_kind_start_pfn(z->kind));
		EXPECT_LE(z->buddy.high, zone_kind_end_pfn(z->kind));
		EXPECT_TRUE(&zone_table[ZONE_ID(z->node, z->kind)] == z);
		last = z->id;
		nr++;
	}
	for (unsigned id = 0; id < MAX_ZONES; id++)
		with_memory += zone_table[id].buddy.nr_managed_pages != 0;
	EXPECT_EQ(nr, with_memory);
	EXPECT_GE(nr, 1);
}

TEST(zone, blocks_come_from_the_zone_itself)
{
	for_each_zone(z) {
		u64 free = zone_free_pages(z), allocs = z->nr_allocs, frees = z->nr_frees;
		struct page *page = zone_alloc(z, 1);

		if (page == NULL)
			continue;
		EXPECT_TRUE(page_zone(page) == z);
		EXPECT_EQ(zone_free_pages(z), free - 2);
		EXPECT_EQ(z->nr_allocs, allocs + 1);
		EXPECT_LE(z->min_free_pages, free - 2);
		zone_free(z, page, 1);
		EXPECT_EQ(zone_free_pages(z), free);
		EXPECT_EQ(z->nr_frees, frees + 1);
		EXPECT_SOUND(zone_check(z));
	}
}

TEST(zone, an_impossible_order_is_a_counted_failure)
{
	for_each_zone(z) {
		u64 failures = z->nr_failures;

		EXPECT_NULL(zone_alloc(z, MAX_ORDER + 1));
		EXPECT_EQ(z->nr_failures, failures + 1);
		EXPECT_FALSE(spin_is_locked(&z->lock));
	}
	EXPECT_TRUE(irq_is_enabled());
}

/* Both in as many trips as it takes. */
static unsigned alloc_batch(struct zone *z, unsigned order, unsigned n, struct page *pages[])
{
	unsigned nr = 0, got;
	u64 flags = irq_save();

	do
		nr += got = zone_alloc_batch(z, order, n - nr, pages + nr);
	while (got != 0 && nr < n);
	irq_restore(flags);
	return nr;
}

static void free_batch(struct zone *z, unsigned order, unsigned n, struct page *pages[])
{
	u64 flags = irq_save();

	for (unsigned nr; n > 0; n -= nr, pages += nr) {
		nr = zone_free_batch(z, order, n, pages);
		ASSERT_TRUE(nr > 0 && nr <= n);
	}
	irq_restore(flags);
}

/* A batch is distinct blocks of the order, under one acquisition of the lock. */
static void expect_batch(struct zone *z, unsigned order, unsigned n)
{
	static struct page *pages[64];
	u64 locks = z->nr_lock_acquisitions, free = zone_free_pages(z), flags = irq_save();
	unsigned got = zone_alloc_batch(z, order, n, pages);

	irq_restore(flags);
	EXPECT_LE(got, n);
	EXPECT_EQ(z->nr_lock_acquisitions, locks + 1);
	EXPECT_EQ(zone_free_pages(z), free - ((u64)got << order));
	for (unsigned i = 0; i < got; i++) {
		EXPECT_TRUE(page_zone(pages[i]) == z);
		EXPECT_EQ(pages[i]->type, PAGE_CACHED);
		EXPECT_EQ(pages[i]->order, order);
		for (unsigned j = 0; j < i; j++)
			EXPECT_TRUE(pages[i] != pages[j]);
	}
	EXPECT_SOUND(zone_check(z));
	free_batch(z, order, got, pages);
	EXPECT_EQ(zone_free_pages(z), free);
}

TEST(zone, batches)
{
	free_shape_take(&shape);
	for_each_zone(z)
		for (unsigned order = 0; order <= 3; order++)
			for (unsigned n = 1; n <= 64u >> order; n += 1 + n / 2)
				expect_batch(z, order, n);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(zone, batches_end_where_memory_ends)
{
	static struct hoard hoard;
	static struct page *pages[64];
	struct zone *z = zone_next(NULL);
	unsigned got = 0;

	free_shape_take(&shape);
	ASSERT_EQ(alloc_batch(z, 0, 21, pages), 21);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_EQ(alloc_batch(z, 0, 64, pages + 21), 0);
	free_batch(z, 0, 21, pages);
	got = alloc_batch(z, 0, 64, pages);
	EXPECT_EQ(got, 21);
	free_batch(z, 0, got, pages);
	hoard_drop_all(&hoard);
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(zone, runs)
{
	free_shape_take(&shape);
	for_each_zone(z)
		for (u32 nr = 1; nr < 200; nr += 7) {
			u64 free = zone_free_pages(z);
			struct page *head = zone_alloc_run(z, nr);

			if (head == NULL)
				continue;
			EXPECT_EQ(zone_free_pages(z), free - nr);
			EXPECT_EQ(page_block_pages(head), nr);
			zone_free_run(z, head, nr);
			EXPECT_EQ(zone_free_pages(z), free);
		}
	EXPECT_TRUE(free_shape_is(&shape));
}

#define EXPECT_BREAKS(name, z, lvalue, wrong)           \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(zone_check(z), name);     \
		(lvalue) = right_;                      \
		EXPECT_SOUND(zone_check(z));            \
	})

TEST(zone_check, Z1_and_Z2_in_every_zone)
{
	drain_cpu_pages();
	for_each_zone(z) {
		EXPECT_BREAKS("Z1:", z, z->id, z->id ^ 1);
		EXPECT_BREAKS("Z1:", z, z->node, z->node + 1);
		EXPECT_BREAKS("Z1:", z, z->kind, (z->kind + 1) % NR_ZONE_KINDS);
		EXPECT_BREAKS("Z1:", z, z->buddy.zone, z->buddy.zone + 1);
		EXPECT_BREAKS("Z1:", z, z->buddy.start, z->buddy.start + 1);
		EXPECT_BREAKS("Z1:", z, z->buddy.end, z->buddy.end - 1);
		EXPECT_BREAKS("Z2:", z, z->min_free_pages, z->buddy.nr_free_pages + 1);
		EXPECT_BREAKS("B4:", z, z->buddy.nr_free_pages, z->buddy.nr_managed_pages + 1);
	}
}

TEST(zone_check, mm_check_asks_every_zone)
{
	for_each_zone(z) {
		z->buddy.nr_free_blocks[0]++;
		EXPECT_BROKEN(mm_check(), "B3:");
		z->buddy.nr_free_blocks[0]--;
	}
	EXPECT_SOUND(mm_check());
}
