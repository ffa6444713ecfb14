/*
 * The console: the one place that text goes through, and typed bytes come from.
 *
 * Text goes to the serial port at once and to the screen when there is one; what is written before
 * the screen is known is kept (its newest EARLY_SIZE bytes) and shown when it appears. Log lines
 * are also kept in the log, whatever their level.
 *
 *   C1  one lock orders everything; it is last in the lock order, held with interrupts off, and
 *       nothing under it allocates, logs or can fail.
 *   C2  a panic never waits for it: after console_panic_begin() nobody takes it. As a second
 *       line, every wait is bounded and none is for a lock that this CPU holds, so a holder that
 *       died cannot silence the others.
 *   C3  the input ring has one reader; handlers on any CPU may write it. Full: the new byte is
 *       dropped.
 *
 * Cost: that of the devices. The serial port's polled output is the slow part: about 87 us a byte
 * on a real one.
 */
#include <boot/boot_info.h>
#include <kernel/cmdline.h>
#include <kernel/console.h>
#include <kernel/irq.h>
#include <kernel/log.h>
#include <kernel/screen.h>
#include <kernel/serial.h>
#include <lib/bits.h>
#include <lib/spinlock.h>
#include <lib/string.h>

#define EARLY_SIZE (8 * KIB)
#define INPUT_SIZE 1024u
#define MAX_SPINS 50000000u /* a large screen redrawn over a slow bus fits in it many times */
#define CTRL_C 0x03
#define TOPIC_MAX 16u

static struct spinlock lock = SPINLOCK_INIT("console");
static int shown_level = LOG_INFO;
static bool panicking, colours;
static struct sink *divert;

static struct screen screen;
static bool has_screen, wants_serial = true;
static screen_cell cells[SCREEN_MAX_COLUMNS * SCREEN_MAX_ROWS];
static screen_cell shown[SCREEN_MAX_COLUMNS * SCREEN_MAX_ROWS];

static char early[EARLY_SIZE]; /* text before there was a screen, a ring */
static u64 early_written;

static struct spinlock input_lock = SPINLOCK_INIT("console input");
static u8 input[INPUT_SIZE];
static u32 input_in, input_out; /* bytes ever put in and taken out */
static bool interrupted;

struct hold {
	u64 flags;
	bool locked;
};

static struct hold acquire(void)
{
	struct hold h = {.flags = irq_save()};

	for (u32 i = 0; i < MAX_SPINS && !panicking && !h.locked && !spin_is_held(&lock); i++) {
		h.locked = spin_try_lock(&lock);
		if (!h.locked)
			cpu_relax();
	}
	return h;
}

static void release(struct hold h)
{
	if (h.locked)
		spin_unlock(&lock);
	irq_restore(h.flags);
}

static void keep_early(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		early[early_written++ % EARLY_SIZE] = text[i];
}

static void emit(const char *text, size_t len)
{
	if (divert != NULL && !panicking) {
		divert->write(divert, text, len);
		return;
	}
	if (wants_serial)
		serial_write(text, len);
	if (has_screen)
		screen_write(&screen, text, len);
	else
		keep_early(text, len);
}

void platform_write(const char *text, size_t len)
{
	struct hold h = acquire();

	emit(text, len);
	release(h);
}

static void emit_text(const char *text)
{
	emit(text, strlen(text));
}

static void emit_coloured(const char *colour, const char *text, size_t len)
{
	if (colours && !panicking)
		emit_text(colour);
	emit(text, len);
	if (colours && !panicking)
		emit_text("\x1b[0m");
}

/* How much of a line says whose it is: "memory:", "cpu 0:"; 0 when it begins otherwise. */
static size_t topic_length(const char *text, size_t len)
{
	for (size_t i = 0; i < len && i < TOPIC_MAX; i++) {
		char c = text[i];

		if (c == ':')
			return i > 0 ? i + 1 : 0;
		if (!(c >= 'a' && c <= 'z') && !(c >= '0' && c <= '9') && !(c == ' ' && i > 0))
			return 0;
	}
	return 0;
}

