/*
 * Memory and string functions: see lib/string.h for the contracts.
 *
 * The memory functions are not the compiler's business: a C loop that copies bytes is recognised
 * and replaced by a call of memcpy, so inside memcpy it would call itself. Hence three forms, none
 * of them a recognisable loop:
 *
 *   up to 16 bytes   two loads and two stores that may overlap each other; all loads come before
 * all stores, so the same code is right for memmove upwards          `rep movsq`, and the last 8
 * bytes by a word that was loaded before anything was stored downwards        words from the end,
 * in a loop with a compiler barrier; not `std; rep movsq`, which is slow and would let an interrupt
 * handler start with the direction flag set
 *
 * Under an address sanitizer (the host's, or a kernel built with one) assembly and overlapping
 * words are not seen by the instrumentation, so each function first tells it what it is about to
 * touch. So does a kernel in CONFIG=debug, which looks whether it is all one live object's.
 *
 * Cost: O(n). Nothing here is tuned for large copies beyond what the processor does for string
 * instructions.
 */
#include <lib/platform.h>
#include <lib/string.h>

/* Words at any address, of any type. */
typedef u16 any_u16 __attribute__((may_alias, aligned(1)));
typedef u32 any_u32 __attribute__((may_alias, aligned(1)));
typedef u64 any_u64 __attribute__((may_alias, aligned(1)));

#define keep_loop() __asm__ volatile("" ::: "memory")

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#ifdef PLATFORM_CHECKS_ACCESS /* blames the caller */
#define check_access(p, n, write) platform_check_access(p, n, write, __builtin_return_address(0))
#elif defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
void __asan_loadN(void *p, long n);
void __asan_storeN(void *p, long n);
#define check_access(p, n, write)                           \
	((write) ? __asan_storeN((void *)(uintptr_t)(p), n) \
	         : __asan_loadN((void *)(uintptr_t)(p), n))
#else
#define check_access(p, n, write) ((void)(p))
#endif

static __always_inline void will_read(const void *p, size_t n)
{
	if (n != 0)
		check_access(p, (long)n, false);
}

static __always_inline void will_write(void *p, size_t n)
{
	if (n != 0)
		check_access(p, (long)n, true);
}

/* Comparing is how free memory is verified: only a sanitizer minds. */
static __always_inline void will_compare(const void *p, size_t n)
{
#if !defined(PLATFORM_CHECKS_ACCESS) || defined(CONFIG_KASAN)
	will_read(p, n);
#else
	(void)p;
	(void)n;
#endif
}

/* n <= 16; any overlap. */
static inline void copy_small(char *d, const char *s, size_t n)
{
	if (n >= 8) {
		u64 first = *(const any_u64 *)s, last = *(const any_u64 *)(s + n - 8);

		*(any_u64 *)d = first;
		*(any_u64 *)(d + n - 8) = last;
	} else if (n >= 4) {
		u32 first = *(const any_u32 *)s, last = *(const any_u32 *)(s + n - 4);

		*(any_u32 *)d = first;
		*(any_u32 *)(d + n - 4) = last;
	} else if (n >= 2) {
		u16 first = *(const any_u16 *)s, last = *(const any_u16 *)(s + n - 2);

		*(any_u16 *)d = first;
		*(any_u16 *)(d + n - 2) = last;
	} else if (n == 1) {
		*d = *s;
	}
}

/* n > 8; right for d <= s, and where the two do not overlap. */
static inline void copy_up(char *d, const char *s, size_t n)
{
	u64 last = *(const any_u64 *)(s + n - 8);
	char *d_last = d + n - 8;
	size_t words = n / 8;

	__asm__ volatile("rep movsq" : "+D"(d), "+S"(s), "+c"(words) : : "memory");
	*(any_u64 *)d_last = last;
}

/* n > 8; right for d >= s. */
static inline void copy_down(char *d, const char *s, size_t n)
{
	u64 first = *(const any_u64 *)s;

	for (size_t left = n; left >= 8; left -= 8) {
		*(any_u64 *)(d + left - 8) = *(const any_u64 *)(s + left - 8);
		keep_loop();
	}
	*(any_u64 *)d = first;
}

void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	will_read(src, n);
	will_write(dst, n);
	if (n <= 16)
		copy_small(dst, src, n);
	else
		copy_up(dst, src, n);
	return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
	will_read(src, n);
	will_write(dst, n);
	if (n <= 16)
		copy_small(dst, src, n);
	else if ((uintptr_t)dst - (uintptr_t)src >= n) /* below it, or behind its end */
		copy_up(dst, src, n);
	else
		copy_down(dst, src, n);
	return dst;
}

