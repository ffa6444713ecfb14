/*
 * The memory manager, whole: includes every public header of mm/.
 */
#pragma once

#include <mm/bootmem.h>
#include <mm/bounds.h>
#include <mm/event.h>
#include <mm/gfp.h>
#include <mm/guard.h>
#include <mm/inject.h>
#include <mm/kmalloc.h>
#include <mm/leak.h>
#include <mm/lru_cache.h>
#include <mm/memmap.h>
#include <mm/mempool.h>
#include <mm/node.h>
#include <mm/page.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>
#include <mm/site.h>
#include <mm/slab.h>
#include <mm/stats.h>
#include <mm/vmalloc.h>
#include <mm/vmem.h>
#include <mm/zone.h>

/*
 * From the memory map to kmalloc: page map, zones, buddy, caches. Afterwards the boot allocator is
 * finished and all usable memory can be allocated. One CPU. May be called again on the host, after
 * the machine was made anew. Panics with one line when there is too little memory.
 */
void mm_init(struct memmap *map, struct bootmem *boot);

/*
 * The parts of [base, base + length) that the map says are of that type (modules, tables of the
 * loader or of ACPI, boot memory …) are no longer needed: they become free memory, in the map and
 * in the page allocator. Returns their bytes. Whole pages; a type whose frames have a page map. In
 * threads.
 */
u64 mm_give_back(struct memmap *map, u64 base, u64 length, u32 type);

/*
 * [base, base + length), MEM_UNREACHABLE in the map and below PLATFORM_MAX_PA, becomes free memory
 * after the boot: what mem= cut off, or RAM that appears. Its own first pages describe it. Whole
 * pages, one caller at a time, in threads. 0; -ENOMEM for page tables, -ENOSPC (no room in the
 * map), -EINVAL (too small to describe itself), -EEXIST (mapped already): nothing has changed.
 */
int mm_online(struct memmap *map, u64 base, u64 length);

/* Every layer's check, left to right. NULL, or the broken invariant. */
const char *mm_check(void);
