/*
 * The kernel's page tables: mm/pt.c's, with memory from the boot allocator and later from the page
 * allocator, and the bits that this processor knows.
 *
 * Tables are reached through the direct map, which boot/start.asm provides for the first 4 GiB from
 * the start; so the tables made before the first pagetable_load() must lie there. Those of boot
 * memory are never freed.
 */
#include <kernel/cpu.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <lib/assert.h>
#include <lib/race.h>
#include <lib/spinlock.h>
#include <lib/string.h>
#include <mm/page_alloc.h>
#include <mm/pt.h>
#include <mm/vmalloc.h>

static struct bootmem *boot_source;

#define SPARE_TABLES 8ul
static u64 spare_pa, spare_end_pa; /* L: boot memory not yet used */
static struct spinlock spare_lock = SPINLOCK_INIT("spare page tables"); /* L */
static u64 nr_pages;  /* A: tables that are pages of the page allocator's */
static u64 nr_tables; /* A: all that were made */

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

static u64 take_spare(void)
{
	u64 irq = spin_lock_irq(&spare_lock), pa = 0;

	if (spare_pa == spare_end_pa && !boot_source->finished)
		take_spare_tables();
	if (spare_pa != spare_end_pa) {
		pa = spare_pa;
		spare_pa += PAGE_SIZE;
	}
	spin_unlock_irq(&spare_lock, irq);
	return pa;
}

u64 pagetable_new(void)
{
	u64 pa = data_race(spare_pa) != data_race(spare_end_pa) || !boot_source->finished
	             ? take_spare() /* a guess: the lock tells */
	             : 0;

	if (pa == 0 && boot_source->finished) {
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

/* Those of boot memory were never the page allocator's: they stay what they are. */
static void table_free(u64 pa)
{
	struct page *page = page_lookup(pa >> PAGE_SHIFT);

	if (page == NULL || page->type != PAGE_ALLOCATED)
		return;
	free_page(page);
	__atomic_sub_fetch(&nr_pages, 1, __ATOMIC_RELAXED);
}

static struct page_tables tables __ro_after_init = {.new_table = pagetable_new,
                                                    .free_table = table_free};

void pagetable_init(struct bootmem *boot)
{
	boot_source = boot;
	tables.max_leaf_level = pagetable_max_leaf_level();
	tables.root_pa = pagetable_new();
	if (tables.root_pa == 0)
		panic("paging: no memory for the first page table");
}

u64 pagetable_root(void)
{
	return tables.root_pa;
}

void pagetable_load(void)
{
	__asm__ volatile("movq %0, %%cr3" : : "r"(tables.root_pa) : "memory");
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

u64 *pagetable_entry(u64 va, unsigned level)
{
	return pt_entry(&tables, va, level);
}

int pagetable_map(u64 va, u64 pa, u64 length, u64 bits)
{
	assert((s64)va < 0);
	return pt_map(&tables, va, pa, length, bits);
}

void pagetable_unmap(u64 va, u64 length)
{
	u64 mapped = 0;

	if (pt_unmap(&tables, va, length, NULL, NULL, &mapped) != 0 || mapped != length)
		panic("paging: unmapping what is not mapped va=%#lx length=%#lx", va, length);
}

void pagetable_clear(u64 va, u64 length)
{
	(void)pt_clear(&tables, va, length, NULL, NULL);
}

bool pagetable_boot_is_over(void)
{
	return boot_source->finished;
}

/* By the register, so that it can be asked before there are tables of ours. */
bool pagetable_find(u64 va, u64 *entry, unsigned *level)
{
	struct page_tables now;

	__asm__ volatile("movq %%cr3, %0" : "=r"(now.root_pa));
	now.root_pa &= PTE_ADDRESS;
	return pt_find(&now, va, entry, level);
}

void pagetable_walk(pt_leaf_fn fn, void *context)
{
	pt_walk(&tables, fn, context);
}

void pagetable_walk_tables(pt_table_fn fn, void *context)
{
	pt_walk_tables(&tables, fn, context);
}

/* --- for mm/vmalloc.c --- */

struct page_tables *platform_page_tables(void)
{
	return &tables;
}

static_assert(VM_WRITE == PAGING_WRITE && VM_UNCACHED == PAGING_UNCACHED &&
                  VM_WRITE_COMBINING == PAGING_WRITE_COMBINING,
              "platform_page_bits() takes them as they are");

u64 platform_page_bits(unsigned flags)
{
	return pagetable_bits(flags);
}
