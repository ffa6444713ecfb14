/*
 * The live view, drawn: see <kernel/view.h>.
 *
 *   Strata: memory, live  cell 256 KiB  + - zoom  arrows move  inspect  pause  quit
 *        100000 KKKKKKKKKKKKKKKK999999999999999999999999999999999999999999999999999999999
 *             … rows of cells …
 *   the kinds' letters, free blocks and how fragmented they are by order, zones and nodes, usage,
 *   the selected cell, rates
 *
 *   D1  shown[] is what the terminal shows: only differences are written
 *   D2  no row is longer than the terminal is wide
 *   D3  what is drawn again as it was is never seen to go: nothing is cleared before it
 *
 * Cost: a picture of memory a drawing, unless it is paused; and the bytes of what has changed.
 * Other CPUs go on: cells may be a moment old.
 */
#include <kernel/memory.h>
#include <kernel/screen.h>
#include <kernel/view.h>
#include <mm/mm.h>

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

/* D2: passes on what fits into the row; escape sequences take no place. */
struct row {
	struct sink sink;
	struct sink *out;
	unsigned left; /* columns */
	bool in_sequence;
};

static void write_row(struct sink *self, const char *text, size_t len)
{
	struct row *r = container_of(self, struct row, sink);

	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\x1b')
			r->in_sequence = true;
		if (r->in_sequence || r->left > 0)
			r->out->write(r->out, &text[i], 1);
		if (!r->in_sequence)
			r->left -= r->left > 0;
		else if ((text[i] >= 'A' && text[i] <= 'Z') || (text[i] >= 'a' && text[i] <= 'z'))
			r->in_sequence = false;
	}
}

static void draw_head(const struct view *v, struct sink *out)
{
	char size[16];

	format_to(out,
	          "\x1b[7mStrata: memory, live\x1b[0m  cell %s  \x1b[1m+ -\x1b[0m zoom  "
	          "\x1b[1marrows\x1b[0m move  \x1b[1mi\x1b[0mnspect  %s  \x1b[1mq\x1b[0muit",
	          format_bytes(size, PAGE_SIZE << v->shift),
	          v->paused ? "\x1b[7mPAUSED\x1b[0m" : "\x1b[1mp\x1b[0mause");
}

/* D1: the runs of cells that differ from what is shown. */
static void draw_cells(struct view *v, struct sink *out, unsigned row)
{
	unsigned columns = view_grid_columns(v);
	u64 first = v->first + ((u64)row * columns << v->shift);
	u16 *shown = &v->shown[row * VIEW_MAX_COLUMNS];
	unsigned at = 0;  /* where the terminal's cursor is; 0: elsewhere */
	int colours = -1; /* what it writes in; -1: anything */

	if (shown[0] == 0) {
		go_to(out, VIEW_HEAD_ROWS + row, 0);
		plain(out);
		if (first < v->high)
			format_to(out, "%12lx ", first << PAGE_SHIFT);
		format_to(out, "\x1b[K");
	}
	for (unsigned column = 0; column < columns; column++) {
		screen_cell now = v->picture.cell[row * columns + column];
		u64 start = first + ((u64)column << v->shift);

		if (v->selected >= start && v->selected - start < 1ull << v->shift)
			now = screen_cell_of('#', 15 << 4);
		if (now == shown[column])
			continue;
		if (at != column || at == 0)
			go_to(out, VIEW_HEAD_ROWS + row, VIEW_PREFIX + column);
		if (now >> 8 != colours)
			set_colours(out, (u8)(now >> 8));
		colours = now >> 8;
		format_to(out, "%c", (char)now);
		shown[column] = now;
		at = column + 1;
	}
	plain(out);
}

static void draw_legend(struct sink *out, const u8 *list, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct view_kind k = view_kind(list[i]);

		set_colours(out, k.colours);
		format_to(out, "%c", k.letter);
		plain(out);
		format_to(out, " %s  ", k.name);
	}
}

/* What changes; and below it what does not. */
static void draw_allocators(const struct view *v, struct sink *out)
{
	static const u8 list[] = {MM_ALLOCATED, MM_SLAB,   MM_LARGE,
	                          VIEW_VMALLOC, MM_CACHED, VIEW_TABLES};

	(void)v;
	draw_legend(out, list, ARRAY_SIZE(list));
}

static void draw_machine(const struct view *v, struct sink *out)
{
	static const u8 list[] = {VIEW_KERNEL, VIEW_PAGE_MAP, VIEW_BOOT, VIEW_RESERVED,
	                          VIEW_OFFLINE};

	(void)v;
	draw_legend(out, list, ARRAY_SIZE(list));
	format_to(out, "\x1b[30;107m#\x1b[0m selected");
}

/* The signs of free blocks by order, and below each the share of free memory that is in smaller
 * ones. */
