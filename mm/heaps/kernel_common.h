/*
 * What the adapters to the kernel's own allocators share: their memory is everybody's, so there is
 * nothing to set up or to show, and the check is the memory manager's.
 */
#pragma once

#include <mm/heap.h>
#include <mm/mm.h>

static inline bool kernel_init(struct heap *heap)
{
	(void)heap;
	return true;
}

static inline const char *kernel_check(const struct heap *heap)
{
	(void)heap;
	return mm_check();
}

static inline void kernel_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	(void)heap;
	(void)visit;
	(void)context;
}
