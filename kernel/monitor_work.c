/*
 * The monitor's commands that make work (`bench`, `stress`) and those that look at what it leaves:
 * `frag`, `pagetable`.
 */
#include <kernel/monitor.h>
#include <kernel/paging.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/pt.h>
#include <tests/bench/bench.h>
#include <tests/kernel/stress.h>

#define STRESS_SECONDS 10
#define STRESS_SECONDS_MAX 86400

int monitor_bench(int argc, char **argv)
{
	if (bench_run_all(argc == 2 ? argv[1] : NULL) == 0)
		return 0;
	kprintf("bench: nothing matches \"%s\"; docs/benchmarks.md has the names\n", argv[1]);
	return -ENOENT;
}

int monitor_stress(int argc, char **argv)
{
	u64 seconds = STRESS_SECONDS;

	if (argc == 2 && !monitor_number(argv[0], argv[1], &seconds))
		return -EINVAL;
	if (seconds == 0 || seconds > STRESS_SECONDS_MAX) {
		kprintf("stress: %s is not 1 to %u seconds\n", argv[1], STRESS_SECONDS_MAX);
		return -EINVAL;
	}
	return stress_for(cycles(), seconds) ? 0 : -EFAULT;
}

/* --- frag --- */

static u64 largest_block(const struct zone *z)
{
	unsigned order = NR_ORDERS;

	while (order > 0 && z->buddy.nr_free_blocks[order - 1] == 0)
		order--;
	return order == 0 ? 0 : PAGE_SIZE << (order - 1);
}

static u64 in_pageblocks(const struct zone *z)
{
	u64 pages = 0;

	for (unsigned order = PAGEBLOCK_ORDER; order <= MAX_ORDER; order++)
		pages += (u64)z->buddy.nr_free_blocks[order] << order;
	return pages;
}

int monitor_frag(int argc, char **argv)
{
	char free[16], largest[16], size[16];

	(void)argc;
	(void)argv;
	kprintf("node zone         free  largest block  in blocks of 2 MiB and more\n");
	for_each_zone(z) {
		u64 pages = zone_free_pages(z),
		    per_mille = in_pageblocks(z) * 1000 / max_u64(pages, 1);

		kprintf("%4u %-6s %10s %14s %22lu.%lu %%\n", z->node, z->name,
		        format_bytes(free, pages << PAGE_SHIFT),
		        format_bytes(largest, largest_block(z)), per_mille / 10, per_mille % 10);
	}
	kprintf("free memory in blocks too small for:\n");
	for (unsigned order = 1; order <= MAX_ORDER; order++) {
		u64 index = mm_unusable_index(order);

		kprintf("%9s %3lu.%lu %%%s", format_bytes(size, PAGE_SIZE << order), index / 10,
		        index % 10, order % 3 == 0 ? "\n" : "   ");
	}
	return 0;
}

/* --- pagetable --- */

static void print_entry(unsigned level, unsigned index, u64 entry)
{
	static const char *const names[] = {"PTE", "PDE", "PDPTE", "PML4E"};
	bool leaf = (entry & PTE_PRESENT) && pagetable_is_leaf(entry, level);

	kprintf("%-5s %3u  %016lx", names[level], index, entry);
	if (!(entry & PTE_PRESENT)) {
		kprintf("  not present\n");
		return;
	}
	kprintf("  %s %#llx%s%s%s%s%s%s%s\n", leaf ? "maps" : "table at", entry & PTE_ADDRESS,
	        entry & PTE_WRITE ? " write" : " read-only", entry & PTE_USER ? " user" : "",
	        entry & PTE_NX ? " no-execute" : " execute", entry & PTE_GLOBAL ? " global" : "",
	        leaf && entry & PTE_PCD   ? " uncached"
	        : leaf && entry & PTE_PWT ? " write-combining"
	                                  : "",
	        entry & PTE_ACCESSED ? " accessed" : "", entry & PTE_DIRTY ? " dirty" : "");
}

/* All that is mapped, or the walk to an address as the processor makes it, an entry a line. */
int monitor_pagetable(int argc, char **argv)
{
	const struct page_tables *pt = platform_page_tables();
	const u64 *table = phys_to_virt(pt->root_pa);
	u64 va;

	if (argc == 1) {
		paging_dump();
		return 0;
	}
	if (!monitor_number(argv[0], argv[1], &va))
		return -EINVAL;
	if ((s64)(va << 16) >> 16 != (s64)va) {
		kprintf("pagetable: %s is no address: bits 47 to 63 differ\n", argv[1]);
		return -EINVAL;
	}
	for (unsigned level = PAGETABLE_ROOT_LEVEL + 1; level-- > 0;) {
		unsigned index = pagetable_index(va, level);
		u64 entry = table[index];

		print_entry(level, index, entry);
		if (!(entry & PTE_PRESENT) || pagetable_is_leaf(entry, level))
			break;
		table = phys_to_virt(entry & PTE_ADDRESS);
	}
	return 0;
}
