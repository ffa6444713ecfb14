/*
 * Pages that leave because their memory is bad.
 *
 * A free one leaves at once, as pages_offline() has it. One in use is noted in a small table, and
 * leaves in the moment in which its block is freed. The common free asks nothing for that: the head
 * of the block gets a flag, so that its word is not the one that may be pushed on a CPU's stack,
 * and what looks wrong is looked at slowly. Slabs, runs and contiguous ranges are freed rarely:
 * there a count says whether to look into the table.
 *
 * No free may be missed, and the frees do nothing for it. So the work is here, three moments of a
 * free apart:
 *   - A zone's lock is held while the block is looked at: who frees under it comes before or after.
 *   - The fast ways read the head, and write it a few instructions later. The flag is set by a
 *     compare-and-exchange; then every other CPU is seen once outside the fast paths, and only a
 *     flag that is still there then counts.
 *   - A slab that goes calls its pages allocated, and then reads the count. Between noting and
 *     looking every CPU is interrupted once (a barrier that costs those who free nothing): whoever
 *     read the count before has called them allocated before, too, and that is seen.
 * A block that changes hands just then is looked at again.
 *
 *   R1  a page of the table that has left belongs to no block; the sums are those of the table
 *
 * Cost: nothing for whoever frees other pages. Locks: the table's, inside a zone's.
 */
#include "internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

#define LOOKS 100 /* a page in a loop of allocating and freeing is caught in one or two */

struct retiree {
	u32 pfn;   /* 0: no entry */
	bool left; /* or noted */
};

static struct retiree table[PAGE_RETIRE_MAX]; /* L */
static struct page_retire_stats sums;         /* L */
static struct spinlock table_lock = SPINLOCK_INIT("retired pages");
u32 retire_nr_noted; /* A: sums.nr_noted */

#define for_each_retiree(r) for (struct retiree *r = table; (r) < table + PAGE_RETIRE_MAX; (r)++)

void retire_init(void)
{
	memset(table, 0, sizeof(table));
	sums = (struct page_retire_stats){0, 0};
	retire_nr_noted = 0;
}

/* --- the table --- */

static struct retiree *find_locked(u32 pfn)
{
	for_each_retiree(r)
		if (r->pfn == pfn)
			return r;
	return NULL;
}

static void count_locked(void)
{
	sums = (struct page_retire_stats){0, 0};
	for_each_retiree(r) {
		sums.nr_left += r->pfn != 0 && r->left;
		sums.nr_noted += r->pfn != 0 && !r->left;
	}
	__atomic_store_n(&retire_nr_noted, (u32)sums.nr_noted, __ATOMIC_RELEASE);
}

/* 0: it has left before; -EBUSY: it is noted now; -ENOSPC. */
static int note(u32 pfn)
{
	u64 irq = spin_lock_irq(&table_lock);
	struct retiree *r = find_locked(pfn), *empty = find_locked(0);
	int error = -EBUSY;

	if (r != NULL)
		error = r->left ? 0 : -EBUSY;
	else if (empty == NULL)
		error = -ENOSPC;
	else
		*empty = (struct retiree){pfn, false};
	count_locked();
	spin_unlock_irq(&table_lock, irq);
	return error;
}

/* --- freed --- */

/* Takes the page out of the zone, whose lock is held. False: it is not free. */
static bool take_locked(struct zone *z, u32 pfn)
{
	spin_assert_held(&z->lock);
	if (!buddy_claim(&z->buddy, pfn, pfn + 1))
		return false;
	buddy_remove(&z->buddy, pfn, pfn + 1);
	z->min_free_pages = min_u64(z->min_free_pages, z->buddy.nr_free_pages);
	return true;
}

void retire_collect_locked(struct zone *z, u32 pfn, u64 nr_pages)
{
	spin_lock(&table_lock);
	for_each_retiree(r)
		if (r->pfn != 0 && !r->left && r->pfn - (u64)pfn < nr_pages)
			r->left = take_locked(z, r->pfn);
	count_locked();
	spin_unlock(&table_lock);
}

static u32 marked_word(unsigned order, unsigned zone)
{
	return page_head_word(PAGE_ALLOCATED, order, zone) | PAGE_RETIRING << 24;
}

bool retire_free(struct page *page, unsigned order)
{
	u32 pfn = page_to_pfn(page);
	bool freed = false;
	struct zone *z;
	u64 irq;

	if (order > MAX_ORDER || page_state(page) == PAGEBLOCK_UNKNOWN ||
	    page_lookup(pfn) == NULL || page->zone >= MAX_ZONES)
		return false;
	z = page_zone(page);
	irq = spin_lock_irq(&z->lock);
	if (page->head == marked_word(order, z->id)) {
		page->head = page_head_word(PAGE_ALLOCATED, order, z->id);
		freed = buddy_try_free(&z->buddy, pfn, order);
		if (freed)
			platform_pages_freed(page, 1ull << order);
		z->nr_frees += freed;
		retire_collect_locked(z, pfn, 1ull << order);
	}
	spin_unlock_irq(&z->lock, irq);
	return freed;
}

void retire_mark_owned(struct page *head, u32 nr_pages)
{
	u64 irq = spin_lock_irq(&table_lock);

	for_each_retiree(r)
		if (head->order != ORDER_RUN && r->pfn != 0 && !r->left &&
		    r->pfn - (u64)page_to_pfn(head) < nr_pages)
			head->flags = PAGE_RETIRING;
	spin_unlock_irq(&table_lock, irq);
}

/* --- in use --- */

/* Where a page was found in one moment. */
enum place {
	PLACE_LEFT,   /* free, so it left */
	PLACE_OWNED,  /* in a slab or a run: its release reads the count */
	PLACE_MARKED, /* its head has the flag */
	PLACE_BETWEEN /* in a CPU's cache, or changing hands */
};

