/*
 * Pages under `slab_debug=P` and `init_on_…=`: filled when they are freed, verified when they are
 * allocated.
 *
 * Free pages are POISON_PAGE where P is on, zeros with init_on_free alone. A bit a page says which
 * were filled: memory that was never handed out holds what the firmware left, and is not filled at
 * boot. Ranges that alloc_contig_pages() gave, and pages on loan, come back without a fill; their
 * bits are clear then.
 *
 * While this is on, no page waits in a CPU's stack (cpu_pages.c): allocations and frees of all
 * orders pass through here.
 *
 *   PG1  a page whose bit is set is free, and every byte of it is the fill
 *
 * Damaged pages are free again when the machine panics, so that a test may repair them.
 *
 * Cost: a store or a load an 8-byte word of the pages; a bit a page of memory (1/32768). Bits are
 * changed with atomic instructions, since 64 pages share a word; no lock.
 */
#include "debug_internal.h"

#include <lib/log.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

#define WAITING_MAX (4 * MIB / PAGE_SIZE) /* in quarantine, at most */

bool page_debug_on;

static struct {
	bool poison, zero_alloc, zero_free;
	u64 *filled; /* A: a bit for each frame below nr_frames */
	u64 nr_frames;
} state;

static u8 fill_byte(void)
{
	return state.poison ? POISON_PAGE : 0;
}

static void set_filled(u64 pfn)
{
	if (pfn < state.nr_frames)
		__atomic_fetch_or(&state.filled[pfn / 64], 1ull << pfn % 64, __ATOMIC_RELAXED);
}

static bool is_filled(u64 pfn)
{
	return pfn < state.nr_frames &&
	       (__atomic_load_n(&state.filled[pfn / 64], __ATOMIC_RELAXED) >> pfn % 64 & 1) != 0;
}

static void forget(u64 pfn)
{
	if (pfn < state.nr_frames)
		__atomic_fetch_and(&state.filled[pfn / 64], ~(1ull << pfn % 64), __ATOMIC_RELAXED);
}

void page_debug_forget(u64 pfn, u64 nr_pages)
{
	for (u64 i = 0; i < nr_pages; i++)
		forget(pfn + i);
}

/* Gives the pages back as they are, if they are a block, and panics. Interrupts off for one that
 * waited in quarantine. */
static _Noreturn void report(struct page *head, const char *page, const void *at)
{
	struct damage d = {.found = true,
	                   .kind = REPORT_WRITE_AFTER_FREE,
	                   .where = "pages",
	                   .object = page,
	                   .at = at,
	                   .size = PAGE_SIZE,
	                   .is = mark_read(at),
	                   .should = fill_byte()};

	if (head->type == PAGE_CACHED)
		(void)zone_free_batch(page_zone(head), head->order, 1, &head);
	else if (head->order <= MAX_ORDER)
		(void)zone_free(page_zone(head), head, head->order);
	report_damage(&d);
}

void page_debug_verify(struct page *head, u64 nr_pages)
{
	u64 pfn = page_to_pfn(head);

	for (u64 i = 0; i < nr_pages; i++) {
		const char *page = phys_to_virt((pfn + i) << PAGE_SHIFT);
		const void *at = NULL;

		if (is_filled(pfn + i))
			at = mark_find_other(page, fill_byte(), PAGE_SIZE);
		if (at != NULL)
			report(head, page, at);
	}
}

void page_debug_allocated(struct page *head, u64 nr_pages)
{
	page_debug_verify(head, nr_pages);
	page_debug_forget(page_to_pfn(head), nr_pages);
	if (state.zero_alloc)
		memset(page_address(head), 0, nr_pages << PAGE_SHIFT);
}

void page_debug_freed(struct page *head, u64 nr_pages)
{
	u64 pfn = page_to_pfn(head);

	if (page_gaps_on)
		page_gap_freed(head, nr_pages);
	for (u64 i = 0; i < nr_pages && (state.poison || state.zero_free); i++) {
		mark_fill(phys_to_virt((pfn + i) << PAGE_SHIFT), fill_byte(), PAGE_SIZE);
		set_filled(pfn + i);
	}
}

static u64 waiting_max(void)
{
	u64 managed = 0;

	for_each_zone(z)
		managed += z->buddy.nr_managed_pages;
	return min_u64(managed / 64, WAITING_MAX);
}

static u64 bitmap_bytes(u64 frames)
{
	return align_up(div_round_up(frames, 8), PAGE_SIZE);
}

/* One past the last frame of all zones. */
static u64 highest_frame(void)
{
	u64 end = 0;

	for_each_zone(z)
		end = max_u64(end, z->buddy.high);
	return end;
}

void page_debug_finish(void)
{
	(void)page_quarantine_limit(0);
	page_debug_on = page_gaps_on = false;
	if (state.filled != NULL)
		free_pages_exact(state.filled, bitmap_bytes(state.nr_frames));
	memset(&state, 0, sizeof(state));
}

void page_debug_init(void)
{
	unsigned letters = mm_debug_letters("pages");
	u64 frames = highest_frame();

	memset(&state, 0, sizeof(state));
	state.poison = letters & DEBUG_POISON;
	state.zero_alloc = letters & DEBUG_ZERO_ALLOC;
	state.zero_free = letters & DEBUG_ZERO_FREE;
	page_gaps_on = mm_debug_choice().page_red_zones;
	page_debug_on = page_gaps_on || (letters & DEBUG_QUARANTINE) != 0;
	page_quarantine_init(letters & DEBUG_QUARANTINE ? waiting_max() : 0);
	if (!state.poison && !state.zero_alloc && !state.zero_free)
		return;
	state.filled =
	    alloc_pages_exact(bitmap_bytes(frames), GFP_NOWAIT | __GFP_NOWARN | __GFP_ZERO);
	if (state.filled == NULL)
		log_warn("slab_debug: no memory for a bit a page: pages are not verified");
	else
		state.nr_frames = frames;
	page_debug_on = true;
}
