/*
 * What depots keep, by the rules of mm/slab_kept.c: where each bound begins, which depot gives
 * back when others grow, and how much.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/plain_cache.h"

#define MAX_OBJECTS 1024u

static void *objects[MAX_OBJECTS];

static struct kmem_cache *must_create(size_t size)
{
	struct kmem_cache *c = plain_cache_create("kept", size, 0, 0);
	ASSERT_NOT_NULL(c);
	return c;
}

/* Has so many full magazines in its depot, and two in this context. */
static struct kmem_cache *must_fill(size_t size, u32 nr_full)
{
	struct kmem_cache *c = must_create(size);
	u32 n = (nr_full + 2) * c->capacity;

	ASSERT_LE(n, MAX_OBJECTS);
	for (u32 i = 0; i < n; i++)
		ASSERT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_KERNEL));
	magazine_flush(c, false);
	for (u32 i = 0; i < n; i++)
		kmem_cache_free(c, objects[i]);
	ASSERT_EQ(c->depot.nr_full, nr_full);
	return c;
}

static void close(struct kmem_cache *c)
{
	EXPECT_SOUND(slab_check());
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_kept, the_bound_on_all_depots_together)
{
	struct kmem_cache *c = must_create(256), *small = must_create(120);
	struct kmem_cache *least = must_create(128), *most = must_create(1024);
	struct kmem_cache *large = must_create(1032);
	u64 limit = slab_kept_limit, bytes = (u64)c->capacity * c->stride;

	EXPECT_EQ(c->nr_slabs, 0);
	slab_kept_limit = slab_kept + bytes;
	EXPECT_TRUE(depot_wants_full(c));
	slab_kept_limit--;
	EXPECT_FALSE(depot_wants_full(c));
	slab_kept_limit = limit;
	EXPECT_TRUE(depot_wants_full(c));
	EXPECT_TRUE(depot_wants_full(least));
	EXPECT_TRUE(depot_wants_full(most));
	EXPECT_FALSE(depot_wants_full(small)); /* a slot would cost too much of it */
	EXPECT_FALSE(depot_wants_full(large));
	close(least);
	close(most);
	close(large);
	close(c);
	close(small);
}

TEST(slab_kept, empty_magazines_are_a_few_more_than_full_ones)
{
	struct kmem_cache *c = must_create(256);

	for (u32 nr_full = 0; nr_full < 10; nr_full += 3) {
		c->depot.nr_full = nr_full;
		c->depot.nr_empty = nr_full + 3;
		EXPECT_TRUE(depot_wants_empty(c));
		c->depot.nr_empty++;
		EXPECT_FALSE(depot_wants_empty(c));
	}
	c->depot.nr_full = c->depot.nr_empty = 0;
	close(c);
}

TEST(slab_kept, the_richest_is_the_one_that_keeps_the_most_bytes)
{
	struct kmem_cache *one = must_create(256), *two = must_create(256);

	slab_shrink_all();
	EXPECT_EQ(slab_kept, 0);
	EXPECT_NULL(cache_hold_richest(NULL));
	one->depot.nr_full = 1;
	two->depot.nr_full = 2;
	EXPECT_EQ(depot_kept(one), 62 * 256);
	EXPECT_EQ(depot_kept(two), 2 * 62 * 256);
	EXPECT_TRUE(cache_hold_richest(NULL) == two);
	EXPECT_EQ(two->nr_walks, 1);
	cache_let_go(two);
	EXPECT_EQ(two->nr_walks, 0);
	EXPECT_TRUE(cache_hold_richest(two) == one);
	cache_let_go(one);
	two->claimed = true; /* as if it were being destroyed */
	EXPECT_TRUE(cache_hold_richest(NULL) == one);
	cache_let_go(one);
	two->claimed = false;
	one->depot.nr_full = two->depot.nr_full = 0;
	close(one);
	close(two);
}

static void pay(const struct kmem_cache *growing, u32 nr_slabs)
{
	for (u32 i = 0; i < nr_slabs; i++)
		slab_pay_for_growth(growing);
}

