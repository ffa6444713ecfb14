/*
 * Zones: which memory a device can reach, and the lock around each buddy.
 *
 * A node's memory is cut at 16 MiB (old ISA DMA reaches no higher) and at 4 GiB (32-bit devices).
 * Each piece has a buddy of its own, so blocks never merge across an edge and an allocation that
 * needs low memory finds it without a search. The zone id (node and kind) in every struct page
 * leads back from a page to its zone.
 *
 * Invariants, beyond those of the buddy:
 *   Z1  a zone's buddy bounds are those of its kind, and its id is its place in zone_table
 *   Z2  min_free_pages <= free pages: the low-water mark follows every allocation
 *   Z3  min <= low <= high; ordinary requests that may use no higher zone end
 *       at min, urgent ones at half of it, those with __GFP_MEMALLOC at 0
 *
 * Marks (the idea is that of Linux, mm/page_alloc.c). A machine keeps as many pages as the square
 * root of its memory in KiB: 0.4 % of 1 GiB, 0.006 % of 4 TiB, because what must not wait grows
 * slower than memory. Each zone keeps its share: `min`. low is a quarter above it, high a half. And
 * a zone keeps a 256th of what the higher zones of its node have from those who could use them.
 * They are asked before the lock is taken, by whoever refills a CPU's stack or goes past it, so
 * CPUs that ask at the same time may go below by what they take; blocks on the stacks are
 * anybody's.
 *
 * Cost: the buddy's, plus one lock. A batch takes the lock once.
 * Not here: which zone to try (page_alloc.c), per-CPU caches (cpu_pages.c).
 */
#include "internal.h"

#include <lib/assert.h>

#define LOWMEM_RESERVE_RATIO 256

struct zone zone_table[MAX_ZONES];

static const struct {
	const char *name;
	u64 start, end; /* page frames */
} zone_kinds[NR_ZONE_KINDS] = {
    [ZONE_DMA] = {"DMA", 0, 16 * MIB >> PAGE_SHIFT},
    [ZONE_DMA32] = {"DMA32", 16 * MIB >> PAGE_SHIFT, 4 * GIB >> PAGE_SHIFT},
    [ZONE_NORMAL] = {"NORMAL", 4 * GIB >> PAGE_SHIFT, PLATFORM_MAX_PA >> PAGE_SHIFT},
};

static_assert(PLATFORM_MAX_PA >> PAGE_SHIFT <= UINT32_MAX, "frame numbers have 32 bits");
static_assert(__GFP_HIGH / __GFP_HIGH == DEPTH_HIGH && __GFP_MEMALLOC / __GFP_HIGH == DEPTH_ALL,
              "gfp_zone_depth() takes the bits as they are");
static_assert((MAX_NODES - 1) << 2 < 256, "a zone id is a byte of struct page");

u64 zone_kind_start_pfn(enum zone_kind kind)
{
	return zone_kinds[kind].start;
}

u64 zone_kind_end_pfn(enum zone_kind kind)
{
	return zone_kinds[kind].end;
}

struct zone *zone_next(const struct zone *z)
{
	struct zone *next = z == NULL ? zone_table : zone_table + (z - zone_table) + 1;

	for (; next < zone_table + MAX_ZONES; next++)
		if (next->buddy.nr_managed_pages != 0)
			return next;
	return NULL;
}

struct zone *zone_of_untouched(u64 pfn)
{
	for_each_zone(z)
		if (buddy_is_untouched(&z->buddy, pfn))
			return z;
	return NULL;
}

static void zone_init(struct zone *z, unsigned node, enum zone_kind kind)
{
	*z = (struct zone){
	    .name = zone_kinds[kind].name,
	    .id = ZONE_ID(node, kind),
	    .node = (u8)node,
	    .kind = (u8)kind,
	};
	spin_init(&z->lock, "zone");
	buddy_init(&z->buddy, page_map, pageblock_map, (u32)zone_kinds[kind].start,
	           (u32)zone_kinds[kind].end, z->id);
}

