/*
 * The counters that the reports show, each against what was done; and limits that only assertions
 * hold.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"
#include "tests/model/plain_cache.h"

TEST(books, a_zone_counts_allocations_frees_and_failures)
{
	struct page *run = page_run_alloc(GFP_KERNEL, 37);
	struct zone *z = page_zone(run);
	u64 allocs = z->nr_allocs, frees = z->nr_frees, failures = z->nr_failures;
	struct page *page = zone_alloc(z, 6);
	struct page *pages[4];
	u64 flags;
	unsigned nr;

	ASSERT_NOT_NULL(page);
	EXPECT_EQ(z->nr_allocs, allocs + 1);
	zone_free(z, page, 6);
	EXPECT_EQ(z->nr_frees, frees + 1);
	zone_free_run(z, run, 37);
	EXPECT_EQ(z->nr_frees, frees + 2);
	run = zone_alloc_run(z, 21);
	ASSERT_NOT_NULL(run);
	EXPECT_EQ(z->nr_allocs, allocs + 2);
	zone_free_run(z, run, 21);
	flags = irq_save();
	nr = zone_alloc_batch(z, 0, 4, pages);
	EXPECT_EQ(z->nr_allocs, allocs + 2 + nr);
	EXPECT_EQ(zone_free_batch(z, 0, nr, pages), nr);
	EXPECT_EQ(z->nr_frees, frees + 3 + nr);
	irq_restore(flags);
	EXPECT_EQ(z->nr_failures, failures);
}

/* The DMA zone has no block of the highest order. */
TEST(books, a_zone_counts_every_kind_of_failure)
{
	struct zone *z = &zone_table[ZONE_ID(0, ZONE_DMA)];
	u64 failures = z->nr_failures;
	struct page *pages[1];
	u64 flags;

	EXPECT_NULL(zone_alloc(z, MAX_ORDER));
	EXPECT_EQ(z->nr_failures, failures + 1);
	EXPECT_NULL(zone_alloc_run(z, 1u << MAX_ORDER));
	EXPECT_EQ(z->nr_failures, failures + 2);
	flags = irq_save();
	EXPECT_EQ(zone_alloc_batch(z, MAX_ORDER, 1, pages), 0);
	irq_restore(flags);
	EXPECT_EQ(z->nr_failures, failures + 3);
}

TEST(books, splits_and_merges_are_counted)
{
	static struct page *held[256];
	struct page *block = alloc_pages(GFP_KERNEL, 8);
	struct zone *z = page_zone(block);
	u64 splits, merges;
	unsigned nr_held = 0;

	zone_free(z, block, 8);
	splits = z->buddy.nr_splits;
	merges = z->buddy.nr_merges;
	block = zone_alloc(z, 8);
	ASSERT_NOT_NULL(block);
	zone_free(z, block, 8);
	EXPECT_EQ(z->buddy.nr_splits - splits, z->buddy.nr_merges - merges);
	EXPECT_LE(z->buddy.nr_splits - splits, NR_ORDERS);

	/* Without a free block of that order the next one must be cut out of a larger one. */
	while (z->buddy.nr_free_blocks[4] != 0 && nr_held < ARRAY_SIZE(held))
		held[nr_held++] = zone_alloc(z, 4);
	ASSERT_EQ(z->buddy.nr_free_blocks[4], 0);
	splits = z->buddy.nr_splits;
	merges = z->buddy.nr_merges;
	block = zone_alloc(z, 4);
	ASSERT_NOT_NULL(block);
	EXPECT_GT(z->buddy.nr_splits, splits);
	zone_free(z, block, 4);
	EXPECT_EQ(z->buddy.nr_merges - merges, z->buddy.nr_splits - splits);
	while (nr_held > 0)
		zone_free(z, held[--nr_held], 4);
}

