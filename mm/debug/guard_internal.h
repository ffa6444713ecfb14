/*
 * Private to mm/debug/guard*.c: the pool of guard pages.
 */
#pragma once

#include "../slab_internal.h"

#include <lib/rng.h>
#include <mm/guard.h>

#define CANARY 0xa7

enum guard_state {
	SLOT_FRESH, /* never held anything */
	SLOT_BUSY,  /* between the queue and live, or back */
	SLOT_LIVE,
	SLOT_FREED,
};

/* L: guarded by the pool's lock. U: its object's owner, while it is busy or live. */
struct guard_slot {
	struct list link;         /* L: in the queue, unless live or busy */
	enum guard_state state;   /* L */
	u32 size;                 /* U: as asked for */
	u32 tag;                  /* U: who allocated it */
	char *object;             /* U */
	struct kmem_cache *cache; /* U; L: NULL when that was destroyed after the free */
	char name[32];            /* U: the cache's */
};

struct guard_pool {
	struct spinlock lock;
	struct list queue;          /* L: the one that waits longest first */
	struct guard_slot *slots;   /* C */
	char *base;                 /* C: the first guard page; NULL: no pool */
	u64 bytes;                  /* C */
	struct guard_options chose; /* C */
	struct rng rng;             /* L */
	s64 left;                   /* A: trips to the next sample */
	struct guard_stats stats;   /* L */
};

extern struct guard_pool guard_pool;

static inline bool guard_is_in_pool(const void *address)
{
	return (u64)address - (u64)guard_pool.base < guard_pool.bytes;
}

static inline char *guard_page_of(const struct guard_slot *s)
{
	return guard_pool.base + (2 * (u64)(s - guard_pool.slots) + 1) * PAGE_SIZE;
}

/* The slot whose page holds the address; NULL: a guard page does, or none of the pool's. */
static inline struct guard_slot *guard_slot_of(const void *address)
{
	u64 page = ((u64)address - (u64)guard_pool.base) / PAGE_SIZE;

	return guard_is_in_pool(address) && page % 2 == 1 ? &guard_pool.slots[page / 2] : NULL;
}

/* --- guard_report.c --- */

/* The first byte beside the object in its page that is not CANARY, or NULL. */
const char *guard_canary_damage(const struct guard_slot *s);
_Noreturn void guard_report_canary(const struct guard_slot *s, const char *at, u8 byte);
