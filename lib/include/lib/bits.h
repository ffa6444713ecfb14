/*
 * Arithmetic on bits, powers of two and alignment. Pure.
 */
#pragma once

#include <lib/types.h>

static inline bool is_pow2(u64 x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

/* Index of the lowest / highest set bit. x must not be 0. */
static inline unsigned lowest_bit(u64 x)
{
	return (unsigned)__builtin_ctzll(x);
}

static inline unsigned highest_bit(u64 x)
{
	return 63u - (unsigned)__builtin_clzll(x);
}

/* How many bits are set (the sideways sum of Knuth 4A, 7.1.3): no POPCNT needed, and no libgcc. */
static inline unsigned bit_count(u64 x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return (unsigned)(x * 0x0101010101010101 >> 56);
}

/* The smallest n with 2^n >= x; x is 0 … 2^64 - 1; 0 for 0. */
static inline unsigned log2_ceil(u64 x)
{
	return x <= 1 ? 0 : highest_bit(x - 1) + 1;
}

/* align is a power of two. align_up wraps to 0 when the result does not fit. */
static __always_inline u64 align_down(u64 x, u64 align)
{
	return x & ~(align - 1);
}

static inline u64 align_up(u64 x, u64 align)
{
	return (x + align - 1) & ~(align - 1);
}

static inline bool is_aligned(u64 x, u64 align)
{
	return (x & (align - 1)) == 0;
}

static inline u64 div_round_up(u64 n, u64 d)
{
	return n / d + (n % d != 0);
}

static inline u64 min_u64(u64 a, u64 b)
{
	return a < b ? a : b;
}

static inline u64 max_u64(u64 a, u64 b)
{
	return a > b ? a : b;
}
