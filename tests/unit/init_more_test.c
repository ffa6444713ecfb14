/*
 * Machines on which the memory manager cannot come up: it says why and stops. And the dump of the
 * memory map that the boot prints. On the host, where machines can be made.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

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

TEST(init_more, the_memory_map_is_printed)
{
	struct mem_range storage[8];
	struct memmap m;

	memmap_init(&m, storage, ARRAY_SIZE(storage), 52);
	memmap_add(&m, 0, MIB, MEM_USABLE);
	memmap_add(&m, MIB, GIB, MEM_RESERVED);
	memmap_dump(&m);
}
#endif
