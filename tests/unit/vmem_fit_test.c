/*
 * mm/vmem_fit.c: the place in one segment, and which of several segments.
 */
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define ANYWHERE ~0ull

static u64 place(u64 size, u64 align, u64 phase, u64 nocross, u64 min, u64 max, u64 start, u64 end)
{
	const struct vmem_request r = {size, align, phase, nocross, min, max};

	return fit_in(&r, start, end);
}

/* --- in one segment --- */

TEST(vmem_fit, room_is_what_the_segment_and_the_limits_share)
{
	EXPECT_EQ(place(5, 1, 0, 0, 0, ANYWHERE, 10, 15), 10);
	EXPECT_EQ(place(6, 1, 0, 0, 0, ANYWHERE, 10, 15), 0);
	EXPECT_EQ(place(5, 1, 0, 0, 12, 17, 10, 20), 12);
	EXPECT_EQ(place(5, 1, 0, 0, 12, 16, 10, 20), 0);
	EXPECT_EQ(place(1, 1, 0, 0, 0, 10, 10, 20), 0);  /* they touch */
	EXPECT_EQ(place(1, 1, 0, 0, 0, 5, 10, 20), 0);   /* the limits lie below */
	EXPECT_EQ(place(1, 1, 0, 0, 20, 30, 10, 20), 0); /* … above, by nothing */
	EXPECT_EQ(place(1, 1, 0, 0, 25, 30, 10, 20), 0);
	EXPECT_EQ(place(1, 1, 0, 0, 0, ANYWHERE, 1, 2), 1);
}

TEST(vmem_fit, alignment_may_leave_no_room)
{
	EXPECT_EQ(place(4, 8, 0, 0, 0, ANYWHERE, 9, 20), 16);
	EXPECT_EQ(place(5, 8, 0, 0, 0, ANYWHERE, 9, 20), 0);
	EXPECT_EQ(place(4, 8, 3, 0, 0, ANYWHERE, 9, 20), 11);
	EXPECT_EQ(place(1, 8, 0, 0, 0, ANYWHERE, 9, 16), 0); /* the place is the end */
	EXPECT_EQ(place(1, 8, 0, 0, 0, ANYWHERE, 9, 12), 0); /* … is behind it */
	EXPECT_EQ(place(1, 64, 40, 0, 0, ANYWHERE, 9, 64), 40);
	EXPECT_EQ(place(1, 1ull << 63, 0, 0, 0, ANYWHERE, (1ull << 63) + 1, ANYWHERE),
	          0); /* wraps */
}

TEST(vmem_fit, the_place_behind_a_border_is_as_good_as_any)
{
	EXPECT_EQ(place(4, 1, 0, 16, 0, ANYWHERE, 12, 40), 12);
	EXPECT_EQ(place(4, 1, 0, 16, 0, ANYWHERE, 13, 40), 16);
	EXPECT_EQ(place(1, 1, 0, 16, 0, ANYWHERE, 16, 40), 16); /* no longer than a border */
	EXPECT_EQ(place(1, 1, 0, 16, 0, ANYWHERE, 15, 40), 15);
	EXPECT_EQ(place(2, 1, 0, 16, 0, ANYWHERE, 15, 40), 16);
	EXPECT_EQ(place(16, 1, 0, 16, 0, ANYWHERE, 15, 40), 16);
	EXPECT_EQ(place(16, 1, 0, 16, 0, ANYWHERE, 16, 40), 16);
	EXPECT_EQ(place(8, 8, 4, 16, 0, ANYWHERE, 10, 40), 20);
}

TEST(vmem_fit, there_may_be_no_room_behind_a_border)
{
	EXPECT_EQ(place(4, 1, 0, 16, 0, ANYWHERE, 13, 20), 16);
	EXPECT_EQ(place(4, 1, 0, 16, 0, ANYWHERE, 13, 19), 0);
	EXPECT_EQ(place(3, 4, 2, 16, 0, ANYWHERE, 14, 17), 0); /* 18 is behind the end */
	EXPECT_EQ(place(4, 1, 0, 1ull << 63, 0, ANYWHERE, ~0ull - 8, ~0ull), ~0ull - 8);
}

/* --- of several segments --- */

static struct vmem *with_span(u64 base, u64 size)
{
	struct vmem *v = vmem_create("fit", base, size, 1, NULL, NULL, NULL, 0, GFP_KERNEL);

	ASSERT_NOT_NULL(v);
	return v;
}

static void add(struct vmem *v, u64 base, u64 size)
{
	ASSERT_EQ(vmem_add(v, base, size, GFP_KERNEL), 0);
}

/* Where a request of this policy is placed; free again after it. */
static u64 tried(struct vmem *v, u64 size, u64 min, gfp_t policy)
{
	u64 at = vmem_xalloc(v, size, 0, 0, 0, min, 0, GFP_KERNEL | policy);

	ASSERT_NE(at, 0);
	vmem_xfree(v, at, size);
	return at;
}

/* The latest freed is the first of its list. */
TEST(vmem_fit, best_fit_looks_through_a_whole_list_and_others_do_not)
{
	struct vmem *v = with_span(20, 5);

	add(v, 30, 7);
	EXPECT_EQ(tried(v, 4, 0, VM_BESTFIT), 20);
	EXPECT_EQ(tried(v, 4, 0, VM_BESTFIT), 20); /* first now, and the smallest */
	ASSERT_EQ(vmem_destroy(v), 0);
	v = with_span(20, 6);
	add(v, 30, 7);
	EXPECT_EQ(tried(v, 5, 0, 0), 30); /* none that surely fits: the first that does */
	EXPECT_EQ(tried(v, 5, 1, 0), 30); /* within limits: the same */
	EXPECT_EQ(tried(v, 5, 1, VM_BESTFIT), 20);
	ASSERT_EQ(vmem_destroy(v), 0);
}

TEST(vmem_fit, of_equals_the_latest_is_best)
{
	struct vmem *v = with_span(20, 5);

	add(v, 30, 5);
	EXPECT_EQ(tried(v, 4, 0, VM_BESTFIT), 30);
	ASSERT_EQ(vmem_destroy(v), 0);
}

TEST(vmem_fit, instant_fit_takes_the_lowest_list_that_surely_fits)
{
	struct vmem *v = with_span(20, 5);

	add(v, 40, 9);
	EXPECT_EQ(tried(v, 4, 0, 0), 20);
	EXPECT_EQ(tried(v, 5, 0, 0), 40);
	ASSERT_EQ(vmem_destroy(v), 0);
}

/* The last list is one like the others. */
TEST(vmem_fit, half_of_all_numbers_may_be_asked_for)
{
	const u64 large = 1ull << 62 | 256;
	struct vmem *v = with_span(1, (1ull << 62) + 10);

	add(v, large, 1ull << 63);
	EXPECT_EQ(tried(v, (1ull << 62) + 1, 0, 0), large);
	EXPECT_EQ(tried(v, 1ull << 63, 0, 0), large);
	ASSERT_EQ(vmem_destroy(v), 0);
}

/* Spans go by the order in which they came, not by address. */
TEST(vmem_fit, next_fit_goes_on_into_a_span_of_lower_addresses)
{
	struct vmem *v = with_span(100, 2);

	add(v, 10, 4);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL | VM_NEXTFIT), 100);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL | VM_NEXTFIT), 101);
	vmem_free(v, 100, 1);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL | VM_NEXTFIT), 10);
	vmem_free(v, 10, 1);
	vmem_free(v, 101, 1);
	EXPECT_SOUND(vmem_check(v));
	ASSERT_EQ(vmem_destroy(v), 0);
}
