/*
 * The console's parts: the screen against a device that remembers what was drawn, the log's ring,
 * the keyboard's decoder, the framebuffer's distrust, interrupts that really arrive.
 */
#include <boot/boot_info.h>
#include <kernel/cmdline.h>
#include <kernel/console.h>
#include <kernel/font.h>
#include <kernel/irq.h>
#include <kernel/keyboard.h>
#include <kernel/log.h>
#include <kernel/memory.h>
#include <kernel/screen.h>
#include <lib/platform.h>
#include <tests/test.h>

/* --- screen --- */

#define COLUMNS 20u
#define ROWS 5u

static struct screen screen;
static screen_cell cells[COLUMNS * ROWS], shown[COLUMNS * ROWS];
static screen_cell video[ROWS][COLUMNS]; /* what the device was told */
static unsigned nr_drawn;
static unsigned cursors; /* how many cursors are visible on the device */

static void draw(struct screen *s, unsigned row, unsigned column, const screen_cell *from,
                 unsigned n)
{
	(void)s;
	ASSERT_TRUE(row < ROWS && column + n <= COLUMNS);
	memcpy(&video[row][column], from, n * sizeof(*from));
	nr_drawn += n;
}

static void cursor(struct screen *s, unsigned row, unsigned column, screen_cell under, bool on)
{
	(void)s;
	ASSERT_TRUE(row < ROWS && column < COLUMNS);
	EXPECT_EQ(under, video[row][column]);
	cursors += on ? 1u : -1u;
}

static void begin(unsigned jump)
{
	static struct screen_device device = {draw, cursor, COLUMNS, ROWS, 1};

	device.jump = jump;
	memset(video, 'X', sizeof(video));
	cursors = 0;
	screen_init(&screen, &device, cells, shown);
	nr_drawn = 0;
}

static void write(const char *text)
{
	screen_write(&screen, text, strlen(text));
	EXPECT_NULL(screen_check(&screen));
	EXPECT_EQ(cursors, 1u);
}

/* The video row without trailing blanks. */
static const char *video_row(unsigned row)
{
	static char text[COLUMNS + 1];
	unsigned n = COLUMNS;

	for (unsigned c = 0; c < COLUMNS; c++)
		text[c] = (char)video[row][c];
	while (n > 0 && text[n - 1] == ' ')
		n--;
	text[n] = '\0';
	return text;
}

/* A black screen fails no other test: the serial port goes on. */
TEST(console, the_loaders_framebuffer_is_a_screen)
{
	const struct boot_framebuffer *fb = &boot_info()->framebuffer;

	if (fb->type == BOOT_FB_NONE || strcmp(options()->console, "serial") == 0)
		test_skip("the boot loader gave no framebuffer, or console=serial");
	else
		EXPECT_TRUE(console_has_screen());
}

TEST(console, screen_starts_clear)
{
	begin(1);
	for (unsigned r = 0; r < ROWS; r++)
		EXPECT_STREQ(video_row(r), "");
}

TEST(console, screen_draws_only_what_changed)
{
	begin(1);
	write("hello");
	EXPECT_EQ(nr_drawn, 5u);
	write("\rhelp!");
	EXPECT_EQ(nr_drawn, 7u);
	EXPECT_STREQ(video_row(0), "help!");
}

TEST(console, screen_scrolls_by_one_and_by_more)
{
	begin(1);
	write("1\n2\n3\n4\n5\n6");
	EXPECT_STREQ(video_row(0), "2");
	EXPECT_STREQ(video_row(4), "6");
	begin(3);
	write("1\n2\n3\n4\n5\n6");
	EXPECT_STREQ(video_row(0), "4");
	EXPECT_STREQ(video_row(2), "6");
	EXPECT_STREQ(video_row(3), "");
	write("\n7\n8\n9");
	EXPECT_STREQ(video_row(0), "7");
	EXPECT_STREQ(video_row(2), "9");
}

