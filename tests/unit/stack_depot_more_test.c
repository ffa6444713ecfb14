/*
 * The depot of stacks with one chain, and to its last word. On the host, where no other CPU saves
 * stacks meanwhile.
 */
#if __STDC_HOSTED__
#include "mm/debug/debug_internal.h"

#include <lib/string.h>

#include <tests/test.h>

static __noinline u32 save_at_depth(unsigned depth)
{
	u32 number = depth == 0 ? stack_depot_save_here() : save_at_depth(depth - 1);

	__asm__ volatile("" : : : "memory"); /* no tail call */
	return number;
}

static __noinline u32 save_from_elsewhere(unsigned depth)
{
	u32 number = save_at_depth(depth);

	__asm__ volatile("" : : : "memory");
	return number;
}

static __noinline u32 save_from_here(unsigned depth)
{
	u32 number = save_at_depth(depth);

	__asm__ volatile("" : : : "memory");
	return number;
}

#define NR_STACKS 12

static void save_all(u32 number[NR_STACKS])
{
	for (volatile unsigned i = 0; i < NR_STACKS / 2; i++) {
		number[2 * i] = save_from_here(i / 2 * 8 + i);
		number[2 * i + 1] = save_from_elsewhere(i / 2 * 8 + i);
	}
}

/* All in one chain: told apart by their frames, found again, each whole. */
TEST(stack_depot_more, stacks_of_one_chain)
{
	struct stack_depot former = stack_depot;
	struct stack_depot_stats s;
	u32 number[2][NR_STACKS];
	u64 words = 1, copy[NR_STACKS][STACK_DEPTH];
	const u64 *frames;

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	stack_depot.nr_buckets = 1;
	for (volatile unsigned round = 0; round < 2; round++) /* one call, not two */
		save_all(number[round]);
	for (unsigned i = 0; i < NR_STACKS; i++) {
		size_t n = stack_depot_get(number[0][i], &frames);

		EXPECT_EQ(number[1][i], number[0][i]);
		EXPECT_GT(n, 1);
		EXPECT_LE(n, STACK_DEPTH);
		memset(copy[i], 0, sizeof(copy[i]));
		memcpy(copy[i], frames, n * sizeof(u64));
		words += n + 1;
		for (unsigned k = 0; k < i; k++)
			if (memcmp(copy[k], copy[i], sizeof(copy[i])) == 0) {
				EXPECT_EQ(number[0][k], number[0][i]);
				words -= n + 1; /* deeper than what is kept: the same */
				break;
			} else {
				EXPECT_NE(number[0][k], number[0][i]);
			}
	}
	stack_depot_stats(&s);
	EXPECT_EQ(s.used_bytes, words * sizeof(u64));
	EXPECT_NE(number[0][0], number[0][1]);
	EXPECT_NE(number[0][2], number[0][3]);
	EXPECT_EQ(stack_depot_get(number[0][NR_STACKS - 1], &frames), STACK_DEPTH);
	EXPECT_EQ(stack_depot_get(0, &frames), 0);
	EXPECT_EQ(stack_depot_get(stack_depot.used, &frames), 0);
	EXPECT_EQ(stack_depot_get(stack_depot.used + 7, &frames), 0);
	stack_depot.nr_buckets = 1u << highest_bit(64 * KIB / 16 / sizeof(u32));
	stack_depot_destroy();
	ASSERT_TRUE(stack_depot_create(64 * KIB)); /* begins anew */
	stack_depot_stats(&s);
	EXPECT_EQ(s.nr_stacks + s.nr_hits + s.nr_lost, 0);
	stack_depot_destroy();
	stack_depot = former;
}

/* To the last word. */
TEST(stack_depot_more, a_stack_that_just_fits)
{
	struct stack_depot former = stack_depot;
	u32 room = 0, number = 0;
	u32 all;

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	all = stack_depot.nr_words;
	for (volatile unsigned i = 0; i < 3; i++) { /* the same stack each time */
		if (i == 1)
			stack_depot.nr_words = 1 + room - 1;
		else if (i == 2)
			stack_depot.nr_words = 1 + room;
		number = save_at_depth(2);
		if (i == 0) {
			room = stack_depot.used - 1;
			stack_depot.used = 1; /* forgotten */
			memset(stack_depot.bucket, 0, stack_depot.nr_buckets * sizeof(u32));
		} else {
			EXPECT_EQ(number != 0, i == 2);
		}
	}
	stack_depot.nr_words = all;
	stack_depot_destroy();
	stack_depot = former;
}
#endif
