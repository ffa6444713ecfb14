/*
 * Strata's page allocator as a placer: the whole way, alloc_pages() and its per-CPU caches
 * included, on a machine with one zone: memory from 4 GiB on.
 */
#include <tests/bench/host/fragmentation/placer.h>
#include <tests/host/machine.h>

u32 strata_low, strata_high;

static void start(u64 bytes)
{
	const struct mem_range firmware[] = {
	    {0, 0x9f000, MEM_USABLE},
	    {4 * GIB, bytes, MEM_USABLE},
	};

	host_garbage_ram = host_garbage_page_map = 0;
	host_log_level = LOG_ERROR;
	host_machine_boot(firmware, ARRAY_SIZE(firmware));
	strata_low = (u32)(4 * GIB >> PAGE_SHIFT);
	strata_high = (u32)((4 * GIB + bytes) >> PAGE_SHIFT);
}

static struct zone *the_zone(void)
{
	return &zone_table[ZONE_ID(0, ZONE_NORMAL)];
}

static u32 alloc(unsigned order)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

	return page != NULL ? page_to_pfn(page) : 0;
}

static void release(u32 pfn, unsigned order)
{
	free_pages(pfn_to_page(pfn), order);
}

static void look(struct free_state *out)
{
	const struct buddy *b = &the_zone()->buddy;

	out->pages = b->nr_free_pages;
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		out->blocks[order] = b->nr_free_blocks[order];
}

void strata_visit_free(void (*visit)(u32 pfn, unsigned order))
{
	const struct buddy *b = &the_zone()->buddy;

	drain_cpu_pages();
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		for (u32 pfn = b->head[order]; pfn != 0; pfn = pfn_to_page(pfn)->next)
			visit(pfn, order);
	for (u32 i = 0; i < b->nr_untouched; i++)
		for (u32 pfn = b->untouched[i].start; pfn < b->untouched[i].end;
		     pfn += 1u << MAX_ORDER)
			visit(pfn, MAX_ORDER);
}

u64 free_blocks(const struct free_state *s, unsigned order)
{
	u64 nr = 0;

	for (unsigned o = order; o <= MAX_ORDER; o++)
		nr += s->blocks[o] << (o - order);
	return nr;
}

const struct placer strata_placer = {
    .name = "strata",
    .what = "alloc_pages() and free_pages()",
    .start = start,
    .alloc = alloc,
    .release = release,
    .look = look,
};
