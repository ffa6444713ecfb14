/*
 * Kernel stacks from the stacks' own region of addresses (kernel/layout.h), each with an unmapped
 * page below it: an overflow faults. Mapped once, then used again and again.
 */
#pragma once

#include <kernel/cpu.h>
#include <lib/types.h>

/* Lets the page allocator ask for the free ones. */
void stack_init(void);

/* The lowest address of CPU_STACK_SIZE bytes, or 0 without memory. Interrupts may be off. */
u64 stack_alloc(void);
void stack_free(u64 base);

/* Calls visit for each stack that is mapped, under the stacks' lock. */
void stack_visit(void (*visit)(void *context, u64 base, u64 pa, bool in_use), void *context);

/* Whether [va, va + length) lies in one stack of the region that was ever mapped. */
bool stack_contains(u64 va, u64 length);

/* Whether va is in the guard page of one. */
bool stack_is_guard(u64 va);

/* The lowest address of the stack that holds va, or 0. Any value. */
u64 stack_find(u64 va);
