/*
 * The reserves of the zones: where each kind of request ends, to the page, and who goes on.
 */
#include "mm/internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct hoard hoard;

/* Takes all that exactly these flags can get, in single pages at the end. */
static void take_all(gfp_t gfp)
{
	for (unsigned order = NR_ORDERS; order-- > 0;) {
		drain_cpu_pages();
		while (hoard_take(&hoard, gfp | __GFP_NOWARN, order))
			;
	}
	drain_cpu_pages();
}

static u64 left[MAX_ZONES]; /* free pages when last looked at */

static void look(void)
{
	drain_cpu_pages();
	for_each_zone(z)
		left[z->id] = zone_free_pages(z);
}

/* Such requests took all that they could: down to the floor, if there was more. */
static void expect_floors(enum zone_depth depth, enum zone_kind highest)
{
	for_each_zone(z)
		if (z->kind <= highest)
			EXPECT_EQ(zone_free_pages(z),
			          min_u64(left[z->id], z->floor[depth][highest]));
	look();
}

TEST(watermark, marks_follow_the_root_of_memory)
{
	u64 total = 0, sum = 0;

	for_each_zone(z) {
		total += z->buddy.nr_managed_pages;
		sum += z->mark[MARK_MIN];
		EXPECT_EQ(z->mark[MARK_LOW], z->mark[MARK_MIN] * 5 / 4);
		EXPECT_EQ(z->mark[MARK_HIGH], z->mark[MARK_MIN] * 3 / 2);
	}
	EXPECT_LE(sum * sum, total * 4);
	sum += MAX_ZONES + 1; /* each zone's share is rounded down */
	EXPECT_GT(sum * sum, total * 4);
}

TEST(watermark, lower_zones_keep_a_share_of_the_higher)
{
	for_each_zone(z)
		for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
			u64 higher = 0;

			for (unsigned k = z->kind + 1u; k <= kind; k++)
				higher += zone_table[ZONE_ID((unsigned)z->node, k)]
				              .buddy.nr_managed_pages;
			EXPECT_EQ(z->floor[DEPTH_ORDINARY][kind], z->mark[MARK_MIN] + higher / 256);
			EXPECT_EQ(z->floor[DEPTH_HIGH][kind], z->mark[MARK_MIN] / 2 + higher / 256);
			EXPECT_EQ(z->floor[DEPTH_ALL][kind], 0);
		}
}

/* Each goes on where the one before it ended. */
TEST(watermark, each_kind_of_request_ends_at_its_mark)
{
	look();
	take_all(GFP_NOWAIT);
	expect_floors(DEPTH_ORDINARY, ZONE_NORMAL);
	EXPECT_NULL(alloc_page(GFP_NOWAIT | __GFP_NOWARN));
	EXPECT_NULL(alloc_pages(GFP_NOWAIT | __GFP_NOWARN, 4));
	EXPECT_NULL(alloc_contig_pages(1, 1, GFP_NOWAIT | __GFP_NOWARN));
	take_all(GFP_ATOMIC);
	expect_floors(DEPTH_HIGH, ZONE_NORMAL);
	take_all(GFP_NOWAIT | __GFP_DMA);
	expect_floors(DEPTH_ORDINARY, ZONE_DMA);
	take_all(GFP_ATOMIC | __GFP_DMA);
	expect_floors(DEPTH_HIGH, ZONE_DMA);
	take_all(GFP_NOWAIT | __GFP_MEMALLOC);
	expect_floors(DEPTH_ALL, ZONE_NORMAL);
	EXPECT_SOUND(mm_check());
	hoard_drop_all(&hoard);
}

/* A refill that the reserve pays for leaves nothing on the stack for those who may not. */
TEST(watermark, a_reserve_is_handed_out_singly)
{
	struct page *page;

	take_all(GFP_NOWAIT);
	EXPECT_EQ(cpu_pages_count(), 0);
	page = alloc_page(GFP_ATOMIC | __GFP_NOWARN);
	EXPECT_EQ(cpu_pages_count(), 0);
	EXPECT_NULL(alloc_page(GFP_NOWAIT | __GFP_NOWARN));
	if (page != NULL)
		free_page(page);
	hoard_drop_all(&hoard);
}

TEST(watermark, zone_below_says_which_marks_are_passed)
{
	struct zone *z = zone_next(NULL);

	EXPECT_FALSE(zone_below(z, MARK_HIGH));
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_EQ(zone_below(z, MARK_MIN), z->mark[MARK_MIN] != 0);
	EXPECT_TRUE(zone_below(z, MARK_LOW) || z->mark[MARK_LOW] == 0);
	hoard_drop_all(&hoard);
	drain_cpu_pages();
	EXPECT_FALSE(zone_below(z, MARK_HIGH));
}

TEST(watermark, what_must_not_fail_takes_the_reserve)
{
	struct page *page;

	take_all(GFP_ATOMIC);
	page = alloc_page(GFP_NOWAIT | __GFP_NOFAIL | __GFP_NOWARN);
	EXPECT_NOT_NULL(page);
	if (page != NULL)
		free_page(page);
	hoard_drop_all(&hoard);
}

/* A shrinker's own allocation goes on where the request that it serves ended. */
static struct page *in_shrinker;

static u64 allocate_in_shrinker(struct shrinker *self, u64 nr)
{
	(void)self;
	(void)nr;
	if (in_shrinker == NULL)
		in_shrinker = alloc_page(GFP_KERNEL | __GFP_NOWARN);
	return 0;
}

TEST(watermark, shrinkers_take_all)
{
	static struct shrinker shrinker = {.name = "test", .scan = allocate_in_shrinker};

	register_shrinker(&shrinker);
	take_all(GFP_ATOMIC);
	EXPECT_NULL(alloc_page(GFP_KERNEL | __GFP_NOWARN));
	EXPECT_NOT_NULL(in_shrinker);
	unregister_shrinker(&shrinker);
	if (in_shrinker != NULL)
		free_page(in_shrinker);
	in_shrinker = NULL;
	hoard_drop_all(&hoard);
}

#define EXPECT_BREAKS(name, z, lvalue, wrong)       \
	({                                          \
		u64 right_ = (lvalue);              \
		(lvalue) = (wrong);                 \
		EXPECT_BROKEN(zone_check(z), name); \
		(lvalue) = right_;                  \
		EXPECT_SOUND(zone_check(z));        \
	})

TEST(watermark, Z3_marks_ascend_and_decide)
{
	for_each_zone(z) {
		EXPECT_BREAKS("Z3:", z, z->mark[MARK_LOW], z->mark[MARK_HIGH] + 1);
		EXPECT_BREAKS("Z3:", z, z->mark[MARK_MIN], z->mark[MARK_LOW] + 1);
		EXPECT_BREAKS("Z3:", z, z->floor[DEPTH_ORDINARY][z->kind], z->mark[MARK_MIN] + 1);
		EXPECT_BREAKS("Z3:", z, z->floor[DEPTH_HIGH][z->kind], z->mark[MARK_MIN] / 2 + 1);
		EXPECT_BREAKS("Z3:", z, z->floor[DEPTH_ALL][z->kind], 1);
	}
}
