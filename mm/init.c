/*
 * The memory manager's start, in the direction in which memory flows: one line an arrow.
 *
 *     memory map → boot memory → page map → zones → per-CPU pages → slab → kmalloc, vmem → vmalloc
 */
#include "event_record.h"
#include "internal.h"

#include <lib/assert.h>
#include <mm/mm.h>
#include <mm/node.h>
#include <mm/reclaim.h>

unsigned mm_nr_cpus = 1;

struct backing {
	struct bootmem *boot;
	u64 end; /* of the node's memory around what is backed: its metadata should lie there too */
};

/* Boot memory comes from the top. So below that end it is the node's own while there is some, or
 * else what is nearest below; and where there is none, any. */
static u64 take_backing(void *context, u64 length, u64 align)
{
	const struct backing *near = context;
	struct bootmem *boot = near->boot;
	u64 max = boot->max, pa;

	boot->max = max_u64(boot->min, min_u64(max, near->end));
	pa = bootmem_try_alloc(boot, length, align, MEM_PAGE_MAP);
	boot->max = max;
	return pa != 0 ? pa : bootmem_try_alloc(boot, length, align, MEM_PAGE_MAP);
}

bool mm_has_page_map(u32 type)
{
	switch (type) {
	case MEM_RESERVED:
	case MEM_NVS:
	case MEM_BAD:
	case MEM_UNREACHABLE:
		return false;
	default:
		return true; /* usable now or later */
	}
}

/* The first address at or above `from` with a page map, and the end of the run of units from there.
 * False: none. */
static bool next_run(const struct memmap *map, u64 from, u64 *start, u64 *end)
{
	bool found = false;

	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		u64 low = max_u64(align_down(r->base, BACKING_UNIT), from);
		u64 high = align_up(r->base + r->length, BACKING_UNIT);

		if (!mm_has_page_map(r->type) || high <= from)
			continue;
		if (found && low > *end)
			break;
		if (!found)
			*start = low;
		*end = high;
		found = true;
	}
	return found;
}

/* The part of a run from `start` on that is one node's, grown to a whole unit. */
static u64 node_end(u64 start, u64 end)
{
	u64 stop;

	(void)mm_node_of(start, &stop);
	return stop < end ? min_u64(align_up(stop, BACKING_UNIT), end) : end;
}

static void back(u64 start, u64 end, struct bootmem *boot)
{
	struct backing near = {boot, end};

	if (platform_back_page_map(start >> PAGE_SHIFT, end >> PAGE_SHIFT, take_backing, &near) !=
	    0)
		panic("mm: no room for the page map of [%#lx, %#lx)", start, end);
}

/* Gives every frame of RAM its struct page. Each run is looked up anew, because backing it changes
 * the map. */
static void init_page_map(const struct memmap *map, struct bootmem *boot)
{
	u64 start = 0, end = 0;

	for (u64 from = 0; next_run(map, from, &start, &end); from = end) {
		assert(from < end);
		for (u64 stop; start < end; start = stop) {
			stop = node_end(start, end);
			assert(start < stop);
			back(start, stop, boot);
		}
	}
}

void mm_add_memory(u64 start, u64 end)
{
	for (u64 stop; start < end; start = stop) {
		unsigned node = mm_node_of(start, &stop);

		stop = align_up(min_u64(stop, end), PAGE_SIZE); /* a page is its first byte's */
		assert(start < stop);
		zone_add_range(node, start >> PAGE_SHIFT, stop >> PAGE_SHIFT);
	}
}

/* The next range of that type in [base, end), cut to it, in whole pages. */
static bool next_of_type(const struct memmap *map, u64 base, u64 end, u32 type, u64 *start,
                         u64 *stop)
{
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		*start = max_u64(r->base, base);
		*stop = min_u64(r->base + r->length, end);
		if (r->type == type && *start < *stop)
			return true;
	}
	return false;
}

u64 mm_give_back(struct memmap *map, u64 base, u64 length, u32 type)
{
	u64 bytes = 0, end = base + length, start, stop;

	assert(type != MEM_USABLE && type != MEM_UNREACHABLE && mm_has_page_map(type));
	assert(is_aligned(base, PAGE_SIZE) && is_aligned(length, PAGE_SIZE) && end >= base);
	while (next_of_type(map, base, end, type, &start, &stop)) {
		assert(start < stop);
		if (memmap_release(map, start, stop - start, type) != 0)
			break; /* no room in the map: the rest stays what it is */
		mm_add_memory(start, stop);
		bytes += stop - start;
	}
	return bytes;
}

static void init_zones(const struct memmap *map)
{
	zone_init_all();
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		if (r->type == MEM_USABLE)
			mm_add_memory(r->base, r->base + r->length);
	}
	if (zone_next(NULL) == NULL)
		panic("mm: no usable memory");
}

void mm_init(struct memmap *map, struct bootmem *boot)
{
	site_init();              /* numbers the call sites */
	reclaim_init();           /* nobody to ask yet */
	retire_init();            /* no page is to leave */
	event_init();             /* nothing is recorded */
	node_init();              /* which nodes to ask in which order */
	init_page_map(map, boot); /* struct page for every frame of RAM */
	mm_context_init(boot);    /* two for each CPU */
	cpu_pages_init(boot);     /* empty stacks */
	mm_context_enter(CONTEXT_THREADS);
	bootmem_finish(boot);     /* what is left … */
	init_zones(map);          /* … becomes free blocks */
	zone_set_marks();         /* what they keep in reserve */
	page_debug_init();        /* if what is free is to be filled and verified */
	cpu_pages_choose_zones(); /* a request for memory that is not there goes to the next */
	slab_init();              /* caches for the manager's own objects */
	kmalloc_init();           /* and for everyone's */
	vmem_init();              /* arenas of addresses and of numbers */
	vmalloc_init();           /* addresses joined to pages */
	bounds_init();            /* in CONFIG=debug copies are looked at */
}
