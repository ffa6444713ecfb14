/*
 * Arrays of bits in u64 words, bit i in word i / 64. Plain (not atomic) accesses: the caller's lock
 * guards them.
 */
#pragma once

#include <lib/bits.h>
#include <lib/types.h>

static inline size_t bitmap_words(size_t nr_bits)
{
	return (nr_bits + 63) / 64;
}

static inline bool bitmap_test(const u64 *map, size_t i)
{
	return map[i / 64] >> (i % 64) & 1;
}

static inline void bitmap_set(u64 *map, size_t i)
{
	map[i / 64] |= 1ull << (i % 64);
}

static inline void bitmap_clear(u64 *map, size_t i)
{
	map[i / 64] &= ~(1ull << (i % 64));
}

/* Sets the first nr_bits bits and clears the rest of the last word. */
void bitmap_fill(u64 *map, size_t nr_bits);
void bitmap_zero(u64 *map, size_t nr_bits);

/* The first set bit at or after `from`, or nr_bits when there is none. */
size_t bitmap_next(const u64 *map, size_t nr_bits, size_t from);
size_t bitmap_count(const u64 *map, size_t nr_bits);
