/*
 * The allocator under measurement. One source is compiled three times: on Strata (kmalloc), on the
 * C library's interface (glibc's own, or whatever allocator is preloaded) and on nothing, which
 * shows what the loops themselves cost.
 *
 * The calls are inline and go the way a real program's go: to kmalloc() by a direct call that knows
 * a constant size and its call site, to malloc() through the dynamic linker's table. Nobody is told
 * the size of what is freed.
 */
#pragma once

#include <mm/mm.h>

#include <stdlib.h>

/* Brings the allocator up for that many threads. */
void subject_start(unsigned nr_threads);

/* The calling thread is number n from now on: once a thread, 0 for the first. */
void subject_thread(unsigned n);

/* Bytes of the pages that the allocator has taken from its system; see subject.c. */
u64 subject_footprint(void);

/* A pointer that the compiler knows nothing about. */
static __always_inline void *opaque(void *p)
{
	__asm__ volatile("" : "+r"(p) : : "memory");
	return p;
}

#if defined(SUBJECT_STRATA)

static __always_inline void *subject_alloc(size_t size)
{
	return kmalloc(size, GFP_KERNEL);
}

static __always_inline void subject_free(void *p)
{
	kfree(p);
}

static __always_inline void *subject_realloc(void *p, size_t size)
{
	return krealloc(p, size, GFP_KERNEL);
}

/* A page of 4 KiB as such: from the page allocator here, a malloc(4096) elsewhere. */
static __always_inline void *subject_page_alloc(void)
{
	return alloc_pages(GFP_KERNEL, 0);
}

static __always_inline void subject_page_free(void *page)
{
	free_pages(page, 0);
}

#elif defined(SUBJECT_MALLOC)

static __always_inline void *subject_alloc(size_t size)
{
	return malloc(size);
}

static __always_inline void subject_free(void *p)
{
	free(p);
}

static __always_inline void *subject_realloc(void *p, size_t size)
{
	return realloc(p, size);
}

static __always_inline void *subject_page_alloc(void)
{
	return malloc(4096);
}

static __always_inline void subject_page_free(void *page)
{
	free(page);
}

#else /* SUBJECT_NONE: an address that may be written to, and the size is read */

extern char subject_nothing[];

static __always_inline void *subject_alloc(size_t size)
{
	__asm__ volatile("" : : "r"(size));
	return subject_nothing;
}

static __always_inline void subject_free(void *p)
{
	opaque(p);
}

static __always_inline void *subject_realloc(void *p, size_t size)
{
	(void)p;
	return subject_alloc(size);
}

static __always_inline void *subject_page_alloc(void)
{
	return subject_nothing;
}

static __always_inline void subject_page_free(void *page)
{
	opaque(page);
}

#endif

/* Aligned memory, and its free: for traces. align: a power of two. */
void *subject_alloc_aligned(size_t align, size_t size);
void subject_free_aligned(void *p, size_t align, size_t size);
