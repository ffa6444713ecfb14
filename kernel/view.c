/*
 * The live view of memory: see <kernel/view.h>.
 *
 *   Strata: memory live  cell 256 KiB  +- zoom  arrows move  i inspect  space pause  q quit
 *        100000 KKKKKKKKKKKKKKKK999999999999999999999999999999999999999999999999999999999
 *             … rows of cells …
 *   legend, how fragmented what is free is, zones, usage, rates, the selected cell
 *
 * A cell stands for 2^shift frames and shows what most of them hold; what is used wins over what is
 * free from one eighth of a cell on, so that small islands are seen. Each kind has a letter as well
 * as a colour, so nobody needs to tell colours apart.
 *
 *   L1  low <= selected < high; first is a multiple of a row, and the selected cell is on it
 *   L2  shown[] is what the terminal shows: only differences are written
 *
 * Cost: a drawing looks at each block of the part that is shown, and at the leaves of the page
 * tables for vmalloc's pages; it writes what has changed. Other CPUs go on: cells may be a moment
 * old.
 */
#include <kernel/memory.h>
#include <kernel/pagetable.h>
#include <kernel/screen.h>
#include <kernel/view.h>
#include <lib/string.h>
#include <mm/mm.h>

#define PREFIX 13u   /* the address that a row starts with */
#define HEAD_ROWS 1u /* above the cells */
#define FOOT_ROWS 8u /* below them */
#define MAX_SHIFT 40u
#define LOOKS 512u /* for the name of a slab in a cell */

/* What a cell can show beyond mm/stats.h's kinds. */
enum {
	VIEW_KERNEL = MM_NR_KINDS,
	VIEW_PAGE_MAP,
	VIEW_TABLES,
	VIEW_BOOT,
	VIEW_RESERVED,
	VIEW_OFFLINE,
	VIEW_VMALLOC,
	VIEW_NR_KINDS
};

#define COLOURS(ink, paper) ((ink) | (paper) << 4)

static const struct kind {
	char letter;
	u8 colours;
	const char *name; /* in the legend; NULL: not there */
} kinds[VIEW_NR_KINDS] = {
    [MM_NONE] = {' ', COLOURS(7, 0), NULL},
    [MM_ALLOCATED] = {'A', COLOURS(15, 1), "pages"},
    [MM_SLAB] = {'s', COLOURS(15, 4), "slab"}, /* by its cache's first letter */
    [MM_LARGE] = {'L', COLOURS(0, 6), "large kmalloc"},
    [MM_CACHED] = {'C', COLOURS(0, 11), "cached"},
    [VIEW_KERNEL] = {'K', COLOURS(15, 5), "kernel"},
    [VIEW_PAGE_MAP] = {'M', COLOURS(0, 13), "page map"},
    [VIEW_TABLES] = {'T', COLOURS(0, 9), "page tables"},
    [VIEW_BOOT] = {'B', COLOURS(15, 8), "boot"},
    [VIEW_RESERVED] = {'x', COLOURS(8, 0), "reserved"},
    [VIEW_OFFLINE] = {'o', COLOURS(7, 8), "offline"},
    [VIEW_VMALLOC] = {'V', COLOURS(0, 12), "vmalloc"},
};

/* Free blocks: the smaller, the brighter, since small ones are what fragmentation looks like. */
static struct kind free_kind(unsigned order)
{
	static const u8 colours[] = {COLOURS(0, 10), COLOURS(0, 2), COLOURS(10, 0), COLOURS(2, 0)};
	unsigned tone = order < 4 ? 0 : order < PAGEBLOCK_ORDER ? 1 : order < MAX_ORDER ? 2 : 3;

	return (struct kind){"0123456789abcdefghi"[order], colours[tone], NULL};
}

/* --- the grid --- */

static unsigned grid_columns(const struct view *v)
{
	return (v->columns - PREFIX) / 16 * 16; /* so that rows begin at round addresses */
}

static unsigned grid_rows(const struct view *v)
{
	return v->rows - HEAD_ROWS - FOOT_ROWS;
}

static u64 row_frames(const struct view *v)
{
	return (u64)grid_columns(v) << v->shift;
}

