/*
 * Wrong frees and damage, caught by the buddy itself on a private page map: each fault by its name,
 * and with nothing changed.
 */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"

/* The answer and the panic are the same, and the state stays as it was. */
#define EXPECT_FAULT(b, pfn, order, text)                                \
	({                                                               \
		u64 free_ = (b)->nr_free_pages;                          \
		EXPECT_STREQ(buddy_free_fault(b, pfn, order), text);     \
		EXPECT_PANIC("buddy: " text, buddy_free(b, pfn, order)); \
		EXPECT_EQ((b)->nr_free_pages, free_);                    \
	})

TEST(buddy_fault, double_free)
{
	struct buddy *b = arena_open_full(1, ARENA_PAGES);
	u32 first = buddy_alloc(b, 2), second = buddy_alloc(b, 2);

	buddy_free(b, first, 2);
	EXPECT_FAULT(b, first, 2, "double free"); /* alone on its list */
	buddy_free(b, second, 2);
	EXPECT_FAULT(b, first, 2, "double free"); /* now a part of larger blocks */
	EXPECT_FAULT(b, second, 2, "double free");
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_fault, double_free_of_a_block_that_was_never_split)
{
	struct buddy *b = arena_open_full(4096, ARENA_PAGES);
	u32 pfn = buddy_alloc(b, 11);

	buddy_free(b, pfn, 11);
	EXPECT_FAULT(b, 4096, 12, "double free");
	EXPECT_FAULT(b, 4096, 11, "double free");
	EXPECT_FAULT(b, 4097, 0, "double free"); /* nothing was ever written there */
	EXPECT_FAULT(b, 4096 + 512, 9, "double free");
	EXPECT_FAULT(b, ARENA_PAGES - 1, 0, "double free");
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_fault, wrong_order)
{
	struct buddy *b = arena_open_full(1, ARENA_PAGES);
	u32 small = buddy_alloc(b, 3), large = buddy_alloc(b, 10);

	EXPECT_FAULT(b, small, 4, "wrong order");
	EXPECT_FAULT(b, small, 2, "wrong order");
	EXPECT_FAULT(b, small, 0, "wrong order");
	EXPECT_FAULT(b, large, 9, "wrong order");
	EXPECT_FAULT(b, large, 11, "wrong order");
	EXPECT_FAULT(b, large, MAX_ORDER, "wrong order");
	EXPECT_FAULT(b, small, MAX_ORDER + 1, "impossible order");
	EXPECT_FAULT(b, small, ORDER_RUN, "impossible order");
	EXPECT_FAULT(b, small, ~0u, "impossible order");
	buddy_free(b, small, 3);
	buddy_free(b, large, 10);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_fault, not_the_head)
{
	struct buddy *b = arena_open_full(1, ARENA_PAGES);
	u32 small = buddy_alloc(b, 3), large = buddy_alloc(b, 11);

	for (u32 i = 1; i < 8; i++)
		EXPECT_FAULT(b, small + i, 0, "not the head of a block");
	EXPECT_FAULT(b, small + 4, 2, "not the head of a block");
	EXPECT_FAULT(b, small + 3, 3, "not the head of a block"); /* misaligned for its order */
	EXPECT_FAULT(b, large + 1, 0, "not the head of a block"); /* no metadata yet */
	EXPECT_FAULT(b, large + 512, 9, "not the head of a block");
	EXPECT_FAULT(b, large + 1024, 10, "not the head of a block");
	EXPECT_FAULT(b, large + 2047, 0, "not the head of a block");
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_fault, frames_of_nobody)
{
	for (enum garbage g = 0; g < NR_GARBAGES; g++) {
		struct buddy *b = arena_open(600, 7000, g);

		buddy_add_range(b, 1030, 1500);
		buddy_add_range(b, 4096, 6144);
		EXPECT_FAULT(b, 599, 0, "not RAM of this zone");
		EXPECT_FAULT(b, 7000, 0, "not RAM of this zone");
		EXPECT_FAULT(b, 0, 0, "not RAM of this zone");
		EXPECT_FAULT(b, ~0u, 0, "not RAM of this zone");
		EXPECT_FAULT(b, 1024, 0, "not RAM"); /* beside the range, in its pageblock */
		EXPECT_FAULT(b, 1029, 0, "not RAM");
		EXPECT_FAULT(b, 1500, 0, "not RAM");
		EXPECT_FAULT(b, 2048, 9, "not RAM"); /* garbage that nothing vouches for */
		EXPECT_FAULT(b, 2050, 1, "not RAM");
		EXPECT_FAULT(b, 3584, 9, "not RAM");
		EXPECT_FAULT(b, 6144, 9, "not RAM");
		EXPECT_FAULT(b, 6145, 0, "not RAM");
		EXPECT_SOUND(buddy_check(b));
	}
}

