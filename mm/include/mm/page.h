/*
 * struct page: 16 bytes of metadata for each 4 KiB page frame (0.39 % of memory; Linux's take 64
 * bytes).
 *
 * page_map[pfn] is the struct page of page frame pfn. It may be read only where pageblock_map
 * vouches for it (enum pageblock_state): page_lookup() does that check. A block of 2^order pages is
 * described by its first page, the head; the others are PAGE_INNER, slabs apart (every page of a
 * slab leads to it).
 *
 * Guarded by the lock of the zone while the page is free, by its CPU while cached, by its owner
 * while allocated.
 */
#pragma once

#include <lib/bits.h>
#include <lib/types.h>
#include <mm/platform.h>

#define PAGE_SHIFT 12
#define PAGE_SIZE (1ul << PAGE_SHIFT)

/* Blocks have 2^0 … 2^MAX_ORDER pages: 4 KiB … 1 GiB. */
#define MAX_ORDER 18
#define NR_ORDERS (MAX_ORDER + 1)

/* In a head's `order`: not a power-of-two block but a run of `nr_pages` pages. */
#define ORDER_RUN 31

/* A pageblock: 512 pages, 2 MiB. */
#define PAGEBLOCK_ORDER 9
#define PAGEBLOCK_PAGES (1u << PAGEBLOCK_ORDER)

enum page_type {
	PAGE_NONE,      /* not handed to the page allocator: no RAM, or reserved at boot */
	PAGE_INNER,     /* inside a block, not its head */
	PAGE_FREE,      /* head of a free block, in a buddy free list */
	PAGE_CACHED,    /* head of a free block, in a CPU's cache */
	PAGE_ALLOCATED, /* head of a block that a user of alloc_pages() holds */
	PAGE_SLAB,      /* part of a slab: `slab` is valid */
	PAGE_LARGE,     /* head of a kmalloc above the size classes */
	NR_PAGE_TYPES
};

/* The block holds a page that leaves when it is freed (mm/retire.c). No single damaged bit makes
 * it. */
#define PAGE_RETIRING 0xa5u

struct page {
	union {
		struct {
			u8 type;  /* enum page_type */
			u8 order; /* of the block, in its head */
			u8 zone;  /* zone id: node << 2 | enum zone_kind */
			u8 flags; /* 0, or PAGE_RETIRING in the head of an allocated block */
		};
		u32 head; /* the four above at once: one comparison tells a buddy that can merge */
	};
	union {
		u32 next;     /* PAGE_FREE: the list's next block, a frame number; 0: none */
		u32 nr_pages; /* heads with ORDER_RUN: from the head on */
	};
	union {
		struct {
			u32 prev; /* PAGE_FREE: the block before in the list, or 0 */
		};
		struct {
			u32 bytes; /* PAGE_LARGE: as requested */
			u32 site;  /* PAGE_LARGE: the call site's tag */
		};
		struct slab *slab; /* PAGE_SLAB: the record */
		struct page *link; /* PAGE_ALLOCATED: its owner's, for lists of blocks */
	};
};

static_assert(sizeof(struct page) == 16, "struct page is 16 bytes: 0.39 % of memory");
static_assert(offsetof(struct page, slab) == 8, "the slab pointer is naturally aligned");

/* The first word of a head: what a buddy that can merge, or a block that may be freed, must have.
 */
static __always_inline u32 page_head_word(enum page_type type, unsigned order, unsigned zone)
{
	return (u32)type | order << 8 | zone << 16;
}

static inline u32 page_to_pfn(const struct page *page)
{
	return (u32)(page - page_map);
}

static inline struct page *pfn_to_page(u32 pfn)
{
	return page_map + pfn;
}

static inline u64 page_to_phys(const struct page *page)
{
	return (u64)page_to_pfn(page) << PAGE_SHIFT;
}

/* The direct-map address of the page's first byte. */
static inline void *page_address(const struct page *page)
{
	return phys_to_virt(page_to_phys(page));
}

/* va: an address in RAM's direct map. */
static inline struct page *virt_to_page(const void *va)
{
	return pfn_to_page((u32)(virt_to_phys(va) >> PAGE_SHIFT));
}

/* The page's metadata, or NULL when none was ever written for that frame (no RAM, or inside a block
 * of 2 MiB and more that was never split). For any number. O(1). */
struct page *page_lookup(u64 pfn);

/*
 * The head of the block that contains the frame, whatever its type (for slabs: the page itself), or
 * NULL when the page allocator does not know the frame. O(orders). The answer is stable only while
 * the block's owner or lock keeps it. The second form looks into a private page map.
 */
struct page *page_block_of(u64 pfn);
struct page *page_block_in(struct page *map, const u8 *pageblock, u64 pfn);

/* The first frame of [pfn, end) in a pageblock whose byte vouches for something, or end. pfn is a
 * pageblock's first, or not below end. Reads eight bytes at a time: walks over untouched memory. */
u64 page_next_known_in(const u8 *pageblock, u64 pfn, u64 end);

/* "free", "slab" … */
const char *page_type_name(unsigned type);

/* How many pages the block at this head has. */
u64 page_block_pages(const struct page *head);
