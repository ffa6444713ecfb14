/*
 * The kernel's final page tables: what is mapped, how, and the way to map more. kernel/layout.h has
 * the addresses. One set of tables for all CPUs. At boot one CPU; afterwards a lock guards the
 * changes.
 */
#pragma once

#include <lib/types.h>
#include <mm/bootmem.h>
#include <mm/memmap.h>

/* How memory is mapped; readable always. */
enum {
	PAGING_WRITE = 1,
	PAGING_EXECUTE = 2,
	PAGING_UNCACHED = 4,        /* device registers */
	PAGING_WRITE_COMBINING = 8, /* frame buffers */
};

/*
 * Builds the tables for every range of the map that is RAM, the kernel's image with its guard pages
 * and the empty pageblock window, and switches to them. Tables come from `boot` as MEM_PAGE_TABLES;
 * until this returns its window must lie below 4 GiB. The early tables may be reused afterwards:
 * paging_boot_tables().
 */
void paging_init(const struct memmap *map, struct bootmem *boot);
void paging_boot_tables(u64 *base, u64 *length);

/*
 * Makes [pa, pa + length) visible, uncached (registers) or write-combining (frame buffers), for
 * good: there is no unmap. Any alignment. NULL without memory for the tables, or when the range is
 * no physical address.
 */
void *paging_map_device(u64 pa, u64 length);
void *paging_map_framebuffer(u64 pa, u64 length);

/* The end of the boot: what is __ro_after_init becomes read-only, in the image and in the direct
 * map, for all CPUs. One line in the log says how much, or that there is no memory to split leaves:
 * then it stays writable. In a thread, interrupts on. */
void paging_seal(void);
bool paging_is_sealed(void);

/* True when va is mapped: then *pa is its physical address and *flags its PAGING_ bits (either may
 * be NULL). Safe for any value, at any time. */
bool paging_translate(u64 va, u64 *pa, u32 *flags);

/*
 * Walks all tables. NULL, or the broken invariant:
 *   P1 nothing in the lower half is mapped            P2 nothing is writable and executable
 *   P3 no user pages                                  P4 the kernel's text and constants are
 * writable nowhere                                  P5 nor, once sealed, what only the boot writes
 */
const char *paging_check(void);

/* One line a run of equal mappings. */
void paging_dump(void);
