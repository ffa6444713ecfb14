/*
 * The buddy allocator: which page frames are free, in blocks of 2^order.
 *
 * Idea (Knowlton, CACM 1965; Knuth, TAOCP 1, 2.5). A block of 2^order frames starts at a multiple
 * of 2^order. Split in two, its halves are buddies; their first frames differ in one bit, so the
 * buddy of a block is found by XOR: pfn ^ 2^order. Freeing a block whose buddy is free too makes
 * the parent block again, and so on upward.
 *
 * Free blocks of one order form a list through their heads' struct pages (frame numbers, not
 * pointers). A mask of the non-empty orders turns "the smallest block that is large enough" into
 * one bit-scan. So allocation and free cost at most one list operation an order, and never search.
 *
 * Metadata is written when it is first needed. Whole blocks of the highest order (1 GiB) that were
 * never handed out are not even listed: a few extents [start, end) stand for all of them, and one
 * block is listed when the lists have nothing that fits. So bringing up any amount of memory writes
 * the ragged edges of a range and two numbers. Splitting a block of 2 MiB for the first time writes
 * the 512 pages of its pageblock. The pageblock byte says how much may be believed: on a real
 * machine, what was never written holds whatever the last boot left there.
 *
 * Invariants, which buddy_check() walks and names:
 *   B1  a member of free list `o` is a PAGE_FREE head of order o in this zone, aligned to 2^o,
 *       inside the bounds
 *   B2  list links are symmetric, and 0 ends both directions
 *   B3  bit o of nonempty is set exactly while list o has members; nr_free_blocks[o] is its length,
 *       and that of the highest order counts the blocks of the extents too
 *   B4  nr_free_pages = Σ nr_free_blocks[o] << o
 *   B5  no free block has a free buddy of its own order (they would have merged)
 *   B6  the pageblock byte vouches for each free head: at least HEAD from 2 MiB up, FULL below
 *   B7  inside a free block every vouched-for page but the head is PAGE_INNER
 *   B8  every vouched-for PAGE_FREE page is on a list: walking the metadata finds the pages that
 *       are listed
 *   B9  an extent is whole blocks of the highest order, at least one, of what was added, and shares
 *       none with another extent
 *   B10 no pageblock byte of an extent vouches for anything
 *
 * Not here: locks, zones, gfp flags, per-CPU caches (zone.c, cpu_pages.c, page_alloc.c). Events
 * (mm/event.h) are told what happens to the machine's memory; nothing here depends on them.
 */
#include "buddy_internal.h"
#include "event_record.h"

#include <lib/assert.h>

static void set_pageblock_state(struct buddy *b, u32 pfn, u8 state)
{
	__atomic_store_n(&b->pageblock[pfn >> PAGEBLOCK_ORDER], state, __ATOMIC_RELEASE);
}

/* Writes the heads of [start, end), eight at a time: filling a pageblock is the dearest part of the
 * dearest allocation, and of bringing up memory. */
void buddy_fill(struct buddy *b, u32 start, u32 end, enum page_type type)
{
	struct page *page = &b->map[start], *last = &b->map[end];
	u32 word = page_head_word(type, 0, b->zone);

	for (; last - page >= 8; page += 8) {
		page[0].head = word;
		page[1].head = word;
		page[2].head = word;
		page[3].head = word;
		page[4].head = word;
		page[5].head = word;
		page[6].head = word;
		page[7].head = word;
	}
	for (; page < last; page++)
		page->head = word;
}

/* Writes all 512 heads of the pageblock; whoever covers it as a larger block rewrites that block's
 * head afterwards. */
static void fill_pageblock(struct buddy *b, u32 pfn)
{
	u32 start = (u32)align_down(pfn, PAGEBLOCK_PAGES);

	buddy_fill(b, start, start + PAGEBLOCK_PAGES, PAGE_INNER);
	set_pageblock_state(b, pfn, PAGEBLOCK_FULL);
}

/* Makes the metadata of a block of this order at pfn believable, before its head is written. */
void buddy_vouch(struct buddy *b, u32 pfn, unsigned order)
{
	u8 state = pageblock_state(b, pfn);

	if (order < PAGEBLOCK_ORDER && state != PAGEBLOCK_FULL)
		fill_pageblock(b, pfn);
	else if (state == PAGEBLOCK_UNKNOWN)
		set_pageblock_state(b, pfn, PAGEBLOCK_HEAD);
}

