/*
 * Batches: n allocations kept in an array, then freed in array order, backwards, or in a fixed
 * random permutation. The orders show what a LIFO cache hides.
 */
#pragma once

#include <tests/bench/bench.h>

#define BATCH_MAX 16384

/* Prints NAME_{same,reverse,random}_{alloc,free} and NAME_{alloc,free}_worst. The two functions
 * cost their call and one more each, as an empty loop through such a pointer shows; that is
 * subtracted. n <= BATCH_MAX. */
void bench_batches(const char *name, u32 n, void *(*alloc)(void), void (*release)(void *));
