/*
 * The integer names that the whole kernel uses, and what every file needs of the compiler.
 * Freestanding: nothing here (or in any lib/ header) needs a C library.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int32_t s32;
typedef int64_t s64;

#define static_assert _Static_assert

#define KIB (1ull << 10)
#define MIB (1ull << 20)
#define GIB (1ull << 30)
#define TIB (1ull << 40)

#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

#define __packed __attribute__((packed))
#define __aligned(n) __attribute__((aligned(n)))
#define __printf(fmt, args) __attribute__((format(printf, fmt, args)))
/* Written only while the machine boots; in the kernel an attempt faults from then on. */
#define __ro_after_init __attribute__((section(".ro_after_init")))
#define __noinline __attribute__((noinline))
#define RETURN_ADDRESS() ((u64)__builtin_return_address(0)) /* who called this function */
#define __cold __attribute__((cold))
#define __no_asan __attribute__((no_sanitize_address)) /* may touch what is poisoned */
#define __must_check __attribute__((warn_unused_result))
#undef __always_inline /* the host's C library has its own */
#define __always_inline inline __attribute__((always_inline))

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Negative errno values, with the numbers that they have elsewhere. */
enum {
	ENOENT = 2,
	E2BIG = 7,
	EAGAIN = 11,
	ENOMEM = 12,
	EFAULT = 14,
	EBUSY = 16,
	EEXIST = 17,
	EINVAL = 22,
	ENOSPC = 28,
	ERANGE = 34,
	ETIMEDOUT = 110,
};
