/*
 * The live view of memory: see <kernel/view.h>. The window on memory, the selection and the keys;
 * what a cell shows is kernel/view_picture.c's, and how it is drawn kernel/view_draw.c's.
 *
 *   L1  low <= selected < high; first is a multiple of a row, and the selected cell is on it
 *
 * A window that shows other memory than before has no picture (nr_cells = 0) until the next
 * drawing, paused or not; and all of it is drawn then.
 */
#include <kernel/view.h>
#include <lib/string.h>
#include <mm/mm.h>

#define MAX_SHIFT 40u
#define LOOKS 512u /* for the page that a cell's letter is of */

/* --- the grid --- */

unsigned view_grid_columns(const struct view *v)
{
	return (v->columns - VIEW_PREFIX) / 16 * 16; /* so that rows begin at round addresses */
}

unsigned view_grid_rows(const struct view *v)
{
	return v->rows - VIEW_HEAD_ROWS - VIEW_FOOT_ROWS;
}

static u64 row_frames(const struct view *v)
{
	return (u64)view_grid_columns(v) << v->shift;
}

/* L1: moves the window so that the selected frame is in it. */
static void follow_selection(struct view *v)
{
	u64 row = row_frames(v), window = row * view_grid_rows(v);

	v->first -= v->first % row;
	if (v->selected < v->first)
		v->first = v->selected - v->selected % row;
	else if (v->selected >= v->first + window)
		v->first = v->selected - v->selected % row - window + row;
}

void view_forget(struct view *v)
{
	memset(v->shown, 0, sizeof(v->shown));
}

/* Another part of memory is to be seen. */
static void change_window(struct view *v)
{
	v->picture.nr_cells = 0;
	view_forget(v);
}

static void set_shift(struct view *v, unsigned shift)
{
	v->shift = shift;
	follow_selection(v);
	change_window(v);
}

void view_init(struct view *v, unsigned columns, unsigned rows)
{
	unsigned shift = 0;

	memset(v, 0, sizeof(*v));
	v->columns = columns < VIEW_MAX_COLUMNS ? columns : VIEW_MAX_COLUMNS;
	v->rows = rows < VIEW_MAX_ROWS ? rows : VIEW_MAX_ROWS;
	picture_limits(&v->low, &v->high);
	v->selected = v->low;
	while (shift < MAX_SHIFT &&
	       (u64)view_grid_columns(v) * view_grid_rows(v) << shift < v->high)
		shift++;
	set_shift(v, shift);
}

void view_window(const struct view *v, struct picture *p)
{
	p->first = v->first;
	p->end = v->high;
	p->shift = v->shift;
	p->nr_cells = view_grid_columns(v) * view_grid_rows(v);
}

u16 view_cell(const struct view *v, u64 pfn)
{
	return picture_cell_now(&v->picture, pfn);
}

/* --- the selected cell --- */

static bool is_free_sign(char sign)
{
	for (unsigned order = 0; order < NR_ORDERS; order++)
		if (view_kind(MM_FREE + order).letter == sign)
			return true;
	return false;
}

u64 view_subject(const struct view *v)
{
	u64 step = max_u64((1ull << v->shift) / LOOKS, 1);

	if (is_free_sign((char)picture_cell_now(&v->picture, v->selected)))
		return v->selected;
	for (u64 pfn = v->selected;
	     pfn < v->high && (pfn - v->first) >> v->shift == (v->selected - v->first) >> v->shift;
	     pfn += step) {
		const struct page *head = page_block_of(pfn);

		if (head != NULL && head->type != PAGE_FREE && head->type != PAGE_CACHED)
			return pfn;
	}
	return v->selected;
}

/* --- keys --- */

static void select(struct view *v, u64 by, bool back)
{
	u64 step = by << v->shift, first = v->first;

	if (back)
		v->selected -= min_u64(step, v->selected - v->low);
	else
		v->selected += min_u64(step, v->high - 1 - v->selected);
	v->selected = max_u64(align_down(v->selected, 1ull << v->shift), v->low);
	follow_selection(v);
	if (v->first != first)
		change_window(v);
}

static void move(struct view *v, unsigned key)
{
	u64 all = (v->high >> v->shift) + 1;

	switch (key) {
	case VIEW_UP:
	case VIEW_DOWN:
		select(v, view_grid_columns(v), key == VIEW_UP);
		break;
	case VIEW_LEFT:
	case VIEW_RIGHT:
		select(v, 1, key == VIEW_LEFT);
		break;
	case VIEW_PAGE_UP:
	case VIEW_PAGE_DOWN:
		select(v, (u64)view_grid_columns(v) * view_grid_rows(v), key == VIEW_PAGE_UP);
		break;
	case VIEW_HOME:
	case VIEW_END:
		select(v, all, key == VIEW_HOME);
		break;
	default:
		break;
	}
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
		if ((u64)view_grid_columns(v) * view_grid_rows(v) << v->shift < v->high)
			set_shift(v, v->shift + 1);
		break;
	default:
		move(v, key);
		break;
	}
	return VIEW_GO_ON;
}
