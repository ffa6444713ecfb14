/*
 * A screen of text: a grid of cells in RAM, each a character in two colours, and a device that can
 * show them. The grid is the truth and video memory is only ever written.
 */
#pragma once

#include <lib/types.h>

#define SCREEN_MAX_COLUMNS 256
#define SCREEN_MAX_ROWS 128
#define SCREEN_MAX_PARAMETERS 4u

/* A cell: the character in bits 0-7, the colour of its ink in 8-11, of its paper in 12-15. Colours
 * are numbered as in ECMA-48: 1 red, 2 green, 4 blue, 8 bright. */
typedef u16 screen_cell;

#define SCREEN_PLAIN 0x07u /* the colours of text that asks for none: light grey on black */

static inline screen_cell screen_cell_of(char c, u8 colours)
{
	return (screen_cell)((u8)c | colours << 8);
}

struct screen;

struct screen_device {
	/* Shows `n` cells from (row, column) on. */
	void (*draw)(struct screen *s, unsigned row, unsigned column, const screen_cell *cells,
	             unsigned n);
	/* Shows or hides the cursor at the place; `under` is the cell there. */
	void (*cursor)(struct screen *s, unsigned row, unsigned column, screen_cell under, bool on);
	unsigned columns, rows;
	unsigned jump; /* rows to scroll at once: more than one where drawing is slow */
};

struct screen {
	const struct screen_device *device;
	unsigned row, column; /* of the cursor; column == columns: the next character wraps first */
	unsigned top; /* cell row that is the screen's first: scrolling moves it, not the text */
	bool cursor_shown;
	unsigned cursor_row, cursor_column; /* where it was drawn */
	u8 colours;                         /* of what is written next, as in a cell's bits 8-15 */
	u8 ink, paper;                      /* what they are made of */
	bool bright, inverse, hides_cursor;
	u8 escape; /* state of the escape sequence's parser */
	bool is_private;
	unsigned parameter[SCREEN_MAX_PARAMETERS], nr_parameters;
	u64 dirty[SCREEN_MAX_ROWS / 64]; /* rows that changed since they were drawn */
	screen_cell *cells; /* what it should show: rows * columns, a ring of rows from `top` */
	screen_cell *shown; /* what the device shows: rows * columns */
};

/* `cells` and `shown`: columns * rows cells each. Clears the device. */
void screen_init(struct screen *s, const struct screen_device *device, screen_cell *cells,
                 screen_cell *shown);

/* Text with \n \r \b \t and the escape sequences of console.c's users: ESC [ K, J, H, C, D, m (0,
 * 1, 7, 22, 27, the 16 colours of ink and paper), and ESC [ ? 25 h and l, which show and hide the
 * cursor. */
void screen_write(struct screen *s, const char *text, size_t len);

/* The character at a place, as it should be shown, and its colours. */
char screen_at(const struct screen *s, unsigned row, unsigned column);
u8 screen_colours_at(const struct screen *s, unsigned row, unsigned column);

const char *screen_check(const struct screen *s);

/* The devices: NULL when there is none. */
struct boot_framebuffer;
const struct screen_device *vga_probe(const struct boot_framebuffer *fb);
const struct screen_device *framebuffer_probe(const struct boot_framebuffer *fb);
