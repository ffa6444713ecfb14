/*
 * How pages are cut into objects, for every stride: which number of pages is chosen, the bound on
 * waste, the index arithmetic, and the room in the record. The layout is a pure function of a
 * cache's description, so no memory is allocated here.
 */
#include "mm/slab_internal.h"

#include "tests/model/expect.h"

static struct kmem_cache c;

static void lay_out(u32 stride)
{
	memset(&c, 0, sizeof(c));
	c.size = c.stride = stride;
	ASSERT_TRUE(cache_layout(&c));
}

static u32 next_stride(u32 stride)
{
	return stride + (stride < 4096 ? 8 : stride < 32768 ? 40 : 1000);
}

#define FOR_EACH_STRIDE(s) for (u32 s = 16; s <= SLAB_MAX_SIZE; s = next_stride(s))

TEST(slab_layout, tail_and_metadata_waste_an_eighth_at_most)
{
	FOR_EACH_STRIDE(stride)
	{
		u64 bytes, record, waste;

		lay_out(stride);
		bytes = (u64)c.nr_pages << PAGE_SHIFT;
		record = c.record_cache->stride;
		waste = bytes - (u64)c.nr_objects * stride + record;
		if (waste * 8 > bytes + record)
			test_fail(__FILE__, __LINE__, "stride %u: %lu of %lu bytes are wasted",
			          stride, waste, bytes + record);
	}
}

TEST(slab_layout, objects_lie_inside_and_use_what_fits)
{
	FOR_EACH_STRIDE(stride)
	{
		u32 bytes;

		lay_out(stride);
		bytes = c.nr_pages << PAGE_SHIFT;
		EXPECT_GE(c.nr_objects, 1);
		EXPECT_LE(c.nr_objects * stride, bytes);
		EXPECT_LT(bytes - c.nr_objects * stride, stride);
		EXPECT_GE(c.nr_slots * stride, bytes);
		EXPECT_LE(c.nr_pages, 64);
	}
}

TEST(slab_layout, records_hold_their_tags_and_bits)
{
	FOR_EACH_STRIDE(stride)
	{
		u32 tags_end, bits_end;
		bool in_head;

		lay_out(stride);
		in_head = c.bits_offset == offsetof(struct slab, bits);
		tags_end = (u32)(offsetof(struct slab, tag) + c.nr_slots * sizeof(u16));
		bits_end = c.bits_offset + (u32)bitmap_words(c.nr_objects) * 8;
		EXPECT_TRUE(is_aligned(c.bits_offset, 8));
		EXPECT_EQ(in_head, c.nr_objects <= 64);
		if (!in_head)
			EXPECT_GE(c.bits_offset, tags_end);
		EXPECT_LE(tags_end, c.record_cache->size);
		EXPECT_LE(bits_end, c.record_cache->size);
	}
}

/* The multiplication that mm/slab_fast.h uses instead of a division, at the edges of every object.
 */
static void expect_index(u64 offset, u32 stride)
{
	unsigned __int128 product = (unsigned __int128)offset * c.reciprocal;
	u64 index = (u64)(product >> 64);
	bool is_start = (u64)product < c.reciprocal;

	if (index != offset / stride || index >= c.nr_slots || is_start != (offset % stride == 0))
		test_fail(__FILE__, __LINE__, "stride %u offset %lu: index %lu, start %d", stride,
		          offset, index, is_start);
}

TEST(slab_layout, the_index_needs_no_division)
{
	FOR_EACH_STRIDE(stride)
	{
		u64 bytes, step;

		lay_out(stride);
		bytes = (u64)c.nr_pages << PAGE_SHIFT;
		step = stride * (1 + c.nr_objects / 16);
		for (u64 at = 0; at < bytes; at += step) {
			expect_index(at, stride);
			if (at + stride - 1 < bytes)
				expect_index(at + stride - 1, stride);
			if (at + 1 < bytes)
				expect_index(at + 1, stride);
		}
		expect_index(bytes - 1, stride);
	}
}

TEST(slab_layout, every_offset_of_some_strides)
{
	static const u32 strides[] = {16, 24, 56, 104, 1000, 3336, 4104, 10928};

	for (unsigned i = 0; i < ARRAY_SIZE(strides); i++) {
		lay_out(strides[i]);
		for (u64 at = 0; at < (u64)c.nr_pages << PAGE_SHIFT; at++)
			expect_index(at, strides[i]);
	}
}

TEST(slab_layout, small_objects_share_a_slab)
{
	FOR_EACH_STRIDE(stride)
	{
		lay_out(stride);
		if (stride <= 512)
			EXPECT_GE(c.nr_objects, 8);
		if (stride <= 2048)
			EXPECT_GE(c.nr_objects, 2);
	}
}

/* --- which layout --- */

/* A record of so many tags, and bits where one word is not enough for them. */
static u32 record_for(u32 nr_objects, u32 nr_slots)
{
	u32 tags_end = 64 + 2 * nr_slots, words = (nr_objects + 63) / 64;

	return nr_objects <= 64 ? tags_end : (tags_end + 7) / 8 * 8 + 8 * words;
}

/* Whether so many pages are cut with a tail of at most 1/share, and with the record 1/8. */
static bool is_frugal(u32 stride, u32 pages, u32 share)
{
	u32 bytes = pages * 4096, nr = bytes / stride, tail = bytes % stride;
	u32 slots = nr + (tail != 0), record;
	struct kmem_cache *from = slab_record_cache(record_for(nr, slots));

	if (nr == 0 || from == NULL)
		return false;
	record = (u32)kmem_cache_size(from);
	return tail * share <= bytes && (tail + record) * 8 <= bytes + record;
}

