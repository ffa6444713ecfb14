/*
 * The memory map: sorted, disjoint ranges that say what every physical byte is. This half owns the
 * set as it is after memmap_normalize(): its invariants, the questions asked of it, and the changes
 * that keep it normal. How it is made of a firmware's list is mm/memmap_build.c; docs/memmap.md has
 * the whole story.
 *
 * Invariants after memmap_normalize(), and after every change that follows:
 *   M1 nr <= capacity                      M5 a range begins where the one before it ends, or later
 *   M2 sorted by base                      M6 neighbours of one type do not touch
 *   M3 no range is empty                   M7 no range ends above the limit
 *   M4 bases and lengths are whole pages   M8 every type is known
 *
 * A change cuts at most two ranges, turns what lies between the cuts, and joins what then touches.
 * It asks for the two places first, so a failure changes nothing.
 *
 * Cost: reserve, release, find_free and bytes O(n); find O(log n). It does not lock or allocate.
 */
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/string.h>

#include "memmap_internal.h"

#define PHYS_BITS_MIN 12 /* so that a limit is a whole number of pages */
#define PHYS_BITS_MAX 52

/* From the least restrictive to the most: a type's rank is its place here. */
static const struct {
	u32 type;
	const char *name;
} types[] = {
    {MEM_USABLE, "usable"},
    {MEM_OFFLINE, "offline"},
    {MEM_UNREACHABLE, "unreachable"},
    {MEM_BOOTMEM, "bootmem"},
    {MEM_PAGE_MAP, "page map"},
    {MEM_PAGE_TABLES, "page tables"},
    {MEM_BOOT, "boot"},
    {MEM_MODULE, "module"},
    {MEM_KERNEL, "kernel"},
    {MEM_TRAMPOLINE, "trampoline"},
    {MEM_PAGE_ZERO, "page zero"},
    {MEM_ACPI, "acpi"},
    {MEM_NVS, "nvs"},
    {MEM_RESERVED, "reserved"},
    {MEM_BAD, "bad"},
};

static_assert(ARRAY_SIZE(types) == MEMMAP_NR_TYPES, "a type without a rank");

unsigned memmap_rank(u32 type)
{
	for (unsigned rank = 0; rank < MEMMAP_NR_TYPES; rank++)
		if (types[rank].type == type)
			return rank;
	return MEMMAP_NR_TYPES;
}

u32 memmap_type_of_rank(unsigned rank)
{
	return types[rank].type;
}

static bool is_known(u32 type)
{
	return memmap_rank(type) < MEMMAP_NR_TYPES;
}

const char *memmap_type_name(u32 type)
{
	return is_known(type) ? types[memmap_rank(type)].name : "unknown";
}

/* --- check --- */

static const char *check_range(const struct memmap *m, const struct mem_range *r)
{
	if (r->length == 0)
		return "M3: empty range";
	if (!is_aligned(r->base | r->length, MEMMAP_PAGE))
		return "M4: range is not whole pages";
	if (r->base >= m->limit || r->length > m->limit - r->base)
		return "M7: range ends above the limit";
	if (!is_known(r->type))
		return "M8: unknown type";
	return NULL;
}

static const char *check_neighbours(const struct mem_range *a, const struct mem_range *b)
{
	if (b->base < a->base)
		return "M2: not sorted by base";
	if (b->base < range_end(a))
		return "M5: ranges overlap";
	if (b->base == range_end(a) && a->type == b->type)
		return "M6: neighbours of one type touch";
	return NULL;
}

const char *memmap_check(const struct memmap *m)
{
	const char *broken = NULL;

	if (m->nr > m->capacity)
		return "M1: more ranges than storage";
	for (u32 i = 0; i < m->nr && broken == NULL; i++) {
		broken = check_range(m, &m->range[i]);
		if (broken == NULL && i > 0)
			broken = check_neighbours(&m->range[i - 1], &m->range[i]);
	}
	return broken;
}

/* --- questions --- */

/* Index of the first range that ends above `pa`; nr when there is none. */
static u32 first_above(const struct memmap *m, u64 pa)
{
	u32 low = 0, high = m->nr;

	while (low < high) {
		u32 left = high - low, middle = low + left / 2;

		if (range_end(&m->range[middle]) > pa)
			high = middle;
		else
			low = middle + 1;
		debug_assert(high - low < left);
	}
	return low;
}

const struct mem_range *memmap_find(const struct memmap *m, u64 pa)
{
	u32 i = first_above(m, pa);

	return i < m->nr && m->range[i].base <= pa ? &m->range[i] : NULL;
}

const struct mem_range *memmap_overlap(const struct memmap *m, u64 base, u64 length)
{
	u32 i = first_above(m, base);

	return i < m->nr && m->range[i].base < range_end_of(base, length) ? &m->range[i] : NULL;
}

/* Whether `pa`, of which i is first_above(), is inside a range of the type, so that a change that
 * starts or ends there cuts it in two. */
