/*
 * The list of caches and their lives: in which order they are listed, what destroying refuses and
 * how it leaves a cache that it refuses, walks and destroyers that meet, and creating without
 * memory.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"
#include "tests/model/plain_cache.h"

static struct kmem_cache *must_create(const char *name, unsigned flags)
{
	struct kmem_cache *c = kmem_cache_create(name, 200, 0, flags, NULL);

	ASSERT_NOT_NULL(c);
	return c;
}

static bool is_listed(const struct kmem_cache *wanted)
{
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		if (c == wanted)
			return true;
	return false;
}

TEST(slab_cache, caches_are_listed_in_the_order_of_their_creation)
{
	struct kmem_cache *a = must_create("a", 0), *b = must_create("b", 0);
	struct kmem_cache *last = must_create("last", 0);

	EXPECT_STREQ(kmem_cache_name(kmem_cache_next(NULL)), "slab-record-128");
	EXPECT_TRUE(kmem_cache_next(a) == b);
	EXPECT_TRUE(kmem_cache_next(b) == last);
	EXPECT_NULL(kmem_cache_next(last));
	EXPECT_EQ(kmem_cache_destroy(b), 0);
	EXPECT_TRUE(kmem_cache_next(a) == last);
	EXPECT_FALSE(is_listed(b));
	EXPECT_EQ(kmem_cache_destroy(last), 0);
	EXPECT_NULL(kmem_cache_next(a));
	EXPECT_EQ(kmem_cache_destroy(a), 0);
}

TEST(slab_cache, records_are_of_the_smallest_size_that_holds_them)
{
	EXPECT_STREQ(kmem_cache_name(slab_record_cache(66)), "slab-record-128");
	EXPECT_STREQ(kmem_cache_name(slab_record_cache(128)), "slab-record-128");
	EXPECT_STREQ(kmem_cache_name(slab_record_cache(129)), "slab-record-192");
	EXPECT_STREQ(kmem_cache_name(slab_record_cache(1408)), "slab-record-1408");
	EXPECT_NULL(slab_record_cache(1409));
}

TEST(slab_cache, a_new_one_is_as_described)
{
	struct kmem_cache *c = must_create("new", SLAB_HWCACHE_ALIGN);

	EXPECT_EQ(c->size, 200);
	EXPECT_EQ(c->align, 64);
	EXPECT_EQ(c->stride, 256);
	EXPECT_EQ(c->flags, SLAB_HWCACHE_ALIGN);
	EXPECT_STREQ(c->lock.name, "slab cache");
	EXPECT_EQ(c->nr_walks, 0);
	EXPECT_FALSE(c->claimed);
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- what is no cache --- */

#define NO_CACHE "slab: not a cache, or destroyed before cache="

TEST(slab_cache, only_caches_are_destroyed)
{
	struct kmem_cache *c = must_create("c", 0), *other = kzalloc(sizeof(*c), GFP_KERNEL);
	u32 size = c->size;

	ASSERT_NOT_NULL(other);
	other->magic = CACHE_MAGIC; /* as good as it gets */
	EXPECT_PANIC(NO_CACHE, (void)kmem_cache_destroy(other));
	c->magic = 1;
	EXPECT_PANIC(NO_CACHE, (void)kmem_cache_destroy(c));
	c->magic = CACHE_MAGIC;
	c->size = CACHE_MAGIC; /* there `magic` is, seen from 8 bytes on */
	EXPECT_PANIC(NO_CACHE, (void)kmem_cache_destroy((void *)((char *)c + 8)));
	c->size = size;
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	platform_unpoison(c, sizeof(*c));
	c->magic = CACHE_MAGIC; /* its memory was written meanwhile */
	EXPECT_PANIC(NO_CACHE, (void)kmem_cache_destroy(c));
	c->magic = 0;
	platform_poison(c, sizeof(*c));
	kfree(other);
}

/* Whoever created it: the first call site that there is, too. */
TEST(slab_cache, a_cache_of_the_first_call_site)
{
	struct kmem_cache *c = must_create("c", 0);
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(c, &info));
	slab_of(c)->tag[info.index] = TAG_FIRST_SITE;
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- walks --- */