/* The rules of mm/slab_layout.c's head, one after the other. 0: none of them applies. */
static u32 right_pages(u32 stride, u32 share)
{
	for (u32 pages = 1; pages <= 4; pages *= 2)
		if (is_frugal(stride, pages, share) && pages * 4096 / stride >= 64)
			return pages;
	for (u32 pages = 4; pages != 0; pages /= 2)
		if (is_frugal(stride, pages, share))
			return pages;
	for (u32 pages = 1; pages <= 32; pages++)
		if (is_frugal(stride, pages, share))
			return pages;
	return 0;
}

static void expect_right(u32 stride)
{
	u32 pages = right_pages(stride, 32);

	pages = pages != 0 ? pages : right_pages(stride, 8);
	pages = pages != 0 ? pages : (stride + 4095) / 4096;
	lay_out(stride);
	if (c.nr_pages != pages)
		test_fail(__FILE__, __LINE__, "stride %u: %u pages, not %u", stride, c.nr_pages,
		          pages);
	EXPECT_EQ(c.nr_objects, pages * 4096 / stride);
	EXPECT_EQ(c.nr_slots, (pages * 4096 + stride - 1) / stride);
	EXPECT_EQ(c.record_bytes, record_for(c.nr_objects, c.nr_slots));
	EXPECT_TRUE(c.record_cache == slab_record_cache(c.record_bytes));
}

TEST(slab_layout, the_pages_are_those_of_the_rules)
{
	FOR_EACH_STRIDE(stride)
	expect_right(stride);
	for (u32 stride = 4096; stride <= SLAB_MAX_SIZE; stride += 4096)
		expect_right(stride);
}

TEST(slab_layout, worked_by_hand)
{
	static const struct {
		u32 stride, pages, objects, slots, record;
		u64 reciprocal; /* 2^64 / stride, rounded up */
	} cases[] = {
	    {16, 2, 512, 512, 64 + 1024 + 64, 1ull << 60},
	    {64, 1, 64, 64, 64 + 128, 1ull << 58},
	    {72, 2, 113, 114, 64 + 232 + 16, 256204778801521551},
	    {256, 4, 64, 64, 64 + 128, 1ull << 56},
	    {4096, 4, 4, 4, 64 + 8, 1ull << 52},
	    {SLAB_MAX_SIZE, 64, 1, 1, 64 + 2, 1ull << 46},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		lay_out(cases[i].stride);
		EXPECT_EQ(c.nr_pages, cases[i].pages);
		EXPECT_EQ(c.nr_objects, cases[i].objects);
		EXPECT_EQ(c.nr_slots, cases[i].slots);
		EXPECT_EQ(c.record_bytes, cases[i].record);
		EXPECT_EQ(c.reciprocal, cases[i].reciprocal);
	}
}

/* Record first, from the next cache line on as many objects as the page holds. */
TEST(slab_layout, records_on_their_slabs)
{
	for (u32 stride = 16; stride <= 2000; stride += 8) {
		u32 n, behind;

		memset(&c, 0, sizeof(c));
		c.size = c.stride = stride;
		c.flags = SLAB_ON_SLAB;
		c.record_cache = &c;
		ASSERT_TRUE(cache_layout(&c));
		n = c.nr_objects;
		EXPECT_EQ(c.nr_pages, 1);
		EXPECT_EQ(c.nr_slots, n + 1);
		EXPECT_EQ(c.record_bytes, record_for(n, n + 1));
		EXPECT_NULL(c.record_cache);
		EXPECT_EQ(c.reciprocal, 0);
		EXPECT_LE((c.record_bytes + 63) / 64 * 64 + n * stride, 4096);
		behind = (record_for(n + 1, n + 2) + 63) / 64 * 64 + (n + 1) * stride;
		EXPECT_GT(behind, 4096); /* one more would not fit */
	}
}

/* The smallest that holds it. */
TEST(slab_layout, where_records_come_from)
{
	struct kmem_cache *last = slab_record_cache(1);

	ASSERT_NOT_NULL(last);
	for (u32 bytes = 1; bytes <= 4096; bytes++) {
		struct kmem_cache *cache = slab_record_cache(bytes);

		EXPECT_TRUE(cache == NULL || kmem_cache_size(cache) >= bytes);
		if (cache == last)
			continue;
		EXPECT_TRUE(last != NULL && kmem_cache_size(last) == bytes - 1);
		last = cache;
	}
	EXPECT_NULL(last);
}

TEST(slab_layout, alignment)
{
	enum { LINES = SLAB_HWCACHE_ALIGN };
	static const struct {
		u32 size, align, flags, right;
	} cases[] = {
	    {1, 0, 0, 8},         {8, 0, 0, 8},        {16, 0, 0, 16},        {32, 0, 0, 32},
	    {64, 0, 0, 64},       {128, 0, 0, 64},     {24, 0, 0, 8},         {100, 0, 0, 8},
	    {100, 1, 0, 8},       {64, 4, 0, 8},       {64, 8, 0, 8},         {100, 16, 0, 16},
	    {100, 4096, 0, 4096}, {5, 0, LINES, 8},    {8, 0, LINES, 8},      {9, 0, LINES, 16},
	    {16, 0, LINES, 16},   {20, 0, LINES, 32},  {32, 0, LINES, 32},    {33, 0, LINES, 64},
	    {100, 0, LINES, 64},  {100, 8, LINES, 64}, {20, 128, LINES, 128}, {64, 16, LINES, 64},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		u32 align = cache_natural_align(cases[i].size, cases[i].align, cases[i].flags);

		if (align != cases[i].right)
			test_fail(__FILE__, __LINE__, "%u bytes, align %u, flags %#x: %u, not %u",
			          cases[i].size, cases[i].align, cases[i].flags, align,
			          cases[i].right);
	}
}
