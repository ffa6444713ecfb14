/* What the boot writes of its own metadata, by kind: flat whatever the memory's size. */
#include <kernel/memory.h>
#include <lib/format.h>
#include <mm/mm.h>
#include <tests/bench/bench.h>

/* As boot_to_memory names its machine: all that the firmware has, rounded up to a power of two. */
static void report(const char *what, u64 value)
{
	struct mm_usage usage;
	unsigned bits;
	char name[64];

	mm_usage(&usage);
	bits = log2_ceil(usage.managed_pages << PAGE_SHIFT);
	format_buf(name, sizeof(name), "boot_%s_%u%s", what, 1u << bits % 10,
	           bits < 30   ? "M"
	           : bits < 40 ? "G"
	                       : "T");
	bench_report_count(name, value);
}

/* struct pages that were ever written, from what their pageblock bytes vouch for. */
static u64 written_pages(const struct zone *z)
{
	u64 nr = 0, pfn = align_down(z->buddy.low, PAGEBLOCK_PAGES);

	for (; pfn < z->buddy.high; pfn += PAGEBLOCK_PAGES) {
		pfn = page_next_known_in(pageblock_map, pfn, z->buddy.high);
		if (pfn < z->buddy.high)
			nr += pageblock_map[pfn >> PAGEBLOCK_ORDER] == PAGEBLOCK_FULL
			          ? PAGEBLOCK_PAGES
			          : 1;
	}
	return nr;
}

BENCH_OWN(boot_metadata)
{
	u64 nr = 0;

	(void)n;
	for_each_zone(z)
		nr += written_pages(z);
	report("page_map_bytes", nr * sizeof(struct page));
	report("pageblock_bytes", memory_boot_pageblock_bytes());
	report("page_table_bytes", memory_boot_table_bytes());
}
