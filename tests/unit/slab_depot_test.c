/*
 * Magazines between the contexts, the depot and the slabs: who has which, when a trip is made and
 * when not, contexts that never touch each other's, and what happens without memory for a magazine.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"
#include "tests/model/plain_cache.h"

#define MAX_OBJECTS 20000u

static struct kmem_cache *c;
static void *objects[MAX_OBJECTS];

static void open(size_t size, unsigned flags)
{
	c = plain_cache_create("depot", size, 0, flags);
	ASSERT_NOT_NULL(c);
}

static void close(void)
{
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static struct cpu_objects *of_kind(enum mm_context_kind kind)
{
	return cpu_objects_of(c, cpu_id() * NR_CONTEXT_KINDS + kind);
}

static struct cpu_objects *here(void)
{
	return of_kind(CONTEXT_THREADS);
}

static void alloc(unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		ASSERT_NOT_NULL(objects[i] = kmem_cache_alloc(c, GFP_KERNEL));
}

static void release(unsigned from, unsigned n)
{
	for (unsigned i = from; i < from + n; i++)
		kmem_cache_free(c, objects[i]);
}

TEST(slab_depot, nothing_is_empty_and_full_at_once)
{
	open(64, 0);
	for (unsigned i = 0; i < mm_nr_contexts(); i++) {
		EXPECT_TRUE(c->cpu[i].top == c->cpu[i].limit);
		EXPECT_EQ(*c->cpu[i].top->tag, TAG_IN_SLAB);
		EXPECT_NULL(c->cpu[i].loaded);
	}
	EXPECT_EQ(c->nr_magazines, 0);
	close();
}

TEST(slab_depot, a_context_gets_magazines_when_it_needs_them)
{
	open(64, 0);
	alloc(0, 1);
	EXPECT_EQ(c->nr_magazines, 1);
	EXPECT_NOT_NULL(here()->loaded);
	EXPECT_NULL(here()->spare);
	alloc(1, 2 * c->capacity);
	magazine_flush(c, false);
	EXPECT_EQ(c->nr_magazines, 0);
	release(0, c->capacity);
	EXPECT_EQ(c->nr_magazines, 1);
	release(c->capacity, c->capacity + 1); /* more than one holds */
	EXPECT_EQ(c->nr_magazines, 2);
	EXPECT_NOT_NULL(here()->spare);
	EXPECT_NULL(of_kind(CONTEXT_INTERRUPTS)->loaded);
	EXPECT_GT(kmem_cache_shrink(c), 0); /* and the magazines with it */
	EXPECT_EQ(c->nr_magazines, 0);
	EXPECT_NULL(here()->loaded);
	alloc(0, 1);
	release(0, 1);
	close();
}

TEST(slab_depot, a_cache_without_magazines_never_has_one)
{
	struct kmem_cache_stats s;

	open(64, SLAB_NO_MAGAZINE);
	alloc(0, 200);
	release(0, 200);
	EXPECT_TRUE(c->cpu == cpu_objects_none);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_magazines, 0);
	EXPECT_EQ(s.nr_cached, 0);
	close();
}

/* To and fro about the edge of a magazine, one is exchanged for the other and no trip is made. */
TEST(slab_depot, the_spare_takes_what_swings)
{
	u64 trips;
	u32 n;

	open(64, 0);
	n = c->capacity;
	alloc(0, 3 * n);
	release(0, 2 * n); /* loaded and spare are full, or one is and the other about to be */
	trips = here()->nr_refills + here()->nr_flushes;
	for (unsigned swing = 0; swing < 5; swing++) {
		alloc(0, n + 1);
		release(0, n + 1);
	}
	EXPECT_EQ(here()->nr_refills + here()->nr_flushes, trips);
	EXPECT_SOUND(kmem_cache_check(c));
	release(2 * n, n);
	close();
}

#define KEPT 1000u

/* All but the last KEPT are freed again: more than the magazines hold. */
static void fill_the_depot(void)
{
	open(16, 0);
	alloc(0, MAX_OBJECTS);
	release(0, MAX_OBJECTS - KEPT);
	ASSERT_GE(c->depot.nr_full, 1);
	EXPECT_SOUND(kmem_cache_check(c));
}

