/*
 * Lab 0: that answers have their form, and three broken bitmaps that a test of bitmaps must find.
 */
#include "bitmaps.h"

#include <lib/string.h>
#include <tests/test.h>

TEST(lab0_form, all_questions_are_answered)
{
	EXPECT_NE(answer_managed_pages(), 0);
	EXPECT_NE(answer_bytes_of_100(), 0);
	EXPECT_NE(answer_magic_from_qemu(), answer_magic_from_grub());
	EXPECT_GT(strlen(answer_zone_of_32_mib()), 0);
	EXPECT_GT(strlen(answer_cache_of_100()), 0);
	EXPECT_GT(strlen(answer_caller_of_mm_init()), 0);
}

TEST(lab0_mine, a_right_one_passes)
{
	EXPECT_TRUE(bitmap_is_right(&(struct bitmap_ops){plain_next, plain_count}));
}

static size_t next_behind_the_end(const u64 *map, size_t nr_bits, size_t from)
{
	size_t next = plain_next(map, plain_words(nr_bits) * 64, from);

	return from < nr_bits && next < plain_words(nr_bits) * 64 ? next : nr_bits;
}

TEST(lab0_mine, bits_behind_the_end_are_believed)
{
	EXPECT_FOUND(next_behind_the_end, plain_count);
}

static size_t next_after(const u64 *map, size_t nr_bits, size_t from)
{
	return plain_next(map, nr_bits, from == 0 ? 0 : from + 1);
}

TEST(lab0_mine, the_bit_at_from_is_passed_over)
{
	EXPECT_FOUND(next_after, plain_count);
}

static size_t count_whole_words(const u64 *map, size_t nr_bits)
{
	return plain_count(map, plain_words(nr_bits) * 64);
}

TEST(lab0_mine, whole_words_are_counted)
{
	EXPECT_FOUND(plain_next, count_whole_words);
}
