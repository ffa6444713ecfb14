/*
 * The shadow's page tables (CONFIG=kasan).
 *
 * The shadow of the kernel's half is 16 TiB of addresses. Where there is no RAM, no image, and no
 * stack or vmalloc area that got its own, one page of zeros is read for all of it: one leaf table
 * full of that page, one table full of that table, one full of that. So a check may read the shadow
 * of any address, and what has no shadow of its own may be touched as far as the sanitizer goes.
 *
 * At first, on the early tables, all is that page, and writable: the code that the compiler puts at
 * the start of functions stores into the shadow of the stack without asking. What lands there is
 * lost, and nothing is checked. On the final tables the page is cleared and read-only.
 *
 * Later a piece that needs its own gets copies of the shared tables on the way (W2 of page_map.c).
 * Another CPU may remember the page of zeros: reading it misses a report, writing to it faults, the
 * fault makes it forget (Intel SDM 3A, 4.10.4.1), and kasan_serve_fault() says that all is well.
 *
 *   H1  the shared tables and the page of zeros are never changed after kasan_begin()
 *   H2  RAM and the image have shadow of their own
 *
 * Cost: an eighth of the RAM, in leaves of 2 MiB where they fit. Backing pages are kept for good.
 */
#include "kasan_internal.h"

#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/format.h>
#include <lib/log.h>
#include <lib/spinlock.h>
#include <lib/string.h>
#include <mm/bootmem.h>
#include <mm/page.h>
#include <mm/pt.h>

#define LARGE (2 * MIB)

static_assert(SHADOW_OFFSET + (DIRECT_MAP_BASE >> 3) == SHADOW_BASE, "the first shadow byte");
static_assert(SHADOW_OFFSET + (UINT64_MAX >> 3) == SHADOW_BASE + SHADOW_SIZE - 1, "the last one");

static u64 shared[3][PAGETABLE_ENTRIES] __aligned(4096); /* by level */
static u8 blank[PAGE_SIZE] __aligned(4096);
static struct spinlock shadow_lock = SPINLOCK_INIT("kasan shadow");
static struct bootmem *boot_source; /* NULL when the final tables are complete */
static u64 backed_bytes;

/* An entry of that level that leads to a table. The root's are opaque: nobody can walk 16 TiB. */
static u64 table_entry(u64 table_pa, unsigned level)
{
	return table_pa | PTE_PRESENT | PTE_WRITE | PTE_ACCESSED |
	       (level == PAGETABLE_ROOT_LEVEL ? PTE_OPAQUE : 0);
}

/* Where no table has its own: an entry of that level, which leads to the shared table below. */
static u64 shared_entry(unsigned level)
{
	return table_entry(image_pa(shared[level - 1]), level);
}

static bool is_shared(u64 entry, unsigned level)
{
	return (entry & PTE_ADDRESS) == image_pa(shared[level - 1]);
}

static void fill_table(u64 *table, u64 entry)
{
	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++)
		table[i] = entry;
}

void kasan_early_init(void)
{
	u64 root_pa, *root;

	__asm__ volatile("movq %%cr3, %0" : "=r"(root_pa));
	root = phys_to_virt(root_pa & PTE_ADDRESS);
	fill_table(shared[0], image_pa(blank) | PTE_PRESENT | PTE_WRITE);
	fill_table(shared[1], shared_entry(1));
	fill_table(shared[2], shared_entry(2));
	for (u64 at = 0; at < SHADOW_SIZE; at += pagetable_span(3))
		root[pagetable_index(SHADOW_BASE + at, 3)] = shared_entry(3);
}

/* --- pages of its own --- */

/* The entry on the way to va at this level, of a table that is not shared; NULL: no memory. */
static u64 *own_entry(u64 *table, u64 va, unsigned level)
{
	u64 *entry = &table[pagetable_index(va, level)], pa;

	if (level == 0 || !is_shared(*entry, level))
		return entry;
	pa = pagetable_new();
	if (pa == 0)
		return NULL;
	memcpy(phys_to_virt(pa), shared[level - 1], PAGE_SIZE);
	*entry = table_entry(pa, level);
	return entry;
}

/* The leaf's entry for va, in tables of its own; NULL: no memory. */
static u64 *own_leaf(u64 va)
{
	u64 *table = phys_to_virt(pagetable_root()), *entry = NULL;

	for (unsigned level = PAGETABLE_ROOT_LEVEL;; level--) {
		entry = own_entry(table, va, level);
		if (entry == NULL || level == 0 || (*entry & PTE_LARGE))
			return entry;
		table = phys_to_virt(*entry & PTE_ADDRESS);
	}
}