static void draw_orders(const struct view *v, struct sink *out)
{
	(void)v;
	format_to(out, "free");
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		struct view_kind k = view_kind(MM_FREE + order);

		format_to(out, "   ");
		set_colours(out, k.colours);
		format_to(out, "%c", k.letter);
		plain(out);
	}
}

static void draw_fragmentation(const struct view *v, struct sink *out)
{
	format_to(out, "frag");
	for (unsigned order = 0; order < NR_ORDERS; order++)
		format_to(out, "%4u", v->numbers.index[order] / 10);
}

/* Zones; where there are several nodes, by node, with the sum of those that have several zones. */
static void draw_zones(const struct view *v, struct sink *out)
{
	const struct picture_numbers *n = &v->numbers;
	bool nodes = n->nr_zones > 0 && n->zone[n->nr_zones - 1].node > 0;
	u64 used = 0, all = 0;
	u32 first = 0; /* zone of the node */

	format_to(out, "MiB used:");
	for (u32 i = 0; i < n->nr_zones; i++) {
		bool begins = i == 0 || n->zone[i - 1].node != n->zone[i].node;
		bool ends = i + 1 == n->nr_zones || n->zone[i + 1].node != n->zone[i].node;

		if (begins) {
			used = all = 0;
			first = i;
		}
		if (begins && nodes)
			format_to(out, "  \x1b[1mnode %u\x1b[0m", n->zone[i].node);
		format_to(out, "%s%s %lu/%lu", nodes ? " " : "  ", n->zone[i].name,
		          n->zone[i].used_pages >> 8, n->zone[i].all_pages >> 8);
		used += n->zone[i].used_pages;
		all += n->zone[i].all_pages;
		if (nodes && ends && i > first)
			format_to(out, " = %lu/%lu", used >> 8, all >> 8);
	}
}

static void draw_usage(const struct view *v, struct sink *out)
{
	const struct mm_usage *u = &v->numbers.usage;

	format_to(out, "pages: used %lu (slab %lu, large %lu), cached %lu, free %lu; %lu objects",
	          u->used_pages, u->slab_pages, u->large_pages, u->cached_pages, u->free_pages,
	          u->live_objects);
}

static void draw_rates(const struct view *v, struct sink *out)
{
	const struct picture_numbers *n = &v->numbers;

	format_to(out, "a second: %+ld pages, %+ld objects, %ld trips", n->pages_rate,
	          n->objects_rate, n->trips_rate);
}

static void draw_selected(const struct view *v, struct sink *out)
{
	u64 pfn = view_subject(v);
	const struct page *head = page_block_of(pfn);
	const char *cache = mm_cache_at(pfn);
	const struct mem_range *r = memmap_find(memory_map(), pfn << PAGE_SHIFT);

	format_to(out, "# page %#lx: ", pfn);
	if (cache != NULL)
		format_to(out, "slab of %s", cache);
	else if (head != NULL)
		format_to(out, "%s, block of %lu pages from %#x on", page_type_name(head->type),
		          page_block_pages(head), page_to_pfn(head));
	else if (zone_of_untouched(pfn) != NULL)
		format_to(out, "free, never handed out");
	else
		format_to(out, "%s", r != NULL ? memmap_type_name(r->type) : "nothing there");
}

/* D3: over what is there. */
static void draw_row(const struct view *v, struct sink *out, unsigned row,
                     void (*draw)(const struct view *v, struct sink *out))
{
	struct row r = {.sink = {.write = write_row}, .out = out, .left = v->columns};

	go_to(out, row, 0);
	plain(out);
	draw(v, &r.sink);
	if (r.left > 0) /* at the row's end the last column would go */
		format_to(out, "\x1b[K");
}

static void draw_foot(const struct view *v, struct sink *out)
{
	static void (*const rows[])(const struct view *, struct sink *) = {
	    draw_allocators, draw_machine, draw_orders,   draw_fragmentation,
	    draw_zones,      draw_usage,   draw_selected, draw_rates,
	};
	unsigned first = v->rows - VIEW_FOOT_ROWS;

	static_assert(ARRAY_SIZE(rows) == VIEW_FOOT_ROWS, "each row of the foot is drawn");
	for (unsigned i = 0; i < ARRAY_SIZE(rows); i++)
		draw_row(v, out, first + i, rows[i]);
}

void view_draw(struct view *v, struct sink *out, u64 now_ms)
{
	if (!v->paused || v->picture.nr_cells == 0) {
		view_window(v, &v->picture);
		picture_take(&v->picture);
	}
	if (!v->paused || v->numbers.nr_zones == 0)
		picture_count(&v->numbers, now_ms);
	format_to(out, "\x1b[?25l");
	draw_row(v, out, 0, draw_head);
	for (unsigned row = 0; row < view_grid_rows(v); row++)
		draw_cells(v, out, row);
	draw_foot(v, out);
}
