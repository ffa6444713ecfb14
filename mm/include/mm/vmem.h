/*
 * Arenas of integer ranges: virtual addresses, identifiers, anything that is handed out in pieces.
 * Bonwick and Adams, "Magazines and Vmem: Extending the Slab Allocator to Many CPUs and Arbitrary
 * Resources" (USENIX 2001): names and meanings are the paper's; mm/vmem.c holds the theory.
 *
 * All numbers are in the resource's own unit (bytes, ids). Addresses and sizes are multiples of the
 * arena's quantum; sizes are rounded up to it. 0 is in no arena and means "none"; nor is 2^64 - 1.
 *
 * Context of alloc and free: any, interrupt handlers included (with GFP_ATOMIC or GFP_NOWAIT).
 * Create, destroy, reap and walk: not in handlers. Flags are a gfp_t, which governs the memory for
 * the arena's own records, and one policy. Exhaustion gives 0, with __GFP_NOFAIL a panic; a request
 * that no arena could ever serve gives 0 and a line in the log. A wrong free stops the machine with
 * one line: "vmem: double free arena=… addr=… size=…".
 */
#pragma once

#include <lib/types.h>
#include <mm/gfp.h>
#include <mm/site.h>

#define VM_INSTANTFIT 0u      /* one of the free segments that are surely large enough: O(1) */
#define VM_BESTFIT 0x1000000u /* the smallest that fits: a walk over those of similar size */
#define VM_NEXTFIT 0x2000000u /* the next after the last allocation: ids are not reused at once */

#define VMEM_QCACHE_QUANTA 32u /* qcache_max is at most so many quanta */

struct vmem;

/* How an arena gets more from its source, and gives it back. import: a multiple of the quantum, or
 * 0. NULL for both: the source is an arena, asked with vmem_alloc() and vmem_free(). */
typedef u64 (*vmem_import)(void *source, u64 size, gfp_t flags);
typedef void (*vmem_release)(void *source, u64 addr, u64 size);

/*
 * An arena, with [base, base + size) as its first span (size 0: none yet). quantum: a power of two.
 * source: where to import from, or NULL. qcache_max: sizes up to this (0, or at most
 * VMEM_QCACHE_QUANTA quanta) come from per-CPU caches. The name is copied (31 characters). NULL
 * without memory, or for arguments outside these ranges (with a line in the log).
 */
struct vmem *vmem_create(const char *name, u64 base, u64 size, u64 quantum, vmem_import import,
                         vmem_release release, void *source, u64 qcache_max, gfp_t flags);

/* 0; or -EBUSY while segments are allocated: the log names them, and nothing but the quantum
 * caches has changed. Nobody else may use the arena any more. NULL is a no-op. */
int vmem_destroy(struct vmem *v);

/* Adds a span. 0, -EINVAL (zero, not of whole quanta, wraps, holds 0), -EEXIST (overlaps a span),
 * -ENOMEM. */
int vmem_add(struct vmem *v, u64 base, u64 size, gfp_t flags);

/* A segment of at least `size`, or 0. To be freed with vmem_free(), with the same size. */
#define vmem_alloc(v, size, flags) vmem_alloc_tag(v, size, flags, ALLOC_TAG())
void vmem_free(struct vmem *v, u64 addr, u64 size);

/*
 * The same under constraints: the result is phase modulo align, [addr, addr + size) crosses no
 * multiple of nocross and lies in [min, max). align, nocross: powers of two, phase < align, all in
 * whole quanta; 0 where nothing is asked. Past the quantum caches: to be freed with vmem_xfree().
 * min, max and nocross make it a walk over the free segments; an arena with a source imports only
 * without min and max.
 */
#define vmem_xalloc(v, size, align, phase, nocross, min, max, flags)                               \
	vmem_xalloc_tag(                                                                           \
	    v,                                                                                     \
	    &(const struct vmem_request){size, align, phase, nocross, min, (max) ? (max) : ~0ull}, \
	    flags, ALLOC_TAG())
void vmem_xfree(struct vmem *v, u64 addr, u64 size);

/* Gives the quantum caches' idle segments back to the arena, and its empty imported spans to their
 * source. vmem_reap_here(): this CPU's magazines, of all arenas. */
void vmem_reap(struct vmem *v);
void vmem_reap_here(void);

/* --- looking in --- */

enum { VMEM_ALLOC = 1, VMEM_FREE = 2, VMEM_SPAN = 4, VMEM_QCACHE = 8 };

/* Sum of what is allocated, free, or both (VMEM_ALLOC | VMEM_FREE). What idles in quantum caches
 * counts as free. A snapshot. */
u64 vmem_size(struct vmem *v, unsigned kinds);

/* Calls visit for each segment of these kinds, a span before its parts, which come in the order of
 * addresses. VMEM_QCACHE: a slab of the quantum caches, whatever of it is live. Under the arena's
 * lock: visit must not use the arena. tag: an allocated segment's call site. */
typedef void (*vmem_visitor)(void *context, unsigned kind, u64 addr, u64 size, u32 tag);
void vmem_walk(struct vmem *v, unsigned kinds, vmem_visitor visit, void *context);

struct vmem_stats {
	const char *name;
	u64 quantum, qcache_max;
	u64 size, allocated; /* units; allocated: the quantum caches' slabs whole */
	u64 idle;            /* of that, in quantum caches */
	u64 largest_free;    /* a bound: all free segments are smaller than twice this */
	u64 nr_spans, nr_free, nr_allocated; /* segments */
	u64 nr_failures;
};
void vmem_stats(struct vmem *v, struct vmem_stats *out);

/* The next arena after v in the order of creation (NULL: the first), or NULL. Not while arenas are
 * destroyed. */
struct vmem *vmem_next(const struct vmem *v);

/* Walks everything. NULL, or the broken invariant: "V1: …" (mm/vmem_check.c has the list).
 * vmem_check_all(): every arena. */
const char *vmem_check(struct vmem *v);
const char *vmem_check_all(void);

/* --- the same for another call site than this one, by its tag --- */

struct vmem_request {
	u64 size, align, phase, nocross, min, max; /* max: ~0 when nothing is asked */
};
u64 vmem_alloc_tag(struct vmem *v, u64 size, gfp_t flags, u32 tag);
u64 vmem_xalloc_tag(struct vmem *v, const struct vmem_request *r, gfp_t flags, u32 tag);
