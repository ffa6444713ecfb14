/*
 * Memory and string functions of the C standard, and a few that it lacks. Pure.
 * The compiler emits calls to the first four by itself.
 */
#pragma once

#include <lib/types.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *hay, const char *needle);

/* The first byte of [p, p + n) that differs from `byte`, or NULL when all are equal. */
const void *mem_find_other(const void *p, u8 byte, size_t n);

/* Copies at most size - 1 bytes and always ends dst with a NUL (size > 0). Returns strlen(src). */
size_t str_copy(char *dst, const char *src, size_t size);

/* `*` matches any run of characters, `?` any one. */
bool str_matches(const char *pattern, const char *s);

/*
 * Reads a number: decimal (leading zeros mean nothing: there is no octal) or 0x and hexadecimal,
 * and with `suffixes` one of K, M, G, T or k, m, g, t (powers of 1024) after it. No sign, no
 * blanks: the whole string must be the number. 0, or -EINVAL (no number, or text behind it), or
 * -ERANGE (a number above 2^64 - 1); on failure *out is unchanged.
 */
int str_to_u64(const char *s, bool suffixes, u64 *out);