TEST(slab_depot, whole_magazines_go_to_the_depot_and_come_back)
{
	u32 held, nr_full, nr_magazines;

	fill_the_depot();
	nr_full = c->depot.nr_full;
	nr_magazines = c->nr_magazines;
	held = (u32)cpu_objects_count(here());
	alloc(0, held);
	EXPECT_EQ(c->depot.nr_full, nr_full);
	alloc(held, 1); /* a full one comes for an empty one */
	EXPECT_EQ(c->depot.nr_full, nr_full - 1);
	EXPECT_EQ(c->depot.nr_empty, 1);
	EXPECT_EQ(cpu_objects_count(here()), c->capacity - 1);
	EXPECT_SOUND(kmem_cache_check(c));
	release(0, held + 1); /* and goes back */
	EXPECT_EQ(c->nr_magazines, nr_magazines);
	EXPECT_SOUND(kmem_cache_check(c));
	release(MAX_OBJECTS - KEPT, KEPT);
	close();
}

/* Of 128 objects that the cache has, about one may lie there, where they are small. */
TEST(slab_depot, small_objects_are_kept_in_proportion_to_the_cache)
{
	struct kmem_cache_stats s;

	fill_the_depot();
	kmem_cache_stats(c, &s);
	EXPECT_LE((u64)c->depot.nr_full * c->capacity * 128, (u64)MAX_OBJECTS + c->nr_objects);
	EXPECT_EQ(s.nr_live, KEPT);
	EXPECT_EQ(s.nr_cached, magazine_objects(c));
	EXPECT_EQ(s.nr_cached, cpu_objects_count(here()) + c->depot.nr_full * c->capacity);
	EXPECT_EQ(s.nr_magazines, 2 + c->depot.nr_full + c->depot.nr_empty);
	release(MAX_OBJECTS - KEPT, KEPT);
	close();
}

/* --- what is kept: slab_kept.c --- */

enum { BURST = 1600 };

static u64 bytes_in_depot(void)
{
	return (u64)c->depot.nr_full * c->capacity * c->stride;
}

static void burst(size_t size, u64 limit)
{
	open(size, 0);
	slab_kept_limit = limit;
	alloc(0, BURST);
	release(0, BURST);
}

TEST(slab_depot, objects_freed_in_a_burst_wait_for_the_next)
{
	u64 limit = slab_kept_limit, before = slab_kept, in_slabs, nr_slabs, nr_full;

	burst(128, UINT64_MAX);
	EXPECT_GE((u64)c->depot.nr_full * c->capacity, BURST - 2 * c->capacity);
	EXPECT_EQ(slab_kept, before + bytes_in_depot());
	in_slabs = c->nr_free;
	nr_full = c->depot.nr_full;
	nr_slabs = c->nr_slabs;
	for (unsigned i = 0; i < 3; i++) {
		alloc(0, BURST);
		EXPECT_EQ(c->depot.nr_full, 0);
		EXPECT_LE(c->depot.nr_empty, nr_full / 2 + 4); /* fewer than were full */
		EXPECT_SOUND(kmem_cache_check(c));
		release(0, BURST);
		EXPECT_EQ(c->depot.nr_empty, 0);
	}
	EXPECT_EQ(c->nr_free, in_slabs); /* the slabs were not asked */
	EXPECT_EQ(c->nr_slabs, nr_slabs);
	EXPECT_GT(kmem_cache_shrink(c), 0);
	EXPECT_EQ(slab_kept, before);
	EXPECT_EQ(c->nr_slabs, 0);
	slab_kept_limit = limit;
	close();
}

TEST(slab_depot, all_depots_together_keep_a_part_of_memory)
{
	u64 limit = slab_kept_limit, before = slab_kept, some;
	struct mm_usage usage;

	mm_usage(&usage);
	EXPECT_LE(limit, usage.managed_pages * PAGE_SIZE / 32);
	EXPECT_GE(limit, usage.managed_pages * PAGE_SIZE / 64);
	burst(256, before + 40000);
	some = bytes_in_depot();
	slab_kept_limit = limit;
	EXPECT_GT(some, 0);
	EXPECT_LE(some, 40000);
	close();
	EXPECT_EQ(slab_kept, before);
	burst(256, 0); /* but for a 128th of the cache's objects */
	some = bytes_in_depot();
	slab_kept_limit = limit;
	EXPECT_EQ(some, 0);
	close();
}

/* Beside their slots small ones weigh too little, large ones too much. */
TEST(slab_depot, which_sizes_are_kept)
{
	static const struct {
		u32 size;
		bool kept;
	} cases[] = {{120, false}, {128, true}, {1024, true}, {1032, false}};
	u64 limit = slab_kept_limit;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		burst(cases[i].size, UINT64_MAX);
		slab_kept_limit = limit;
		if (cases[i].kept)
			EXPECT_GE(c->depot.nr_full * c->capacity, BURST - 3 * c->capacity);
		else
			EXPECT_EQ(c->depot.nr_full, 0);
		close();
	}
}

