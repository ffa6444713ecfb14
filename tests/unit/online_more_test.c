/*
 * mm_online() on machines of all kinds: next to memory and far from it, in a zone that had none,
 * too small, and with no room in the map. On the host, where machines can be made; that such memory
 * works is tests/kernel/online_test.c.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/mm.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static u64 bytes_before;
static struct memmap *map;
static u64 nr_described; /* pages of page map that the last range took */

/* A PC of that size in place of this one. False: this one could not be made again. */
static bool begin(u64 bytes)
{
	bytes_before = host_machine_pc_bytes();
	if (bytes_before == 0)
		test_skip("this machine could not be made again");
	else
		map = (struct memmap *)host_machine_boot_pc(bytes);
	return bytes_before != 0;
}

static void end(void)
{
	EXPECT_SOUND(mm_check());
	EXPECT_NULL(memmap_check(map));
	host_machine_boot_pc(bytes_before);
}

/* Above all that the map has. */
static void append(u64 base, u64 length)
{
	map->range[map->nr++] = (struct mem_range){base, length, MEM_UNREACHABLE};
}

static u64 managed_bytes(void)
{
	struct mm_usage u;

	mm_usage(&u);
	return u.managed_pages << PAGE_SHIFT;
}

/* It came, but for what describes it, and all can be had. */
static void expect_came(u64 length, u64 managed_before, u64 described_before)
{
	u64 described = memmap_bytes(map, MEM_PAGE_MAP) - described_before;
	struct hoard hoard = {0};
	struct mm_usage usage;

	EXPECT_EQ(memmap_bytes(map, MEM_UNREACHABLE), 0);
	EXPECT_EQ(managed_bytes(), managed_before + length - described);
	EXPECT_LE(described, length / 200 + 3 * PAGE_SIZE);
	nr_described = described / PAGE_SIZE;
	EXPECT_SOUND(mm_check());
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC);
	mm_usage(&usage);
	EXPECT_EQ(usage.free_pages + usage.cached_pages, 0);
	hoard_drop_all(&hoard);
}

static void come(u64 base, u64 length)
{
	u64 managed = managed_bytes(), described = memmap_bytes(map, MEM_PAGE_MAP);

	append(base, length);
	ASSERT_EQ(mm_online(map, base, length), 0);
	expect_came(length, managed, described);
}

/* The same below other ranges of the map. */
static void come_between(u64 base, u64 length)
{
	u64 managed = managed_bytes(), described = memmap_bytes(map, MEM_PAGE_MAP);
	u32 at = map->nr++;

	for (; at > 0 && map->range[at - 1].base > base; at--)
		map->range[at] = map->range[at - 1];
	map->range[at] = (struct mem_range){base, length, MEM_UNREACHABLE};
	ASSERT_EQ(mm_online(map, base, length), 0);
	expect_came(length, managed, described);
}

/* The first of it lies in a pageblock that has its page map. */
TEST(online_more, next_to_memory_in_the_middle_of_a_pageblock)
{
	if (!begin(65 * MIB)) /* above 4 GiB 32.5 */
		return;
	come(4 * GIB + 32 * MIB + 512 * KIB, 200 * MIB + PAGE_SIZE);
	come(4 * GIB + 232 * MIB + 512 * KIB + PAGE_SIZE, PAGE_SIZE); /* all of it described */
	come(4 * GIB + 232 * MIB + 512 * KIB + 2 * PAGE_SIZE, 40 * MIB);
	end();
}

TEST(online_more, far_away_and_large)
{
	if (!begin(64 * MIB))
		return;
	come(TIB + 3 * MIB, 3 * GIB);
	come(2 * TIB, 2 * MIB);
	end();
}

/* A pageblock at either end may have its page map already; one beside the range has not. A
 * pageblock takes two pages. */
TEST(online_more, only_pageblocks_without_a_page_map_get_one)
{
	static const struct mem_range memory[] = {{0, 640 * KIB, MEM_USABLE},
	                                          {16 * MIB, 48 * MIB, MEM_USABLE},
	                                          {5 * GIB + MIB, 31 * MIB, MEM_USABLE}};

	if (!begin(64 * MIB))
		return;
	map = (struct memmap *)host_machine_boot(memory, ARRAY_SIZE(memory));
	come_between(5 * GIB - 3 * MIB, 4 * MIB); /* up to the middle of one that has it */
	EXPECT_EQ(nr_described, 4);
	come(6 * GIB, 3 * MIB);
	EXPECT_EQ(nr_described, 4);
	come(6 * GIB + 4 * MIB, MIB); /* none of its ends: 1 MiB is missing */
	EXPECT_EQ(nr_described, 2);
	come(6 * GIB + 6 * MIB, 2 * MIB);
	EXPECT_EQ(nr_described, 2);
	end();
}

