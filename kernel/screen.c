/*
 * A text screen in RAM, and the drawing of what changed.
 *
 * Video memory is slow to write and far slower to read, so it is never read: `cells` is what the
 * screen should show, `shown` is what it does show, and a flush draws the runs of characters in
 * which the two differ. Scrolling moves the ring's top instead of the text. A write of many lines
 * scrolls many times and draws once; where drawing is slow, the screen also scrolls several rows at
 * a time (jump scrolling, as the VT100 called it).
 *
 *   S1  row < rows, column <= columns (equal: the next character wraps first), top < rows.
 *   S2  every cell is a printable ASCII character.
 *   S3  a row that is not dirty shows what its cells hold.
 *
 * Cost: a byte of output is O(1); a flush compares the dirty rows and draws their differences.
 *
 * Does not do: tab stops other than every eighth column, characters beyond ASCII (shown as `?`),
 * underlining and its like.
 */
#include <kernel/screen.h>
#include <lib/bitmap.h>
#include <lib/string.h>

#define TAB 8
#define ESC '\x1b'

enum { TEXT, AFTER_ESC, IN_SEQUENCE };

static screen_cell *cell_row(const struct screen *s, unsigned row)
{
	unsigned ring_row = (s->top + row) % s->device->rows;

	return s->cells + (size_t)ring_row * s->device->columns;
}

char screen_at(const struct screen *s, unsigned row, unsigned column)
{
	return (char)cell_row(s, row)[column];
}

u8 screen_colours_at(const struct screen *s, unsigned row, unsigned column)
{
	return (u8)(cell_row(s, row)[column] >> 8);
}

static bool is_printable(char c)
{
	return c >= ' ' && c <= '~';
}

const char *screen_check(const struct screen *s)
{
	const struct screen_device *d = s->device;

	if (s->row >= d->rows || s->column > d->columns || s->top >= d->rows)
		return "S1: cursor or top outside the screen";
	for (unsigned r = 0; r < d->rows; r++) {
		const screen_cell *cells = cell_row(s, r);

		for (unsigned c = 0; c < d->columns; c++)
			if (!is_printable((char)cells[c]))
				return "S2: unprintable cell";
		if (!bitmap_test(s->dirty, r) && memcmp(cells, s->shown + (size_t)r * d->columns,
		                                        d->columns * sizeof(cells[0])) != 0)
			return "S3: a clean row shows something else";
	}
	return NULL;
}

static void clear_row(struct screen *s, unsigned row, unsigned from)
{
	screen_cell *cells = cell_row(s, row);

	for (unsigned c = from; c < s->device->columns; c++)
		cells[c] = screen_cell_of(' ', s->colours);
	bitmap_set(s->dirty, row);
}

static void clear_rows(struct screen *s, unsigned from)
{
	for (unsigned r = from; r < s->device->rows; r++)
		clear_row(s, r, 0);
}

static void scroll(struct screen *s, unsigned by)
{
	unsigned rows = s->device->rows;

	s->top = (s->top + by) % rows;
	s->row -= by;
	clear_rows(s, rows - by);
	bitmap_fill(s->dirty, rows);
}

static void newline(struct screen *s)
{
	s->column = 0;
	if (s->row + 1 == s->device->rows)
		scroll(s, s->device->jump);
	s->row++;
}

static void put(struct screen *s, char c)
{
	if (s->column == s->device->columns)
		newline(s);
	cell_row(s, s->row)[s->column++] = screen_cell_of(is_printable(c) ? c : '?', s->colours);
	bitmap_set(s->dirty, s->row);
}

static void control(struct screen *s, char c)
{
	switch (c) {
	case '\n':
		newline(s);
		break;
	case '\r':
		s->column = 0;
		break;
	case '\b':
		s->column -= s->column > 0;
		break;
	case '\t':
		do
			put(s, ' ');
		while (s->column % TAB != 0);
		break;
	case ESC:
		s->escape = AFTER_ESC;
		break;
	default: /* the bell and its like make no mark */
		break;
	}
}

/* The parameter as a distance (0 and none mean 1), at most max. */
static unsigned distance(unsigned parameter, unsigned max)
{
	unsigned n = parameter == 0 ? 1 : parameter;

	return n < max ? n : max;
}

/* One parameter of ECMA-48's SGR. */
static void set_colour(struct screen *s, unsigned parameter)
{
	if (parameter == 0) {
		s->ink = SCREEN_PLAIN & 0xf;
		s->paper = SCREEN_PLAIN >> 4;
		s->bright = s->inverse = false;
	} else if (parameter == 1 || parameter == 22) {
		s->bright = parameter == 1;
	} else if (parameter == 7 || parameter == 27) {
		s->inverse = parameter == 7;
	} else if (parameter >= 30 && parameter <= 37) {
		s->ink = (u8)(parameter - 30);
	} else if (parameter >= 40 && parameter <= 47) {
		s->paper = (u8)(parameter - 40);
	} else if (parameter >= 90 && parameter <= 97) {
		s->ink = (u8)(parameter - 90 + 8);
	} else if (parameter >= 100 && parameter <= 107) {
		s->paper = (u8)(parameter - 100 + 8);
	}
}

