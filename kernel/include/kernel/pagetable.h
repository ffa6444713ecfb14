/*
 * Page tables as such, for kernel/paging.c and its neighbours: entries, the way down, the walk over
 * all. What is mapped where, and who may ask for it, is kernel/paging.h.
 *
 * Levels count from the bottom: an entry of level 0 spans 4 KiB, 1 2 MiB, 2 1 GiB, 3 512 GiB.
 */
#pragma once

#include <lib/types.h>
#include <mm/bootmem.h>

#define PTE_PRESENT (1ull << 0)
#define PTE_WRITE (1ull << 1)
#define PTE_USER (1ull << 2)
#define PTE_PWT (1ull << 3) /* alone: PAT entry 1, write-combining (kernel/cpu.c) */
#define PTE_PCD (1ull << 4) /* with PWT: PAT entry 3, uncached */
#define PTE_ACCESSED (1ull << 5)
#define PTE_DIRTY (1ull << 6)
#define PTE_LARGE (1ull << 7)
#define PTE_GLOBAL (1ull << 8)
#define PTE_NX (1ull << 63)
#define PTE_ADDRESS 0x000ffffffffff000ull

#define PAGETABLE_ENTRIES 512
#define PAGETABLE_ROOT_LEVEL 3

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

/* Where tables come from: `boot` until it is finished, then the page allocator. Makes the root. */
void pagetable_init(struct bootmem *boot);

/* Makes the tables of pagetable_init() the CPU's. */
void pagetable_load(void);

/* A new table of zeros: its physical address, or 0 without memory. */
u64 pagetable_new(void);

/* How many came from the page allocator. None goes back: the next mapping there uses it. */
u64 pagetable_nr_pages(void);

/* How many were made so far. */
u64 pagetable_count(void);

/* The entry's bits, besides the address, for PAGING_ flags. */
u64 pagetable_bits(u32 flags);

/*
 * Maps [va, va + length) to pa on with the largest leaves that alignment and CPU allow. All of it
 * page-aligned and in the upper half. 0, -ENOMEM (some of it may be mapped) or -EEXIST (something
 * is mapped there already).
 */
int pagetable_map(u64 va, u64 pa, u64 length, u64 bits);

/* Takes the 4 KiB leaves of [va, va + length) out, all of which must be there. The tables above
 * stay, and so do CPUs' translations: see tlb_shootdown(). */
void pagetable_unmap(u64 va, u64 length);

/* The entry of that level for va in the tables being built, its tables made as needed. NULL: no
 * memory, or a larger leaf is there. */
u64 *pagetable_entry(u64 va, unsigned level);

/* The CPU's own walk, in the tables in use: the leaf's entry and its level. False when there is
 * none. */
bool pagetable_find(u64 va, u64 *entry, unsigned *level);

/* The highest level whose entries may be leaves: 1, or 2 with 1 GiB pages. */
unsigned pagetable_max_leaf_level(void);

/* Calls fn for every leaf of the tables being built, in the order of the addresses. */
typedef void (*pagetable_visitor)(u64 va, unsigned level, u64 entry, void *context);
void pagetable_walk(pagetable_visitor fn, void *context);
