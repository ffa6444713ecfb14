/* Values that give way when memory is short: the sample of a shrinker. */
#include "mm/internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

struct square {
	u64 key, square, filler[10];
};

static unsigned nr_computed;

/* Keys above a thousand have none. */
static bool compute(u64 key, void *value, void *data)
{
	struct square *s = value;

	EXPECT_EQ(data, (void *)&nr_computed);
	nr_computed++;
	*s = (struct square){.key = key, .square = key * key};
	return key <= 1000;
}

static struct lru_cache *create(void)
{
	nr_computed = 0;
	return lru_cache_create("squares", sizeof(struct square), compute, &nr_computed);
}

static bool reads(struct lru_cache *c, u64 key)
{
	struct square s;

	return lru_cache_read(c, key, &s) && s.key == key && s.square == key * key;
}

static u64 nr_values(struct lru_cache *c)
{
	struct lru_cache_stats s;

	lru_cache_stats(c, &s);
	return s.nr_values;
}

TEST(lru_cache, computes_once)
{
	struct lru_cache *c = create();
	struct lru_cache_stats s;

	ASSERT_NOT_NULL(c);
	for (unsigned round = 0; round < 3; round++)
		for (u64 key = 0; key < 500; key++)
			ASSERT_TRUE(reads(c, key));
	EXPECT_EQ(nr_computed, 500);
	lru_cache_stats(c, &s);
	EXPECT_EQ(s.nr_values, 500);
	EXPECT_EQ(s.nr_misses, 500);
	EXPECT_EQ(s.nr_hits, 1000);
	EXPECT_EQ(s.nr_evicted, 0);
	lru_cache_destroy(c);
}

TEST(lru_cache, keeps_nothing_for_a_key_without_value)
{
	struct lru_cache *c = create();

	ASSERT_NOT_NULL(c);
	EXPECT_FALSE(reads(c, 1001));
	EXPECT_FALSE(reads(c, 1001));
	EXPECT_EQ(nr_computed, 2);
	EXPECT_EQ(nr_values(c), 0);
	lru_cache_destroy(c);
}

TEST(lru_cache, forgets_what_is_out_of_date)
{
	struct lru_cache *c = create();

	ASSERT_NOT_NULL(c);
	EXPECT_TRUE(reads(c, 7) && reads(c, 8));
	lru_cache_forget(c, 7);
	lru_cache_forget(c, 9);
	EXPECT_EQ(nr_values(c), 1);
	EXPECT_TRUE(reads(c, 7) && reads(c, 8));
	EXPECT_EQ(nr_computed, 3);
	lru_cache_destroy(c);
}

TEST(lru_cache, the_least_recently_used_go_first)
{
	struct lru_cache *c = create();
	struct lru_cache_stats s;

	ASSERT_NOT_NULL(c);
	for (u64 key = 0; key < 600; key++)
		reads(c, key);
	for (u64 key = 0; key < 50; key++) /* the oldest become the most recent */
		reads(c, key);
	(void)reclaim_pages(1);
	while (nr_values(c) > 50)
		if (reclaim_pages(1) == 0)
			break;
	lru_cache_stats(c, &s);
	EXPECT_EQ(s.nr_values + s.nr_evicted, 600);
	EXPECT_GT(s.nr_evicted, 0);
	nr_computed = 0;
	for (u64 key = 0; key < min_u64(s.nr_values, 50); key++)
		reads(c, 50 - 1 - key);
	EXPECT_EQ(nr_computed, 0);
	lru_cache_destroy(c);
}

/* Lets reclaim_pages(1) end after its first round: each shrinker is asked once. */
static struct page *spare;

static u64 count_spare(struct shrinker *self)
{
	(void)self;
	return spare != NULL;
}

static u64 give_spare(struct shrinker *self, u64 nr)
{
	(void)self, (void)nr;
	free_page(spare);
	spare = NULL;
	return 1;
}

static struct shrinker spares = {.name = "spares", .count = count_spare, .scan = give_spare};

static void one_round(void)
{
	spare = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(spare);
	drain_cpu_pages();
	EXPECT_GT(reclaim_pages(1), 0);
}

