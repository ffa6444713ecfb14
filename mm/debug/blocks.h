/*
 * Walks over all blocks of the page allocator, for whoever looks at all of memory.
 */
#pragma once

#include "../internal.h"

/* Calls visit for the head of each block that has metadata, free ones too; for every page of a
 * slab; not for memory that was never handed out. Racy against other CPUs. */
void blocks_visit(void (*visit)(void *context, struct page *head), void *context);
