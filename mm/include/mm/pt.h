/*
 * Page tables of the x86-64 kind as a data structure: four levels of 512 entries, in memory that
 * phys_to_virt() reaches. Nothing here loads them or flushes a processor's translations, so they
 * can be built and looked at anywhere.
 *
 * Levels count from the bottom: an entry of level 0 spans 4 KiB, 1 2 MiB, 2 1 GiB, 3 512 GiB.
 * Addresses and lengths are multiples of 4 KiB; a range lies in one half of the address space. The
 * caller keeps changes apart by a lock, or by tables that are disjoint.
 */
#pragma once

#include <lib/types.h>

#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_USER (1ull << 2)
#define PTE_PWT (1ull << 3) /* alone: PAT entry 1, write-combining in the kernel's table */
#define PTE_PCD (1ull << 4) /* with PWT: PAT entry 3, uncached */
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY (1ull << 6)
#define PTE_LARGE (1ull << 7)
#define PTE_GLOBAL (1ull << 8)
#define PTE_OPAQUE (1ull << 10) /* of the root table: walks and checks pass it by */
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define PAGETABLE_ENTRIES 512
#define PAGETABLE_ROOT_LEVEL 3

struct page;

struct page_tables {
	u64 root_pa;
	unsigned max_leaf_level;    /* 0, 1, or 2 with 1 GiB pages */
	u64 (*new_table)(void);     /* a page of zeros: its physical address, or 0 */
	void (*free_table)(u64 pa); /* never the root */
};

static inline u64 pagetable_span(unsigned level)
{
	return 1ull << (12 + 9 * level);
}

static inline unsigned pagetable_index(u64 va, unsigned level)
{
	return (unsigned)(va >> (12 + 9 * level)) & (PAGETABLE_ENTRIES - 1);
}

static inline bool pagetable_is_leaf(u64 entry, unsigned level)
{
	return level == 0 || (entry & PTE_LARGE);
}

/*
 * Maps [va, va + length) to pa on, with the largest leaves that alignment and max_leaf_level allow.
 * bits: a leaf's besides the address and PTE_LARGE. 0, -ENOMEM or -EEXIST (some of it is mapped
 * already); then all is as it was, but for empty tables.
 */
int pt_map(struct page_tables *pt, u64 va, u64 pa, u64 length, u64 bits);

/* The same for n single pages. Contents as pt_map()'s. */
int pt_map_pages(struct page_tables *pt, u64 va, struct page *const pages[], size_t n, u64 bits);

/* The same for blocks of the page allocator, chained by their heads' links: side by side in leaves
 * of 4 KiB. Whose they are does not change. */
int pt_map_blocks(struct page_tables *pt, u64 va, const struct page *first, u64 bits);

/* Takes nr_pages that were mapped so out; their blocks' heads go before *chain. Returns how many
 * pages it found as they must be: fewer when something else is there. */
u64 pt_take_blocks(struct page_tables *pt, u64 va, u64 nr_pages, struct page **chain);

/*
 * Takes the leaves of [va, va + length) out, where there are any; a larger leaf at either end is
 * split. gone (or NULL) is called for each. Tables stay: pt_prune(). *mapped (or NULL): bytes that
 * were mapped. 0, or -ENOMEM for the split: nothing is changed.
 */
typedef void (*pt_leaf_fn)(void *context, u64 va, unsigned level, u64 entry);
int pt_unmap(struct page_tables *pt, u64 va, u64 length, pt_leaf_fn gone, void *context,
             u64 *mapped);

/* The same where no leaf reaches over an end, as the caller knows. Returns the bytes. */
u64 pt_clear(struct page_tables *pt, u64 va, u64 length, pt_leaf_fn gone, void *context);

/* Gives the leaves of [va, va + length) these bits; larger ones at either end are split. 0, -ENOENT
 * (some of it is not mapped) or -ENOMEM: nothing is changed. */
int pt_protect(struct page_tables *pt, u64 va, u64 length, u64 bits);

/* The entry of that level for va, whatever is in it; tables are made as needed. NULL: no memory, or
 * a larger leaf is there. */
u64 *pt_entry(struct page_tables *pt, u64 va, unsigned level);

/* The leaf that maps va: its entry and level. False: none, or va is not canonical. */
bool pt_find(const struct page_tables *pt, u64 va, u64 *entry, unsigned *level);
bool pt_translate(const struct page_tables *pt, u64 va, u64 *pa);

/* Calls fn for every leaf, in the order of addresses, the lower half first. */
void pt_walk(const struct page_tables *pt, pt_leaf_fn fn, void *context);

/* Calls fn for every table, a table before those that it leads to; the root's level is
 * PAGETABLE_ROOT_LEVEL. */
typedef void (*pt_table_fn)(void *context, u64 pa, unsigned level);
void pt_walk_tables(const struct page_tables *pt, pt_table_fn fn, void *context);

/*
 * Takes tables without entries out of the way to [va, va + length). A processor may still remember
 * the way: they are chained by their first words, none of which is a present entry, for
 * pt_free_tables() after a flush. Returns the chain's first, or `chain`.
 */
u64 pt_prune(struct page_tables *pt, u64 va, u64 length, u64 chain);
u64 pt_free_tables(struct page_tables *pt, u64 chain); /* how many */

/* NULL, or the broken invariant: "T1: …" (mm/pt.c). */
const char *pt_check(const struct page_tables *pt);