TEST(books, shrinking_says_how_many_pages_came_back)
{
	static void *object[600];
	struct kmem_cache *c = kmem_cache_create("shrinking", 500, 0, 0, NULL);
	struct mm_usage before, after;
	u64 pages;

	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = kmem_cache_alloc(c, GFP_KERNEL);
	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		kmem_cache_free(c, object[i]);
	mm_usage(&before);
	pages = slab_shrink_all();
	mm_usage(&after);
	EXPECT_GT(pages, 0);
	EXPECT_EQ(pages, before.slab_pages - after.slab_pages);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* The manager's own caches count too: those of records, magazines and caches. */
TEST(books, shrinking_counts_the_managers_own_slabs)
{
	static struct kmem_cache *cache[64];
	struct mm_usage before, after;
	u64 pages;

	for (unsigned i = 0; i < ARRAY_SIZE(cache); i++)
		cache[i] = kmem_cache_create("many", 64, 0, 0, NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(cache); i++)
		EXPECT_EQ(kmem_cache_destroy(cache[i]), 0);
	mm_usage(&before);
	pages = slab_shrink_all();
	mm_usage(&after);
	EXPECT_GT(pages, 0);
	EXPECT_EQ(pages, before.slab_pages - after.slab_pages);
}

static unsigned capacity_for(size_t size)
{
	struct kmem_cache *c = plain_cache_create("capacity", size, 8, 0);
	unsigned capacity = c->capacity;

	EXPECT_EQ(kmem_cache_destroy(c), 0);
	return capacity;
}

/* 16 KiB of objects, at least 4, at most as many as there are slots. */
TEST(books, magazines_hold_objects_by_their_size)
{
	EXPECT_EQ(capacity_for(8), MAGAZINE_SLOTS);
	EXPECT_EQ(capacity_for(256), MAGAZINE_SLOTS);
	EXPECT_EQ(capacity_for(1104), 16 * KIB / 1104);
	EXPECT_EQ(capacity_for(2048), 8);
	EXPECT_EQ(capacity_for(32 * KIB), 4);
}

TEST(books, a_full_magazine_is_sound)
{
	static void *object[4 * MAGAZINE_SLOTS];
	struct kmem_cache *c = kmem_cache_create("full", 64, 0, 0, NULL);
	struct cpu_objects *o = cpu_objects_of(c, cpu_id() * NR_CONTEXT_KINDS);
	unsigned n = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = kmem_cache_alloc(c, GFP_KERNEL);
	while (n < ARRAY_SIZE(object) && (o->top != o->limit || o->nr_spare == 0))
		kmem_cache_free(c, object[n++]);
	EXPECT_EQ(cpu_objects_count(o), 2 * c->capacity);
	EXPECT_SOUND(mm_check());
	while (n < ARRAY_SIZE(object))
		kmem_cache_free(c, object[n++]);
	EXPECT_LE(cpu_objects_count(o), 2 * c->capacity);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static u32 align_for(size_t size, size_t align, unsigned flags)
{
	struct kmem_cache *c = kmem_cache_create("align", size, align, flags, NULL);
	u32 result = c->align;

	EXPECT_EQ(kmem_cache_destroy(c), 0);
	return result;
}

TEST(books, alignment_to_cache_lines_of_small_objects)
{
	EXPECT_EQ(align_for(33, 0, SLAB_HWCACHE_ALIGN), 64);
	EXPECT_EQ(align_for(32, 0, SLAB_HWCACHE_ALIGN), 32);
	EXPECT_EQ(align_for(17, 0, SLAB_HWCACHE_ALIGN), 32);
	EXPECT_EQ(align_for(16, 0, SLAB_HWCACHE_ALIGN), 16);
	EXPECT_EQ(align_for(3, 0, SLAB_HWCACHE_ALIGN), 8);
	EXPECT_EQ(align_for(20, 256, SLAB_HWCACHE_ALIGN), 256);
	EXPECT_EQ(align_for(64, 0, 0), 64);
	EXPECT_EQ(align_for(128, 0, 0), 64);
	EXPECT_EQ(align_for(24, 0, 0), 8);
}

TEST(books, impossible_runs_and_cpus_are_stopped)
{
	EXPECT_PANIC("assertion failed", page_run_alloc(GFP_NOWAIT, 0));
	EXPECT_PANIC("assertion failed", page_run_alloc(GFP_NOWAIT, (1u << MAX_ORDER) + 1));
	EXPECT_PANIC("assertion failed", cpu_pages_of(mm_nr_contexts()));
}

/* When one block is all that is free, its pages come one after the other, upwards. */
TEST(books, a_refill_hands_out_neighbours_in_order)
{
	static struct hoard hoard;
	struct page *block = alloc_pages(GFP_KERNEL, 6), *page[64];
	u32 first = page_to_pfn(block), above = 0;

	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	free_pages(block, 6);
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_page(GFP_NOWAIT | __GFP_MEMALLOC);
		ASSERT_NOT_NULL(page[i]);
		EXPECT_LT(page_to_pfn(page[i]) - first, 64);
		above += i != 0 && page_to_pfn(page[i]) == page_to_pfn(page[i - 1]) + 1;
	}
	EXPECT_GE(above, 56);
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		free_pages(page[i], 0);
	hoard_drop_all(&hoard);
}
