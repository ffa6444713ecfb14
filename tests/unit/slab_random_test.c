/* slab_randomize(): objects come in another order for each seed, each still once. */
#include "mm/slab_internal.h"

#include <lib/bitmap.h>
#include <mm/mm.h>

#include "tests/model/expect.h"

#define NR 64u

static void *objects[NR];

/* The places in their slab of the first NR objects of a new cache of one slab of them. */
static void take_all(u64 seed, unsigned place[NR])
{
	struct kmem_cache *c = kmem_cache_create("random", 64, 0, 0, NULL);
	struct slab_object_info info;

	ASSERT_NOT_NULL(c);
	c->random = seed;
	for (unsigned i = 0; i < NR; i++) {
		objects[i] = kmem_cache_alloc(c, GFP_KERNEL);
		ASSERT_TRUE(slab_object_of(objects[i], &info));
		place[i] = info.index;
	}
	EXPECT_SOUND(kmem_cache_check(c));
	for (unsigned i = 0; i < NR; i++)
		kmem_cache_free(c, objects[i]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static unsigned nr_equal(const unsigned a[NR], const unsigned b[NR])
{
	unsigned n = 0;

	for (unsigned i = 0; i < NR; i++)
		n += a[i] == b[i];
	return n;
}

TEST(slab_random, the_order_is_the_seeds)
{
	unsigned a[NR], b[NR], c[NR];

	take_all(7, a);
	take_all(7, b);
	take_all(8, c);
	EXPECT_EQ(nr_equal(a, b), NR);
	EXPECT_LT(nr_equal(a, c), NR / 4);
}

TEST(slab_random, each_object_comes_once)
{
	unsigned place[NR];
	u64 seen = 0;

	take_all(rng_next(test_rng()) | 1, place);
	for (unsigned i = 0; i < NR; i++)
		seen |= 1ull << place[i] % 64;
	EXPECT_GE(bit_count(seen),
	          NR - 2); /* the last two come from another slab: a magazine is 62 */
}

TEST(slab_random, neighbours_are_seldom_handed_out_together)
{
	unsigned place[NR], neighbours = 0;

	take_all(3, place);
	for (unsigned i = 1; i < NR; i++)
		neighbours += place[i] == place[i - 1] + 1 || place[i] + 1 == place[i - 1];
	EXPECT_LT(neighbours, NR / 4);
}

TEST(slab_random, all_caches_follow_and_can_stop)
{
	struct kmem_cache *old = kmem_cache_create("old", 64, 0, 0, NULL), *fresh;
	bool was = kmalloc_cache[0]->random != 0;

	slab_randomize(5);
	fresh = kmem_cache_create("fresh", 64, 0, 0, NULL);
	ASSERT_TRUE(old && fresh);
	EXPECT_NE(old->random, 0);
	EXPECT_NE(fresh->random, 0);
	EXPECT_NE(old->random, fresh->random);
	EXPECT_NE(kmalloc_cache[0]->random, 0);
	slab_randomize(0);
	EXPECT_EQ(old->random, 0);
	EXPECT_EQ(kmalloc_cache[0]->random, 0);
	if (was)
		slab_randomize(test_seed() | 1);
	EXPECT_EQ(kmem_cache_destroy(old), 0);
	EXPECT_EQ(kmem_cache_destroy(fresh), 0);
}

/* More than a word of bits, and slabs that are full but for one. */
TEST(slab_random, many_small_objects)
{
	enum { MANY = 1000 };
	struct kmem_cache *c = kmem_cache_create("many", 16, 0, 0, NULL);
	static void *many[MANY];

	ASSERT_NOT_NULL(c);
	c->random = 9;
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < MANY; i++) {
			many[i] = kmem_cache_alloc(c, GFP_KERNEL);
			*(u64 *)many[i] = i;
		}
		EXPECT_SOUND(kmem_cache_check(c));
		for (unsigned i = 0; i < MANY; i++)
			EXPECT_EQ(*(u64 *)many[i], i);
		for (unsigned i = 0; i < MANY; i++)
			kmem_cache_free(c, many[i]);
	}
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* What was freed last does not come first, but for the magazine that is loaded. */
TEST(slab_random, magazines_are_shuffled)
{
	struct kmem_cache *c = kmem_cache_create("shuffled", 64, 0, 0, NULL);
	static void *was[2 * MAGAZINE_SLOTS], *is[2 * MAGAZINE_SLOTS];
	u64 n, half, nr_as_freed = 0;

	ASSERT_NOT_NULL(c);
	if (c->capacity == 0) {
		EXPECT_EQ(kmem_cache_destroy(c), 0);
		test_skip("needs magazines");
		return;
	}
	c->random = 11;
	n = 2ul * c->capacity;
	half = c->capacity;
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, n, was), n);
	for (u64 i = 0; i < n; i++)
		kmem_cache_free(c, was[i]);
	for (u64 i = 0; i < n; i++) {
		is[i] = kmem_cache_alloc(c, GFP_KERNEL);
		for (u64 j = 0; j < i; j++)
			EXPECT_TRUE(is[i] != is[j]);
		nr_as_freed += i >= half && is[i] == was[n - 1 - i];
	}
	EXPECT_LT(nr_as_freed, half / 4);
	EXPECT_SOUND(kmem_cache_check(c));
	kmem_cache_free_bulk(c, n, is);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Each of 64 places is expected 40 times, with a deviation of 6. */
