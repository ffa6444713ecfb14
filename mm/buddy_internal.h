/*
 * Private to mm/buddy.c and its checker: what of the metadata may be believed.
 */
#pragma once

#include <lib/race.h>
#include <mm/buddy.h>

static inline u32 block_pages(unsigned order)
{
	return 1u << order;
}

static inline u32 pageblock_end(u32 pfn)
{
	return (u32)align_down(pfn, PAGEBLOCK_PAGES) + PAGEBLOCK_PAGES;
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
