/*
 * Memory before there is a page allocator: bump allocation out of the memory map. What is taken is
 * marked in the map with its type, so the boot log can account for every byte. Nothing is freed;
 * after bootmem_finish() every further call panics. One CPU, no lock.
 */
#pragma once

#include <mm/memmap.h>

struct bootmem {
	struct memmap *map;
	u64 min, max; /* allocations lie in [min, max) */
	bool finished;
};

void bootmem_init(struct bootmem *b, struct memmap *map, u64 min, u64 max);

/*
 * `length` bytes (rounded up to pages), aligned to `align` (a power of two, at least a page), from
 * the top of the window down; contents are undefined. Returns the physical address, or 0 when there
 * is no room.
 */
u64 bootmem_try_alloc(struct bootmem *b, u64 length, u64 align, u32 type);

/* The same, but panics with one line ("bootmem: no room for …") instead of returning 0. */
u64 bootmem_alloc(struct bootmem *b, u64 length, u64 align, u32 type);

void bootmem_finish(struct bootmem *b);
