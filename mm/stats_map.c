/*
 * A map of memory in characters: each cell stands for an equal share of the managed span, and shows
 * what most of it holds; what is used wins over what is free from one eighth of a cell on, so that
 * small islands are seen.
 */
#include <lib/string.h>
#include <mm/mm.h>

enum { CELL_NONE, CELL_ALLOCATED, CELL_SLAB, CELL_LARGE, CELL_CACHED, CELL_FREE };
#define NR_CELL_KINDS (CELL_FREE + NR_ORDERS)

static const char cell_letters[NR_CELL_KINDS + 1] = "-ASLC0123456789abcdefghi";

static unsigned cell_kind(const struct page *head)
{
	switch (head->type) {
	case PAGE_FREE:
		return CELL_FREE + head->order;
	case PAGE_CACHED:
		return CELL_CACHED;
	case PAGE_SLAB:
		return CELL_SLAB;
	case PAGE_LARGE:
		return CELL_LARGE;
	default:
		return CELL_ALLOCATED;
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
		return CELL_FREE + MAX_ORDER;
	}
	*next = pfn + 1;
	return CELL_NONE;
}

/* Pages of each kind in [start, end). */
static void count_kinds(u64 start, u64 end, u64 pages[NR_CELL_KINDS])
{
	memset(pages, 0, NR_CELL_KINDS * sizeof(pages[0]));
	for (u64 next; start < end; start = next) {
		unsigned kind = kind_at(start, &next);

		next = min_u64(next, end);
		pages[kind] += next - start;
	}
}

static char cell_letter(u64 start, u64 end)
{
	u64 pages[NR_CELL_KINDS];
	unsigned most = 0, used = 0;

	count_kinds(start, end, pages);
	for (unsigned kind = 1; kind < NR_CELL_KINDS; kind++) {
		if (pages[kind] > pages[most])
			most = kind;
		if (kind < CELL_FREE && (used == 0 || pages[kind] > pages[used]))
			used = kind;
	}
	return cell_letters[most >= CELL_FREE && pages[used] * 8 >= end - start ? used : most];
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
