/*
 * What mm_init() leaves behind: the running machine's in the kernel and on the host; and on the
 * host, where a machine can be made anew, machines of odd shapes.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

TEST(init, everything_is_sound_and_accounted_for)
{
	struct mm_usage usage;

	mm_usage(&usage);
	EXPECT_SOUND(mm_check());
	EXPECT_GT(usage.managed_pages, 0);
	EXPECT_EQ(usage.free_pages + usage.cached_pages + usage.used_pages, usage.managed_pages);
	EXPECT_GE(usage.used_pages, usage.slab_pages + usage.large_pages);
}

TEST(init, the_first_page_is_never_managed)
{
	EXPECT_NULL(page_block_of(0));
	EXPECT_GT(zone_next(NULL)->buddy.low, 0);
}

#if __STDC_HOSTED__
#include <tests/host/machine.h>

/* The machine that runs the tests, to be made again afterwards. */
static u64 bytes_of_this_machine(void)
{
	const struct zone *last = NULL;

	for_each_zone(z)
		last = z;
	/* host_machine_boot_pc(): half of it, 3 GiB at most, lies low. */
	if (last->kind != ZONE_NORMAL)
		return 0;
	return (u64)last->buddy.high * PAGE_SIZE - 4 * GIB < 3 * GIB
	           ? 2 * ((u64)last->buddy.high * PAGE_SIZE - 4 * GIB)
	           : (u64)last->buddy.high * PAGE_SIZE - GIB;
}

static u64 usable_bytes(const struct memmap *map)
{
	return memmap_bytes(map, MEM_USABLE);
}

/* All usable memory can be had, once, and only that. */
static void expect_all_usable(const struct mem_range *firmware, u32 nr)
{
	static struct hoard hoard;
	const struct memmap *map = host_machine_boot(firmware, nr);
	struct mm_usage usage;
	u64 used;

	EXPECT_SOUND(memmap_check(map));
	EXPECT_SOUND(mm_check());
	mm_usage(&usage);
	used = usage.used_pages;
	EXPECT_EQ(usage.managed_pages << PAGE_SHIFT, usable_bytes(map));
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		bool is_usable = r->type == MEM_USABLE;
		u64 last = (r->base + r->length - 1) >> PAGE_SHIFT;

		EXPECT_EQ(page_block_of(r->base >> PAGE_SHIFT) != NULL, is_usable);
		EXPECT_EQ(page_block_of(last) != NULL, is_usable);
	}
	hoard_take_all(&hoard, GFP_NOWAIT);
	mm_usage(&usage);
	EXPECT_EQ(usage.free_pages, 0);
	EXPECT_EQ(hoard.nr_pages, usage.managed_pages - used);
	EXPECT_SOUND(mm_check());
	hoard_drop_all(&hoard);
	drain_cpu_pages();
	EXPECT_SOUND(mm_check());
}

static const struct mem_range over_both_limits[] = {
    {0, 640 * KIB, MEM_USABLE},
    {MIB, 6 * GIB, MEM_USABLE}, /* no PCI hole: one range over 16 MiB and 4 GiB */
};
static const struct mem_range odd_edges[] = {
    {0x1000, 0x7e000, MEM_USABLE},
    {MIB, 40 * MIB + 0x3000, MEM_USABLE},
    {41 * MIB + 0x7000, 3 * MIB + 0x1234, MEM_USABLE},
    {45 * MIB + 0x5000, 0x1000, MEM_USABLE},
    {45 * MIB + 0x7000, 0x3000, MEM_USABLE},
    {50 * MIB, 2 * MIB, MEM_USABLE},
    {54 * MIB, 2 * MIB, MEM_USABLE},
    {4 * GIB - 0x5000, 0xa000, MEM_USABLE},
    {64 * GIB + 0x1000, 0x2000, MEM_USABLE},
    {TIB, 5 * MIB, MEM_USABLE},
};
static const struct mem_range reserved_islands[] = {
    {0, 512 * MIB, MEM_USABLE},
    {0xa0000, 0x60000, MEM_RESERVED},
    {15 * MIB, MIB, MEM_RESERVED},
    {100 * MIB + 0x800, 0x10, MEM_BAD},
    {200 * MIB, 64 * KIB, MEM_ACPI},
    {201 * MIB, 64 * KIB, MEM_NVS},
    {300 * MIB + 0x1000, 0x1000, MEM_RESERVED},
    {300 * MIB + 0x3000, 0x1000, MEM_RESERVED},
};
static const struct mem_range smallest[] = {
    {0, 640 * KIB, MEM_USABLE},
    {MIB, 15 * MIB, MEM_USABLE},
};

TEST(init, machines_of_odd_shapes)
{
	u64 bytes = bytes_of_this_machine();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	expect_all_usable(over_both_limits, ARRAY_SIZE(over_both_limits));
	expect_all_usable(odd_edges, ARRAY_SIZE(odd_edges));
	expect_all_usable(reserved_islands, ARRAY_SIZE(reserved_islands));
	expect_all_usable(smallest, ARRAY_SIZE(smallest));
	host_machine_boot_pc(bytes);
}

TEST(init, zones_end_at_16_mib_and_4_gib)
{
	u64 bytes = bytes_of_this_machine();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot(over_both_limits, ARRAY_SIZE(over_both_limits));
	EXPECT_EQ(zone_table[ZONE_DMA].buddy.high, 16 * MIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_table[ZONE_DMA32].buddy.low, 16 * MIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_table[ZONE_DMA32].buddy.high, 4 * GIB >> PAGE_SHIFT);
	EXPECT_EQ(zone_table[ZONE_NORMAL].buddy.low, 4 * GIB >> PAGE_SHIFT);
	host_machine_boot_pc(bytes);
}
#endif