TEST(lru_cache, goes_by_the_last_use)
{
	static const u64 order[] = {1, 2, 4, 0, 3};
	struct lru_cache *c = create();
	struct lru_cache_stats s;

	ASSERT_NOT_NULL(c);
	register_shrinker(&spares);
	for (u64 key = 0; key < 5; key++)
		reads(c, key);
	reads(c, 0);
	reads(c, 3);
	(void)reclaim_pages(0);
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		one_round();
		lru_cache_stats(c, &s);
		EXPECT_EQ(s.nr_values, 4 - i);
		EXPECT_EQ(s.nr_evicted, i + 1);
		nr_computed = 0;
		for (unsigned j = i + 1; j < ARRAY_SIZE(order); j++)
			reads(c, order[j]); /* in the order of their going: nothing changes */
		EXPECT_EQ(nr_computed, 0);
	}
	unregister_shrinker(&spares);
	lru_cache_destroy(c);
}

static bool double_it(u64 key, void *value, void *data)
{
	(void)data;
	*(u64 *)value = 2 * key;
	return true;
}

/* 33 of them: a batch and one. */
TEST(lru_cache, gives_as_many_as_asked)
{
	struct lru_cache *c = lru_cache_create("doubles", 8, double_it, NULL);
	struct lru_cache_stats s;
	u64 value;

	ASSERT_NOT_NULL(c);
	for (u64 key = 0; key < 33 * 256; key++)
		lru_cache_read(c, key, &value);
	(void)reclaim_pages(0);
	register_shrinker(&spares);
	one_round();
	lru_cache_stats(c, &s);
	EXPECT_EQ(s.nr_evicted, 33);
	unregister_shrinker(&spares);
	lru_cache_destroy(c);
}

/* More than a batch, and each once. */
TEST(lru_cache, gives_all_when_asked_for_all)
{
	struct lru_cache *c = create();
	struct lru_cache_stats s;

	ASSERT_NOT_NULL(c);
	for (u64 key = 0; key < 333; key++)
		reads(c, key);
	(void)reclaim_pages(~0ull);
	lru_cache_stats(c, &s);
	EXPECT_EQ(s.nr_values, 0);
	EXPECT_EQ(s.nr_evicted, 333);
	EXPECT_TRUE(reads(c, 5));
	EXPECT_EQ(nr_computed, 334);
	lru_cache_destroy(c);
}

TEST(lru_cache, without_memory_it_still_answers)
{
	static struct hoard hoard;
	struct lru_cache *c = create();

	struct lru_cache_stats s;

	ASSERT_NOT_NULL(c);
	reads(c, 200);
	hoard_take_all(&hoard, GFP_NOWAIT);
	for (u64 key = 0; key < 1000; key++)
		EXPECT_TRUE(reads(c, key));
	EXPECT_LT(nr_values(c), 1000);
	lru_cache_stats(c, &s);
	EXPECT_EQ(s.nr_evicted, 0); /* no value drives out another */
	hoard_drop_all(&hoard);
	lru_cache_destroy(c);
}

TEST(lru_cache, impossible_sizes)
{
	struct lru_cache *c;

	EXPECT_NULL(lru_cache_create("none", 0, compute, NULL));
	EXPECT_NULL(lru_cache_create("", 8, compute, NULL));
	c = lru_cache_create("full", LRU_MAX_SIZE, compute, NULL);
	EXPECT_NOT_NULL(c);
	lru_cache_destroy(c);
	EXPECT_NULL(lru_cache_create("vast", LRU_MAX_SIZE + 1, compute, NULL));
	EXPECT_PANIC("fill != NULL", lru_cache_create("empty", 8, NULL, NULL));
	lru_cache_destroy(NULL);
}

/* A value that is nobody's: as one that is just being copied. */
TEST(lru_cache, is_not_destroyed_while_values_are_read)
{
	struct lru_cache *c = create();
	struct kmem_cache *values = NULL;
	void *value;

	ASSERT_NOT_NULL(c);
	for (struct kmem_cache *k = kmem_cache_next(NULL); k != NULL; k = kmem_cache_next(k))
		if (strcmp(kmem_cache_name(k), "squares") == 0)
			values = k;
	ASSERT_NOT_NULL(values);
	value = kmem_cache_alloc(values, GFP_KERNEL);
	EXPECT_PANIC("lru_cache: destroyed while values are read", lru_cache_destroy(c));
	kmem_cache_free(values, value);
	EXPECT_EQ(kmem_cache_destroy(values), 0);
	kfree(c);
}
