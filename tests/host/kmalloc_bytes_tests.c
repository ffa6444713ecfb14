/*
 * Which bytes of a block may be touched, asked of the address sanitizer byte by byte: those that
 * were asked for, all that ksize() has told of, none of a freed one. For every class and for large
 * blocks, by every way in, and after every way of changing the size.
 *
 * poison_tests.c looks at what a wrong access leads to.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/test.h>

#if HOST_ASAN

/* Of the sanitizer's runtime. */
int __asan_address_is_poisoned(const volatile void *p);
void *__asan_region_is_poisoned(void *p, size_t n);

static bool is_open(const char *p, size_t n)
{
	return n == 0 || __asan_region_is_poisoned((void *)p, n) == NULL;
}

static bool is_shut(const char *p, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!__asan_address_is_poisoned(p + i))
			return false;
	return true;
}

/* The bytes that a block of this size takes. */
static size_t room_for(size_t size)
{
	return size <= KMALLOC_MAX_CLASS ? kmalloc_class_size(size) : align_up(size, PAGE_SIZE);
}

static void expect_exactly(const char *p, size_t size)
{
	ASSERT_NOT_NULL(p);
	EXPECT_TRUE(is_open(p, size));
	EXPECT_TRUE(is_shut(p + size, room_for(size) - size));
}

/* Freed, and (a class's: a large block's pages are anybody's) shut. */
static void free_exactly(char *p, size_t size)
{
	expect_exactly(p, size);
	kfree(p);
	if (size <= KMALLOC_MAX_CLASS)
		EXPECT_TRUE(is_shut(p, room_for(size)));
	else
		EXPECT_TRUE(is_open(p, room_for(size)));
}

static const u32 sizes[] = {1,   7,   8,    9,    16,   17,   63,   64,   65,    100,   112,  113,
                            505, 512, 2049, 4095, 4096, 8191, 8192, 8193, 12287, 12288, 12289};

/* Twice: out of the slab, or a fresh run; and then out of the magazine. */
TEST(kmalloc_bytes, every_way_in)
{
	for (unsigned i = 0; i < 2 * ARRAY_SIZE(sizes); i++) {
		volatile size_t late = sizes[i / 2];
		size_t size = late;

		free_exactly(kmalloc(size, GFP_KERNEL), size);
		free_exactly(kzalloc(size, GFP_KERNEL), size);
		free_exactly(kmalloc(size, GFP_KERNEL | __GFP_DATA), size);
		free_exactly(kmalloc_any(size, GFP_ATOMIC, ALLOC_TAG()), size);
		free_exactly(kmalloc_node(size, GFP_KERNEL, 0), size);
		free_exactly(kmalloc_array(size, 1, GFP_KERNEL), size);
		free_exactly(krealloc(NULL, size, GFP_KERNEL), size);
	}
}

TEST(kmalloc_bytes, all_that_ksize_tells_of)
{
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		char *p = kmalloc(sizes[i], GFP_KERNEL);
		size_t room = ksize(p);

		EXPECT_EQ(room, room_for(sizes[i]));
		EXPECT_TRUE(is_open(p, room));
		kfree_sensitive(p);
		if (room <= KMALLOC_MAX_CLASS)
			EXPECT_TRUE(is_shut(p, room));
	}
}

/* Every size from every other: in place or moved, and by both of krealloc()'s ways. */
TEST(kmalloc_bytes, krealloc)
{
	for (unsigned from = 0; from < ARRAY_SIZE(sizes); from++)
		for (unsigned to = 0; to < ARRAY_SIZE(sizes); to++) {
			char *p = kmalloc(sizes[from], GFP_KERNEL), *q;

			expect_exactly(p, sizes[from]);
			memset(p, (int)from + 1, sizes[from]);
			q = krealloc(p, sizes[to], GFP_KERNEL);
			expect_exactly(q, sizes[to]);
			EXPECT_NULL(
			    mem_find_other(q, (u8)(from + 1), min_u64(sizes[from], sizes[to])));
			if (q != p && sizes[from] <= KMALLOC_MAX_CLASS)
				EXPECT_TRUE(is_shut(p, room_for(sizes[from])));
			free_exactly(q, sizes[to]);
		}
}

/* The bytes behind an object's class, where objects lie apart, are nobody's. */
TEST(kmalloc_bytes, low_memory_and_strings)
{
	char *low = kmalloc(100, GFP_KERNEL | __GFP_DMA),
	     *copy = kstrdup("twelve bytes", GFP_KERNEL);

	ASSERT_NOT_NULL(low);
	EXPECT_TRUE(is_open(low, 100));
	EXPECT_TRUE(is_shut(low + 100, PAGE_SIZE - 100));
	kfree(low);
	expect_exactly(copy, 13);
	free_exactly(copy, 13);
}
#endif
