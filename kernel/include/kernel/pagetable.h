/*
 * The kernel's page tables, for kernel/paging.c and its neighbours: mm/pt.h's, with the kernel's
 * way to get memory for them. What is mapped where, and who may ask for it, is kernel/paging.h.
 */
#pragma once

#include <lib/types.h>
#include <mm/bootmem.h>
#include <mm/pt.h>

/* Where tables come from: `boot` until it is finished, then the page allocator. Makes the root. */
void pagetable_init(struct bootmem *boot);

/* Makes the tables of pagetable_init() the CPU's. */
void pagetable_load(void);

/* The root table's physical address. */
u64 pagetable_root(void);

/* A new table of zeros: its physical address, or 0 without memory. */
u64 pagetable_new(void);

/* How many are pages of the page allocator. Only vmalloc's go back. */
u64 pagetable_nr_pages(void);

/* How many were made so far. */
u64 pagetable_count(void);

/* The entry's bits, besides the address, for PAGING_ flags. */
u64 pagetable_bits(u32 flags);

/*
 * Maps [va, va + length) to pa on with the largest leaves that alignment and CPU allow. All of it
 * page-aligned and in the upper half. 0, -ENOMEM or -EEXIST (something is mapped there already):
 * then nothing is.
 */
int pagetable_map(u64 va, u64 pa, u64 length, u64 bits);

/* Takes the 4 KiB leaves of [va, va + length) out, all of which must be there. The tables above
 * stay, and so do CPUs' translations: see tlb_shootdown(). */
void pagetable_unmap(u64 va, u64 length);

/* Takes whatever leaves are in [va, va + length) out; none reaches over an end. */
void pagetable_clear(u64 va, u64 length);

/* Whether tables, and memory for the page map, no longer come from boot memory. */
bool pagetable_boot_is_over(void);

/* The entry of that level for va in the tables being built, its tables made as needed. NULL: no
 * memory, or a larger leaf is there. */
u64 *pagetable_entry(u64 va, unsigned level);

/* The CPU's own walk, in the tables in use: the leaf's entry and its level. False when there is
 * none. */
bool pagetable_find(u64 va, u64 *entry, unsigned *level);

/* The highest level whose entries may be leaves: 1, or 2 with 1 GiB pages. */
unsigned pagetable_max_leaf_level(void);

/* Calls fn for every leaf of the tables being built, in the order of the addresses. */
void pagetable_walk(pt_leaf_fn fn, void *context);
/* Calls fn for every table. */
void pagetable_walk_tables(pt_table_fn fn, void *context);