/*
 * Lists. Both functions are parts of inner loops: the map, and the block's size and head word as
 * free block, are the caller's, who has them in registers. The caller counts the pages.
 */
/* lab 3.1 */
static __always_inline void push(struct buddy *b, struct page *map, u32 pfn, unsigned order,
                                 u32 size, u32 free_word)
{
	struct page *page = &map[pfn];
	u32 next = b->head[order];

	page->next = next;
	page->prev = 0;
	if (next)
		map[next].prev = pfn;
	b->head[order] = pfn;
	b->nonempty |= size;
	b->nr_free_blocks[order]++;
	page->head = free_word;
}

static __noinline __cold _Noreturn void report_corruption(const struct buddy *b, u32 pfn,
                                                          unsigned order)
{
	panic("buddy: free list corrupted pfn=%#x order=%u next=%#x prev=%#x", pfn, order,
	      b->map[pfn].next, b->map[pfn].prev);
}

/* Both neighbours must point back, or the list was written over. */
/* lab 3.1 */
static __always_inline void unlink(struct buddy *b, struct page *map, u32 pfn, unsigned order,
                                   u32 size)
{
	u32 next = map[pfn].next, prev = map[pfn].prev;

	if (next) {
		if (unlikely(map[next].prev != pfn))
			report_corruption(b, pfn, order);
		map[next].prev = prev;
	}
	if (prev) {
		if (unlikely(map[prev].next != pfn))
			report_corruption(b, pfn, order);
		map[prev].next = next;
	} else {
		if (unlikely(b->head[order] != pfn))
			report_corruption(b, pfn, order);
		b->head[order] = next;
		if (next == 0)
			b->nonempty &= ~size;
	}
	b->nr_free_blocks[order]--;
}

static u32 free_word(const struct buddy *b, unsigned order)
{
	return page_head_word(PAGE_FREE, order, b->zone);
}

/* The part of release() from 2 MiB up. */
/* lab 3.3 */
static __noinline unsigned release_large(struct buddy *b, u32 pfn, unsigned order)
{
	for (; order < MAX_ORDER; order++) {
		u32 buddy = pfn ^ block_pages(order);

		if (!can_merge(b, buddy, order))
			break;
		unlink(b, b->map, buddy, order, block_pages(order));
		b->map[buddy].head = inner_word(b);
		pfn &= buddy;
	}
	push(b, b->map, pfn, order, block_pages(order), free_word(b, order));
	return order;
}

/*
 * Merge upward while the buddy is free at the same order (B5), then list the result. Of all heads
 * that are met only the result's stays one, and push() writes that; the block's own is PAGE_INNER
 * already. Returns the order of the result.
 *
 * Size and head word follow the order upward: this loop is most of what freeing costs.
 */
/* lab 3.3 */
static __always_inline unsigned release(struct buddy *b, struct page *map, u32 zone_word, u32 pfn,
                                        unsigned order)
{
	u32 size = block_pages(order), word = zone_word + page_head_word(PAGE_FREE, order, 0);

	for (; order < PAGEBLOCK_ORDER; order++, size *= 2, word += page_head_word(0, 1, 0)) {
		u32 buddy = pfn ^ size;

		if (!head_is(&map[buddy], word)) {
			push(b, map, pfn, order, size, word);
			return order;
		}
		unlink(b, map, buddy, order, size);
		map[buddy].head = zone_word + PAGE_INNER;
		pfn &= buddy;
	}
	return release_large(b, pfn, order);
}

static __noinline void release_small(struct buddy *b, u32 pfn, unsigned order)
{
	b->nr_merges += release(b, b->map, page_head_word(0, 0, b->zone), pfn, order) - order;
}

/* For <mm/event.h>. An instance of somebody's own, a test's say, is not the machine's memory. */
static __noinline void record_block(const struct buddy *b, enum event_kind kind, u32 pfn,
                                    unsigned order)
{
	if (b->map == page_map)
		event_block(kind, pfn, order, PAGE_SIZE << order, b->zone, 0);
}

