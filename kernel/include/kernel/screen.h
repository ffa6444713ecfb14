/*
 * A screen of text: a grid of characters in RAM and a device that can show them. The grid is the
 * truth and video memory is only ever written.
 */
#pragma once

#include <lib/types.h>

#define SCREEN_MAX_COLUMNS 256
#define SCREEN_MAX_ROWS 128

struct screen;

struct screen_device {
	/* Shows `n` characters from (row, column) on. */
	void (*draw)(struct screen *s, unsigned row, unsigned column, const char *text, unsigned n);
	/* Shows or hides the cursor at the place; `under` is the character there. */
	void (*cursor)(struct screen *s, unsigned row, unsigned column, char under, bool on);
	unsigned columns, rows;
	unsigned jump; /* rows to scroll at once: more than one where drawing is slow */
};

struct screen {
	const struct screen_device *device;
	unsigned row, column; /* of the cursor; column == columns: the next character wraps first */
	unsigned top; /* cell row that is the screen's first: scrolling moves it, not the text */
	bool cursor_shown;
	unsigned cursor_row, cursor_column; /* where it was drawn */
	u8 escape;                          /* state of the escape sequence's parser */
	unsigned parameter[2], nr_parameters;
	u64 dirty[SCREEN_MAX_ROWS / 64]; /* rows that changed since they were drawn */
	char *cells; /* what it should show: rows * columns, a ring of rows from `top` */
	char *shown; /* what the device shows: rows * columns */
};

/* `cells` and `shown`: columns * rows bytes each. Clears the device. */
void screen_init(struct screen *s, const struct screen_device *device, char *cells, char *shown);

/* Text with \n \r \b \t and the escape sequences of console.c's users: ESC [ K, J, H, C, D, m
 * (ignored). */
void screen_write(struct screen *s, const char *text, size_t len);

/* The character at a place, as it should be shown. */
char screen_at(const struct screen *s, unsigned row, unsigned column);

const char *screen_check(const struct screen *s);

/* The devices: NULL when there is none. */
struct boot_framebuffer;
const struct screen_device *vga_probe(const struct boot_framebuffer *fb);
const struct screen_device *framebuffer_probe(const struct boot_framebuffer *fb);
