/*
 * Line editing: typed bytes in, terminal bytes out, a line at the end. Pure: no device, no
 * allocation, so that a test can type at it. The screen must be as wide as LINEEDIT_COLUMNS; a
 * longer line scrolls sideways.
 *
 * Left/right, Home/End, Backspace/Delete, up/down through the history, and Ctrl-A E B F P N (the
 * same), Ctrl-D (delete), K (to the end), U (to the start), W (the word before), L (clear the
 * screen), C (give the line up). Tab completes a word, as far as it is certain, or lists what it
 * can be.
 */
#pragma once

#include <lib/format.h>
#include <lib/types.h>

#define LINEEDIT_COLUMNS 80
#define LINEEDIT_MAX 255    /* characters of a line */
#define LINEEDIT_HISTORY 32 /* lines that are remembered */

enum lineedit_event {
	LINEEDIT_MORE,   /* the line is not complete yet */
	LINEEDIT_DONE,   /* `line` holds it; call lineedit_start() for the next */
	LINEEDIT_CANCEL, /* Ctrl-C: the same, but the line is to be ignored */
};

struct lineedit;

/* The i-th of the words that can stand at line[start], or NULL behind the last; whether it begins
 * with what was typed is the editor's to see. */
typedef const char *(*lineedit_word)(const struct lineedit *e, unsigned start, unsigned i);

struct lineedit {
	struct sink *out;
	const char *prompt;
	lineedit_word word;            /* NULL: Tab does nothing */
	char line[LINEEDIT_MAX + 1];   /* always ends with a NUL */
	unsigned length, cursor, left; /* left: the first character that is shown */
	u8 escape;                     /* state of the escape sequence's parser */
	unsigned parameter;
	bool skip_newline; /* a CR ended the last line: an LF right behind it belongs to it */

	char history[LINEEDIT_HISTORY][LINEEDIT_MAX + 1];
	unsigned nr_history; /* lines ever remembered; the newest is number nr_history - 1 */
	unsigned browsing; /* lines back from the newest while browsing, 0: the line being typed */
	char kept[LINEEDIT_MAX + 1]; /* the line being typed, while the history is shown */
};

void lineedit_init(struct lineedit *e, struct sink *out, const char *prompt);

/* Shows the prompt and an empty line. */
void lineedit_start(struct lineedit *e);

enum lineedit_event lineedit_input(struct lineedit *e, u8 byte);

const char *lineedit_check(const struct lineedit *e);
