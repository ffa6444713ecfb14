/*
 * The live view, drawn on the kernel's own screen: what a user would see is compared with what the
 * test allocated.
 */
#include <kernel/demo.h>
#include <kernel/memory.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sched.h>
#include <kernel/screen.h>
#include <kernel/view.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>
#include <tests/test.h>

#define COLUMNS 80u
#define ROWS 25u
#define PREFIX 13u /* columns of the address */
#define CELLS 64u  /* in a row */
#define CELL_ROWS 16u

static struct view view; /* 74 KiB */
static struct screen screen;
static screen_cell cells[COLUMNS * ROWS], shown[COLUMNS * ROWS];

static void draw_nothing(struct screen *s, unsigned row, unsigned column, const screen_cell *from,
                         unsigned n)
{
	(void)s, (void)row, (void)column, (void)from, (void)n;
}

static void no_cursor(struct screen *s, unsigned row, unsigned column, screen_cell under, bool on)
{
	(void)s, (void)row, (void)column, (void)under, (void)on;
}

static void to_screen(struct sink *self, const char *text, size_t len)
{
	(void)self;
	screen_write(&screen, text, len);
}

static struct sink sink = {.write = to_screen};

static void begin(void)
{
	static const struct screen_device device = {draw_nothing, no_cursor, COLUMNS, ROWS, 1};

	screen_init(&screen, &device, cells, shown);
	view_init(&view, COLUMNS, ROWS);
}

static void draw(void)
{
	view_draw(&view, &sink, 1000);
}

/* The row as text, without trailing blanks. */
static const char *row_text(unsigned row)
{
	static char text[COLUMNS + 1];
	unsigned n = COLUMNS;

	for (unsigned c = 0; c < COLUMNS; c++)
		text[c] = screen_at(&screen, row, c);
	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
	return text;
}

/* Zooms until a cell is one page, with the page selected. */
static void zoom_to(u64 pfn)
{
	view.selected = pfn;
	view_key(&view, '-'); /* the window follows */
	while (view.shift > 0)
		view_key(&view, '+');
}

static char letter_of(u64 pfn)
{
	zoom_to(pfn);
	draw();
	return (char)view_cell(&view, pfn);
}

static u64 pfn_of(const void *p)
{
	return virt_to_phys(p) >> PAGE_SHIFT;
}

static u64 window(void)
{
	return (u64)CELLS * CELL_ROWS << view.shift;
}

TEST(view, all_of_memory_is_there_at_first)
{
	begin();
	EXPECT_LE(view.high, view.first + window());
	for_each_zone(z) {
		EXPECT_LE(view.low, z->buddy.low);
		EXPECT_GE(view.high, z->buddy.high);
	}
	EXPECT_EQ(view.first, 0);
}

TEST(view, every_kind_has_its_letter)
{
	struct page *pages = alloc_pages(GFP_KERNEL, 3);
	void *large = kmalloc(50000, GFP_KERNEL), *small = kmalloc(100, GFP_KERNEL);
	char *area = vmalloc(3 * PAGE_SIZE);
	u64 pa = 0;

	ASSERT_NOT_NULL(pages);
	ASSERT_NOT_NULL(large);
	ASSERT_NOT_NULL(small);
	ASSERT_NOT_NULL(area);
	begin();
	EXPECT_EQ(letter_of(page_to_pfn(pages)), 'A');
	EXPECT_EQ(letter_of(page_to_pfn(pages) + 7), 'A');
	EXPECT_EQ(letter_of(pfn_of(large) + 1), 'L');
	EXPECT_EQ(letter_of(pfn_of(small)), 'k');
	ASSERT_TRUE(paging_translate((u64)area, &pa, NULL));
	EXPECT_EQ(letter_of(pa >> PAGE_SHIFT), 'V');
	kfree(large);
	kfree(small);
	vfree(area);
	free_pages(pages, 3);
	vmalloc_purge();
	EXPECT_NE(letter_of(pa >> PAGE_SHIFT), 'V');
	EXPECT_NE(letter_of(page_to_pfn(pages)), 'A');
}

