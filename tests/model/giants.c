/*
 * Gigabytes of free memory in 3584 bytes: see giants.h.
 */
#include "tests/model/giants.h"

#if __STDC_HOSTED__
#include <lib/string.h>

#define GIANTS_PAGES (GIANTS_GIB << MAX_ORDER)
#define GIB_BLOCKS (1u << (MAX_ORDER - PAGEBLOCK_ORDER))
#define MAX_HELD 512u
#define GIANTS_ZONE 6

enum { NOT_RAM, FREE, HELD };

struct held {
	u32 block, nr;  /* pageblocks */
	unsigned order; /* ORDER_RUN: a run */
};

struct buddy giants;
static struct page map[GIANTS_PAGES];
static u8 pageblock[GIANTS_BLOCKS], owner[GIANTS_BLOCKS];
static bool was_held[GIANTS_BLOCKS];
static struct held held[MAX_HELD];
static u32 nr_held, nr_free;

/* What the last boot left: a free head that would merge. */
static struct page garbage_of(u32 block)
{
	unsigned order = block ? PAGEBLOCK_ORDER + lowest_bit(block) : MAX_ORDER;

	return (struct page){.type = PAGE_FREE,
	                     .order = (u8)(order < MAX_ORDER ? order : MAX_ORDER),
	                     .zone = GIANTS_ZONE,
	                     .next = block,
	                     .prev = block};
}

void giants_open(void)
{
	for (u32 block = 0; block < GIANTS_BLOCKS; block++) {
		if (pageblock[block] == PAGEBLOCK_FULL) /* of the test before */
			memset(&map[block << PAGEBLOCK_ORDER], 0, PAGEBLOCK_PAGES * sizeof(map[0]));
		map[block << PAGEBLOCK_ORDER] = garbage_of(block);
	}
	memset(pageblock, PAGEBLOCK_UNKNOWN, sizeof(pageblock));
	memset(owner, NOT_RAM, sizeof(owner));
	memset(was_held, 0, sizeof(was_held));
	nr_held = nr_free = 0;
	buddy_init(&giants, map, pageblock, 1, GIANTS_PAGES, GIANTS_ZONE);
}

static bool is_all(u32 block, u32 nr, u8 who)
{
	return mem_find_other(owner + block, who, nr) == NULL;
}

void giants_add(u32 first, u32 nr)
{
	nr = nr < GIANTS_BLOCKS - first ? nr : GIANTS_BLOCKS - first;
	if (first == 0 || nr == 0 || !is_all(first, nr, NOT_RAM))
		return;
	buddy_add_range(&giants, first << PAGEBLOCK_ORDER, (first + nr) << PAGEBLOCK_ORDER);
	memset(owner + first, FREE, nr);
	nr_free += nr;
}

static bool could_alloc(u32 nr)
{
	for (u32 block = 0; block < GIANTS_BLOCKS; block += nr)
		if (is_all(block, nr, FREE))
			return true;
	return false;
}

const char *giants_alloc(unsigned order, u32 keep)
{
	u32 nr = 1u << (order - PAGEBLOCK_ORDER), block, pfn;

	if (nr_held == MAX_HELD)
		return NULL;
	pfn = buddy_alloc(&giants, order);
	block = pfn >> PAGEBLOCK_ORDER;
	if (pfn == 0)
		return could_alloc(nr) ? "nothing was given though a block is free" : NULL;
	if (pfn % (1u << order) != 0 || block >= GIANTS_BLOCKS || !is_all(block, nr, FREE))
		return "what was given is not an aligned free block";
	memset(was_held + block, true, nr);
	if (keep != 0) {
		nr = keep;
		buddy_trim(&giants, pfn, order, keep << PAGEBLOCK_ORDER);
		order = ORDER_RUN;
	}
	memset(owner + block, HELD, nr);
	nr_free -= nr;
	held[nr_held++] = (struct held){block, nr, order};
	return NULL;
}

u32 giants_held(void)
{
	return nr_held;
}

