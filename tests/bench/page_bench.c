/* The page allocator: hot pairs by order, batches, bulk. */
#include <kernel/memory.h>
#include <lib/format.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/bench/batch.h>

#define PAGE_PAIR(order, rounds)                                                          \
	BENCH(alloc_pages_pair_order##order, rounds)                                      \
	{                                                                                 \
		for (u32 i = 0; i < n; i++) {                                             \
			struct page *page = bench_opaque(alloc_pages(GFP_KERNEL, order)); \
                                                                                          \
			if (page != NULL)                                                 \
				free_pages(page, order);                                  \
		}                                                                         \
	}

/* clang-format off */
PAGE_PAIR(0, 10000)
PAGE_PAIR(1, 10000)
PAGE_PAIR(2, 10000)
PAGE_PAIR(3, 10000)
PAGE_PAIR(4, 2000)
PAGE_PAIR(5, 2000)
PAGE_PAIR(9, 2000)
PAGE_PAIR(10, 2000)
/* clang-format on */

static void *alloc_one(void)
{
	return alloc_pages(GFP_KERNEL, 0);
}

static void free_one(void *page)
{
	free_pages(page, 0);
}

BENCH_OWN(pages4096)
{
	(void)n;
	bench_batches("pages4096", 4096, alloc_one, free_one);
}

BENCH_OWN(drain64M)
{
	struct mm_usage usage;

	(void)n;
	mm_usage(&usage);
	if (usage.free_pages > 20000)
		bench_batches("drain64M", 16384, alloc_one, free_one);
}

enum { BULK = 64 };

BENCH_OWN(alloc_pages_bulk64_per_page)
{
	struct page *pages[BULK];
	u64 cost[BENCH_BLOCKS + 1], clock = bench_clock_cost();

	(void)n;
	for (unsigned i = 0; i <= BENCH_BLOCKS; i++) {
		u64 flags = irq_save(), start = bench_clock();
		size_t nr = alloc_pages_bulk(GFP_KERNEL, BULK, pages);

		cost[i] = bench_clock() - start - clock;
		irq_restore(flags);
		free_pages_bulk(nr, pages);
	}
	bench_report("alloc_pages_bulk64_per_page",
	             bench_median(cost + 1, BENCH_BLOCKS) * 10 / BULK);
}

/* Named after the machine's memory: all that the firmware has, rounded up to a power of two. */
BENCH_OWN(boot_to_memory)
{
	struct mm_usage usage;
	u64 bytes;
	char name[48];

	(void)n;
	mm_usage(&usage);
	bytes = 1ull << log2_ceil(usage.managed_pages << PAGE_SHIFT);
	if (bytes < GIB)
		format_buf(name, sizeof(name), "boot_to_memory_%luM", (unsigned long)(bytes / MIB));
	else if (bytes < TIB)
		format_buf(name, sizeof(name), "boot_to_memory_%luG", (unsigned long)(bytes / GIB));
	else
		format_buf(name, sizeof(name), "boot_to_memory_%luT", (unsigned long)(bytes / TIB));
	bench_report(name, memory_boot_cycles() * 10);
}
