/*
 * The boot of the memory manager at its edges: what gets a page map and what does not, a memory map
 * without an entry to spare, not one page left, and the reports of a small machine and of one with
 * the largest blocks. On the host, where machines can be made.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/debug.h>
#include <mm/mm.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"

static u64 pc_bytes;

/* The machine that runs the tests can be made again. */
static bool begin(void)
{
	pc_bytes = host_machine_pc_bytes();
	if (pc_bytes == 0)
		test_skip("this machine could not be made again");
	return pc_bytes != 0;
}

static void end_edges(void)
{
	host_machine_boot_pc(pc_bytes);
	EXPECT_SOUND(mm_check());
}

/* --- The page map --- */

TEST(init_edges, what_is_never_memory_has_no_page_map)
{
	static const u32 types[] = {MEM_RESERVED, MEM_NVS, MEM_BAD};

	for (unsigned i = 0; i < ARRAY_SIZE(types) && begin(); i++) {
		const struct mem_range firmware[] = {
		    {0, 640 * KIB, MEM_USABLE},
		    {MIB, 63 * MIB, MEM_USABLE},
		    {TIB, 64 * GIB, types[i]},
		};
		const struct memmap *map = host_machine_boot(firmware, ARRAY_SIZE(firmware));

		EXPECT_LT(memmap_bytes(map, MEM_PAGE_MAP), MIB);
		end_edges();
	}
}

/* Its page map is in a unit that nothing else needs. */
TEST(init_edges, the_first_range_has_a_page_map)
{
	static const struct mem_range firmware[] = {
	    {MIB, 512 * KIB, MEM_USABLE},
	    {16 * MIB, 48 * MIB, MEM_USABLE},
	};
	const struct memmap *map;

	if (!begin())
		return;
	map = host_machine_boot(firmware, ARRAY_SIZE(firmware));
	EXPECT_NOT_NULL(page_block_of(MIB >> PAGE_SHIFT));
	EXPECT_EQ(memmap_bytes(map, MEM_USABLE), 48 * MIB + 512 * KIB -
	                                             memmap_bytes(map, MEM_BOOTMEM) -
	                                             memmap_bytes(map, MEM_PAGE_MAP));
	EXPECT_SOUND(mm_check());
	end_edges();
}

/* Each node's part of the page map lies in its own memory; a page is the node's of its first byte.
 */
TEST(init_edges, nodes_meet_inside_a_page)
{
	static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};
	static const struct mm_topology two = {
	    .nr_nodes = 2, .nr_ranges = 1, .range = {{63 * MIB + 100, GIB, 1}}};
	const struct memmap *map;
	struct mm_usage usage;
	u32 border = 63 * MIB >> PAGE_SHIFT;

	if (!begin())
		return;
	mm_set_topology(&two);
	map = host_machine_boot(memory, 1);
	EXPECT_EQ(memmap_find(map, 64 * MIB - 1)->type, MEM_PAGE_MAP); /* of whole units */
	EXPECT_EQ(memmap_find(map, 128 * MIB - 1)->type, MEM_PAGE_MAP);
	mm_usage(&usage);
	EXPECT_EQ(usage.managed_pages << PAGE_SHIFT, memmap_bytes(map, MEM_USABLE));
	EXPECT_EQ(zone_table[ZONE_ID(0, ZONE_DMA32)].buddy.high, border + 1);
	EXPECT_EQ(zone_table[ZONE_ID(1, ZONE_DMA32)].buddy.low, border + 1);
	EXPECT_SOUND(mm_check());
	mm_set_topology(&(const struct mm_topology){.nr_nodes = 1});
	end_edges();
}

/* Numbers that no machine has: nothing is looked up with them. */
TEST(init_edges, frames_far_beyond_the_machine)
{
	EXPECT_NULL(page_lookup(PLATFORM_MAX_PA >> PAGE_SHIFT));
	EXPECT_NULL(page_block_of(PLATFORM_MAX_PA >> PAGE_SHIFT));
	for (unsigned bit = 52; bit < 64; bit++) {
		EXPECT_NULL(page_lookup(1ull << bit));
		EXPECT_NULL(page_block_of(1ull << bit));
	}
}

/* --- A boot by hand, as tests/host/boot.c --- */

static struct mem_range storage[24];
static struct memmap map;
static struct bootmem boot;

static u64 never(struct shrinker *self, u64 nr)
{
	(void)self;
	(void)nr;
	return 0;
}

static void prepare(void)
{
	host_machine_destroy();
	memmap_init(&map, storage, ARRAY_SIZE(storage), 40);
	memmap_add(&map, MIB, 31 * MIB, MEM_USABLE);
	memmap_normalize(&map);
	host_machine_create(map.range, map.nr);
	bootmem_init(&boot, &map, MIB, PLATFORM_MAX_PA);
}