TEST(slab_random, every_place_is_as_likely)
{
	struct kmem_cache *c = kmem_cache_create("random", 64, 0, SLAB_NO_MAGAZINE, NULL);
	static u32 count[1024];
	struct slab_object_info info;

	ASSERT_NOT_NULL(c);
	ASSERT_LE(c->nr_objects, ARRAY_SIZE(count));
	memset(count, 0, sizeof(count));
	c->random = 13;
	for (u32 i = 0; i < 40 * c->nr_objects; i++) {
		void *p = kmem_cache_alloc(c, GFP_KERNEL);

		ASSERT_TRUE(slab_object_of(p, &info));
		count[info.index]++;
		kmem_cache_free(c, p);
	}
	for (u32 i = 0; i < c->nr_objects; i++) {
		EXPECT_GT(count[i], 8);
		EXPECT_LT(count[i], 90);
	}
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Which of a full magazine's objects is handed out first, by its place there. */
static u64 first_of_spare(struct kmem_cache *c)
{
	static void *objects_of_two[2 * MAGAZINE_SLOTS];
	static struct magazine was;
	const struct cpu_objects *o = cpu_objects_of(c, (unsigned)mm_this(id));
	u64 half = c->capacity, n = 2 * half, nr = 0, place = 1;

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, n, objects_of_two), n);
	for (u64 i = 0; i < n; i++)
		kmem_cache_free(c, objects_of_two[i]);
	while (o->top != o->loaded->slot)
		objects_of_two[nr++] = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_EQ(o->nr_spare, half);
	memcpy(&was, o->spare, sizeof(was));
	objects_of_two[nr] = kmem_cache_alloc(c, GFP_KERNEL);
	while (place < half && was.slot[place].object != objects_of_two[nr])
		place++;
	for (u64 i = 0; i <= nr; i++)
		kmem_cache_free(c, objects_of_two[i]);
	return place;
}

/* Each of 62 is expected 20 times, with a deviation of 4. */
TEST(slab_random, every_object_of_a_magazine_may_come_first)
{
	struct kmem_cache *c = kmem_cache_create("shuffled", 64, 0, 0, NULL);
	u32 first[MAGAZINE_SLOTS + 1] = {0};

	ASSERT_NOT_NULL(c);
	if (c->capacity == 0 || c->quarantine != NULL || guard_on) {
		EXPECT_EQ(kmem_cache_destroy(c), 0);
		test_skip("needs magazines, and that what is freed lies in them at once");
		return;
	}
	c->random = 17;
	for (u32 round = 0; round < 20u * c->capacity; round++)
		first[first_of_spare(c)]++;
	for (u32 i = 1; i <= c->capacity; i++) {
		EXPECT_GT(first[i], 2);
		EXPECT_LT(first[i], 60);
	}
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static struct slab *slab_with_a_free_object(struct kmem_cache *c, void **p)
{
	c->random = 19;
	*p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(*p);
	return slab_of(*p);
}

/* What is free and what is used must agree, whichever is chosen. */
TEST(slab_random, a_free_bit_of_a_used_object)
{
	struct kmem_cache *c = kmem_cache_create("random", 64, 0, SLAB_NO_MAGAZINE, NULL);
	struct slab *s;
	void *p;

	ASSERT_NOT_NULL(c);
	s = slab_with_a_free_object(c, &p);
	for (u32 i = 0; i < c->nr_objects; i++)
		if (s->tag[i] == TAG_IN_SLAB)
			s->tag[i] = TAG_FIRST_SITE;
	EXPECT_PANIC("slab: free bit of a used object", (void)kmem_cache_alloc(c, GFP_KERNEL));
	spin_unlock(&c->lock); /* the panic came under it */
	for (u32 i = 0; i < c->nr_objects; i++)
		if (slab_object(c, s, i) != p)
			s->tag[i] = TAG_IN_SLAB;
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