static bool is_own(u64 entry)
{
	return entry != 0 && (entry & PTE_ADDRESS) != image_pa(blank);
}

/* A page of shadow that is zeros so far. */
static bool back_page(u64 va)
{
	u64 *entry = own_leaf(va), pa;

	if (entry == NULL || is_own(*entry))
		return entry != NULL;
	pa = pagetable_new();
	if (pa == 0)
		return false;
	*(volatile u64 *)entry = pa | pagetable_bits(PAGING_WRITE);
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	backed_bytes += PAGE_SIZE;
	return true;
}

bool kasan_back(u64 va, u64 length)
{
	u64 start = align_down((u64)shadow_of(va), PAGE_SIZE);
	u64 end = (u64)shadow_of(va + length - 1), flags = spin_lock_irq(&shadow_lock);
	bool backed = true;

	for (u64 at = start; at <= end && backed; at += PAGE_SIZE)
		backed = back_page(at);
	spin_unlock_irq(&shadow_lock, flags);
	return backed;
}

static bool is_writable(u64 va)
{
	unsigned level;
	u64 entry;

	return pagetable_find(va, &entry, &level) && (entry & PTE_WRITE);
}

bool kasan_is_backed(u64 va)
{
	return is_writable((u64)shadow_of(va));
}

bool kasan_serve_fault(u64 va)
{
	return va - SHADOW_BASE < SHADOW_SIZE && is_writable(va);
}

/* --- at boot --- */

/* One leaf of 2 MiB, or pages up to the next place for one. */
static u64 back_at_boot(u64 va, u64 length)
{
	bool large = is_aligned(va, LARGE) && length >= LARGE;
	u64 bytes = large ? LARGE : min_u64(length, align_down(va, LARGE) + LARGE - va);
	u64 pa = bootmem_try_alloc(boot_source, bytes, large ? LARGE : PAGE_SIZE, MEM_BOOTMEM);

	if (pa == 0 || pagetable_map(va, pa, bytes, pagetable_bits(PAGING_WRITE)) != 0)
		panic("kasan: no memory for the shadow, an eighth of the RAM; less of it: mem=");
	memset(phys_to_virt(pa), 0, bytes);
	backed_bytes += bytes;
	return bytes;
}

/* Shadow for [va, va + length); *done: up to where there is some. Ascending. */
static void back_range(u64 va, u64 length, u64 *done)
{
	u64 start = max_u64(align_down((u64)shadow_of(va), PAGE_SIZE), *done);
	u64 end = align_up((u64)shadow_of(va + length), PAGE_SIZE);

	while (start < end)
		start += back_at_boot(start, end - start);
	*done = max_u64(start, *done);
}

/* The next RAM at or above `from`. Looked up anew each time: backing changes the map. */
static bool next_ram(const struct memmap *map, u64 from, u64 *start, u64 *end)
{
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		*start = max_u64(r->base, from);
		*end = r->base + r->length;
		if (r->type != MEM_RESERVED && r->type != MEM_BAD && r->type != MEM_UNREACHABLE &&
		    *start < *end)
			return true;
	}
	return false;
}

/* What is empty below this table, which stands at va, becomes the shared one's. */
static void fill_holes(u64 *table, unsigned level, u64 va)
{
	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++) {
		u64 at = va + i * pagetable_span(level);

		if (level == PAGETABLE_ROOT_LEVEL && at - SHADOW_BASE >= SHADOW_SIZE)
			continue;
		if (table[i] == 0)
			table[i] =
			    level > 0 ? shared_entry(level) : image_pa(blank) | pagetable_bits(0);
		else if (!pagetable_is_leaf(table[i], level))
			fill_holes(phys_to_virt(table[i] & PTE_ADDRESS), level - 1, at);
		if (level == PAGETABLE_ROOT_LEVEL)
			table[i] |= PTE_OPAQUE;
	}
}

void kasan_map_shadow(const struct memmap *map, struct bootmem *boot)
{
	u64 done = 0, start, end = 0;

	boot_source = boot;
	while (next_ram(map, end, &start, &end))
		back_range(DIRECT_MAP_BASE + start, end - start, &done);
	back_range((u64)kernel_start, (u64)(kernel_end - kernel_start), &done);
	fill_holes(phys_to_virt(pagetable_root()), PAGETABLE_ROOT_LEVEL, 0xffff000000000000);
}

void kasan_begin(void)
{
	char size[16];

	memset(blank, 0, sizeof(blank));
	fill_table(shared[0], image_pa(blank) | pagetable_bits(0));
	pagetable_load();
	kasan_init_globals();
	kasan_is_on = true;
	log_info("kasan: on, %s of shadow", format_bytes(size, backed_bytes));
}
