/*
 * What the grader asks of boot memory and of the page map beside the tests that everyone can read.
 * The maps are written down here, and the page map is a private one, so neither needs the other.
 */
#include <mm/bootmem.h>
#include <mm/page.h>

#include "tests/model/expect.h"

#define PAGE 4096ull
#define PLACES 64u
#define FRAMES (16u * PAGEBLOCK_PAGES)

static struct mem_range storage[PLACES];
static struct memmap map;
static struct bootmem boot;

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

/* Usable ranges of 1 to 40 pages with gaps between them. */
static void open(u64 min, u64 max)
{
	u64 page = below(3);

	memmap_init(&map, storage, PLACES, 40);
	while (map.nr < 8) {
		u64 nr = 1 + below(40);

		map.range[map.nr++] = (struct mem_range){page * PAGE, nr * PAGE, MEM_USABLE};
		page += nr + 1 + below(5);
	}
	bootmem_init(&boot, &map, min, max);
}

/* --- 2.1 --- */

TEST(lab2_try, every_allocation_is_free_aligned_and_accounted_for)
{
	for (u32 round = 0; round < 60; round++) {
		u64 min = below(2) * below(40) * PAGE, max = (40ull + below(300)) * PAGE;
		u64 sum = 0;

		open(min, max);
		for (u32 step = 0; step < 30; step++) {
			u64 length = 1 + below(6 * 4096), align = PAGE << below(5);
			u64 free = memmap_find_free(&map, align_up(length, PAGE), align, min, max);
			u64 pa = bootmem_try_alloc(&boot, length, align, MEM_BOOTMEM);

			ASSERT_EQ(pa, free);
			if (pa == 0)
				continue;
			sum += align_up(length, PAGE);
			EXPECT_EQ(memmap_find(&map, pa)->type, MEM_BOOTMEM);
			EXPECT_EQ(memmap_bytes(&map, MEM_BOOTMEM), sum);
			ASSERT_SOUND(memmap_check(&map));
		}
	}
}

