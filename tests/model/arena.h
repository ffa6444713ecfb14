/*
 * A private page map for tests of the pure buddy: page frames 0 to ARENA_PAGES - 1 that no RAM
 * stands behind.
 *
 * The map starts as garbage, as on a real machine, where the last boot's metadata is still there.
 * The garbage is the worst kind: believable.
 */
#pragma once

#include <mm/buddy.h>

#define ARENA_PAGES 8192u
#define ARENA_ZONE 5

enum garbage {
	GARBAGE_FREE,      /* every frame looks like a free head that could be merged */
	GARBAGE_ALLOCATED, /* … an allocated head of its natural order */
	GARBAGE_ONES,      /* all bits set */
	NR_GARBAGES
};

struct arena {
	struct page map[ARENA_PAGES];
	u8 pageblock[ARENA_PAGES / PAGEBLOCK_PAGES + 1];
	struct buddy buddy;
	enum garbage garbage;
};
extern struct arena arena;

/* Fills the arena with garbage and starts an instance of [start, end) that owns nothing yet. */
struct buddy *arena_open(u32 start, u32 end, enum garbage garbage);

/* The same with all of [start, end) added. */
struct buddy *arena_open_full(u32 start, u32 end);

/* Whether nothing was written to the frame's struct page since arena_open(). */
bool arena_is_untouched(u32 pfn);
u32 arena_count_touched(void);

/* Where the free blocks are: shape[pfn] is order + 1 at each listed free head, otherwise 0. */
void arena_take_shape(const struct buddy *b, u8 shape[ARENA_PAGES]);

/*
 * The only possible state of a buddy allocator that owns exactly the frames with is_free[pfn] != 0:
 * the same format, made without any of its code.
 */
void arena_expected_shape(const u8 is_free[ARENA_PAGES], u8 shape[ARENA_PAGES]);