/* L1: moves the window so that the selected frame is in it. */
static void follow_selection(struct view *v)
{
	u64 row = row_frames(v), window = row * grid_rows(v);

	v->first -= v->first % row;
	if (v->selected < v->first)
		v->first = v->selected - v->selected % row;
	else if (v->selected >= v->first + window)
		v->first = v->selected - v->selected % row - window + row;
}

static void set_shift(struct view *v, unsigned shift)
{
	v->shift = shift;
	follow_selection(v);
	view_forget(v);
}

void view_forget(struct view *v)
{
	memset(v->shown, 0, sizeof(v->shown));
}

void view_init(struct view *v, unsigned columns, unsigned rows)
{
	unsigned shift = 0;

	memset(v, 0, sizeof(*v));
	v->columns = columns < VIEW_MAX_COLUMNS ? columns : VIEW_MAX_COLUMNS;
	v->rows = rows < VIEW_MAX_ROWS ? rows : VIEW_MAX_ROWS;
	v->low = UINT64_MAX;
	for_each_zone(z) {
		v->low = min_u64(v->low, z->buddy.low);
		v->high = max_u64(v->high, z->buddy.high);
	}
	v->selected = v->low;
	while (shift < MAX_SHIFT && (u64)grid_columns(v) * grid_rows(v) << shift < v->high)
		shift++;
	set_shift(v, shift);
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

/* Adds a leaf of vmalloc's to the cells that it touches. */
static void count_leaf(void *context, u64 va, unsigned level, u64 entry)
{
	struct view *v = context;
	u64 pfn = (entry & PTE_ADDRESS) >> PAGE_SHIFT, end = pfn + (1ull << 9 * level);
	u64 nr_cells = (u64)grid_columns(v) * grid_rows(v);

	if (!is_vmalloc_addr((const void *)va))
		return;
	for (u64 next; pfn < end; pfn = next) {
		u64 cell = (pfn - v->first) >> v->shift;

		next = min_u64(align_down(pfn, 1ull << v->shift) + (1ull << v->shift), end);
		if (pfn >= v->first && cell < nr_cells)
			v->vmalloc[cell] += (u32)(next - pfn);
	}
}

/* Alone on the machine: tables that are walked must not be freed meanwhile. */
static void count_vmalloc(void *view)
{
	struct view *v = view;

	memset(v->vmalloc, 0, sizeof(v->vmalloc));
	pagetable_walk(count_leaf, v);
}

static void count_cell(const struct view *v, u64 index, struct cell *c)
{
	u64 mapped;

	*c = (struct cell){.start = v->first + (index << v->shift)};
	c->end = min_u64(c->start + (1ull << v->shift), v->high);
	if (c->start >= c->end)
		return;
	mm_count_kinds(c->start, c->end, c->pages);
	count_ranges(c);
	if (index >= (u64)grid_columns(v) * grid_rows(v)) /* not on the screen */
		return;
	mapped = min_u64(v->vmalloc[index], c->pages[MM_ALLOCATED]);
	c->pages[MM_ALLOCATED] -= mapped;
	c->pages[VIEW_VMALLOC] += mapped;
}

static unsigned choose(const struct cell *c)
{
	unsigned most = MM_NONE, used = MM_NONE;

	for (unsigned kind = 1; kind < VIEW_NR_KINDS; kind++) {
		bool is_free = kind >= MM_FREE && kind < MM_NR_KINDS;

		if (c->pages[kind] > (most == MM_NONE ? 0 : c->pages[most]))
			most = kind;
		if (!is_free && c->pages[kind] > (used == MM_NONE ? 0 : c->pages[used]))
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

static screen_cell show_cell(const struct cell *c)
{
	unsigned kind = choose(c);
	struct kind k = kinds[kind];

	if (kind >= MM_FREE && kind < MM_NR_KINDS)
		k = free_kind(kind - MM_FREE);
	else if (kind == MM_SLAB)
		k.letter = slab_letter(c);
	return screen_cell_of(k.letter, k.colours);
}

u16 view_cell(const struct view *v, u64 pfn)
{
	struct cell c;

	count_cell(v, (pfn - v->first) >> v->shift, &c);
	return show_cell(&c);
}

/* --- drawing --- */

static void go_to(struct sink *out, unsigned row, unsigned column)
{
	format_to(out, "\x1b[%u;%uH", row + 1, column + 1);
}

static void set_colours(struct sink *out, u8 colours)
{
	unsigned ink = colours & 0xf, paper = colours >> 4;

	format_to(out, "\x1b[%u;%um", ink < 8 ? 30 + ink : 82 + ink,
	          paper < 8 ? 40 + paper : 92 + paper);
}

static void plain(struct sink *out)
{
	format_to(out, "\x1b[0m");
}

static void draw_head(const struct view *v, struct sink *out)
{
	char size[16];

	go_to(out, 0, 0);
	format_to(out,
	          "\x1b[7mStrata: memory, live\x1b[0m  cell %s%s  \x1b[1m+ -\x1b[0m zoom  "
	          "\x1b[1marrows\x1b[0m move  \x1b[1mi\x1b[0mnspect  \x1b[1mp\x1b[0mause  "
	          "\x1b[1mq\x1b[0muit\x1b[K",
	          format_bytes(size, PAGE_SIZE << v->shift), v->paused ? "  PAUSED" : "");
}

/* L2: the runs of cells that differ from what is shown. */
static void draw_row(struct view *v, struct sink *out, unsigned row)
{
	unsigned columns = grid_columns(v);
	u64 index = (u64)row * columns, first = v->first + (index << v->shift);
	u16 *shown = &v->shown[row * VIEW_MAX_COLUMNS];
	unsigned at = 0; /* where the terminal's cursor is; 0: elsewhere */
	struct cell c;

	if (shown[0] == 0) {
		go_to(out, HEAD_ROWS + row, 0);
		plain(out);
		if (first < v->high)
			format_to(out, "%12lx ", first << PAGE_SHIFT);
		format_to(out, "\x1b[K");
	}
	for (unsigned column = 0; column < columns; column++) {
		screen_cell now;
		u64 start = first + ((u64)column << v->shift);

		count_cell(v, index + column, &c);
		now = show_cell(&c);
		if (v->selected >= start && v->selected - start < 1ull << v->shift)
			now = screen_cell_of('#', COLOURS(0, 15));
		if (now == shown[column])
			continue;
		if (at != column || at == 0)
			go_to(out, HEAD_ROWS + row, PREFIX + column);
		set_colours(out, (u8)(now >> 8));
		format_to(out, "%c", (char)now);
		shown[column] = now;
		at = column + 1;
	}
	plain(out);
}

static void draw_legend(struct sink *out, const u8 *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		set_colours(out, kinds[list[i]].colours);
		format_to(out, "%c", kinds[list[i]].letter);
		plain(out);
		format_to(out, " %s  ", kinds[list[i]].name);
	}
}

/* What changes, with the orders of free blocks in the tones of the cells; and what does not. */
static void draw_legend_of_allocators(struct sink *out)
{
	static const u8 list[] = {MM_ALLOCATED, MM_SLAB, MM_LARGE, VIEW_VMALLOC, MM_CACHED};

	draw_legend(out, list, ARRAY_SIZE(list));
	format_to(out, "free ");
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		struct kind k = free_kind(order);

		set_colours(out, k.colours);
		format_to(out, "%c", k.letter);
	}
	plain(out);
}

static void draw_legend_of_machine(struct sink *out)
{
	static const u8 list[] = {VIEW_KERNEL, VIEW_PAGE_MAP, VIEW_TABLES,
	                          VIEW_BOOT,   VIEW_RESERVED, VIEW_OFFLINE};

	draw_legend(out, list, ARRAY_SIZE(list));
}

static void draw_fragmentation(struct sink *out)
{
	static const u8 orders[] = {2, 4, 6, PAGEBLOCK_ORDER, MAX_ORDER};
	char size[16];

	format_to(out, "free, but too small for");
	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++)
		format_to(out, "  %s %lu%%", format_bytes(size, PAGE_SIZE << orders[i]),
		          mm_unusable_index(orders[i]) / 10);
}

