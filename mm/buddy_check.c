/*
 * The buddy's checker: walks all free lists, the extents of untouched memory and all metadata that
 * may be believed, and names the invariant of mm/buddy.c (B1 … B10) that is broken.
 *
 * Cost: what the metadata is long. Of untouched memory, and of large blocks that were never split,
 * only the pageblock bytes are read, eight at a time: a terabyte's are half a million.
 */
#include "buddy_internal.h"

/* The next frame after pfn, below end, that may be vouched for; or end. */
static u32 next_frame(const struct buddy *b, u32 pfn, u32 end)
{
	if (pageblock_state(b, pfn) == PAGEBLOCK_FULL)
		return pfn + 1;
	return (u32)page_next_known_in(b->pageblock, pageblock_end(pfn), end);
}

/* B5, B6 and B7 for one free block. */
static const char *check_block(const struct buddy *b, u32 pfn, unsigned order)
{
	const u32 end = pfn + block_pages(order);

	if (order < MAX_ORDER && can_merge(b, pfn ^ block_pages(order), order))
		return "B5: two free buddies of one order were not merged";
	if (order < PAGEBLOCK_ORDER ? pageblock_state(b, pfn) != PAGEBLOCK_FULL
	                            : !is_vouched(b, pfn))
		return "B6: a free block's pageblock byte does not vouch for it";
	for (u32 i = pfn + 1; i < end; i = next_frame(b, i, end))
		if (is_vouched(b, i) && b->map[i].head != inner_word(b))
			return "B7: a page inside a free block is not PAGE_INNER";
	return NULL;
}

static u64 untouched_pages(const struct buddy *b)
{
	u64 nr = 0;

	for (u32 i = 0; i < b->nr_untouched; i++)
		nr += b->untouched[i].end - b->untouched[i].start;
	return nr;
}

/* B9 and B10 for one extent. */
static const char *check_extent(const struct buddy *b, const struct buddy_extent *e)
{
	if (e->start >= e->end || e->start < b->low || e->end > b->high ||
	    !is_aligned(e->start | e->end, block_pages(MAX_ORDER)))
		return "B9: an untouched extent is not whole blocks of ours";
	for (const struct buddy_extent *o = b->untouched; o < e; o++)
		if (o->start < e->end && e->start < o->end)
			return "B9: two untouched extents overlap";
	if (page_next_known_in(b->pageblock, e->start, e->end) != e->end)
		return "B10: a pageblock byte vouches for untouched memory";
	return NULL;
}

static const char *check_extents(const struct buddy *b)
{
	const char *fault = NULL;

	if (b->nr_untouched > BUDDY_EXTENTS)
		return "B9: more untouched extents than there is room for";
	for (u32 i = 0; i < b->nr_untouched && fault == NULL; i++)
		fault = check_extent(b, &b->untouched[i]);
	return fault;
}

static const char *check_list(const struct buddy *b, unsigned order)
{
	u32 prev = 0, count = 0, nr_listed = b->nr_free_blocks[order];

	if (order == MAX_ORDER)
		nr_listed -= (u32)(untouched_pages(b) >> MAX_ORDER);

	for (u32 pfn = b->head[order]; pfn != 0; prev = pfn, pfn = b->map[pfn].next) {
		const char *fault;

		if (pfn < b->start || (u64)pfn + block_pages(order) > b->end ||
		    !is_aligned(pfn, block_pages(order)) ||
		    b->map[pfn].head != page_head_word(PAGE_FREE, order, b->zone))
			return "B1: a member of a free list is not a free head of its order";
		if (b->map[pfn].prev != prev)
			return "B2: a free list's links are not symmetric";
		if (++count > nr_listed)
			return "B3: a free list is longer than its count";
		fault = check_block(b, pfn, order);
		if (fault)
			return fault;
	}
	if (count != nr_listed || (count != 0) != (b->nonempty >> order & 1))
		return "B3: a free list's count or bit is wrong";
	return NULL;
}

/* All free pages that the metadata knows, listed or not. */
static u64 count_free_pages(const struct buddy *b)
{
	u64 nr = 0;

	for (u32 pfn = b->low; pfn < b->high;) {
		const struct page *page = &b->map[pfn];

		if (is_vouched(b, pfn) && page->type == PAGE_FREE && page->zone == b->zone &&
		    page->order <= MAX_ORDER) {
			nr += block_pages(page->order);
			pfn += block_pages(page->order);
		} else {
			pfn = next_frame(b, pfn, b->high);
		}
	}
	return nr;
}

const char *buddy_check(const struct buddy *b)
{
	const char *fault = check_extents(b);
	u64 nr_free = 0;

	for (unsigned order = 0; order <= MAX_ORDER && fault == NULL; order++) {
		fault = check_list(b, order);
		nr_free += (u64)b->nr_free_blocks[order] << order;
	}
	if (fault)
		return fault;
	if (nr_free != b->nr_free_pages || nr_free > b->nr_managed_pages)
		return "B4: the number of free pages is not the sum of the free blocks";
	if (count_free_pages(b) + untouched_pages(b) != nr_free)
		return "B8: a free block is on no list";
	return NULL;
}
