/*
 * The printf family: see lib/format.h for the conversions. C11 7.21.6.1 is the specification; where
 * it leaves the behaviour undefined (an unknown conversion, NULL for %s) this prints something
 * harmless.
 *
 * The text goes to a sink piece by piece: nothing here has a buffer for the whole of it, and the
 * one buffer there is holds the digits of one number. A number is printed in five parts, any of
 * which may be empty:
 *
 *     blanks  prefix (sign or 0x)  zeros  digits  blanks
 *
 * Cost: O(length), a division per digit. No allocation, no state, any context.
 */
#include <lib/format.h>
#include <lib/string.h>

struct output {
	struct sink *sink;
	size_t total;
	va_list args;
};

struct spec {
	bool left, zero, plus, blank, alternate;
	bool has_precision;
	size_t width, precision;
	unsigned bytes; /* of the integer argument */
	char conversion;
};

#define DIGITS_MAX 22 /* 2^64 - 1 in octal */

static void put(struct output *o, const char *text, size_t len)
{
	if (len != 0)
		o->sink->write(o->sink, text, len);
	o->total += len;
}

static void put_repeated(struct output *o, const char block[16], size_t count)
{
	for (; count > 16; count -= 16)
		put(o, block, 16);
	put(o, block, count);
}

static void put_blanks(struct output *o, size_t count)
{
	put_repeated(o, "                ", count);
}

/* Text with blanks on one side of it. */
static void put_padded(struct output *o, const struct spec *s, const char *text, size_t len)
{
	size_t pad = s->width > len ? s->width - len : 0;

	if (!s->left)
		put_blanks(o, pad);
	put(o, text, len);
	if (s->left)
		put_blanks(o, pad);
}

/* The digits of a value, none for 0, at the end of buf; returns the first. */
static char *make_digits(char buf[DIGITS_MAX], u64 value, unsigned base, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	char *at = buf + DIGITS_MAX;

	for (; value != 0; value /= base)
		*--at = digits[value % base];
	return at;
}

static void put_number(struct output *o, const struct spec *s, const char *prefix, u64 value,
                       unsigned base)
{
	char buf[DIGITS_MAX], *digits = make_digits(buf, value, base, s->conversion == 'X');
	size_t nr_digits = (size_t)(buf + DIGITS_MAX - digits), nr_prefix = strlen(prefix);
	size_t at_least = s->has_precision ? s->precision : 1, zeros, pad;

	if (base == 8 && s->alternate && at_least <= nr_digits) /* its first digit must be 0 */
		at_least = nr_digits + 1;
	zeros = at_least > nr_digits ? at_least - nr_digits : 0;
	pad = nr_prefix + zeros + nr_digits;
	pad = s->width > pad ? s->width - pad : 0;
	if (s->zero && !s->left && !s->has_precision) {
		zeros += pad;
		pad = 0;
	}

	if (!s->left)
		put_blanks(o, pad);
	put(o, prefix, nr_prefix);
	put_repeated(o, "0000000000000000", zeros);
	put(o, digits, nr_digits);
	if (s->left)
		put_blanks(o, pad);
}

static u64 take_unsigned(struct output *o, unsigned bytes)
{
	switch (bytes) {
	case 1:
		return (u8)va_arg(o->args, unsigned);
	case 2:
		return (u16)va_arg(o->args, unsigned);
	case 8:
		return va_arg(o->args, u64);
	default:
		return va_arg(o->args, unsigned);
	}
}

static void put_signed(struct output *o, const struct spec *s)
{
	unsigned unused_bits = 64 - 8 * s->bytes;
	s64 value = (s64)(take_unsigned(o, s->bytes) << unused_bits) >> unused_bits;
	const char *prefix = value < 0 ? "-" : s->plus ? "+" : s->blank ? " " : "";

	put_number(o, s, prefix, value < 0 ? -(u64)value : (u64)value, 10);
}

static void put_hex(struct output *o, const struct spec *s)
{
	u64 value = take_unsigned(o, s->bytes);
	const char *prefix = !s->alternate || value == 0 ? "" : s->conversion == 'X' ? "0X" : "0x";

	put_number(o, s, prefix, value, 16);
}

static void put_pointer(struct output *o, const struct spec *s)
{
	struct spec fixed = *s;

	fixed.has_precision = true;
	fixed.precision = 16;
	put_number(o, &fixed, "0x", (u64)(uintptr_t)va_arg(o->args, void *), 16);
}

static void put_string(struct output *o, const struct spec *s)
{
	const char *text = va_arg(o->args, const char *);

	if (!text)
		text = "(null)";
	put_padded(o, s, text, strnlen(text, s->has_precision ? s->precision : SIZE_MAX));
}

static void put_char(struct output *o, const struct spec *s)
{
	char c = (char)va_arg(o->args, int);

	put_padded(o, s, &c, 1);
}

