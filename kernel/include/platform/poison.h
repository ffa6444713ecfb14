/*
 * mm/platform.h's hooks for a sanitizer, in the kernel: nothing, but in CONFIG=kasan, where
 * kernel/kasan.c has them.
 */
#pragma once

#include <lib/types.h>

#ifdef CONFIG_KASAN
#define PLATFORM_POISONS true
#define PLATFORM_RED_ZONE 16u
#define PLATFORM_FAST __attribute__((no_sanitize_address)) /* checks are calls */

void kasan_poison(const void *p, size_t n, enum poison_kind kind);
void kasan_unpoison(const void *p, size_t n);
void kasan_pages_freed(const struct page *head, u64 nr_pages);
void kasan_pages_allocated(const struct page *head, u64 nr_pages);
void kasan_area_usable(u64 va, u64 bytes, u64 usable);

#define platform_poison_as(p, n, kind) kasan_poison(p, n, kind)
#define platform_unpoison(p, n) kasan_unpoison(p, n)
#define platform_pages_freed(head, nr_pages) kasan_pages_freed(head, nr_pages)
#define platform_area_usable(va, bytes, usable) kasan_area_usable(va, bytes, usable)
#define platform_pages_allocated(head, nr_pages) kasan_pages_allocated(head, nr_pages)
#else
#define PLATFORM_POISONS false
#define PLATFORM_RED_ZONE 0u
#define PLATFORM_FAST

static inline void platform_poison_as(const void *p, size_t n, enum poison_kind kind)
{
	(void)p;
	(void)n;
	(void)kind;
}

static inline void platform_unpoison(const void *p, size_t n)
{
	(void)p;
	(void)n;
}

static inline void platform_pages_freed(const struct page *head, u64 nr_pages)
{
	(void)head;
	(void)nr_pages;
}

static inline void platform_pages_allocated(const struct page *head, u64 nr_pages)
{
	(void)head;
	(void)nr_pages;
}

static inline void platform_area_usable(u64 va, u64 bytes, u64 usable)
{
	(void)va;
	(void)bytes;
	(void)usable;
}
#endif