/* 16 KiB of growth, here of slabs of a page, for a magazine. */
TEST(slab_kept, what_grows_is_paid_for_by_the_richest)
{
	struct kmem_cache *rich, *growing = must_create(64);
	u32 nr_full;

	slab_shrink_all();
	ASSERT_EQ(growing->nr_pages, 1);
	rich = must_fill(256, 5);
	for (u32 i = 0; i < 8 && rich->depot.nr_full == 5; i++)
		pay(growing, 1); /* until nothing is owed */
	for (nr_full = 4; nr_full > 1; nr_full--) {
		pay(growing, 3);
		EXPECT_EQ(rich->depot.nr_full, nr_full);
		pay(growing, 1);
		EXPECT_EQ(rich->depot.nr_full, nr_full - 1);
	}
	EXPECT_EQ(rich->nr_walks, 0);
	EXPECT_EQ(slab_kept, depot_kept(rich));
	pay(rich, 20); /* itself: nobody else has any */
	EXPECT_EQ(rich->depot.nr_full, 1);
	close(growing);
	close(rich);
}

/* One magazine, here a slab's objects, and one slab of those that are too many. */
TEST(slab_kept, giving_back_is_done_a_little_at_a_time)
{
	struct kmem_cache *c = must_fill(1024, 3);

	ASSERT_EQ(c->capacity, c->nr_objects);
	EXPECT_EQ(c->nr_slabs, 5);
	depot_give_back(c);
	EXPECT_EQ(c->depot.nr_full, 2);
	EXPECT_EQ(c->nr_slabs, 5);
	EXPECT_EQ(c->nr_empty, 1);
	depot_give_back(c);
	EXPECT_EQ(c->depot.nr_full, 1);
	EXPECT_EQ(c->nr_slabs, 4);
	EXPECT_EQ(c->nr_empty, 1);
	depot_give_back(c);
	EXPECT_EQ(c->nr_slabs, 3);
	EXPECT_EQ(c->nr_magazines, 2);
	depot_give_back(c); /* has none */
	EXPECT_EQ(c->nr_slabs, 3);
	EXPECT_EQ(c->nr_magazines, 2);
	close(c);
}

/* --- how what was missed is forgotten, on a depot of no cache --- */

#define INTERVAL 256u
#define MOST 32u

static struct kmem_cache lone;

static void trip(u32 nr_full)
{
	lone.depot.nr_full = nr_full;
	depot_note_trip(&lone);
}

/* As many as were never used in an interval go at its end. */
TEST(slab_kept, what_was_not_used_in_an_interval_is_forgotten)
{
	lone.depot = (struct depot){.extra = 5, .min_full = 9};
	for (u32 i = 1; i <= INTERVAL; i++) {
		trip(i == 100 ? 2 : 9);
		EXPECT_EQ(lone.depot.nr_trips, i);
		EXPECT_EQ(lone.depot.extra, i < INTERVAL ? 5 : 3);
		EXPECT_EQ(lone.depot.min_full, i < 100 || i == INTERVAL ? 9 : 2);
	}
	for (u32 i = 1; i <= INTERVAL; i++)
		trip(4);
	EXPECT_EQ(lone.depot.extra, 0); /* four were not used, and there were three */
}

TEST(slab_kept, a_single_one_is_forgotten_too)
{
	lone.depot = (struct depot){.extra = 1, .min_full = 1};
	for (u32 i = 1; i <= INTERVAL; i++)
		trip(1);
	EXPECT_EQ(lone.depot.extra, 0);
	for (u32 i = 1; i <= INTERVAL; i++)
		trip(1); /* nothing is counted where nothing is to be forgotten */
	EXPECT_EQ(lone.depot.nr_trips, INTERVAL);
}

TEST(slab_kept, refusals_are_counted_up_to_what_may_be_kept)
{
	lone.depot = (struct depot){.extra = 0};
	for (u32 i = 1; i <= 2 * MOST; i++) {
		depot_note_refusal(&lone, NULL);
		EXPECT_EQ(lone.depot.nr_refused, i < MOST ? i : MOST);
	}
}