TEST(console, screen_wraps_late)
{
	begin(1);
	write("01234567890123456789");
	EXPECT_EQ(screen.row, 0u);
	write("\n");
	EXPECT_EQ(screen.row, 1u);
	write("01234567890123456789a");
	EXPECT_STREQ(video_row(2), "a");
}

TEST(console, screen_knows_control_characters)
{
	begin(1);
	write("abc\b\bX\tY\a\x01");
	EXPECT_STREQ(video_row(0), "aX      Y");
	write("\r\xff\x7f");
	EXPECT_STREQ(video_row(0), "??      Y");
	write("\r\b"); /* no further left than the margin */
	EXPECT_EQ(screen.column, 0u);
}

TEST(console, screen_knows_escape_sequences)
{
	begin(1);
	write("line 1\nline 2\nline 3\x1b[2;3Hx");
	EXPECT_STREQ(video_row(1), "lixe 2");
	write("\x1b[K");
	EXPECT_STREQ(video_row(1), "lix");
	write("\x1b[31;1mred\x1b[0m");
	EXPECT_STREQ(video_row(1), "lixred");
	write("\x1b[5Dab\x1b[2Cc\x1b[99D\x1b[99C!");
	EXPECT_STREQ(video_row(1), "labrec             !");
	write("\x1b[2;1H\x1b[J");
	EXPECT_STREQ(video_row(0), "line 1");
	EXPECT_STREQ(video_row(1), "");
	EXPECT_STREQ(video_row(2), "");
	write("\x1b[2J\x1b[Hok");
	EXPECT_STREQ(video_row(0), "ok");
	write("\x1b[99;99H!\x1b[999999999999999H");
	EXPECT_EQ((char)video[ROWS - 1][COLUMNS - 1], '!');
	write("\x1b[1\nz"); /* a broken-off sequence ends at the newline */
	EXPECT_EQ(screen.escape, 0);
}

static u8 colours_at(unsigned row, unsigned column)
{
	return (u8)(video[row][column] >> 8);
}

TEST(console, screen_knows_sixteen_colours)
{
	begin(1);
	write("a\x1b[31mb\x1b[44mc\x1b[92;105md\x1b[0me");
	EXPECT_STREQ(video_row(0), "abcde");
	EXPECT_EQ(colours_at(0, 0), SCREEN_PLAIN);
	EXPECT_EQ(colours_at(0, 1), 0x01);
	EXPECT_EQ(colours_at(0, 2), 0x41);
	EXPECT_EQ(colours_at(0, 3), 0xda);
	EXPECT_EQ(colours_at(0, 4), SCREEN_PLAIN);
	write("\r\x1b[31;1mB\x1b[7mI\x1b[22mi\x1b[27;42mg");
	EXPECT_EQ(colours_at(0, 0), 0x09);
	EXPECT_EQ(colours_at(0, 1), 0x90);
	EXPECT_EQ(colours_at(0, 2), 0x10);
	EXPECT_EQ(colours_at(0, 3), 0x21);
	write("\n\x1b[K"); /* what is erased takes the paper's colour */
	EXPECT_EQ(colours_at(1, COLUMNS - 1), 0x21);
	write("\x1b[1;2;3;4;5;6;7;0m\x1b[38;5mx"); /* unknown ones and too many do no harm */
	EXPECT_STREQ(video_row(1), "x");
}

TEST(console, a_change_of_colour_alone_is_drawn)
{
	begin(1);
	write("same");
	nr_drawn = 0;
	write("\r\x1b[32msa");
	EXPECT_EQ(nr_drawn, 2u);
	EXPECT_EQ(colours_at(0, 1), 0x02);
	EXPECT_EQ(colours_at(0, 2), SCREEN_PLAIN);
}

TEST(console, the_cursor_can_be_hidden)
{
	begin(1);
	write("x");
	screen_write(&screen, "\x1b[?25ly", 7);
	EXPECT_EQ(cursors, 0u);
	screen_write(&screen, "\x1b[?24h", 6); /* another mode */
	EXPECT_EQ(cursors, 0u);
	write("\x1b[?25hz");
	EXPECT_STREQ(video_row(0), "xyz");
}