TEST(slab_cache, a_walk_passes_by_what_is_being_destroyed)
{
	struct kmem_cache *c = must_create("c", SLAB_NO_MAGAZINE);
	struct kmem_cache *last = must_create("last", SLAB_NO_MAGAZINE);

	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_free(last, kmem_cache_alloc(last, GFP_KERNEL));
	ASSERT_EQ(c->nr_slabs, 1);
	c->claimed = true;
	slab_shrink_all();
	EXPECT_EQ(c->nr_slabs, 1);
	EXPECT_EQ(last->nr_slabs, 0);
	c->claimed = false;
	EXPECT_GE(slab_shrink_all(), c->nr_pages);
	EXPECT_EQ(c->nr_slabs, 0);
	for (struct kmem_cache *i = kmem_cache_next(NULL); i != NULL; i = kmem_cache_next(i))
		EXPECT_EQ(i->nr_walks, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_EQ(kmem_cache_destroy(last), 0);
}

TEST(slab_cache, a_cache_that_is_not_destroyed_is_as_before)
{
	struct kmem_cache *c = must_create("busy", 0);
	void *object = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(object);
	EXPECT_EQ(kmem_cache_destroy(c), -EBUSY);
	EXPECT_TRUE(is_listed(c));
	EXPECT_FALSE(c->claimed);
	EXPECT_EQ(c->nr_walks, 0);
	EXPECT_EQ(c->magic, CACHE_MAGIC);
	kmem_cache_free(c, object);
	EXPECT_GE(slab_shrink_all(), c->nr_pages);
	EXPECT_EQ(c->nr_slabs, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- sums --- */

static u64 live_in(struct kmem_cache *c)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	return s.nr_live;
}

TEST(slab_cache, live_objects_are_those_of_all_caches_but_the_manager_s)
{
	void *object = kmalloc(100, GFP_KERNEL);
	u64 sum = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		sum += c->flags & SLAB_INTERNAL ? 0 : live_in(c);
	EXPECT_EQ(slab_live_objects(), sum);
	kfree(object);
	EXPECT_EQ(slab_live_objects(), sum - 1);
}

TEST(slab_cache, what_a_cache_costs_beside_its_slabs)
{
	struct kmem_cache *c = must_create("c", 0);
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.metadata_bytes, 0);
	for (unsigned i = 0; i < 3; i++)
		ASSERT_TRUE(slab_grow(c, GFP_KERNEL));
	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_slabs, 3);
	EXPECT_EQ(s.nr_magazines, 1);
	EXPECT_EQ(s.metadata_bytes, 3 * c->record_cache->stride + 1024);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	c = slab_record_cache(80);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.metadata_bytes, c->nr_slabs * c->record_bytes);
}

