/*
 * The address sanitizer in the kernel (CONFIG=kasan): a shadow byte for every 8 bytes of memory
 * says which of them may be touched, and the compiler puts a check before every access.
 *
 * In other configurations all of this is nothing. The hooks of mm/ are in mm/platform.h
 * (platform_poison() and its sisters); what is here is between the kernel's own files.
 */
#pragma once

#include <kernel/layout.h>
#include <lib/types.h>
#include <mm/memmap.h>

/* A shadow byte: 0, all 8 bytes may be touched; 1 … 7, the first so many; otherwise none, because:
 */
enum shadow_value {
	SHADOW_POISON = 0xe0,      /* + enum poison_kind of mm/platform.h */
	SHADOW_ALLOCA_LEFT = 0xca, /* the compiler's, by the functions that it calls */
	SHADOW_ALLOCA_RIGHT = 0xcb,
	SHADOW_STACK_LEFT = 0xf1, /* the compiler's, by stores */
	SHADOW_STACK_MIDDLE = 0xf2,
	SHADOW_STACK_RIGHT = 0xf3,
	SHADOW_STACK_SCOPE = 0xf8, /* a variable whose block has ended */
	SHADOW_GLOBAL = 0xf9,
};

#ifdef CONFIG_KASAN

/* RAM above is not used: its shadow must lie in the 4 GiB that boot/start.asm maps. */
#define KASAN_MAX_PA (16ul << 30)

struct bootmem;

/* The first thing in C: one page stands for all of the shadow, and whatever is stored there is
 * lost. Nothing is checked yet. */
void kasan_early_init(void);

/* The final tables: memory of its own for the shadow of RAM and of the image, a page of zeros,
 * read-only, for all others. Before they are loaded; and when they are: from here on accesses are
 * checked. */
void kasan_map_shadow(const struct memmap *map, struct bootmem *boot);
void kasan_begin(void);

/* Memory for the shadow of [va, va + length), for good; false: there is none. Any context. */
bool kasan_back(u64 va, u64 length);

/* Whether a page fault at va was only a CPU that remembered the page of zeros. */
bool kasan_serve_fault(u64 va);

/* Frames of the stack that holds va may have ended without returning: all of it may be touched. */
void kasan_forget_frames(u64 va);

/* All of these bytes may be touched. */
void kasan_allow(u64 va, u64 length);

/* The details of the report that a panic with this line is about, if it is one. */
void kasan_print_report(const char *line);

#define __no_kasan __attribute__((no_sanitize_address))

#else

#define KASAN_MAX_PA MAX_PHYSICAL
#define __no_kasan

struct bootmem;

static inline void kasan_early_init(void)
{
}

static inline void kasan_map_shadow(const struct memmap *map, struct bootmem *boot)
{
	(void)map;
	(void)boot;
}

static inline void kasan_begin(void)
{
}

static inline bool kasan_back(u64 va, u64 length)
{
	(void)va;
	(void)length;
	return true;
}

static inline bool kasan_serve_fault(u64 va)
{
	(void)va;
	return false;
}

static inline void kasan_forget_frames(u64 va)
{
	(void)va;
}

static inline void kasan_allow(u64 va, u64 length)
{
	(void)va;
	(void)length;
}

static inline void kasan_print_report(const char *line)
{
	(void)line;
}
#endif
