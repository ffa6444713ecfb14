/*
 * Memory by size: the malloc-shaped interface over size classes (16-byte steps to 64, then four to
 * a doubling, up to 8 KiB) and, above that, runs of exactly the pages needed, up to 1 GiB.
 *
 * kmalloc(0) gives ZERO_SIZE_PTR, which kfree accepts and nobody may read. kfree(NULL) does
 * nothing. A size that overflows or exceeds KMALLOC_MAX_SIZE gives NULL. Memory is aligned to its
 * size for powers of two (to a page from 4 KiB up), to 8 otherwise. Physically contiguous, in the
 * direct map. Contexts as in mm/slab.h.
 *
 * A wrong kfree stops the machine with one line that names the fault: "kfree: double free …".
 */
#pragma once

#include <mm/gfp.h>
#include <mm/platform.h>
#include <mm/site.h>
#include <mm/slab.h>

#define KMALLOC_MAX_CLASS 8192ul
#define KMALLOC_MAX_SIZE (1ul << 30)
#define ZERO_SIZE_PTR ((void *)16)

#define kmalloc(size, gfp) kmalloc_tag(size, gfp, ALLOC_TAG_OF(size), SIZE_IS_LITERAL(size))
#define kzalloc(size, gfp) \
	kmalloc_tag(size, (gfp) | __GFP_ZERO, ALLOC_TAG_OF(size), SIZE_IS_LITERAL(size))
/* Of the node's memory, or of the nearest node's that has some: kmem_cache_alloc_node(). */
#define kmalloc_node(size, gfp, node) kmalloc_node_tag(size, gfp, node, ALLOC_TAG())
#define kmalloc_array(n, size, gfp) kmalloc_array_tag(n, size, gfp, ALLOC_TAG())
#define kcalloc(n, size, gfp) kmalloc_array_tag(n, size, (gfp) | __GFP_ZERO, ALLOC_TAG())
/* The block moves if it must; NULL leaves the old one as it was. p NULL: kmalloc. size 0: frees,
 * gives ZERO_SIZE_PTR. With __GFP_ZERO what is beyond the old usable size (ksize) is zeroed. */
#define krealloc(p, size, gfp) krealloc_tag(p, size, gfp, ALLOC_TAG())
#define kstrdup(s, gfp) kstrdup_tag(s, gfp, ALLOC_TAG()) /* NULL gives NULL */
#define kmemdup(src, size, gfp) kmemdup_tag(src, size, gfp, ALLOC_TAG())

void kfree(const void *p);
/* The same, and the contents are wiped first. */
void kfree_sensitive(const void *p);

/* How many bytes at p may be used: at least the size asked for. 0 for NULL and ZERO_SIZE_PTR. */
size_t ksize(const void *p);

/* The size class that serves `size`, or 0 when it is above the classes. */
size_t kmalloc_class_size(size_t size);

/* --- the same for another call site than this one, by its tag --- */

/* Any size and flags. */
void *kmalloc_any(size_t size, gfp_t gfp, u32 tag) __attribute__((malloc, alloc_size(1)));
/* Any size, no flag of KMALLOC_SPECIAL: two instructions less. */
void *kmalloc_plain(size_t size, gfp_t gfp, u32 tag) __attribute__((malloc, alloc_size(1)));
/* The same where __GFP_DATA is the one flag of them. */
void *kmalloc_plain_data(size_t size, gfp_t gfp, u32 tag) __attribute__((malloc, alloc_size(1)));
void *kmalloc_node_tag(size_t size, gfp_t gfp, unsigned node, u32 tag)
    __attribute__((malloc, alloc_size(1)));
void *kmalloc_array_tag(size_t n, size_t size, gfp_t gfp, u32 tag)
    __attribute__((malloc, alloc_size(1, 2)));
void *krealloc_tag(const void *p, size_t size, gfp_t gfp, u32 tag) __attribute__((alloc_size(2)));
char *kstrdup_tag(const char *s, gfp_t gfp, u32 tag);
void *kmemdup_tag(const void *src, size_t size, gfp_t gfp, u32 tag);

/* The cache of each size up to KMALLOC_MAX_CLASS: that of `size` is at [(size - 1) / 16]. */
extern struct kmem_cache *kmalloc_cache[KMALLOC_MAX_CLASS / 16];
extern struct kmem_cache *kmalloc_data_cache[KMALLOC_MAX_CLASS / 16]; /* with __GFP_DATA */

/* Flags with which memory does not come straight from a size class. */
#define KMALLOC_SPECIAL (__GFP_ZERO | __GFP_DMA | __GFP_DMA32 | __GFP_DATA)

/* Whether the flags are a constant with this one of them. */
#define GFP_IS_KNOWN(gfp, special) \
	(__builtin_constant_p((gfp)&KMALLOC_SPECIAL) && ((gfp)&KMALLOC_SPECIAL) == (special))

/* Where size and flags are constants, so is the choice of the cache (but a sanitizer must
 * know the size); what is known of the flags
 * alone need not be asked again. literal: the tag's site knows the size (mm/site.h). */
static __always_inline void *kmalloc_tag(size_t size, gfp_t gfp, u32 tag, bool literal)
{
	if (!PLATFORM_POISONS && literal && size - 1 < KMALLOC_MAX_CLASS &&
	    !(gfp & KMALLOC_SPECIAL))
		return slab_alloc(kmalloc_cache[(size - 1) / 16], gfp, tag);
	if (!PLATFORM_POISONS && literal && size - 1 < KMALLOC_MAX_CLASS &&
	    GFP_IS_KNOWN(gfp, __GFP_DATA))
		return slab_alloc(kmalloc_data_cache[(size - 1) / 16], gfp, tag);
	if (GFP_IS_KNOWN(gfp, 0))
		return kmalloc_plain(size, gfp, tag);
	if (GFP_IS_KNOWN(gfp, __GFP_DATA))
		return kmalloc_plain_data(size, gfp, tag);
	return kmalloc_any(size, gfp, tag);
}
