/*
 * Ranges of a buddy's memory: taken where they are rather than by their size, given back, taken
 * away for good and brought back.
 *
 * A range that is claimed stands afterwards as if its largest aligned blocks, from the lowest frame
 * up, had been allocated one by one; so every frame of it can be traced to a head, and a range is
 * freed as these blocks. A range that was removed has heads that say PAGE_NONE, as frames without
 * RAM have, so that a stray free is told "not RAM".
 *
 * All are the caller's under its lock, as in mm/buddy.c. Cost: O(blocks in the range), and
 * O(orders) for each of its two ends; removing and restoring write a struct page a frame where the
 * metadata is there already.
 */
#include "buddy_internal.h"

#include <lib/assert.h>

/* --- what is free --- */

/* The end of the free block, or of the untouched GiB, that holds the frame; the frame itself if it
 * is not free. */
static u64 free_until(const struct buddy *b, u32 pfn)
{
	const struct page *head;

	if (buddy_is_untouched(b, pfn))
		return align_down(pfn, block_pages(MAX_ORDER)) + block_pages(MAX_ORDER);
	head = page_block_in(b->map, b->pageblock, pfn);
	if (head == NULL ||
	    data_race(head->head) != page_head_word(PAGE_FREE, head->order, b->zone))
		return pfn;
	return (u64)(head - b->map) + block_pages(head->order);
}

static bool is_free_range(const struct buddy *b, u32 start, u32 end)
{
	for (u64 pfn = start, stop = start; pfn < end; pfn = stop) {
		stop = free_until(b, (u32)pfn);
		if (stop == pfn)
			return false;
	}
	return true;
}

/* Where the block that holds the frame ends, as far as that is known: a place to look on. Its owner
 * may free it meanwhile. */
static u64 block_end(const struct buddy *b, u32 pfn)
{
	const struct page *head = page_block_in(b->map, b->pageblock, pfn);
	u64 stop = head != NULL ? (u64)(head - b->map) + page_block_pages(head) : 0;

	if (stop > pfn)
		return stop;
	return pageblock_state(b, pfn) == PAGEBLOCK_FULL ? pfn + 1ull : pageblock_end(pfn);
}

u32 buddy_find_range(const struct buddy *b, u64 nr_pages, u64 align)
{
	u64 start = align_up(b->low, align), pfn = start;

	while (start + nr_pages <= b->high && pfn < start + nr_pages) {
		u64 stop = free_until(b, (u32)pfn), next;

		if (stop == pfn)
			start = align_up(block_end(b, (u32)pfn), align);
		next = max_u64(stop, start);
		debug_assert(next > pfn); /* so the search ends */
		pfn = next;
	}
	return start + nr_pages <= b->high ? (u32)start : 0;
}

/* --- taking --- */

/* [start, end) of an extent becomes listed; what is above it an extent of its own, if there is
 * room. */
static void cut_extent(struct buddy *b, struct buddy_extent *e, u32 start, u32 end)
{
	u32 old_end = e->end;

	e->end = start;
	if (e->start == start)
		*e = b->untouched[--b->nr_untouched];
	if (end < old_end && b->nr_untouched < BUDDY_EXTENTS)
		b->untouched[b->nr_untouched++] = (struct buddy_extent){end, old_end};
	else
		end = old_end;
	buddy_list_untouched(b, start, end);
}

static void list_extents(struct buddy *b, u32 start, u32 end)
{
	for (u32 i = b->nr_untouched; i-- > 0;) {
		struct buddy_extent *e = &b->untouched[i];
		u64 first = max_u64(align_down(start, block_pages(MAX_ORDER)), e->start);
		u64 last = min_u64(align_up((u64)end, block_pages(MAX_ORDER)), e->end);

		if (first < last)
			cut_extent(b, e, (u32)first, (u32)last);
	}
}

bool buddy_claim(struct buddy *b, u32 start, u32 end)
{
	assert(start < end);
	if (start < b->low || end > b->high || !is_free_range(b, start, end))
		return false;
	list_extents(b, start, end);
	for (u32 pfn = start; pfn < end;) {
		u32 head = (u32)(page_block_in(b->map, b->pageblock, pfn) - b->map);
		u32 stop = head + block_pages(b->map[head].order);

		buddy_unlink_block(b, head, b->map[head].order);
		buddy_release_range(b, head, start);
		buddy_release_range(b, end, stop);
		pfn = stop;
	}
	for_each_block(pfn, order, start, end)
	{
		buddy_vouch(b, pfn, order);
		b->map[pfn].head = page_head_word(PAGE_ALLOCATED, order, b->zone);
	}
	return true;
}

/* --- giving back --- */

void buddy_free_range(struct buddy *b, u32 start, u32 end)
{
	for_each_block(pfn, order, start, end)
	{
		const char *fault = buddy_free_fault(b, pfn, order);

		if (fault != NULL)
			panic("buddy: range [%#x, %#x): %s pfn=%#x", start, end, fault, pfn);
	}
	for_each_block(pfn, order, start, end) buddy_free(b, pfn, order);
}

/* --- away, and back --- */

/* Calls the frames what they are from now on, where they have metadata. */
static void mark(struct buddy *b, u32 start, u32 end, enum page_type type)
{
	for_each_part(pfn, stop, start, end)
	{
		if (pageblock_state(b, pfn) == PAGEBLOCK_FULL)
			buddy_fill(b, pfn, stop, type);
		else if (pageblock_state(b, pfn) == PAGEBLOCK_HEAD)
			buddy_fill(b, pfn, pfn + 1, type);
	}
}

void buddy_remove(struct buddy *b, u32 start, u32 end)
{
	for_each_block(pfn, order, start, end)
	    assert(b->map[pfn].head == page_head_word(PAGE_ALLOCATED, order, b->zone));
	mark(b, start, end, PAGE_NONE);
	b->nr_managed_pages -= end - start;
}

/* Panics where a frame of one pageblock's part is ours. */
static void expect_foreign(const struct buddy *b, u32 start, u32 end)
{
	if (pageblock_state(b, start) != PAGEBLOCK_FULL)
		end = start + 1; /* what holds one frame holds all */
	for (u32 pfn = start; pfn < end; pfn++)
		if (buddy_is_untouched(b, pfn) || page_block_in(b->map, b->pageblock, pfn) != NULL)
			panic("buddy: frame added twice pfn=%#x", pfn);
}

void buddy_restore(struct buddy *b, u32 start, u32 end)
{
	assert(start >= b->low && start < end && end <= b->high);
	for_each_part(pfn, stop, start, end) expect_foreign(b, pfn, stop);
	mark(b, start, end, PAGE_INNER);
	buddy_release_range(b, start, end);
	b->nr_managed_pages += end - start;
}
