/*
 * The bitmap operations that walk words: see lib/bitmap.h. Bits at and above nr_bits in the last
 * word are never believed: a caller may pass any nr_bits up to what its words hold.
 *
 * Cost: O(words); bitmap_next() looks at each word from `from` on at most once.
 */
#include <lib/bitmap.h>

/* lab 0.2 */
void bitmap_zero(u64 *map, size_t nr_bits)
{
	for (size_t w = 0; w < bitmap_words(nr_bits); w++)
		map[w] = 0;
}

/* lab 0.2 */
void bitmap_fill(u64 *map, size_t nr_bits)
{
	for (size_t w = 0; w < bitmap_words(nr_bits); w++)
		map[w] = UINT64_MAX;
	if (nr_bits % 64 != 0)
		map[nr_bits / 64] = (1ull << (nr_bits % 64)) - 1;
}

/* lab 0.2 */
size_t bitmap_next(const u64 *map, size_t nr_bits, size_t from)
{
	size_t w = from / 64, words = bitmap_words(nr_bits), bit;
	u64 word;

	if (from >= nr_bits)
		return nr_bits;
	word = map[w] & UINT64_MAX << (from % 64);
	while (word == 0 && ++w < words)
		word = map[w];
	if (word == 0)
		return nr_bits;
	bit = w * 64 + lowest_bit(word);
	return bit < nr_bits ? bit : nr_bits;
}

/* lab 0.2 */
size_t bitmap_count(const u64 *map, size_t nr_bits)
{
	size_t count = 0, w;

	for (w = 0; w < nr_bits / 64; w++)
		count += bit_count(map[w]);
	if (nr_bits % 64 != 0)
		count += bit_count(map[w] & ((1ull << (nr_bits % 64)) - 1));
	return count;
}