void giants_free(u32 i)
{
	struct held h = held[i];

	if (h.order == ORDER_RUN)
		buddy_free_run(&giants, h.block << PAGEBLOCK_ORDER, h.nr << PAGEBLOCK_ORDER);
	else
		buddy_free(&giants, h.block << PAGEBLOCK_ORDER, h.order);
	memset(owner + h.block, FREE, h.nr);
	nr_free += h.nr;
	held[i] = held[--nr_held];
}

static const struct held *held_at(u32 block)
{
	for (u32 i = 0; i < nr_held; i++)
		if (held[i].block == block)
			return &held[i];
	return NULL;
}

const char *giants_ask(u32 block, unsigned order)
{
	const char *fault = buddy_free_fault(&giants, block << PAGEBLOCK_ORDER, order);
	const struct held *h = held_at(block);

	if ((fault == NULL) != (h != NULL && h->order == order))
		return "a free is judged wrongly";
	if (order > MAX_ORDER)
		return NULL;
	if (block != 0 && owner[block] == FREE && strcmp(fault, "double free") != 0)
		return "a double free is called something else";
	if (block != 0 && owner[block] == NOT_RAM && strcmp(fault, "not RAM") != 0)
		return "what is not RAM is called something else";
	return NULL;
}

/* The order of the free block that must begin at each pageblock, or 0: as arena.c's tournament. */
static void expect_shape(u8 shape[GIANTS_BLOCKS])
{
	for (u32 block = 0; block < GIANTS_BLOCKS; block++)
		shape[block] = owner[block] == FREE ? PAGEBLOCK_ORDER : 0;
	for (unsigned order = PAGEBLOCK_ORDER; order < MAX_ORDER; order++) {
		u32 half = 1u << (order - PAGEBLOCK_ORDER);

		for (u32 block = 0; block < GIANTS_BLOCKS; block += 2 * half)
			if (shape[block] == order && shape[block + half] == order) {
				shape[block] = (u8)(order + 1);
				shape[block + half] = 0;
			}
	}
}

/* What the buddy says: its lists, and the blocks of its extents. */
static const char *take_shape(u8 shape[GIANTS_BLOCKS])
{
	memset(shape, 0, GIANTS_BLOCKS);
	for (unsigned order = PAGEBLOCK_ORDER; order <= MAX_ORDER; order++)
		for (u32 pfn = giants.head[order]; pfn != 0; pfn = map[pfn].next)
			shape[pfn >> PAGEBLOCK_ORDER] = (u8)order;
	for (u32 block = 0; block < GIANTS_BLOCKS; block += GIB_BLOCKS) {
		if (!buddy_is_untouched(&giants, block << PAGEBLOCK_ORDER))
			continue;
		if (shape[block] != 0)
			return "an untouched block is listed";
		shape[block] = MAX_ORDER;
	}
	return NULL;
}

static const char *check_untouched(void)
{
	for (u32 block = 0; block < GIANTS_BLOCKS; block++) {
		struct page garbage = garbage_of(block);

		if (!buddy_is_untouched(&giants, block << PAGEBLOCK_ORDER))
			continue;
		if (was_held[block])
			return "memory that was handed out counts as untouched";
		if (memcmp(&map[block << PAGEBLOCK_ORDER], &garbage, sizeof(garbage)) != 0)
			return "untouched memory's metadata was written";
	}
	return NULL;
}

const char *giants_check(void)
{
	static u8 expected[GIANTS_BLOCKS], shape[GIANTS_BLOCKS];
	const char *fault = buddy_check(&giants);

	if (fault == NULL)
		fault = take_shape(shape);
	if (fault == NULL)
		fault = check_untouched();
	if (fault)
		return fault;
	expect_shape(expected);
	if (memcmp(shape, expected, sizeof(shape)) != 0)
		return "the free blocks are not those that the free memory must form";
	if (giants.nr_free_pages != (u64)nr_free << PAGEBLOCK_ORDER)
		return "the number of free pages is not the oracle's";
	return NULL;
}
#endif