void zone_init_all(void)
{
	for (unsigned node = 0; node < MAX_NODES; node++)
		for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++)
			zone_init(&zone_table[ZONE_ID(node, kind)], node, kind);
}

/* The largest number whose square is at most n < 2^62. */
static u64 square_root(u64 n)
{
	u64 root = 0;

	for (u64 bit = 1ull << 30; bit != 0; bit >>= 1)
		if ((root + bit) * (root + bit) <= n)
			root += bit;
	return root;
}

/* What the zone keeps from requests that may use zones up to that kind. */
static u64 lowmem_reserve(const struct zone *z, unsigned highest)
{
	u64 higher = 0;

	for (unsigned kind = z->kind + 1u; kind <= highest; kind++)
		higher += zone_table[ZONE_ID((unsigned)z->node, kind)].buddy.nr_managed_pages;
	return higher / LOWMEM_RESERVE_RATIO;
}

static void set_marks(struct zone *z, u64 min)
{
	z->mark[MARK_MIN] = min;
	z->mark[MARK_LOW] = min + min / 4;
	z->mark[MARK_HIGH] = min + min / 2;
	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
		z->floor[DEPTH_ORDINARY][kind] = min + lowmem_reserve(z, kind);
		z->floor[DEPTH_HIGH][kind] = min / 2 + lowmem_reserve(z, kind);
	} /* the others leave nothing: 0, as zone_init() made them */
}

void zone_set_marks(void)
{
	u64 total = 0, reserve;

	for_each_zone(z)
		total += z->buddy.nr_managed_pages;
	reserve = square_root(total << PAGE_SHIFT >> 10);
	for_each_zone(z)
		set_marks(z, reserve * z->buddy.nr_managed_pages / total);
}

void zone_add_range(unsigned node, u64 start_pfn, u64 end_pfn)
{
	assert(node < MAX_NODES);
	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++) {
		struct zone *z = &zone_table[ZONE_ID(node, kind)];
		u64 start = max_u64(start_pfn, zone_kinds[kind].start);
		u64 end = min_u64(end_pfn, zone_kinds[kind].end);

		if (start < end) {
			u64 flags = zone_lock(z);

			platform_pages_freed(pfn_to_page((u32)start), end - start);
			buddy_add_range(&z->buddy, (u32)start, (u32)end);
			if (z->nr_allocs == 0)
				z->min_free_pages = z->buddy.nr_free_pages;
			spin_unlock_irq(&z->lock, flags);
		}
	}
}

static void count_alloc(struct zone *z, unsigned nr_blocks)
{
	spin_assert_held(&z->lock);
	z->nr_allocs += nr_blocks;
	if (z->buddy.nr_free_pages < z->min_free_pages)
		z->min_free_pages = z->buddy.nr_free_pages;
}

/* After an allocation, the lock released. */
static __always_inline void watch_low(const struct zone *z)
{
	if (unlikely(zone_below(z, MARK_LOW)))
		platform_reclaim_wanted();
}

struct page *zone_alloc(struct zone *z, unsigned order)
{
	u64 flags = zone_lock(z);
	u32 pfn = buddy_alloc(&z->buddy, order);

	if (pfn)
		count_alloc(z, 1);
	else
		z->nr_failures++;
	spin_unlock_irq(&z->lock, flags);
	watch_low(z);
	return pfn ? pfn_to_page(pfn) : NULL;
}

bool zone_free(struct zone *z, struct page *page, unsigned order)
{
	u64 flags = zone_lock(z);
	bool freed = buddy_try_free(&z->buddy, page_to_pfn(page), order);

	if (freed)
		platform_pages_freed(page, 1ull << order);
	z->nr_frees += freed;
	spin_unlock_irq(&z->lock, flags);
	return freed;
}

