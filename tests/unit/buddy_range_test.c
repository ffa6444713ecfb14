/* Ranges by place: the edges, the faults, and memory that was never touched. */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"
#include "tests/model/giants.h"

TEST(buddy_range, of_one_frame_up_to_all)
{
	for (u32 nr = 1; nr <= 2048; nr = nr * 3 + 1) {
		struct buddy *b = arena_open_full(512, 2560);

		EXPECT_EQ(buddy_find_range(b, nr, 1), 512);
		ASSERT_TRUE(buddy_claim(b, 512, 512 + nr));
		EXPECT_EQ(b->nr_free_pages, 2048 - nr);
		EXPECT_SOUND(buddy_check(b));
		EXPECT_FALSE(buddy_claim(b, 512, 513));
		EXPECT_FALSE(buddy_claim(b, 512 + nr - 1, 512 + nr));
		EXPECT_EQ(buddy_find_range(b, 2048 - nr, 1), 2048 == nr ? 0 : 512 + nr);
		EXPECT_EQ(buddy_find_range(b, 2048 - nr + 1, 1), 0);
		buddy_free_range(b, 512, 512 + nr);
		EXPECT_EQ(b->nr_free_pages, 2048);
		EXPECT_SOUND(buddy_check(b));
	}
}

TEST(buddy_range, outside_of_what_was_added)
{
	struct buddy *b = arena_open_full(512, 1536);

	EXPECT_FALSE(buddy_claim(b, 511, 600));
	EXPECT_FALSE(buddy_claim(b, 1500, 1537));
	EXPECT_FALSE(buddy_claim(b, 1536, 1537));
	EXPECT_EQ(buddy_find_range(b, 1025, 1), 0);
	EXPECT_EQ(buddy_find_range(b, 1, 2048), 0);
	EXPECT_EQ(buddy_find_range(b, 512, 1024), 1024);
	EXPECT_EQ(buddy_find_range(b, 513, 1024), 0);
	EXPECT_EQ(b->nr_free_pages, 1024);
	EXPECT_PANIC("start < end", buddy_claim(b, 600, 600));
}

TEST(buddy_range, is_freed_as_it_was_claimed)
{
	struct buddy *b = arena_open_full(512, 1536);

	ASSERT_TRUE(buddy_claim(b, 600, 700));
	EXPECT_PANIC("range [0x258, 0x2bd): double free pfn=0x2bc", buddy_free_range(b, 600, 701));
	EXPECT_PANIC("wrong order", buddy_free_range(b, 600, 607));
	EXPECT_PANIC("not the head of a block", buddy_free_range(b, 601, 700));
	EXPECT_EQ(b->nr_free_pages, 924);
	buddy_free_range(b, 600, 700);
	EXPECT_PANIC("double free", buddy_free_range(b, 600, 700));
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_range, that_was_removed_is_nobodys)
{
	struct buddy *b = arena_open_full(512, 4096);

	ASSERT_TRUE(buddy_claim(b, 1000, 2600));
	buddy_remove(b, 1000, 2600);
	EXPECT_EQ(b->nr_managed_pages, 3584 - 1600);
	EXPECT_SOUND(buddy_check(b));
	for (u32 pfn = 1000; pfn < 2600; pfn++)
		EXPECT_STREQ(buddy_free_fault(b, pfn, 0), "not RAM");
	EXPECT_FALSE(buddy_claim(b, 1500, 1501));
	EXPECT_FALSE(buddy_claim(b, 999, 1001));
	EXPECT_PANIC("frame added twice pfn=0x3e7", buddy_restore(b, 999, 2600));
	EXPECT_PANIC("frame added twice", buddy_restore(b, 1000, 2601));
	EXPECT_PANIC("frame added twice", buddy_restore(b, 512, 1024));
	EXPECT_SOUND(buddy_check(b));
	buddy_restore(b, 1000, 1536); /* in parts */
	buddy_restore(b, 1536, 2600);
	EXPECT_EQ(b->nr_free_pages, 3584);
	EXPECT_EQ(b->nr_managed_pages, 3584);
	EXPECT_PANIC("frame added twice", buddy_restore(b, 1000, 2600));
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_range, only_what_is_held_is_removed)
{
	struct buddy *b = arena_open_full(512, 1536);

	EXPECT_PANIC("assertion failed", buddy_remove(b, 600, 700));
	EXPECT_EQ(b->nr_managed_pages, 1024);
}

