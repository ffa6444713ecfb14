/*
 * What the live view shows: see <kernel/view_picture.h>.
 *
 * A cell shows what most of its frames hold; what is used wins over what is free from one eighth of
 * a cell on, so that small islands are seen. Each kind has a letter as well as a colour, so nobody
 * needs to tell colours apart. What the page allocator does not know of is told by the memory map;
 * which of its pages are vmalloc's, and which hold page tables, is told by the page tables.
 *
 * Cost: each block in the cells, each leaf of vmalloc's and each page table once.
 */
#include <kernel/memory.h>
#include <kernel/pagetable.h>
#include <kernel/screen.h>
#include <kernel/view_picture.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>

#define LOOKS 512u /* for the name of a slab in a cell */

#define COLOURS(ink, paper) ((ink) | (paper) << 4)

static const struct view_kind kinds[VIEW_NR_KINDS] = {
    [MM_NONE] = {' ', COLOURS(7, 0), NULL},
    [MM_ALLOCATED] = {'A', COLOURS(15, 1), "pages"},
    [MM_SLAB] = {'s', COLOURS(15, 4), "slab"}, /* by its cache's first letter */
    [MM_LARGE] = {'L', COLOURS(0, 6), "large kmalloc"},
    [MM_CACHED] = {'C', COLOURS(0, 11), "cached"},
    [VIEW_KERNEL] = {'K', COLOURS(15, 5), "kernel"},
    [VIEW_PAGE_MAP] = {'M', COLOURS(0, 13), "page map"},
    [VIEW_TABLES] = {'T', COLOURS(0, 9), "page tables"},
    [VIEW_BOOT] = {'B', COLOURS(15, 8), "boot"},
    [VIEW_RESERVED] = {'X', COLOURS(8, 0), "reserved"},
    [VIEW_OFFLINE] = {'O', COLOURS(7, 8), "offline"},
    [VIEW_VMALLOC] = {'V', COLOURS(0, 12), "vmalloc"},
};

/* Free blocks: the smaller, the brighter, since small ones are what fragmentation looks like. Above
 * 9 no letters, which are the slabs': the larger the block, the emptier its sign. */
static struct view_kind free_kind(unsigned order)
{
	static const u8 colours[] = {COLOURS(0, 10), COLOURS(0, 2), COLOURS(10, 0), COLOURS(2, 0)};
	unsigned tone = order < 4 ? 0 : order < PAGEBLOCK_ORDER ? 1 : order < MAX_ORDER ? 2 : 3;

	return (struct view_kind){"0123456789%*+=~-:,."[order], colours[tone], NULL};
}

static_assert(MAX_ORDER == 18, "a sign for each order");

static bool is_free_kind(unsigned kind)
{
	return kind >= MM_FREE && kind < MM_NR_KINDS;
}

struct view_kind view_kind(unsigned kind)
{
	return is_free_kind(kind) ? free_kind(kind - MM_FREE) : kinds[kind];
}

/* --- what a cell holds --- */

struct cell {
	u64 start, end;
	u64 pages[VIEW_NR_KINDS];
};

static unsigned kind_of_range(u32 type)
{
	switch (type) {
	case MEM_KERNEL:
	case MEM_TRAMPOLINE:
		return VIEW_KERNEL;
	case MEM_PAGE_MAP:
		return VIEW_PAGE_MAP;
	case MEM_PAGE_TABLES:
		return VIEW_TABLES;
	case MEM_OFFLINE:
	case MEM_UNREACHABLE:
		return VIEW_OFFLINE;
	case MEM_MODULE:
	case MEM_BOOT:
	case MEM_BOOTMEM:
		return VIEW_BOOT;
	default:
		return VIEW_RESERVED;
	}
}

void picture_limits(u64 *low, u64 *high)
{
	const struct memmap *map = memory_map();

	*low = UINT64_MAX;
	*high = 0;
	for_each_zone(z) {
		*low = min_u64(*low, z->buddy.low);
		*high = max_u64(*high, z->buddy.high);
	}
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		if (kind_of_range(r->type) >= VIEW_RESERVED)
			continue;
		*low = min_u64(*low, r->base >> PAGE_SHIFT);
		*high = max_u64(*high, (r->base + r->length) >> PAGE_SHIFT);
	}
}

/* What the page allocator does not know of, by the memory map. */
static void count_ranges(struct cell *c)
{
	const struct memmap *map = memory_map();

	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		u64 start = max_u64(r->base >> PAGE_SHIFT, c->start);
		u64 end = min_u64((r->base + r->length) >> PAGE_SHIFT, c->end);

		if (r->type != MEM_USABLE && start < end)
			c->pages[kind_of_range(r->type)] += end - start;
	}
}

/* Adds frames to the cells that they lie in. */
static void add_frames(const struct picture *p, u32 *count, u64 pfn, u64 end)
{
	for (u64 next; pfn < end; pfn = next) {
		u64 cell = (pfn - p->first) >> p->shift;

		next = min_u64(align_down(pfn, 1ull << p->shift) + (1ull << p->shift), end);
		if (pfn >= p->first && cell < p->nr_cells)
			count[cell] += (u32)(next - pfn);
	}
}

