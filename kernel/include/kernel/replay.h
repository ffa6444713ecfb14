/*
 * Replaying a recorded allocation trace (tests/data/traces/README.md has the format) on the memory
 * manager.
 */
#pragma once

#include <lib/types.h>

struct boot_info;

struct replay_result {
	u64 nr_ops, nr_allocs, nr_frees, nr_reallocs;
	u64 nr_failures; /* allocations that returned NULL */
	u64 nr_corrupt;  /* objects whose content was not what had been written */
	u64 live_bytes, live_objects, peak_live_bytes;
	u64 pages_before, peak_pages, pages_after;
	u64 cycles;
	unsigned line;     /* the line of the first error, 0: none */
	const char *error; /* NULL, or what was wrong */
};

/* Replays the text. 0; -EINVAL (a bad line: result->line and ->error say which and why), -ENOMEM
 * (no room for the tables), -EFAULT (an object's content changed, a leak, or a check failed).
 * Everything it allocated is freed. */
int replay_text(const char *text, size_t length, struct replay_result *result);

/* The kernel's `replay=`: boot module 0 through the engine ("kmalloc"). Prints the summary. 0 or
 * negative. */
int replay_run(const struct boot_info *info, const char *engine);