/* What merged or was split: the other order is the event's size. */
static void record_step(const struct buddy *b, enum event_kind kind, u32 pfn, unsigned order,
                        u64 other)
{
	if (b->map == page_map && order != other)
		event_block(kind, align_down(pfn, block_pages(order)), order, other, b->zone, 0);
}

/* The free block is an inner page so far. */
static __noinline void release_recorded(struct buddy *b, u32 pfn, unsigned order)
{
	unsigned result;

	record_block(b, EVENT_BUDDY_FREE, pfn, order);
	result = release(b, b->map, page_head_word(0, 0, b->zone), pfn, order);
	b->nr_merges += result - order;
	record_step(b, EVENT_MERGE, pfn, result, order);
}

static __always_inline void release_block(struct buddy *b, u32 pfn, unsigned order)
{
	b->map[pfn].head = inner_word(b);
	b->nr_free_pages += block_pages(order);
	if (event_any())
		release_recorded(b, pfn, order);
	else if (order < PAGEBLOCK_ORDER)
		release_small(b, pfn, order);
	else
		b->nr_merges += release_large(b, pfn, order) - order;
}

void buddy_unlink_block(struct buddy *b, u32 pfn, unsigned order)
{
	if (event_any())
		record_block(b, EVENT_BUDDY_ALLOC, pfn, order);
	unlink(b, b->map, pfn, order, block_pages(order));
	b->nr_free_pages -= block_pages(order);
}

/* [start, end), already vouched for or inside blocks of ours, becomes free in the largest blocks it
 * can hold. */
void buddy_release_range(struct buddy *b, u32 start, u32 end)
{
	for_each_block(pfn, order, start, end)
	{
		buddy_vouch(b, pfn, order);
		release_block(b, pfn, order);
	}
}

/* The part of [start, end) in this one pageblock, which the range does not cover whole. */
static void add_edge(struct buddy *b, u32 start, u32 end)
{
	u32 first = (u32)align_down(start, PAGEBLOCK_PAGES);

	if (pageblock_state(b, start) != PAGEBLOCK_FULL) {
		buddy_fill(b, first, start, PAGE_NONE);
		buddy_fill(b, end, first + PAGEBLOCK_PAGES, PAGE_NONE);
	} else {
		for (u32 pfn = start; pfn < end; pfn++)
			if (b->map[pfn].type != PAGE_NONE)
				panic("buddy: frame added twice pfn=%#x", pfn);
	}
	buddy_fill(b, start, end, PAGE_INNER);
	set_pageblock_state(b, start, PAGEBLOCK_FULL);
}

/* --- untouched memory --- */

/* Whole blocks of the highest order. False: there is no room to remember them. */
static bool add_extent(struct buddy *b, u32 start, u32 end)
{
	struct buddy_extent *e = b->untouched, *last = e + b->nr_untouched;

	while (e < last && e->end != start)
		e++;
	if (e == last) {
		if (b->nr_untouched == BUDDY_EXTENTS)
			return false;
		b->nr_untouched++;
		e->start = start;
	}
	e->end = end;
	for (u32 pfn = start; event_any() && pfn < end; pfn += block_pages(MAX_ORDER))
		record_block(b, EVENT_BUDDY_FREE, pfn, MAX_ORDER);
	b->nr_free_blocks[MAX_ORDER] += (end - start) >> MAX_ORDER;
	b->nr_free_pages += end - start;
	return true;
}

/* These were counted all along; from now on they have metadata. */
void buddy_list_untouched(struct buddy *b, u32 start, u32 end)
{
	const u32 size = block_pages(MAX_ORDER);

	for (; start < end; start += size) {
		buddy_vouch(b, start, MAX_ORDER);
		push(b, b->map, start, MAX_ORDER, size, free_word(b, MAX_ORDER));
		b->nr_free_blocks[MAX_ORDER]--;
	}
}

/* Lists one block more, the last one's highest. False: there is none. */
static __noinline bool touch_block(struct buddy *b)
{
	const u32 size = block_pages(MAX_ORDER);
	struct buddy_extent *last;

	if (b->nr_untouched == 0)
		return false;
	last = &b->untouched[b->nr_untouched - 1];
	last->end -= size;
	buddy_list_untouched(b, last->end, last->end + size);
	if (last->start == last->end)
		b->nr_untouched--;
	return true;
}