static void count_leaf(void *picture, u64 va, unsigned level, u64 entry)
{
	struct picture *p = picture;
	u64 pfn = (entry & PTE_ADDRESS) >> PAGE_SHIFT;

	if (is_vmalloc_addr((const void *)va))
		add_frames(p, p->vmalloc, pfn, pfn + (1ull << 9 * level));
}

/* Those of the boot are the memory map's. */
static void count_table(void *picture, u64 pa, unsigned level)
{
	struct picture *p = picture;
	u64 pfn = pa >> PAGE_SHIFT;

	(void)level;
	if (page_block_of(pfn) != NULL)
		add_frames(p, p->tables, pfn, pfn + 1);
}

/* Alone on the machine: tables that are walked must not be freed meanwhile. */
static void count_mapped(void *picture)
{
	struct picture *p = picture;

	for (u32 i = 0; i < p->nr_cells; i++)
		p->vmalloc[i] = p->tables[i] = 0;
	pagetable_walk(count_leaf, p);
	pagetable_walk_tables(count_table, p);
}

static void move_pages(struct cell *c, u64 nr, unsigned kind)
{
	nr = min_u64(nr, c->pages[MM_ALLOCATED]);
	c->pages[MM_ALLOCATED] -= nr;
	c->pages[kind] += nr;
}

static void count_cell(const struct picture *p, u64 index, struct cell *c)
{
	*c = (struct cell){.start = p->first + (index << p->shift)};
	c->end = min_u64(c->start + (1ull << p->shift), p->end);
	if (c->start >= c->end)
		return;
	mm_count_kinds(c->start, c->end, c->pages);
	count_ranges(c);
	if (index < p->nr_cells) {
		move_pages(c, p->tables[index], VIEW_TABLES);
		move_pages(c, p->vmalloc[index], VIEW_VMALLOC);
	}
}

static unsigned choose(const struct cell *c)
{
	unsigned most = MM_NONE, used = MM_NONE;

	for (unsigned kind = 1; kind < VIEW_NR_KINDS; kind++) {
		if (c->pages[kind] > (most == MM_NONE ? 0 : c->pages[most]))
			most = kind;
		if (!is_free_kind(kind) && c->pages[kind] > (used == MM_NONE ? 0 : c->pages[used]))
			used = kind;
	}
	return used != MM_NONE && c->pages[used] * 8 >= c->end - c->start ? used : most;
}

/* The first letter of the first cache in the cell, in lower case; kmalloc's classes are k. */
static char slab_letter(const struct cell *c)
{
	const char *name = NULL;
	u64 step = max_u64((c->end - c->start) / LOOKS, 1);

	for (u64 pfn = c->start; pfn < c->end && name == NULL; pfn += step)
		name = mm_cache_at(pfn);
	if (name == NULL)
		return kinds[MM_SLAB].letter;
	return name[0] >= 'A' && name[0] <= 'Z' ? (char)(name[0] + 'a' - 'A') : name[0];
}

static u16 show_cell(const struct picture *p, u64 index)
{
	struct view_kind k;
	struct cell c;
	unsigned kind;

	count_cell(p, index, &c);
	kind = choose(&c);
	k = view_kind(kind);
	if (kind == MM_SLAB)
		k.letter = slab_letter(&c);
	return screen_cell_of(k.letter, k.colours);
}

void picture_take(struct picture *p)
{
	(void)platform_alone(count_mapped, p);
	for (u32 i = 0; i < p->nr_cells; i++)
		p->cell[i] = show_cell(p, i);
}

u16 picture_cell_now(const struct picture *p, u64 pfn)
{
	return show_cell(p, (pfn - p->first) >> p->shift);
}

/* --- numbers --- */

static s64 rate(u64 now, u64 former, u64 ms)
{
	return ms == 0 ? 0 : (s64)(now - former) * 1000 / (s64)ms;
}

static void count_zones(struct picture_numbers *n)
{
	n->nr_zones = 0;
	for_each_zone(z) {
		u32 i = n->nr_zones;

		if (i == PICTURE_MAX_ZONES)
			break;
		n->zone[i].name = z->name;
		n->zone[i].node = z->node;
		n->zone[i].all_pages = z->buddy.nr_managed_pages;
		n->zone[i].used_pages = z->buddy.nr_managed_pages - zone_free_pages(z);
		n->nr_zones++;
	}
}

void picture_count(struct picture_numbers *n, u64 now_ms)
{
	u64 ms = n->taken_ms != 0 ? now_ms - n->taken_ms : 0;
	struct mm_traffic t;
	struct mm_usage u;

	mm_usage(&u);
	mm_traffic(&t);
	n->pages_rate = rate(u.used_pages, n->usage.used_pages, ms);
	n->objects_rate = rate(u.live_objects, n->usage.live_objects, ms);
	n->trips_rate = rate(t.page_trips + t.object_trips, n->trips, ms);
	n->trips = t.page_trips + t.object_trips;
	n->usage = u;
	n->taken_ms = now_ms;
	for (unsigned order = 0; order < NR_ORDERS; order++)
		n->index[order] = (u16)mm_unusable_index(order);
	count_zones(n);
}
