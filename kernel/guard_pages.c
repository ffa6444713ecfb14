/*
 * Guard pages in the direct map (platform_guard() of mm/platform.h): the leaves of the range are
 * split to 4 KiB once, and from then on a page is made inaccessible by one bit of its entry.
 *
 * The split leaves stay split: the tables are few, and joining them again would need every CPU to
 * forget the range at once.
 *
 * Cost: a walk down the tables and one invlpg a page.
 */
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <lib/assert.h>
#include <lib/spinlock.h>
#include <mm/mm.h>

static struct spinlock lock = SPINLOCK_INIT("guard pages"); /* the direct map's leaves */

/* Its leaf is one of 4 KiB already. */
static bool is_split(u64 va)
{
	return pagetable_entry(va, 0) != NULL;
}

bool platform_guard_begin(void *start, u64 length)
{
	u64 va = (u64)start, end = va + length, flags = spin_lock_irq(&lock);
	int error = 0;

	for (; va < end && error == 0; va += PAGE_SIZE)
		if (!is_split(va))
			error = pt_protect(platform_page_tables(), va, PAGE_SIZE,
			                   pagetable_bits(PAGING_WRITE));
	spin_unlock_irq(&lock, flags);
	return error == 0;
}

void platform_guard(void *page, bool accessible)
{
	u64 *entry = pagetable_entry((u64)page, 0);

	assert(entry != NULL); /* platform_guard_begin() made it */
	if (accessible)
		__atomic_fetch_or(entry, PTE_PRESENT, __ATOMIC_RELAXED);
	else
		__atomic_fetch_and(entry, ~PTE_PRESENT, __ATOMIC_RELAXED);
	__asm__ volatile("invlpg (%0)" : : "r"(page) : "memory");
}
