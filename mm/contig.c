/*
 * Contiguous memory of any size at any alignment, and pages that leave the page allocator for a
 * while: both are ranges by place (mm/buddy_range.c) of one zone, which is searched without its
 * lock and claimed under it, so that a search through terabytes keeps nobody waiting. A claim that
 * came too late searches again.
 *
 * Nothing is moved: pages in use stay where they are. What the CPUs and the slabs hold back goes to
 * the zones first, and if the caller may wait the shrinkers are asked.
 *
 * Cost: the search O(blocks, free or not); a claim O(blocks in the range).
 */
#include "event_record.h"
#include "internal.h"

#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <mm/node.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>

#define RECLAIM_ROUNDS 4
#define CLAIM_TRIES 8

static void empty_cpu_pages(void)
{
	drain_cpu_pages();
	(void)platform_on_other_cpus(drain_cpu_pages);
}

/* --- allocating --- */

static bool claim(struct zone *z, u32 pfn, u64 nr_pages)
{
	u64 flags = zone_lock(z);
	bool claimed = buddy_claim(&z->buddy, pfn, (u32)(pfn + nr_pages));

	if (claimed) {
		z->nr_allocs++;
		z->min_free_pages = min_u64(z->min_free_pages, z->buddy.nr_free_pages);
	}
	spin_unlock_irq(&z->lock, flags);
	return claimed;
}

static struct page *claim_in_zone(struct zone *z, u64 nr_pages, u64 align)
{
	for (unsigned i = 0; i < CLAIM_TRIES; i++) {
		u32 pfn = buddy_find_range(&z->buddy, nr_pages, align);

		if (pfn == 0)
			return NULL;
		if (claim(z, pfn, nr_pages))
			return pfn_to_page(pfn);
	}
	return NULL;
}

/* The zones in the order of alloc_pages(): this node's first, its highest first. */
static struct page *claim_anywhere(u64 nr_pages, u64 align, gfp_t gfp)
{
	unsigned highest = gfp_zone_kind(gfp);

	for (unsigned i = 0; i < MAX_NODES; i++)
		for (unsigned kind = highest + 1; kind-- > 0;) {
			unsigned node = node_fallback(mm_this(pages)->node, i);
			struct zone *z = &zone_table[ZONE_ID(node, kind)];
			struct page *page = zone_spare_pages(z, gfp) >= nr_pages
			                        ? claim_in_zone(z, nr_pages, align)
			                        : NULL;

			if (page != NULL)
				return page;
		}
	return NULL;
}

/* After the caches and the shrinkers gave what they had. */
static struct page *claim_slowly(u64 nr_pages, u64 align, gfp_t gfp)
{
	bool may_reclaim = (gfp & __GFP_RECLAIM) && !(gfp & __GFP_NORETRY);
	struct page *page;

	empty_cpu_pages();
	page = claim_anywhere(nr_pages, align, gfp);
	for (unsigned i = 0; page == NULL && may_reclaim && i < RECLAIM_ROUNDS; i++) {
		if (reclaim_pages(nr_pages) == 0)
			break;
		page = claim_anywhere(nr_pages, align, gfp);
	}
	return page;
}

struct page *alloc_contig_pages(u64 nr_pages, u64 align_pages, gfp_t gfp)
{
	u64 align = max_u64(align_pages, 1);
	struct page *page;

	if (nr_pages == 0 || nr_pages > CONTIG_MAX_PAGES || !is_pow2(align))
		return NULL;
	if (inject_fails_pages(gfp, log2_ceil(nr_pages)))
		return NULL;
	page = claim_anywhere(nr_pages, align, gfp);
	if (page == NULL)
		page = claim_slowly(nr_pages, align, gfp);
	if (page != NULL && page_debug_on)
		page_debug_allocated(page, nr_pages);
	if (page != NULL && event_any())
		event_block(EVENT_PAGES_ALLOC, page_to_pfn(page), log2_ceil(nr_pages),
		            nr_pages << PAGE_SHIFT, page->zone, RETURN_ADDRESS());
	if (page == NULL)
		page_alloc_failed(gfp, log2_ceil(nr_pages));
	else
		platform_pages_allocated(page, nr_pages);
	if (page != NULL && (gfp & __GFP_ZERO))
		memset(page_address(page), 0, nr_pages << PAGE_SHIFT);
	return page;
}

