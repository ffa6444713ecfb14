/*
 * Bounds of what an address lies in: for code that copies to or from a place that it was told.
 *
 * A range is in bounds when all of it lies in one live object, one large kmalloc, one block of
 * pages, or one stack, or in memory that the allocators know nothing of (the image, what the boot
 * reserved, vmalloc areas, whose guard pages fault). The idea is that of Linux's hardened usercopy
 * (Kees Cook, 2016, after PaX).
 *
 * Racy on purpose: whoever asks owns what it asks about. Any context, no lock.
 */
#pragma once

#include <lib/string.h>
#include <lib/types.h>

/* NULL, or what is wrong with touching [p, p + n): "past the end of the object". Any address. */
const char *object_bounds_fault(const void *p, size_t n);

/* Panics with one line when there is a fault: "BUG: past the end of the object: …", with the
 * object, its cache and call site. */
void check_object_bounds(const void *p, size_t n);

/* The same in CONFIG=debug alone. */
static inline void debug_check_bounds(const void *p, size_t n)
{
#ifdef CONFIG_DEBUG
	check_object_bounds(p, n);
#else
	(void)p;
	(void)n;
#endif
}

/* memcpy() and memset() that look first, in CONFIG=debug. */
static inline void *checked_memcpy(void *to, const void *from, size_t n)
{
	debug_check_bounds(to, n);
	debug_check_bounds(from, n);
	return memcpy(to, from, n);
}

static inline void *checked_memset(void *to, int byte, size_t n)
{
	debug_check_bounds(to, n);
	return memset(to, byte, n);
}
