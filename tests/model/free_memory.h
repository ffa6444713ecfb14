/*
 * Looking into free memory on purpose: at what is still a slab's, but nobody's. The address
 * sanitizer is asked to look away meanwhile.
 */
#pragma once

#include "mm/slab_internal.h"

#include <lib/string.h>

/* mem_find_other() of memory that was freed. */
static inline const void *free_memory_find_other(const void *p, u8 byte, size_t n)
{
	const void *other;

	platform_unpoison(p, n);
	other = mem_find_other(p, byte, n);
	if (slab_of(p) != NULL)
		platform_poison(p, n);
	return other;
}
