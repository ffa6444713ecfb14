/*
 * Trips of a context to the depot and the slabs, counted: after how many objects it makes one, what
 * it then holds, and from which size of the cache on the depot keeps a magazine.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/plain_cache.h"

#define MAX_OBJECTS 16000u

static struct kmem_cache *c;
static void *objects[MAX_OBJECTS];
static u64 limit;

/* What depots keep beyond a share of the cache (slab_kept.c) would hide the trips to the slabs. */
static void open(size_t size)
{
	limit = slab_kept_limit;
	slab_kept_limit = 0;
	c = plain_cache_create("trips", size, 0, 0);
	ASSERT_NOT_NULL(c);
}

static void close(void)
{
	slab_kept_limit = limit;
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static struct cpu_objects *here(void)
{
	return cpu_objects_of(c, cpu_id() * NR_CONTEXT_KINDS + CONTEXT_THREADS);
}

static void alloc(unsigned from, unsigned nr)
{
	for (unsigned i = from; i < from + nr; i++)
		ASSERT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_KERNEL));
}

static void release(unsigned from, unsigned nr)
{
	for (unsigned i = from; i < from + nr; i++)
		kmem_cache_free(c, objects[i]);
}

/* 16 KiB of objects, but 4 at least and 62 at most. */
TEST(slab_trips, how_many_objects_a_magazine_holds)
{
	static const struct {
		u32 size, capacity;
	} cases[] = {{16, 62},  {256, 62}, {264, 62}, {272, 60},  {1024, 16},
	             {3264, 5}, {4096, 4}, {5000, 4}, {65536, 4}, {SLAB_MAX_SIZE, 4}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		open(cases[i].size);
		EXPECT_EQ(c->capacity, cases[i].capacity);
		alloc(0, 1);
		EXPECT_EQ(here()->limit - here()->loaded->slot, cases[i].capacity);
		EXPECT_LE(cpu_objects_count(here()), cases[i].capacity);
		release(0, 1);
		close();
	}
}

/* What this context holds, and how often it went out. */
static void expect_holds(u64 loaded, u64 spare, u64 nr_refills, u64 nr_flushes)
{
	struct kmem_cache_stats s;

	EXPECT_EQ(here()->top - here()->loaded->slot, loaded);
	EXPECT_EQ(here()->nr_spare, spare);
	EXPECT_EQ(cpu_objects_count(here()), loaded + spare);
	EXPECT_EQ(here()->nr_refills, nr_refills);
	EXPECT_EQ(here()->nr_flushes, nr_flushes);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_cached, loaded + spare);
	EXPECT_EQ(s.nr_refills, nr_refills);
	EXPECT_EQ(s.nr_flushes, nr_flushes);
}

/* From slabs that nobody else uses, a line of tags at a time: what a magazine holds of them. Random
 * objects come from all lines, and fill it. */
TEST(slab_trips, one_for_each_magazine_of_objects)
{
	u32 n, line, all, trips;

	open(256);
	n = c->capacity;
	line = c->random != 0 ? n : 32;
	trips = c->random != 0 ? 3 : 6;
	all = trips * line;
	for (unsigned i = 0; i < 4; i++)
		ASSERT_TRUE(slab_grow(c, GFP_KERNEL)); /* no trip is in vain */
	for (unsigned i = 0; i < all; i++) {
		alloc(i, 1);
		expect_holds(line - 1 - i % line, 0, 1 + i / line, 0);
	}
	for (unsigned i = 0; i < 2 * n; i++) {
		release(i, 1);
		expect_holds(i % n + 1, i < n ? 0 : n, trips, 0);
		EXPECT_EQ(c->nr_magazines, i < n ? 1 : 2);
	}
	alloc(0, n + 1); /* the spare comes to help */
	expect_holds(n - 1, 0, trips, 0);
	release(0, n + 1);
	expect_holds(n, n, trips, 0);
	release(2 * n, n); /* the colder half goes home */
	expect_holds(n, n, trips, 1);
	EXPECT_EQ(c->nr_free, c->nr_slabs * c->nr_objects - 2 * n - (all - 3 * n));
	EXPECT_EQ(c->nr_magazines, 2);
	release(3 * n, all - 3 * n);
	close();
}

