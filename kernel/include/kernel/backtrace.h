/*
 * Who called whom, by the frame pointers. Never faults: every pointer is followed only when it lies
 * in a kernel stack, is aligned, and is above the one before.
 */
#pragma once

#include <lib/types.h>

/* Return addresses from the frame pointer rbp outwards, at most max. Returns their number. */
size_t backtrace_collect(u64 rbp, u64 *out, size_t max);

/* One line a frame; rip, if not 0, is the first. */
void backtrace_print(u64 rip, u64 rbp);

/* Of the caller. */
void backtrace_here(void);
