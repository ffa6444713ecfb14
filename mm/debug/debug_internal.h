/*
 * Private to mm/debug/ and its tests: marks in memory, and the depot of stacks.
 */
#pragma once

#include "../slab_internal.h"

/* --- marks.c: none of these is seen by a sanitizer; their memory may be poisoned --- */

/* The bytes that stand in memory, Linux's (include/linux/poison.h). */
#define RED_INACTIVE 0xbb /* a free object's zones */
#define RED_ACTIVE 0xcc   /* a live object's */
#define POISON_FREE 0x6b  /* a free object */
#define POISON_END 0xa5   /* its last byte */
#define POISON_PAGE 0xaa  /* a free page */

/* Sets n bytes. */
void mark_fill(void *p, u8 byte, size_t n);

/* The first of n bytes that is another; NULL: all are equal. */
const void *mark_find_other(const void *p, u8 byte, size_t n);

/* A sum over n bytes in which every single wrong bit shows (FNV-1a). */
u32 mark_sum(const void *p, size_t n);

/* One byte, whatever a sanitizer thinks of it. */
u8 mark_read(const void *p);

/* --- page_debug.c --- */

/* Panics when pages that were filled have other contents, and gives the block back first. */
void page_debug_verify(struct page *head, u64 nr_pages);

/* The end of page_debug_init(): for tests. Pages that were filled are then like any other. */
void page_debug_finish(void);

/* --- page_quarantine.c --- */

void page_quarantine_init(u64 nr_pages);

/* So many pages may wait from here on. Returns how many it were before. */
u64 page_quarantine_limit(u64 nr_pages);

/* --- stack_depot.c --- */

#define STACK_DEPTH 16

struct stack_depot {
	u32 *bucket; /* C: nr_buckets, a power of two, the first record's number or 0. A */
	u64 *word;   /* C: the array; what lies below `used` is written. NULL: no depot */
	u32 nr_buckets, nr_words;
	u32 used; /* L */
	struct spinlock lock;
	u64 nr_stacks, nr_hits, nr_lost; /* A */
};

extern struct stack_depot stack_depot;

/* With so many bytes, whole pages. False: no memory, and nothing is kept. And its end. */
bool stack_depot_create(u64 bytes);
void stack_depot_destroy(void);

/* The caller's backtrace: its number, the same for the same stack. 0: no depot, or it is full. Any
 * context. */
u32 stack_depot_save_here(void);

/* A stack by its number: returns how many return addresses, innermost first; 0: none. */
size_t stack_depot_get(u32 number, const u64 **frames);

struct stack_depot_stats {
	u64 nr_stacks, nr_hits, nr_lost; /* lost: there was no room for them */
	u64 used_bytes, size_bytes;
};
void stack_depot_stats(struct stack_depot_stats *out);
