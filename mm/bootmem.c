/*
 * Boot memory: the allocator of the first microseconds, when there is a memory map and nothing
 * else.
 *
 * The idea. The map itself is the allocator's state: an allocation is a usable range that changes
 * its type. So nothing has to be handed over when the page allocator starts (it takes what is still
 * usable), and the boot log accounts for every byte by summing the map. Allocation goes from the
 * top down, because low memory is scarce (DMA, trampolines) and because neighbours of one type then
 * join: any number of allocations is one range of the map.
 *
 *   BM1 what was returned is of the caller's type in the map, whole pages, inside [min, max)
 *   BM2 physical address 0 is never returned, so 0 can mean "none"
 *   BM3 after bootmem_finish() the map belongs to the page allocator, and every call here panics
 *
 * Cost: O(ranges of the map) an allocation; there are some dozens of either. Nothing is freed: what
 * need not live on is given back later with memmap_release(). One CPU, no lock.
 */
#include <lib/assert.h>
#include <lib/bits.h>
#include <mm/bootmem.h>

#define PAGE_BYTES 4096ull

/* lab 2.1 */
u64 bootmem_try_alloc(struct bootmem *b, u64 length, u64 align, u32 type)
{
	u64 pages_length =
	    align_up(length, PAGE_BYTES); /* 0, like no bytes at all, when it wraps */
	u64 pa;

	if (b->finished)
		panic("bootmem: allocation after bootmem_finish()");
	assert(is_pow2(align) && align >= PAGE_BYTES);
	pa = memmap_find_free(b->map, pages_length, align, b->min, b->max);
	if (pa == 0 || memmap_reserve(b->map, pa, pages_length, type) != 0)
		return 0;
	return pa;
}

/* lab 2.2 */
u64 bootmem_alloc(struct bootmem *b, u64 length, u64 align, u32 type)
{
	u64 pa = bootmem_try_alloc(b, length, align, type);

	if (pa == 0)
		panic("bootmem: no room for %lu bytes (%s), aligned to 0x%lx, in [0x%lx, 0x%lx)",
		      length, memmap_type_name(type), align, b->min, b->max);
	return pa;
}

/* lab 2.2 */
void bootmem_finish(struct bootmem *b)
{
	if (b->finished)
		panic("bootmem: finished twice");
	b->finished = true;
}

void bootmem_init(struct bootmem *b, struct memmap *map, u64 min, u64 max)
{
	assert(min <= max);
	*b = (struct bootmem){.map = map, .min = min, .max = max};
}
