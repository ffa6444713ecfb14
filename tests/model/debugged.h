/*
 * For tests of `slab_debug=`: a text that holds for the caches that the test creates, whatever the
 * run's own is; and bugs, planted where the sanitizers allow none.
 */
#pragma once

#include <mm/debug.h>
#include <tests/test.h>

/* Between begin and end, slab_debug= is this, for caches created there. */
void debugged_begin(const char *slab_debug);
void debugged_end(void);

/* Writes one byte where it is wrong to write, and returns what was there. */
u8 plant(void *at, u8 byte);