/* Below what is there, and directly: the first range of the map counts like any other. */
TEST(online_more, below_the_memory_that_is_there)
{
	static const struct mem_range memory[] = {{0, 640 * KIB, MEM_USABLE},
	                                          {4 * MIB, 60 * MIB, MEM_USABLE}};

	if (!begin(64 * MIB))
		return;
	map = (struct memmap *)host_machine_boot(memory, ARRAY_SIZE(memory));
	come_between(MIB, 3 * MIB);
	EXPECT_EQ(nr_described, 2); /* of the second 2 MiB alone */
	end();
}

/* The last page of the largest machine, and as little as describes itself. */
TEST(online_more, at_the_ends_of_what_is_possible)
{
	if (!begin(64 * MIB))
		return;
	come(24 * GIB, 3 * PAGE_SIZE); /* two for the page map, one for pageblock bytes */
	EXPECT_EQ(nr_described, 3);
	come(32 * GIB, 5 * PAGE_SIZE);
	come(PLATFORM_MAX_PA - 16 * MIB, 16 * MIB);
	EXPECT_PANIC("assertion", (void)mm_online(map, 40 * GIB, 0));
	EXPECT_PANIC("assertion", (void)mm_online(map, PLATFORM_MAX_PA, PAGE_SIZE));
	end();
}

/* Its page map takes four pages, and the bytes of pageblocks on both sides of 16 GiB two. */
TEST(online_more, what_cannot_describe_itself_is_unmapped_again)
{
	const u64 base = 16 * GIB - 2 * PAGE_SIZE, length = 5 * PAGE_SIZE;
	u64 managed, mapped;

	if (!begin(64 * MIB))
		return;
	append(base, length);
	managed = managed_bytes();
	mapped = host_mapped_bytes;
	EXPECT_EQ(mm_online(map, base, length), -ENOMEM);
	EXPECT_EQ(host_mapped_bytes, mapped);
	EXPECT_EQ(managed_bytes(), managed);
	EXPECT_EQ(memmap_bytes(map, MEM_UNREACHABLE), length);
	end();
}

/* An eighth of the page map, no page more, may be left out for an aligned place. */
TEST(online_more, a_gap_before_the_page_map_is_worth_an_eighth)
{
	const u64 align = 256 * KIB, pages = 200, unit = PAGE_SIZE * pages; /* 100 pageblocks */

	if (!begin(64 * MIB))
		return;
	host_page_map_align = align;
	come(8 * GIB + align - unit / 8, 200 * MIB - align);
	EXPECT_EQ(nr_described, pages + pages / 8 + 1);
	come(16 * GIB + align - unit / 8 - PAGE_SIZE, 200 * MIB - align);
	EXPECT_EQ(nr_described, pages + 1);
	host_page_map_align = PAGE_SIZE;
	end();
}

/* The page allocator's fast ways have it too. */
TEST(online_more, a_zone_that_had_no_memory)
{
	static const struct mem_range low_alone[] = {{0, 640 * KIB, MEM_USABLE},
	                                             {MIB, 63 * MIB, MEM_USABLE}};
	struct page *page;

	if (!begin(64 * MIB))
		return;
	map = (struct memmap *)host_machine_boot(low_alone, ARRAY_SIZE(low_alone));
	EXPECT_EQ(mm_this(pages)->nr_zones, 2);
	come(4 * GIB, 64 * MIB);
	EXPECT_EQ(mm_this(pages)->nr_zones, 3);
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_zone(page)->kind, ZONE_NORMAL);
	EXPECT_GE(page_zone(page)->mark[MARK_MIN], 1);
	free_page(page);
	EXPECT_EQ(page->type, PAGE_CACHED);
	drain_cpu_pages();
	end();
}

TEST(online_more, what_cannot_come_changes_nothing)
{
	u64 managed;
	u32 capacity;

	if (!begin(64 * MIB))
		return;
	managed = managed_bytes();
	append(8 * GIB, MIB);
	EXPECT_EQ(mm_online(map, 8 * GIB, 2 * PAGE_SIZE), -EINVAL); /* two describe it */
	capacity = map->capacity;
	map->capacity = map->nr + 3;
	EXPECT_EQ(mm_online(map, 8 * GIB, MIB), -ENOSPC);
	map->capacity = map->nr + 4;
	EXPECT_EQ(mm_online(map, 8 * GIB, 2 * PAGE_SIZE), -EINVAL); /* room enough */
	map->capacity = capacity;
	EXPECT_EQ(managed_bytes(), managed);
	EXPECT_EQ(memmap_bytes(map, MEM_UNREACHABLE), MIB);
	EXPECT_PANIC("assertion", (void)mm_online(map, 8 * GIB + 1, MIB));
	EXPECT_EQ(mm_online(map, 8 * GIB, MIB), 0);
	end();
}

#endif
