/*
 * Signed results. A run that is graded is given a fresh key; the framework then ends every result
 * with a line
 *
 *     # signed 0123456789abcdef ok suite.name
 *
 * whose number is SipHash-2-4 (Aumasson and Bernstein, 2012) of the text behind it. Whoever knows
 * the key believes these lines and no others, so what the code under test prints, and the status it
 * ends with, count for nothing.
 *
 * While tests run the key is where C cannot read it: in the kernel in the processor's debug
 * registers, which nothing else uses; on the host in a page without access, at an address that only
 * chance knows. docs/labs/grading.md says what that withstands.
 */
#pragma once

#include <lib/types.h>

struct sign_key {
	u64 word[2];
};

/* 32 hexadecimal digits, in the order of the key's bytes. False: they are not. */
bool sign_key_read(const char *text, struct sign_key *key);

/* From here on results are signed with this key, which the caller then forgets. Before any test. */
void sign_begin(struct sign_key *key);

/* Prints "# signed HASH text" if a key was given. Not for the code under test. */
void sign_line(const char *fmt, ...) __printf(1, 2);

u64 siphash(const struct sign_key *key, const void *data, size_t len);

/* The platform's: puts the key away, and brings it back. */
void sign_key_hide(const struct sign_key *key);
void sign_key_show(struct sign_key *key);
