/*
 * Replaying a recorded allocation trace (kernel/trace.h reads it) on kmalloc, kmem_cache and
 * alloc_pages.
 */
#pragma once

#include <lib/types.h>

struct boot_info;

struct replay_result {
	u64 nr_ops, nr_allocs, nr_frees, nr_reallocs;
	u64 nr_failures; /* allocations that returned NULL */
	u64 nr_corrupt;  /* objects whose content or alignment was not what it had to be */
	u64 live_bytes, live_objects; /* at the end of the trace */
	u64 peak_live_bytes;
	u64 pages_before, pages_after, peak_pages; /* in use; the peak is above pages_before */
	u64 lost_pages, lost_objects; /* still in use after all was freed: pages apart from slabs */
	u64 cycles;                   /* in the allocator */
	unsigned line;                /* the line that stopped the replay, 0: none */
	const char *error;            /* NULL, or what was wrong */
};

/*
 * Replays the text and frees everything again. 0, or with result->error set:
 * -EINVAL (a bad line), -ENOMEM (no room for the tables), -EFAULT (the allocator failed, changed
 * content, lost memory, or its check found a broken invariant).
 */
int replay_text(const char *text, size_t length, struct replay_result *result);

/* The kernel's `replay=`: boot module 0 through the engine ("kmalloc"). Prints the summary. 0 or
 * negative. */
int replay_run(const struct boot_info *info, const char *engine);
