/*
 * Regions: a break and mapped ranges within one lent range of addresses (mm/region.h).
 *
 * The idea is that of a process: sbrk() for the many small requests, mmap() for the few large ones,
 * whose pages go back at once when they are freed, wherever they lie (Doug Lea's malloc, glibc).
 *
 *   R1  base <= brk <= limit, and no mapped page lies below limit.
 *   R2  table[i] is n at the first of a range's n pages, INNER at the others, 0 where it is free,
 *       and only there the page's bit is set.
 *   R3  mapped_bytes is the sum of the ranges; peak_bytes is the largest footprint there was.
 *
 * Cost: the break O(1); a mapped range O(pages) to find, next fit downwards, as is fair for a
 * stand-in of a system call. The heaps' counted steps leave it out.
 */
#include <lib/assert.h>
#include <lib/bitmap.h>
#include <mm/region.h>

#define INNER (~0u)

void region_init(struct region *r, enum region_kind kind, void *memory, size_t bytes,
                 size_t threshold)
{
	size_t table_bytes = 0;

	assert(is_aligned((u64)memory | bytes, REGION_PAGE) && bytes >= 2 * REGION_PAGE);
	*r = (struct region){.kind = kind, .base = memory, .brk = memory, .threshold = threshold};
	r->nr_bytes = bytes;
	if (kind == REGION_MAPPED) {
		size_t n = bytes / REGION_PAGE;

		table_bytes = align_up(n * sizeof(u32) + (n / 64 + 2) * sizeof(u64), REGION_PAGE);
		r->nr_pages = r->next = (bytes - table_bytes) / REGION_PAGE;
		r->pages = r->base;
		r->table = (u32 *)(void *)(r->base + r->nr_pages * REGION_PAGE);
		r->free = (u64 *)(void *)(r->table + align_up(r->nr_pages, 2));
		for (size_t i = 0; i < r->nr_pages; i++)
			r->table[i] = 0;
		bitmap_fill(r->free, r->nr_pages);
	}
	r->limit = r->base + bytes - table_bytes;
}

size_t region_footprint(const struct region *r)
{
	if (r->kind == REGION_BUFFER)
		return r->nr_bytes;
	return (size_t)(r->brk - r->base) + r->mapped_bytes;
}

size_t region_peak(const struct region *r)
{
	return max_u64(r->peak_bytes, region_footprint(r));
}

static void note_peak(struct region *r)
{
	r->peak_bytes = region_peak(r);
}

/* --- the break --- */

void *region_extend(struct region *r, size_t bytes)
{
	u8 *old = r->brk;

	if (bytes > (size_t)(r->limit - r->brk))
		return NULL;
	r->brk += bytes;
	note_peak(r);
	return old;
}

bool region_shrink(struct region *r, void *brk)
{
	if (r->kind == REGION_BUFFER)
		return false;
	assert((u8 *)brk >= r->base && (u8 *)brk <= r->brk);
	r->brk = brk;
	return true;
}

/* --- mapped ranges --- */

/* The break may rise to the lowest page that is mapped. */
static void settle_limit(struct region *r)
{
	size_t i = (size_t)(r->limit - r->pages) / REGION_PAGE;

	while (i < r->nr_pages && r->table[i] == 0)
		i++;
	r->limit = r->pages + i * REGION_PAGE;
}

/* The page after the highest free one below `top`, or 0: 64 pages a step. */
static size_t last_free(const struct region *r, size_t top)
{
	for (; top % 64 != 0; top--)
		if (bitmap_test(r->free, top - 1))
			return top;
	while (top > 0 && r->free[top / 64 - 1] == 0)
		top -= 64;
	return top > 0 ? top - 63 + highest_bit(r->free[top / 64 - 1]) : 0;
}

/* Whether n free pages begin at page i; if not, *top becomes where a search below may end. */
static bool is_free_run(const struct region *r, size_t i, size_t n, size_t *top)
{
	for (size_t at = i + n; at > i; at--)
		if (r->table[at - 1] != 0) {
			*top = at - 1;
			return false;
		}
	return true;
}

