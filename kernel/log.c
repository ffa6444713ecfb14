/*
 * The log: a ring of text in which the newest lines overwrite the oldest.
 *
 * A record is one byte of level, the text, and a newline; newlines inside a text become spaces, so
 * a newline ends exactly one record.
 *
 *   L1  written is the number of bytes ever appended; byte i is at ring[i % LOG_SIZE] while
 *       written - i <= LOG_SIZE.
 *   L2  the byte before `written` is a newline (or written is 0).
 *
 * Appending costs the length of the line; finding the last n lines costs their length. Nothing is
 * locked here: the console serialises the appends, and a reader that an append overtakes can at
 * worst show a torn line.
 */
#include <kernel/log.h>
#include <lib/platform.h>

#define LOG_SIZE (16 * KIB)

static char ring[LOG_SIZE];
static u64 written;

static void put(char c)
{
	ring[written++ % LOG_SIZE] = c;
}

void log_append(enum log_level level, const char *text, size_t len)
{
	if (len > LOG_SIZE / 4)
		len = LOG_SIZE / 4;
	put((char)('0' + (unsigned)level % 10));
	for (size_t i = 0; i < len; i++)
		put(text[i] == '\n' ? ' ' : text[i]);
	put('\n');
}

/* The position of the first byte of the last `lines` whole lines. */
static u64 tail_start(u64 end, unsigned lines)
{
	u64 oldest = end > LOG_SIZE ? end - LOG_SIZE : 0;
	u64 start = end;

	for (u64 i = end; i > oldest && lines > 0; i--) {
		if (i != end && ring[(i - 1) % LOG_SIZE] != '\n')
			continue;
		if (i != end && --lines == 0)
			return i;
		start = i;
	}
	return lines > 0 && oldest == 0 ? 0 : start;
}

void log_for_each_tail(unsigned lines, void (*fn)(enum log_level, const char *, size_t, void *),
                       void *context)
{
	char line[256];
	u64 end = written;
	size_t len = 0;

	for (u64 i = tail_start(end, lines); i < end; i++) {
		char c = ring[i % LOG_SIZE];

		if (c != '\n') {
			if (len < sizeof(line))
				line[len++] = c;
			continue;
		}
		if (len > 0)
			fn((enum log_level)(line[0] - '0'), line + 1, len - 1, context);
		len = 0;
	}
}

static void print(enum log_level level, const char *text, size_t len, void *context)
{
	(void)level;
	(void)context;
	platform_write(text, len);
	platform_write("\n", 1);
}

void log_print_tail(unsigned lines)
{
	log_for_each_tail(lines, print, NULL);
}