static bool has_left(u64 pfn)
{
	u64 irq = spin_lock_irq(&table_lock);
	const struct retiree *r = find_locked((u32)pfn);
	bool left = r != NULL && r->left;

	spin_unlock_irq(&table_lock, irq);
	return left;
}

static bool is_run_or_slab(u32 word, unsigned zone)
{
	return (u8)word == PAGE_SLAB || (u8)word == PAGE_LARGE ||
	       word == page_head_word(PAGE_ALLOCATED, ORDER_RUN, zone);
}

/* The head of an allocated block gets the flag. False: it is something else by now. */
static bool mark(struct page *head, u32 word)
{
	u32 plain = word & 0xffffff, marked = plain | PAGE_RETIRING << 24;

	if ((u8)plain != PAGE_ALLOCATED || (u8)(plain >> 8) > MAX_ORDER)
		return false;
	return __atomic_compare_exchange_n(&head->head, &plain, marked, false, __ATOMIC_ACQ_REL,
	                                   __ATOMIC_RELAXED) ||
	       plain == marked;
}

static enum place place_locked(struct zone *z, u32 pfn, struct page **head)
{
	u32 word;

	retire_collect_locked(z, pfn, 1);
	if (has_left(pfn))
		return PLACE_LEFT;
	*head = page_block_of(pfn);
	if (*head == NULL)
		return PLACE_BETWEEN;
	word = __atomic_load_n(&(*head)->head, __ATOMIC_ACQUIRE);
	if (is_run_or_slab(word, z->id))
		return PLACE_OWNED;
	return mark(*head, word) ? PLACE_MARKED : PLACE_BETWEEN;
}

static enum place look(struct zone *z, u32 pfn, struct page **head)
{
	u64 irq = spin_lock_irq(&z->lock);
	enum place place = place_locked(z, pfn, head);

	spin_unlock_irq(&z->lock, irq);
	return place;
}

static void do_nothing(void)
{
}

/* Nobody who read the head before overwrites it any more. */
static bool is_marked_for_good(const struct page *head)
{
	return platform_on_other_cpus(do_nothing) &&
	       (__atomic_load_n(&head->head, __ATOMIC_ACQUIRE) >> 24) == PAGE_RETIRING;
}

/* The page is noted. 0: it has left. -EBUSY: its free will not be missed. -EAGAIN: it may be. */
static int catch_page(struct zone *z, u32 pfn)
{
	bool others_saw_the_note = platform_on_other_cpus(do_nothing);
	struct page *head;

	for (unsigned i = 0; i < LOOKS; i++) {
		enum place place = look(z, pfn, &head);

		if (place == PLACE_LEFT)
			return 0;
		if (!others_saw_the_note && place != PLACE_BETWEEN)
			return -EAGAIN;
		if (place == PLACE_OWNED || (place == PLACE_MARKED && is_marked_for_good(head)))
			return -EBUSY;
		empty_all_caches();
	}
	return -EAGAIN;
}

/* Whether the frame is in the zone now. Its block may be changing hands: only the lock knows. */
static bool is_managed(struct zone *z, u64 pfn)
{
	u64 irq = spin_lock_irq(&z->lock);
	bool managed = page_block_of(pfn) != NULL || buddy_is_untouched(&z->buddy, pfn);

	spin_unlock_irq(&z->lock, irq);
	return managed;
}

int page_retire(u64 pfn)
{
	struct zone *z;
	int error;

	if (pfn == 0 || pfn >= PLATFORM_MAX_PA >> PAGE_SHIFT)
		return -EINVAL;
	z = zone_of_range(pfn, 1);
	if (z == NULL || !is_managed(z, pfn))
		return has_left(pfn) ? 0 : -EINVAL;
	error = note((u32)pfn);
	return error == -EBUSY ? catch_page(z, (u32)pfn) : error;
}

int page_unretire(u64 pfn)
{
	u64 irq = spin_lock_irq(&table_lock);
	struct retiree *r = pfn != 0 && pfn <= UINT32_MAX ? find_locked((u32)pfn) : NULL;
	bool left = r != NULL && r->left;

	if (r != NULL)
		*r = (struct retiree){0, false};
	count_locked();
	spin_unlock_irq(&table_lock, irq);
	if (r == NULL)
		return -ENOENT;
	return left ? pages_online(pfn, 1) : 0;
}

/* --- looking in --- */

void page_retire_stats(struct page_retire_stats *out)
{
	u64 irq = spin_lock_irq(&table_lock);

	*out = sums;
	spin_unlock_irq(&table_lock, irq);
}

u64 page_retire_next(u64 after, bool *left)
{
	u64 irq = spin_lock_irq(&table_lock), next = 0;

	for_each_retiree(r)
		if (r->pfn > after && (next == 0 || r->pfn < next)) {
			next = r->pfn;
			*left = r->left;
		}
	spin_unlock_irq(&table_lock, irq);
	return next;
}

const char *retire_check(void)
{
	u64 irq = spin_lock_irq(&table_lock);
	u64 nr_left = 0, nr_noted = 0;
	bool owned = false;

	for_each_retiree(r) {
		if (r->pfn == 0)
			continue;
		nr_left += r->left;
		nr_noted += !r->left;
		owned |= r->left && page_block_of(r->pfn) != NULL;
	}
	spin_unlock_irq(&table_lock, irq);
	if (owned)
		return "R1: a page that has left belongs to a block";
	return nr_left != sums.nr_left || nr_noted != sums.nr_noted || nr_noted != retire_nr_noted
	           ? "R1: the sums are not those of the table"
	           : NULL;
}
