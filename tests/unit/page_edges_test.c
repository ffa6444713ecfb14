/*
 * The page map's questions on private metadata: the head of the largest block from anywhere inside
 * it, and the next pageblock that says something.
 */
#include <mm/page.h>

#include "tests/model/giants.h"
#include "tests/test.h"

TEST(page_edges, the_next_known_pageblock_to_the_frame)
{
	u8 state[9] = {0};

	EXPECT_EQ(page_next_known_in(state, 0, 9 * PAGEBLOCK_PAGES), 9 * PAGEBLOCK_PAGES);
	state[5] = PAGEBLOCK_HEAD;
	state[8] = PAGEBLOCK_FULL;
	EXPECT_EQ(page_next_known_in(state, 0, 9 * PAGEBLOCK_PAGES), 5 * PAGEBLOCK_PAGES);
	EXPECT_EQ(page_next_known_in(state, 5 * PAGEBLOCK_PAGES, 9 * PAGEBLOCK_PAGES),
	          5 * PAGEBLOCK_PAGES);
	EXPECT_EQ(page_next_known_in(state, 6 * PAGEBLOCK_PAGES, 9 * PAGEBLOCK_PAGES),
	          8 * PAGEBLOCK_PAGES);
	EXPECT_EQ(page_next_known_in(state, 6 * PAGEBLOCK_PAGES, 8 * PAGEBLOCK_PAGES),
	          8 * PAGEBLOCK_PAGES);
	EXPECT_EQ(page_next_known_in(state, 0, 5 * PAGEBLOCK_PAGES + 1), 5 * PAGEBLOCK_PAGES);
	EXPECT_EQ(page_next_known_in(state, 8 * PAGEBLOCK_PAGES, 8 * PAGEBLOCK_PAGES),
	          8 * PAGEBLOCK_PAGES);
}

#if __STDC_HOSTED__
TEST(page_edges, the_largest_blocks_head_from_anywhere)
{
	u32 start = 1u << MAX_ORDER;
	struct buddy *b = &giants;

	giants_open();
	buddy_add_range(b, start, 2 * start);
	ASSERT_EQ(buddy_alloc(b, MAX_ORDER), start);
	for (u32 i = 1; i < start; i = 2 * i + 1)
		EXPECT_TRUE(page_block_in(b->map, b->pageblock, start + i) == &b->map[start]);
	EXPECT_NULL(page_block_in(b->map, b->pageblock, 2 * start));
	EXPECT_NULL(page_block_in(b->map, b->pageblock, start - 1));
}
#endif
