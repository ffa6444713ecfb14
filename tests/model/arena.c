/*
 * The private page map of the buddy's tests, and the oracle of its shape.
 *
 * A buddy allocator that always merges has no history: the set of its free frames alone decides its
 * free blocks, for the largest aligned all-free block around each frame is a free block. So the
 * oracle needs only the set, and every test can compare all free lists exactly.
 */
#include "tests/model/arena.h"

#include <lib/string.h>

struct arena arena;

static struct page garbage_of(u32 pfn, enum garbage garbage)
{
	struct page page;
	unsigned order = pfn ? lowest_bit(pfn) : MAX_ORDER;

	memset(&page, 0xff, sizeof(page));
	if (garbage == GARBAGE_ONES)
		return page;
	page.type = garbage == GARBAGE_FREE ? PAGE_FREE : PAGE_ALLOCATED;
	page.order = (u8)(order < MAX_ORDER ? order : MAX_ORDER);
	page.zone = ARENA_ZONE;
	page.flags = 0;
	page.next = pfn + 1;
	page.prev = pfn;
	return page;
}

struct buddy *arena_open(u32 start, u32 end, enum garbage garbage)
{
	arena.garbage = garbage;
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		arena.map[pfn] = garbage_of(pfn, garbage);
	memset(arena.pageblock, PAGEBLOCK_UNKNOWN, sizeof(arena.pageblock));
	buddy_init(&arena.buddy, arena.map, arena.pageblock, start, end, ARENA_ZONE);
	return &arena.buddy;
}

struct buddy *arena_open_full(u32 start, u32 end)
{
	struct buddy *b = arena_open(start, end, GARBAGE_FREE);

	buddy_add_range(b, start, end);
	return b;
}

bool arena_is_untouched(u32 pfn)
{
	struct page garbage = garbage_of(pfn, arena.garbage);

	return memcmp(&arena.map[pfn], &garbage, sizeof(garbage)) == 0;
}

u32 arena_count_touched(void)
{
	u32 nr = 0;

	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		nr += !arena_is_untouched(pfn);
	return nr;
}

void arena_take_shape(const struct buddy *b, u8 shape[ARENA_PAGES])
{
	memset(shape, 0, ARENA_PAGES);
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		u32 left = ARENA_PAGES;

		for (u32 pfn = b->head[order]; pfn != 0 && left > 0; pfn = b->map[pfn].next, left--)
			if (pfn < ARENA_PAGES)
				shape[pfn] = (u8)(order + 1);
	}
}

/* Joins equal neighbours order by order, as a tournament: at each level two halves that are all
 * free become one block. */
void arena_expected_shape(const u8 is_free[ARENA_PAGES], u8 shape[ARENA_PAGES])
{
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		shape[pfn] = is_free[pfn] != 0;
	for (unsigned order = 0; 2u << order <= ARENA_PAGES; order++) {
		u32 half = 1u << order;

		for (u32 pfn = 0; pfn < ARENA_PAGES; pfn += 2 * half) {
			if (shape[pfn] != order + 1 || shape[pfn + half] != order + 1)
				continue;
			shape[pfn] = (u8)(order + 2);
			shape[pfn + half] = 0;
		}
	}
}
