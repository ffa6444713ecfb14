/*
 * Commands that run another: `watch` again and again, `more` a screen at a time.
 *
 * Both take the rest of the line as it stands. What `more` shows is collected first, so the other
 * command is over before the first key is asked for.
 */
#include <kernel/console.h>
#include <kernel/monitor.h>
#include <kernel/sched.h>
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/vmalloc.h>

#define LINE_MAX 256
#define SECONDS_MAX 3600
#define TEXT_KIB 256ul
#define TEXT_MAX (TEXT_KIB << 10)
#define PLAIN_ROWS 25u

static bool join_words(const char *command, char line[LINE_MAX], int argc, char **argv)
{
	size_t n = 0;

	for (int i = 0; i < argc; i++)
		n += format_buf(line + n, LINE_MAX - n, i > 0 ? " %s" : "%s", argv[i]);
	if (strcmp(argv[0], "watch") == 0 || strcmp(argv[0], "more") == 0 ||
	    strcmp(argv[0], "view") == 0 || strcmp(argv[0], "demo") == 0) {
		kprintf("%s: not of %s\n", command, argv[0]);
		return false;
	}
	return true;
}

/* Whether a key came, or Ctrl-C, before the time was over. */
static bool key_within(u64 milliseconds)
{
	u64 end = sched_milliseconds() + milliseconds;
	u8 byte;

	while (sched_milliseconds() < end) {
		if (console_interrupted() || console_try_read(&byte))
			return true;
		thread_sleep(10);
	}
	return false;
}

int monitor_watch(int argc, char **argv)
{
	char line[LINE_MAX], copy[LINE_MAX];
	u64 seconds = 2;
	int first = 1, result;

	if (argv[1][0] >= '0' && argv[1][0] <= '9') {
		if (!monitor_number(argv[0], argv[1], &seconds))
			return -EINVAL;
		first = 2;
	}
	if (first == argc || seconds == 0 || seconds > SECONDS_MAX) {
		kprintf("usage: watch [SECONDS] COMMAND, 1 to %u seconds\n", SECONDS_MAX);
		return -EINVAL;
	}
	if (!join_words(argv[0], line, argc - first, argv + first))
		return -EINVAL;
	do {
		kprintf("\x1b[2J\x1b[H%s, every %lu s; a key ends it\n", line, seconds);
		str_copy(copy, line, sizeof(copy));
		result = monitor_execute(copy);
	} while (result == 0 && !key_within(1000 * seconds));
	return result;
}

/* --- more --- */

struct collector {
	struct sink sink;
	size_t length;
	bool overflowed;
	char text[TEXT_MAX];
};

static void collect(struct sink *self, const char *text, size_t len)
{
	struct collector *c = container_of(self, struct collector, sink);
	size_t n = min_u64(len, TEXT_MAX - c->length);

	memcpy(c->text + c->length, text, n);
	c->length += n;
	c->overflowed |= n < len;
}

/* Up to so many lines from `at` on; returns where the next page begins. */
static size_t show_page(const struct collector *c, size_t at, unsigned lines)
{
	size_t end = at;

	while (end < c->length && lines > 0)
		lines -= c->text[end++] == '\n';
	platform_write(c->text + at, end - at);
	return end;
}

static void show_pages(const struct collector *c)
{
	unsigned columns = 0, rows = PLAIN_ROWS;
	size_t at = 0;
	u8 key;

	console_screen_size(&columns, &rows);
	for (unsigned lines = rows - 1;; lines = key == '\r' ? 1 : rows - 1) {
		at = show_page(c, at, lines);
		if (at == c->length)
			break;
		kprintf("\x1b[7m-- %lu%%: space a page, Enter a line, q ends --\x1b[0m",
		        at * 100 / c->length);
		key = console_read();
		kprintf("\r\x1b[K");
		if (key == 'q' || key == 0x03)
			break;
	}
	if (c->overflowed)
		kprintf("more: the rest of more than %lu KiB is not shown\n", TEXT_KIB);
}

int monitor_more(int argc, char **argv)
{
	char line[LINE_MAX];
	struct collector *c;
	struct sink *before;
	int result;

	if (!join_words(argv[0], line, argc - 1, argv + 1))
		return -EINVAL;
	c = kvmalloc(sizeof(*c), GFP_KERNEL);
	if (c == NULL) {
		kprintf("more: no memory for %lu KiB of text\n", TEXT_KIB);
		return -ENOMEM;
	}
	c->length = 0;
	c->overflowed = false;
	c->sink.write = collect;
	before = console_divert(&c->sink);
	result = monitor_execute(line);
	console_divert(before);
	show_pages(c);
	kvfree(c);
	return result;
}
