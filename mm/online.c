/*
 * Memory that comes after the boot.
 *
 * Such a range describes itself: it is mapped first, then its lowest pages become the page map of
 * the rest (1/256 of it), so that a small machine can take any amount. A pageblock at either end of
 * it may have its page map already, because the boot backs whole pageblocks.
 *
 * Until the last step, which cannot fail, nobody has seen anything of it; so a failure undoes what
 * was mapped. What leaves again (pages_offline()) keeps its page map and its place in the direct
 * map.
 *
 * Cost: a page table for each GiB, and for each 512 MiB one of page map; the buddy's for a range.
 */
#include "internal.h"

#include <lib/assert.h>
#include <mm/mm.h>

/* The range's pages, from the lowest up. */
struct source {
	u64 next, end;
};

/* A large leaf of page map is worth a gap before it, but not many. */
static u64 take_lowest(void *context, u64 length, u64 align)
{
	struct source *s = context;
	u64 at = align_up(s->next, align);

	if (at - s->next > length / 8 || at >= s->end || s->end - at < length)
		return 0;
	s->next = at + length;
	return at;
}

/* Whether the pageblock at this address has its page map. */
static bool is_backed(const struct memmap *map, u64 start)
{
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		if (mm_has_page_map(r->type) && r->base < start + BACKING_UNIT &&
		    start < r->base + r->length)
			return true;
	}
	return false;
}

/* The page map for [first, last), whole pageblocks, of the range: what it takes at most. */
static u64 page_map_bytes(u64 first, u64 last)
{
	u64 bytes = first < last ? ((last - first) >> PAGE_SHIFT) * sizeof(struct page) : 0;

	return bytes + bytes / 8;
}

int mm_online(struct memmap *map, u64 base, u64 length)
{
	u64 end = base + length, first = align_down(base, BACKING_UNIT);
	u64 last = align_up(end, BACKING_UNIT);
	struct source source = {base, end};
	int error;

	assert(is_aligned(base | length, PAGE_SIZE) && base < end && end <= PLATFORM_MAX_PA);
	first += is_backed(map, first) ? BACKING_UNIT : 0;
	if (first < last && is_backed(map, last - BACKING_UNIT))
		last -= BACKING_UNIT;
	if (map->capacity - map->nr < 4)
		return -ENOSPC;
	if (page_map_bytes(first, last) >= length)
		return -EINVAL;
	error = platform_map_ram(base, length);
	if (error != 0)
		return error;
	if (first < last)
		error = platform_back_page_map(first >> PAGE_SHIFT, last >> PAGE_SHIFT, take_lowest,
		                               &source);
	if (error != 0) {
		platform_unmap_ram(base, length);
		return error;
	}
	(void)memmap_release(map, base, length, MEM_UNREACHABLE); /* there is room */
	if (source.next != base)
		(void)memmap_reserve(map, base, source.next - base, MEM_PAGE_MAP);
	mm_add_memory(source.next, end);
	zone_set_marks();
	cpu_pages_choose_zones_again();
	return 0;
}
