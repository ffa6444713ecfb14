/*
 * Pages that leave because their memory is bad.
 *
 * A free one leaves at once, as pages_offline() has it. One in use is noted in a small table, and
 * leaves in the moment in which its block is freed. The common free asks nothing for that: the head
 * of the block gets a flag, so that its word is not the one that may be pushed on a CPU's stack,
 * and what looks wrong is looked at slowly. Slabs, runs and contiguous ranges are freed rarely:
 * there a count says whether to look into the table.
 *
 * The flag is set by a compare-and-exchange; but who has read the word just before, to free the
 * block, overwrites it. So after setting it every other CPU is made to leave the fast paths, and
 * only a flag that is still there then counts.
 *
 *   R1  a page of the table that has left belongs to no block; the sums are those of the table
 *
 * Cost: nothing for whoever frees other pages. Locks: the table's, inside a zone's.
 */
#include "internal.h"

#include <lib/assert.h>
#include <mm/page_alloc.h>

#define MARK_TRIES 8

struct retiree {
	u32 pfn;   /* 0: no entry */
	bool left; /* or noted */
};

static struct retiree table[PAGE_RETIRE_MAX]; /* L */
static struct page_retire_stats sums;         /* L */
static struct spinlock table_lock = SPINLOCK_INIT("retired pages");
u32 retire_nr_noted; /* A: sums.nr_noted */

void retire_init(void)
{
	for (unsigned i = 0; i < PAGE_RETIRE_MAX; i++)
		table[i] = (struct retiree){0, false};
	sums = (struct page_retire_stats){0, 0};
	retire_nr_noted = 0;
}

/* --- the table --- */

static struct retiree *find_locked(u32 pfn)
{
	for (struct retiree *r = table; r < table + PAGE_RETIRE_MAX; r++)
		if (r->pfn == pfn)
			return r;
	return NULL;
}

static void count_locked(void)
{
	sums = (struct page_retire_stats){0, 0};
	for (unsigned i = 0; i < PAGE_RETIRE_MAX; i++) {
		sums.nr_left += table[i].pfn != 0 && table[i].left;
		sums.nr_noted += table[i].pfn != 0 && !table[i].left;
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
	for (struct retiree *r = table; r < table + PAGE_RETIRE_MAX; r++)
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

	for (const struct retiree *r = table; r < table + PAGE_RETIRE_MAX; r++)
		if (head->order != ORDER_RUN && r->pfn != 0 && !r->left &&
		    r->pfn - (u64)page_to_pfn(head) < nr_pages)
			head->flags = PAGE_RETIRING;
	spin_unlock_irq(&table_lock, irq);
}

/* --- in use --- */

static void do_nothing(void)
{
}

/* Sees to it that the block's free finds the page. False: it was freed meanwhile, or it came into
 * other hands. */
static bool mark(u32 pfn)
{
	struct page *head = page_block_of(pfn);
	u32 plain, marked;

	if (head == NULL || head->type == PAGE_FREE || head->type == PAGE_CACHED)
		return false;
	plain = data_race(head->head); /* the exchange decides */
	if ((u8)plain != PAGE_ALLOCATED || (u8)(plain >> 8) > MAX_ORDER)
		return (u8)plain == PAGE_SLAB || (u8)plain == PAGE_LARGE ||
		       plain == page_head_word(PAGE_ALLOCATED, ORDER_RUN, head->zone);
	plain &= 0xffffff;
	marked = plain | PAGE_RETIRING << 24;
	if (!__atomic_compare_exchange_n(&head->head, &plain, marked, false, __ATOMIC_ACQ_REL,
	                                 __ATOMIC_RELAXED))
		return plain == marked;
	(void)platform_on_other_cpus(do_nothing);
	return (__atomic_load_n(&head->head, __ATOMIC_ACQUIRE) & ~0xffu) == (marked & ~0xffu);
}

static bool has_left(u64 pfn)
{
	u64 irq = spin_lock_irq(&table_lock);
	const struct retiree *r = find_locked((u32)pfn);
	bool left = r != NULL && r->left;

	spin_unlock_irq(&table_lock, irq);
	return left;
}

/* If it is free, it leaves. */
static bool try_take(struct zone *z, u64 pfn)
{
	u64 irq = spin_lock_irq(&z->lock);

	retire_collect_locked(z, (u32)pfn, 1);
	spin_unlock_irq(&z->lock, irq);
	return has_left(pfn);
}

int page_retire(u64 pfn)
{
	struct zone *z;
	int error;

	if (pfn == 0 || pfn >= PLATFORM_MAX_PA >> PAGE_SHIFT)
		return -EINVAL;
	z = zone_of_frame(pfn);
	if (z == NULL)
		return has_left(pfn) ? 0 : -EINVAL;
	error = note((u32)pfn);
	if (error == -EBUSY && try_take(z, pfn))
		return 0;
	for (unsigned i = 0; error == -EBUSY && i < MARK_TRIES && !mark((u32)pfn); i++) {
		empty_all_caches();
		if (try_take(z, pfn))
			return 0;
	}
	return error;
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

	for (unsigned i = 0; i < PAGE_RETIRE_MAX; i++)
		if (table[i].pfn > after && (next == 0 || table[i].pfn < next)) {
			next = table[i].pfn;
			*left = table[i].left;
		}
	spin_unlock_irq(&table_lock, irq);
	return next;
}

const char *retire_check(void)
{
	u64 irq = spin_lock_irq(&table_lock);
	u64 nr_left = 0, nr_noted = 0;
	bool owned = false;

	for (unsigned i = 0; i < PAGE_RETIRE_MAX; i++) {
		if (table[i].pfn == 0)
			continue;
		nr_left += table[i].left;
		nr_noted += !table[i].left;
		owned |= table[i].left && page_block_of(table[i].pfn) != NULL;
	}
	spin_unlock_irq(&table_lock, irq);
	if (owned)
		return "R1: a page that has left belongs to a block";
	return nr_left != sums.nr_left || nr_noted != sums.nr_noted || nr_noted != retire_nr_noted
	           ? "R1: the sums are not those of the table"
	           : NULL;
}
