/* The background reclaimer: woken below a zone's low mark, it brings all zones above their high
 * one. */
#include <kernel/reclaimer.h>
#include <kernel/sched.h>
#include <lib/race.h>
#include <mm/mm.h>
#include <mm/reclaim.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct hoard hoard;
static u32 nr_scans;

/* Gives what the hoard holds, a block at a time. */
static u64 count(struct shrinker *self)
{
	(void)self;
	return data_race(hoard.nr_blocks);
}

static u64 give(struct shrinker *self, u64 nr)
{
	u64 given = 0;

	(void)self;
	__atomic_add_fetch(&nr_scans, 1, __ATOMIC_RELAXED);
	while (given < nr && hoard_drop(&hoard))
		given++;
	return given;
}

static struct shrinker giver = {.name = "giver", .count = count, .scan = give};

static bool all_above(enum zone_mark mark)
{
	for_each_zone(z)
		if (zone_below(z, mark))
			return false;
	return true;
}

/* It cannot reclaim, but wakes who can. */
static void ask_in_a_hurry(void)
{
	struct page *page = alloc_pages(GFP_ATOMIC | __GFP_NOWARN, 4);

	if (page != NULL)
		free_pages(page, 4);
}

/* The hoard is the reclaimer's from when it can find the giver until it has stopped. */
TEST(reclaimer, brings_zones_back_to_their_high_mark)
{
	struct reclaimer_stats before, after;

	ASSERT_TRUE(reclaimer_start());
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_FALSE(all_above(MARK_LOW));
	reclaimer_stats(&before);
	nr_scans = 0;
	register_shrinker(&giver);
	do {
		ask_in_a_hurry();
		thread_sleep(10);
		reclaimer_stats(&after);
	} while (after.nr_balanced == before.nr_balanced);
	EXPECT_TRUE(all_above(MARK_HIGH));
	EXPECT_GT(data_race(nr_scans), 0);
	reclaimer_stop();
	unregister_shrinker(&giver);
	hoard_drop_all(&hoard);
}

/* Nothing to be had: it pauses rather than turn for ever, and allocations get their answer. */
TEST(reclaimer, gives_up_where_nothing_is_to_be_had)
{
	struct reclaimer_stats before, after;
	u64 began;

	ASSERT_TRUE(reclaimer_start());
	hoard_take_all(&hoard, GFP_ATOMIC);
	reclaimer_stats(&before);
	began = sched_milliseconds();
	for (unsigned i = 0; i < 1000; i++)
		ask_in_a_hurry();
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, 4));
	reclaimer_stats(&after);
	EXPECT_LE(after.nr_wakes - before.nr_wakes, (sched_milliseconds() - began) / 100 + 2);
	EXPECT_LE(after.nr_balanced - before.nr_balanced, 1); /* begun before all was taken */
	reclaimer_stop();
	hoard_drop_all(&hoard);
}

TEST(reclaimer, starts_and_stops)
{
	struct reclaimer_stats stats;

	ASSERT_TRUE(reclaimer_start());
	EXPECT_TRUE(reclaimer_start());
	reclaimer_stats(&stats);
	EXPECT_TRUE(stats.is_running);
	reclaimer_stop();
	reclaimer_stop();
	reclaimer_stats(&stats);
	EXPECT_FALSE(stats.is_running);
}