/* What stands behind the last range is no range; and boot memory is closed. */
TEST(init_edges, the_memory_map_ends_where_it_says)
{
	struct mm_usage usage;

	if (!begin())
		return;
	prepare();
	for (u32 i = map.nr; i < ARRAY_SIZE(storage); i++)
		storage[i] = (struct mem_range){GIB, PAGE_SIZE, MEM_USABLE};
	mm_init(&map, &boot);
	mm_usage(&usage);
	EXPECT_EQ(usage.managed_pages << PAGE_SHIFT, memmap_bytes(&map, MEM_USABLE));
	EXPECT_SOUND(mm_check());
	EXPECT_PANIC("bootmem: allocation after bootmem_finish()",
	             bootmem_try_alloc(&boot, PAGE_SIZE, PAGE_SIZE, MEM_BOOTMEM));
	end_edges();
}

/* The manager's own needs, to the page, and nothing for anybody else. */
TEST(init_edges, not_a_page_is_left)
{
	u64 needed;

	if (!begin())
		return;
	prepare();
	mm_init(&map, &boot);
	needed = 31 * MIB - memmap_bytes(&map, MEM_USABLE);
	prepare();
	EXPECT_EQ(memmap_reserve(&map, MIB, 31 * MIB - needed, MEM_KERNEL), 0);
	EXPECT_PANIC("mm: no usable memory", mm_init(&map, &boot));
	prepare();
	EXPECT_EQ(memmap_reserve(&map, MIB, 31 * MIB - needed + PAGE_SIZE, MEM_KERNEL), 0);
	EXPECT_PANIC("no room", mm_init(&map, &boot));
	end_edges();
}

/* Boot memory may lie where it might before; a new machine has nobody to ask. */
TEST(init_edges, a_boot_leaves_no_trace)
{
	static struct shrinker stale = {.name = "stale", .scan = never};
	struct page_retire_stats retired;
	struct page *page;

	if (!begin())
		return;
	register_shrinker(&stale);
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_retire(page_to_pfn(page)), -EBUSY); /* noted */
	prepare();
	mm_init(&map, &boot);
	page_retire_stats(&retired);
	EXPECT_EQ(retired.nr_noted, 0);
	EXPECT_EQ(retire_nr_noted, 0);
	EXPECT_EQ(boot.min, MIB);
	EXPECT_EQ(boot.max, PLATFORM_MAX_PA);
	(void)reclaim_pages(1);
	EXPECT_EQ(stale.nr_asked, 0);
	end_edges();
}

TEST(init_edges, a_boot_obeys_slab_debug)
{
	struct mm_debug_choice run = mm_debug_choice();
	struct page *page;

	if (!begin())
		return;
	mm_debug_configure("P,pages", false, false);
	prepare();
	mm_init(&map, &boot);
	mm_debug_choose(&run);
	EXPECT_TRUE(page_debug_on);
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	free_page(page);
	EXPECT_EQ(page->type, PAGE_FREE); /* no page waits in a CPU's stack */
	end_edges();
}

/* The very first range; nothing, in none; and where the map has no room for the pieces. */
TEST(init_edges, memory_is_given_back_to_the_page)
{
	if (!begin())
		return;
	prepare();
	EXPECT_EQ(memmap_reserve(&map, MIB, 64 * KIB, MEM_KERNEL), 0);
	mm_init(&map, &boot);
	EXPECT_EQ(mm_give_back(&map, MIB, 0, MEM_KERNEL), 0);
	map.capacity = map.nr;
	EXPECT_EQ(mm_give_back(&map, MIB + 8 * KIB, 8 * KIB, MEM_KERNEL), 0);
	EXPECT_EQ(memmap_bytes(&map, MEM_KERNEL), 64 * KIB);
	map.capacity = ARRAY_SIZE(storage);
	EXPECT_EQ(mm_give_back(&map, MIB, 64 * KIB, MEM_KERNEL), 64 * KIB);
	for (u32 i = map.nr; i < ARRAY_SIZE(storage); i++)
		storage[i] = (struct mem_range){MIB, 64 * KIB, MEM_KERNEL};
	EXPECT_EQ(mm_give_back(&map, MIB, 64 * KIB, MEM_KERNEL), 0);
	EXPECT_SOUND(mm_check());
	end_edges();
}

/* --- Large blocks --- */

TEST(init_edges, any_page_of_the_largest_block_finds_its_head)
{
	struct page *block;

	if (!begin())
		return;
	host_machine_boot_pc(4 * GIB);
	block = alloc_pages(GFP_KERNEL, MAX_ORDER);
	EXPECT_NOT_NULL(block);
	for (u64 i = 1; block && i < 1ull << MAX_ORDER; i *= 2) {
		EXPECT_TRUE(page_block_of(page_to_pfn(block) + i) == block);
		EXPECT_TRUE(page_block_of(page_to_pfn(block) + 2 * i - 1) == block);
	}
	if (block)
		free_pages(block, MAX_ORDER);
	end_edges();
}
#endif