bool buddy_is_untouched(const struct buddy *b, u64 pfn)
{
	for (u32 i = 0; i < data_race(b->nr_untouched); i++)
		if (pfn >= b->untouched[i].start && pfn < data_race(b->untouched[i].end))
			return true;
	return false;
}

/* Frees [start, end), of which nothing was handed out yet. */
static void release_new(struct buddy *b, u32 start, u32 end)
{
	u64 first = align_up(start, block_pages(MAX_ORDER));
	u64 last = align_down(end, block_pages(MAX_ORDER));

	if (first < last && add_extent(b, (u32)first, (u32)last)) {
		buddy_release_range(b, start, (u32)first);
		buddy_release_range(b, (u32)last, end);
	} else {
		buddy_release_range(b, start, end);
	}
}

void buddy_add_range(struct buddy *b, u32 start, u32 end)
{
	assert(start != 0 && start >= b->start && start < end && end <= b->end);
	for (u32 pfn = start; pfn < end;) {
		u32 stop = (u32)min_u64(pageblock_end(pfn), end);

		if (stop - pfn < PAGEBLOCK_PAGES) {
			add_edge(b, pfn, stop);
		} else {
			stop = (u32)align_down(end, PAGEBLOCK_PAGES);
		}
		pfn = stop;
	}
	release_new(b, start, end);
	b->low = (u32)min_u64(start, b->low);
	b->high = (u32)max_u64(end, b->high);
	b->nr_managed_pages += end - start;
}

/* --- allocation --- */

/* Cuts the block down from one order to another; the upper halves go on lists that are empty, or
 * the block would not have been the smallest that fits. */
/* lab 3.2 */
static void split(struct buddy *b, u32 pfn, unsigned from, unsigned order)
{
	struct page *map = b->map;

	b->nr_splits += from - order;
	b->nonempty |= block_pages(from) - block_pages(order);
	while (from > order) {
		u32 half = pfn + block_pages(--from);

		if (from >= PAGEBLOCK_ORDER - 1)
			buddy_vouch(b, half, from);
		map[half].head = page_head_word(PAGE_FREE, from, b->zone);
		map[half].next = map[half].prev = 0;
		b->head[from] = half;
		b->nr_free_blocks[from] = 1;
	}
}

/* The smallest listed block that is large enough, cut down to 2^order pages, its head not yet
 * written; or 0. */
/* lab 3.2 */
static __always_inline u32 take(struct buddy *b, unsigned order)
{
	u32 fitting = b->nonempty >> order, pfn;
	unsigned from;

	if (fitting == 0)
		return 0;
	from = order + lowest_bit(fitting);
	pfn = b->head[from];
	unlink(b, b->map, pfn, from, block_pages(from));
	b->nr_free_pages -= block_pages(order);
	if (from != order)
		split(b, pfn, from, order);
	return pfn;
}

/* No list has a block that is large enough. */
static __noinline u32 alloc_untouched(struct buddy *b, unsigned order)
{
	return order <= MAX_ORDER && touch_block(b) ? buddy_alloc(b, order) : 0;
}

/* take(), and the split that it made. */
static __noinline u32 take_recorded(struct buddy *b, unsigned order)
{
	u64 splits = b->nr_splits;
	u32 pfn = take(b, order);

	record_step(b, EVENT_SPLIT, pfn, order + (unsigned)(b->nr_splits - splits), order);
	return pfn;
}

/* lab 3.2, helper */
static __noinline u32 alloc_recorded(struct buddy *b, unsigned order)
{
	u32 pfn = order <= MAX_ORDER ? take_recorded(b, order) : 0;

	if (pfn == 0)
		return alloc_untouched(b, order);
	b->map[pfn].head = page_head_word(PAGE_ALLOCATED, order, b->zone);
	record_block(b, EVENT_BUDDY_ALLOC, pfn, order);
	return pfn;
}

/* lab 3.2 */
u32 buddy_alloc(struct buddy *b, unsigned order)
{
	if (event_any())
		return alloc_recorded(b, order);
	u32 pfn = order <= MAX_ORDER ? take(b, order) : 0;

	if (unlikely(pfn == 0))
		return alloc_untouched(b, order);
	b->map[pfn].head = page_head_word(PAGE_ALLOCATED, order, b->zone);
	return pfn;
}