/* Takes what nr_slabs slabs hold, and all that was free before. */
static unsigned grow_by(struct kmem_cache *other, u64 nr_slabs, void *taken[], unsigned max)
{
	unsigned n = 0;

	nr_slabs += other->nr_slabs;
	for (; other->nr_slabs < nr_slabs && n < max; n++)
		taken[n] = kmem_cache_alloc(other, GFP_KERNEL);
	return n;
}

static void make_poor(struct kmem_cache **poor)
{
	void *some[100];

	*poor = plain_cache_create("poor", 1024, 0, 0);
	ASSERT_NOT_NULL(*poor);
	ASSERT_EQ(kmem_cache_alloc_bulk(*poor, GFP_KERNEL, 100, some), 100);
	kmem_cache_free_bulk(*poor, 100, some);
	ASSERT_GT(depot_kept(*poor), 0);
}

TEST(slab_depot, what_others_grow_by_the_richest_gives_back)
{
	static void *taken[BURST];
	struct kmem_cache *growing = plain_cache_create("growing", 2048, 0, 0), *poor[2];
	u64 limit = slab_kept_limit, kept, nr_slabs, poors;
	unsigned n;

	ASSERT_NOT_NULL(growing);
	slab_shrink_all();
	make_poor(&poor[0]);
	burst(512, UINT64_MAX);
	make_poor(&poor[1]);
	poors = depot_kept(poor[0]) + depot_kept(poor[1]);
	kept = slab_kept;
	nr_slabs = c->nr_slabs;
	n = grow_by(growing, 8, taken, BURST);
	ASSERT_GT(n, 8);
	EXPECT_GE(slab_kept + (n + 8) * growing->stride + 16 * KIB, kept); /* not more */
	EXPECT_LE(slab_kept + (n - 8) * growing->stride - 32 * KIB, kept); /* nor less */
	EXPECT_EQ(depot_kept(poor[0]) + depot_kept(poor[1]), poors);
	EXPECT_LT(c->nr_slabs, nr_slabs);
	EXPECT_SOUND(kmem_cache_check(c));
	slab_kept_limit = limit;
	kmem_cache_free_bulk(growing, n, taken);
	EXPECT_EQ(kmem_cache_destroy(growing), 0);
	EXPECT_EQ(kmem_cache_destroy(poor[0]), 0);
	EXPECT_EQ(kmem_cache_destroy(poor[1]), 0);
	close();
}

TEST(slab_depot, shrinking_empties_it)
{
	fill_the_depot();
	release(MAX_OBJECTS - KEPT, KEPT);
	EXPECT_GT(kmem_cache_shrink(c), 0);
	EXPECT_EQ(c->depot.nr_full, 0);
	EXPECT_EQ(c->depot.nr_empty, 0);
	EXPECT_EQ(c->nr_magazines, 0);
	EXPECT_EQ(c->nr_slabs, 0);
	close();
}

/* --- contexts --- */

/* What a handler does, in the middle of a thread's work. */
static void handler(void)
{
	u64 flags = irq_save();
	struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);
	void *mine[100];

	for (unsigned i = 0; i < ARRAY_SIZE(mine); i++)
		ASSERT_NOT_NULL(mine[i] = kmem_cache_alloc(c, GFP_ATOMIC));
	for (unsigned i = 0; i < ARRAY_SIZE(mine); i++)
		kmem_cache_free(c, mine[i]);
	mm_context_leave(former);
	irq_restore(flags);
}

TEST(slab_depot, a_handler_never_touches_a_threads_magazines)
{
	struct cpu_objects before;
	struct magazine loaded;

	open(64, 0);
	alloc(0, 10);
	release(0, 5);
	before = *here();
	loaded = *before.loaded;
	handler();
	EXPECT_EQ(memcmp(here(), &before, sizeof(before)), 0);
	EXPECT_EQ(memcmp(before.loaded, &loaded, sizeof(loaded)), 0);
	EXPECT_GT(cpu_objects_count(of_kind(CONTEXT_INTERRUPTS)), 0);
	EXPECT_SOUND(kmem_cache_check(c));
	release(5, 5);
	close();
}

TEST(slab_depot, a_thread_flushes_both_a_handler_its_own)
{
	struct mm_context former;
	u64 flags, held;

	open(64, 0);
	alloc(0, 10);
	handler();
	held = cpu_objects_count(here());
	flags = irq_save();
	former = mm_context_enter(CONTEXT_INTERRUPTS);
	magazine_flush(c, false);
	mm_context_leave(former);
	irq_restore(flags);
	EXPECT_EQ(cpu_objects_count(of_kind(CONTEXT_INTERRUPTS)), 0);
	EXPECT_EQ(cpu_objects_count(here()), held);
	handler();
	magazine_flush(c, false);
	EXPECT_EQ(cpu_objects_count(of_kind(CONTEXT_INTERRUPTS)), 0);
	EXPECT_EQ(cpu_objects_count(here()), 0);
	EXPECT_EQ(c->nr_magazines, 0);
	release(0, 10);
	close();
}

