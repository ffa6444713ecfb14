/*
 * A linear framebuffer as a text screen: the 8x16 font, drawn pixel row by pixel row over a whole
 * run of characters so that writes go to ascending addresses, which write-combining memory likes.
 *
 * Any packed RGB format of 15, 16, 24 or 32 bits a pixel. On very wide screens every pixel is drawn
 * 2x2 or larger, which keeps the text legible and the grid within SCREEN_MAX_COLUMNS.
 *
 * Nothing the boot loader says is believed that would make us write outside the mapping.
 */
#include <boot/boot_info.h>
#include <kernel/font.h>
#include <kernel/paging.h>
#include <kernel/screen.h>

#define MIN_COLUMNS 20u
#define MIN_ROWS 4u
#define JUMP_DIVISOR 8 /* an eighth of the screen scrolls at once */

static struct {
	u8 *base;
	u32 pitch;
	u32 scale;      /* screen pixels for each pixel of the font, across and down */
	u32 bytes;      /* of a pixel */
	u32 colour[16]; /* pixels' values, by the numbers of screen.h */
} fb;

/* The colours of VGA's text mode: red, green, blue. */
static const u8 palette[16][3] = {
    {0, 0, 0},          {0xaa, 0, 0},       {0, 0xaa, 0},       {0xaa, 0x55, 0},
    {0, 0, 0xaa},       {0xaa, 0, 0xaa},    {0, 0xaa, 0xaa},    {0xaa, 0xaa, 0xaa},
    {0x55, 0x55, 0x55}, {0xff, 0x55, 0x55}, {0x55, 0xff, 0x55}, {0xff, 0xff, 0x55},
    {0x55, 0x55, 0xff}, {0xff, 0x55, 0xff}, {0x55, 0xff, 0xff}, {0xff, 0xff, 0xff},
};

/* One row of a character's pixels, `scale` times as wide. Returns the place behind it. */
static u8 *draw_bits(u8 *to, u8 bits, u32 ink, u32 paper)
{
	for (u8 mask = 0x80; mask != 0; mask >>= 1) {
		u32 colour = bits & mask ? ink : paper;

		for (u32 n = 0; n < fb.scale; n++, to += fb.bytes) {
			if (fb.bytes == 4) {
				*(volatile u32 *)to = colour;
			} else if (fb.bytes == 2) {
				*(volatile u16 *)to = (u16)colour;
			} else {
				((volatile u8 *)to)[0] = (u8)colour;
				((volatile u8 *)to)[1] = (u8)(colour >> 8);
				((volatile u8 *)to)[2] = (u8)(colour >> 16);
			}
		}
	}
	return to;
}

static void draw_run(unsigned row, unsigned column, const screen_cell *cells, unsigned n, u8 invert)
{
	u8 *line = fb.base + (u64)row * FONT_HEIGHT * fb.scale * fb.pitch +
	           (u64)column * FONT_WIDTH * fb.scale * fb.bytes;

	for (unsigned y = 0; y < FONT_HEIGHT * fb.scale; y++, line += fb.pitch) {
		u8 *to = line;

		for (unsigned i = 0; i < n; i++)
			to = draw_bits(to, font_glyph((char)cells[i])[y / fb.scale] ^ invert,
			               fb.colour[cells[i] >> 8 & 0xf], fb.colour[cells[i] >> 12]);
	}
}

static void draw(struct screen *s, unsigned row, unsigned column, const screen_cell *cells,
                 unsigned n)
{
	(void)s;
	draw_run(row, column, cells, n, 0);
}

/* A block: the character in reverse. */
static void cursor(struct screen *s, unsigned row, unsigned column, screen_cell under, bool on)
{
	(void)s;
	draw_run(row, column, &under, 1, on ? 0xff : 0);
}

/* One of a colour's three parts in its field of a pixel, or 0 when the field makes no sense. */
static u32 field(u8 part, u8 position, u8 size, u8 bits)
{
	if (size == 0 || size > 16 || position + size > bits)
		return 0;
	return (size <= 8 ? (u32)part >> (8 - size) : (u32)part << (size - 8)) << position;
}

/* Without a usable description of the fields all but black is white, in any format. */
static void make_colours(const struct boot_framebuffer *f)
{
	u8 bits = f->bits_per_pixel;
	u32 any = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(palette); i++) {
		fb.colour[i] = field(palette[i][0], f->red_pos, f->red_size, bits) |
		               field(palette[i][1], f->green_pos, f->green_size, bits) |
		               field(palette[i][2], f->blue_pos, f->blue_size, bits);
		any |= fb.colour[i];
	}
	for (unsigned i = 1; i < ARRAY_SIZE(palette) && any == 0; i++)
		fb.colour[i] = 0xffffffff;
}

static bool is_usable(const struct boot_framebuffer *f)
{
	u32 bytes = (f->bits_per_pixel + 7u) / 8;

	return f->type == BOOT_FB_RGB && f->address != 0 && bytes >= 2 && bytes <= 4 &&
	       f->width >= MIN_COLUMNS * FONT_WIDTH && f->height >= MIN_ROWS * FONT_HEIGHT &&
	       f->width < 1u << 16 && f->height < 1u << 16 && f->pitch < 1u << 20 &&
	       f->pitch >= f->width * bytes;
}

static unsigned at_most(u32 n, unsigned max)
{
	return n < max ? n : max;
}

const struct screen_device *framebuffer_probe(const struct boot_framebuffer *f)
{
	static struct screen_device device = {.draw = draw, .cursor = cursor};

	if (!is_usable(f))
		return NULL;
	fb.bytes = (f->bits_per_pixel + 7u) / 8;
	fb.pitch = f->pitch;
	fb.scale = 1 + (f->width - 1) / (SCREEN_MAX_COLUMNS * FONT_WIDTH);
	make_colours(f);
	fb.base = paging_map_framebuffer(f->address, (u64)f->pitch * f->height);
	if (fb.base == NULL)
		return NULL;
	device.columns = at_most(f->width / (FONT_WIDTH * fb.scale), SCREEN_MAX_COLUMNS);
	device.rows = at_most(f->height / (FONT_HEIGHT * fb.scale), SCREEN_MAX_ROWS);
	device.jump = device.rows < JUMP_DIVISOR ? 1 : device.rows / JUMP_DIVISOR;
	return &device;
}