/* Of which order a block is taken to get nr_pages in pieces of 2^order: the smallest that is there
 * already, so that what is in pieces is used up first, or else one that covers as much as it can.
 */
/* lab 3.5, helper */
static unsigned order_to_take(const struct buddy *b, unsigned order, u32 nr_pages)
{
	unsigned largest = highest_bit(nr_pages);
	u32 usable = b->nonempty & (block_pages(largest) - block_pages(order));

	return usable ? lowest_bit(usable) : largest;
}

/* lab 3.5, helper */
static __always_inline unsigned alloc_batch(struct buddy *b, unsigned order, unsigned n,
                                            struct page *pages[], bool recorded)
{
	const u32 cached = page_head_word(PAGE_CACHED, order, b->zone);
	const u64 step = block_pages(order);
	struct page **next = pages, **const end = pages + n;

	for (unsigned trips = 0; next < end && trips < BUDDY_BATCH_BLOCKS; trips++) {
		unsigned from = order_to_take(b, order, (u32)(end - next) << order);
		u32 pfn = recorded ? take_recorded(b, from) : take(b, from);
		struct page *first = &b->map[pfn], *page = first + block_pages(from);

		if (pfn == 0 && touch_block(b))
			continue;
		if (pfn == 0)
			break;
		do {
			page -= step;
			page->head = cached;
			*next++ = page;
		} while (page != first);
	}
	return (unsigned)(next - pages);
}

/* lab 3.5, helper */
static __noinline unsigned alloc_batch_recorded(struct buddy *b, unsigned order, unsigned n,
                                                struct page *pages[])
{
	unsigned nr = alloc_batch(b, order, n, pages, true);

	for (unsigned i = 0; i < nr; i++)
		record_block(b, EVENT_BUDDY_ALLOC, (u32)(pages[i] - b->map), order);
	return nr;
}

/* lab 3.5 */
unsigned buddy_alloc_batch(struct buddy *b, unsigned order, unsigned n, struct page *pages[])
{
	if (event_any())
		return alloc_batch_recorded(b, order, n, pages);
	return alloc_batch(b, order, n, pages, false);
}

/* What is wrong with freeing a frame that is no head: it depends on the block around it. */
/* lab 3.4 */
static const char *inner_fault(const struct buddy *b, u32 pfn)
{
	const struct page *head = page_block_in(b->map, b->pageblock, pfn);

	if (buddy_is_untouched(b, pfn))
		return "double free";
	if (head == NULL || head->zone != b->zone)
		return "not RAM";
	return head->type == PAGE_FREE ? "double free" : "not the head of a block";
}

/* lab 3.4 */
const char *buddy_free_fault(const struct buddy *b, u32 pfn, unsigned order)
{
	const struct page *page;

	if (order > MAX_ORDER)
		return "impossible order";
	if (pfn < b->start || pfn >= b->end)
		return "not RAM of this zone";
	page = &b->map[pfn];
	if (!is_vouched(b, pfn))
		return inner_fault(b, pfn);
	switch (page->type) {
	case PAGE_ALLOCATED:
	case PAGE_CACHED:
		return page->order == order ? NULL : "wrong order";
	case PAGE_FREE:
		return "double free";
	case PAGE_INNER:
		return inner_fault(b, pfn);
	case PAGE_SLAB:
		return "in use by a slab";
	case PAGE_LARGE:
		return "in use by kmalloc";
	default:
		return "not RAM";
	}
}

/* The common case of buddy_free_fault(): NULL. */
static __always_inline bool is_allocated(const struct buddy *b, u32 pfn, unsigned order)
{
	return order <= MAX_ORDER && pfn >= b->start && pfn < b->end && is_vouched(b, pfn) &&
	       b->map[pfn].head == page_head_word(PAGE_ALLOCATED, order, b->zone);
}

static __noinline __cold _Noreturn void refuse(const struct buddy *b, u32 pfn, unsigned order)
{
	const char *fault = buddy_free_fault(b, pfn, order);

	panic("buddy: %s pfn=%#x order=%u", fault ? fault : "in the wrong hands", pfn, order);
}

bool buddy_try_free(struct buddy *b, u32 pfn, unsigned order)
{
	if (unlikely(!is_allocated(b, pfn, order)))
		return false;
	release_block(b, pfn, order);
	return true;
}