static void emit_log_line(enum log_level level, const char *text, size_t len)
{
	size_t topic = topic_length(text, len);

	if (level <= LOG_WARN) {
		const char *prefix = level <= LOG_ERROR ? "error: " : "warning: ";

		emit_coloured(level <= LOG_ERROR ? "\x1b[91m" : "\x1b[93m", prefix, strlen(prefix));
	}
	if (topic > 0)
		emit_coloured("\x1b[96m", text, topic);
	emit(text + topic, len - topic);
	emit_text("\n");
}

void platform_log(enum log_level level, const char *text, size_t len)
{
	struct hold h = acquire();

	log_append(level, text, len);
	if ((int)level <= shown_level || panicking)
		emit_log_line(level, text, len);
	release(h);
}

bool console_has_screen(void)
{
	return has_screen;
}

void console_screen_size(unsigned *columns, unsigned *rows)
{
	if (!has_screen)
		return;
	*columns = screen.device->columns;
	*rows = screen.device->rows;
}

void console_flush(void)
{
	serial_flush();
}

void console_set_level(int level)
{
	shown_level = level;
}

void console_set_colours(bool on)
{
	colours = on;
}

int console_level(void)
{
	return shown_level;
}

void console_panic_begin(void)
{
	panicking = true;
}

struct sink *console_divert(struct sink *sink)
{
	struct sink *before = divert;

	divert = sink;
	return before;
}

void console_input(u8 byte)
{
	u64 flags = spin_lock_irq(&input_lock);

	if (byte == CTRL_C)
		interrupted = true;
	if (input_in - input_out < INPUT_SIZE)
		input[input_in++ % INPUT_SIZE] = byte;
	spin_unlock_irq(&input_lock, flags);
}

bool console_try_read(u8 *byte)
{
	u64 flags = spin_lock_irq(&input_lock);
	bool any = input_in != input_out;

	if (any)
		*byte = input[input_out++ % INPUT_SIZE];
	spin_unlock_irq(&input_lock, flags);
	return any;
}

/* Interrupts are off from the check to the halt, so a byte that arrives between them still ends the
 * halt. */
u8 console_read(void)
{
	u8 byte;
	u64 flags = irq_save();

	while (!console_try_read(&byte))
		irq_wait();
	irq_restore(flags);
	return byte;
}

bool console_interrupted(void)
{
	u64 flags = spin_lock_irq(&input_lock);
	bool was = interrupted;

	interrupted = false;
	spin_unlock_irq(&input_lock, flags);
	return was;
}

void console_early_init(void)
{
	serial_init();
}

static void show_early(void)
{
	u64 start = early_written > EARLY_SIZE ? early_written - EARLY_SIZE : 0;

	for (u64 i = start; i < early_written;) {
		u64 n = min_u64(EARLY_SIZE - i % EARLY_SIZE, early_written - i);

		screen_write(&screen, early + i % EARLY_SIZE, n);
		i += n;
	}
}

static const struct screen_device *probe(const struct boot_info *info)
{
	if (info->framebuffer.type == BOOT_FB_RGB)
		return framebuffer_probe(&info->framebuffer);
	return info->efi ? NULL : vga_probe(&info->framebuffer);
}

void console_init(const struct boot_info *info)
{
	const char *only = options()->console;
	const struct screen_device *device = NULL;

	if (only[0] != '\0' && strcmp(only, "serial") != 0 && strcmp(only, "screen") != 0)
		log_warn("console: \"%s\" is neither serial nor screen: using both", only);
	if (strcmp(only, "serial") != 0)
		device = probe(info);
	if (device == NULL)
		return;
	struct hold h = acquire();

	screen_init(&screen, device, cells, shown);
	has_screen = true;
	wants_serial = strcmp(only, "screen") != 0;
	show_early();
	release(h);
	log_debug("console: screen of %u columns, %u rows", device->columns, device->rows);
}
