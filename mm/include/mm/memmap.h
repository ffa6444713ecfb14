/*
 * The memory map: what every physical byte of the machine is, as sorted, disjoint ranges.
 *
 * docs/memmap.md defines to the byte what memmap_normalize() makes of a firmware's list. Pure: no
 * allocation, no globals; the caller supplies the storage. Used on one CPU at boot; afterwards
 * read-only except under the boot-memory hand-back, so there is no lock.
 */
#pragma once

#include <lib/types.h>

/* The first five are the firmware's numbers (ACPI, Multiboot); the others are Strata's own, made of
 * usable memory by memmap_reserve(). */
enum mem_type {
	MEM_USABLE = 1,
	MEM_RESERVED = 2,
	MEM_ACPI = 3, /* ACPI tables: usable once they have been read */
	MEM_NVS = 4,
	MEM_BAD = 5,

	MEM_PAGE_ZERO = 16, /* the real-mode vectors and BIOS data: never handed out, so that pfn 0
	                       means "none" */
	MEM_TRAMPOLINE,     /* the page below 1 MiB where other CPUs start */
	MEM_KERNEL,         /* the kernel's image */
	MEM_MODULE,         /* boot modules */
	MEM_BOOT,           /* the boot loader's tables (command line, memory map …) */
	MEM_PAGE_TABLES,
	MEM_PAGE_MAP,    /* struct page array and pageblock bytes */
	MEM_BOOTMEM,     /* anything else that the kernel allocated before the page allocator */
	MEM_OFFLINE,     /* taken out of the page allocator, to come back */
	MEM_UNREACHABLE, /* usable, but above what this kernel addresses, or smaller than mem=
	                    allows */
};

struct mem_range {
	u64 base, length; /* bytes; base + length never exceeds 2^52 */
	u32 type;         /* enum mem_type */
};

struct memmap {
	struct mem_range *range; /* sorted by base and disjoint after memmap_normalize() */
	u32 nr, capacity;
	u32 nr_dropped;    /* usable memory given up because the storage was full: ranges … */
	u64 bytes_dropped; /* … and bytes */
	u64 limit;         /* 2^phys_bits: nothing at or above it is in the map */
};

/* capacity: at least 8. phys_bits: 32 … 52, what the CPU reports. */
void memmap_init(struct memmap *m, struct mem_range *storage, u32 capacity, unsigned phys_bits);

/*
 * Adds an entry as the firmware gave it: any order, any overlap, any length, any type number
 * (unknown ones are reserved). When the storage is full the map stays safe: usable memory is
 * dropped (and counted) first.
 */
void memmap_add(struct memmap *m, u64 base, u64 length, u32 type);

/* Makes the ranges sorted, disjoint, page-aligned and maximal: docs/memmap.md, steps 1 to 6. */
void memmap_normalize(struct memmap *m);

/*
 * Turns the usable parts of [base, base + length), grown outwards to pages, into `type`. Other
 * types stay. 0, or -ENOSPC when the storage is full (nothing changed).
 */
int memmap_reserve(struct memmap *m, u64 base, u64 length, u32 type);

/* The reverse: the parts of [base, base + length) that are of `type` become usable. 0 or -ENOSPC.
 */
int memmap_release(struct memmap *m, u64 base, u64 length, u32 type);

/* After normalising: a range where there is none. 0; -EEXIST: some of it is in the map; -ENOSPC.
 * Whole pages below the limit. */
int memmap_insert(struct memmap *m, u64 base, u64 length, u32 type);

/* The first range that reaches into [base, base + length), or NULL. */
const struct mem_range *memmap_overlap(const struct memmap *m, u64 base, u64 length);

/*
 * The highest address a (aligned to `align`, a power of two) with [a, a + length) all usable, a >=
 * min and a + length <= max. Returns it, or 0 when there is none (page 0 is never usable to callers
 * of this).
 */
u64 memmap_find_free(const struct memmap *m, u64 length, u64 align, u64 min, u64 max);

/* The range that holds the address, or NULL: a gap. O(log n). */
const struct mem_range *memmap_find(const struct memmap *m, u64 pa);

/* Sum of the lengths of one type. */
u64 memmap_bytes(const struct memmap *m, u32 type);

/* NULL, or the invariant that is broken: "M1: …". */
const char *memmap_check(const struct memmap *m);

/* "usable", "reserved", "acpi", "nvs", "bad", "kernel" …; never NULL. */
const char *memmap_type_name(u32 type);

/* One log line a range. */
void memmap_dump(const struct memmap *m);
