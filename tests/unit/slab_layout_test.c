/*
 * How pages are cut into objects, for every stride: the bound on waste, the index arithmetic, and
 * the room in the record. The layout is a pure function of a cache's description, so no memory is
 * allocated here.
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
