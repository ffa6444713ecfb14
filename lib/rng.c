/*
 * xoshiro256** (Blackman and Vigna, "Scrambled linear pseudorandom number generators", 2018) with
 * its state filled by splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
 * generators", 2014), and bounded numbers by Lemire, "Fast random integer generation in an
 * interval", 2019. The small one is xorshift64* (Vigna, "An experimental exploration of Marsaglia's
 * xorshift generators, scrambled", 2016).
 *
 * splitmix64 visits every 64-bit value once, so of four successive outputs at most one is 0: the
 * all-zero state, the one that xoshiro cannot leave, does not occur for any seed.
 */
#include <lib/rng.h>

static u64 rotate_left(u64 x, unsigned n)
{
	return x << n | x >> (64 - n);
}

static u64 splitmix64(u64 *state)
{
	u64 x = *state += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

void rng_seed(struct rng *r, u64 seed)
{
	for (unsigned i = 0; i < ARRAY_SIZE(r->state); i++)
		r->state[i] = splitmix64(&seed);
}

u64 rng_next(struct rng *r)
{
	u64 *s = r->state;
	u64 result = rotate_left(s[1] * 5, 7) * 9, t = s[1] << 17;

	s[2] ^= s[0];
	s[3] ^= s[1];
	s[1] ^= s[2];
	s[0] ^= s[3];
	s[2] ^= t;
	s[3] = rotate_left(s[3], 45);
	return result;
}

/* The high half of x * bound is uniform once the x whose low half is below 2^64 mod bound are
 * thrown away. */
u64 rng_below(struct rng *r, u64 bound)
{
	unsigned __int128 product = (unsigned __int128)rng_next(r) * bound;

	if (unlikely((u64)product < bound)) {
		u64 threshold = -bound % bound;

		while ((u64)product < threshold)
			product = (unsigned __int128)rng_next(r) * bound;
	}
	return (u64)(product >> 64);
}

u64 rng_word_below(u64 *state, u64 bound)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (u64)(((unsigned __int128)(*state * 0x2545f4914f6cdd1d) * bound) >> 64);
}
