/*
 * VGA text mode: 16-bit cells at 0xb8000, character and colours, and a cursor that the hardware
 * draws.
 *
 * Used where the boot loader left the adapter in text mode (BIOS, and direct boots). Whether there
 * is an adapter, and that it is in a text mode, is read from its graphics controller; one write and
 * read back of the first cell proves the memory.
 *
 * Registers: IBM VGA technical reference; FreeVGA.
 */
#include <boot/boot_info.h>
#include <kernel/io.h>
#include <kernel/paging.h>
#include <kernel/screen.h>

#define TEXT_BASE 0xb8000u
#define TEXT_SIZE 0x8000u
#define COLOURS 0x0700u /* light grey on black */

#define GRAPHICS_INDEX 0x3ce
#define GRAPHICS_DATA 0x3cf
#define GRAPHICS_MISCELLANEOUS 6
#define CRTC_INDEX 0x3d4
#define CRTC_DATA 0x3d5
#define CRTC_CURSOR_START 0x0a
#define CRTC_CURSOR_END 0x0b
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_CURSOR_LOW 0x0f

static volatile u16 *cell;

static void draw(struct screen *s, unsigned row, unsigned column, const char *text, unsigned n)
{
	volatile u16 *to = cell + row * s->device->columns + column;

	for (unsigned i = 0; i < n; i++)
		to[i] = (u16)(COLOURS | (u8)text[i]);
}

static void crtc_write(u8 index, u8 value)
{
	outb(CRTC_INDEX, index);
	outb(CRTC_DATA, value);
}

/* The hardware's cursor only has to be moved. */
static void cursor(struct screen *s, unsigned row, unsigned column, char under, bool on)
{
	unsigned place = row * s->device->columns + column;

	(void)under;
	if (!on)
		return;
	crtc_write(CRTC_CURSOR_HIGH, (u8)(place >> 8));
	crtc_write(CRTC_CURSOR_LOW, (u8)place);
}

/* Bit 0 of the register: graphics. Without an adapter it reads as ones. */
static bool is_text_mode(void)
{
	outb(GRAPHICS_INDEX, GRAPHICS_MISCELLANEOUS);
	return !(inb(GRAPHICS_DATA) & 1);
}

static bool keeps_what_is_written(volatile u16 *place)
{
	u16 before = *place;

	*place = COLOURS | 0x55;
	bool kept = *place == (COLOURS | 0x55);

	*place = before;
	return kept;
}

const struct screen_device *vga_probe(const struct boot_framebuffer *fb)
{
	static struct screen_device device = {
	    .draw = draw, .cursor = cursor, .columns = 80, .rows = 25, .jump = 1};
	bool told = fb->type == BOOT_FB_TEXT;

	if (!is_text_mode())
		return NULL;
	if (told && fb->width >= 40 && fb->width <= 132 && fb->height >= 2 && fb->height <= 60) {
		device.columns = fb->width;
		device.rows = fb->height;
	}
	cell = paging_map_device(TEXT_BASE, TEXT_SIZE);
	if (cell == NULL || !keeps_what_is_written(cell))
		return NULL;
	crtc_write(CRTC_CURSOR_START, 14); /* an underline in the 16 lines of a character */
	crtc_write(CRTC_CURSOR_END, 15);
	return &device;
}
