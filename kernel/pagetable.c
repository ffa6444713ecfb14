/*
 * Page tables as such: making entries, finding them, walking over all of them.
 *
 * Tables are reached through the direct map, which boot/start.asm provides for the first 4 GiB from
 * the start; so the tables made before the first pagetable_load() must lie there.
 *
 * T1  Every entry above a leaf is present, writable and executable: the leaf alone decides.
 * T2  A leaf's physical address is a multiple of its span.
 *
 * Cost: a mapping walks down once for each table, then fills a run of leaves in a loop: 4 TiB in 1
 * GiB leaves are 4096 stores in eight tables. No table is ever freed.
 */
#include <kernel/cpu.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <mm/page_alloc.h>

#define TABLE_BITS (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)

static struct bootmem *boot_source;
static u64 root_pa;

#define SPARE_TABLES 8ul
static u64 spare_pa, spare_end_pa; /* boot memory not yet used */
static u64 nr_pages;               /* A: tables that are pages of the page allocator's */
static u64 nr_tables;              /* A: all that were made */

static u64 *table_of(u64 entry)
{
	return phys_to_virt(entry & PTE_ADDRESS);
}

/* Boot memory for several tables at a time, since each trip costs more than a table. What is left
 * serves later mappings. */
static void take_spare_tables(void)
{
	u64 bytes = SPARE_TABLES * PAGE_SIZE;

	while (bytes >= PAGE_SIZE && spare_pa == spare_end_pa) {
		spare_pa = bootmem_try_alloc(boot_source, bytes, PAGE_SIZE, MEM_PAGE_TABLES);
		spare_end_pa = spare_pa ? spare_pa + bytes : 0;
		bytes /= 2;
	}
}

u64 pagetable_new(void)
{
	u64 pa = 0;

	if (spare_pa == spare_end_pa && !boot_source->finished)
		take_spare_tables();
	if (spare_pa != spare_end_pa) {
		pa = spare_pa;
		spare_pa += PAGE_SIZE;
	} else if (boot_source->finished) {
		struct page *page = alloc_page(GFP_ATOMIC);

		pa = page ? page_to_phys(page) : 0;
		__atomic_add_fetch(&nr_pages, page != NULL, __ATOMIC_RELAXED);
	}
	if (pa != 0) {
		memset(phys_to_virt(pa), 0, PAGE_SIZE);
		__atomic_add_fetch(&nr_tables, 1, __ATOMIC_RELAXED);
	}
	return pa;
}

u64 pagetable_nr_pages(void)
{
	return __atomic_load_n(&nr_pages, __ATOMIC_RELAXED);
}

u64 pagetable_count(void)
{
	return __atomic_load_n(&nr_tables, __ATOMIC_RELAXED);
}

void pagetable_init(struct bootmem *boot)
{
	boot_source = boot;
	root_pa = pagetable_new();
	if (root_pa == 0)
		panic("paging: no memory for the first page table");
}

void pagetable_load(void)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(root_pa) : "memory");
}

unsigned pagetable_max_leaf_level(void)
{
	return cpu_features.gib_pages ? 2 : 1;
}

u64 pagetable_bits(u32 flags)
{
	u64 bits = PTE_PRESENT | PTE_ACCESSED;

	if (flags & PAGING_WRITE)
		bits |= PTE_WRITE | PTE_DIRTY;
	if (!(flags & PAGING_EXECUTE) && cpu_features.nx)
		bits |= PTE_NX;
	if (flags & PAGING_UNCACHED)
		bits |= PTE_PCD | PTE_PWT;
	else if (flags & PAGING_WRITE_COMBINING)
		bits |= PTE_PWT;
	if (cpu_features.global_pages)
		bits |= PTE_GLOBAL;
	return bits;
}

/* The table below the entry, made when there is none; NULL without memory or when the entry is a
 * leaf. */
static u64 *table_below(u64 *entry)
{
	if (*entry == 0) {
		u64 pa = pagetable_new();

		if (pa == 0)
			return NULL;
		*entry = pa | TABLE_BITS;
	}
	return *entry & PTE_LARGE ? NULL : table_of(*entry);
}

u64 *pagetable_entry(u64 va, unsigned level)
{
	u64 *table = phys_to_virt(root_pa);

	for (unsigned l = PAGETABLE_ROOT_LEVEL; l > level; l--) {
		table = table_below(&table[pagetable_index(va, l)]);
		if (table == NULL)
			return NULL;
	}
	return &table[pagetable_index(va, level)];
}

