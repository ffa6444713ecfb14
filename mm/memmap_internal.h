/*
 * What the two halves of the memory map share: mm/memmap.c (the set and its changes) and
 * mm/memmap_build.c (how it is made of a firmware's list). Private to them and their tests.
 */
#pragma once

#include <mm/memmap.h>

#define MEMMAP_PAGE 4096ull
#define MEMMAP_NR_TYPES 15u

/*
 * Types by rank, from the least restrictive (0: usable) to the most. MEMMAP_NR_TYPES as a rank
 * stands for "no such type". Tables of them are indexed by rank.
 */
unsigned memmap_rank(u32 type);
u32 memmap_type_of_rank(unsigned rank);

static inline u64 range_end(const struct mem_range *r)
{
	return r->base + r->length;
}

/* The end of [base, base + length): 2^64 - 1 stands for all that runs further. No range reaches
 * that far. */
static inline u64 range_end_of(u64 base, u64 length)
{
	return length > UINT64_MAX - base ? UINT64_MAX : base + length;
}