struct page *zone_alloc_apart(struct zone *z, unsigned order, u32 nr_pages)
{
	u32 pages = nr_pages != 0 ? nr_pages : 1u << order, pfn = 0;
	unsigned whole = log2_ceil(pages + 1);
	u64 flags = zone_lock(z);

	if (whole <= MAX_ORDER)
		pfn = buddy_alloc(&z->buddy, whole);
	if (pfn != 0) {
		buddy_set_apart(&z->buddy, pfn, whole, pages, nr_pages != 0);
		count_alloc(z, 2);
	}
	spin_unlock_irq(&z->lock, flags);
	watch_low(z);
	return pfn != 0 ? pfn_to_page(pfn) : NULL;
}

struct page *zone_alloc_run(struct zone *z, u32 nr_pages)
{
	unsigned order = log2_ceil(nr_pages);
	u64 flags = zone_lock(z);
	u32 pfn = buddy_alloc(&z->buddy, order);

	if (pfn) {
		buddy_trim(&z->buddy, pfn, order, nr_pages);
		count_alloc(z, 1);
	} else {
		z->nr_failures++;
	}
	spin_unlock_irq(&z->lock, flags);
	watch_low(z);
	return pfn ? pfn_to_page(pfn) : NULL;
}

void zone_free_run(struct zone *z, struct page *head, u32 nr_pages)
{
	u64 flags = zone_lock(z);

	platform_pages_freed(head, nr_pages);
	buddy_free_run(&z->buddy, page_to_pfn(head), nr_pages);
	z->nr_frees++;
	if (unlikely(retire_is_wanted()))
		retire_collect_locked(z, page_to_pfn(head), nr_pages);
	spin_unlock_irq(&z->lock, flags);
}

unsigned zone_alloc_batch(struct zone *z, unsigned order, unsigned n, struct page *pages[])
{
	unsigned nr;

	spin_lock(&z->lock);
	z->nr_lock_acquisitions++;
	nr = buddy_alloc_batch(&z->buddy, order, n, pages);
	count_alloc(z, nr);
	z->nr_failures += nr == 0;
	spin_unlock(&z->lock);
	watch_low(z);
	return nr;
}

unsigned zone_free_batch(struct zone *z, unsigned order, unsigned n, struct page *const pages[])
{
	unsigned nr;

	spin_lock(&z->lock);
	z->nr_lock_acquisitions++;
	nr = buddy_free_batch(&z->buddy, order, n, pages);
	z->nr_frees += nr;
	spin_unlock(&z->lock);
	return nr;
}

u64 zone_free_pages(const struct zone *z)
{
	return z->buddy.nr_free_pages;
}

static const char *check_marks(const struct zone *z)
{
	const u64 *mark = z->mark, min = mark[MARK_MIN];

	if (min > mark[MARK_LOW] || mark[MARK_LOW] > mark[MARK_HIGH])
		return "Z3: a zone's marks do not ascend";
	if (z->floor[DEPTH_ORDINARY][z->kind] != min || z->floor[DEPTH_HIGH][z->kind] != min / 2 ||
	    z->floor[DEPTH_ALL][z->kind] != 0)
		return "Z3: what requests leave in a zone is not what its marks say";
	return NULL;
}

const char *zone_check(struct zone *z)
{
	const char *fault;
	u64 flags;

	if (z != &zone_table[z->id] || z->id != ZONE_ID(z->node, z->kind) || z->buddy.zone != z->id)
		return "Z1: a zone's id is not its place in the table";
	if (z->buddy.start != zone_kinds[z->kind].start || z->buddy.end != zone_kinds[z->kind].end)
		return "Z1: a zone's bounds are not those of its kind";
	flags = zone_lock(z);
	fault = buddy_check(&z->buddy);
	if (fault == NULL && z->min_free_pages > z->buddy.nr_free_pages)
		fault = "Z2: fewer pages are free than the low-water mark says";
	if (fault == NULL)
		fault = check_marks(z);
	spin_unlock_irq(&z->lock, flags);
	return fault;
}
