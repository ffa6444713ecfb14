/*
 * Comparing the designs of the gallery (mm/heap.h): a recorded trace (kernel/trace.h) replayed on
 * one of them, with what each operation cost and what the heap took of memory. Pure but for the
 * clock, which the caller names; the kernel and the host share it.
 */
#pragma once

#include <lib/types.h>
#include <mm/heap.h>

/* Costs by size, so that a percentile needs no list: exact to 63, sixteen buckets a doubling above,
 * named by their lower bound. */
#define COMPARE_BUCKETS 1024u

struct compare_costs {
	u64 sum, nr, worst;
	u32 bucket[COMPARE_BUCKETS];
};

struct compare_slot {
	void *object;
	u64 size;
};

/* Lent by the caller. */
struct compare {
	struct region *region;      /* fresh; its kind and threshold are the caller's choice */
	struct compare_slot *slots; /* one for each of the trace's ids */
	u64 (*clock)(void);         /* instructions, cycles … */
	u64 max_steps;              /* a design that took more is stopped; ~0: none is */
	/* Called after each operation, or NULL: pictures. */
	void (*watch)(void *context, const struct heap *heap, u64 op, u64 live_bytes);
	void *context;

	/* --- the results --- */
	struct compare_costs cost, steps; /* by the clock; steps: 1 + what the heap counted */
	struct compare_costs joining,
	    apart;    /* by the clock: frees that joined free blocks, or none */
	u64 nr_joins; /* how many blocks they joined */
	u64 nr_ops, nr_failures;
	u64 peak_live, peak_footprint; /* bytes; both at their highest */
	u64 live, used, footprint;     /* when live was highest: asked for; in used blocks; held */
	bool stopped;                  /* by max_steps, after nr_ops */
	const char *error;             /* NULL, or the invariant or content that was wrong */
	unsigned line;                 /* of the trace, for error */
};

/*
 * Replays the text; what the trace leaves alive is freed. 0, or negative with c->error set: -EINVAL
 * (a bad line), -EFAULT (the design failed), -ENOMEM (it cannot be made in the region). -ENOENT:
 * designs for one size (HEAP_TYPED) have nothing to do with traces. The results are zeroed first.
 */
int compare_run(struct compare *c, const struct heap_design *design, const char *text,
                size_t length);

/* The cost that so many per cent of the operations did not exceed. */
u64 compare_percentile(const struct compare_costs *costs, unsigned percent);
u64 compare_mean_tenths(const struct compare_costs *costs);
