/*
 * The checker, checked: for each invariant of mm/buddy.c damage that breaks exactly it, at the root
 * of the structure and deep inside, and the name that buddy_check() must give it. Undone, all is
 * sound again.
 */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"

static struct buddy *b;
static u32 listed[6]; /* the free list of order 0: unmerged single pages */
static u32 large;     /* a free block of order 11 whose four pageblocks are HEAD */

static void open_sound(void)
{
	b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);
	for (u32 i = 0; i < ARRAY_SIZE(listed); i++)
		buddy_add_range(b, 100 + 4 * i, 101 + 4 * i);
	buddy_add_range(b, 1024, 1280); /* order 8 */
	large = 4096;
	for (u32 pfn = large; pfn < large + 2048;
	     pfn += 512) /* merges, and each part is vouched for */
		buddy_add_range(b, pfn, pfn + 512);
	listed[0] = b->head[0];
	for (u32 i = 1; i < ARRAY_SIZE(listed); i++)
		listed[i] = b->map[listed[i - 1]].next;
	ASSERT_SOUND(buddy_check(b));
}

/* Stores a wrong value, expects the checker to name it, and puts the right one back. */
#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(buddy_check(b), name);    \
		(lvalue) = right_;                      \
		EXPECT_SOUND(buddy_check(b));           \
	})

TEST(buddy_check, B1_members_are_free_heads_of_their_order)
{
	open_sound();
	for (unsigned i = 0; i < ARRAY_SIZE(listed); i++) {
		struct page *page = &b->map[listed[i]];

		EXPECT_BREAKS("B1:", page->type, PAGE_ALLOCATED);
		EXPECT_BREAKS("B1:", page->type, PAGE_INNER);
		EXPECT_BREAKS("B1:", page->order, 1);
		EXPECT_BREAKS("B1:", page->zone, ARENA_ZONE ^ 1);
		EXPECT_BREAKS("B1:", page->flags, 1);
	}
	EXPECT_BREAKS("B1:", b->map[1024].type, PAGE_CACHED);
	EXPECT_BREAKS("B1:", b->map[large].order, 10);
	EXPECT_BREAKS("B1:", b->map[large].zone, 0);
}

TEST(buddy_check, B1_members_are_aligned_and_inside)
{
	open_sound();
	b->map[large + 2].head = b->map[large].head;
	EXPECT_BREAKS("B1:", b->head[11], large + 2);
	b->map[large + 2].head = b->map[large + 1].head;
	EXPECT_BREAKS("B1:", b->start, 101);
	EXPECT_BREAKS("B1:", b->end, large);
	EXPECT_BREAKS("B1:", b->head[0], ARENA_PAGES);
	EXPECT_BREAKS("B1:", b->map[listed[5]].next, ARENA_PAGES + 5);
}

TEST(buddy_check, B1_a_block_ends_inside)
{
	open_sound();
	EXPECT_BREAKS("B1:", b->end, large + 2047);
}

TEST(buddy_check, B2_links_are_symmetric)
{
	open_sound();
	EXPECT_BREAKS("B2:", b->map[listed[0]].prev, listed[1]);
	EXPECT_BREAKS("B2:", b->map[listed[1]].prev, 0);
	EXPECT_BREAKS("B2:", b->map[listed[5]].prev, listed[3]);
	EXPECT_BREAKS("B2:", b->map[listed[1]].next, listed[3]); /* skips one */
	EXPECT_BREAKS("B2:", b->map[listed[5]].next, listed[2]); /* a circle */
	EXPECT_BREAKS("B2:", b->map[large].prev, 1024);
}

TEST(buddy_check, B3_counts_and_bits_match_the_lists)
{
	open_sound();
	EXPECT_BREAKS("B3:", b->nr_free_blocks[0], 5);
	EXPECT_BREAKS("B3:", b->nr_free_blocks[0], 7);
	EXPECT_BREAKS("B3:", b->nr_free_blocks[11], 0);
	EXPECT_BREAKS("B3:", b->nr_free_blocks[MAX_ORDER], 1);
	EXPECT_BREAKS("B3:", b->nonempty, b->nonempty & ~1u);
	EXPECT_BREAKS("B3:", b->nonempty, b->nonempty & ~(1u << 11));
	EXPECT_BREAKS("B3:", b->nonempty, b->nonempty | 1u << 1);
	EXPECT_BREAKS("B3:", b->nonempty, b->nonempty | 1u << MAX_ORDER);
	EXPECT_BREAKS("B3:", b->head[0], 0);
	EXPECT_BREAKS("B3:", b->map[listed[4]].next, 0);
}