/* False: not a conversion. */
static bool put_conversion(struct output *o, const struct spec *s)
{
	switch (s->conversion) {
	case 'd':
	case 'i':
		put_signed(o, s);
		return true;
	case 'u':
		put_number(o, s, "", take_unsigned(o, s->bytes), 10);
		return true;
	case 'o':
		put_number(o, s, "", take_unsigned(o, s->bytes), 8);
		return true;
	case 'x':
	case 'X':
		put_hex(o, s);
		return true;
	case 'p':
		put_pointer(o, s);
		return true;
	case 's':
		put_string(o, s);
		return true;
	case 'c':
		put_char(o, s);
		return true;
	case '%':
		put(o, "%", 1);
		return true;
	default:
		return false;
	}
}

static bool read_flag(char c, struct spec *s)
{
	switch (c) {
	case '-':
		return s->left = true;
	case '0':
		return s->zero = true;
	case '+':
		return s->plus = true;
	case ' ':
		return s->blank = true;
	case '#':
		return s->alternate = true;
	default:
		return false;
	}
}

/* A number, or the argument for `*`; *negative tells the sign of that. Saturates far above any use.
 */
static size_t read_size(struct output *o, const char **at, bool *negative)
{
	size_t value = 0;

	*negative = false;
	if (**at == '*') {
		int arg = va_arg(o->args, int);

		(*at)++;
		*negative = arg < 0;
		return arg < 0 ? -(size_t)arg : (size_t)arg;
	}
	for (; **at >= '0' && **at <= '9'; (*at)++) {
		if (value < INT32_MAX / 10)
			value = value * 10 + (size_t)(**at - '0');
	}
	return value;
}

static void read_width_and_precision(struct output *o, const char **at, struct spec *s)
{
	bool negative;

	s->width = read_size(o, at, &negative);
	s->left |= negative;
	if (**at == '.') {
		(*at)++;
		s->precision = read_size(o, at, &negative);
		s->has_precision = !negative;
	}
}

static unsigned read_length(const char **at)
{
	unsigned narrow = 0, wide = 0;

	for (;; (*at)++) {
		switch (**at) {
		case 'h':
			narrow++;
			break;
		case 'l':
		case 'z':
		case 't':
		case 'j':
			wide++;
			break;
		default:
			return wide ? 8 : narrow == 0 ? 4 : narrow == 1 ? 2 : 1;
		}
	}
}

/* One conversion; *at stands behind the `%`, and behind the conversion on return. */
static void put_directive(struct output *o, const char **at)
{
	const char *start = *at - 1;
	struct spec s = {0};

	while (read_flag(**at, &s))
		(*at)++;
	read_width_and_precision(o, at, &s);
	s.bytes = read_length(at);
	s.conversion = **at;
	if (s.conversion != '\0')
		(*at)++;
	if (!put_conversion(o, &s))
		put(o, start, (size_t)(*at - start));
}

size_t vformat_to(struct sink *out, const char *fmt, va_list args)
{
	struct output o = {.sink = out};

	va_copy(o.args, args);
	while (*fmt != '\0') {
		const char *start = fmt;

		while (*fmt != '\0' && *fmt != '%')
			fmt++;
		put(&o, start, (size_t)(fmt - start));
		if (*fmt++ == '\0')
			break;
		put_directive(&o, &fmt);
	}
	va_end(o.args);
	return o.total;
}

size_t format_to(struct sink *out, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = vformat_to(out, fmt, args);
	va_end(args);
	return len;
}

struct buffer {
	struct sink sink;
	char *at;
	size_t room; /* without the NUL */
};

static void buffer_write(struct sink *sink, const char *text, size_t len)
{
	struct buffer *b = container_of(sink, struct buffer, sink);
	size_t n = len < b->room ? len : b->room;

	if (n == 0) /* perhaps there is no buffer */
		return;
	memcpy(b->at, text, n);
	b->at += n;
	b->room -= n;
}

size_t vformat_buf(char *buf, size_t size, const char *fmt, va_list args)
{
	struct buffer b = {{buffer_write}, buf, size == 0 ? 0 : size - 1};
	size_t len = vformat_to(&b.sink, fmt, args);

	if (size != 0)
		*b.at = '\0';
	return len;
}

size_t format_buf(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
	len = vformat_buf(buf, size, fmt, args);
	va_end(args);
	return len;
}

char *format_bytes(char buf[16], u64 bytes)
{
	static const char units[] = "KMGTPE";
	unsigned shift, unit = 0;
	u64 whole, rest;

	if (bytes < 1024) {
		format_buf(buf, 16, "%lu B", bytes);
		return buf;
	}
	for (shift = 10; bytes >> shift >= 1024; shift += 10)
		unit++;
	whole = bytes >> shift;
	rest = bytes & ((1ull << shift) - 1);
	if (rest == 0)
		format_buf(buf, 16, "%lu %ciB", whole, units[unit]);
	else
		format_buf(buf, 16, "%lu.%lu %ciB", whole, rest * 10 >> shift, units[unit]);
	return buf;
}
