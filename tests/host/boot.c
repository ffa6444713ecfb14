/*
 * The host's boot: what kernel/main.c does with the firmware's map, on the machine of
 * tests/host/machine.c. See machine.h. The reservations have the kinds and about the sizes of the
 * real ones, so that the memory manager meets the same shapes.
 */
#include <mm/mm.h>
#include <tests/host/machine.h>

static struct mem_range storage[256];
static struct memmap map;
static struct bootmem boot;
static u64 pc_bytes; /* of host_machine_boot_pc(), while its machine is the one that runs */

static void must_reserve(u64 base, u64 length, u32 type)
{
	if (memmap_reserve(&map, base, length, type) != 0)
		panic("host: no room in the memory map for a reservation");
}

const struct memmap *host_machine_boot(const struct mem_range *firmware, u32 nr)
{
	pc_bytes = 0;
	host_machine_destroy();
	host_page_tables_reset();
	memmap_init(&map, storage, ARRAY_SIZE(storage), 52);
	for (u32 i = 0; i < nr; i++)
		memmap_add(&map, firmware[i].base, firmware[i].length, firmware[i].type);
	memmap_normalize(&map);
	host_machine_create(map.range, map.nr);

	must_reserve(0, PAGE_SIZE, MEM_PAGE_ZERO);
	must_reserve(0x8000, PAGE_SIZE, MEM_TRAMPOLINE);
	must_reserve(2 * MIB, MIB, MEM_KERNEL);
	must_reserve(PLATFORM_MAX_PA, UINT64_MAX - PLATFORM_MAX_PA, MEM_UNREACHABLE);
	bootmem_init(&boot, &map, MIB, PLATFORM_MAX_PA);
	mm_init(&map, &boot);
	return &map;
}

const struct memmap *host_machine_boot_pc(u64 bytes)
{
	u64 low = min_u64(align_up(bytes / 2, PAGE_SIZE), 3 * GIB);
	const struct mem_range firmware[] = {
	    {0, 0x9fc00, MEM_USABLE},
	    {0x9fc00, 0x400, MEM_RESERVED},
	    {0xf0000, 0x10000, MEM_RESERVED},
	    {MIB, low - MIB, MEM_USABLE},
	    {0xfffc0000, 0x40000, MEM_RESERVED},
	    {4 * GIB, bytes - low, MEM_USABLE},
	};
	const struct memmap *booted = host_machine_boot(firmware, ARRAY_SIZE(firmware));

	pc_bytes = bytes;
	return booted;
}

u64 host_machine_pc_bytes(void)
{
	return pc_bytes;
}
