/*
 * Brings the memory manager up on one machine after another, from the smallest to terabytes, and on
 * maps as odd as firmware makes them. For each:
 *
 *   1  every byte of the firmware's usable memory is accounted for, by type
 *   2  what is left as usable is what the page allocator manages
 *   3  all of it can be allocated, in blocks that lie in usable memory and do not overlap, and
 * comes back 4  page_hint() answers for any 64-bit value without a fault 5  every layer's check
 * holds after each step 6  the process stays small: metadata of memory that was never touched costs
 * nothing
 *
 * Unlike the unit tests, which all run on one machine, this is about what mm_init() makes of
 * different ones. Exit status 0 when all machines passed, 1 otherwise, 37 on a panic.
 */
#include <lib/platform.h>
#include <lib/rng.h>
#include <mm/mm.h>
#include <tests/host/machine.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MAX_RANGES 40
#define MAX_BLOCKS 200000u
#define MAX_RSS_KIB (400 * 1024)

struct machine {
	const char *name;
	struct mem_range range[MAX_RANGES];
};

#define USABLE(base, length)             \
	{                                \
		base, length, MEM_USABLE \
	}
#define LOW USABLE(0, 0x9fc00)

static const struct machine machines[] = {
    {"8 MiB", {LOW, USABLE(MIB, 7 * MIB)}},
    {"16 MiB", {LOW, USABLE(MIB, 15 * MIB)}},
    {"64 MiB, no memory below 1 MiB", {USABLE(MIB, 63 * MIB)}},
    {"512 MiB, one page short of it", {LOW, USABLE(MIB, 511 * MIB - PAGE_SIZE)}},
    {"4 GiB, with the PCI hole", {LOW, USABLE(MIB, 3 * GIB - MIB), USABLE(4 * GIB, GIB)}},
    {"6 GiB, odd ends", {LOW, USABLE(MIB, 3 * GIB - 12345), USABLE(4 * GIB + 777, 3 * GIB)}},
    {"4 TiB", {LOW, USABLE(MIB, 3 * GIB), USABLE(4 * GIB, 4 * TIB)}},
    {"16 TiB and what lies above", {LOW, USABLE(MIB, 2 * GIB), USABLE(4 * GIB, 20 * TIB)}},
    {"islands of one page",
     {LOW, USABLE(MIB, 16 * MIB), USABLE(0x4001000, 0x1000), USABLE(0x41ff000, 0x1000),
      USABLE(0x4200000, 0x1000), USABLE(0x7fff000, 0x2000), USABLE(0x100000000, 0x1000),
      USABLE(0x13fffff000, 0x1000)}},
    {"unsorted and overlapping",
     {USABLE(32 * MIB, 64 * MIB),
      USABLE(MIB, 48 * MIB),
      LOW,
      {40 * MIB, 3 * MIB + 5, MEM_RESERVED},
      {0x2812345, 0x10000, MEM_ACPI},
      {60 * MIB, 1, MEM_BAD},
      USABLE(16 * MIB, 16 * MIB)}},
    {"every other megabyte",
     {LOW, USABLE(1 * MIB, MIB), USABLE(3 * MIB, MIB), USABLE(5 * MIB, MIB), USABLE(7 * MIB, MIB),
      USABLE(9 * MIB, MIB), USABLE(11 * MIB, MIB), USABLE(13 * MIB, MIB), USABLE(15 * MIB, MIB),
      USABLE(4097 * MIB, MIB), USABLE(4099 * MIB, MIB), USABLE(4101 * MIB, MIB)}},
    {"nothing in DMA32 above 16 MiB", {LOW, USABLE(MIB, 15 * MIB), USABLE(4 * GIB, 256 * MIB)}},
};

struct block {
	struct page *page;
	unsigned order;
};

static struct block blocks[MAX_BLOCKS];
static u32 nr_blocks;
static const char *failure; /* of the current machine: the first */

static bool must(bool holds, const char *what)
{
	if (!holds && !failure)
		failure = what;
	return holds;
}

static void check_all(void)
{
	const char *broken = mm_check();

	must(!broken, broken);
}

/* Usable memory as the firmware's map has it, before anything is taken. */
static u64 usable_bytes(const struct machine *m)
{
	static struct mem_range storage[256];
	struct memmap map;

	memmap_init(&map, storage, ARRAY_SIZE(storage), 52);
	for (u32 i = 0; i < MAX_RANGES; i++)
		memmap_add(&map, m->range[i].base, m->range[i].length, m->range[i].type);
	memmap_normalize(&map);
	return memmap_bytes(&map, MEM_USABLE);
}

static void check_accounts(const struct machine *m, const struct memmap *map)
{
	u64 usable = memmap_bytes(map, MEM_USABLE), sum = usable;
	struct mm_usage usage;

	mm_usage(&usage);
	for (u32 type = MEM_PAGE_ZERO; type <= MEM_UNREACHABLE; type++)
		sum += memmap_bytes(map, type);
	must(sum == usable_bytes(m), "the types of taken memory do not add up to the firmware's");
	must(usage.managed_pages == usable / PAGE_SIZE, "managed pages differ from the map's");
	must(!memmap_check(map), "the map is broken");
}

