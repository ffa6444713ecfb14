/*
 * Page tables for mm/vmalloc.c: real ones, in the memory of the machine in this process, that no
 * processor uses. Tests walk them by themselves (tests/model/walker.h).
 */
#include <mm/mm.h>
#include <mm/pt.h>
#include <tests/host/machine.h>

static u64 new_table(void)
{
	struct page *page = alloc_page(GFP_ATOMIC | __GFP_ZERO | __GFP_NOWARN);

	return page != NULL ? page_to_phys(page) : 0;
}

static void free_table(u64 pa)
{
	free_page(pfn_to_page((u32)(pa >> PAGE_SHIFT)));
}

static struct page_tables tables = {
    .max_leaf_level = 2, .new_table = new_table, .free_table = free_table};

/* The root is made when the memory manager starts, and is part of what it uses from then on. */
struct page_tables *platform_page_tables(void)
{
	if (tables.root_pa == 0)
		tables.root_pa = new_table();
	return &tables;
}

void host_page_tables_reset(void)
{
	tables.root_pa = 0;
}

u64 platform_page_bits(unsigned flags)
{
	return PTE_PRESENT | PTE_ACCESSED | PTE_NX |
	       (flags & VM_WRITE ? PTE_WRITE | PTE_DIRTY : 0) |
	       (flags & VM_UNCACHED ? PTE_PCD | PTE_PWT : 0) |
	       (flags & VM_WRITE_COMBINING ? PTE_PWT : 0);
}

bool platform_may_flush(void)
{
	return irq_is_enabled();
}

_Thread_local struct host_area host_area;
_Thread_local u64 host_flushed_start, host_flushed_end;

void platform_flush(u64 start, u64 end)
{
	host_flushed_start = start;
	host_flushed_end = end;
}
