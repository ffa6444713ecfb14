/*
 * struct page and the page map: what may be read of them, and their names.
 *
 * The page map is one array indexed by page frame number. Its memory is never cleared, so that a
 * terabyte comes up as fast as a megabyte; pageblock_map says which entries were ever written
 * (mm/buddy.c writes both). Everything that starts from a number that may be wrong (a stray
 * pointer, a user's question) goes through page_lookup().
 */
#include <lib/string.h>
#include <mm/page.h>

/* lab 2.3 */
static bool is_vouched(const u8 *pageblock, u64 pfn)
{
	u8 state = __atomic_load_n(&pageblock[pfn >> PAGEBLOCK_ORDER], __ATOMIC_ACQUIRE);

	return state == PAGEBLOCK_FULL ||
	       (state == PAGEBLOCK_HEAD && is_aligned(pfn, PAGEBLOCK_PAGES));
}

/* lab 2.3 */
struct page *page_lookup(u64 pfn)
{
	if (pfn >= PLATFORM_MAX_PA >> PAGE_SHIFT || !is_vouched(pageblock_map, pfn))
		return NULL;
	return &page_map[pfn];
}

/* lab 2.3 */
u64 page_block_pages(const struct page *head)
{
	return head->order == ORDER_RUN ? head->nr_pages : 1ull << head->order;
}

/* Candidates for the head are the frame rounded down to each order; the first that is a head
 * decides. Another CPU may be naming a slab's pages: inner ones, no heads of what follows them. */
/* lab 2.3 */
struct page *page_block_in(struct page *map, const u8 *pageblock, u64 pfn)
{
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		u64 head = align_down(pfn, 1ull << order);
		struct page *page = &map[head];

		if (!is_vouched(pageblock, head) || page->type == PAGE_INNER)
			continue;
		if (page->type == PAGE_NONE)
			return NULL;
		if (pfn - head < page_block_pages(page))
			return page;
		if (page->type != PAGE_SLAB)
			return NULL;
	}
	return NULL;
}

/* lab 2.3 */
struct page *page_block_of(u64 pfn)
{
	return pfn < PLATFORM_MAX_PA >> PAGE_SHIFT ? page_block_in(page_map, pageblock_map, pfn)
	                                           : NULL;
}

/* lab 2.4 */
u64 page_next_known_in(const u8 *pageblock, u64 pfn, u64 end)
{
	const u8 *first = pageblock + (pfn >> PAGEBLOCK_ORDER), *known = NULL;

	if (pfn < end)
		known = mem_find_other(first, PAGEBLOCK_UNKNOWN,
		                       div_round_up(end - pfn, PAGEBLOCK_PAGES));
	return known ? pfn + ((u64)(known - first) << PAGEBLOCK_ORDER) : end;
}

const char *page_type_name(unsigned type)
{
	static const char *const names[NR_PAGE_TYPES] = {
	    [PAGE_NONE] = "none",           [PAGE_INNER] = "inner", [PAGE_FREE] = "free",
	    [PAGE_CACHED] = "cached",       [PAGE_SLAB] = "slab",   [PAGE_LARGE] = "large",
	    [PAGE_ALLOCATED] = "allocated",
	};

	return type < NR_PAGE_TYPES ? names[type] : "unknown";
}
