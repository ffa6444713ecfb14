/*
 * The monitor's commands to watch: `view`, which draws memory again and again until a key ends it,
 * and `demo`, which starts something to watch.
 *
 * The view is drawn for the terminal's 80 x 25, or for the screen's size when that is what people
 * look at. Keys come from either; arrows are escape sequences, of which a lone ESC is none.
 */
#include <kernel/console.h>
#include <kernel/cpu.h>
#include <kernel/demo.h>
#include <kernel/monitor.h>
#include <kernel/sched.h>
#include <kernel/view.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>

#define FRAME_MS 250u /* from one drawing to the next */
#define POLL_MS 10u
#define PLAIN_COLUMNS 80u
#define PLAIN_ROWS 25u

enum { NO_KEY = 0 };

struct keys {
	enum { NO_SEQUENCE, AFTER_ESC, IN_SEQUENCE } state;
	u8 digit;
};

/* Whole drawings go out at once: a screen draws what has changed when text ends. */
struct viewer {
	struct sink sink; /* into text[] */
	struct view view;
	struct keys keys;
	size_t length;
	char text[32 * 1024];
};

static void flush(struct viewer *v)
{
	platform_write(v->text, v->length);
	v->length = 0;
}

static void append(struct sink *self, const char *text, size_t len)
{
	struct viewer *v = container_of(self, struct viewer, sink);

	while (len > 0) {
		size_t n = min_u64(len, sizeof(v->text) - v->length);

		memcpy(v->text + v->length, text, n);
		v->length += n;
		text += n;
		len -= n;
		if (v->length == sizeof(v->text))
			flush(v);
	}
}

/* --- keys --- */

/* What ESC [ or ESC O and this byte stand for; a digit waits for its ~. */
static unsigned key_of(u8 final, u8 digit)
{
	switch (final) {
	case 'A':
		return VIEW_UP;
	case 'B':
		return VIEW_DOWN;
	case 'C':
		return VIEW_RIGHT;
	case 'D':
		return VIEW_LEFT;
	case 'H':
		return VIEW_HOME;
	case 'F':
		return VIEW_END;
	case '~':
		return digit == '5'                   ? VIEW_PAGE_UP
		       : digit == '6'                 ? VIEW_PAGE_DOWN
		       : digit == '1' || digit == '7' ? VIEW_HOME
		       : digit == '4' || digit == '8' ? VIEW_END
		                                      : NO_KEY;
	default:
		return NO_KEY;
	}
}

/* Sequences may come in pieces, from the keyboard as from the serial port. */
static unsigned read_key(struct keys *k)
{
	unsigned key = NO_KEY;
	u8 byte;

	while (key == NO_KEY && console_try_read(&byte)) {
		if (byte == 0x1b) {
			*k = (struct keys){.state = AFTER_ESC};
		} else if (k->state == AFTER_ESC && (byte == '[' || byte == 'O')) {
			k->state = IN_SEQUENCE;
		} else if (k->state == IN_SEQUENCE && byte >= '0' && byte <= '9') {
			k->digit = byte;
		} else {
			key = k->state == IN_SEQUENCE ? key_of(byte, k->digit) : byte;
			k->state = NO_SEQUENCE;
		}
	}
	return key;
}

static unsigned wait_for_key(struct keys *k, u64 until_ms)
{
	unsigned key;

	do {
		key = read_key(k);
		if (key == NO_KEY)
			thread_sleep(POLL_MS);
	} while (key == NO_KEY && sched_milliseconds() < until_ms && !console_interrupted());
	return key;
}

/* --- the loop --- */

/* The page in words, on a screen of its own. */
static void inspect(struct viewer *v)
{
	kprintf("\x1b[0m\x1b[2J\x1b[H\x1b[?25h");
	stats_print_page_words(view_subject(&v->view));
	kprintf("\x1b[7mA key goes back to the view.\x1b[0m");
	while (read_key(&v->keys) == NO_KEY && !console_interrupted())
		thread_sleep(POLL_MS);
	kprintf("\x1b[2J");
	view_forget(&v->view);
}

static void draw(struct viewer *v)
{
	const char *phase = demo_phase();

	view_draw(&v->view, &v->sink, sched_milliseconds());
	format_to(&v->sink, "%s%s", phase[0] != '\0' ? "  demo: " : "", phase);
	flush(v);
}

static void look(struct viewer *v)
{
	enum view_action action = VIEW_GO_ON;

	while (action != VIEW_LEAVE) {
		u64 end = sched_milliseconds() + FRAME_MS;
		unsigned key;

		draw(v);
		do {
			key = wait_for_key(&v->keys, v->view.paused ? UINT64_MAX : end);
			if (key == 0x03)
				return;
			action = key != NO_KEY ? view_key(&v->view, key) : VIEW_GO_ON;
			demo_pause(v->view.paused);
		} while (key != NO_KEY && action == VIEW_GO_ON && !v->view.paused &&
		         sched_milliseconds() < end);
		if (action == VIEW_INSPECT)
			inspect(v);
	}
}

int monitor_view(int argc, char **argv)
{
	unsigned columns = PLAIN_COLUMNS, rows = PLAIN_ROWS;
	struct viewer *v;

	(void)argc;
	(void)argv;
	if (!thread_may_wait() || !sched_is_ticking()) {
		kprintf("view: needs the timer, which this machine has not\n");
		return -EAGAIN;
	}
	v = kvzalloc(sizeof(*v), GFP_KERNEL);
	if (v == NULL) {
		kprintf("view: no memory for its %lu KiB\n", sizeof(*v) >> 10);
		return -ENOMEM;
	}
	console_screen_size(&columns, &rows);
	v->sink.write = append;
	view_init(&v->view, columns, rows);
	kprintf("\x1b[2J");
	look(v);
	demo_pause(false);
	kprintf("\x1b[0m\x1b[%u;1H\x1b[?25h\n", v->view.rows);
	kvfree(v);
	return 0;
}

int monitor_demo(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "off") == 0) {
		demo_stop();
		return 0;
	}
	if (argc == 2) {
		kprintf("demo: %s is not understood; demo starts it, demo off ends it\n", argv[1]);
		return -EINVAL;
	}
	if (!demo_start(cycles())) {
		kprintf("demo: no memory for a thread\n");
		return -ENOMEM;
	}
	return monitor_view(argc, argv);
}