/* --- no memory --- */

/* All pages, and all magazines that the pages which are there would give. */
static u32 take_all(struct hoard *hoard, void *magazines[], u32 max)
{
	u32 n = 0;

	hoard_take_all(hoard, GFP_NOWAIT | __GFP_NOWARN);
	while (n < max && (magazines[n] = slab_alloc_bare(&magazine_cache,
	                                                  GFP_NOWAIT | __GFP_NOWARN, 2)) != NULL)
		n++;
	return n;
}

static void give_back(struct hoard *hoard, void *magazines[], u32 n)
{
	while (n-- > 0)
		slab_free_bare(&magazine_cache, magazines[n]);
	hoard_drop_all(hoard);
}

TEST(slab_depot, without_memory_for_a_magazine_objects_come_from_the_slabs)
{
	static struct hoard hoard;
	static void *magazines[256];
	u32 n;

	open(64, 0);
	alloc(0, 1);
	magazine_flush(c, false); /* its slab has free objects */
	n = take_all(&hoard, magazines, ARRAY_SIZE(magazines));
	ASSERT_LT(n, ARRAY_SIZE(magazines));
	alloc(1, 20);
	EXPECT_EQ(c->nr_magazines, 0);
	EXPECT_NULL(here()->loaded);
	EXPECT_SOUND(kmem_cache_check(c));
	release(1, 20);
	EXPECT_EQ(c->nr_magazines, 0);
	EXPECT_EQ(c->nr_free, c->nr_objects - 1);
	give_back(&hoard, magazines, n);
	release(0, 1);
	close();
}

TEST(slab_depot, without_memory_for_a_spare_objects_go_to_the_slabs)
{
	static struct hoard hoard;
	static void *magazines[256];
	u32 n, capacity;

	open(64, 0);
	capacity = c->capacity;
	alloc(0, 3 * capacity);
	magazine_flush(c, false);
	release(3 * capacity - 1, 1);
	ASSERT_NOT_NULL(here()->loaded);
	ASSERT_NULL(here()->spare);
	n = take_all(&hoard, magazines, ARRAY_SIZE(magazines));
	ASSERT_LT(n, ARRAY_SIZE(magazines));
	release(0, 3 * capacity - 1);
	EXPECT_NULL(here()->spare);
	EXPECT_EQ(cpu_objects_count(here()), capacity);
	EXPECT_EQ(c->nr_magazines, 1);
	EXPECT_SOUND(kmem_cache_check(c));
	give_back(&hoard, magazines, n);
	close();
}

/* --- wiped objects, and many at once --- */

static void construct(void *object)
{
	(void)object;
}

static unsigned nr_asked;

static u64 count_and_give_nothing(struct shrinker *self, u64 nr_pages)
{
	(void)self;
	(void)nr_pages;
	nr_asked++;
	return 0;
}

static struct shrinker counting = {.name = "counting", .scan = count_and_give_nothing};

TEST(slab_depot, wiped_objects_go_through_magazines_too)
{
	open(64, SLAB_ZERO_ON_FREE);
	alloc(0, 100);
	memset(objects[99], 0x5a, 64);
	release(0, 100);
	EXPECT_GT(cpu_objects_count(here()), 0);
	alloc(0, 1);
	EXPECT_TRUE(objects[0] == objects[99]); /* the hottest */
	EXPECT_NULL(mem_find_other(objects[0], 0, 64));
	release(0, 1);
	close();
}

TEST(slab_depot, bulk_frees_of_many_slabs_in_any_order)
{
	enum { N = 600 };

	open(128, 0);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, N, objects), N);
	for (unsigned i = N - 1; i > 0; i--) {
		unsigned j = (unsigned)rng_below(test_rng(), i + 1);
		void *swap = objects[i];

		objects[i] = objects[j];
		objects[j] = swap;
	}
	for (unsigned i = 0; i < N; i += 50)
		memset(objects[i], (int)i, 128);
	for (unsigned i = 0; i < N; i += 50)
		EXPECT_NULL(mem_find_other(objects[i], (u8)i, 128));
	objects[N] = objects[N / 2];
	objects[N / 2] = NULL; /* a no-op in the middle */
	kmem_cache_free_bulk(c, N + 1, objects);
	close();
}

