/*
 * A small seeded generator (xoshiro256**, Blackman and Vigna 2018; the seed is spread by
 * splitmix64): for tests, random choice and sampling, not for secrets. Not locked: one struct a
 * user.
 */
#pragma once

#include <lib/types.h>

struct rng {
	u64 state[4];
};

void rng_seed(struct rng *r, u64 seed);
u64 rng_next(struct rng *r);

/* Uniform in [0, bound), bound > 0 (Lemire's multiply-shift with rejection, so without bias). */
u64 rng_below(struct rng *r, u64 bound);

/* The same of a generator with one word of state, which must not be 0 (xorshift64*, Vigna 2016),
 * and nearly without bias: for random choice where state and time are short. */
u64 rng_word_below(u64 *state, u64 bound);
