/*
 * What the tests of the address sanitizer share: accesses that the compiler cannot see through, and
 * the line that a report must be.
 */
#pragma once

#include <lib/format.h>
#include <lib/string.h>
#include <mm/kmalloc.h>
#include <tests/test.h>

static inline void *hide(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

static inline size_t hide_size(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static inline void read_byte(const volatile u8 *p)
{
	(void)*p;
}

static inline void write_byte(volatile u8 *p)
{
	*p = 1;
}

typedef u64 any_word __attribute__((may_alias, aligned(1)));

static inline void read_word(const volatile u8 *p)
{
	(void)*(const volatile any_word *)p;
}

static inline u8 *must_kmalloc(size_t size)
{
	u8 *p = hide(kmalloc(size, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	return p;
}

/* They write so many bytes behind the start of an array of 10 bytes, of one of n, and to a variable
 * whose block has ended. */
void victim_array(long offset);
void victim_alloca(size_t n, long offset);
void victim_scope(void);

/* The statement must end in this report: what is wrong, the access, its size, the first bad byte.
 */
#define EXPECT_REPORT(kind, access, length, address, ...)                                      \
	({                                                                                     \
		char text_[80];                                                                \
		format_buf(text_, sizeof(text_), access " of size %lu at %#lx", (u64)(length), \
		           (u64)(address));                                                    \
		EXPECT_PANIC(kind " in test_kasan_", __VA_ARGS__);                             \
		EXPECT_PANIC(text_, __VA_ARGS__);                                              \
	})