TEST(buddy_range, only_frames_of_ours_come_back)
{
	struct buddy *b = arena_open_full(512, 1536);

	ASSERT_TRUE(buddy_claim(b, 512, 1536));
	buddy_remove(b, 512, 1536);
	EXPECT_PANIC("assertion failed", buddy_restore(b, 511, 1536));
	EXPECT_PANIC("assertion failed", buddy_restore(b, 512, 1537));
	EXPECT_PANIC("assertion failed", buddy_restore(b, 600, 600));
	EXPECT_PANIC("assertion failed", buddy_restore(b, 600, 599));
	EXPECT_EQ(b->nr_managed_pages, 0);
	buddy_restore(b, 512, 1536);
	EXPECT_EQ(b->nr_free_pages, 1024);
	EXPECT_SOUND(buddy_check(b));
}

/* Where each page has metadata: all of it is written on the way out, and on the way back. */
TEST(buddy_range, of_pages_that_were_split_goes_and_comes)
{
	struct buddy *b = arena_open_full(512, 4096);

	while (buddy_alloc(b, 0) != 0)
		;
	for (u32 pfn = 512; pfn < 4096; pfn++)
		buddy_free(b, pfn, 0);
	ASSERT_TRUE(buddy_claim(b, 700, 2300));
	EXPECT_PANIC("assertion failed", buddy_remove(b, 700, 2301));
	buddy_remove(b, 700, 2300);
	for (u32 pfn = 700; pfn < 2300; pfn++)
		EXPECT_EQ(b->map[pfn].type, PAGE_NONE);
	EXPECT_SOUND(buddy_check(b));
	buddy_restore(b, 1024, 2048);
	buddy_restore(b, 2048, 2300);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_STREQ(buddy_free_fault(b, 1000, 0), "not RAM");
	buddy_restore(b, 700, 1024);
	EXPECT_EQ(b->nr_free_pages, 3584);
	EXPECT_EQ(buddy_find_range(b, 3584, 512), 512);
	EXPECT_SOUND(buddy_check(b));
}

/* The search goes on behind a block of any owner: a slab's pages each stand for themselves. */
TEST(buddy_range, is_found_behind_any_block)
{
	struct buddy *b = arena_open_full(512, 1024);

	ASSERT_TRUE(buddy_claim(b, 512, 512 + 8));
	ASSERT_TRUE(buddy_claim(b, 600, 605));
	for (u32 pfn = 512; pfn < 520; pfn++)
		b->map[pfn].type = PAGE_SLAB;
	EXPECT_EQ(buddy_find_range(b, 1, 1), 520);
	EXPECT_EQ(buddy_find_range(b, 80, 1), 520);
	EXPECT_EQ(buddy_find_range(b, 81, 1), 605);
	EXPECT_EQ(buddy_find_range(b, 81, 16), 608);
	buddy_trim(b, 600, 2, 3);
	EXPECT_EQ(buddy_find_range(b, 81, 1), 605); /* 603 is free, 604 is not */
	EXPECT_EQ(buddy_find_range(b, 1, 2048), 0);
}

/* --- memory that was never touched --- */

#if __STDC_HOSTED__
#define GIB_PAGES (1u << MAX_ORDER)

static struct buddy *open_giants(void)
{
	giants_open();
	buddy_add_range(&giants, GIB_PAGES, 6 * GIB_PAGES);
	return &giants;
}

TEST(buddy_range, larger_than_the_largest_block)
{
	struct buddy *b = open_giants();

	EXPECT_EQ(buddy_find_range(b, 3ull << MAX_ORDER, 1), GIB_PAGES);
	ASSERT_TRUE(buddy_claim(b, GIB_PAGES + 1, 4 * GIB_PAGES + 1));
	EXPECT_EQ(b->nr_free_pages, 2ull << MAX_ORDER);
	EXPECT_EQ(b->nr_untouched, 1); /* the last GiB */
	EXPECT_EQ(b->untouched[0].start, 5 * GIB_PAGES);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_EQ(buddy_find_range(b, GIB_PAGES, 1), 4 * GIB_PAGES + 1);
	buddy_free_range(b, GIB_PAGES + 1, 4 * GIB_PAGES + 1);
	EXPECT_EQ(b->nr_free_pages, 5ull << MAX_ORDER);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 5);
	EXPECT_SOUND(buddy_check(b));
}

