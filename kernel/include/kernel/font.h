/* The console's 8x16 font: one byte a pixel row, bit 7 leftmost, for the printable ASCII
 * characters. */
#pragma once

#include <lib/types.h>

#define FONT_WIDTH 8
#define FONT_HEIGHT 16
#define FONT_FIRST ' '
#define FONT_LAST '~'

extern const u8 font_glyphs[FONT_LAST - FONT_FIRST + 1][FONT_HEIGHT];

/* The glyph of a character; an unprintable one has the glyph of `?`. */
static inline const u8 *font_glyph(char c)
{
	return font_glyphs[(c >= FONT_FIRST && c <= FONT_LAST ? c : '?') - FONT_FIRST];
}