struct zone *zone_of_frame(u64 pfn)
{
	const struct page *head = page_block_of(pfn);

	return head != NULL && head->zone < MAX_ZONES ? page_zone(head) : zone_of_untouched(pfn);
}

void free_contig_pages(struct page *page, u64 nr_pages)
{
	u64 offset = (u64)page - (u64)page_map, pfn = offset / sizeof(*page), flags;
	struct zone *z = offset % sizeof(*page) == 0 ? zone_of_frame(pfn) : NULL;

	if (z == NULL || nr_pages == 0 || nr_pages > z->buddy.high - pfn)
		panic("page_alloc: not a contiguous range page=%p pages=%lu", (void *)page,
		      nr_pages);
	if (event_any())
		event_block(EVENT_PAGES_FREE, pfn, log2_ceil(nr_pages), nr_pages << PAGE_SHIFT,
		            z->id, 0);
	flags = zone_lock(z);
	buddy_free_range(&z->buddy, (u32)pfn, (u32)(pfn + nr_pages));
	platform_pages_freed(page, nr_pages);
	z->nr_frees++;
	if (unlikely(retire_is_wanted()))
		retire_collect_locked(z, (u32)pfn, nr_pages);
	spin_unlock_irq(&z->lock, flags);
}

/* --- on loan --- */

void empty_all_caches(void)
{
	empty_cpu_pages();
	(void)reclaim_pages(0); /* what nobody uses: empty slabs */
}

struct zone *zone_of_range(u64 pfn, u64 nr_pages)
{
	if (pfn == 0 || nr_pages == 0)
		return NULL;
	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
		u64 end = zone_kind_end_pfn(kind), stop;
		unsigned node;

		if (pfn < zone_kind_start_pfn(kind) || pfn >= end || nr_pages > end - pfn)
			continue;
		node = mm_node_of(pfn << PAGE_SHIFT, &stop);
		return (pfn + nr_pages) << PAGE_SHIFT <= stop ? &zone_table[ZONE_ID(node, kind)]
		                                              : NULL;
	}
	return NULL;
}

static bool take_away(struct zone *z, u64 pfn, u64 nr_pages)
{
	u64 flags = zone_lock(z);
	bool claimed = buddy_claim(&z->buddy, (u32)pfn, (u32)(pfn + nr_pages));

	if (claimed) {
		buddy_remove(&z->buddy, (u32)pfn, (u32)(pfn + nr_pages));
		platform_pages_allocated(pfn_to_page((u32)pfn), nr_pages);
		z->min_free_pages = min_u64(z->min_free_pages, z->buddy.nr_free_pages);
	}
	spin_unlock_irq(&z->lock, flags);
	if (claimed && page_debug_on)
		page_debug_forget(pfn, nr_pages);
	return claimed;
}

int pages_offline(u64 pfn, u64 nr_pages)
{
	struct zone *z = zone_of_range(pfn, nr_pages);

	if (z == NULL || z->buddy.nr_managed_pages == 0)
		return -EINVAL;
	if (take_away(z, pfn, nr_pages))
		return 0;
	empty_all_caches();
	return take_away(z, pfn, nr_pages) ? 0 : -EBUSY;
}

int pages_online(u64 pfn, u64 nr_pages)
{
	struct zone *z = zone_of_range(pfn, nr_pages);
	u64 flags;

	if (z == NULL || pfn < z->buddy.low || pfn + nr_pages > z->buddy.high)
		return -EINVAL;
	flags = zone_lock(z);
	buddy_restore(&z->buddy, (u32)pfn, (u32)(pfn + nr_pages));
	platform_pages_freed(pfn_to_page((u32)pfn), nr_pages);
	spin_unlock_irq(&z->lock, flags);
	return 0;
}
