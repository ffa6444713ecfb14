/*
 * What the corpus' files on the sanitizer's build share: a bug, and the line that it must end in.
 */
#pragma once

#include "tests/kernel/kasan_test.h"
#include "tests/misuse/misuse.h"

/*
 * The statement must end in "KASAN: kind in <where>: <access> at <address>", where the first byte
 * that may not be touched is. It runs twice: a report comes before the access.
 */
#define CAUGHT_AT(kind, access, address, ...)                                        \
	do {                                                                         \
		char text_[64];                                                      \
                                                                                     \
		misuse_row("KASAN: " kind " in %s: " access " at %p");               \
		format_buf(text_, sizeof(text_), access " at %#lx", (u64)(address)); \
		EXPECT_PANIC("KASAN: " kind " in ", __VA_ARGS__);                    \
		EXPECT_PANIC(text_, __VA_ARGS__);                                    \
	} while (0)

/* The same where the size or the address is not the test's to know. */
#define CAUGHT_AS(kind, access, ...)                                               \
	do {                                                                       \
		misuse_row("KASAN: " kind " in %s: " access " of size %lu at %p"); \
		EXPECT_PANIC("KASAN: " kind " in ", __VA_ARGS__);                  \
		EXPECT_PANIC(access " of size ", __VA_ARGS__);                     \
	} while (0)

#define SANITIZED(name, bug, linux_text) MISUSE(name, bug, TIER_KASAN, "at the access", linux_text)
