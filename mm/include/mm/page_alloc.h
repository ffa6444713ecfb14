/*
 * The page allocator's public face. Blocks are 2^order physically contiguous pages, aligned to
 * their size.
 *
 * Context: any, interrupt handlers included, with GFP_ATOMIC or GFP_NOWAIT; GFP_KERNEL not in
 * handlers. Takes: the zone's lock, for a moment. Exhaustion gives NULL; a wrong free stops the
 * machine with a line that names the fault
 * ("page_alloc: double free …", "wrong order", "not the head of a block", "not RAM" …).
 */
#pragma once

#include <mm/gfp.h>
#include <mm/page.h>

/* order above MAX_ORDER: NULL. Contents undefined without __GFP_ZERO. */
struct page *alloc_pages(gfp_t gfp, unsigned order);
struct page *alloc_pages_node(unsigned node, gfp_t gfp, unsigned order);
void free_pages(struct page *page, unsigned order);

static inline struct page *alloc_page(gfp_t gfp)
{
	return alloc_pages(gfp, 0);
}

static inline void free_page(struct page *page)
{
	free_pages(page, 0);
}

/* Fills pages[0 … n) with single pages; returns how many it got (fewer only when memory is short).
 */
size_t alloc_pages_bulk(gfp_t gfp, size_t n, struct page *pages[]);
void free_pages_bulk(size_t n, struct page *pages[]);

/* Exactly the pages that hold `bytes`, contiguous; NULL for 0 bytes or more than 1 GiB. Free with
 * the same size. */
void *alloc_pages_exact(size_t bytes, gfp_t gfp);
void free_pages_exact(void *va, size_t bytes);

/* Gives this CPU's cached pages back to their zones. */
void drain_cpu_pages(void);
