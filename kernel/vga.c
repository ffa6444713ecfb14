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

#define GRAPHICS_INDEX 0x3ce
#define GRAPHICS_DATA 0x3cf
#define GRAPHICS_MISCELLANEOUS 6
#define STATUS 0x3da /* reading it makes the next write to ATTRIBUTE an index */
#define ATTRIBUTE 0x3c0
#define ATTRIBUTE_READ 0x3c1
#define ATTRIBUTE_MODE 0x10
#define ATTRIBUTE_SHOW 0x20 /* with the index: the screen stays on */
#define MODE_BLINK 0x08     /* a paper's bright bit means that the ink blinks */
#define CRTC_INDEX 0x3d4
#define CRTC_DATA 0x3d5
#define CRTC_CURSOR_START 0x0a
#define CRTC_CURSOR_END 0x0b
#define CRTC_CURSOR_HIGH 0x0e
#define CRTC_CURSOR_LOW 0x0f

static volatile u16 *cell;

/* The adapter counts blue, green, red where ECMA-48 counts red, green, blue. */
static u16 swap_red_and_blue(screen_cell c)
{
	return (u16)((c & ~0x5500u) | (c & 0x1100u) << 2 | (c & 0x4400u) >> 2);
}

static void draw(struct screen *s, unsigned row, unsigned column, const screen_cell *cells,
                 unsigned n)
{
	volatile u16 *to = cell + row * s->device->columns + column;

	for (unsigned i = 0; i < n; i++)
		to[i] = swap_red_and_blue(cells[i]);
}

/* All 16 colours for papers too. */
static void stop_blinking(void)
{
	u8 mode;

	(void)inb(STATUS);
	outb(ATTRIBUTE, ATTRIBUTE_MODE | ATTRIBUTE_SHOW);
	mode = inb(ATTRIBUTE_READ);
	outb(ATTRIBUTE, mode & (u8)~MODE_BLINK);
}

static void crtc_write(u8 index, u8 value)
{
	outb(CRTC_INDEX, index);
	outb(CRTC_DATA, value);
}

/* The hardware's cursor only has to be moved: where it is hidden, to behind the last row. */
static void cursor(struct screen *s, unsigned row, unsigned column, screen_cell under, bool on)
{
	unsigned place =
	    on ? row * s->device->columns + column : s->device->rows * s->device->columns;

	(void)under;
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

	*place = 0x0755;
	bool kept = *place == 0x0755;

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
	stop_blinking();
	crtc_write(CRTC_CURSOR_START, 14); /* an underline in the 16 lines of a character */
	crtc_write(CRTC_CURSOR_END, 15);
	return &device;
}
