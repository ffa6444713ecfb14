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
#include <mm/mm.h>

bool platform_guard_begin(void *start, u64 length)
{
	u64 va = (u64)start, end = va + length;

	for (; va < end; va += PAGE_SIZE)
		if (pt_protect(platform_page_tables(), va, PAGE_SIZE,
		               pagetable_bits(PAGING_WRITE)) != 0)
			return false;
	return true;
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
