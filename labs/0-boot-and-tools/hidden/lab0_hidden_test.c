/*
 * Lab 0, hidden: the answers, bitmaps of chance, and more broken bitmaps.
 */
#include "../tests/bitmaps.h"

#include <lib/bitmap.h>
#include <lib/format.h>
#include <lib/rng.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <tests/test.h>

/* --- 0.1 --- */

/* What the image takes differs with the compiler. */
TEST(lab0_answers, managed_pages)
{
	EXPECT_GT(answer_managed_pages(), 62500);
	EXPECT_LT(answer_managed_pages(), 65000);
}

TEST(lab0_answers, zone)
{
	EXPECT_STREQ(answer_zone_of_32_mib(), "DMA32");
}

TEST(lab0_answers, a_kmalloc_of_100)
{
	char name[32];

	EXPECT_EQ(answer_bytes_of_100(), kmalloc_class_size(100));
	format_buf(name, sizeof(name), "kmalloc-%lu", kmalloc_class_size(100));
	EXPECT_STREQ(answer_cache_of_100(), name);
}

TEST(lab0_answers, what_the_loaders_pass)
{
	EXPECT_EQ(answer_magic_from_qemu(), 0x2badb002);
	EXPECT_EQ(answer_magic_from_grub(), 0x36d76289);
}

TEST(lab0_answers, the_caller_of_mm_init)
{
	EXPECT_STREQ(answer_caller_of_mm_init(), "memory_init");
}

/* --- 0.2 --- */

#define MAX_BITS 320u

static void fill_by_chance(u64 *map, size_t words)
{
	u64 density = 1 + rng_below(test_rng(), 80);

	memset(map, 0, words * sizeof(*map));
	for (size_t i = 0; i < words * 64; i++)
		map[i / 64] |= (u64)(rng_below(test_rng(), density) == 0) << (i % 64);
}

TEST(lab0_words, bitmaps_of_chance)
{
	for (unsigned round = 0; round < 200; round++) {
		size_t nr_bits = rng_below(test_rng(), MAX_BITS + 1), from;
		u64 map[MAX_BITS / 64];

		fill_by_chance(map, ARRAY_SIZE(map));
		from = rng_below(test_rng(), nr_bits + 3);
		ASSERT_EQ(bitmap_next(map, nr_bits, from), plain_next(map, nr_bits, from));
		ASSERT_EQ(bitmap_count(map, nr_bits), plain_count(map, nr_bits));
	}
}

TEST(lab0_words, fill_and_zero_of_any_size)
{
	for (size_t nr_bits = 0; nr_bits <= 200; nr_bits++) {
		u64 map[5] = {5, 5, 5, 5, 5};

		bitmap_fill(map, nr_bits);
		for (size_t i = 0; i < plain_words(nr_bits) * 64; i++)
			ASSERT_EQ(plain_bit(map, i), i < nr_bits);
		ASSERT_EQ(map[plain_words(nr_bits)], 5);
		bitmap_zero(map, nr_bits);
		ASSERT_EQ(plain_next(map, plain_words(nr_bits) * 64, 0), plain_words(nr_bits) * 64);
		ASSERT_EQ(map[plain_words(nr_bits)], 5);
	}
}

/* --- 0.3 --- */

#define BREAKS(name, next_, count_)          \
	TEST(lab0_breaks, name)              \
	{                                    \
		EXPECT_FOUND(next_, count_); \
	}

static size_t next_from_the_word(const u64 *map, size_t nr_bits, size_t from)
{
	return from >= nr_bits ? nr_bits : plain_next(map, nr_bits, from / 64 * 64);
}
BREAKS(from_is_rounded_down, next_from_the_word, plain_count)

static size_t next_in_one_word(const u64 *map, size_t nr_bits, size_t from)
{
	size_t next = plain_next(map, nr_bits, from);

	return next / 64 == from / 64 ? next : nr_bits;
}
BREAKS(one_word_is_looked_at, next_in_one_word, plain_count)

static size_t next_or_nothing(const u64 *map, size_t nr_bits, size_t from)
{
	size_t next = plain_next(map, nr_bits, from);

	return next < nr_bits ? next : (size_t)-1;
}
BREAKS(none_is_minus_one, next_or_nothing, plain_count)

static size_t next_of_the_past(const u64 *map, size_t nr_bits, size_t from)
{
	return from > nr_bits ? from : plain_next(map, nr_bits, from);
}
BREAKS(from_is_beyond_the_end, next_of_the_past, plain_count)

static size_t next_without_the_last(const u64 *map, size_t nr_bits, size_t from)
{
	size_t next = plain_next(map, nr_bits, from);

	return nr_bits > 64 && next >= nr_bits / 64 * 64 ? nr_bits : next;
}
BREAKS(the_last_word_is_forgotten, next_without_the_last, plain_count)

static size_t next_of_half(const u64 *map, size_t nr_bits, size_t from)
{
	return plain_next(map, nr_bits, from % 64 >= 32 && from < nr_bits ? from - 32 : from);
}
BREAKS(the_shift_is_by_32, next_of_half, plain_count)

static size_t next_highest(const u64 *map, size_t nr_bits, size_t from)
{
	size_t next = plain_next(map, nr_bits, from), i = next / 64 * 64 + 64;

	if (next == nr_bits)
		return nr_bits;
	for (i = i < nr_bits ? i : nr_bits; i-- > next;)
		if (plain_bit(map, i))
			return i;
	return next;
}
BREAKS(the_highest_of_a_word, next_highest, plain_count)

static size_t count_nothing(const u64 *map, size_t nr_bits)
{
	(void)map;
	(void)nr_bits;
	return 0;
}
BREAKS(nothing_is_counted, plain_next, count_nothing)

static size_t count_full_words(const u64 *map, size_t nr_bits)
{
	return plain_count(map, nr_bits / 64 * 64);
}
BREAKS(the_last_part_is_not_counted, plain_next, count_full_words)

static size_t count_words(const u64 *map, size_t nr_bits)
{
	size_t count = 0;

	for (size_t w = 0; w * 64 < nr_bits; w++)
		count += plain_next(map, nr_bits < (w + 1) * 64 ? nr_bits : (w + 1) * 64, w * 64) <
		         (nr_bits < (w + 1) * 64 ? nr_bits : (w + 1) * 64);
	return count;
}
BREAKS(words_are_counted, plain_next, count_words)

static size_t count_from_the_second(const u64 *map, size_t nr_bits)
{
	return nr_bits <= 64 ? plain_count(map, nr_bits)
	                     : plain_count(map, nr_bits) - plain_bit(map, 64);
}
BREAKS(a_bit_at_a_words_start_is_not_counted, plain_next, count_from_the_second)

static size_t count_one_short(const u64 *map, size_t nr_bits)
{
	return plain_count(map, nr_bits - 1);
}
BREAKS(the_last_bit_is_not_counted, plain_next, count_one_short)
