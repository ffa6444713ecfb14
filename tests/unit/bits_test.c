/*
 * lib/bits.h, against definitions that need no bit tricks.
 */
#include <lib/bits.h>
#include <tests/test.h>

TEST(bits, single_bits)
{
	for (unsigned i = 0; i < 64; i++) {
		u64 bit = 1ull << i;

		EXPECT_EQ(lowest_bit(bit), i);
		EXPECT_EQ(highest_bit(bit), i);
		EXPECT_EQ(lowest_bit(UINT64_MAX << i), i);
		EXPECT_EQ(highest_bit(UINT64_MAX >> i), 63 - i);
		EXPECT_TRUE(is_pow2(bit));
		EXPECT_EQ(bit_count(bit), 1);
		EXPECT_EQ(bit_count(bit - 1), i);
	}
}

TEST(bits, powers_of_two)
{
	EXPECT_FALSE(is_pow2(0));
	EXPECT_FALSE(is_pow2(3));
	EXPECT_FALSE(is_pow2(UINT64_MAX));
	for (unsigned i = 0; i < 64; i++) {
		for (unsigned j = 0; j < i; j++)
			EXPECT_FALSE(is_pow2(1ull << i | 1ull << j));
	}
}

TEST(bits, counts)
{
	EXPECT_EQ(bit_count(0), 0);
	EXPECT_EQ(bit_count(UINT64_MAX), 64);
	for (unsigned round = 0; round < 200; round++) {
		u64 x = rng_next(test_rng());
		unsigned count = 0;

		for (unsigned i = 0; i < 64; i++)
			count += (x >> i & 1) != 0;
		EXPECT_EQ(bit_count(x), count);
	}
}

TEST(bits, log2_ceil_is_the_smallest_power_that_holds)
{
	EXPECT_EQ(log2_ceil(0), 0);
	EXPECT_EQ(log2_ceil(1), 0);
	EXPECT_EQ(log2_ceil(2), 1);
	EXPECT_EQ(log2_ceil(3), 2);
	for (unsigned i = 2; i < 64; i++) {
		EXPECT_EQ(log2_ceil((1ull << i) - 1), i);
		EXPECT_EQ(log2_ceil(1ull << i), i);
		EXPECT_EQ(log2_ceil((1ull << i) + 1), i + 1);
	}
	EXPECT_EQ(log2_ceil(UINT64_MAX), 64);
}

TEST(bits, alignment)
{
	for (u64 align = 1; align <= 64; align *= 2) {
		for (u64 x = 0; x < 200; x++) {
			EXPECT_EQ(align_down(x, align), x / align * align);
			EXPECT_EQ(align_up(x, align), (x + align - 1) / align * align);
			EXPECT_EQ(is_aligned(x, align), x % align == 0);
		}
	}
	EXPECT_EQ(align_up(UINT64_MAX, 4096), 0);
	EXPECT_EQ(align_down(UINT64_MAX, 4096), UINT64_MAX - 4095);
	EXPECT_EQ(align_up(UINT64_MAX - 4095, 4096), UINT64_MAX - 4095);
	EXPECT_EQ(align_down(UINT64_MAX, 1ull << 63), 1ull << 63);
}

TEST(bits, division_and_bounds)
{
	EXPECT_EQ(div_round_up(0, 8), 0);
	EXPECT_EQ(div_round_up(1, 8), 1);
	EXPECT_EQ(div_round_up(8, 8), 1);
	EXPECT_EQ(div_round_up(9, 8), 2);
	EXPECT_EQ(div_round_up(UINT64_MAX, 2), 1ull << 63);
	EXPECT_EQ(min_u64(1, UINT64_MAX), 1);
	EXPECT_EQ(max_u64(1, UINT64_MAX), UINT64_MAX);
}