TEST(console, screen_survives_random_bytes)
{
	static const char bytes[] = "ab \n\r\b\t\x1b[;?0134579HJKCDmhl\xff\x7f";
	char text[16];

	begin(2);
	for (unsigned i = 0; i < 2000; i++) {
		for (unsigned j = 0; j < sizeof(text); j++)
			text[j] = bytes[rng_below(test_rng(), sizeof(bytes) - 1)];
		screen_write(&screen, text, sizeof(text));
		ASSERT_NULL(screen_check(&screen));
	}
	for (unsigned r = 0; r < ROWS; r++)
		for (unsigned c = 0; c < COLUMNS; c++)
			ASSERT_EQ(video[r][c], screen_cell_of(screen_at(&screen, r, c),
			                                      screen_colours_at(&screen, r, c)));
}

TEST(console, screen_check_names_each_broken_invariant)
{
	begin(1);
	screen.row = ROWS;
	EXPECT_STREQ(screen_check(&screen), "S1: cursor or top outside the screen");
	begin(1);
	cells[COLUMNS * ROWS - 1] = '\n';
	EXPECT_STREQ(screen_check(&screen), "S2: unprintable cell");
	begin(1);
	cells[7] = 'x';
	EXPECT_STREQ(screen_check(&screen), "S3: a clean row shows something else");
}

/* --- framebuffer: whatever is wrong with the description, nothing is mapped or written --- */

TEST(console, framebuffer_refuses_what_would_write_outside)
{
	const struct boot_framebuffer good = {.type = BOOT_FB_RGB,
	                                      .address = 0xe0000000,
	                                      .pitch = 4096,
	                                      .width = 1024,
	                                      .height = 768,
	                                      .bits_per_pixel = 32};
	struct boot_framebuffer f;

	EXPECT_NULL(((f = good, f.type = BOOT_FB_NONE), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.address = 0), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.pitch = 4095), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.pitch = 0xffffffff), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.width = 0), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.width = 0xffffffff), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.height = 63), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.height = 0xffffffff), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.bits_per_pixel = 8), framebuffer_probe(&f)));
	EXPECT_NULL(((f = good, f.bits_per_pixel = 255), framebuffer_probe(&f)));
}

TEST(console, font_has_a_glyph_for_every_character)
{
	for (char c = '!'; c <= '~'; c++)
		EXPECT_NOT_NULL(mem_find_other(font_glyph(c), 0, FONT_HEIGHT));
	EXPECT_NULL(mem_find_other(font_glyph(' '), 0, FONT_HEIGHT));
	EXPECT_TRUE(font_glyph('\x80') == font_glyph('?'));
	EXPECT_TRUE(font_glyph('A') != font_glyph('B'));
}

/* --- log and output --- */

static unsigned nr_lines;
static char first_line[64], last_line[64];

static void see_line(enum log_level level, const char *text, size_t len, void *context)
{
	char *to = nr_lines++ == 0 ? first_line : last_line;

	(void)context;
	format_buf(to, sizeof(first_line), "%d:%.*s", (int)level, (int)len, text);
}

static void look_at_tail(unsigned lines)
{
	nr_lines = 0;
	log_for_each_tail(lines, see_line, NULL);
}

static void discard(struct sink *self, const char *text, size_t len)
{
	(void)self, (void)text, (void)len;
}

static char captured[256];
static size_t nr_captured;

static void capture(struct sink *self, const char *text, size_t len)
{
	(void)self;
	for (size_t i = 0; i < len && nr_captured + 1 < sizeof(captured); i++)
		captured[nr_captured++] = text[i];
	captured[nr_captured] = '\0';
}

