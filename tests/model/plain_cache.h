/*
 * A cache whose stride is its size in every build: for tests that count what lies in a page, a
 * magazine or the depot. With a sanitizer, others have a red zone between their objects.
 */
#pragma once

#include "mm/slab_internal.h"

static inline struct kmem_cache *plain_cache_create(const char *name, size_t size, size_t align,
                                                    unsigned flags)
{
	struct kmem_cache *c;

	slab_red_zone = 0;
	c = kmem_cache_create(name, size, align, flags, NULL);
	slab_red_zone = PLATFORM_RED_ZONE;
	return c;
}
