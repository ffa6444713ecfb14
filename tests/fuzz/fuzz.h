/*
 * What the fuzz targets share. A target is one file tests/fuzz/<name>_fuzz.c with one function,
 * fuzz_one(): it decodes the bytes, drives the code under test, and compares with a model that is
 * too simple to be wrong. `make fuzz` builds each with libFuzzer and both sanitizers.
 *
 * A finding ends the process (MUST and its kin abort, panic() aborts, sanitizers abort); libFuzzer
 * then writes the bytes to a file, and the target run with that file does the same again. For this,
 * everything in fuzz_one() follows from the bytes alone: no state lives from one call to the next,
 * no clock, no address decides anything.
 *
 * An input that has run out gives zeros, so every prefix of an input is an input too, and a loop
 * `while (input_left(in))` ends.
 */
#pragma once

#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <lib/types.h>
#include <setjmp.h>

struct input {
	const u8 *at;
	size_t left;
};

/* The target. */
void fuzz_one(struct input *in);

/* --- the bytes --- */

static inline size_t input_left(const struct input *in)
{
	return in->left;
}

/* A little-endian number of so many bytes. */
static inline u64 input_bytes(struct input *in, unsigned nr_bytes)
{
	u64 value = 0;

	for (unsigned i = 0; i < nr_bytes && in->left > 0; i++, in->left--)
		value |= (u64)*in->at++ << (8 * i);
	return value;
}

/* 0 … bound - 1, of as few bytes as can say it; bound > 0. Modulo is good enough here, and leaves
 * small numbers as they stand in the input. */
static inline u32 input_below(struct input *in, u32 bound)
{
	return (u32)(input_bytes(in, bound <= 1u << 8 ? 1 : bound <= 1u << 16 ? 2 : 4) % bound);
}

/* What is left, as a copy of exactly that size: a read outside of it is a sanitizer's report. With
 * `terminated`, a NUL follows. The caller frees it with input_free(). */
u8 *input_take_rest(struct input *in, size_t *size, bool terminated);
void *exact_alloc(size_t size); /* never NULL; contents are 0xa5 */
void exact_free(void *p);

/* --- findings --- */

_Noreturn void fuzz_fail(const char *file, int line, const char *fmt, ...) __printf(3, 4);

#define MUST(cond) ((cond) ? (void)0 : fuzz_fail(__FILE__, __LINE__, "%s", #cond))
#define MUST_EQ(a, b)                                                                             \
	({                                                                                        \
		u64 a_ = (u64)(a), b_ = (u64)(b);                                                 \
		if (a_ != b_)                                                                     \
			fuzz_fail(__FILE__, __LINE__, "%s == %s: %#lx and %#lx", #a, #b, a_, b_); \
	})
/* For the X_check() functions. */
#define MUST_BE_SOUND(check)                                                              \
	({                                                                                \
		const char *broken_ = (check);                                            \
		if (broken_)                                                              \
			fuzz_fail(__FILE__, __LINE__, "%s says \"%s\"", #check, broken_); \
	})

/* The statement must panic with a line that begins so. Only where the code promises to check before
 * it changes anything or takes a lock. */
#define MUST_PANIC(start, ...)                                                       \
	({                                                                           \
		if (setjmp(*fuzz_trap_arm()) == 0) {                                 \
			__VA_ARGS__;                                                 \
			fuzz_fail(__FILE__, __LINE__, "no panic: %s", #__VA_ARGS__); \
		}                                                                    \
		fuzz_trap_caught(__FILE__, __LINE__, start);                         \
	})
jmp_buf *fuzz_trap_arm(void);
void fuzz_trap_caught(const char *file, int line, const char *start);
