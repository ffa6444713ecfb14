/*
 * Gaps between page blocks (`page_red_zones=1`): behind what an allocation gives stands a page that
 * is nobody's, filled with a mark.
 *
 * Where a sanitizer looks, the page may not be touched, and who runs past a block's end is reported
 * there and then. Elsewhere the mark is verified when the block is freed. What is in front of a
 * block is mostly another's gap.
 *
 * A block with its gap is cut out of a larger one (buddy_set_apart()), so it is aligned, counted
 * and freed as ever; the gap is a block of one page by itself, which leads back to it by an odd
 * address in its struct page. Whoever frees the block finds its gap behind it by that.
 *
 *   GP1  a gap is an allocated block of one page; its link is the block's before it, plus 1
 *
 * Not all blocks have one: where there is no larger block, those of the highest order,
 * alloc_contig_pages() and what was allocated before. A page that leaves when it is freed
 * (mm/retire.c) leaves its block's gap behind.
 *
 * Cost: a block of n pages takes n + 1, cut from twice as many where n is a power of two; the
 * CPUs' stacks are not used while this is on (page_debug.c).
 */
#include "debug_internal.h"

#include <lib/string.h>

bool page_gaps_on;

static struct page *link_of(const struct page *head)
{
	return (struct page *)((u64)head | 1);
}

struct page *page_gap_alloc(struct zone *z, unsigned order, u32 nr_pages)
{
	struct page *head = zone_alloc_apart(z, order, nr_pages), *gap;

	if (head == NULL)
		return NULL;
	gap = head + page_block_pages(head);
	gap->link = link_of(head);
	page_debug_forget(page_to_pfn(gap), 1); /* whatever it was filled with when it was freed */
	mark_fill(page_address(gap), RED_ACTIVE, PAGE_SIZE);
	platform_poison_as(page_address(gap), PAGE_SIZE, POISON_PAGE_GAP);
	return head;
}

/* Its gap, or NULL. */
static struct page *gap_behind(const struct page *head, u64 nr_pages)
{
	struct page *gap = page_lookup(page_to_pfn(head) + nr_pages);

	if (gap == NULL || gap->head != page_head_word(PAGE_ALLOCATED, 0, head->zone) ||
	    gap->link != link_of(head))
		return NULL;
	return gap;
}

static _Noreturn void report(const struct page *head, u64 nr_pages, const void *at)
{
	struct damage d = {.found = true,
	                   .kind = REPORT_RIGHT_RED_ZONE,
	                   .where = "pages",
	                   .object = page_address(head),
	                   .at = at,
	                   .size = nr_pages << PAGE_SHIFT,
	                   .is = mark_read(at),
	                   .should = RED_ACTIVE};

	report_damage(&d);
}

void page_gap_freed(struct page *head, u64 nr_pages)
{
	struct page *gap = gap_behind(head, nr_pages);
	const void *at;

	if (gap == NULL)
		return;
	at = mark_find_other(page_address(gap), RED_ACTIVE, PAGE_SIZE);
	if (at != NULL)
		report(head, nr_pages, at);
	gap->link = NULL;
	platform_unpoison(page_address(gap), PAGE_SIZE);
	(void)zone_free(page_zone(gap), gap, 0);
}