TEST(buddy_fault, pages_in_other_hands)
{
	struct buddy *b = arena_open_full(1, ARENA_PAGES);
	u32 pfn = buddy_alloc(b, 0);

	b->map[pfn].type = PAGE_SLAB;
	EXPECT_FAULT(b, pfn, 0, "in use by a slab");
	b->map[pfn].type = PAGE_LARGE;
	EXPECT_FAULT(b, pfn, 0, "in use by kmalloc");
	b->map[pfn].type = NR_PAGE_TYPES;
	EXPECT_FAULT(b, pfn, 0, "not RAM");
	b->map[pfn].type = PAGE_CACHED; /* a CPU's cache gives it back */
	buddy_free(b, pfn, 0);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_EQ(b->nr_free_pages, ARENA_PAGES - 1);
}

/* Only a cached head of that order and zone goes back in a batch; what comes before it has gone. */
TEST(buddy_fault, wrong_members_of_a_batch)
{
	struct buddy *b = arena_open_full(1, ARENA_PAGES);
	struct page *pages[4];
	u64 nr_free;

	ASSERT_EQ(buddy_alloc_batch(b, 1, ARRAY_SIZE(pages), pages), ARRAY_SIZE(pages));
	nr_free = b->nr_free_pages;
	pages[0]->type = PAGE_ALLOCATED;
	EXPECT_PANIC("buddy: in the wrong hands pfn=", buddy_free_batch(b, 1, 4, pages));
	pages[0]->type = PAGE_FREE;
	EXPECT_PANIC("buddy: double free pfn=", buddy_free_batch(b, 1, 4, pages));
	pages[0]->type = PAGE_CACHED;
	EXPECT_PANIC("buddy: wrong order pfn=", buddy_free_batch(b, 0, 4, pages));
	pages[0]->zone ^= 1;
	EXPECT_PANIC("buddy: in the wrong hands pfn=", buddy_free_batch(b, 1, 4, pages));
	pages[0]->zone ^= 1;
	EXPECT_EQ(b->nr_free_pages, nr_free);
	EXPECT_EQ(buddy_free_batch(b, 1, 4, pages), 4);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_EQ(b->nr_free_pages, ARENA_PAGES - 1);
}

TEST(buddy_fault, wrong_ends_of_runs)
{
	struct buddy *b = arena_open_full(2048, ARENA_PAGES);
	u32 pfn = buddy_alloc(b, 4), block = buddy_alloc(b, 4);
	u64 nr_free;

	buddy_trim(b, pfn, 4, 11);
	nr_free = b->nr_free_pages;
	EXPECT_FAULT(b, pfn, 4, "wrong order");
	EXPECT_FAULT(b, pfn, 3, "wrong order");
	EXPECT_FAULT(b, pfn, ORDER_RUN, "impossible order");
	EXPECT_FAULT(b, pfn + 10, 0, "not the head of a block");
	EXPECT_FAULT(b, pfn + 11, 0, "double free");
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, pfn, 10));
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, pfn, 12));
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, pfn + 1, 10));
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, block, 16));
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, 2047, 1));
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, ARENA_PAGES, 1));
	EXPECT_EQ(b->nr_free_pages, nr_free);
	buddy_free_run(b, pfn, 11);
	EXPECT_PANIC("buddy: not a run of this length", buddy_free_run(b, pfn, 11));
	buddy_free(b, block, 4);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_EQ(b->nr_free_pages, ARENA_PAGES - 2048);
}