/* lab 1.3, helper */
static bool cuts(const struct memmap *m, u32 i, u64 pa, u32 type)
{
	return i < m->nr && m->range[i].base < pa && m->range[i].type == type;
}

/* lab 1.3 */
static void cut(struct memmap *m, u32 i, u64 pa)
{
	struct mem_range *r = &m->range[i];

	memmove(r + 1, r, (m->nr - i) * sizeof(*r));
	m->nr++;
	r[0].length = pa - r[0].base;
	r[1].length -= r[0].length;
	r[1].base = pa;
}

/* The ranges [first, last] alone may touch one of their type before them. */
/* lab 1.3 */
static void join_neighbours(struct memmap *m, u32 first, u32 last)
{
	u32 out = first > 0 ? first - 1 : 0;

	for (u32 i = out + 1; i < m->nr; i++) {
		struct mem_range *a = &m->range[out], r = m->range[i];

		if (i > last && i == out + 1) /* the rest stays where it is */
			return;
		if (a->type == r.type && range_end(a) == r.base)
			a->length += r.length;
		else
			m->range[++out] = r;
	}
	m->nr = m->nr > 0 ? out + 1 : 0;
}

/* The parts of [base, base + length), grown to pages, that are of type `from` become `to`. */
/* lab 1.3 */
static int retype(struct memmap *m, u64 base, u64 length, u32 from, u32 to)
{
	u64 end = align_up(min_u64(range_end_of(base, length), m->limit), MEMMAP_PAGE);
	bool cut_base, cut_end;
	u32 first, last;

	assert(is_known(from) && is_known(to));
	if (length == 0 || base >= end)
		return 0;
	base = align_down(base, MEMMAP_PAGE);
	first = first_above(m, base);
	last = first_above(m, end);
	cut_base = cuts(m, first, base, from);
	cut_end = cuts(m, last, end, from);
	if ((u32)cut_base + (u32)cut_end > m->capacity - m->nr)
		return -ENOSPC;
	if (cut_end)
		cut(m, last, end);
	if (cut_base)
		cut(m, first++, base);
	for (last = first; last < m->nr && m->range[last].base < end; last++)
		if (m->range[last].type == from)
			m->range[last].type = to;
	join_neighbours(m, first, last);
	return 0;
}

int memmap_reserve(struct memmap *m, u64 base, u64 length, u32 type)
{
	return retype(m, base, length, MEM_USABLE, type);
}

int memmap_release(struct memmap *m, u64 base, u64 length, u32 type)
{
	return retype(m, base, length, type, MEM_USABLE);
}

int memmap_insert(struct memmap *m, u64 base, u64 length, u32 type)
{
	struct mem_range *at = m->range + first_above(m, base);

	assert(is_known(type) && length != 0 && is_aligned(base | length, MEMMAP_PAGE));
	assert(base < m->limit && length <= m->limit - base);
	if (memmap_overlap(m, base, length) != NULL)
		return -EEXIST;
	if (m->nr == m->capacity)
		return -ENOSPC;
	memmove(at + 1, at, (u64)(m->range + m->nr - at) * sizeof(*at));
	*at = (struct mem_range){base, length, type};
	m->nr++;
	join_neighbours(m, (u32)(at - m->range), (u32)(at - m->range) + 1);
	return 0;
}

/* lab 1.4 */
u64 memmap_find_free(const struct memmap *m, u64 length, u64 align, u64 min, u64 max)
{
	assert(is_pow2(align));
	min = max_u64(min, MEMMAP_PAGE);
	for (u32 i = m->nr; length > 0 && i-- > 0;) {
		const struct mem_range *r = &m->range[i];
		u64 low = max_u64(r->base, min), high = min_u64(range_end(r), max), at;

		if (r->type != MEM_USABLE || high < low || high - low < length)
			continue;
		at = align_down(high - length, align);
		if (at >= low)
			return at;
	}
	return 0;
}

u64 memmap_bytes(const struct memmap *m, u32 type)
{
	u64 sum = 0;

	for (u32 i = 0; i < m->nr; i++)
		if (m->range[i].type == type)
			sum += m->range[i].length;
	return sum;
}

void memmap_init(struct memmap *m, struct mem_range *storage, u32 capacity, unsigned phys_bits)
{
	assert(capacity >= 8);
	assert(phys_bits >= PHYS_BITS_MIN && phys_bits <= PHYS_BITS_MAX);
	*m = (struct memmap){.range = storage, .capacity = capacity, .limit = 1ull << phys_bits};
}

void memmap_dump(const struct memmap *m)
{
	char size[16];

	for (u32 i = 0; i < m->nr; i++) {
		const struct mem_range *r = &m->range[i];

		log_info("  [%016lx, %016lx) %10s %s", r->base, range_end(r),
		         format_bytes(size, r->length), memmap_type_name(r->type));
	}
}
