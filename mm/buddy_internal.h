/*
 * Private to mm/buddy.c, buddy_range.c and buddy_check.c: what of the metadata may be believed, and
 * the steps that they share.
 */
#pragma once

#include <lib/race.h>
#include <mm/buddy.h>

static inline u32 block_pages(unsigned order)
{
	return 1u << order;
}

/* The largest order of a block that may start at pfn and has at most nr_pages. */
static inline unsigned largest_order(u32 pfn, u32 nr_pages)
{
	unsigned by_size = highest_bit(nr_pages);
	unsigned by_alignment = lowest_bit(pfn);
	unsigned order = by_size < by_alignment ? by_size : by_alignment;

	return order < MAX_ORDER ? order : MAX_ORDER;
}

/* The largest aligned blocks that [start, end) can hold, from start on: each one's first frame and
 * order. */
#define for_each_block(pfn, order, start, end)                             \
	for (u32 pfn = (start), order;                                     \
	     pfn < (end) && (order = largest_order(pfn, (end)-pfn), true); \
	     pfn += block_pages(order))

static inline u32 pageblock_end(u32 pfn)
{
	return (u32)align_down(pfn, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES;
}

/* [start, end) in parts [pfn, stop) of one pageblock each. */
#define for_each_part(pfn, stop, start, end) \
	for (u32 pfn = (start), stop;        \
	     pfn < (end) && (stop = (u32)min_u64(pageblock_end(pfn), end), true); pfn = stop)

/* What every page but the head has inside a free block, and inside any that was not handed on. */
static inline u32 inner_word(const struct buddy *b)
{
	return page_head_word(PAGE_INNER, 0, b->zone);
}

static inline u8 pageblock_state(const struct buddy *b, u32 pfn)
{
	return __atomic_load_n(&b->pageblock[pfn >> PAGEBLOCK_ORDER], __ATOMIC_ACQUIRE);
}

/* Whether the metadata of this one frame may be believed. */
static inline bool is_vouched(const struct buddy *b, u32 pfn)
{
	u8 state = pageblock_state(b, pfn);

	return state == PAGEBLOCK_FULL ||
	       (state == PAGEBLOCK_HEAD && is_aligned(pfn, PAGEBLOCK_PAGES));
}

/* Whether the buddy of 2 MiB and more is ours and its metadata was written. Below 2 MiB it shares
 * pfn's pageblock, whose metadata is all there, and a frame that is not ours says so by its head.
 */
static __always_inline bool is_known(const struct buddy *b, u32 buddy, unsigned order)
{
	return buddy >= b->start && buddy + block_pages(order) <= b->end &&
	       pageblock_state(b, buddy) != PAGEBLOCK_UNKNOWN;
}

/* A buddy in use is its owner's to write: its head says then, before and after, that it is not free
 * (a free one's is guarded by the lock). */
static __always_inline bool head_is(const struct page *buddy, u32 word)
{
	return data_race(buddy->head) == word;
}

static __always_inline bool can_merge(const struct buddy *b, u32 buddy, unsigned order)
{
	return (order < PAGEBLOCK_ORDER || is_known(b, buddy, order)) &&
	       head_is(&b->map[buddy], page_head_word(PAGE_FREE, order, b->zone));
}

/* --- buddy.c --- */

/* Writes the heads of [start, end). */
void buddy_fill(struct buddy *b, u32 start, u32 end, enum page_type type);
/* Makes the metadata of a block believable, before its head is written. */
void buddy_vouch(struct buddy *b, u32 pfn, unsigned order);
/* Frames, all inner, become free blocks. */
void buddy_release_range(struct buddy *b, u32 start, u32 end);
/* A listed block is the caller's, who writes its head. */
void buddy_unlink_block(struct buddy *b, u32 pfn, unsigned order);
/* What was cut out of an extent becomes listed. */
void buddy_list_untouched(struct buddy *b, u32 start, u32 end);
