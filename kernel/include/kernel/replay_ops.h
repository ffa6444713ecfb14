/*
 * Inside the replayer: its state, and the operations of a trace made one by one
 * (kernel/replay_ops.c).
 */
#pragma once

#include <kernel/replay.h>
#include <kernel/trace.h>
#include <lib/types.h>

#define REPLAY_MAX_CACHES 256u /* the largest recorded trace has 84 */

enum slot_kind { SLOT_EMPTY, SLOT_KMALLOC, SLOT_CACHE, SLOT_PAGES };

/* One id of the trace. */
struct slot {
	char *object; /* NULL: the allocation failed, or has no bytes */
	u64 size;     /* as the trace says: what may be used */
	u32 kind;
	u32 detail; /* SLOT_CACHE: index into caches; SLOT_PAGES: order */
	u64 stamp;
};
static_assert(sizeof(struct slot) == 32, "tests/data/traces/README.md tells the table's size");

struct kmem_cache;
struct replay_cache {
	char name[TRACE_CACHE_NAME_MAX];
	u64 size;
	struct kmem_cache *cache;
};

struct replay {
	struct trace trace;
	struct replay_result *result;
	struct slot *slots; /* trace.nr_ids */
	size_t slots_bytes;
	struct replay_cache *caches; /* REPLAY_MAX_CACHES */
	u32 nr_caches, last_cache;
	u64 before_objects, before_other_pages;
	u64 clock_cost; /* of one measurement of nothing */
};

/* Note the first fault in the result; return -EINVAL (with the line) and -EFAULT. */
int replay_bad_line(struct replay *r, const char *why);
int replay_fault(struct replay *r, const char *why);

u64 replay_clock_cost(void);

/* Creates the caches that the header names. */
int replay_create_caches(struct replay *r);

/* Makes one operation. */
int replay_step(struct replay *r, const struct trace_op *op);

/* Makes all of them, and compares with what the header promised. */
int replay_operations(struct replay *r);

/* Frees what is live and destroys the caches. The result's live_ counts stay those of the trace's
 * end. */
int replay_free_all(struct replay *r);