static void draw_zones(struct sink *out)
{
	for_each_zone(z) {
		u64 all = z->buddy.nr_managed_pages, used = all - zone_free_pages(z);

		format_to(out, "%u:%s %lu/%lu MiB  ", z->node, z->name, used >> 8, all >> 8);
	}
}

/* Per second, since the last drawing. */
static u64 rate(u64 now, u64 former, u64 ms)
{
	return ms == 0 ? 0 : (now - former) * 1000 / ms;
}

static void foot_row(const struct view *v, struct sink *out, unsigned i)
{
	go_to(out, v->rows - FOOT_ROWS + i, 0);
	format_to(out, "\x1b[K");
}

/* Two rows. */
static void draw_usage(struct view *v, struct sink *out, u64 now_ms)
{
	struct mm_traffic t;
	struct mm_usage u;
	u64 ms = now_ms - v->former_ms, trips;
	bool fell;

	mm_usage(&u);
	mm_traffic(&t);
	trips = t.page_trips + t.object_trips;
	fell = u.used_pages < v->former_in_use;
	format_to(out, "pages: used %lu (slab %lu, large %lu), cached %lu, free %lu; %lu objects",
	          u.used_pages, u.slab_pages, u.large_pages, u.cached_pages, u.free_pages,
	          u.live_objects);
	foot_row(v, out, 5);
	format_to(out, "a second: %s%lu pages, %lu trips to zones and slabs", fell ? "-" : "+",
	          fell ? rate(v->former_in_use, u.used_pages, ms)
	               : rate(u.used_pages, v->former_in_use, ms),
	          rate(trips, v->former_trips, ms));
	v->former_ms = now_ms;
	v->former_in_use = u.used_pages;
	v->former_trips = trips;
}