void *memset(void *dst, int byte, size_t n)
{
	u64 word = (u8)byte * 0x0101010101010101ull;
	size_t words = n / 8;
	char *d = dst;

	will_write(dst, n);
	if (n >= 8) {
		char *last = d + n - 8;

		__asm__ volatile("rep stosq" : "+D"(d), "+c"(words) : "a"(word) : "memory");
		*(any_u64 *)last = word;
	} else if (n >= 4) {
		*(any_u32 *)d = (u32)word;
		*(any_u32 *)(d + n - 4) = (u32)word;
	} else if (n >= 2) {
		*(any_u16 *)d = (u16)word;
		*(any_u16 *)(d + n - 2) = (u16)word;
	} else if (n == 1) {
		*d = (char)word;
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const u8 *x = a, *y = b;

	will_compare(a, n);
	will_compare(b, n);
	for (; n >= 8 && *(const any_u64 *)x == *(const any_u64 *)y; n -= 8) {
		x += 8;
		y += 8;
	}
	for (; n > 0; n--, x++, y++) {
		if (*x != *y)
			return *x - *y;
	}
	return 0;
}

const void *mem_find_other(const void *p, u8 byte, size_t n)
{
	u64 word = byte * 0x0101010101010101ull;
	const u8 *at = p;

	will_compare(p, n);
	for (; n >= 8 && *(const any_u64 *)at == word; n -= 8)
		at += 8;
	for (; n > 0; n--, at++) {
		if (*at != byte)
			return at;
	}
	return NULL;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n] != '\0') {
		n++;
		keep_loop();
	}
	return n;
}

size_t strlen(const char *s)
{
	return strnlen(s, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		if (*a != *b || *a == '\0')
			return (u8)*a - (u8)*b;
	}
	return 0;
}

int strcmp(const char *a, const char *b)
{
	return strncmp(a, b, SIZE_MAX);
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c)
			return (char *)(uintptr_t)s;
		if (*s == '\0')
			return NULL;
	}
}

char *strstr(const char *hay, const char *needle)
{
	size_t n = strlen(needle);

	for (;; hay++) {
		if (strncmp(hay, needle, n) == 0)
			return (char *)(uintptr_t)hay;
		if (*hay == '\0')
			return NULL;
	}
}

size_t str_copy(char *dst, const char *src, size_t size)
{
	size_t len = strlen(src), n = len < size ? len : size - 1;

	memcpy(dst, src, n);
	dst[n] = '\0';
	return len;
}

/* On a mismatch only the last star has to be tried again, one character further: O(pattern * s), no
 * recursion. */
bool str_matches(const char *pattern, const char *s)
{
	const char *after_star = NULL, *retry = NULL;

	while (*s != '\0') {
		if (*pattern == '*') {
			after_star = ++pattern;
			retry = s;
		} else if (*pattern != '\0' && (*pattern == '?' || *pattern == *s)) {
			pattern++;
			s++;
		} else if (after_star) {
			pattern = after_star;
			s = ++retry;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

/* The digit's value, or 16 when c is none. */
static unsigned digit_value(char c)
{
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0');
	if (c >= 'a' && c <= 'f')
		return (unsigned)(c - 'a') + 10;
	if (c >= 'A' && c <= 'F')
		return (unsigned)(c - 'A') + 10;
	return 16;
}

/* The power of two that a suffix stands for, or 0. */
static unsigned suffix_shift(char c)
{
	switch (c) {
	case 'K':
	case 'k':
		return 10;
	case 'M':
	case 'm':
		return 20;
	case 'G':
	case 'g':
		return 30;
	case 'T':
	case 't':
		return 40;
	default:
		return 0;
	}
}

int str_to_u64(const char *s, bool suffixes, u64 *out)
{
	bool too_big = false, hex = s[0] == '0' && (s[1] == 'x' || s[1] == 'X');
	unsigned base = hex ? 16 : 10, digit, shift;
	const char *at = hex ? s + 2 : s, *first = at;
	u64 value = 0;

	for (; (digit = digit_value(*at)) < base; at++) {
		too_big |= value > (UINT64_MAX - digit) / base;
		value = value * base + digit;
	}
	if (at == first)
		return -EINVAL;
	shift = suffixes ? suffix_shift(*at) : 0;
	at += shift != 0;
	if (*at != '\0')
		return -EINVAL;
	if (too_big || value > UINT64_MAX >> shift)
		return -ERANGE;
	*out = value << shift;
	return 0;
}
