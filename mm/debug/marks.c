/*
 * Marks: known bytes that are written where nobody may write, and looked at later.
 *
 * They lie in memory that the sanitizers of the host and of CONFIG=kasan call poisoned, so these
 * functions are left out of the instrumentation, and their accesses are volatile, or the compiler
 * would make calls to memset() and the like of them, which are not. Whole words where they can be.
 *
 * Cost: one access an 8-byte word.
 */
#include "debug_internal.h"

#define WORD_OF(byte) ((u64)(byte)*0x0101010101010101ull)

__no_asan void mark_fill(void *p, u8 byte, size_t n)
{
	volatile u8 *at = p, *end = at + n;

	for (; at < end && !is_aligned((u64)at, sizeof(u64)); at++)
		*at = byte;
	for (; end - at >= (ptrdiff_t)sizeof(u64); at += sizeof(u64))
		*(volatile u64 *)at = WORD_OF(byte);
	for (; at < end; at++)
		*at = byte;
}

__no_asan const void *mark_find_other(const void *p, u8 byte, size_t n)
{
	const volatile u8 *at = p, *end = at + n;

	for (; at < end; at++) {
		while (is_aligned((u64)at, sizeof(u64)) && end - at >= (ptrdiff_t)sizeof(u64) &&
		       *(const volatile u64 *)at == WORD_OF(byte))
			at += sizeof(u64);
		if (at < end && *at != byte)
			return (const void *)at;
	}
	return NULL;
}

__no_asan u32 mark_sum(const void *p, size_t n)
{
	const volatile u8 *at = p;
	u32 sum = 0x811c9dc5;

	for (size_t i = 0; i < n; i++)
		sum = (sum ^ at[i]) * 0x01000193;
	return sum;
}

__no_asan u8 mark_read(const void *p)
{
	return *(const volatile u8 *)p;
}
