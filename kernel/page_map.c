/*
 * Memory behind the page map and the pageblock bytes (platform_back_page_map() of mm/platform.h).
 *
 * The pageblock window has a byte for every 2 MiB of the kernel's half of the address space, 64 MiB
 * in all, and page_hint() reads it for any pointer whatever. So all of it is mapped: one page of
 * zeros, read-only, one table full of it, and 32 entries that share the table. Where there is RAM,
 * its page in the window becomes one of its own: 4 KiB of bytes for each 8 GiB.
 *
 * Clearing a page for each 8 GiB would make the boot of a large machine longer. So of a long run
 * only the first and the last page are cleared at once; the others are promised: their entries are
 * not present but name the frame, and the first access, a read or a write, faults and has it
 * cleared and mapped. (Mapping the zero page there until the first write would need every other CPU
 * to forget that translation; of an entry that is not present a CPU remembers nothing.)
 *
 * W1  Every page of the window is the zero page (read-only), a page of its own (writable), or
 *     promised.
 * W2  Only a table that is not the shared one is changed.
 * W3  A promised page is cleared before it is mapped, by one CPU.
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
#include <kernel/smp.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/spinlock.h>
#include <lib/string.h>
#include <mm/page.h>

#define FRAMES_PER_PAGE (PAGE_SIZE / sizeof(struct page)) /* of page map: 256, or 1 MiB */

static const u8 zero_page[PAGE_SIZE] __aligned(4096);
static u64 shared_table_pa;
static struct spinlock window_lock = SPINLOCK_INIT("pageblock window"); /* promises kept (W3) */
static u64 nr_backed;                                                   /* pages cleared */

#define PTE_PROMISED (1ull << 9) /* with PTE_PRESENT clear: a bit that the CPU leaves to us */

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
	nr_backed++;
	*entry = pa | pagetable_bits(PAGING_WRITE);
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	return 0;
}

/* Pages [va, end) of the window, of which nobody read anything yet, get these when they are needed.
 */
static int promise_pages(u64 va, u64 end, u64 pa)
{
	while (va < end) {
		u64 stop = min_u64(end, align_down(va, pagetable_span(1)) + pagetable_span(1));
		u64 *entry = private_entry(va);

		if (entry == NULL)
			return -ENOMEM;
		for (; va < stop; va += PAGE_SIZE, pa += PAGE_SIZE)
			*entry++ = pa | PTE_PROMISED;
	}
	return 0;
}

bool page_map_serve_fault(u64 va)
{
	bool served;
	u64 *entry, flags;

	if (va < PAGEBLOCK_BASE || va - PAGEBLOCK_BASE >= PAGEBLOCK_SIZE)
		return false;
	flags = spin_lock_irq(&window_lock);
	entry = entry_or_panic(va, 0);
	served =
	    (*entry & (PTE_PRESENT | PTE_PROMISED)) != 0; /* another CPU may have been faster */
	if (!(*entry & PTE_PRESENT) && served) {
		u64 pa = *entry & PTE_ADDRESS;

		memset(phys_to_virt(pa), 0, PAGE_SIZE);
		nr_backed++;
		*(volatile u64 *)entry = pa | pagetable_bits(PAGING_WRITE);
	}
	spin_unlock_irq(&window_lock, flags);
	return served;
}

u64 page_map_window_pages(void)
{
	return nr_backed;
}

/* After the boot anybody may have read zeros there, and remembers where: every CPU forgets. The few
 * pages come from where page tables do. */
static int back_pageblocks_late(u64 va, u64 end)
{
	int error = 0;

	for (u64 at = va; at < end && error == 0; at += PAGE_SIZE)
		if (is_shared(at)) {
			u64 pa = pagetable_new();

			error = pa != 0 ? back_pageblock_page(at, pa) : -ENOMEM;
		}
	tlb_shootdown(va, end - va);
	return error;
}

/* The first page may be an earlier run's already: 8 GiB share it. */
static int back_pageblocks(u64 first_pfn, u64 end_pfn, platform_page_source alloc, void *context)
{
	u64 va = align_down(PAGEBLOCK_BASE + (first_pfn >> PAGEBLOCK_ORDER), PAGE_SIZE);
	u64 end = align_up(PAGEBLOCK_BASE + div_round_up(end_pfn, PAGEBLOCK_PAGES), PAGE_SIZE);
	u64 last = end - PAGE_SIZE, pa;
	int error;

	if (pagetable_boot_is_over())
		return back_pageblocks_late(va, end);
	if (!is_shared(va))
		va += PAGE_SIZE;
	if (va == end)
		return 0;
	pa = alloc(context, end - va, PAGE_SIZE);
	if (pa == 0)
		return -ENOMEM;
	error = back_pageblock_page(va, pa);
	if (error == 0 && va < last)
		error = promise_pages(va + PAGE_SIZE, last, pa + PAGE_SIZE);
	if (error == 0 && va < last)
		error = back_pageblock_page(last, pa + (last - va));
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
	u64 va = PAGE_MAP_BASE + first_pfn * sizeof(struct page);
	u64 length = (end_pfn - first_pfn) * sizeof(struct page);
	int error;

	assert(first_pfn < end_pfn && is_aligned(first_pfn | end_pfn, FRAMES_PER_PAGE));
	assert(end_pfn <= PLATFORM_MAX_PA >> PAGE_SHIFT);
	error = back_pageblocks(first_pfn, end_pfn, alloc, context);
	if (error)
		return error;
	error = back_range(va, length, pagetable_max_leaf_level(), alloc, context);
	if (error && pagetable_boot_is_over()) { /* its frames will not be there */
		pagetable_clear(va, length);
		tlb_shootdown(va, length);
	}
	return error;
}
