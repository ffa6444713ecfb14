/*
 * Object caches: what they hand out, constructors, how slabs come and go. Layouts are in
 * slab_layout_test.c, wrong frees in slab_fault_test.c, the checker in slab_check_test.c, random
 * operations in tests/model/object_model.c.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/free_memory.h"
#include "tests/model/hoard.h"

#define MAX_OBJECTS 1200u

static void *objects[MAX_OBJECTS];

static struct kmem_cache *must_create(size_t size, size_t align, unsigned flags,
                                      void (*ctor)(void *))
{
	struct kmem_cache *c = kmem_cache_create("test", size, align, flags, ctor);

	ASSERT_NOT_NULL(c);
	return c;
}

static struct kmem_cache_stats stats_of(struct kmem_cache *c)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_live + s.nr_cached + s.nr_in_slab, s.nr_slabs * s.objects_per_slab);
	EXPECT_EQ(s.nr_empty_slabs + s.nr_partial_slabs + s.nr_full_slabs, s.nr_slabs);
	return s;
}

static void alloc_many(struct kmem_cache *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		objects[i] = kmem_cache_alloc(c, GFP_KERNEL);
		ASSERT_NOT_NULL(objects[i]);
	}
}

static void free_many(struct kmem_cache *c, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kmem_cache_free(c, objects[i]);
}

/* Every byte of every object is its owner's alone. */
static void expect_disjoint(struct kmem_cache *c, unsigned n, size_t size)
{
	alloc_many(c, n);
	for (unsigned i = 0; i < n; i++)
		memset(objects[i], (int)(i * 37 + 1), size);
	for (unsigned i = 0; i < n; i++)
		EXPECT_NULL(mem_find_other(objects[i], (u8)(i * 37 + 1), size));
	EXPECT_EQ(stats_of(c).nr_live, n);
	EXPECT_SOUND(kmem_cache_check(c));
	free_many(c, n);
}

