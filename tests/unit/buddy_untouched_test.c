/*
 * Untouched memory: whole GiB that were never handed out. What bringing them up and handing them
 * out writes, what the questions about them answer, and the checker's B3, B9 and B10, each broken.
 */
#include "tests/model/expect.h"
#include "tests/model/giants.h"

#if __STDC_HOSTED__
#define GIB_PAGES (1u << MAX_ORDER)
#define GIB_BLOCKS (GIB_PAGES / PAGEBLOCK_PAGES)

static struct buddy *const b = &giants;

/* One range of whole GiB [first, last). */
static void open(u32 first, u32 last)
{
	giants_open();
	buddy_add_range(b, first * GIB_PAGES, last * GIB_PAGES);
}

static u32 count_known(void)
{
	u32 nr = 0;

	for (u32 block = 0; block < GIANTS_BLOCKS; block++)
		nr += b->pageblock[block] != PAGEBLOCK_UNKNOWN;
	return nr;
}

TEST(buddy_untouched, gigabytes_are_added_without_a_write)
{
	open(1, 6);
	EXPECT_EQ(count_known(), 0);
	EXPECT_EQ(b->map[GIB_PAGES].next, GIB_BLOCKS); /* the garbage that was there */
	EXPECT_EQ(b->nonempty, 0);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 5);
	EXPECT_EQ(b->nr_free_pages, 5ull << MAX_ORDER);
	EXPECT_EQ(b->nr_managed_pages, 5ull << MAX_ORDER);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, ragged_edges_are_listed)
{
	giants_open();
	buddy_add_range(b, GIB_PAGES - 512, 3 * GIB_PAGES + 1024);
	EXPECT_EQ(b->nr_free_blocks[9], 1);
	EXPECT_EQ(b->nr_free_blocks[10], 1);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 2);
	EXPECT_EQ(b->untouched[0].start, GIB_PAGES);
	EXPECT_EQ(b->untouched[0].end, 3 * GIB_PAGES);
	EXPECT_EQ(count_known(), 2);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, less_than_a_whole_block_is_listed)
{
	giants_open();
	buddy_add_range(b, GIB_PAGES + 512, 3 * GIB_PAGES - 512);
	EXPECT_EQ(b->nr_untouched, 0);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 0);
	EXPECT_EQ(b->nr_free_pages, 2 * GIB_PAGES - 1024);
	EXPECT_SOUND(buddy_check(b));
}

/* From the top, one block at a time, and none while a list has what is asked for. */
TEST(buddy_untouched, is_handed_out_when_no_list_has_enough)
{
	u32 pfn;

	open(1, 5);
	pfn = buddy_alloc(b, 0);
	EXPECT_EQ(pfn, 4 * GIB_PAGES);
	EXPECT_EQ(count_known(), MAX_ORDER - PAGEBLOCK_ORDER + 1);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 3);
	EXPECT_EQ(b->nonempty, GIB_PAGES - 1);
	EXPECT_SOUND(buddy_check(b));
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER - 1), 4 * GIB_PAGES + GIB_PAGES / 2);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 3 * GIB_PAGES);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 2 * GIB_PAGES);
	EXPECT_EQ(b->nr_untouched, 1);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), GIB_PAGES);
	EXPECT_EQ(b->nr_untouched, 0);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 0);
	EXPECT_SOUND(buddy_check(b));
	buddy_free(b, pfn, 0);
	buddy_free(b, 2 * GIB_PAGES, MAX_ORDER);
	EXPECT_EQ(b->nonempty >> MAX_ORDER, 1); /* what was touched is listed from then on */
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 2 * GIB_PAGES);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, blocks_of_gigabytes_cost_one_write_each)
{
	u32 behind;

	open(1, 4);
	behind = b->map[3 * GIB_PAGES + 1].head;
	for (unsigned i = 0; i < 3; i++)
		buddy_free(b, buddy_alloc(b, MAX_ORDER), MAX_ORDER); /* the same one again */
	EXPECT_EQ(count_known(), 1);
	EXPECT_EQ(b->pageblock[3 * GIB_BLOCKS], PAGEBLOCK_HEAD);
	EXPECT_EQ(b->map[3 * GIB_PAGES + 1].head, behind);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, batches_and_runs_come_from_it_too)
{
	struct page *pages[16];

	open(1, 3);
	EXPECT_EQ(buddy_alloc_batch(b, 0, 16, pages), 16);
	EXPECT_EQ(pages[15] - b->map, 2 * GIB_PAGES);
	for (unsigned nr = 0; nr < 16;)
		nr += buddy_free_batch(b, 0, 16 - nr, pages + nr);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 2 * GIB_PAGES); /* all merged */
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), GIB_PAGES);
	buddy_trim(b, GIB_PAGES, MAX_ORDER, GIB_PAGES); /* a whole block is a run as well */
	buddy_free_run(b, GIB_PAGES, GIB_PAGES);
	EXPECT_EQ(b->nr_untouched, 0);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 1);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, ranges_that_touch_are_one)
{
	open(1, 2);
	buddy_add_range(b, 3 * GIB_PAGES, 4 * GIB_PAGES);
	buddy_add_range(b, 2 * GIB_PAGES, 3 * GIB_PAGES); /* behind the first */
	EXPECT_EQ(b->nr_untouched, 2);
	EXPECT_EQ(b->untouched[0].end, 3 * GIB_PAGES);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 3);
	EXPECT_SOUND(buddy_check(b));
}