TEST(view, the_rest_is_told_by_the_memory_map)
{
	const struct memmap *map = memory_map();

	begin();
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		u64 pfn = r->base >> PAGE_SHIFT;
		char letter;

		if (pfn < view.low || pfn >= view.high || page_block_of(pfn) != NULL)
			continue;
		letter = letter_of(pfn);
		if (r->type == MEM_KERNEL)
			EXPECT_EQ(letter, 'K');
		if (r->type == MEM_PAGE_MAP)
			EXPECT_EQ(letter, 'M');
		if (r->type == MEM_PAGE_TABLES)
			EXPECT_EQ(letter, 'T');
		if (r->type == MEM_RESERVED)
			EXPECT_EQ(letter, 'X');
	}
}

TEST(view, cells_stand_where_they_belong)
{
	unsigned wrong = 0;

	begin();
	view_key(&view, '+');
	draw();
	draw(); /* what the first one changed in the slabs and caches is shown now */
	for (unsigned row = 0; row < CELL_ROWS; row++)
		for (unsigned column = 0; column < CELLS; column++) {
			u64 pfn = view.first + ((u64)(row * CELLS + column) << view.shift);
			bool selected = pfn >> view.shift == view.selected >> view.shift;
			char c = screen_at(&screen, 1 + row, PREFIX + column);

			wrong += c != (selected ? '#' : (char)view_cell(&view, pfn));
		}
	EXPECT_LE(wrong, 2); /* other CPUs go on */
	EXPECT_NOT_NULL(strstr(row_text(0), "cell "));
	EXPECT_NOT_NULL(strstr(row_text(1 + CELL_ROWS), "C cached"));
	EXPECT_NOT_NULL(strstr(row_text(2 + CELL_ROWS), "K kernel"));
	EXPECT_STREQ(row_text(3 + CELL_ROWS), "free   0   1   2   3   4   5   6   7   8   9   %   "
	                                      "*   +   =   ~   -   :   ,   .");
	EXPECT_NOT_NULL(strstr(row_text(5 + CELL_ROWS), "MiB used:  "));
	EXPECT_NOT_NULL(strstr(row_text(7 + CELL_ROWS), "# page 0x"));
}

TEST(view, no_two_kinds_share_a_letter)
{
	for (unsigned a = 1; a < VIEW_NR_KINDS; a++) {
		struct view_kind k = view_kind(a);

		EXPECT_TRUE(a == MM_SLAB || k.letter < 'a' || k.letter > 'z'); /* the slabs' */
		EXPECT_NE(k.letter, '#');
		for (unsigned b = a + 1; b < VIEW_NR_KINDS; b++)
			EXPECT_NE(k.letter, view_kind(b).letter);
	}
}

static void find_table(void *context, u64 pa, unsigned level)
{
	u64 *found = context;

	if (level == 0 && page_block_of(pa >> PAGE_SHIFT) != NULL)
		*found = pa >> PAGE_SHIFT;
}

/* Single pages need a table of the lowest level, which is the page allocator's; an area of 2 MiB
 * and more may be mapped without. */
TEST(view, page_tables_made_after_the_boot_are_seen)
{
	char *area = vmalloc(3 * PAGE_SIZE);
	u64 pfn = 0;

	ASSERT_NOT_NULL(area);
	pagetable_walk_tables(find_table, &pfn);
	ASSERT_NE(pfn, 0);
	begin();
	EXPECT_EQ(letter_of(pfn), 'T');
	vfree(area);
	vmalloc_purge();
}

/* Only what was never shown is looked at while it is paused. */
TEST(view, pause_keeps_the_picture)
{
	struct page *pages = alloc_pages(GFP_KERNEL, 3);
	u64 pfn, used;
	unsigned row, column;

	ASSERT_NOT_NULL(pages);
	pfn = page_to_pfn(pages);
	begin();
	zoom_to(pfn);
	draw();
	view_key(&view, 'p');
	draw();
	used = view.numbers.usage.used_pages;
	free_pages(pages, 3);
	draw();
	row = (unsigned)((pfn + 1 - view.first) / CELLS);
	column = (unsigned)((pfn + 1 - view.first) % CELLS);
	EXPECT_EQ(screen_at(&screen, 1 + row, PREFIX + column), 'A');
	EXPECT_EQ(view.numbers.usage.used_pages, used);
	EXPECT_NOT_NULL(strstr(row_text(0), "PAUSED"));
	view_forget(&view);
	draw();
	EXPECT_EQ(screen_at(&screen, 1 + row, PREFIX + column), 'A');
	view_key(&view, 'p');
	draw();
	EXPECT_NE(screen_at(&screen, 1 + row, PREFIX + column), 'A');
}

