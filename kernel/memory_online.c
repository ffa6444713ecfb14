/*
 * Memory that comes and goes after the boot: the memory map says what each range is, and these two
 * move ranges between its types. What mm/online.c and mm/contig.c do, a range of one zone and node
 * at a time.
 *
 *   nothing (probed) → unreachable (beyond mem=) → usable → offline → usable
 *
 * The memory map is guarded by the mutex here; who prints it meanwhile may see it a moment old.
 */
#include <kernel/kasan.h>
#include <kernel/memory.h>
#include <kernel/smp.h>
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

/* --- probe --- */

#define PROBE_UNIT (2 * MIB)
#define PROBE_PLACES 64u
#define MAP_ROOM 5u /* a range, and what mm_online() makes of it */

/* Uncached, so that it is not the cache that remembers. Its content stays. */
static bool page_answers(u64 pa)
{
	volatile u64 *word = ioremap(pa, PAGE_SIZE);
	u64 old, pattern = pa ^ 0x5a5aa5a55aa5a55a;
	bool answers;

	if (word == NULL)
		return false;
	old = *word;
	*word = pattern;
	answers = *word == pattern;
	*word = ~pattern;
	answers &= *word == ~pattern;
	*word = old;
	iounmap((void *)word);
	return answers;
}

static bool answers_as_memory(u64 base, u64 length)
{
	u64 step = align_up(max_u64(length / PROBE_PLACES, PROBE_UNIT), PROBE_UNIT);

	for (u64 at = 0; at < length; at += step)
		if (!page_answers(base + at))
			return false;
	return page_answers(base + length - PAGE_SIZE);
}

static const char *probe_fault(const struct memmap *map, u64 base, u64 length)
{
	u64 limit = min_u64(map->limit, min_u64(PLATFORM_MAX_PA, KASAN_MAX_PA));
	const struct acpi_info *acpi = acpi_info();

	if (length == 0 || !is_aligned(base | length, PROBE_UNIT))
		return "ADDRESS and SIZE must be multiples of 2 MiB";
	if (base >= limit || length > limit - base)
		return "it ends beyond the addresses that this machine and this kernel have";
	if (memmap_overlap(map, base, length) != NULL)
		return "the memory map has some of it";
	if (acpi->nr_memory != 0 && !acpi_lists_memory(acpi, base, length))
		return "the firmware's ACPI tables (SRAT) list no memory there";
	if (acpi->nr_memory == 0 && base < 4 * GIB)
		return "below 4 GiB, what is not in the memory map is for devices";
	if (map->capacity - map->nr < MAP_ROOM)
		return "no room in the memory map";
	return answers_as_memory(base, length) ? NULL : "nothing there answers as memory does";
}

const char *memory_probe(u64 base, u64 length)
{
	struct memmap *map = memory_map_to_change();
	const char *fault;

	mutex_lock(&lock);
	fault = probe_fault(map, base, length);
	if (fault == NULL) {
		(void)memmap_insert(map, base, length, MEM_UNREACHABLE); /* there is room */
		memory_account_add(length);
		if (mm_online(map, base, length) != 0)
			fault = "no memory for its page tables; online tries again";
	}
	mutex_unlock(&lock);
	return fault;
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
