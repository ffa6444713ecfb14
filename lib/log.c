/*
 * log_at() and kprintf(): see lib/log.h. The text is put together in a small buffer on the caller's
 * stack, so neither allocates, locks or depends on the other's state, and both may be used from any
 * context.
 *
 * A line of the log is one call of platform_log(); what exceeds LINE_MAX characters is cut, with
 * "..." at its end. kprintf() has no such limit: text goes out in pieces of the buffer's size.
 */
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>

#define LINE_MAX 240
#define PIECE_MAX 160

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX + 1];
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = vformat_buf(line, sizeof(line), fmt, args);
	va_end(args);
	if (len > LINE_MAX) {
		len = LINE_MAX;
		memcpy(line + LINE_MAX - 3, "...", 3);
	}
	platform_log(level, line, len);
}

struct piece {
	struct sink sink;
	size_t len;
	char text[PIECE_MAX];
};

static void piece_flush(struct piece *p)
{
	if (p->len != 0)
		platform_write(p->text, p->len);
	p->len = 0;
}

static void piece_write(struct sink *sink, const char *text, size_t len)
{
	struct piece *p = container_of(sink, struct piece, sink);

	if (len > PIECE_MAX - p->len)
		piece_flush(p);
	if (len > PIECE_MAX) {
		platform_write(text, len);
		return;
	}
	memcpy(p->text + p->len, text, len);
	p->len += len;
}

void kprintf(const char *fmt, ...)
{
	struct piece p;
	va_list args;

	p.sink.write = piece_write;
	p.len = 0;
	va_start(args, fmt);
	vformat_to(&p.sink, fmt, args);
	va_end(args);
	piece_flush(&p);
}
