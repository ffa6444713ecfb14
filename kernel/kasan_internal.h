/*
 * Private to the sanitizer's runtime: kasan.c (checks), kasan_abi.c (what the compiler calls),
 * kasan_shadow.c (its page tables), kasan_report.c. None of them is instrumented itself.
 */
#pragma once

#include <kernel/kasan.h>
#include <kernel/layout.h>
#include <lib/types.h>

#define KASAN_GRANULE 8ul

/* Set once the shadow is real. */
extern bool kasan_is_on;

static inline u8 *shadow_of(u64 va)
{
	return (u8 *)(SHADOW_OFFSET + (va >> 3));
}

/* The kernel's half has a shadow; below it the page tables themselves refuse every access. */
static inline bool has_shadow(u64 va)
{
	return va >= DIRECT_MAP_BASE;
}

/* Whether the shadow of the address is memory of its own: it may be written. */
bool kasan_is_backed(u64 va);

/* Granules that [va, va + length) touches get this value; va at the start of one. */
void kasan_fill(u64 va, u64 length, u8 value);

/* Ends in a report and a panic if one of the bytes may not be touched. ip: whose access it is. */
void kasan_check(u64 va, u64 length, bool write, u64 ip);

/* The first of the bytes that may not be touched; 0: all may. */
u64 kasan_first_bad(u64 va, u64 length);

struct kasan_access {
	u64 va, length, bad, ip;
	bool write;
};
_Noreturn void kasan_report(const struct kasan_access *access);

/* What the compiler says of a global variable. */
struct asan_global {
	u64 va, size, size_with_red_zone;
	const char *name, *file;
	u64 has_initializer;
	const void *location;
	u64 odr_indicator;
};

/* The variable that lies just before or around the address; NULL: none. */
const struct asan_global *kasan_find_global(u64 va);
void kasan_init_globals(void);
