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
#include <mm/site.h>
#include <mm/slab.h>

#define KMALLOC_MAX_CLASS 8192ul
#define KMALLOC_MAX_SIZE (1ul << 30)
#define ZERO_SIZE_PTR ((void *)16)

void *kmalloc_at(size_t size, gfp_t gfp, const struct alloc_site *site)
    __attribute__((malloc, alloc_size(1)));
void *kmalloc_node_at(size_t size, gfp_t gfp, unsigned node, const struct alloc_site *site)
    __attribute__((malloc, alloc_size(1)));
void *kmalloc_array_at(size_t n, size_t size, gfp_t gfp, const struct alloc_site *site)
    __attribute__((malloc, alloc_size(1, 2)));

/* The block moves if it must; NULL leaves the old one as it was. p NULL: kmalloc. size 0: frees,
 * gives ZERO_SIZE_PTR. With
 * __GFP_ZERO what is beyond the old usable size (ksize) is zeroed. */
void *krealloc_at(const void *p, size_t size, gfp_t gfp, const struct alloc_site *site)
    __attribute__((alloc_size(2)));
char *kstrdup_at(const char *s, gfp_t gfp, const struct alloc_site *site); /* NULL gives NULL */
void *kmemdup_at(const void *src, size_t size, gfp_t gfp, const struct alloc_site *site);

#define kmalloc(size, gfp) kmalloc_at(size, gfp, ALLOC_SITE())
#define kzalloc(size, gfp) kmalloc_at(size, (gfp) | __GFP_ZERO, ALLOC_SITE())
#define kmalloc_node(size, gfp, node) kmalloc_node_at(size, gfp, node, ALLOC_SITE())
#define kmalloc_array(n, size, gfp) kmalloc_array_at(n, size, gfp, ALLOC_SITE())
#define kcalloc(n, size, gfp) kmalloc_array_at(n, size, (gfp) | __GFP_ZERO, ALLOC_SITE())
#define krealloc(p, size, gfp) krealloc_at(p, size, gfp, ALLOC_SITE())
#define kstrdup(s, gfp) kstrdup_at(s, gfp, ALLOC_SITE())
#define kmemdup(src, size, gfp) kmemdup_at(src, size, gfp, ALLOC_SITE())

void kfree(const void *p);
/* The same, and the contents are wiped first. */
void kfree_sensitive(const void *p);

/* How many bytes at p may be used: at least the size asked for. 0 for NULL and ZERO_SIZE_PTR. */
size_t ksize(const void *p);

/* The size class that serves `size`, or 0 when it is above the classes. */
size_t kmalloc_class_size(size_t size);