static void set_colours(struct screen *s)
{
	u8 ink;

	for (unsigned i = 0; i <= s->nr_parameters; i++)
		set_colour(s, s->parameter[i]);
	ink = s->bright ? s->ink | 8 : s->ink;
	s->colours = (u8)(s->inverse ? ink << 4 | s->paper : s->paper << 4 | ink);
}

/* The end of ESC [ parameters final: ECMA-48's EL, ED, CUP, CUF, CUB and SGR, and the cursor's
 * visibility (DEC's private mode 25); others do nothing. */
static void sequence(struct screen *s, char final)
{
	const struct screen_device *d = s->device;
	unsigned column = s->column < d->columns ? s->column : d->columns - 1;

	if (s->is_private) {
		if (s->parameter[0] == 25 && (final == 'h' || final == 'l'))
			s->hides_cursor = final == 'l';
		return;
	}
	switch (final) {
	case 'm':
		set_colours(s);
		break;
	case 'K':
		clear_row(s, s->row, column);
		break;
	case 'J':
		if (s->parameter[0] == 0)
			clear_row(s, s->row, column);
		clear_rows(s, s->parameter[0] == 0 ? s->row + 1 : 0);
		break;
	case 'H':
		s->row = distance(s->parameter[0], d->rows) - 1;
		s->column = distance(s->parameter[1], d->columns) - 1;
		break;
	case 'C':
		s->column = column + distance(s->parameter[0], d->columns - 1 - column);
		break;
	case 'D':
		s->column = column - distance(s->parameter[0], column);
		break;
	default:
		break;
	}
}

static void escape(struct screen *s, char c)
{
	unsigned *p = &s->parameter[s->nr_parameters];

	if (s->escape == AFTER_ESC) {
		s->escape = c == '[' ? IN_SEQUENCE : TEXT;
		s->nr_parameters = 0;
		s->is_private = false;
		memset(s->parameter, 0, sizeof(s->parameter));
	} else if (c >= '0' && c <= '9') {
		*p = *p < 1000 ? *p * 10 + (unsigned)(c - '0') : *p;
	} else if (c == ';') { /* more than there is room for: the last ones are one */
		s->nr_parameters += s->nr_parameters + 1 < SCREEN_MAX_PARAMETERS;
	} else if (c == '?') {
		s->is_private = true;
	} else if (c >= '@' && c <= '~') {
		s->escape = TEXT;
		sequence(s, c);
	} else if (c < ' ') { /* broken off */
		s->escape = TEXT;
		control(s, c);
	}
}

/* Draws the runs of the row that differ from what is shown. */
static void draw_row(struct screen *s, unsigned row)
{
	const struct screen_device *d = s->device;
	const screen_cell *cells = cell_row(s, row);
	screen_cell *shown = s->shown + (size_t)row * d->columns;

	for (unsigned from = 0, to; from < d->columns; from = to) {
		to = from + 1;
		if (cells[from] == shown[from])
			continue;
		while (to < d->columns && cells[to] != shown[to])
			to++;
		memcpy(shown + from, cells + from, (to - from) * sizeof(cells[0]));
		d->draw(s, row, from, cells + from, to - from);
	}
}

static void cursor(struct screen *s, bool on)
{
	const struct screen_device *d = s->device;

	if (on) {
		s->cursor_row = s->row;
		s->cursor_column = s->column < d->columns ? s->column : d->columns - 1;
	}
	if (on || s->cursor_shown)
		d->cursor(s, s->cursor_row, s->cursor_column,
		          s->shown[(size_t)s->cursor_row * d->columns + s->cursor_column], on);
	s->cursor_shown = on;
}

static void flush(struct screen *s)
{
	unsigned rows = s->device->rows;

	cursor(s, false);
	for (size_t r = bitmap_next(s->dirty, rows, 0); r < rows;
	     r = bitmap_next(s->dirty, rows, r + 1)) {
		draw_row(s, (unsigned)r);
		bitmap_clear(s->dirty, r);
	}
	if (!s->hides_cursor)
		cursor(s, true);
}

void screen_write(struct screen *s, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (s->escape != TEXT)
			escape(s, text[i]);
		else if ((u8)text[i] < ' ')
			control(s, text[i]);
		else
			put(s, text[i]);
	}
	flush(s);
}

void screen_init(struct screen *s, const struct screen_device *device, screen_cell *cells,
                 screen_cell *shown)
{
	size_t size = (size_t)device->columns * device->rows * sizeof(cells[0]);

	memset(s, 0, sizeof(*s));
	s->device = device;
	s->cells = cells;
	s->shown = shown;
	set_colours(s);
	clear_rows(s, 0);
	memset(shown, '\0', size); /* equal to no cell: the first flush clears the device */
	flush(s);
}
