/*
 * The live view: memory as a screen of coloured cells, drawn with the escape sequences of any
 * terminal, so that the serial port shows the same as the screen.
 *
 * Pure but for what it looks at: it draws into a sink, and keys are given to it. The loop around it
 * is the monitor's `view`.
 */
#pragma once

#include <lib/format.h>
#include <lib/types.h>

#define VIEW_MAX_COLUMNS 128u
#define VIEW_MAX_ROWS 48u

struct view {
	unsigned columns, rows; /* of the terminal */
	u64 low, high;          /* frames that there are to see */
	u64 first;              /* frame of the top left cell */
	unsigned shift;         /* a cell has 2^shift frames */
	u64 selected;           /* frame */
	bool paused;
	u16 shown[VIEW_MAX_ROWS * VIEW_MAX_COLUMNS];   /* what the terminal shows; 0: nothing yet */
	u32 vmalloc[VIEW_MAX_ROWS * VIEW_MAX_COLUMNS]; /* of its pages in each cell */
	u64 former_ms, former_in_use, former_trips;    /* at the last drawing */
};

enum view_action { VIEW_GO_ON, VIEW_LEAVE, VIEW_INSPECT };

/* All of memory, in the smallest cells that fit. columns >= 40, rows >= 12; more than the maxima
 * are not used. */
void view_init(struct view *v, unsigned columns, unsigned rows);

/* Draws what has changed since the last time; view_init() and view_forget() make it draw all.
 * now_ms: for the rates. */
void view_draw(struct view *v, struct sink *out, u64 now_ms);
void view_forget(struct view *v);

/* A key: a character, or one of these. */
enum view_key { VIEW_UP = 256, VIEW_DOWN, VIEW_LEFT, VIEW_RIGHT };
enum view_action view_key(struct view *v, unsigned key);

/* The letter and colours of the cell with that frame, as it is now (screen.h's cell). */
u16 view_cell(const struct view *v, u64 pfn);
