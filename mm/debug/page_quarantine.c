/*
 * Quarantine of pages (`slab_debug=Q`, of `pages`): what is freed waits before it is anybody's
 * again, so that a use of it afterwards meets poison, and not the next owner's data.
 *
 * Single pages and blocks of up to 8 wait, in one queue for the machine, first in, first out, up to
 * 4 MiB or a 64th of memory; larger blocks are free at once. With P what leaves is verified, and
 * again when it is allocated. drain_cpu_pages() empties the queue: before an allocation fails, for
 * reclaim, for whoever wants contiguous memory.
 *
 *   PQ1  what waits are PAGE_CACHED heads, linked in the order of their frees; together they have
 *        nr_pages pages
 *
 * So a second free of one is a double free, and the books count it as in a CPU's cache.
 *
 * Cost: two links a free; no memory. Only frees that pass page_debug.c come here. Lock: its own,
 * which is not held while a page is verified or goes to its zone.
 */
#include "debug_internal.h"

#include <lib/race.h>

static struct {
	struct spinlock lock;
	struct page *first, *last; /* L */
	u64 nr_pages;              /* L */
	u64 limit;                 /* L: 0: nothing waits */
} queue = {.lock = SPINLOCK_INIT("page quarantine")};

/* The oldest, if there are more pages than that. Interrupts off. */
static struct page *take_beyond(u64 limit)
{
	struct page *page = NULL;

	spin_lock(&queue.lock);
	if (queue.nr_pages > limit) {
		page = queue.first;
		queue.first = page->link;
		queue.nr_pages -= page_block_pages(page);
	}
	spin_unlock(&queue.lock);
	return page;
}

static void free_beyond(u64 limit)
{
	u64 flags = irq_save();
	struct page *page;

	while ((page = take_beyond(limit)) != NULL) {
		page_debug_verify(page, page_block_pages(page));
		(void)zone_free_batch(page_zone(page), page->order, 1, &page);
		irq_restore(flags); /* there may be many */
		(void)irq_save();
	}
	irq_restore(flags);
}

bool page_quarantine_add(struct page *page, unsigned order)
{
	const u32 live = page_head_word(PAGE_ALLOCATED, order, page->zone);
	u64 flags = spin_lock_irq(&queue.lock), limit = queue.limit;
	bool added = limit >= 1ull << order && page->head == live;

	if (added) {
		page->head = page_head_word(PAGE_CACHED, order, page->zone);
		page->link = NULL;
		*(queue.nr_pages == 0 ? &queue.first : &queue.last->link) = page;
		queue.last = page;
		queue.nr_pages += 1ull << order;
	}
	spin_unlock_irq(&queue.lock, flags);
	if (added)
		free_beyond(limit);
	return added;
}

void page_quarantine_drain(void)
{
	free_beyond(0);
}

u64 page_quarantine_limit(u64 nr_pages)
{
	u64 flags = spin_lock_irq(&queue.lock), former = queue.limit;

	queue.limit = nr_pages;
	spin_unlock_irq(&queue.lock, flags);
	free_beyond(nr_pages);
	return former;
}

void page_quarantine_init(u64 nr_pages)
{
	queue.nr_pages = 0; /* another machine's, if any, are gone with it */
	queue.limit = nr_pages;
}

u64 page_quarantine_pages(void)
{
	return data_race(queue.nr_pages);
}

static bool is_sound(const struct page *page, u64 nr_left)
{
	return page != NULL && page_state(page) == PAGEBLOCK_FULL &&
	       page->order < CPU_PAGE_ORDERS &&
	       page->head == page_head_word(PAGE_CACHED, page->order, page->zone) &&
	       page_block_pages(page) <= nr_left;
}

const char *page_quarantine_check(void)
{
	u64 flags = spin_lock_irq(&queue.lock), nr_left = queue.nr_pages;
	const struct page *page = queue.first;

	while (nr_left != 0 && is_sound(page, nr_left)) {
		nr_left -= page_block_pages(page);
		page = page->link;
	}
	spin_unlock_irq(&queue.lock, flags);
	return nr_left != 0 ? "PQ1: a page that waits is no cached block, or one too many" : NULL;
}