TEST(console, log_keeps_the_last_lines_of_every_level)
{
	struct sink nowhere = {.write = discard};
	struct sink *before = console_divert(&nowhere);

	log_debug("test: hidden %d", 1);
	log_error("test: two\nlines");
	console_divert(before);
	look_at_tail(2);
	EXPECT_EQ(nr_lines, 2u);
	EXPECT_STREQ(first_line, "7:test: hidden 1");
	EXPECT_STREQ(last_line, "3:test: two lines");
}

TEST(console, log_overwrites_the_oldest)
{
	struct sink nowhere = {.write = discard};
	struct sink *before = console_divert(&nowhere);

	for (unsigned i = 0; i < 1000; i++)
		log_debug("test: line %u of a thousand, some length", i);
	console_divert(before);
	look_at_tail(10);
	EXPECT_EQ(nr_lines, 10u);
	EXPECT_STREQ(first_line, "7:test: line 990 of a thousand, some length");
	look_at_tail(100000);
	EXPECT_GT(nr_lines, 300u);
	EXPECT_LT(nr_lines, 1000u);
	EXPECT_STREQ(last_line, "7:test: line 999 of a thousand, some length");
	EXPECT_EQ(strncmp(first_line, "7:test: line ", 13), 0); /* no torn line */
}

TEST(console, level_hides_lines_and_prefixes_name_trouble)
{
	struct sink to = {.write = capture};
	int level = console_level();

	nr_captured = 0;
	struct sink *before = console_divert(&to);

	console_set_level(LOG_WARN);
	log_info("not shown");
	log_warn("shown");
	log_error("shown too");
	console_set_level(level);
	console_divert(before);
	EXPECT_STREQ(captured, "warning: shown\nerror: shown too\n");
}

/* --- keyboard --- */

static char typed[32];

static const char *type_codes(const char *codes, size_t n)
{
	static struct keyboard k;
	char *to = typed;

	memset(&k, 0, sizeof(k));
	for (size_t i = 0; i < n; i++)
		to += keyboard_decode(&k, (u8)codes[i], to);
	*to = '\0';
	return typed;
}

#define CODES(text) type_codes(text, sizeof(text) - 1)

TEST(console, keyboard_types_letters_shift_caps_and_ctrl)
{
	EXPECT_STREQ(CODES("\x1e\x9e\x30\xb0\x39\x02"), "ab 1");
	EXPECT_STREQ(CODES("\x2a\x1e\x9e\x02\xaa\x1e"), "A!a");
	EXPECT_STREQ(CODES("\x36\x35\xb6\x35"), "?/");
	EXPECT_STREQ(CODES("\x3a\xba\x1e\x02\x2a\x1e\xaa\x3a\xba\x1e"), "A1aa");
	EXPECT_STREQ(CODES("\x1d\x2e\x9d\x2e"), "\x03"
	                                        "c");
	EXPECT_STREQ(CODES("\xe0\x1d\x1e\xe0\x9d\x1e"), "\x01"
	                                                "a");
	EXPECT_STREQ(CODES("\x0e\x0f\x1c\x01"), "\x7f\t\r\x1b");
	EXPECT_STREQ(CODES("\x2b\x2a\x2b\xaa\x29\x28\x56\x7f"), "\\|`'");
}

TEST(console, keyboard_sends_the_terminals_sequences)
{
	EXPECT_STREQ(CODES("\xe0\x48\xe0\xc8\xe0\x50\xe0\x4b\xe0\x4d"), "\x1b[A\x1b[B\x1b[D\x1b[C");
	EXPECT_STREQ(CODES("\xe0\x47\xe0\x4f\xe0\x53\xe0\xd3"), "\x1b[H\x1b[F\x1b[3~");
	EXPECT_STREQ(CODES("\xe0\x2a\xe0\x48\xe0\xc8\xe0\xaa\x1e"), "\x1b[Aa"); /* made-up shifts */
	EXPECT_STREQ(CODES("\xe0\x1c\xe0\x35\x48"), "\r/\x1b[A");
}

TEST(console, keyboard_skips_pause_and_the_controllers_answers)
{
	EXPECT_STREQ(CODES("\xe1\x1d\x45\xe1\x9d\xc5\x1e"), "a");
	EXPECT_STREQ(CODES("\xfa\xee\xfe\xaa\x1e\xff"), "a");
}

