/*
 * An exchange: a table of slots where whoever allocates leaves blocks, and takes, verifies and
 * frees those of others. Threads, CPUs and interrupt handlers use one together: what is allocated
 * in one place is freed in another, at random.
 *
 * Every block is signed when it is made: its size, a mark, and a pattern made of both. A block that
 * two owners got, or that anyone wrote to after its free, shows when it is verified.
 */
#pragma once

#include <lib/rng.h>
#include <mm/gfp.h>

enum exchange_kind {
	EXCHANGE_SIZES,   /* kmalloc of 16 bytes to tens of kilobytes */
	EXCHANGE_OBJECTS, /* of one cache, at times many at once */
	EXCHANGE_BLOCKS,  /* alloc_pages of orders 0 to 7 */
	EXCHANGE_PAGES,   /* single pages, at times many at once */
	EXCHANGE_EXACT,   /* alloc_pages_exact */
	NR_EXCHANGE_KINDS
};

/* False: no memory. kinds: a bit for each that steps may choose, 0 for all. One exchange at a time.
 */
bool exchange_begin(unsigned kinds);

/* Allocates at random, and frees what it finds in the slot. Any CPU, any context that gfp allows.
 */
void exchange_step(struct rng *rng, gfp_t gfp);

/* Verifies and frees what is left, and destroys the cache. Others have ended, and have emptied what
 * their CPUs cache. Returns NULL, or what went wrong; then the number of such blocks is noted. */
const char *exchange_end(void);

/* Blocks that were freed by a step, so far. */
u64 exchange_moved(void);

/* For tests with blocks of their own. At least 16 bytes; NULL is passed on. */
u64 *block_sign(void *memory, size_t bytes, u64 mark);
bool block_is_signed(const u64 *block, size_t bytes);