TEST(lab2_try, nothing_and_too_much_have_no_room)
{
	u64 usable;

	open(0, UINT64_MAX);
	usable = memmap_bytes(&map, MEM_USABLE);
	EXPECT_EQ(bootmem_try_alloc(&boot, 0, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, UINT64_MAX, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, UINT64_MAX - 4094, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(bootmem_try_alloc(&boot, 41 * PAGE, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), usable);
	EXPECT_PANIC("assertion failed", bootmem_try_alloc(&boot, PAGE, 3 * PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("assertion failed", bootmem_try_alloc(&boot, PAGE, PAGE / 2, MEM_BOOTMEM));
}

TEST(lab2_try, a_map_without_a_place_has_no_room)
{
	open(0, UINT64_MAX);
	map.nr = 1;
	map.capacity = 1;
	map.range[0] = (struct mem_range){PAGE, 9 * PAGE, MEM_USABLE};
	EXPECT_EQ(bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM), 0);
	EXPECT_EQ(memmap_bytes(&map, MEM_USABLE), 9 * PAGE);
	EXPECT_EQ(bootmem_try_alloc(&boot, 9 * PAGE, PAGE, MEM_BOOTMEM), PAGE);
}

/* --- 2.2 --- */

TEST(lab2_must, failing_is_one_line_that_says_all)
{
	open(PAGE, 2 * PAGE);
	EXPECT_PANIC(
	    "bootmem: no room for 20480 bytes (page map), aligned to 0x2000, in [0x1000, 0x2000)",
	    bootmem_alloc(&boot, 5 * PAGE, 2 * PAGE, MEM_PAGE_MAP));
	EXPECT_EQ(memmap_bytes(&map, MEM_PAGE_MAP), 0);
}

TEST(lab2_must, the_same_place_as_the_one_that_may_fail)
{
	for (u32 round = 0; round < 50; round++) {
		u64 length = 1 + below(3 * 4096), free;

		open(0, UINT64_MAX);
		free = memmap_find_free(&map, align_up(length, PAGE), PAGE, 0, UINT64_MAX);
		if (free != 0)
			EXPECT_EQ(bootmem_alloc(&boot, length, PAGE, MEM_PAGE_TABLES), free);
	}
}

TEST(lab2_must, closed_is_closed)
{
	open(0, UINT64_MAX);
	bootmem_finish(&boot);
	EXPECT_PANIC("bootmem: allocation after bootmem_finish()",
	             bootmem_try_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("bootmem: allocation after bootmem_finish()",
	             bootmem_alloc(&boot, PAGE, PAGE, MEM_BOOTMEM));
	EXPECT_PANIC("bootmem: finished twice", bootmem_finish(&boot));
}

/* --- 2.3 --- */

static struct page frames[FRAMES];
static u8 known[FRAMES / PAGEBLOCK_PAGES + 8];
static u32 head_of[FRAMES]; /* the frame of the block's head, or NOBODY */

#define NOBODY UINT32_MAX

static void put_block(u32 pfn, u32 nr, enum page_type type, unsigned order)
{
	for (u32 i = pfn; i < pfn + nr; i++)
		head_of[i] = type == PAGE_NONE ? NOBODY : pfn;
	for (u32 i = pfn + 1; i < pfn + nr; i++)
		if (known[i / PAGEBLOCK_PAGES] == PAGEBLOCK_FULL)
			frames[i].head =
			    page_head_word(type == PAGE_NONE ? PAGE_NONE : PAGE_INNER, 0, 0);
	frames[pfn].head = page_head_word(type, order, 0);
	frames[pfn].nr_pages = nr;
}

static void fill_small(u32 first)
{
	static const enum page_type kinds[] = {PAGE_FREE, PAGE_ALLOCATED, PAGE_LARGE, PAGE_CACHED,
	                                       PAGE_NONE};

	known[first / PAGEBLOCK_PAGES] = PAGEBLOCK_FULL;
	for (u32 pfn = first; pfn < first + PAGEBLOCK_PAGES;) {
		unsigned order = below(lowest_bit(pfn | PAGEBLOCK_PAGES) + 1);
		bool is_run = order > 1 && below(3) == 0;
		u32 nr = is_run ? (1u << order) - 1 : 1u << order;

		put_block(pfn, nr, is_run ? PAGE_LARGE : kinds[below(ARRAY_SIZE(kinds))],
		          is_run ? ORDER_RUN : order);
		if (is_run)
			put_block(pfn + nr, 1, PAGE_FREE, 0);
		pfn += 1u << order;
	}
}

/* Blocks of all sizes; frames that nothing vouches for hold believable garbage. */
static void fill_map(void)
{
	for (u32 i = 0; i < FRAMES; i++) {
		frames[i] =
		    (struct page){.type = PAGE_ALLOCATED, .order = (u8)below(MAX_ORDER + 1)};
		head_of[i] = NOBODY;
	}
	memset(known, PAGEBLOCK_UNKNOWN, sizeof(known));
	for (u32 block = 0; block < FRAMES / PAGEBLOCK_PAGES;) {
		unsigned order = below(lowest_bit(block | 8) + 1);
		u32 pfn = block * PAGEBLOCK_PAGES;

		switch (below(4)) {
		case 0:
			order = 0;
			fill_small(pfn);
			break;
		case 1:
			order = 0;
			break;
		default:
			known[block] = PAGEBLOCK_HEAD;
			put_block(pfn, PAGEBLOCK_PAGES << order,
			          below(2) ? PAGE_FREE : PAGE_ALLOCATED, PAGEBLOCK_ORDER + order);
		}
		block += 1u << order;
	}
}

TEST(lab2_lookup, any_frame_leads_to_its_head)
{
	for (u32 round = 0; round < 10; round++) {
		fill_map();
		for (u32 i = 0; i < FRAMES; i++) {
			struct page *head = page_block_in(frames, known, i);

			ASSERT_EQ(head == NULL ? NOBODY : (u32)(head - frames), head_of[i]);
			if (head != NULL)
				ASSERT_TRUE(i - head_of[i] < page_block_pages(head));
		}
	}
}

TEST(lab2_lookup, a_slabs_pages_are_their_own_heads)
{
	fill_map();
	known[3] = PAGEBLOCK_FULL;
	for (u32 i = 0; i < PAGEBLOCK_PAGES; i++)
		frames[3 * PAGEBLOCK_PAGES + i].head = page_head_word(PAGE_INNER, 0, 0);
	for (u32 i = 0; i < 4; i++)
		frames[3 * PAGEBLOCK_PAGES + 8 + i].head = page_head_word(PAGE_SLAB, 0, 0);
	for (u32 i = 0; i < 4; i++)
		EXPECT_EQ(page_block_in(frames, known, 3 * PAGEBLOCK_PAGES + 8 + i) - frames,
		          3 * PAGEBLOCK_PAGES + 8 + i);
}

TEST(lab2_lookup, sizes)
{
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		EXPECT_EQ(page_block_pages(&(struct page){.order = (u8)order}), 1ull << order);
	EXPECT_EQ(page_block_pages(&(struct page){.order = ORDER_RUN, .nr_pages = 12345}), 12345);
}

TEST(lab2_lookup, numbers_that_are_no_frames)
{
	EXPECT_NULL(page_lookup(PLATFORM_MAX_PA >> PAGE_SHIFT));
	EXPECT_NULL(page_lookup(UINT64_MAX));
	EXPECT_NULL(page_lookup(1ull << 52));
	EXPECT_NULL(page_block_of(PLATFORM_MAX_PA >> PAGE_SHIFT));
	EXPECT_NULL(page_block_of(UINT64_MAX - 1));
}

/* --- 2.4 --- */

TEST(lab2_walk, the_next_known_block_from_anywhere)
{
	for (u32 round = 0; round < 300; round++) {
		u64 nr = 1 + below(FRAMES / PAGEBLOCK_PAGES), first = below((u32)nr), expected;
		u64 end = nr * PAGEBLOCK_PAGES - below(PAGEBLOCK_PAGES);

		memset(known, PAGEBLOCK_UNKNOWN, sizeof(known));
		for (u32 i = 0; i < 3; i++)
			known[below(FRAMES / PAGEBLOCK_PAGES)] =
			    below(2) ? PAGEBLOCK_HEAD : PAGEBLOCK_FULL;
		expected = first * PAGEBLOCK_PAGES;
		while (expected < end && known[expected / PAGEBLOCK_PAGES] == PAGEBLOCK_UNKNOWN)
			expected += PAGEBLOCK_PAGES;
		expected = expected < end ? expected : end;
		ASSERT_EQ(page_next_known_in(known, first * PAGEBLOCK_PAGES, end), expected);
		ASSERT_EQ(page_next_known_in(known, end, end), end);
	}
}
