/*
 * lib/bitmap.c against an array of booleans, with sizes around the ends of words.
 */
#include <lib/bitmap.h>
#include <tests/test.h>

#define MAX_BITS 200u

static u64 map[(MAX_BITS + 63) / 64 + 1];
static bool model[MAX_BITS];

static const unsigned sizes[] = {1, 2, 63, 64, 65, 127, 128, 129, MAX_BITS};

TEST(bitmap, words)
{
	EXPECT_EQ(bitmap_words(0), 0);
	EXPECT_EQ(bitmap_words(1), 1);
	EXPECT_EQ(bitmap_words(64), 1);
	EXPECT_EQ(bitmap_words(65), 2);
}

TEST(bitmap, fill_and_zero_touch_only_their_words)
{
	for (unsigned s = 0; s < ARRAY_SIZE(sizes); s++) {
		unsigned n = sizes[s], words = (unsigned)bitmap_words(n);

		memset(map, 0x5a, sizeof(map));
		bitmap_fill(map, n);
		for (unsigned i = 0; i < words * 64; i++)
			EXPECT_EQ(bitmap_test(map, i), i < n);
		EXPECT_EQ(map[words], 0x5a5a5a5a5a5a5a5a);
		bitmap_zero(map, n);
		EXPECT_NULL(mem_find_other(map, 0, words * 8));
		EXPECT_EQ(map[words], 0x5a5a5a5a5a5a5a5a);
	}
	bitmap_fill(map, 0);
	bitmap_zero(map, 0);
	EXPECT_EQ(map[0], 0);
}

TEST(bitmap, bits_do_not_disturb_each_other)
{
	bitmap_zero(map, MAX_BITS);
	for (unsigned i = 0; i < MAX_BITS; i++) {
		bitmap_set(map, i);
		EXPECT_EQ(bitmap_count(map, MAX_BITS), 1);
		EXPECT_EQ(bitmap_next(map, MAX_BITS, 0), i);
		bitmap_clear(map, i);
	}
	bitmap_fill(map, MAX_BITS);
	bitmap_clear(map, 64);
	EXPECT_EQ(bitmap_count(map, MAX_BITS), MAX_BITS - 1);
	EXPECT_FALSE(bitmap_test(map, 64));
}

static unsigned model_next(unsigned n, unsigned from)
{
	while (from < n && !model[from])
		from++;
	return from < n ? from : n;
}

static void check_against_model(unsigned n)
{
	unsigned count = 0;

	for (unsigned i = 0; i < n; i++)
		count += model[i];
	ASSERT_EQ(bitmap_count(map, n), count);
	for (unsigned from = 0; from <= n + 2; from++)
		ASSERT_EQ(bitmap_next(map, n, from), model_next(n, from));
}

TEST(bitmap, agrees_with_an_array_of_booleans)
{
	for (unsigned round = 0; round < 60; round++) {
		unsigned n = sizes[round % ARRAY_SIZE(sizes)];
		u64 density = 1 + rng_below(test_rng(), 40);

		bitmap_zero(map, MAX_BITS);
		for (unsigned i = 0; i < MAX_BITS; i++) { /* bits beyond n are set too */
			model[i] = rng_below(test_rng(), density) == 0;
			if (model[i])
				bitmap_set(map, i);
		}
		check_against_model(n);
	}
}

/* A map of whole words ends with the last of them: the sanitizer watches what stands behind. */
TEST(bitmap, nothing_behind_the_last_word_is_read)
{
	u64 exact[1] = {0};

	EXPECT_EQ(bitmap_next(exact, 64, 0), 64);
	EXPECT_EQ(bitmap_next(exact, 64, 63), 64);
	EXPECT_EQ(bitmap_next(exact, 64, 64), 64);
	EXPECT_EQ(bitmap_count(exact, 64), 0);
}

TEST(bitmap, the_first_bit_of_a_word_is_counted)
{
	u64 words[2] = {1, 1};

	EXPECT_EQ(bitmap_count(words, 64), 1);
	EXPECT_EQ(bitmap_count(words, 65), 2);
	EXPECT_EQ(bitmap_next(words, 65, 1), 64);
}
