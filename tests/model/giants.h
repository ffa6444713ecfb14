/*
 * A private buddy on gigabytes that no RAM stands behind, and its oracle: one owner a 2 MiB
 * pageblock.
 *
 * What arena.h is for small blocks, this is for those from 2 MiB to 1 GiB and for untouched memory:
 * orders and ranges are whole pageblocks, so the oracle stays small. The free set alone decides
 * what may be allocated and which blocks are free; what an extent covers must be free, must never
 * have been part of a block that was handed out, and its metadata must be the garbage that was
 * there before.
 *
 * What may go wrong returns NULL, or what the buddy did wrong. On the host only: 28 MiB of page
 * map.
 */
#pragma once

#if __STDC_HOSTED__
#include <mm/buddy.h>

#define GIANTS_GIB 7u
#define GIANTS_BLOCKS (GIANTS_GIB << (MAX_ORDER - PAGEBLOCK_ORDER)) /* pageblocks */

extern struct buddy giants;

void giants_open(void);

/* Pageblocks [first, first + nr) become free; nothing happens if some are managed already. */
void giants_add(u32 first, u32 nr);

/* order: PAGEBLOCK_ORDER … MAX_ORDER. keep: 0, or how many pageblocks of it are kept as a run. */
const char *giants_alloc(unsigned order, u32 keep);
u32 giants_held(void);
void giants_free(u32 i); /* of the held ones */

/* What buddy_free_fault() answers for the first frame of a pageblock. */
const char *giants_ask(u32 block, unsigned order);

const char *giants_check(void);
#endif