TEST(buddy_check, B4_free_pages_are_the_sum)
{
	open_sound();
	EXPECT_BREAKS("B4:", b->nr_free_pages, b->nr_free_pages - 1);
	EXPECT_BREAKS("B4:", b->nr_free_pages, b->nr_free_pages + 1);
	EXPECT_BREAKS("B4:", b->nr_free_pages, 0);
	EXPECT_BREAKS("B4:", b->nr_managed_pages, b->nr_free_pages - 1);
}

/* Lists a block by hand, without merging. */
static void push_unmerged(u32 pfn, unsigned order)
{
	struct page *page = &b->map[pfn];

	page->head = PAGE_FREE | order << 8 | (u32)b->zone << 16;
	page->next = b->head[order];
	page->prev = 0;
	if (page->next)
		b->map[page->next].prev = pfn;
	b->head[order] = pfn;
	b->nonempty |= 1u << order;
	b->nr_free_blocks[order]++;
	b->nr_free_pages += 1u << order;
}

TEST(buddy_check, B5_free_buddies_are_merged)
{
	for (unsigned order = 0; order < 12; order++) {
		u32 size = 1u << order;

		b = arena_open(1, ARENA_PAGES, GARBAGE_FREE);
		buddy_add_range(b, 4096, 4096 + 2 * size);
		EXPECT_NE(buddy_alloc(b, order), 0);
		EXPECT_NE(buddy_alloc(b, order), 0);
		push_unmerged(4096 + size, order);
		EXPECT_SOUND(buddy_check(b));
		push_unmerged(4096, order);
		EXPECT_BROKEN(buddy_check(b), "B5:");
	}
}

TEST(buddy_check, B6_pageblocks_vouch_for_free_heads)
{
	open_sound();
	EXPECT_BREAKS("B6:", b->pageblock[0], PAGEBLOCK_UNKNOWN);
	EXPECT_BREAKS("B6:", b->pageblock[0], PAGEBLOCK_HEAD);
	EXPECT_BREAKS("B6:", b->pageblock[1024 / 512], PAGEBLOCK_HEAD);
	EXPECT_BREAKS("B6:", b->pageblock[large / 512], PAGEBLOCK_UNKNOWN);
}

TEST(buddy_check, B7_inner_pages_of_free_blocks)
{
	open_sound();
	EXPECT_BREAKS("B7:", b->map[1025].type, PAGE_ALLOCATED);
	EXPECT_BREAKS("B7:", b->map[1024 + 128].type, PAGE_FREE);
	EXPECT_BREAKS("B7:", b->map[1279].type, PAGE_NONE);
	/* Where only the first page of a pageblock is vouched for, it counts, and the rest is
	 * garbage. */
	EXPECT_BREAKS("B7:", b->map[large + 512].type, PAGE_ALLOCATED);
	EXPECT_BREAKS("B7:", b->map[large + 1536].type, PAGE_SLAB);
	b->map[large + 1].type = PAGE_ALLOCATED;
	EXPECT_SOUND(buddy_check(b));
}

TEST(buddy_check, B7_sees_every_page_of_a_full_pageblock)
{
	u32 pfn;

	open_sound();
	while ((pfn = buddy_alloc(b, 0)) < large)
		buddy_trim(b, pfn, 0, 1); /* keeps it; only the large block is of interest */
	buddy_free(b, pfn, 0);
	ASSERT_EQ(b->map[large].order, 11);
	for (u32 i = 1; i < 2048; i++)
		if (b->pageblock[(large + i) / 512] == PAGEBLOCK_FULL && (i < 3 || i % 127 == 0))
			EXPECT_BREAKS("B7:", b->map[large + i].type, PAGE_ALLOCATED);
}

TEST(buddy_check, B8_every_free_block_is_listed)
{
	u32 pfn;

	open_sound();
	/* 1300: no frame of ours, in a pageblock that is all there; its buddy is none either. */
	b->map[1300].zone = ARENA_ZONE;
	EXPECT_BREAKS("B8:", b->map[1300].type, PAGE_FREE);
	pfn = buddy_alloc(b, 11);
	EXPECT_EQ(pfn, large);
	EXPECT_BREAKS("B8:", b->map[large].type, PAGE_FREE);
	EXPECT_BREAKS("B8:", b->map[large + 1536].type, PAGE_FREE);
	buddy_free(b, pfn, 11);
	pfn = buddy_alloc(b, 0);
	EXPECT_BREAKS("B8:", b->map[pfn].type, PAGE_FREE);
}