static bool are_empty(const u64 *entry, u64 nr)
{
	for (; nr >= 8; nr -= 8, entry += 8)
		if (entry[0] | entry[1] | entry[2] | entry[3] | entry[4] | entry[5] | entry[6] |
		    entry[7])
			return false;
	return mem_find_other(entry, 0, nr * sizeof(*entry)) == NULL;
}

/* nr leaves, the first of which is `leaf`; eight at a time: most of a boot's page tables are these.
 */
static void fill_leaves(u64 *entry, u64 nr, u64 leaf, u64 span)
{
	for (; nr >= 8; nr -= 8, entry += 8, leaf += span) {
		entry[0] = leaf;
		entry[1] = leaf += span;
		entry[2] = leaf += span;
		entry[3] = leaf += span;
		entry[4] = leaf += span;
		entry[5] = leaf += span;
		entry[6] = leaf += span;
		entry[7] = leaf += span;
	}
	for (; nr > 0; nr--, leaf += span)
		*entry++ = leaf;
}

/* How many leaves of that level [va, va + length) begins with. */
static u64 count_leaves(unsigned level, u64 va, u64 pa, u64 length)
{
	return level <= pagetable_max_leaf_level() && is_aligned(va | pa, pagetable_span(level))
	           ? length / pagetable_span(level)
	           : 0;
}

/* All of the range lies in this table. is_new: nothing is mapped in it yet. */
static int map_in_table(u64 *table, unsigned level, u64 va, u64 pa, u64 length, u64 bits,
                        bool is_new)
{
	const u64 span = pagetable_span(level);
	u64 *entry = &table[pagetable_index(va, level)];
	int error = 0;

	while (length > 0 && error == 0) {
		u64 nr = count_leaves(level, va, pa, length), part = nr * span;

		if (nr > 0) {
			if (!is_new && !are_empty(entry, nr))
				return -EEXIST;
			fill_leaves(entry, nr, pa | bits | (level > 0 ? PTE_LARGE : 0), span);
			entry += nr;
		} else {
			bool new_below = *entry == 0;
			u64 *below = table_below(entry);

			part = min_u64(span - (va & (span - 1)), length);
			if (below == NULL)
				return *entry ? -EEXIST : -ENOMEM;
			error = map_in_table(below, level - 1, va, pa, part, bits, new_below);
			entry++;
		}
		va += part;
		pa += part;
		length -= part;
	}
	return error;
}

int pagetable_map(u64 va, u64 pa, u64 length, u64 bits)
{
	assert(is_aligned(va | pa | length, PAGE_SIZE));
	assert((s64)va < 0 && va + (length - 1) >= va);
	return map_in_table(phys_to_virt(root_pa), PAGETABLE_ROOT_LEVEL, va, pa, length, bits,
	                    false);
}

void pagetable_unmap(u64 va, u64 length)
{
	for (u64 end = va + length; va < end; va += PAGE_SIZE) {
		u64 *entry = pagetable_entry(va, 0);

		assert(entry != NULL && (*entry & PTE_PRESENT));
		*entry = 0;
	}
}

bool pagetable_find(u64 va, u64 *entry, unsigned *level)
{
	u64 e;

	if (va >> 47 != 0 && va >> 47 != 0x1ffff)
		return false;
	__asm__ volatile("movq %%cr3, %0" : "=r"(e));
	for (unsigned l = PAGETABLE_ROOT_LEVEL;; l--) {
		e = table_of(e)[pagetable_index(va, l)];
		if (!(e & PTE_PRESENT))
			return false;
		if (pagetable_is_leaf(e, l)) {
			*entry = e;
			*level = l;
			return true;
		}
	}
}

static void walk_table(const u64 *table, unsigned level, u64 base, pagetable_visitor fn,
                       void *context)
{
	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++) {
		u64 va = base + pagetable_span(level) * i;

		if (level == PAGETABLE_ROOT_LEVEL && i >= PAGETABLE_ENTRIES / 2)
			va |= 0xffff000000000000; /* canonical */
		if (!(table[i] & PTE_PRESENT))
			continue;
		if (pagetable_is_leaf(table[i], level))
			fn(va, level, table[i], context);
		else
			walk_table(table_of(table[i]), level - 1, va, fn, context);
	}
}

void pagetable_walk(pagetable_visitor fn, void *context)
{
	walk_table(phys_to_virt(root_pa), PAGETABLE_ROOT_LEVEL, 0, fn, context);
}
