/*
 * The corpus of planted bugs: one a block, with the line that it must end in.
 *
 *     MISUSE(twice, "kfree() twice", TIER_RELEASE, "at the free", "…")
 *     {
 *             void *p = must(kmalloc(100, GFP_KERNEL));
 *
 *             kfree(p);
 *             CAUGHT(kfree(p), "kfree: double free object=%p cache=kmalloc-112", p);
 *     }
 *
 * Each is a test (suite `misuse`), and a row of the table in docs/debugging.md, which `make misuse`
 * makes of what the tests print. A bug that only later tiers catch names those alone; without one
 * of them it is not planted, and the test is skipped. Legal programs (suite `legal`) do what looks
 * suspicious and is right: any line stops them.
 *
 * Bugs must be survivable: the line comes before anything is changed, or the block repairs it.
 */
#pragma once

#include "tests/test.h"

/* Who catches it: bits. */
enum {
	TIER_RELEASE = 1,   /* 1: always on */
	TIER_BOOT = 2,      /* 2: slab_debug= */
	TIER_SAMPLED = 4,   /* 3: kfence= */
	TIER_KASAN = 8,     /* 4: CONFIG=kasan */
	TIER_ASKED = 16,    /* 5: when asked: leaks, audit, check */
	TIER_HARDENED = 64, /* 7: check_object_bounds() */
};

struct misuse {
	const char *bug;    /* the table's first column */
	unsigned tiers;     /* any of which catches it */
	const char *when;   /* "at the free" … */
	const char *linux_; /* what Linux does, and with what turned on */
};

#define MISUSE(name, bug_, tiers_, when_, linux_text)                               \
	static void misuse_##name(void);                                            \
	TEST(misuse, name)                                                          \
	{                                                                           \
		static const struct misuse row = {bug_, tiers_, when_, linux_text}; \
                                                                                    \
		if (misuse_begin(&row))                                             \
			misuse_##name();                                            \
		misuse_end();                                                       \
	}                                                                           \
	static void misuse_##name(void)

#define LEGAL(name) TEST(legal, name)

/* The tiers that this machine has now. */
unsigned misuse_tiers(void);

/* The row is the running test's. False: no tier that it names is there. misuse_end(): a bug that
 * was planted must have been caught. */
bool misuse_begin(const struct misuse *row);
void misuse_end(void);

/* How the table shows the line, where none of those to come is it whole. */
void misuse_row(const char *fmt);

/* The line to come, whole or a part; and that it did. */
const char *misuse_expect(const char *fmt, ...) __printf(1, 2);

/* The statement must end in a panic with this line. */
#define CAUGHT(statement, ...)                                  \
	do {                                                    \
		const char *line_ = misuse_expect(__VA_ARGS__); \
                                                                \
		EXPECT_PANIC(line_, statement);                 \
	} while (0)

/* It must have been refused or reported so, without a panic. */
#define REFUSED(condition, ...)                   \
	do {                                      \
		(void)misuse_expect(__VA_ARGS__); \
		EXPECT_TRUE(condition);           \
	} while (0)

/* Neither the compiler's attributes nor its warnings see through it. */
#define must(p)                                    \
	({                                         \
		__typeof__(p) got_ = (p);          \
                                                   \
		ASSERT_NOT_NULL(got_);             \
		__asm__ volatile("" : "+r"(got_)); \
		got_;                              \
	})
