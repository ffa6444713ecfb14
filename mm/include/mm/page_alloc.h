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

/* What alloc_pages() and free_pages() are, by what the compiler knows: single pages, which are hot
 * in most systems, have functions of their own. alloc_hot_page() is for flags without any of
 * GFP_PLACED. */
#define GFP_PLACED (__GFP_DMA | __GFP_DMA32 | __GFP_ZERO)
struct page *alloc_hot_page(gfp_t gfp);
struct page *alloc_any_pages(gfp_t gfp, unsigned order);
void free_hot_page(struct page *page);
void free_any_pages(struct page *page, unsigned order);

static __always_inline struct page *alloc_page(gfp_t gfp)
{
	return gfp & GFP_PLACED ? alloc_any_pages(gfp, 0) : alloc_hot_page(gfp);
}

static __always_inline void free_page(struct page *page)
{
	free_hot_page(page);
}

/* order above MAX_ORDER: NULL. Contents undefined without __GFP_ZERO. */
static __always_inline struct page *alloc_pages(gfp_t gfp, unsigned order)
{
	return __builtin_constant_p(order) && order == 0 ? alloc_page(gfp)
	                                                 : alloc_any_pages(gfp, order);
}

static __always_inline void free_pages(struct page *page, unsigned order)
{
	if (__builtin_constant_p(order) && order == 0)
		free_hot_page(page);
	else
		free_any_pages(page, order);
}

struct page *alloc_pages_node(unsigned node, gfp_t gfp, unsigned order);

/* Fills pages[0 … n) with single pages; returns how many it got (fewer only when memory is short).
 */
size_t alloc_pages_bulk(gfp_t gfp, size_t n, struct page *pages[]);
void free_pages_bulk(size_t n, struct page *pages[]);

/* Exactly the pages that hold `bytes`, contiguous; NULL for 0 bytes or more than 1 GiB. Free with
 * the same size. */
void *alloc_pages_exact(size_t bytes, gfp_t gfp);
void free_pages_exact(void *va, size_t bytes);

/*
 * nr_pages contiguous frames, 1 … CONTIG_MAX_PAGES, that begin at a multiple of align_pages (a
 * power of two; 0 means 1), of one zone: sizes above the largest block, odd ones, and where no
 * aligned block is left. NULL: there is no such range, or the arguments are outside these.
 * GFP_KERNEL only in threads. Freed whole, with the same number. A search, so not for paths that
 * are in a hurry.
 */
#define CONTIG_MAX_PAGES (1ull << 30)
struct page *alloc_contig_pages(u64 nr_pages, u64 align_pages, gfp_t gfp);
void free_contig_pages(struct page *page, u64 nr_pages);

/*
 * Pages on loan. offline: [pfn, pfn + nr_pages) leaves the page allocator, as if it were no RAM (a
 * bad page; memory for somebody else). 0; -EBUSY: some of it is in use, by a CPU that cannot be
 * asked now or by a user (then nothing was changed); -EINVAL: not memory of one zone and node.
 * online: frames that were taken offline come back; others panic ("frame added twice"). 0, or
 * -EINVAL. In threads.
 */
int pages_offline(u64 pfn, u64 nr_pages);
int pages_online(u64 pfn, u64 nr_pages);

/*
 * A page whose memory is bad leaves for good: now if it is free (what caches hold counts as free),
 * otherwise when whoever has it frees it; nothing else of its block does. 0: it has left. -EBUSY:
 * it is in use, and noted: its next free takes it out, also one that is under way on another CPU.
 * -EAGAIN: noted, but a free may go unseen, until this is called again: other CPUs cannot be asked
 * now (interrupts are off), or it changed hands in each of 100 looks. -ENOSPC: PAGE_RETIRE_MAX
 * pages are noted or have left. -EINVAL: no memory of the page allocator. In threads.
 *
 * unretire: forgets the page; one that has left comes back. 0, or -ENOENT: it was not retired.
 */
#define PAGE_RETIRE_MAX 128u
int page_retire(u64 pfn);
int page_unretire(u64 pfn);

struct page_retire_stats {
	u64 nr_left, nr_noted;
};
void page_retire_stats(struct page_retire_stats *out);
/* The first retired page above `after`, and whether it has left; 0: none. */
u64 page_retire_next(u64 after, bool *left);

/* Gives this CPU's cached pages back to their zones. */
void drain_cpu_pages(void);