TEST(buddy_fault, wrong_arguments)
{
	struct buddy *b = arena_open(10, 1000, GARBAGE_FREE);
	u32 pfn;

	EXPECT_PANIC("assertion failed", buddy_add_range(b, 9, 20));
	EXPECT_PANIC("assertion failed", buddy_add_range(b, 900, 1001));
	EXPECT_PANIC("assertion failed", buddy_add_range(b, 20, 20));
	EXPECT_PANIC("assertion failed", buddy_add_range(b, 21, 20));
	EXPECT_EQ(arena_count_touched(), 0);
	buddy_add_range(b, 100, 200);
	EXPECT_PANIC("buddy: frame added twice", buddy_add_range(b, 199, 210));
	pfn = buddy_alloc(b, 2);
	EXPECT_PANIC("assertion failed", buddy_trim(b, pfn, 2, 0));
	EXPECT_PANIC("assertion failed", buddy_trim(b, pfn, 2, 5));
	EXPECT_PANIC("assertion failed", buddy_trim(b, pfn, 3, 4));
	buddy_free(b, pfn, 2);
	EXPECT_PANIC("assertion failed", buddy_trim(b, pfn, 2, 2));
	/* Frame 0 means "none": no instance may own it. */
	b = arena_open(0, 1000, GARBAGE_FREE);
	EXPECT_PANIC("assertion failed", buddy_add_range(b, 0, 20));
}

/* Four single free pages that cannot merge: their list is deep enough to break its middle. */
static struct buddy *open_with_list(u32 listed[4])
{
	struct buddy *b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);

	for (u32 i = 0; i < 4; i++)
		buddy_add_range(b, 101 + 2 * i, 102 + 2 * i);
	listed[0] = b->head[0];
	for (u32 i = 1; i < 4; i++)
		listed[i] = b->map[listed[i - 1]].next;
	return b;
}

/* Nobody follows a link that its neighbour does not confirm: taking the block at the head … */
TEST(buddy_fault, a_corrupted_head_is_not_taken)
{
	u32 listed[4];
	struct buddy *b = open_with_list(listed);

	b->map[listed[0]].next = listed[2];
	EXPECT_PANIC("buddy: free list corrupted", buddy_alloc(b, 0));
	b->map[listed[0]].next = 8000; /* a frame of nobody */
	EXPECT_PANIC("buddy: free list corrupted", buddy_alloc(b, 0));
	b = open_with_list(listed);
	b->map[listed[1]].prev = 0;
	EXPECT_PANIC("buddy: free list corrupted", buddy_alloc(b, 0));
	b = open_with_list(listed);
	b->map[listed[0]].prev = listed[1];
	EXPECT_PANIC("buddy: free list corrupted", buddy_alloc(b, 0));
}

/* … and merging with one in the middle or at the end. */
TEST(buddy_fault, a_corrupted_buddy_is_not_merged)
{
	for (unsigned i = 1; i < 4; i++)
		for (unsigned what = 0; what < 4; what++) {
			u32 listed[4];
			struct buddy *b = open_with_list(listed);
			u32 buddy = listed[i] ^ 1;

			buddy_add_range(b, 600, 601);
			b->map[buddy].head = b->map[buddy_alloc(b, 0)].head;
			if (what == 0)
				b->map[listed[i]].prev = listed[i == 1 ? 2 : i - 2];
			else if (what == 1)
				b->map[listed[i - 1]].next = 0;
			else if (what == 2)
				b->map[listed[i]].prev = 0; /* as if it were the first */
			else if (i < 3)
				b->map[listed[i + 1]].prev = listed[0];
			else
				b->map[listed[i]].next = listed[1];
			EXPECT_PANIC("buddy: free list corrupted", buddy_free(b, buddy, 0));
		}
}
