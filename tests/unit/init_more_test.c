/*
 * Machines on which the memory manager cannot come up: it says why and stops. And the dump of the
 * memory map that the boot prints. On the host, where machines can be made.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"

/* What is made again afterwards: the machine that runs the tests. */
static u64 bytes_of_this_machine(void)
{
	const struct zone *last = NULL;
	u64 high;

	for_each_zone(z)
		last = z;
	high = last->kind == ZONE_NORMAL ? (u64)last->buddy.high * PAGE_SIZE - 4 * GIB : 0;
	return high < 3 * GIB ? 2 * high : high + 3 * GIB;
}

TEST(init_more, machines_that_are_too_small)
{
	static const struct mem_range no_room_for_the_page_map[] = {
	    {0, 0x8000, MEM_USABLE}, {2 * MIB, MIB, MEM_USABLE}, /* all of it the kernel's */
	};
	static const struct mem_range nothing_is_left[] = {
	    {0, 0x1000, MEM_USABLE},
	    {2 * MIB, MIB, MEM_USABLE},
	};
	u64 bytes = bytes_of_this_machine();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	EXPECT_PANIC("mm: no room for the page map of [",
	             host_machine_boot(no_room_for_the_page_map, 2));
	EXPECT_PANIC("mm: no", host_machine_boot(nothing_is_left, 2));
	EXPECT_PANIC("bootmem: no room", host_machine_boot(NULL, 0));
	host_machine_boot_pc(bytes);
	EXPECT_SOUND(mm_check());
}

/* What the boot held becomes free memory: here the image's MiB, in two steps. */
TEST(init_more, memory_is_given_back)
{
	u64 bytes = bytes_of_this_machine();
	struct memmap *map;
	struct mm_usage before, after;

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	map = (struct memmap *)host_machine_boot_pc(64 * MIB);
	ASSERT_EQ(memmap_bytes(map, MEM_KERNEL), MIB);
	mm_usage(&before);
	EXPECT_EQ(mm_give_back(map, 2 * MIB + 64 * KIB, 8 * KIB, MEM_KERNEL), 8 * KIB);
	EXPECT_EQ(mm_give_back(map, 2 * MIB + 64 * KIB, 8 * KIB, MEM_KERNEL), 0);
	EXPECT_EQ(mm_give_back(map, 0, map->limit, MEM_MODULE), 0);
	mm_usage(&after);
	EXPECT_EQ(after.managed_pages, before.managed_pages + 2);
	EXPECT_EQ(after.free_pages, before.free_pages + 2);
	EXPECT_EQ(mm_give_back(map, 0, map->limit, MEM_KERNEL), MIB - 8 * KIB);
	mm_usage(&after);
	EXPECT_EQ(after.free_pages, before.free_pages + MIB / PAGE_SIZE);
	EXPECT_EQ(memmap_bytes(map, MEM_KERNEL), 0);
	EXPECT_SOUND(memmap_check(map));
	EXPECT_SOUND(mm_check());
	EXPECT_PANIC("assertion failed", mm_give_back(map, 0, map->limit, MEM_USABLE));
	EXPECT_PANIC("assertion failed", mm_give_back(map, 0, map->limit, MEM_RESERVED));
	EXPECT_PANIC("assertion failed", mm_give_back(map, 1, PAGE_SIZE, MEM_KERNEL));
	EXPECT_PANIC("assertion failed", mm_give_back(map, PAGE_SIZE, -PAGE_SIZE, MEM_KERNEL));
	host_machine_boot_pc(bytes);
}

/* 4 GiB have a block of the highest order. */
TEST(init_more, a_block_of_the_highest_order)
{
	u64 bytes = bytes_of_this_machine();
	struct page *block;

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot_pc(4 * GIB);
	block = alloc_pages(GFP_KERNEL, MAX_ORDER);
	EXPECT_NOT_NULL(block);
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER + 1));
	if (block)
		free_pages(block, MAX_ORDER);
	EXPECT_SOUND(mm_check());
	host_machine_boot_pc(bytes);
}

/* What one CPU holds is counted, and given back when all are asked; nobody takes another's. */
static void several_cpus(void)
{
	struct kmem_cache *c = kmem_cache_create("cpus", 64, 0, 0, NULL);
	struct kmem_cache_stats s;
	void *object[4], *again;

	ASSERT_NOT_NULL(c);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		host_cpu_enter(cpu);
		object[cpu] = kmem_cache_alloc(c, GFP_KERNEL);
		free_pages(alloc_page(GFP_KERNEL), 0);
	}
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_live, 4);
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		host_cpu_enter(cpu);
		kmem_cache_free(c, object[cpu]);
	}
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		host_cpu_enter(cpu);
		EXPECT_GT(cpu_objects_count(cpu_objects_of(c, cpu * NR_CONTEXT_KINDS)), 0);
		again = kmem_cache_alloc(c, GFP_KERNEL);
		EXPECT_TRUE(again == object[cpu]);
		kmem_cache_free(c, again);
	}
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_live, 0);
	EXPECT_EQ(s.nr_cached, magazine_objects(c));
	EXPECT_SOUND(mm_check());
	host_cpu_enter(3);
	EXPECT_EQ(kmem_cache_destroy(c), 0); /* with every CPU's magazine */
	for (unsigned cpu = 0; cpu < 4; cpu++) {
		host_cpu_enter(cpu);
		drain_cpu_pages();
	}
	EXPECT_EQ(cpu_pages_count(), 0);
	host_cpu_enter(0);
}

TEST(init_more, four_cpus)
{
	u64 bytes = bytes_of_this_machine();
	unsigned nr_cpus = mm_nr_cpus;

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	mm_nr_cpus = 4;
	host_machine_boot_pc(bytes);
	several_cpus();
	mm_nr_cpus = nr_cpus;
	host_machine_boot_pc(bytes);
}

TEST(init_more, the_memory_map_is_printed)
{
	struct mem_range storage[8];
	struct memmap m;

	memmap_init(&m, storage, ARRAY_SIZE(storage), 52);
	for (u32 i = 0; i < ARRAY_SIZE(storage); i++) /* full: what lies behind is not ours */
		memmap_add(&m, i * GIB, MIB, MEM_USABLE);
	EXPECT_EQ(m.nr, ARRAY_SIZE(storage));
	memmap_dump(&m);
}
#endif