TEST(view, only_changes_are_written)
{
	struct page *p = alloc_pages(GFP_KERNEL, 0);

	ASSERT_NOT_NULL(p);
	begin();
	zoom_to(page_to_pfn(p) > 0 ? page_to_pfn(p) - 1 : 0);
	draw();
	screen_write(&screen, "\x1b[2;1H@",
	             7); /* somebody else's letter, in front of the first row */
	draw();
	EXPECT_EQ(screen_at(&screen, 1, 0), '@');
	view_forget(&view);
	draw();
	EXPECT_EQ(screen_at(&screen, 1, 0), ' ');
	free_pages(p, 0);
}

TEST(view, the_selected_page_is_described)
{
	struct page *pages = alloc_pages(GFP_KERNEL, 4);

	ASSERT_NOT_NULL(pages);
	begin();
	zoom_to(page_to_pfn(pages) + 3);
	draw();
	EXPECT_NOT_NULL(strstr(row_text(7 + CELL_ROWS), "allocated, block of 16 pages"));
	free_pages(pages, 4);
	EXPECT_EQ(view_key(&view, 'i'), VIEW_INSPECT);
	EXPECT_EQ(view_key(&view, 'q'), VIEW_LEAVE);
}

/* Of a cell with many pages, one that its letter is of. */
TEST(view, a_cell_is_described_by_a_page_in_use)
{
	struct page *pages = alloc_pages(GFP_KERNEL, 1);
	const struct page *subject;
	u64 pfn;

	ASSERT_NOT_NULL(pages);
	pfn = page_to_pfn(pages);
	begin();
	zoom_to(pfn);
	view_key(&view, '-');
	view_key(&view, '-'); /* four pages, of which two are in use at least */
	view.selected = pfn & ~3ull;
	draw();
	subject = page_block_of(view_subject(&view));
	EXPECT_EQ(view_subject(&view) & ~3ull, pfn & ~3ull);
	ASSERT_NOT_NULL(subject);
	EXPECT_NE(subject->type, PAGE_FREE);
	EXPECT_NE(subject->type, PAGE_CACHED);
	free_pages(pages, 1);
}

static void expect_selection_in_window(void)
{
	ASSERT_TRUE(view.selected >= view.low && view.selected < view.high);
	ASSERT_TRUE(view.selected >= view.first && view.selected < view.first + window());
	ASSERT_EQ(view.first & (((u64)CELLS << view.shift) - 1), 0);
}

TEST(view, no_key_leads_out_of_memory)
{
	static const unsigned keys[] = {'+',        '-',          '+',
	                                VIEW_UP,    VIEW_DOWN,    VIEW_LEFT,
	                                VIEW_RIGHT, VIEW_PAGE_UP, VIEW_PAGE_DOWN,
	                                VIEW_HOME,  VIEW_END,     '?'};

	begin();
	for (unsigned i = 0; i < 3000; i++) {
		unsigned key = keys[rng_below(test_rng(), ARRAY_SIZE(keys))];

		for (unsigned n = rng_below(test_rng(), 4) == 0 ? 40 : 1; n > 0; n--)
			EXPECT_EQ(view_key(&view, key), VIEW_GO_ON);
		expect_selection_in_window();
	}
	EXPECT_FALSE(view.paused);
	view_key(&view, 'p');
	EXPECT_TRUE(view.paused);
}

/* Smaller and larger terminals than there is room for. */
TEST(view, of_any_size)
{
	static const unsigned sizes[][2] = {{40, 14}, {80, 25}, {128, 48}, {256, 128}};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		begin();
		view_init(&view, sizes[i][0], sizes[i][1]);
		draw();
		EXPECT_LE(view.columns, VIEW_MAX_COLUMNS);
		EXPECT_LE(view.rows, VIEW_MAX_ROWS);
		EXPECT_NULL(screen_check(&screen));
	}
}

TEST(view, the_demo_gives_all_back)
{
	if (!sched_is_ticking()) {
		test_skip("no timer, so no thread can sleep");
		return;
	}
	EXPECT_STREQ(demo_phase(), "");
	ASSERT_TRUE(demo_start(rng_next(test_rng())));
	EXPECT_TRUE(demo_start(1)); /* which does nothing */
	while (demo_phase()[0] == '\0')
		thread_yield();
	demo_pause(true);
	thread_sleep(100);
	demo_pause(false);
	demo_stop();
	EXPECT_STREQ(demo_phase(), "");
	demo_stop();
}
