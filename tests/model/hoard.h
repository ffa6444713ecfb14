/*
 * Holding memory on purpose: tests of what happens when there is none left.
 *
 * A hoard's list runs through the pages that it holds, so it needs no memory of its own and any
 * number of pages fits. Each block carries its own frame number and order, and letting go verifies
 * them: a page that was handed out twice, or written by somebody else, is noticed.
 */
#pragma once

#include <mm/mm.h>

#define HOARD_LISTS 16

struct hoard {
	u64 list[HOARD_LISTS]; /* addresses of first blocks; 0: none */
	u64 nr_blocks, nr_pages;
};

/* Takes one block more. False when there is none. */
bool hoard_take(struct hoard *h, gfp_t gfp, unsigned order);

/* Takes all blocks of the zones that these flags allow, the reserves too, the largest first, so
 * that few are taken in all. */
void hoard_take_all(struct hoard *h, gfp_t gfp);

/* Takes blocks of 2 MiB and more until at most nr_pages are free, if it can. */
void hoard_leave(struct hoard *h, u64 nr_pages);

/* Frees one block, in random order. False when there is none. */
bool hoard_drop(struct hoard *h);
void hoard_drop_all(struct hoard *h);

/* Free blocks of each zone and order, with this CPU's caches drained: the shape of free memory. */
struct free_shape {
	u32 nr_blocks[MAX_ZONES][NR_ORDERS];
};
void free_shape_take(struct free_shape *shape);
bool free_shape_is(const struct free_shape *shape); /* that of now? Reports a difference */