static void take_everything(void)
{
	nr_blocks = 0;
	for (unsigned order = NR_ORDERS; order-- > 0;) {
		struct page *page;

		while (nr_blocks < MAX_BLOCKS &&
		       (page = alloc_pages(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN, order)) !=
		           NULL)
			blocks[nr_blocks++] = (struct block){page, order};
	}
	must(nr_blocks < MAX_BLOCKS, "more blocks than this program has room for");
}

static int compare_blocks(const void *a, const void *b)
{
	const struct block *x = a, *y = b;

	return x->page < y->page ? -1 : x->page > y->page;
}

static void check_blocks(const struct memmap *map)
{
	u64 end = 0;

	qsort(blocks, nr_blocks, sizeof(blocks[0]), compare_blocks);
	for (u32 i = 0; i < nr_blocks; i++) {
		u64 pa = page_to_phys(blocks[i].page), length = PAGE_SIZE << blocks[i].order;
		const struct mem_range *r = memmap_find(map, pa);

		must(pa >= end, "two blocks overlap");
		must(r && r->type == MEM_USABLE && pa + length <= r->base + r->length,
		     "a block is not usable memory");
		must(is_aligned(pa, length), "a block is not aligned to its size");
		end = pa + length;
	}
}

static void give_everything_back(struct rng *rng)
{
	for (u32 left = nr_blocks; left > 0; left--) {
		u32 i = (u32)rng_below(rng, left);

		free_pages(blocks[i].page, blocks[i].order);
		blocks[i] = blocks[left - 1];
	}
	drain_cpu_pages();
}

static void check_all_memory(const struct memmap *map, struct rng *rng)
{
	struct mm_usage before, during, after;

	slab_shrink_all();
	drain_cpu_pages();
	mm_usage(&before);
	take_everything();
	mm_usage(&during);
	must(during.free_pages + during.cached_pages == 0, "not all memory could be allocated");
	check_blocks(map);
	check_all();
	give_everything_back(rng);
	mm_usage(&after);
	must(before.free_pages == after.free_pages, "not all memory came back");
	check_all();
}

static void check_hint(u64 address)
{
	const struct page *page = page_hint((const void *)address);
	u64 pa = address - (u64)host_ram;

	if (!page)
		return;
	must(is_direct_map((const void *)address), "page_hint: an answer outside the direct map");
	must(page == page_map + pa / PAGE_SIZE, "page_hint: another page's");
	must(page->type < NR_PAGE_TYPES, "page_hint: metadata that was never written");
}

static void check_hints(const struct memmap *map, struct rng *rng)
{
	const u64 base = (u64)host_ram;
	const u64 edges[] = {
	    0,          base,         base + PLATFORM_MAX_PA, (u64)page_map, (u64)pageblock_map,
	    1ull << 47, ~(1ull << 47)};

	for (unsigned i = 0; i < ARRAY_SIZE(edges); i++) {
		for (u64 offset = 0; offset < 3; offset++)
			check_hint(edges[i] + offset - 1);
	}
	for (u32 i = 0; i < 200000; i++)
		check_hint(rng_next(rng) >> rng_below(rng, 64));
	for (u32 i = 0; i < 200000; i++) {
		const struct mem_range *r = &map->range[rng_below(rng, map->nr)];

		check_hint(base + r->base + rng_below(rng, r->length));
	}
}

static bool run_machine(const struct machine *m)
{
	const struct memmap *map;
	struct rusage usage;
	struct rng rng;

	failure = NULL;
	rng_seed(&rng, 1);
	map = host_machine_boot(m->range, MAX_RANGES);
	check_all();
	check_accounts(m, map);
	check_hints(map, &rng);
	check_all_memory(map, &rng);
	check_hints(map, &rng);
	getrusage(RUSAGE_SELF, &usage);
	must(usage.ru_maxrss < MAX_RSS_KIB, "the process grew: something walks all metadata");
	printf("%s %s%s%s\n", failure ? "not ok" : "ok", m->name, failure ? ": " : "",
	       failure ? failure : "");
	return !failure;
}

int main(int argc, char **argv)
{
	unsigned passed = 0;

	if (argc > 1) {
		fprintf(stderr, "usage: %s (no options: boots mm on %zu machines and checks it)\n",
		        argv[0], ARRAY_SIZE(machines));
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* so a fault shows which machine it was on */
	host_log_level = LOG_WARN;
	for (unsigned i = 0; i < ARRAY_SIZE(machines); i++)
		passed += run_machine(&machines[i]);
	host_machine_destroy();
	printf("%u passed, %zu failed\n", passed, ARRAY_SIZE(machines) - passed);
	return passed == ARRAY_SIZE(machines) ? 0 : 1;
}
