/*
 * A right bitmap for 0.3, as plain as can be, whatever lib/bitmap.c is.
 */
#pragma once

#include "lab0.h"

static inline bool plain_bit(const u64 *map, size_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static inline size_t plain_next(const u64 *map, size_t nr_bits, size_t from)
{
	for (; from < nr_bits; from++)
		if (plain_bit(map, from))
			return from;
	return nr_bits;
}

static inline size_t plain_count(const u64 *map, size_t nr_bits)
{
	size_t count = 0;

	for (size_t i = 0; i < nr_bits; i++)
		count += plain_bit(map, i);
	return count;
}

static inline size_t plain_words(size_t nr_bits)
{
	return (nr_bits + 63) / 64;
}

/* The right one must be called right before a broken one counts as found. */
#define EXPECT_FOUND(next_, count_)                                                          \
	({                                                                                   \
		EXPECT_TRUE(bitmap_is_right(&(struct bitmap_ops){plain_next, plain_count})); \
		EXPECT_FALSE(bitmap_is_right(&(struct bitmap_ops){next_, count_}));          \
	})
