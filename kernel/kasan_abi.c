/*
 * What the compiler calls besides the checks of kasan.c (CONFIG=kasan): for variables of the stack
 * whose size it does not know, for blocks that end, for functions that do not return, for globals.
 * The names and arguments are those of gcc 12's and clang 14's -fsanitize=kernel-address.
 *
 * Globals come in arrays, one a source file, from a constructor; linker.ld gathers the
 * constructors. Which global an address belongs to is asked of the same arrays again: the
 * constructors are called a second time, and look instead of poisoning.
 */
#include "kasan_internal.h"

#include <lib/bits.h>
#include <mm/platform.h>

/* The compiler's stack layout puts a red zone of so many bytes before and behind an alloca(). */
#define ALLOCA_RED_ZONE 32ul

void __asan_handle_no_return(void);
void __asan_alloca_poison(u64 va, u64 length);
void __asan_allocas_unpoison(u64 top, u64 bottom);
void __asan_poison_stack_memory(u64 va, u64 length);
void __asan_unpoison_stack_memory(u64 va, u64 length);
void __asan_register_globals(const struct asan_global *globals, u64 n);
void __asan_unregister_globals(const struct asan_global *globals, u64 n);

/* --- stack --- */

void __asan_handle_no_return(void)
{
	kasan_forget_frames((u64)__builtin_frame_address(0));
}

void __asan_alloca_poison(u64 va, u64 length)
{
	u64 end = align_up(va + length, KASAN_GRANULE);

	kasan_allow(va, length);
	kasan_fill(va - ALLOCA_RED_ZONE, ALLOCA_RED_ZONE, SHADOW_ALLOCA_LEFT);
	kasan_fill(end, align_up(va + length, ALLOCA_RED_ZONE) + ALLOCA_RED_ZONE - end,
	           SHADOW_ALLOCA_RIGHT);
}

void __asan_allocas_unpoison(u64 top, u64 bottom)
{
	if (top != 0 && top <= bottom)
		kasan_allow(top, bottom - top);
}

void __asan_poison_stack_memory(u64 va, u64 length)
{
	kasan_fill(va, length, SHADOW_STACK_SCOPE);
}

void __asan_unpoison_stack_memory(u64 va, u64 length)
{
	kasan_allow(va, length);
}

/* clang's stores into the shadow of large frames. */
#define SET_SHADOW(name, value)                       \
	void __asan_set_shadow_##name(u8 *at, u64 n); \
	void __asan_set_shadow_##name(u8 *at, u64 n)  \
	{                                             \
		while (n-- > 0)                       \
			*(volatile u8 *)at++ = value; \
	}

SET_SHADOW(00, 0)
SET_SHADOW(f1, SHADOW_STACK_LEFT)
SET_SHADOW(f2, SHADOW_STACK_MIDDLE)
SET_SHADOW(f3, SHADOW_STACK_RIGHT)
SET_SHADOW(f5, 0xf5)
SET_SHADOW(f8, SHADOW_STACK_SCOPE)

/* --- globals --- */

typedef void (*constructor)(void);
extern const constructor constructors_start[], constructors_end[]; /* linker.ld */

static u64 wanted; /* 0: poison the red zones */
static const struct asan_global *found;

static void poison_red_zone(const struct asan_global *g)
{
	u64 end = align_up(g->size, KASAN_GRANULE);

	kasan_fill(g->va + end, g->size_with_red_zone - end, SHADOW_GLOBAL);
	if (g->size % KASAN_GRANULE != 0)
		*shadow_of(g->va + g->size) = g->size % KASAN_GRANULE;
}

void __asan_register_globals(const struct asan_global *globals, u64 n)
{
	for (u64 i = 0; i < n; i++)
		if (wanted == 0)
			poison_red_zone(&globals[i]);
		else if (wanted - globals[i].va < globals[i].size_with_red_zone)
			found = &globals[i];
}

void __asan_unregister_globals(const struct asan_global *globals, u64 n)
{
	(void)globals;
	(void)n;
}

void kasan_init_globals(void)
{
	for (const constructor *c = constructors_start; c < constructors_end; c++)
		(*c)();
}

const struct asan_global *kasan_find_global(u64 va)
{
	found = NULL;
	wanted = va;
	kasan_init_globals();
	wanted = 0;
	return found;
}