static void draw_selected(const struct view *v, struct sink *out)
{
	const struct page *head = page_block_of(v->selected);
	const char *cache = mm_cache_at(v->selected);
	const struct mem_range *r = memmap_find(memory_map(), v->selected << PAGE_SHIFT);

	format_to(out, "# page %#lx: ", v->selected);
	if (cache != NULL)
		format_to(out, "slab of %s", cache);
	else if (head != NULL)
		format_to(out, "%s, block of %lu pages from %#x on", page_type_name(head->type),
		          page_block_pages(head), page_to_pfn(head));
	else if (zone_of_untouched(v->selected) != NULL)
		format_to(out, "free, never handed out");
	else
		format_to(out, "%s", r != NULL ? memmap_type_name(r->type) : "nothing there");
}

void view_draw(struct view *v, struct sink *out, u64 now_ms)
{
	format_to(out, "\x1b[?25l");
	draw_head(v, out);
	(void)platform_alone(count_vmalloc, v);
	for (unsigned row = 0; row < grid_rows(v); row++)
		draw_row(v, out, row);
	foot_row(v, out, 0);
	draw_legend_of_allocators(out);
	foot_row(v, out, 1);
	draw_legend_of_machine(out);
	foot_row(v, out, 2);
	draw_fragmentation(out);
	foot_row(v, out, 3);
	draw_zones(out);
	foot_row(v, out, 4);
	draw_usage(v, out, now_ms);
	foot_row(v, out, 6);
	draw_selected(v, out);
	foot_row(v, out, 7); /* the caller's */
}

/* --- keys --- */

static void select(struct view *v, u64 by, bool back)
{
	u64 step = by << v->shift;

	if (back)
		v->selected -= min_u64(step, v->selected - v->low);
	else
		v->selected += min_u64(step, v->high - 1 - v->selected);
	v->selected = max_u64(align_down(v->selected, 1ull << v->shift), v->low);
	u64 first = v->first;

	follow_selection(v);
	if (v->first != first)
		view_forget(v);
}

enum view_action view_key(struct view *v, unsigned key)
{
	switch (key) {
	case 'q':
		return VIEW_LEAVE;
	case 'i':
	case '\r':
		return VIEW_INSPECT;
	case 'p':
	case ' ':
		v->paused = !v->paused;
		break;
	case '+':
	case '=':
		if (v->shift > 0)
			set_shift(v, v->shift - 1);
		break;
	case '-':
		if ((u64)grid_columns(v) * grid_rows(v) << v->shift < v->high)
			set_shift(v, v->shift + 1);
		break;
	case VIEW_UP:
	case VIEW_DOWN:
		select(v, grid_columns(v), key == VIEW_UP);
		break;
	case VIEW_LEFT:
	case VIEW_RIGHT:
		select(v, 1, key == VIEW_LEFT);
		break;
	default:
		break;
	}
	return VIEW_GO_ON;
}