/* Downwards, so that none touches the end of one before it. */
TEST(buddy_untouched, more_ranges_than_can_be_remembered_are_listed)
{
	giants_open();
	for (u32 gib = 6; gib >= 1; gib--)
		buddy_add_range(b, gib * GIB_PAGES, (gib + 1) * GIB_PAGES);
	EXPECT_EQ(b->nr_untouched, BUDDY_EXTENTS);
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 6);
	EXPECT_EQ(b->nr_free_pages, 6ull << MAX_ORDER);
	EXPECT_EQ(b->nonempty, GIB_PAGES);
	EXPECT_EQ(count_known(), 6 - BUDDY_EXTENTS);
	EXPECT_SOUND(buddy_check(b));
	for (u32 gib = 1; gib <= 6; gib++)
		EXPECT_NE(buddy_alloc(b, MAX_ORDER), 0);
	EXPECT_EQ(buddy_alloc(b, 0), 0);
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, frees_of_it_are_double_frees)
{
	open(2, 4);
	EXPECT_STREQ(buddy_free_fault(b, 2 * GIB_PAGES, MAX_ORDER), "double free");
	EXPECT_STREQ(buddy_free_fault(b, 4 * GIB_PAGES - 1, 0), "double free");
	EXPECT_STREQ(buddy_free_fault(b, 2 * GIB_PAGES - 1, 0), "not RAM");
	EXPECT_STREQ(buddy_free_fault(b, 4 * GIB_PAGES, 0), "not RAM");
	EXPECT_FALSE(buddy_try_free(b, 3 * GIB_PAGES, MAX_ORDER));
	EXPECT_PANIC("buddy: double free pfn=0x80000 order=0", buddy_free(b, 2 * GIB_PAGES, 0));
	EXPECT_TRUE(buddy_is_untouched(b, 2 * GIB_PAGES));
	EXPECT_TRUE(buddy_is_untouched(b, 4 * GIB_PAGES - 1));
	EXPECT_FALSE(buddy_is_untouched(b, 2 * GIB_PAGES - 1));
	EXPECT_FALSE(buddy_is_untouched(b, 4 * GIB_PAGES));
	EXPECT_FALSE(buddy_is_untouched(b, (1ull << 32) + 3 * GIB_PAGES));
}

/* --- the checker --- */

#define EXPECT_BREAKS(name, lvalue, wrong)            \
	({                                            \
		__typeof__(lvalue) right_ = (lvalue); \
		(lvalue) = (wrong);                   \
		EXPECT_BROKEN(buddy_check(b), name);  \
		(lvalue) = right_;                    \
		EXPECT_SOUND(buddy_check(b));         \
	})

/* Two extents, a listed GiB, and one in use. */
static void open_sound(void)
{
	open(1, 3);
	buddy_add_range(b, 4 * GIB_PAGES, 7 * GIB_PAGES);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 6 * GIB_PAGES);
	EXPECT_EQ(buddy_alloc(b, MAX_ORDER), 5 * GIB_PAGES);
	buddy_free(b, 6 * GIB_PAGES, MAX_ORDER);
	ASSERT_EQ(b->nr_untouched, 2);
	ASSERT_SOUND(buddy_check(b));
}

TEST(buddy_untouched, B3_counts_untouched_blocks)
{
	open_sound();
	EXPECT_EQ(b->nr_free_blocks[MAX_ORDER], 4);
	EXPECT_BREAKS("B3:", b->nr_free_blocks[MAX_ORDER], 1);
	EXPECT_BREAKS("B3:", b->nr_free_blocks[MAX_ORDER], 3);
	EXPECT_BREAKS("B3:", b->nr_free_blocks[MAX_ORDER], 5);
	EXPECT_BREAKS("B3:", b->nr_untouched, 1);
	EXPECT_BREAKS("B3:", b->untouched[0].end, 2 * GIB_PAGES);
}

TEST(buddy_untouched, B4_and_B8_know_untouched_pages)
{
	open_sound();
	EXPECT_BREAKS("B4:", b->nr_free_pages, b->nr_free_pages - 2 * GIB_PAGES);
	EXPECT_BREAKS("B8:", b->map[5 * GIB_PAGES].type, PAGE_FREE);
}

TEST(buddy_untouched, B9_extents_are_whole_blocks_of_ours)
{
	open_sound();
	EXPECT_BREAKS("B9:", b->nr_untouched, BUDDY_EXTENTS + 1);
	EXPECT_BREAKS("B9:", b->untouched[0].start, GIB_PAGES + 1);
	EXPECT_BREAKS("B9:", b->untouched[1].end, 5 * GIB_PAGES - 512);
	EXPECT_BREAKS("B9:", b->untouched[0].start, 0);
	EXPECT_BREAKS("B9:", b->untouched[1].end, 8 * GIB_PAGES);
	EXPECT_BREAKS("B9:", b->untouched[0].end, GIB_PAGES); /* empty */
	EXPECT_BREAKS("B9:", b->untouched[1].start, 6 * GIB_PAGES);
}

TEST(buddy_untouched, B9_extents_do_not_overlap)
{
	open_sound();
	EXPECT_BREAKS("B9:", b->untouched[0].end, 5 * GIB_PAGES);
	EXPECT_BREAKS("B9:", b->untouched[1].start, 2 * GIB_PAGES);
	EXPECT_BREAKS("B9:", b->untouched[1], b->untouched[0]);
}

TEST(buddy_untouched, B10_nothing_of_an_extent_is_vouched_for)
{
	open_sound();
	EXPECT_BREAKS("B10:", b->pageblock[GIB_BLOCKS], PAGEBLOCK_HEAD);
	EXPECT_BREAKS("B10:", b->pageblock[3 * GIB_BLOCKS - 1], PAGEBLOCK_FULL);
	EXPECT_BREAKS("B10:", b->pageblock[4 * GIB_BLOCKS + 77], PAGEBLOCK_FULL);
}
#endif
