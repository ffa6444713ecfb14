/*
 * Memory that is contiguous in virtual addresses only, and windows on physical ones.
 *
 * Areas lie in a region of their own (PLATFORM_VMALLOC_BASE), each with an unmapped guard page
 * behind it: running off the end faults. vmalloc() memory comes in single pages, and in 2 MiB
 * leaves where the size allows and memory has them. Nothing here is executable.
 *
 * Contexts: threads; vfree(), vunmap() and iounmap() in handlers too, and so __vmalloc() with
 * GFP_NOWAIT or GFP_ATOMIC. Exhaustion gives NULL. A wrong free stops the machine with one line
 * that says what the address is: "vfree: double free …", "vfree: not a vmalloc area …", "kfree: a
 * vmalloc address …".
 *
 * What was unmapped keeps its addresses until many areas, or 32 MiB, have gathered: then all CPUs
 * forget their translations once, for all of them, and empty page tables are given back.
 */
#pragma once

#include <mm/gfp.h>
#include <mm/page.h>
#include <mm/site.h>

/* How memory is mapped; readable always. The numbers are the kernel's PAGING_ ones. */
#define VM_WRITE 1u
#define VM_UNCACHED 4u        /* device registers */
#define VM_WRITE_COMBINING 8u /* frame buffers */

#define VMALLOC_MAX_SIZE (1ull << 38) /* 256 GiB */

/* size: 1 … VMALLOC_MAX_SIZE, rounded up to pages. Contents undefined, or zero. */
#define vmalloc(size) vmalloc_tag(size, GFP_KERNEL, ALLOC_TAG())
#define vzalloc(size) vmalloc_tag(size, GFP_KERNEL | __GFP_ZERO, ALLOC_TAG())
#define __vmalloc(size, gfp) vmalloc_tag(size, gfp, ALLOC_TAG())
void vfree(const void *p); /* NULL is a no-op */

/* kmalloc() if that has it, else vmalloc(). kvfree() takes either's. */
#define kvmalloc(size, gfp) kvmalloc_tag(size, gfp, ALLOC_TAG())
#define kvzalloc(size, gfp) kvmalloc_tag(size, (gfp) | __GFP_ZERO, ALLOC_TAG())
void kvfree(const void *p);

/* The pages, which stay the caller's, side by side. flags: VM_ … NULL without memory or for n = 0.
 */
#define vmap(pages, n, flags) vmap_tag(pages, n, flags, ALLOC_TAG())
void vunmap(const void *p);

/* [pa, pa + size) of a device, at any alignment; uncached, write-combining, or cached. NULL without
 * memory, when the range wraps or is no physical address, and for memory that the page allocator
 * manages, which must not be mapped in two ways (with a line in the log). */
#define ioremap(pa, size) ioremap_tag(pa, size, VM_WRITE | VM_UNCACHED, ALLOC_TAG())
#define ioremap_wc(pa, size) ioremap_tag(pa, size, VM_WRITE | VM_WRITE_COMBINING, ALLOC_TAG())
#define ioremap_cache(pa, size) ioremap_tag(pa, size, VM_WRITE, ALLOC_TAG())
void iounmap(const void *p); /* any address that ioremap() gave */

static inline bool is_vmalloc_addr(const void *p)
{
	return (u64)p - PLATFORM_VMALLOC_BASE < PLATFORM_VMALLOC_SIZE;
}

/* Gives back the addresses of what was freed and the empty page tables, now. False: there was
 * nothing, or this CPU cannot make the others forget (its interrupts are off). */
bool vmalloc_purge(void);

struct vmalloc_stats {
	u64 nr_areas, bytes;           /* in use, without guard pages */
	u64 memory_bytes;              /* of those, vmalloc()'s own pages */
	u64 nr_waiting, waiting_bytes; /* freed, until the next purge */
	u64 nr_purges;
};
void vmalloc_stats(struct vmalloc_stats *out);

/* Walks all areas. NULL, or the broken invariant (mm/vmalloc.c). */
const char *vmalloc_check(void);

/* --- the same for another call site than this one, by its tag --- */

void *vmalloc_tag(u64 size, gfp_t gfp, u32 tag) __attribute__((malloc, alloc_size(1)));
void *kvmalloc_tag(u64 size, gfp_t gfp, u32 tag) __attribute__((malloc, alloc_size(1)));
void *vmap_tag(struct page *const pages[], size_t n, unsigned flags, u32 tag);
void *ioremap_tag(u64 pa, u64 size, unsigned flags, u32 tag);