/* What is added to sums that others began. */
TEST(slab_cache, traffic_of_a_cache)
{
	struct kmem_cache *c = must_create("c", 0), *bare = must_create("bare", SLAB_NO_MAGAZINE);
	struct mm_traffic traffic = {.cache_locks = 1000, .object_trips = 2000};
	struct cpu_objects *o = cpu_objects_of(c, mm_nr_contexts() - 1);
	u64 locks = spin_nr_taken(&c->lock);

	c->cpu[0].nr_refills = 5;
	c->cpu[0].nr_flushes = 7;
	o->nr_refills = 30;
	o->nr_flushes = 40;
	cache_add_traffic(c, &traffic);
	EXPECT_EQ(traffic.object_trips, 2000 + 5 + 7 + 30 + 40);
	EXPECT_EQ(traffic.cache_locks, 1000 + locks);
	cache_add_traffic(bare, &traffic);
	EXPECT_EQ(traffic.object_trips, 2000 + 5 + 7 + 30 + 40);
	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_GT(spin_nr_taken(&c->lock), locks);
	EXPECT_EQ(kmem_cache_destroy(bare), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

struct site_sum {
	u32 tag;
	u64 objects, bytes;
};

static void visit(void *context, u32 tag, u64 nr, u64 bytes)
{
	struct site_sum *sum = context;

	sum->tag = tag;
	sum->objects += nr;
	sum->bytes += bytes;
}

/* The list that is printed when a cache cannot be destroyed. */
TEST(slab_cache, live_objects_by_site)
{
	struct kmem_cache *c = plain_cache_create("c", 4096, 0, 0);
	void *objects[2] = {slab_alloc(c, GFP_KERNEL, TAG_FIRST_SITE),
	                    slab_alloc(c, GFP_KERNEL, TAG_FIRST_SITE)};
	struct site_sum sum = {0};
	u16 *behind;

	ASSERT_TRUE(objects[0] != NULL && objects[1] != NULL);
	ASSERT_EQ(c->nr_slots, c->nr_objects);
	behind = &slab_of(objects[0])->tag[c->nr_slots]; /* no object's */
	ASSERT_LE(c->record_bytes + sizeof(*behind), c->record_cache->size);
	*behind = TAG_FIRST_SITE;
	cache_visit_sites(c, visit, &sum);
	EXPECT_EQ(sum.tag, TAG_FIRST_SITE);
	EXPECT_EQ(sum.objects, 2);
	EXPECT_EQ(sum.bytes, 2 * 4096);
	kmem_cache_free(c, objects[0]);
	kmem_cache_free(c, objects[1]);
	sum = (struct site_sum){0};
	cache_visit_sites(c, visit, &sum);
	EXPECT_EQ(sum.objects, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab_cache, shrinking_all_shrinks_the_manager_s_own_too)
{
	static const u16 records[] = {80, 96, 256, 1408};

	slab_shrink_all();
	for (unsigned i = 0; i < ARRAY_SIZE(records); i++)
		ASSERT_TRUE(slab_grow(slab_record_cache(records[i]), GFP_KERNEL));
	ASSERT_TRUE(slab_grow(&magazine_cache, GFP_KERNEL));
	ASSERT_TRUE(slab_grow(&cpu_objects_cache, GFP_KERNEL));
	EXPECT_EQ(slab_shrink_all(),
	          ARRAY_SIZE(records) + magazine_cache.nr_pages + cpu_objects_cache.nr_pages);
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		EXPECT_EQ(c->nr_empty, 0);
}

/* --- no memory --- */

/* Where struct kmem_cache come from. */
static struct kmem_cache *cache_of_caches(const struct kmem_cache *c)
{
	return slab_of(c)->cache;
}

TEST(slab_cache, no_memory_for_the_contexts_of_a_cache)
{
	static struct hoard hoard;
	static void *arrays[512];
	struct kmem_cache *pin = must_create("pin", SLAB_NO_MAGAZINE);
	struct kmem_cache *spare = must_create("spare", SLAB_NO_MAGAZINE), *caches;
	u64 live;
	u32 n = 0;

	caches = cache_of_caches(pin);
	EXPECT_EQ(kmem_cache_destroy(spare), 0); /* room for one more beside the pin */
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	while (n < ARRAY_SIZE(arrays) &&
	       (arrays[n] = slab_take_bare(&cpu_objects_cache, TAG_FIRST_SITE)) != NULL)
		n++;
	ASSERT_LT(n, ARRAY_SIZE(arrays));
	live = live_in(caches);
	spare = kmem_cache_create("spare", 64, 0, 0, NULL);
	EXPECT_NULL(spare);
	EXPECT_EQ(live_in(caches), live);
	spare = plain_cache_create("spare", 64, 0, SLAB_NO_MAGAZINE); /* needs none */
	EXPECT_NOT_NULL(spare);
	while (n-- > 0) {
		platform_unpoison(arrays[n], cpu_objects_cache.size);
		slab_free_bare(&cpu_objects_cache, arrays[n]);
	}
	hoard_drop_all(&hoard);
	EXPECT_EQ(kmem_cache_destroy(spare), 0);
	EXPECT_EQ(kmem_cache_destroy(pin), 0);
}

static u64 refills_of(struct kmem_cache *c)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	return s.nr_refills;
}

/* This context's alone: no other has made a trip. */
static u64 own_refills(struct kmem_cache *c)
{
	return cpu_objects_of(c, (unsigned)mm_this(id))->nr_refills;
}

/* An array of contexts that is initialized touches no other cache's. */
TEST(slab_cache, creating_one_leaves_the_magazines_of_others_alone)
{
	struct kmem_cache *all[6];

	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		all[i] = must_create("one of many", 0);
		kmem_cache_free(all[i], kmem_cache_alloc(all[i], GFP_KERNEL));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++) {
		EXPECT_EQ(kmem_cache_destroy(all[i]), 0);
		all[i] = must_create("a new one", 0);
		for (unsigned j = 0; j < ARRAY_SIZE(all); j++) {
			EXPECT_SOUND(kmem_cache_check(all[j]));
			EXPECT_EQ(magazine_objects(all[j]) > 0, j > i);
			EXPECT_EQ(refills_of(all[j]), own_refills(all[j]));
		}
	}
	for (unsigned i = 0; i < ARRAY_SIZE(all); i++)
		EXPECT_EQ(kmem_cache_destroy(all[i]), 0);
}

/* The array of one that is gone may be another's by now. */
TEST(slab_cache, a_destroyed_one_does_not_reach_into_the_magazines_of_others)
{
	struct kmem_cache *first = must_create("first", SLAB_NO_MAGAZINE);
	struct kmem_cache *gone = must_create("gone", 0), *heir;
	struct cpu_objects *array = gone->cpu;

	EXPECT_EQ(kmem_cache_destroy(gone), 0);
	EXPECT_EQ(kmem_cache_destroy(first), 0);
	heir = must_create("heir", 0);
	ASSERT_TRUE(heir == first && heir->cpu == array);
	kmem_cache_free(heir, kmem_cache_alloc(heir, GFP_KERNEL));
	platform_unpoison(gone, sizeof(*gone));
	EXPECT_PANIC("slab: allocation from a destroyed cache",
	             (void)kmem_cache_alloc(gone, GFP_KERNEL));
	platform_poison(gone, sizeof(*gone));
	EXPECT_EQ(kmem_cache_destroy(heir), 0);
}