TEST(console, keyboard_decodes_any_bytes_within_bounds)
{
	struct keyboard k = {.shift = false};
	char out[KEYBOARD_MAX_BYTES];

	for (unsigned i = 0; i < 20000; i++) {
		unsigned n = keyboard_decode(&k, (u8)rng_below(test_rng(), 256), out);

		ASSERT_LE(n, (unsigned)KEYBOARD_MAX_BYTES);
		ASSERT_LE(k.skip, 2);
	}
}

/* --- input and interrupts --- */

TEST(console, input_comes_out_in_order_and_overflow_drops_the_newest)
{
	u8 byte;

	while (console_try_read(&byte)) {
	}
	for (unsigned i = 0; i < 3000; i++)
		console_input((u8)(i % 251 + 4));
	for (unsigned i = 0; i < 1024; i++) {
		ASSERT_TRUE(console_try_read(&byte));
		ASSERT_EQ(byte, (u8)(i % 251 + 4));
	}
	EXPECT_FALSE(console_try_read(&byte));
	EXPECT_FALSE(console_interrupted());
	console_input(3);
	EXPECT_TRUE(console_interrupted());
	EXPECT_FALSE(console_interrupted());
	EXPECT_EQ(console_read(), 3);
}

static void never(void *context)
{
	(void)context;
}

TEST(console, irq_lines_are_taken_once_and_bounded)
{
	EXPECT_EQ(irq_register(IRQ_NR_LINES, never, NULL), -EINVAL);
	EXPECT_EQ(irq_register(9, NULL, NULL), -EINVAL);
	EXPECT_EQ(irq_count(IRQ_NR_LINES), 0u);
}

/* A vector that no device has, and line 7 without a request in service: both are noise, counted and
 * survived. */
TEST(console, irq_counts_noise)
{
	struct sink nowhere = {.write = discard};
	struct sink *console = console_divert(&nowhere);
	u64 before = irq_spurious_count();
	u64 flags = irq_save();

	irq_dispatch(200);
	irq_dispatch(IRQ_VECTOR_BASE + 7);
	irq_restore(flags);
	console_divert(console);
	EXPECT_EQ(irq_spurious_count(), before + 2);
}

static char logged[256];
static size_t nr_logged;

static void keep_logged(struct sink *self, const char *text, size_t len)
{
	(void)self;
	for (size_t i = 0; i < len && nr_logged + 1 < sizeof(logged); i++)
		logged[nr_logged++] = text[i];
	logged[nr_logged] = '\0';
}

static const char *log_one(bool coloured, enum log_level level, const char *text)
{
	static struct sink to = {.write = keep_logged};
	struct sink *before = console_divert(&to);

	nr_logged = 0;
	console_set_colours(coloured);
	platform_log(level, text, strlen(text));
	console_set_colours(false);
	console_divert(before);
	return logged;
}

/* Whose a line is, where it says so, and what is wrong. The rest of it is as it was given. */
TEST(console, log_lines_have_colours_for_people)
{
	EXPECT_STREQ(log_one(false, LOG_WARN, "cpu 0: hot"), "warning: cpu 0: hot\n");
	EXPECT_STREQ(log_one(true, LOG_WARN, "cpu 0: hot"),
	             "\x1b[93mwarning: \x1b[0m\x1b[96mcpu 0:\x1b[0m hot\n");
	EXPECT_STREQ(log_one(true, LOG_ERROR, "Bad: this"), "\x1b[91merror: \x1b[0mBad: this\n");
	EXPECT_STREQ(log_one(true, LOG_WARN, ": x"), "\x1b[93mwarning: \x1b[0m: x\n");
	EXPECT_STREQ(log_one(true, LOG_WARN, "no topic of so many words: x"),
	             "\x1b[93mwarning: \x1b[0mno topic of so many words: x\n");
}