/* Where there is room in the magazine for more. */
TEST(slab_depot, bulk_frees_name_what_is_wrong)
{
	char *other = kmalloc(64, GFP_KERNEL);

	open(64, 0);
	ASSERT_NOT_NULL(other);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 8, objects), 8);
	objects[8] = objects[1];
	objects[1] = other;
	EXPECT_PANIC("slab: wrong cache object=", kmem_cache_free_bulk(c, 3, objects));
	EXPECT_SOUND(kmem_cache_check(c));
	objects[1] = (char *)objects[8] + 8;
	EXPECT_PANIC("slab: not the start of an object", kmem_cache_free_bulk(c, 2, objects + 1));
	EXPECT_PANIC("slab: double free", kmem_cache_free_bulk(c, 1, objects));
	objects[1] = objects[8];
	kmem_cache_free_bulk(c, 7, objects + 1);
	EXPECT_PANIC("slab: double free", kmem_cache_free_bulk(c, 7, objects + 1));
	kfree(other);
	close();
}

static u32 tag_of(const void *object)
{
	struct slab_object_info info;

	return slab_object_of(object, &info) ? info.tag : TAG_IN_SLAB;
}

/* Those before and behind it in the array stay live, wherever the way through it was cut. */
TEST(slab_depot, a_bulk_free_frees_those_that_it_was_given)
{
	void *given;

	open(64, 0);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 30, objects), 30);
	given = objects[12];
	objects[12] = NULL;
	kmem_cache_free_bulk(c, 8, objects + 10);
	objects[12] = given;
	for (unsigned i = 0; i < 30; i++)
		EXPECT_EQ(tag_of(objects[i]) >= TAG_FIRST_SITE, i < 10 || i == 12 || i >= 18);
	release(0, 10);
	release(12, 1);
	release(18, 12);
	close();
}

/* The tag of the first call site is the smallest of a live object, on all ways. */
TEST(slab_depot, objects_of_the_first_call_site)
{
	for (unsigned flags = 0; flags <= SLAB_NO_MAGAZINE; flags += SLAB_NO_MAGAZINE) {
		open(64, flags);
		objects[0] = slab_alloc(c, GFP_KERNEL, TAG_FIRST_SITE);
		objects[1] = slab_alloc(c, GFP_KERNEL, TAG_FIRST_SITE);
		ASSERT_TRUE(objects[0] != NULL && objects[1] != NULL);
		kmem_cache_free(c, objects[0]);
		EXPECT_LT(tag_of(objects[0]), TAG_FIRST_SITE);
		kmem_cache_free_bulk(c, 1, objects + 1);
		EXPECT_LT(tag_of(objects[1]), TAG_FIRST_SITE);
		close();
	}
}

/* A refill that finds one object has found one: no slab is made. */
TEST(slab_depot, the_only_free_object)
{
	u32 n;

	open(256, 0);
	n = c->nr_objects;
	ASSERT_TRUE(slab_grow(c, GFP_KERNEL));
	alloc(0, n);
	release(7, 1);
	magazine_flush(c, false);
	ASSERT_EQ(c->nr_free, 1);
	alloc(7, 1);
	EXPECT_EQ(c->nr_slabs, 1);
	release(0, n);
	close();
}

TEST(slab_depot, zeroing_in_bulk_would_undo_a_constructor)
{
	c = kmem_cache_create("depot", 64, 0, 0, construct);
	ASSERT_NOT_NULL(c);
	EXPECT_PANIC("ctor", (void)kmem_cache_alloc_bulk(c, GFP_KERNEL | __GFP_ZERO, 2, objects));
	kmem_cache_free_bulk(c, 2, objects);
	close();
}

/* GFP_NOWAIT stays what it is with __GFP_ZERO: nobody is asked for memory. */
TEST(slab_depot, zeroed_without_memory)
{
	static struct hoard hoard;

	open(64, 0);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	register_shrinker(&counting);
	EXPECT_NULL(kmem_cache_zalloc(c, GFP_NOWAIT | __GFP_NOWARN));
	EXPECT_EQ(nr_asked, 0);
	unregister_shrinker(&counting);
	hoard_drop_all(&hoard);
	close();
}

TEST(slab_depot, zeroed_in_bulk)
{
	open(200, 0);
	alloc(0, 80);
	for (unsigned i = 0; i < 80; i++)
		memset(objects[i], 0xaa, 200);
	release(0, 80);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL | __GFP_ZERO, 80, objects), 80);
	for (unsigned i = 0; i < 80; i++)
		EXPECT_NULL(mem_find_other(objects[i], 0, 200));
	kmem_cache_free_bulk(c, 80, objects);
	close();
}
