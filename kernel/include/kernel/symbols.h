/*
 * Names of the kernel's functions, from the table that tools/symbols.py makes out of the first
 * link. Read-only.
 */
#pragma once

#include <lib/types.h>

/* The function that holds `va`, and the offset in it; NULL when va is not in the kernel's text (or
 * the build has no table). O(log n). */
const char *symbol_find(u64 va, u64 *offset);

/* The address of a function, 0 when there is none of that name. O(n). */
u64 symbol_address(const char *name);

size_t symbol_count(void);

/* "name+0x1f", or "0xffff…" without a name. Returns buf. */
const char *symbol_format(char *buf, size_t size, u64 va);

/* NULL, or the broken invariant of the table. */
const char *symbols_check(void);
