/*
 * Memory behind the page map and the pageblock bytes (platform_back_page_map() of mm/platform.h).
 *
 * The pageblock window has a byte for every 2 MiB of the kernel's half of the address space, 64 MiB
 * in all, and page_hint() reads it for any pointer whatever. So all of it is mapped: one page of
 * zeros, read-only, one table full of it, and 32 entries that share the table. Where there is RAM,
 * its page in the window becomes one of its own: 4 KiB of bytes for each 8 GiB.
 *
 * W1  Every page of the window is the zero page (read-only) or a page of its own (writable).
 * W2  Only a table that is not the shared one is changed.
 *
 * The page map itself is backed with the largest leaves that its place and the memory allow: a
 * gigabyte of page map describes 256 GiB. Nothing in it is cleared: its users write before they
 * read.
 */
#include <kernel/layout.h>
#include <kernel/page_map.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <mm/page.h>

#define FRAMES_PER_PAGE (PAGE_SIZE / sizeof(struct page)) /* of page map: 256, or 1 MiB */

static const u8 zero_page[PAGE_SIZE] __aligned(4096);
static u64 shared_table_pa;

/* --- Pageblock bytes --- */

static u64 *entry_or_panic(u64 va, unsigned level)
{
	u64 *entry = pagetable_entry(va, level);

	if (entry == NULL)
		panic("paging: no memory for the tables of the pageblock window");
	return entry;
}

void page_map_init(void)
{
	u64 zero_entry = image_pa(zero_page) | pagetable_bits(0);
	u64 *table, *entry;

	shared_table_pa = pagetable_new();
	if (shared_table_pa == 0)
		panic("paging: no memory for the tables of the pageblock window");
	table = phys_to_virt(shared_table_pa);
	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++)
		table[i] = zero_entry;
	entry = entry_or_panic(PAGEBLOCK_BASE, 1);
	for (u64 i = 0; i < PAGEBLOCK_SIZE / pagetable_span(1); i++)
		entry[i] = shared_table_pa | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED;
}

/* The entry of the window's page at va, in a table of its own (W2); NULL without memory. */
static u64 *private_entry(u64 va)
{
	u64 *upper = entry_or_panic(va, 1);

	if ((*upper & PTE_ADDRESS) == shared_table_pa) {
		u64 pa = pagetable_new();

		if (pa == 0)
			return NULL;
		memcpy(phys_to_virt(pa), phys_to_virt(shared_table_pa), PAGE_SIZE);
		*upper = pa | (*upper & ~PTE_ADDRESS);
	}
	return entry_or_panic(va, 0);
}

static bool is_shared(u64 va)
{
	return (*entry_or_panic(va, 1) & PTE_ADDRESS) == shared_table_pa ||
	       (*entry_or_panic(va, 0) & PTE_ADDRESS) == image_pa(zero_page);
}

/* A page of the window gets this one of its own, cleared. */
static int back_pageblock_page(u64 va, u64 pa)
{
	u64 *entry = private_entry(va);

	if (entry == NULL)
		return -ENOMEM;
	memset(phys_to_virt(pa), 0, PAGE_SIZE);
	*entry = pa | pagetable_bits(PAGING_WRITE);
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	return 0;
}

/* The first page may be an earlier run's already: 8 GiB share it. */
static int back_pageblocks(u64 first_pfn, u64 end_pfn, platform_page_source alloc, void *context)
{
	u64 va = align_down(PAGEBLOCK_BASE + (first_pfn >> PAGEBLOCK_ORDER), PAGE_SIZE);
	u64 end = align_up(PAGEBLOCK_BASE + div_round_up(end_pfn, PAGEBLOCK_PAGES), PAGE_SIZE);
	int error = 0;
	u64 pa;

	if (!is_shared(va))
		va += PAGE_SIZE;
	if (va == end)
		return 0;
	pa = alloc(context, end - va, PAGE_SIZE);
	if (pa == 0)
		return -ENOMEM;
	for (; va != end && error == 0; va += PAGE_SIZE, pa += PAGE_SIZE)
		error = back_pageblock_page(va, pa);
	return error;
}

/* --- The page map --- */

/* The largest leaf that fits at va, and how many of them before a larger one would fit, or the end.
 */
static unsigned choose_leaf(u64 va, u64 length, unsigned level, u64 *count)
{
	u64 bytes = length;

	while (level > 0 &&
	       (!is_aligned(va, pagetable_span(level)) || length < pagetable_span(level))) {
		u64 boundary = align_up(va, pagetable_span(level));

		if (boundary - va < length && length - (boundary - va) >= pagetable_span(level))
			bytes = boundary - va;
		level--;
	}
	*count = bytes / pagetable_span(level);
	return level;
}

/* Backs [va, va + length) with leaves of at most that level. */
static int back_range(u64 va, u64 length, unsigned max_level, platform_page_source alloc,
                      void *context)
{
	while (length > 0) {
		u64 count, pa, bytes;
		unsigned level = choose_leaf(va, length, max_level, &count);
		int error;

		pa = alloc(context, count * pagetable_span(level), pagetable_span(level));
		while (pa == 0 && count > 1) {
			count /= 2;
			pa = alloc(context, count * pagetable_span(level), pagetable_span(level));
		}
		bytes = count * pagetable_span(level);
		if (pa != 0)
			error = pagetable_map(va, pa, bytes, pagetable_bits(PAGING_WRITE));
		else
			error = level ? back_range(va, bytes, level - 1, alloc, context) : -ENOMEM;
		if (error)
			return error;
		va += bytes;
		length -= bytes;
	}
	return 0;
}

int platform_back_page_map(u64 first_pfn, u64 end_pfn, platform_page_source alloc, void *context)
{
	int error;

	assert(first_pfn < end_pfn && is_aligned(first_pfn | end_pfn, FRAMES_PER_PAGE));
	assert(end_pfn <= PLATFORM_MAX_PA >> PAGE_SHIFT);
	error = back_pageblocks(first_pfn, end_pfn, alloc, context);
	if (error)
		return error;
	return back_range(PAGE_MAP_BASE + first_pfn * sizeof(struct page),
	                  (end_pfn - first_pfn) * sizeof(struct page), pagetable_max_leaf_level(),
	                  alloc, context);
}