/* With this many slabs, so many of the magazines that are sent away stay in the depot. */
static void expect_in_depot(u32 nr_slabs, u32 nr_full)
{
	u32 nr, n;

	open(256);
	n = c->capacity;
	nr = nr_slabs * c->nr_objects;
	ASSERT_LE(nr, MAX_OBJECTS);
	alloc(0, nr);
	magazine_flush(c, false);
	ASSERT_EQ(c->nr_slabs, nr_slabs);
	release(0, 5 * n); /* three are sent away */
	EXPECT_EQ(c->depot.nr_full, nr_full);
	EXPECT_EQ(c->depot.nr_empty, 0);
	EXPECT_EQ(here()->nr_flushes, 3);
	EXPECT_EQ(c->nr_magazines, 2 + nr_full);
	EXPECT_EQ(magazine_objects(c), (2 + nr_full) * n);
	EXPECT_SOUND(kmem_cache_check(c));
	release(5 * n, nr - 5 * n);
	close();
}

/* One in 128 of the cache's objects at most: 124 slabs of 64 are 128 magazines of 62. */
TEST(slab_trips, when_the_depot_keeps_a_magazine)
{
	open(256);
	ASSERT_EQ(c->nr_objects, 64);
	ASSERT_EQ(c->capacity, 62);
	close();
	expect_in_depot(123, 0);
	expect_in_depot(124, 1);
	expect_in_depot(247, 1);
	expect_in_depot(248, 2);
}

/* An empty magazine that lies in the depot is used before one is made. */
TEST(slab_trips, magazines_are_used_again)
{
	u32 n, nr;

	open(256);
	n = c->capacity;
	nr = 124 * c->nr_objects;
	alloc(0, nr);
	magazine_flush(c, false);
	release(0, 3 * n);
	EXPECT_EQ(c->depot.nr_full, 1);
	EXPECT_EQ(c->nr_magazines, 3);
	alloc(0, 3 * n);
	EXPECT_EQ(c->depot.nr_full, 0);
	EXPECT_EQ(c->depot.nr_empty, 1);
	release(0, 3 * n);
	EXPECT_EQ(c->depot.nr_full, 1);
	EXPECT_EQ(c->depot.nr_empty, 0);
	EXPECT_EQ(c->nr_magazines, 3);
	magazine_flush(c, false);
	EXPECT_EQ(c->depot.nr_full, 0);
	EXPECT_EQ(c->nr_magazines, 0);
	EXPECT_EQ(c->nr_free, 3 * n);
	release(3 * n, nr - 3 * n);
	close();
}

/* What goes home empties slabs, and those that are too many leave. */
TEST(slab_trips, empty_slabs_leave_while_objects_are_freed)
{
	u32 n;

	open(256);
	n = 20 * c->nr_objects;
	alloc(0, n);
	EXPECT_EQ(c->nr_slabs, 20);
	release(0, n);
	EXPECT_LE(c->nr_slabs, 5);
	EXPECT_LE(c->nr_empty, 2);
	close();
}

/* --- what a cache takes for itself --- */

static u64 live_in(struct kmem_cache *cache)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(cache, &s);
	return s.nr_live;
}

/* The objects that the slab layer holds itself: caches, records, magazines, arrays. */
static u64 internal_objects(void)
{
	u64 sum = 0;

	for (struct kmem_cache *i = kmem_cache_next(NULL); i != NULL; i = kmem_cache_next(i))
		sum += i->flags & SLAB_INTERNAL ? live_in(i) : 0;
	return sum;
}

TEST(slab_trips, a_cache_that_goes_leaves_nothing)
{
	u64 before, magazines, arrays;

	slab_shrink_all();
	before = internal_objects();
	magazines = live_in(&magazine_cache);
	arrays = live_in(&cpu_objects_cache);
	open(64);
	EXPECT_EQ(live_in(&cpu_objects_cache), arrays + 1);
	alloc(0, 1);
	EXPECT_EQ(live_in(&magazine_cache), magazines + 1);
	release(0, 1);
	close();
	slab_shrink_all();
	EXPECT_EQ(internal_objects(), before);

	c = kmem_cache_create("trips", 64, 0, SLAB_NO_MAGAZINE, NULL);
	ASSERT_NOT_NULL(c);
	EXPECT_EQ(live_in(&cpu_objects_cache), arrays);
	EXPECT_EQ(c->capacity, 0);
	close();
	slab_shrink_all();
	EXPECT_EQ(internal_objects(), before);
}
