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

#include <lib/types.h>
#include <mm/platform.h>

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

/*
 * What memcpy() and its like ask in the kernel's CONFIG=debug, for each range that they are about
 * to touch: the same, but for the direct map alone and from the end of mm_init() on. The manager
 * itself touches what is no live object, and may: its own records, objects between guard pages and
 * those of caches that are wiped or under slab_debug=, when they are free.
 */
extern bool copies_are_checked; /* C */
void check_copy_slowly(const void *p, size_t n);
static inline void check_copy(const void *p, size_t n)
{
	if (likely(copies_are_checked) && is_direct_map(p))
		check_copy_slowly(p, n);
}
