/*
 * Lab 0.3: a test of bitmaps. It is called with a right one, and must say so; and with broken ones,
 * of which it must find each. It knows nothing of them but their two functions.
 */
#include "tests/lab0.h"

#include <lib/bitmap.h>

/* lab 0.3, helper */
#define MAX_WORDS 3u

/* lab 0.3, helper */
static bool agrees(const struct bitmap_ops *ops, const u64 *map, size_t nr_bits)
{
	size_t count = 0;

	for (size_t i = 0; i < nr_bits; i++)
		count += bitmap_test(map, i);
	if (ops->count(map, nr_bits) != count)
		return false;
	for (size_t from = 0; from <= nr_bits + 2; from++) {
		size_t next = from;

		while (next < nr_bits && !bitmap_test(map, next))
			next++;
		if (ops->next(map, nr_bits, from) != (next < nr_bits ? next : nr_bits))
			return false;
	}
	return true;
}

/* What lies behind the last bit is as `behind` says, but for the very next one: who believes that
 * one answers nr_bits, and is right by chance. lab 0.3, helper */
static bool single_bits_agree(const struct bitmap_ops *ops, size_t nr_bits, u64 behind)
{
	u64 map[MAX_WORDS] = {0};

	for (size_t bit = 0; bit <= nr_bits; bit++) {
		for (size_t i = 0; i < MAX_WORDS * 64; i++)
			(i < nr_bits ? i == bit : i > nr_bits && behind) ? bitmap_set(map, i)
			                                                 : bitmap_clear(map, i);
		if (!agrees(ops, map, nr_bits))
			return false;
	}
	return true;
}

/* lab 0.3 */
bool bitmap_is_right(const struct bitmap_ops *ops)
{
	static const size_t sizes[] = {1, 63, 64, 65, 128, 130};
	const u64 all[MAX_WORDS] = {UINT64_MAX, UINT64_MAX, UINT64_MAX};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		if (!agrees(ops, all, sizes[i]) || !single_bits_agree(ops, sizes[i], 0) ||
		    !single_bits_agree(ops, sizes[i], 1))
			return false;
	return true;
}
