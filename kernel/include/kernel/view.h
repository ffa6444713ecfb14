/*
 * The live view: memory as a screen of coloured cells, drawn with the escape sequences of any
 * terminal, so that the serial port shows the same as the screen.
 *
 * Pure but for what it looks at: it draws into a sink, and keys are given to it. The loop around it
 * is the monitor's `view`.
 */
#pragma once

#include <kernel/view_picture.h>
#include <lib/format.h>
#include <lib/types.h>

#define VIEW_MAX_COLUMNS 128u
#define VIEW_MAX_ROWS 48u
static_assert(VIEW_MAX_COLUMNS * VIEW_MAX_ROWS <= PICTURE_MAX_CELLS, "the picture has every cell");

#define VIEW_PREFIX 13u   /* columns of the address that a row starts with */
#define VIEW_HEAD_ROWS 1u /* above the cells */
#define VIEW_FOOT_ROWS 8u /* below them */

struct view {
	unsigned columns, rows;                      /* of the terminal */
	u64 low, high;                               /* frames that there are to see */
	u64 first;                                   /* frame of the top left cell */
	unsigned shift;                              /* a cell has 2^shift frames */
	u64 selected;                                /* frame */
	bool paused;                                 /* the picture stays, and the numbers */
	struct picture picture;                      /* nr_cells = 0: of another window */
	struct picture_numbers numbers;              /* nr_zones = 0: none so far */
	u16 shown[VIEW_MAX_ROWS * VIEW_MAX_COLUMNS]; /* what the terminal shows; 0: nothing yet */
};

enum view_action { VIEW_GO_ON, VIEW_LEAVE, VIEW_INSPECT };

/* All of memory, in the smallest cells that fit. columns >= 40, rows >= 14; more than the maxima
 * are not used. */
void view_init(struct view *v, unsigned columns, unsigned rows);

/* Draws what has changed since the last time; view_init() and view_forget() make it draw all.
 * While it is paused, what it drew last, and of memory only what was not on the screen then.
 * The last row ends with the rates, and the caller may go on there. now_ms: for the rates. */
void view_draw(struct view *v, struct sink *out, u64 now_ms);
void view_forget(struct view *v);

/* A key: a character, or one of these. */
enum view_key {
	VIEW_UP = 256,
	VIEW_DOWN,
	VIEW_LEFT,
	VIEW_RIGHT,
	VIEW_PAGE_UP,
	VIEW_PAGE_DOWN,
	VIEW_HOME,
	VIEW_END
};
enum view_action view_key(struct view *v, unsigned key);

/* The frame that the selected cell is described by: its first one, or where that is free and others
 * are not, the first of those. */
u64 view_subject(const struct view *v);

/* The letter and colours of the cell with that frame, as it is now (screen.h's cell). */
u16 view_cell(const struct view *v, u64 pfn);

/* Cells in a row, and rows of cells. */
unsigned view_grid_columns(const struct view *v);
unsigned view_grid_rows(const struct view *v);

/* Makes the picture one of the view's window, before picture_take(). */
void view_window(const struct view *v, struct picture *p);
