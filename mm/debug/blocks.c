/*
 * The walk over all blocks. It goes by the blocks' own sizes, and passes over what no pageblock
 * byte vouches for eight bytes of them at a time: so a terabyte that was never touched costs
 * nothing.
 */
#include "blocks.h"

#include <lib/assert.h>

static u64 next_pageblock(const struct zone *z, u64 pfn)
{
	return page_next_known_in(pageblock_map, align_down(pfn, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES,
	                          z->buddy.high);
}

/* Visits the block that begins with this page, if one does; returns where to go on. */
static u64 visit_page(struct page *page, const struct zone *z,
                      void (*visit)(void *context, struct page *head), void *context)
{
	u64 pfn = page_to_pfn(page), nr = 1;

	if (page->zone == z->id && page->type > PAGE_INNER && page->type < NR_PAGE_TYPES) {
		nr = page->type == PAGE_SLAB ? 1 : max_u64(page_block_pages(page), 1);
		visit(context, page);
	}
	return pfn + nr;
}

static void visit_zone(const struct zone *z, void (*visit)(void *context, struct page *head),
                       void *context)
{
	for (u64 pfn = z->buddy.low, next; pfn < z->buddy.high; pfn = next) {
		struct page *page = page_lookup(pfn);

		next = page != NULL ? visit_page(page, z, visit, context) : next_pageblock(z, pfn);
		debug_assert(next > pfn);
	}
}

void blocks_visit(void (*visit)(void *context, struct page *head), void *context)
{
	for_each_zone(z)
		visit_zone(z, visit, context);
}