TEST(slab, objects_of_any_size_and_alignment)
{
	static const u32 sizes[] = {1,     2,     7,     8,     16,     17,           24,   31,
	                            33,    64,    65,    96,    100,    120,          192,  255,
	                            257,   500,   512,   700,   1000,   1024,         1025, 2048,
	                            2100,  3000,  4096,  4097,  5000,   8192,         9000, 12000,
	                            20000, 32768, 32769, 65536, 100000, SLAB_MAX_SIZE};
	static const u32 aligns[] = {0, 1, 8, 16, 64, 256, 4096};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		u32 size = sizes[i], align = aligns[i % ARRAY_SIZE(aligns)];
		u32 n = 100000 / size < 2 ? 2 : 100000 / size > 600 ? 600 : 100000 / size;
		struct kmem_cache *c = must_create(size, align, 0, NULL);
		struct kmem_cache_stats s;

		expect_disjoint(c, n, size);
		s = stats_of(c);
		EXPECT_GE(s.stride, size);
		for (unsigned j = 0; j < n; j++)
			EXPECT_TRUE(is_aligned((u64)objects[j], align > 8 ? align : 8));
		EXPECT_EQ(kmem_cache_size(c), size);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

TEST(slab, natural_alignment)
{
	static const struct {
		u32 size, flags, align;
	} cases[] = {
	    {1, 0, 8},
	    {8, 0, 8},
	    {16, 0, 16},
	    {32, 0, 32},
	    {64, 0, 64},
	    {128, 0, 64},
	    {24, 0, 8},
	    {48, 0, 8},
	    {100, 0, 8},
	    {100, SLAB_HWCACHE_ALIGN, 64},
	    {33, SLAB_HWCACHE_ALIGN, 64},
	    {20, SLAB_HWCACHE_ALIGN, 32},
	    {16, SLAB_HWCACHE_ALIGN, 16},
	    {5, SLAB_HWCACHE_ALIGN, 8},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kmem_cache *c = must_create(cases[i].size, 0, cases[i].flags, NULL);

		alloc_many(c, 40);
		for (unsigned j = 0; j < 40; j++)
			EXPECT_TRUE(is_aligned((u64)objects[j], cases[i].align));
		free_many(c, 40);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

TEST(slab, create_refuses_impossible_arguments)
{
	EXPECT_NULL(kmem_cache_create("test", 0, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("test", SLAB_MAX_SIZE + 1, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("test", SIZE_MAX, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("test", 8, 3, 0, NULL));
	EXPECT_NULL(kmem_cache_create("test", 8, 2 * PAGE_SIZE, 0, NULL));
	EXPECT_NULL(kmem_cache_create("test", 8, 0, 0x8000, NULL));
	EXPECT_NULL(kmem_cache_create(NULL, 8, 0, 0, NULL));
	EXPECT_NULL(kmem_cache_create("", 8, 0, 0, NULL));
	EXPECT_EQ(kmem_cache_destroy(NULL), 0);
}

TEST(slab, the_name_is_copied_and_cut)
{
	char name[] = "a name that is longer than thirty-one characters";
	struct kmem_cache *c = kmem_cache_create(name, 8, 0, 0, NULL);

	ASSERT_NOT_NULL(c);
	name[0] = 'X';
	EXPECT_STREQ(kmem_cache_name(c), "a name that is longer than thir");
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static unsigned nr_constructed;

static void construct(void *object)
{
	u64 *words = object;

	words[0] = 0xc0ffee;
	words[1] = (u64)object;
	nr_constructed++;
}

TEST(slab, constructors_run_once_and_their_work_survives)
{
	struct kmem_cache *c = must_create(96, 0, 0, construct);
	unsigned n;

	nr_constructed = 0;
	for (n = 0; n < 200 || stats_of(c).nr_cached + stats_of(c).nr_in_slab > 0; n++)
		ASSERT_NOT_NULL(objects[n] = kmem_cache_alloc(c, GFP_KERNEL));
	EXPECT_EQ(nr_constructed, n); /* every object there is */
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < n; i++) {
			u64 *words = objects[i];

			EXPECT_EQ(words[0], 0xc0ffee);
			EXPECT_EQ(words[1], (u64)words);
			words[3] = round;
		}
		/* The other half stays live, so no slab leaves, and none is made. */
		for (unsigned i = 0; i < n; i += 2)
			kmem_cache_free(c, objects[i]);
		for (unsigned i = 0; i < n; i += 2)
			objects[i] = kmem_cache_alloc(c, GFP_KERNEL);
		for (unsigned i = 0; i < n; i++)
			EXPECT_EQ(((u64 *)objects[i])[3], round);
		EXPECT_EQ(nr_constructed, n);
	}
	free_many(c, n);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, nothing_is_written_into_free_objects)
{
	struct kmem_cache *c = must_create(64, 0, 0, NULL);
	unsigned n = stats_of(c).objects_per_slab;
	void *pin;

	alloc_many(c, n);
	pin = objects[n / 2]; /* keeps the slab */
	for (unsigned i = 0; i < n; i++)
		memset(objects[i], 0xd7, 64);
	for (unsigned i = 0; i < n; i++)
		if (objects[i] != pin)
			kmem_cache_free(c, objects[i]);
	kmem_cache_shrink(c);
	for (unsigned i = 0; i < n; i++)
		if (objects[i] != pin)
			EXPECT_NULL(free_memory_find_other(objects[i], 0xd7, 64));
	kmem_cache_free(c, pin);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, the_object_just_freed_comes_next)
{
	struct kmem_cache *c = must_create(40, 0, 0, NULL);

	alloc_many(c, 3);
	kmem_cache_free(c, objects[0]);
	kmem_cache_free(c, objects[2]);
	EXPECT_TRUE(kmem_cache_alloc(c, GFP_KERNEL) == objects[2]);
	EXPECT_TRUE(kmem_cache_alloc(c, GFP_KERNEL) == objects[0]);
	free_many(c, 3);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, zeroing_on_free_and_on_alloc)
{
	struct kmem_cache *wiped = must_create(104, 0, SLAB_ZERO_ON_FREE, NULL);
	struct kmem_cache *plain = must_create(104, 0, 0, NULL);

	alloc_many(wiped, 2); /* the second keeps the slab */
	memset(objects[0], 0xaa, 104);
	memset(objects[1], 0xbb, 104);
	kmem_cache_free(wiped, objects[0]);
	EXPECT_NULL(free_memory_find_other(objects[0], 0, 104));
	EXPECT_NULL(mem_find_other(objects[1], 0xbb, 104));
	kmem_cache_free(wiped, objects[1]);

	alloc_many(plain, 2);
	memset(objects[0], 0xaa, 104);
	memset(objects[1], 0xbb, 104);
	kmem_cache_free(plain, objects[0]);
	objects[0] = kmem_cache_zalloc(plain, GFP_KERNEL);
	EXPECT_NULL(mem_find_other(objects[0], 0, 104));
	EXPECT_NULL(mem_find_other(objects[1], 0xbb, 104));
	free_many(plain, 2);
	EXPECT_EQ(kmem_cache_destroy(wiped), 0);
	EXPECT_EQ(kmem_cache_destroy(plain), 0);
}

TEST(slab, zeroing_would_undo_a_constructor)
{
	struct kmem_cache *c = must_create(96, 0, 0, construct);

	EXPECT_PANIC("ctor", (void)kmem_cache_zalloc(c, GFP_KERNEL));
	EXPECT_EQ(stats_of(c).nr_live, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, destroy_refuses_while_objects_live)
{
	struct kmem_cache *c = must_create(200, 0, 0, NULL);

	alloc_many(c, 3);
	kmem_cache_free(c, objects[0]);
	EXPECT_EQ(kmem_cache_destroy(c), -EBUSY);
	EXPECT_EQ(stats_of(c).nr_live, 2);
	objects[0] = kmem_cache_alloc(c, GFP_KERNEL); /* and it works on */
	ASSERT_NOT_NULL(objects[0]);
	EXPECT_SOUND(kmem_cache_check(c));
	free_many(c, 3);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, shrink_returns_every_empty_slab)
{
	struct kmem_cache *c = must_create(512, 0, 0, NULL);
	struct kmem_cache_stats s;
	struct mm_usage before, after;

	alloc_many(c, 64);
	free_many(c, 64);
	s = stats_of(c);
	EXPECT_GT(s.nr_slabs, 0);
	mm_usage(&before);
	EXPECT_EQ(kmem_cache_shrink(c), s.nr_slabs * s.pages_per_slab);
	mm_usage(&after);
	EXPECT_EQ(before.slab_pages - after.slab_pages, s.nr_slabs * s.pages_per_slab);
	EXPECT_EQ(stats_of(c).nr_slabs, 0);
	EXPECT_EQ(kmem_cache_shrink(c), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, few_empty_slabs_are_kept)
{
	struct kmem_cache *c = must_create(512, 0, SLAB_NO_MAGAZINE, NULL);
	unsigned n = 12 * stats_of(c).objects_per_slab;

	ASSERT_LE(n, MAX_OBJECTS);
	alloc_many(c, n);
	EXPECT_EQ(stats_of(c).nr_slabs, 12);
	EXPECT_EQ(stats_of(c).nr_full_slabs, 12);
	free_many(c, n);
	EXPECT_EQ(stats_of(c).nr_slabs, 1);
	EXPECT_EQ(stats_of(c).nr_empty_slabs, 1);
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Slab s (of three full ones) loses the first `n` of its objects. */
static void free_from(struct kmem_cache *c, unsigned per_slab, unsigned s, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		kmem_cache_free(c, objects[s * per_slab + i]);
}

TEST(slab, the_fullest_slab_refills_first)
{
	struct kmem_cache *c = must_create(64, 0, SLAB_NO_MAGAZINE, NULL);
	unsigned n = stats_of(c).objects_per_slab;
	void *last_freed;

	alloc_many(c, 3 * n);
	last_freed = objects[2 * n];
	free_from(c, n, 0, n); /* empty */
	free_from(c, n, 1, n / 2);
	free_from(c, n, 2, 1); /* nearly full */
	objects[2 * n] = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_TRUE(objects[2 * n] == last_freed);
	for (unsigned i = 0; i < n / 2; i++) {
		objects[n + i] = kmem_cache_alloc(c, GFP_KERNEL);
		EXPECT_TRUE(slab_of(objects[n + i]) == slab_of(objects[2 * n - 1]));
	}
	EXPECT_EQ(stats_of(c).nr_empty_slabs, 1);
	free_from(c, n, 1, n);
	free_from(c, n, 2, n);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, bulk_is_all_or_nothing)
{
	static struct hoard hoard;
	struct kmem_cache *c = must_create(1024, 0, 0, NULL);

	EXPECT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 0, objects), 0);
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 100, objects), 100);
	EXPECT_EQ(stats_of(c).nr_live, 100);
	for (unsigned i = 0; i < 100; i++)
		memset(objects[i], (int)i, 1024);
	for (unsigned i = 0; i < 100; i++)
		EXPECT_NULL(mem_find_other(objects[i], (u8)i, 1024));
	kmem_cache_free_bulk(c, 100, objects);
	EXPECT_EQ(stats_of(c).nr_live, 0);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_EQ(kmem_cache_alloc_bulk(c, GFP_NOWAIT | __GFP_NOWARN, 1000, objects), 0);
	EXPECT_EQ(stats_of(c).nr_live, 0);
	EXPECT_SOUND(kmem_cache_check(c));
	hoard_drop_all(&hoard);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* With any number of pages left, an allocation that fails leaves nothing behind. */
TEST(slab, out_of_memory_in_the_middle_of_a_new_slab)
{
	static struct hoard hoard;
	static struct page *spare[12];
	static struct free_shape shape;

	slab_shrink_all();
	free_shape_take(&shape);
	for (unsigned left = 0; left < ARRAY_SIZE(spare); left++) {
		struct kmem_cache *c = must_create(3000, 0, 0, NULL);
		unsigned n = 0;

		ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, left, spare), left);
		hoard_take_all(&hoard, GFP_NOWAIT);
		free_pages_bulk(left, spare);
		while (n < MAX_OBJECTS &&
		       (objects[n] = kmem_cache_alloc(c, GFP_NOWAIT | __GFP_NOWARN)) != NULL)
			n++;
		EXPECT_LE(n, left * PAGE_SIZE / 3000);
		EXPECT_SOUND(slab_check());
		free_many(c, n);
		hoard_drop_all(&hoard);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
		slab_shrink_all();
	}
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(slab, an_address_tells_its_object)
{
	struct kmem_cache *c = must_create(120, 0, 0, NULL);
	struct slab_object_info info;
	struct page *page;

	alloc_many(c, 50);
	for (unsigned i = 0; i < 50; i++)
		for (unsigned offset = 0; offset < 120; offset += 17) {
			ASSERT_TRUE(slab_object_of((char *)objects[i] + offset, &info));
			EXPECT_TRUE(info.cache == c);
			EXPECT_TRUE(info.object == objects[i]);
			EXPECT_EQ(info.offset, offset);
			EXPECT_GE(info.tag, TAG_FIRST_SITE);
		}
	kmem_cache_free(c, objects[49]);
	ASSERT_TRUE(slab_object_of(objects[49], &info));
	EXPECT_EQ(info.tag, TAG_IN_MAGAZINE);
	EXPECT_FALSE(slab_object_of(&info, &info));
	EXPECT_FALSE(slab_object_of(NULL, &info));
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_FALSE(slab_object_of(page_address(page), &info));
	free_page(page);
	free_many(c, 49);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(slab, interrupts_are_put_back)
{
	struct kmem_cache *c = must_create(256, 0, 0, NULL);
	u64 flags = irq_save();

	for (unsigned i = 0; i < 200; i++)
		objects[i] = kmem_cache_alloc(c, GFP_ATOMIC);
	EXPECT_FALSE(irq_is_enabled());
	for (unsigned i = 0; i < 200; i++)
		kmem_cache_free(c, objects[i]);
	EXPECT_FALSE(irq_is_enabled());
	irq_restore(flags);
	alloc_many(c, 200);
	EXPECT_TRUE(irq_is_enabled());
	free_many(c, 200);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_TRUE(irq_is_enabled());
}
