/*
 * A map of memory in characters: each cell stands for an equal share of the managed span, and shows
 * what most of it holds; what is used wins over what is free from one eighth of a cell on, so that
 * small islands are seen.
 */
#include "slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/mm.h>

static const char cell_letters[MM_NR_KINDS + 1] = "-ASLC0123456789abcdefghi";

static unsigned cell_kind(const struct page *head)
{
	switch (head->type) {
	case PAGE_FREE:
		return MM_FREE + head->order;
	case PAGE_CACHED:
		return MM_CACHED;
	case PAGE_SLAB:
		return MM_SLAB;
	case PAGE_LARGE:
		return MM_LARGE;
	default:
		return MM_ALLOCATED;
	}
}

/* What the block around the frame is, and the first frame behind the block. */
static unsigned kind_at(u64 pfn, u64 *next)
{
	const struct page *head = page_block_of(pfn);

	if (head != NULL) {
		*next = page_to_pfn(head) + page_block_pages(head);
		return cell_kind(head);
	}
	if (zone_of_untouched(pfn) != NULL) {
		*next = align_up(pfn + 1, 1ull << MAX_ORDER);
		return MM_FREE + MAX_ORDER;
	}
	*next = pfn + 1;
	return MM_NONE;
}

void mm_count_kinds(u64 start, u64 end, u64 pages[MM_NR_KINDS])
{
	for (u64 next; start < end; start = next) {
		unsigned kind = kind_at(start, &next);

		next = min_u64(next, end);
		debug_assert(next > start);
		pages[kind] += next - start;
	}
}

const char *mm_cache_at(u64 pfn)
{
	const struct page *page = page_lookup(pfn);
	const struct slab *slab = page != NULL && page->type == PAGE_SLAB ? page->slab : NULL;

	/* The slab may just have gone: its record then holds anything, but it is still memory. */
	for (struct kmem_cache *c = kmem_cache_next(NULL); slab != NULL && c != NULL;
	     c = kmem_cache_next(c))
		if (slab->cache == c)
			return kmem_cache_name(c);
	return NULL;
}

static char cell_letter(u64 start, u64 end)
{
	u64 pages[MM_NR_KINDS] = {0};
	unsigned most = 0, used = 0;

	mm_count_kinds(start, end, pages);
	for (unsigned kind = 1; kind < MM_NR_KINDS; kind++) {
		if (pages[kind] > pages[most])
			most = kind;
		if (kind < MM_FREE && (used == 0 || pages[kind] > pages[used]))
			used = kind;
	}
	return cell_letters[most >= MM_FREE && pages[used] * 8 >= end - start ? used : most];
}

/* Frames that the zones span, holes inside a zone included. */
static u64 zone_spans(void)
{
	u64 span = 0;

	for_each_zone(z)
		span += z->buddy.high - z->buddy.low;
	return span;
}

static void print_zone_map(const struct zone *z, u64 cell, unsigned columns)
{
	char line[128 + 1];

	for (u64 start = z->buddy.low; start < z->buddy.high;) {
		u64 first = start;
		unsigned n = 0;

		for (; n < columns && start < z->buddy.high; n++, start += cell)
			line[n] = cell_letter(start, min_u64(start + cell, z->buddy.high));
		debug_assert(start > first);
		line[n] = '\0';
		kprintf("%12lx %s\n", first << PAGE_SHIFT, line);
	}
}

void stats_print_map(unsigned columns, unsigned rows)
{
	char size[16];
	u64 cell;

	if (columns == 0 || columns > 128 || rows == 0)
		return;
	cell = max_u64(div_round_up(zone_spans(), (u64)columns * rows), 1);
	kprintf("a character: %s. A allocated, S slab, L large kmalloc, C cached by a CPU,\n",
	        format_bytes(size, cell << PAGE_SHIFT));
	kprintf("0-9 a-i free in blocks of order 0-18, - not managed\n");
	for_each_zone(z) {
		kprintf("node %u zone %s\n", z->node, z->name);
		print_zone_map(z, cell, columns);
	}
}
