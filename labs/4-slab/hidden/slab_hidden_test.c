/*
 * What the grader asks of slabs beside the tests that everyone can read: caches of random sizes,
 * objects that are signed when they are had and looked at when they go, and books that balance.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define LIVE 300u

static u64 below(u64 bound)
{
	return rng_below(test_rng(), bound);
}

static struct kmem_cache *any_cache(size_t *size)
{
	size_t align = below(3) ? 0 : 16ul << below(4);
	struct kmem_cache *c;

	*size = 8 + below(below(4) ? 900 : 9000);
	c = kmem_cache_create("hidden", *size, align, 0, NULL);
	ASSERT_NOT_NULL(c);
	return c;
}

static u64 used_pages(void)
{
	struct mm_usage usage;

	drain_cpu_pages();
	mm_usage(&usage);
	return usage.used_pages;
}

/* --- 4.1 --- */

TEST(lab4_layout, any_size_fits_and_wastes_little)
{
	for (u32 round = 0; round < 150; round++) {
		size_t size;
		struct kmem_cache *c = any_cache(&size);
		u64 bytes = (u64)c->nr_pages << PAGE_SHIFT, used = (u64)c->nr_objects * c->stride;

		EXPECT_GE(c->stride, size);
		EXPECT_GT(c->nr_objects, 0);
		EXPECT_LE(used, bytes);
		EXPECT_LT(bytes - used, c->stride); /* or there was room for one more */
		EXPECT_LE(bytes - used, bytes / 8);
		if (c->record_cache != NULL)
			EXPECT_LE(c->record_bytes, c->record_cache->size);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

/* --- 4.2 and 4.3 --- */

static u8 *object[LIVE];

static void sign(u32 i, size_t size)
{
	memset(object[i], (int)(i & 0xff), size);
}

static void expect_signed(u32 i, size_t size)
{
	EXPECT_NULL(mem_find_other(object[i], (u8)i, size));
}

static void churn(struct kmem_cache *c, size_t size)
{
	memset(object, 0, sizeof(object));
	for (u32 step = 0; step < 2000; step++) {
		u32 i = (u32)below(LIVE);

		if (object[i] != NULL) {
			expect_signed(i, size);
			kmem_cache_free(c, object[i]);
			object[i] = NULL;
		} else {
			object[i] = kmem_cache_alloc(c, GFP_KERNEL);
			ASSERT_NOT_NULL(object[i]);
			sign(i, size);
		}
	}
}

static void drop_all(struct kmem_cache *c, size_t size)
{
	for (u32 i = 0; i < LIVE; i++)
		if (object[i] != NULL) {
			expect_signed(i, size);
			kmem_cache_free(c, object[i]);
		}
}

TEST(lab4_take, nobody_has_what_another_has)
{
	for (u32 round = 0; round < 8; round++) {
		size_t size;
		struct kmem_cache *c = any_cache(&size);

		churn(c, size);
		EXPECT_SOUND(slab_check());
		drop_all(c, size);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

/* What is freed at random comes back to its slab, and the next ones are taken from there. */
TEST(lab4_put, free_objects_are_used_before_new_slabs)
{
	struct kmem_cache *c = kmem_cache_create("hidden", 120, 0, 0, NULL);
	u64 slabs;

	ASSERT_NOT_NULL(c);
	for (u32 i = 0; i < LIVE; i++) {
		object[i] = kmem_cache_alloc(c, GFP_KERNEL);
		ASSERT_NOT_NULL(object[i]);
	}
	slabs = c->nr_slabs;
	for (u32 round = 0; round < 10; round++) {
		u32 first = (u32)below(LIVE / 2);

		for (u32 i = first; i < first + LIVE / 2; i++)
			kmem_cache_free(c, object[i]);
		kmem_cache_shrink(c);
		EXPECT_LE(c->nr_slabs, slabs);
		for (u32 i = first; i < first + LIVE / 2; i++) {
			object[i] = kmem_cache_alloc(c, GFP_KERNEL);
			ASSERT_NOT_NULL(object[i]);
		}
		EXPECT_LE(c->nr_slabs, slabs + 1);
		EXPECT_SOUND(slab_check());
	}
	for (u32 i = 0; i < LIVE; i++)
		kmem_cache_free(c, object[i]);
	kmem_cache_shrink(c);
	EXPECT_EQ(c->nr_slabs, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- 4.4 --- */

/* A slab's record goes with it: two thousand slabs would leave many pages of them. */
TEST(lab4_release, nothing_of_a_slab_stays)
{
	struct kmem_cache *c = kmem_cache_create("hidden", 3000, 0, 0, NULL);
	u64 before;

	ASSERT_NOT_NULL(c);
	kmem_cache_free(c, kmem_cache_alloc(c, GFP_KERNEL));
	kmem_cache_shrink(c);
	before = used_pages();
	for (u32 round = 0; round < 2000; round++) {
		void *p = kmem_cache_alloc(c, GFP_KERNEL);

		ASSERT_NOT_NULL(p);
		kmem_cache_free(c, p);
		kmem_cache_shrink(c);
	}
	EXPECT_LE(used_pages(), before + 2);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}