/* The highest aligned run of n free pages that ends at or below page `top`; nr_pages: none. */
static size_t find_run(const struct region *r, size_t n, size_t align, size_t top)
{
	size_t lowest = align_up((u64)(r->brk - r->pages), REGION_PAGE) / REGION_PAGE;

	while ((top = last_free(r, top)) >= n) {
		u64 place = align_down((u64)(r->pages + (top - n) * REGION_PAGE), align);

		if (place < (u64)(r->pages + lowest * REGION_PAGE))
			break;
		size_t i = (place - (u64)r->pages) / REGION_PAGE;

		if (is_free_run(r, i, n, &top))
			return i;
	}
	return r->nr_pages;
}

void *region_map(struct region *r, size_t bytes, size_t align)
{
	size_t n = div_round_up(bytes, REGION_PAGE), i;

	if (r->kind != REGION_MAPPED || n == 0 || n > r->nr_pages)
		return NULL;
	i = find_run(r, n, max_u64(align, REGION_PAGE), r->next);
	if (i == r->nr_pages)
		i = find_run(r, n, max_u64(align, REGION_PAGE), r->nr_pages);
	if (i == r->nr_pages)
		return NULL;
	for (size_t j = 0; j < n; j++) {
		r->table[i + j] = j == 0 ? (u32)n : INNER;
		bitmap_clear(r->free, i + j);
	}
	r->next = i;
	r->mapped_bytes += n * REGION_PAGE;
	if (r->pages + i * REGION_PAGE < r->limit)
		r->limit = r->pages + i * REGION_PAGE;
	note_peak(r);
	return r->pages + i * REGION_PAGE;
}

size_t region_mapped_bytes(const struct region *r, const void *p)
{
	size_t offset = (u64)p - (u64)r->pages;

	if ((const u8 *)p < r->limit || offset / REGION_PAGE >= r->nr_pages ||
	    !is_aligned(offset, REGION_PAGE) || r->table[offset / REGION_PAGE] == INNER)
		return 0;
	return r->table[offset / REGION_PAGE] * REGION_PAGE;
}

void region_unmap(struct region *r, void *range)
{
	size_t bytes = region_mapped_bytes(r, range);
	size_t i = (size_t)((u8 *)range - r->pages) / REGION_PAGE;

	assert(bytes != 0);
	for (size_t j = 0; j < bytes / REGION_PAGE; j++) {
		r->table[i + j] = 0;
		bitmap_set(r->free, i + j);
	}
	r->mapped_bytes -= bytes;
	r->next = max_u64(r->next, i + bytes / REGION_PAGE);
	if (range == r->limit)
		settle_limit(r);
}

void region_for_each(const struct region *r, void (*visit)(void *context, void *range, size_t),
                     void *context)
{
	for (size_t i = 0; i < r->nr_pages; i++)
		if (r->table[i] != 0 && r->table[i] != INNER)
			visit(context, r->pages + i * REGION_PAGE, r->table[i] * REGION_PAGE);
}

/* --- check --- */

const char *region_check(const struct region *r)
{
	size_t in_range = 0, mapped = 0;

	if (r->brk < r->base || r->brk > r->limit || r->limit > r->base + r->nr_bytes)
		return "region R1: the break is outside its bounds";
	for (size_t i = 0; i < r->nr_pages; i++) {
		bool is_head = r->table[i] != 0 && r->table[i] != INNER;

		if ((r->table[i] == INNER) != (in_range > 0) ||
		    bitmap_test(r->free, i) != (r->table[i] == 0))
			return "region R2: a mapped range has the wrong length";
		if (is_head)
			in_range = r->table[i];
		if (in_range > 0) {
			if (r->pages + i * REGION_PAGE < r->limit)
				return "region R1: a mapped page lies below the limit";
			in_range--;
			mapped += REGION_PAGE;
		}
	}
	if (in_range != 0)
		return "region R2: a mapped range has the wrong length";
	if (mapped != r->mapped_bytes || r->peak_bytes > r->nr_bytes)
		return "region R3: the sum of the mapped ranges is wrong";
	return NULL;
}
