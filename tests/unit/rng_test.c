/*
 * lib/rng.c: the published algorithms, exactly, and bounds without bias.
 */
#include <lib/rng.h>
#include <tests/test.h>

/* The reference implementation's first outputs for the state 1, 2, 3, 4; the first two follow from
 * the definition by hand: rotl(2 * 5, 7) * 9, and, as the second word is then 1 ^ 2 ^ 3 = 0, 0. */
TEST(rng, is_xoshiro256_starstar)
{
	static const u64 reference[] = {11520,
	                                0,
	                                1509978240,
	                                1215971899390074240,
	                                1216172134540287360,
	                                607988272756665600,
	                                16172922978634559625u,
	                                8476171486693032832,
	                                10595114339597558777u,
	                                2904607092377533576};
	struct rng r = {{1, 2, 3, 4}};

	for (unsigned i = 0; i < ARRAY_SIZE(reference); i++)
		EXPECT_EQ(rng_next(&r), reference[i]);
}

/* The first outputs of splitmix64 from 0. */
TEST(rng, is_seeded_by_splitmix64)
{
	struct rng r;

	rng_seed(&r, 0);
	EXPECT_EQ(r.state[0], 0xe220a8397b1dcdaf);
	EXPECT_EQ(r.state[1], 0x6e789e6aa1b965f4);
	EXPECT_EQ(r.state[2], 0x06c45d188009454f);
	EXPECT_EQ(r.state[3], 0xf88bb8a8724c81ec);
}

TEST(rng, same_seed_same_numbers)
{
	struct rng a, b, other;
	unsigned same = 0;

	rng_seed(&a, 42);
	rng_seed(&b, 42);
	rng_seed(&other, 43);
	for (unsigned i = 0; i < 100; i++) {
		u64 x = rng_next(&a);

		EXPECT_EQ(rng_next(&b), x);
		same += rng_next(&other) == x;
	}
	EXPECT_EQ(same, 0);
}

TEST(rng, below_stays_below)
{
	static const u64 bounds[] = {1, 2, 3, 1000, 1ull << 32, (1ull << 63) + 1, UINT64_MAX};

	for (unsigned i = 0; i < ARRAY_SIZE(bounds); i++) {
		for (unsigned round = 0; round < 200; round++)
			ASSERT_LT(rng_below(test_rng(), bounds[i]), bounds[i]);
	}
}

/* Each of 6 values is expected 2000 times with a deviation of 41: 300 away is no accident. */
TEST(rng, below_is_uniform)
{
	unsigned count[6] = {0};

	for (unsigned i = 0; i < 12000; i++)
		count[rng_below(test_rng(), 6)]++;
	for (unsigned i = 0; i < 6; i++) {
		EXPECT_GT(count[i], 1700);
		EXPECT_LT(count[i], 2300);
	}
}

/* With 3/4 of 2^64 as the bound, multiplication alone would give a third of the values twice as
 * often. */
TEST(rng, below_is_uniform_for_bounds_that_reject)
{
	u64 bound = 3ull << 62, third = 1ull << 62;
	unsigned count[3] = {0};

	for (unsigned i = 0; i < 12000; i++)
		count[rng_below(test_rng(), bound) / third]++;
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_GT(count[i], 3650);
		EXPECT_LT(count[i], 4350);
	}
	for (unsigned i = 0, even = 0; i < 3000; i++) {
		even += rng_below(test_rng(), bound) % 3 == 0;
		if (i == 2999) {
			EXPECT_GT(even, 800);
			EXPECT_LT(even, 1200);
		}
	}
}

/* The first outputs of xorshift64* from 1, of which a bound of 2^63 shows all bits but the lowest.
 */
TEST(rng, of_one_word_is_xorshift64_star)
{
	static const u64 reference[] = {
	    0x47e4ce4b896cdd1d, 0xabcfa6a8e079651d, 0xb9d10d8feb731f57,
	    0x4db418a0bb1b019d, 0xe6199b04d5aa600,  0xc8674bcb42e3aad9,
	};
	u64 state = 1;

	for (unsigned i = 0; i < ARRAY_SIZE(reference); i++)
		EXPECT_EQ(rng_word_below(&state, 1ull << 63), reference[i] >> 1);
	EXPECT_EQ(rng_word_below(&state, 1), 0);
}
