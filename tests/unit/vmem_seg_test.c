/*
 * Boundary tags from inside: how many an arena keeps, what an idle one goes back to, and how far it
 * comes without memory.
 */
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct vmem *open(u64 base, u64 size)
{
	struct vmem *v = vmem_create("segs", base, size, 1, NULL, NULL, NULL, 0, GFP_KERNEL);

	ASSERT_NOT_NULL(v);
	return v;
}

static void close(struct vmem *v)
{
	EXPECT_SOUND(vmem_check(v));
	ASSERT_EQ(vmem_destroy(v), 0);
}

static void add(struct vmem *v, u64 base, u64 size)
{
	ASSERT_EQ(vmem_add(v, base, size, GFP_KERNEL), 0);
}

/* [from, to), one by one. */
static void take(struct vmem *v, u64 from, u64 to)
{
	for (u64 i = from; i < to; i++)
		ASSERT_EQ(vmem_alloc(v, 1, GFP_KERNEL), i);
}

static void give(struct vmem *v, u64 from, u64 to)
{
	for (u64 i = from; i < to; i++)
		vmem_free(v, i, 1);
}

TEST(vmem_seg, an_allocation_finds_four_spare)
{
	struct vmem *v = open(1, 100);

	EXPECT_EQ(v->nr_spare, 2); /* a span and its segment took two */
	take(v, 1, 2);
	EXPECT_EQ(v->nr_spare, 3);
	give(v, 1, 2);
	close(v);
}

/* 24 at most; then all but 8 go at once. */
TEST(vmem_seg, too_many_spare_ones_go_back)
{
	struct vmem *v = open(1, 100);
	u32 most = 0, least = 100;
	bool went = false;

	take(v, 1, 81);
	for (u64 i = 1; i < 81; i++) {
		u32 before = v->nr_spare;

		vmem_free(v, i, 1);
		most = v->nr_spare > most ? v->nr_spare : most;
		if (v->nr_spare < before) {
			least = v->nr_spare;
			went = true;
		}
	}
	EXPECT_TRUE(went);
	EXPECT_EQ(most, SEGS_MAX);
	EXPECT_EQ(least, SEGS_TO_KEEP);
	close(v);
}

TEST(vmem_seg, the_table_grows_with_the_segments)
{
	struct vmem *v = open(1, 100);

	take(v, 1, 101);
	EXPECT_EQ(v->hash.nr, 100);
	EXPECT_EQ(v->hash.nr_buckets, 100);
	EXPECT_SOUND(vmem_check(v));
	give(v, 1, 101);
	EXPECT_EQ(v->hash.nr_buckets, 16);
	close(v);
}

/* The caller's flags say where memory is, and these are no memory of the caller's. */
TEST(vmem_seg, the_table_is_no_memory_for_devices)
{
	static const gfp_t flags[] = {__GFP_DMA, __GFP_DMA32};

	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		struct vmem *v = open(1, 100);

		take(v, 1, 17);
		EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL | flags[i]), 17);
		ASSERT_NOT_NULL(v->hash.part[1]);
		EXPECT_LT(ksize(v->hash.part[1]), PAGE_SIZE); /* which would be whole pages */
		give(v, 1, 18);
		close(v);
	}
}

/* --- settling --- */

/* In use: the surplus goes, what is allocated stays. */
TEST(vmem_seg, an_arena_in_use_settles_to_what_one_operation_needs)
{
	struct vmem *v = open(1, 100);

	take(v, 1, 21);
	give(v, 1, 20);
	EXPECT_GT(v->nr_spare, SEGS_TO_KEEP);
	EXPECT_EQ(v->in_use, 1);
	vmem_reap(v);
	EXPECT_EQ(v->nr_spare, SEGS_NEEDED);
	EXPECT_SOUND(vmem_check(v));
	give(v, 20, 21);
	close(v);
}

/* Idle: as if nothing had ever been, up to two spans. */
TEST(vmem_seg, an_idle_arena_settles_to_its_own_tags)
{
	struct vmem *v = open(1, 50);

	for (u64 nr_spans = 1; nr_spans <= 3; nr_spans++) {
		u64 id = vmem_alloc(v, 1, GFP_KERNEL | VM_NEXTFIT);

		vmem_free(v, id, 1);
		for (u64 i = 0; i < 50 * nr_spans; i++)
			ASSERT_NE(vmem_alloc(v, 1, GFP_KERNEL), 0);
		for (u64 span = 0; span < nr_spans; span++)
			give(v, 1 + 100 * span, 51 + 100 * span);
		vmem_reap(v);
		EXPECT_EQ(v->nr_spans, nr_spans);
		EXPECT_EQ(v->size, 50 * nr_spans);
		if (nr_spans < 3)
			EXPECT_EQ(v->nr_spare, SEGS_NEEDED - 2 * nr_spans);
		else
			EXPECT_EQ(v->nr_spare, SEGS_NEEDED);
		EXPECT_SOUND(vmem_check(v));
		add(v, 1 + 100 * nr_spans, 50);
	}
	close(v);
}

/* Where the next fit would go on is a segment that is gone. */
TEST(vmem_seg, an_idle_arena_forgets_where_it_was)
{
	struct vmem *v = open(1, 10);
	u64 at = vmem_alloc(v, 1, GFP_KERNEL | VM_NEXTFIT);

	vmem_free(v, at, 1);
	EXPECT_NOT_NULL(v->rotor);
	vmem_reap(v);
	EXPECT_NULL(v->rotor);
	EXPECT_SOUND(vmem_check(v));
	close(v);
}

/* --- without memory --- */

TEST(vmem_seg, what_needs_no_tag_needs_no_memory)
{
	static struct hoard hoard;
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN;
	struct vmem *v = open(100, 10), *two = open(1, 10), *none = open(1, 10);
	static void *tag[512];
	struct kmem_cache *tags = NULL;
	unsigned nr = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		if (strcmp(kmem_cache_name(c), "vmem_seg") == 0)
			tags = c;
	ASSERT_NOT_NULL(tags);
	hoard_take_all(&hoard, GFP_NOWAIT);
	while (nr < ARRAY_SIZE(tag) && (tag[nr] = kmem_cache_alloc(tags, gfp)) != NULL)
		nr++;
	EXPECT_EQ(vmem_alloc(v, 1, gfp), 100);
	EXPECT_EQ(vmem_alloc(v, 1, gfp), 101);
	EXPECT_EQ(v->nr_spare, 0);
	EXPECT_EQ(vmem_alloc(v, 1, gfp), 0);   /* it would be cut */
	EXPECT_EQ(vmem_alloc(v, 8, gfp), 102); /* all that is left */
	EXPECT_EQ(vmem_add(two, 20, 10, gfp), 0);
	EXPECT_EQ(vmem_alloc(none, 1, gfp), 1);
	EXPECT_EQ(vmem_add(none, 20, 10, gfp), -ENOMEM); /* one is not enough */
	EXPECT_SOUND(vmem_check(v));
	EXPECT_SOUND(vmem_check(two));
	EXPECT_SOUND(vmem_check(none));
	kmem_cache_free_bulk(tags, nr, tag);
	hoard_drop_all(&hoard);
	give(v, 100, 102);
	vmem_free(v, 102, 8);
	give(none, 1, 2);
	close(v);
	close(two);
	close(none);
}