/* Free is the GiB to its end, and not a frame of the next one. */
TEST(buddy_range, over_the_end_of_untouched_memory)
{
	struct buddy *b = &giants;

	giants_open();
	buddy_add_range(b, GIB_PAGES, 2 * GIB_PAGES);
	buddy_add_range(b, 2 * GIB_PAGES + 1, 2 * GIB_PAGES + 10);
	EXPECT_FALSE(buddy_claim(b, 2 * GIB_PAGES - 5, 2 * GIB_PAGES + 1));
	EXPECT_EQ(buddy_find_range(b, GIB_PAGES, 1), GIB_PAGES);
	EXPECT_EQ(buddy_find_range(b, GIB_PAGES + 1, 1), 0);
	EXPECT_EQ(buddy_find_range(b, 9, 1), GIB_PAGES);
	ASSERT_TRUE(buddy_claim(b, GIB_PAGES, 2 * GIB_PAGES - 5));
	EXPECT_EQ(buddy_find_range(b, 5, 1), 2 * GIB_PAGES - 5);
	EXPECT_EQ(buddy_find_range(b, 9, 1), 2 * GIB_PAGES + 1);
	EXPECT_EQ(buddy_find_range(b, 10, 1), 0);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_range, in_the_middle_of_untouched_memory)
{
	struct buddy *b = open_giants();

	ASSERT_TRUE(buddy_claim(b, 3 * GIB_PAGES + 7, 3 * GIB_PAGES + 8));
	EXPECT_EQ(b->nr_untouched, 2);
	EXPECT_TRUE(buddy_is_untouched(b, 3 * GIB_PAGES - 1));
	EXPECT_FALSE(buddy_is_untouched(b, 3 * GIB_PAGES));
	EXPECT_TRUE(buddy_is_untouched(b, 4 * GIB_PAGES));
	EXPECT_EQ(b->nr_free_pages, (5ull << MAX_ORDER) - 1);
	EXPECT_SOUND(buddy_check(b));
	ASSERT_TRUE(buddy_claim(b, GIB_PAGES, 2 * GIB_PAGES));     /* an extent's first */
	ASSERT_TRUE(buddy_claim(b, 5 * GIB_PAGES, 6 * GIB_PAGES)); /* its last */
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 2);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_NE(buddy_alloc(b, MAX_ORDER), 0);
	EXPECT_NE(buddy_alloc(b, MAX_ORDER), 0);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 0);
}

/* Where no more pieces can be remembered, what is above the cut is listed. */
TEST(buddy_range, that_cut_untouched_memory_to_pieces)
{
	struct buddy *b = &giants;

	giants_open();
	buddy_add_range(b, 4 * GIB_PAGES, 7 * GIB_PAGES);
	for (u32 i = 3; i > 0; i--)
		buddy_add_range(b, i * GIB_PAGES, (i + 1) * GIB_PAGES);
	ASSERT_EQ(b->nr_untouched, BUDDY_EXTENTS);
	ASSERT_TRUE(buddy_claim(b, 5 * GIB_PAGES, 5 * GIB_PAGES + 1));
	EXPECT_EQ(b->nr_untouched, BUDDY_EXTENTS);
	EXPECT_FALSE(buddy_is_untouched(b, 6 * GIB_PAGES));
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 5);
	EXPECT_SOUND(buddy_check(b));
	buddy_free_range(b, 5 * GIB_PAGES, 5 * GIB_PAGES + 1);
	ASSERT_TRUE(buddy_claim(b, GIB_PAGES, 7 * GIB_PAGES));
	EXPECT_EQ(b->nr_untouched, 0);
	EXPECT_EQ(b->nr_free_pages, 0);
	buddy_free_range(b, GIB_PAGES, 7 * GIB_PAGES);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 6);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_range, of_gigabytes_that_were_removed)
{
	struct buddy *b = open_giants();

	ASSERT_TRUE(buddy_claim(b, 2 * GIB_PAGES, 4 * GIB_PAGES));
	buddy_remove(b, 2 * GIB_PAGES, 4 * GIB_PAGES);
	EXPECT_EQ(b->nr_managed_pages, 3ull << MAX_ORDER);
	EXPECT_STREQ(buddy_free_fault(b, 3 * GIB_PAGES + 5, 0), "not RAM");
	EXPECT_PANIC("frame added twice", buddy_restore(b, GIB_PAGES, 2 * GIB_PAGES));
	EXPECT_PANIC("frame added twice", buddy_restore(b, 5 * GIB_PAGES, 6 * GIB_PAGES));
	EXPECT_SOUND(buddy_check(b));
	buddy_restore(b, 2 * GIB_PAGES, 3 * GIB_PAGES + 100);
	buddy_restore(b, 3 * GIB_PAGES + 100, 4 * GIB_PAGES);
	EXPECT_EQ(b->nr_free_pages, 5ull << MAX_ORDER);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 5);
	EXPECT_SOUND(buddy_check(b));
}
#endif
