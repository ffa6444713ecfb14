/*
 * Memory that comes and goes after the boot: the memory map says what each range is, and these two
 * move ranges between its types. What mm/online.c and mm/contig.c do, a range of one zone and node
 * at a time.
 *
 *   unreachable (beyond mem=) → usable → offline → usable
 *
 * The memory map is guarded by the mutex here; who prints it meanwhile may see it a moment old.
 */
#include <kernel/memory.h>
#include <kernel/sync.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <mm/mm.h>

static struct mutex lock = MUTEX_INIT(lock, "memory online");

static bool is_range(u64 base, u64 length)
{
	return is_aligned(base | length, PAGE_SIZE) && length != 0 && base + length > base;
}

/* Where the zone and node of base end, or this range before. */
static u64 zone_end(u64 base, u64 end)
{
	u64 stop;

	(void)mm_node_of(base, &stop);
	stop = align_up(min_u64(stop, end), PAGE_SIZE);
	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
		u64 border = zone_kind_end_pfn(kind) << PAGE_SHIFT;

		if (base < border && border < stop)
			stop = border;
	}
	return stop;
}

/* --- online --- */

/* The first part of [from, end) that could come, all of one type. */
static bool next_absent(const struct memmap *map, u64 from, u64 end, struct mem_range *out)
{
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		u64 start = max_u64(r->base, from), stop = min_u64(r->base + r->length, end);

		if ((r->type != MEM_UNREACHABLE && r->type != MEM_OFFLINE) || start >= stop)
			continue;
		*out = (struct mem_range){start, stop - start, r->type};
		return true;
	}
	return false;
}

/* A range that was offline, a zone's part after the other. There is room in the map. */
static int bring_back(struct memmap *map, u64 base, u64 end)
{
	if (map->capacity - map->nr < 2)
		return -ENOSPC;
	for (u64 stop; base < end; base = stop) {
		int error;

		stop = zone_end(base, end);
		error = pages_online(base >> PAGE_SHIFT, (stop - base) >> PAGE_SHIFT);
		if (error != 0)
			return error;
		(void)memmap_release(map, base, stop - base, MEM_OFFLINE);
	}
	zone_set_marks();
	return 0;
}

int memory_online(u64 base, u64 length, u64 *bytes)
{
	struct memmap *map = memory_map_to_change();
	u64 end = min_u64(base + length, PLATFORM_MAX_PA);
	struct mem_range r;
	int error = 0;

	*bytes = 0;
	if (!is_range(base, length))
		return -EINVAL;
	mutex_lock(&lock);
	while (error == 0 && next_absent(map, base, end, &r)) {
		error = r.type == MEM_OFFLINE ? bring_back(map, r.base, r.base + r.length)
		                              : mm_online(map, r.base, r.length);
		*bytes += error == 0 ? r.length : 0;
	}
	mutex_unlock(&lock);
	return error == 0 && *bytes == 0 ? -EINVAL : error;
}

/* --- offline --- */

static int take_away(u64 base, u64 end)
{
	u64 at = base, stop;
	int error = 0;

	for (; at < end && error == 0; at = error == 0 ? stop : at) {
		stop = zone_end(at, end);
		error = pages_offline(at >> PAGE_SHIFT, (stop - at) >> PAGE_SHIFT);
	}
	for (u64 back = base; error != 0 && back < at; back = stop) {
		stop = zone_end(back, at);
		(void)pages_online(back >> PAGE_SHIFT, (stop - back) >> PAGE_SHIFT);
	}
	return error;
}

int memory_offline(u64 base, u64 length)
{
	struct memmap *map = memory_map_to_change();
	int error = -ENOSPC;

	if (!is_range(base, length) || base + length > PLATFORM_MAX_PA)
		return -EINVAL;
	mutex_lock(&lock);
	if (map->capacity - map->nr >= 2)
		error = take_away(base, base + length);
	if (error == 0) {
		(void)memmap_reserve(map, base, length, MEM_OFFLINE);
		zone_set_marks();
	}
	mutex_unlock(&lock);
	return error;
}
