/*
 * What the grader asks of kmalloc beside the tests that everyone can read: random sizes, and blocks
 * that are signed when they are had and looked at when they go.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define LIVE 64u

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

static size_t any_size(void)
{
	return below(8) ? 1 + below(1u << (4 + below(10))) : 1 + below(300000);
}

TEST(lab5_classes, the_smallest_class_that_holds_the_size)
{
	size_t classes[40], nr = 0;

	for (size_t size = 16; size <= 64; size += 16)
		classes[nr++] = size;
	for (size_t low = 64; low < KMALLOC_MAX_CLASS; low *= 2)
		for (size_t quarter = 1; quarter <= 4; quarter++)
			classes[nr++] = low + low / 4 * quarter;
	for (size_t size = 1, class = 0; size <= KMALLOC_MAX_CLASS; size++) {
		if (size > classes[class])
			class ++;
		ASSERT_EQ(kmalloc_class_size(size), classes[class]);
	}
	EXPECT_EQ(kmalloc_class_size(0), 16);
	EXPECT_EQ(kmalloc_class_size(KMALLOC_MAX_CLASS + 1), 0);
}

TEST(lab5_classes, powers_of_two_are_aligned_to_themselves)
{
	for (size_t size = 16; size <= KMALLOC_MAX_CLASS; size *= 2) {
		void *p[8];

		for (u32 i = 0; i < ARRAY_SIZE(p); i++) {
			p[i] = kmalloc(size, GFP_KERNEL);
			ASSERT_NOT_NULL(p[i]);
			EXPECT_TRUE(is_aligned((u64)p[i], size < PAGE_SIZE ? size : PAGE_SIZE));
		}
		for (u32 i = 0; i < ARRAY_SIZE(p); i++)
			kfree(p[i]);
	}
}

TEST(lab5_large, random_sizes_cost_their_pages)
{
	for (u32 round = 0; round < 60; round++) {
		size_t size = KMALLOC_MAX_CLASS + 1 + below(400000);
		u64 before, pages = kmalloc_large_pages();
		struct mm_usage usage;
		void *p;

		drain_cpu_pages();
		mm_usage(&usage);
		before = usage.used_pages;
		p = kmalloc(size, GFP_KERNEL);
		ASSERT_NOT_NULL(p);
		drain_cpu_pages();
		mm_usage(&usage);
		EXPECT_EQ(usage.used_pages - before, div_round_up(size, PAGE_SIZE));
		EXPECT_EQ(kmalloc_large_pages() - pages, div_round_up(size, PAGE_SIZE));
		EXPECT_EQ(ksize(p), align_up(size, PAGE_SIZE));
		kfree(p);
		EXPECT_EQ(kmalloc_large_pages(), pages);
	}
}

TEST(lab5_free, the_middle_of_a_block_is_refused)
{
	for (u32 round = 0; round < 40; round++) {
		size_t size = 64 + any_size();
		u8 *p = kmalloc(size, GFP_KERNEL);

		ASSERT_NOT_NULL(p);
		EXPECT_PANIC("kfree", kfree(p + 8 * (1 + below((u32)size / 8 - 1))));
		EXPECT_GE(ksize(p), size);
		kfree(p);
	}
	kfree(NULL);
	kfree(ZERO_SIZE_PTR);
	EXPECT_EQ(ksize(NULL), 0);
	EXPECT_EQ(ksize(ZERO_SIZE_PTR), 0);
}

static u8 *block[LIVE];
static size_t length[LIVE];
static u8 mark[LIVE];

static void expect_marked(u32 i, size_t bytes)
{
	for (size_t at = 0; at < bytes; at++)
		ASSERT_EQ(block[i][at], mark[i]);
}

TEST(lab5_realloc, random_blocks_keep_what_they_hold)
{
	memset(block, 0, sizeof(block));
	memset(length, 0, sizeof(length));
	for (u32 step = 0; step < 1500; step++) {
		u32 i = below(LIVE);
		size_t size = any_size();
		u8 *p;

		if (below(3) == 0) {
			kfree(block[i]);
			block[i] = NULL;
			length[i] = 0;
			continue;
		}
		p = krealloc(block[i], size, GFP_KERNEL);
		ASSERT_NOT_NULL(p);
		block[i] = p;
		expect_marked(i, size < length[i] ? size : length[i]);
		length[i] = size;
		mark[i] = (u8)(step * 7 + 1);
		memset(p, mark[i], size);
	}
	for (u32 i = 0; i < LIVE; i++) {
		if (block[i] != NULL)
			expect_marked(i, length[i]);
		kfree(block[i]);
	}
}

TEST(lab5_realloc, to_nothing_is_a_free)
{
	for (u32 round = 0; round < 20; round++) {
		void *p = kmalloc(any_size(), GFP_KERNEL);

		EXPECT_EQ((u64)krealloc(p, 0, GFP_KERNEL), (u64)ZERO_SIZE_PTR);
	}
}

TEST(lab5_arrays, what_does_not_fit_is_not_had)
{
	for (u32 round = 0; round < 200; round++) {
		size_t n = rng_next(test_rng()) >> below(64),
		       size = rng_next(test_rng()) >> below(64);
		size_t bytes;

		if (__builtin_mul_overflow(n, size, &bytes))
			EXPECT_NULL(kmalloc_array(n, size, GFP_KERNEL | __GFP_NOWARN));
	}
	for (u32 round = 0; round < 50; round++) {
		size_t n = 1 + below(40), size = 1 + below(300);
		u8 *p = kcalloc(n, size, GFP_KERNEL), *copy;

		ASSERT_NOT_NULL(p);
		EXPECT_GE(ksize(p), n * size);
		EXPECT_NULL(mem_find_other(p, 0, n * size));
		memset(p, (int)round + 1, n * size);
		copy = kmemdup(p, n * size, GFP_KERNEL);
		ASSERT_NOT_NULL(copy);
		EXPECT_EQ(memcmp(copy, p, n * size), 0);
		kfree(copy);
		kfree(p);
	}
}
