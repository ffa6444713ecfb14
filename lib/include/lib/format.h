/*
 * Formatted text: the printf family without a C library.
 *
 * Conversions: %d %i %u %x %X %o %c %s %p %%, with flags `-`, `0`, `+`, `#`, ` `, a width, a
 * precision (each may be `*`) and the lengths hh h l ll z t j. No floating point, no %n. %p prints
 * 0x and 16 digits; %s of NULL prints (null). A conversion that is none of these is printed as it
 * stands and takes no argument.
 */
#pragma once

#include <lib/types.h>
#include <stdarg.h>

/* Receives the text piece by piece; pieces are not NUL-terminated. */
struct sink {
	void (*write)(struct sink *self, const char *text, size_t len);
};

/* Return the number of characters of the whole text. snprintf semantics: it may exceed size - 1. */
size_t format_to(struct sink *out, const char *fmt, ...) __printf(2, 3);
size_t vformat_to(struct sink *out, const char *fmt, va_list args) __printf(2, 0);
size_t format_buf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
size_t vformat_buf(char *buf, size_t size, const char *fmt, va_list args) __printf(3, 0);

/*
 * "512 B", "4 KiB", "1.5 GiB", "1023.9 MiB": at most 10 characters and a NUL. Returns buf. Cut to a
 * tenth, never rounded up; without a fraction exactly when nothing was cut ("4 KiB" is 4096 bytes,
 * "4.0 KiB" a few more).
 */
char *format_bytes(char buf[16], u64 bytes);