/* lab 3.3 */
void buddy_free(struct buddy *b, u32 pfn, unsigned order)
{
	if (buddy_free_fault(b, pfn, order) != NULL)
		refuse(b, pfn, order);
	release_block(b, pfn, order);
}

/* Each with its own merges. */
/* lab 3.5, helper */
static __noinline unsigned free_batch_recorded(struct buddy *b, unsigned order, unsigned n,
                                               struct page *const pages[])
{
	u64 merges = b->nr_merges;
	unsigned nr = 0;

	for (; nr < n && b->nr_merges - merges + nr < BUDDY_BATCH_WORK; nr++) {
		u32 pfn = (u32)(pages[nr] - b->map);

		if (pages[nr]->head != page_head_word(PAGE_CACHED, order, b->zone))
			refuse(b, pfn, order);
		release_block(b, pfn, order);
	}
	return nr;
}

/* lab 3.5 */
unsigned buddy_free_batch(struct buddy *b, unsigned order, unsigned n, struct page *const pages[])
{
	const u32 zone_word = page_head_word(0, 0, b->zone);
	const u32 cached = zone_word + page_head_word(PAGE_CACHED, order, 0);
	struct page *const *next = pages, *const *end = pages + n, *map = b->map;
	unsigned work = 0, nr;

	if (event_any())
		return free_batch_recorded(b, order, n, pages);
	for (; next < end && work < BUDDY_BATCH_WORK; next++) {
		struct page *page = *next;
		u32 pfn = (u32)(page - map);

		if (unlikely(page->head != cached))
			refuse(b, pfn, order);
		page->head = zone_word + PAGE_INNER;
		work += release(b, map, zone_word, pfn, order) - order + 1;
	}
	nr = (unsigned)(next - pages);
	b->nr_merges += work - nr;
	b->nr_free_pages += nr << order;
	return nr;
}

void buddy_trim(struct buddy *b, u32 pfn, unsigned order, u32 nr_pages)
{
	struct page *head = &b->map[pfn];

	assert(nr_pages > 0 && nr_pages <= block_pages(order));
	assert(head->type == PAGE_ALLOCATED && head->order == order);
	buddy_release_range(b, pfn + nr_pages, pfn + block_pages(order));
	/* Last, because releasing a tail in the head's own pageblock may have filled that. */
	head->head = page_head_word(PAGE_ALLOCATED, ORDER_RUN, b->zone);
	head->nr_pages = nr_pages;
}

void buddy_set_apart(struct buddy *b, u32 pfn, unsigned order, u32 nr_pages, bool is_run)
{
	struct page *head = &b->map[pfn], *behind = head + nr_pages;

	assert(nr_pages > 0 && nr_pages < block_pages(order) && (is_run || is_pow2(nr_pages)));
	assert(head->type == PAGE_ALLOCATED && head->order == order);
	buddy_release_range(b, pfn + nr_pages + 1, pfn + block_pages(order));
	/* Last, as in buddy_trim(). */
	buddy_vouch(b, pfn + nr_pages, 0);
	behind->head = page_head_word(PAGE_ALLOCATED, 0, b->zone);
	head->head =
	    page_head_word(PAGE_ALLOCATED, is_run ? ORDER_RUN : highest_bit(nr_pages), b->zone);
	if (is_run)
		head->nr_pages = nr_pages;
}

void buddy_free_run(struct buddy *b, u32 pfn, u32 nr_pages)
{
	struct page *head = &b->map[pfn];

	if (pfn < b->start || pfn >= b->end || !is_vouched(b, pfn) ||
	    head->head != page_head_word(PAGE_ALLOCATED, ORDER_RUN, b->zone) ||
	    head->nr_pages != nr_pages)
		panic("buddy: not a run of this length pfn=%#x pages=%u", pfn, nr_pages);
	buddy_release_range(b, pfn, pfn + nr_pages);
}

void buddy_init(struct buddy *b, struct page *map, u8 *pageblock, u32 start, u32 end, u8 zone)
{
	assert(start < end);
	*b = (struct buddy){.map = map,
	                    .pageblock = pageblock,
	                    .start = start,
	                    .end = end,
	                    .low = end,
	                    .zone = zone};
}
