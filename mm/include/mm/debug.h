/*
 * Debugging of the allocators, chosen at boot: `slab_debug=`, `init_on_alloc=`, `init_on_free=`.
 *
 * The syntax is that of Linux's SLUB (Documentation/admin-guide/mm/slab.rst): blocks separated by
 * `;`, each of letters and, after commas, the names of the caches that it is for (`*` and `?` match
 * as in str_matches()). The first block that names a cache is that cache's; for the others the last
 * block without names. No letters mean FZPU; `-` alone means none.
 *
 *     slab_debug                         FZPU for everything
 *     slab_debug=FZ,kmalloc-64;P,dentry* F and Z for kmalloc-64, P for dentry…, nothing else
 *     slab_debug=FZP;-,buffers           for everything but buffers
 *
 * Two names are no caches: `pages` is the page allocator (P, Q), `kmalloc-large` is what kmalloc
 * gives above its size classes (Z). What the letters catch and cost: docs/debugging.md.
 */
#pragma once

#include <lib/types.h>

enum debug_letter {
	DEBUG_CHECK = 1 << 0,    /* F: the whole slab is checked at each alloc and free */
	DEBUG_RED_ZONE = 1 << 1, /* Z: zones on both sides, kmalloc's to the byte asked for */
	DEBUG_POISON = 1 << 2,   /* P: what is free is filled, and verified when it is allocated */
	DEBUG_OWNER = 1 << 3,    /* U: the stacks of the last alloc and free */
	DEBUG_QUARANTINE = 1 << 4, /* Q: what is freed waits before it is used again */
	DEBUG_ZERO_ALLOC = 1 << 5, /* init_on_alloc=1, not a letter */
	DEBUG_ZERO_FREE = 1 << 6,  /* init_on_free=1; where P is not, which fills too */
	DEBUG_ALL =
	    DEBUG_CHECK | DEBUG_RED_ZONE | DEBUG_POISON | DEBUG_OWNER, /* slab_debug alone */
};

/*
 * What holds from the next mm_init() on. slab_debug: NULL for none; the text is copied, its letters
 * that are none are reported in one line of the log and ignored. Before anything is called, all is
 * off.
 */
void mm_debug_configure(const char *slab_debug, bool init_on_alloc, bool init_on_free);

/* From the next mm_init() on, pages that are nobody's lie between blocks: `page_red_zones=1`. */
void mm_debug_page_red_zones(bool on);

#define SLAB_DEBUG_TEXT_MAX 128

/* All of it, to be put back: tests choose for themselves. */
struct mm_debug_choice {
	bool on, init_on_alloc, init_on_free, page_red_zones;
	char text[SLAB_DEBUG_TEXT_MAX];
};
struct mm_debug_choice mm_debug_choice(void);
void mm_debug_choose(const struct mm_debug_choice *choice);

/* The letters that such a text means for a cache of that name. Pure. */
unsigned slab_debug_letters(const char *text, const char *name);

/* The first letter of the text that is none; '\0': there is no such. Pure. */
char slab_debug_bad_letter(const char *text);

/* The text of mm_debug_configure() applied, with the bits of init_on_…: for a cache about to be
 * made. */
unsigned mm_debug_letters(const char *name);

/* Whether any cache may have the letter. */
bool mm_debug_wants(enum debug_letter letter);

/* "FZPUQ" without what is not set. Returns buf. */
char *debug_letters_name(char buf[8], unsigned letters);
