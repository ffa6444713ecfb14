/*
 * lib/format.c: each conversion with its flags, against what C11 7.21.6.1 prescribes.
 */
#include <lib/format.h>
#include <tests/test.h>

/* A line of the table: the text that a format and its arguments must give, and its length. */
#define EXPECT_FORMAT(text, ...)                                                        \
	do {                                                                            \
		EXPECT_EQ(format_buf(buf, sizeof(buf), __VA_ARGS__), sizeof(text) - 1); \
		EXPECT_STREQ(buf, text);                                                \
	} while (0)

/* For formats that the compiler would rightly warn about. */
static size_t format_unchecked(char *buf, size_t size, const char *fmt, ...)
{
	va_list args;
	size_t len;

	va_start(args, fmt);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	len = vformat_buf(buf, size, fmt, args);
#pragma GCC diagnostic pop
	va_end(args);
	return len;
}

TEST(format, literal_text)
{
	char buf[32];

	EXPECT_FORMAT("plain", "plain");
	EXPECT_FORMAT("", "%s", "");
	EXPECT_FORMAT("100%", "%d%%", 100);
	EXPECT_FORMAT("%s", "%%s");
}

TEST(format, signed_numbers)
{
	char buf[64];

	EXPECT_FORMAT("0", "%d", 0);
	EXPECT_FORMAT("-1", "%i", -1);
	EXPECT_FORMAT("2147483647", "%d", INT32_MAX);
	EXPECT_FORMAT("-2147483648", "%d", INT32_MIN);
	EXPECT_FORMAT("-9223372036854775808", "%ld", INT64_MIN);
	EXPECT_FORMAT("9223372036854775807", "%lld", (long long)INT64_MAX);
	EXPECT_FORMAT("+5 -5", "%+d %+d", 5, -5);
	EXPECT_FORMAT(" 5 -5", "% d % d", 5, -5);
	EXPECT_FORMAT("-7", "%zd", (ptrdiff_t)-7);
	EXPECT_FORMAT("-8", "%td", (ptrdiff_t)-8);
}

TEST(format, narrow_lengths_cut_the_argument)
{
	char buf[32];

	format_unchecked(buf, sizeof(buf), "%hhd %hhu", 0x7ff, 0x7ff);
	EXPECT_STREQ(buf, "-1 255");
	format_unchecked(buf, sizeof(buf), "%hd %hu", 0x7ffff, 0x7ffff);
	EXPECT_STREQ(buf, "-1 65535");
	EXPECT_FORMAT("80 8000", "%hhx %hx", (u8)0x80, (u16)0x8000);
	EXPECT_EQ(format_unchecked(buf, sizeof(buf), "%x", 0x123456789abcdef0), 8);
	EXPECT_STREQ(buf, "9abcdef0");
}

TEST(format, unsigned_numbers)
{
	char buf[64];

	EXPECT_FORMAT("4294967295", "%u", UINT32_MAX);
	EXPECT_FORMAT("18446744073709551615", "%lu", UINT64_MAX);
	EXPECT_FORMAT("18446744073709551615", "%zu", SIZE_MAX);
	EXPECT_FORMAT("1777777777777777777777", "%lo", UINT64_MAX);
	EXPECT_FORMAT("deadbeef DEADBEEF", "%x %X", 0xdeadbeefu, 0xdeadbeefu);
	EXPECT_FORMAT("ffffffffffffffff", "%lx", UINT64_MAX);
	EXPECT_FORMAT("ffffffffffffffff", "%jx", (uintmax_t)UINT64_MAX);
}

TEST(format, alternate_forms)
{
	char buf[64];

	EXPECT_FORMAT("0x1f 0X1F 037", "%#x %#X %#o", 31u, 31u, 31u);
	EXPECT_FORMAT("0 0 0", "%#x %#X %#o", 0u, 0u, 0u);
	EXPECT_FORMAT("0037", "%#.4o", 31u);
	EXPECT_FORMAT("037 07", "%#.2o %#o", 31u, 7u);
	EXPECT_FORMAT("0x001f", "%#.4x", 31u);
	EXPECT_FORMAT("    0x1f|", "%#8x|", 31u);
	EXPECT_FORMAT("0x00001f|", "%#08x|", 31u);
	EXPECT_FORMAT("0x1f    |", "%-#8x|", 31u);
}

TEST(format, width_and_precision)
{
	char buf[64];

	EXPECT_FORMAT("   42|42   |00042", "%5d|%-5d|%05d", 42, 42, 42);
	EXPECT_FORMAT("  -42|-42  |-0042", "%5d|%-5d|%05d", -42, -42, -42);
	EXPECT_FORMAT("+0042", "%+05d", 42);
	EXPECT_FORMAT("00042|  042|042  |", "%.5d|%5.3d|%-5.3d|", 42, 42, 42);
	EXPECT_FORMAT("  -042|", "%6.3d|", -42);
	EXPECT_FORMAT("12345", "%3d", 12345);
	EXPECT_FORMAT("||   |", "|%.0d|%3.0d|", 0, 0);
	EXPECT_FORMAT("   42|42   |", "%*d|%*d|", 5, 42, -5, 42);
	EXPECT_FORMAT("00042|42", "%.*d|%.*d", 5, 42, -5, 42);
	EXPECT_FORMAT("||", "|%.*d|", 0, 0);
	EXPECT_FORMAT("00000000000000000000000000000000000007", "%038d", 7);
	EXPECT_FORMAT("                                     7", "%38d", 7);
}

/* 2^64 + 1 is no 1. */
TEST(format, sizes_do_not_wrap)
{
	char buf[32];

	format_unchecked(buf, sizeof(buf), "%.18446744073709551617s", "text");
	EXPECT_STREQ(buf, "text");
}

/* `-` beats `0`, and so does a precision. */
TEST(format, conflicting_flags)
{
	char buf[32];

	format_unchecked(buf, sizeof(buf), "%-05d|", 42);
	EXPECT_STREQ(buf, "42   |");
	format_unchecked(buf, sizeof(buf), "%05.3d|", 42);
	EXPECT_STREQ(buf, "  042|");
	format_unchecked(buf, sizeof(buf), "%0-5d|%+ d|% +d", 42, 5, 5);
	EXPECT_STREQ(buf, "42   |+5|+5");
}

TEST(format, strings_and_characters)
{
	char buf[64], unterminated[3] = {'a', 'b', 'c'};
	const char *null = NULL;

	EXPECT_FORMAT("text", "%s", "text");
	EXPECT_FORMAT("  text|text  |", "%6s|%-6s|", "text", "text");
	EXPECT_FORMAT("te|    te|", "%.2s|%6.2s|", "text", "text");
	EXPECT_FORMAT("|", "%.0s|", "text");
	EXPECT_FORMAT("abc", "%.3s", unterminated);
	EXPECT_FORMAT("ab", "%.*s", 2, unterminated);
	EXPECT_FORMAT("text", "%.*s", -1, "text");
	EXPECT_FORMAT("x|  x|x  |", "%c|%3c|%-3c|", 'x', 'x', 'x');
	format_unchecked(buf, sizeof(buf), "%s|%9s|%.3s", null, null, null);
	EXPECT_STREQ(buf, "(null)|   (null)|(nu");
	EXPECT_EQ(format_buf(buf, sizeof(buf), "a%cb", '\0'), 3);
	EXPECT_EQ(memcmp(buf, "a\0b", 4), 0);
}

TEST(format, pointers_have_sixteen_digits)
{
	char buf[64];

	EXPECT_FORMAT("0xffff800000001000", "%p", (void *)0xffff800000001000);
	EXPECT_FORMAT("0x0000000000000000", "%p", (void *)NULL);
	EXPECT_FORMAT("  0x00000000000000ab|", "%20p|", (void *)0xab);
	EXPECT_FORMAT("0x00000000000000ab  |", "%-20p|", (void *)0xab);
}

TEST(format, unknown_conversions_are_printed_as_they_stand)
{
	char buf[32];

	format_unchecked(buf, sizeof(buf), "%y|%5.2lk|%d", 1);
	EXPECT_STREQ(buf, "%y|%5.2lk|1");
	format_unchecked(buf, sizeof(buf), "end %");
	EXPECT_STREQ(buf, "end %");
	format_unchecked(buf, sizeof(buf), "end %-08l");
	EXPECT_STREQ(buf, "end %-08l");
}

TEST(format, buffers_are_never_overrun)
{
	char buf[8];

	for (size_t size = 0; size <= sizeof(buf); size++) {
		memset(buf, '#', sizeof(buf));
		EXPECT_EQ(format_unchecked(buf, size, "%s-%d", "abcd", 12345), 10);
		EXPECT_NULL(mem_find_other(buf + size, '#', sizeof(buf) - size));
		if (size > 0) {
			EXPECT_EQ(buf[size - 1], '\0');
			EXPECT_EQ(memcmp(buf, "abcd-12", size - 1), 0);
		}
	}
	EXPECT_EQ(format_unchecked(NULL, 0, "%50d", 1), 50);
}

struct counting_sink {
	struct sink sink;
	size_t len;
	char text[48];
};

static void count_text(struct sink *sink, const char *text, size_t len)
{
	struct counting_sink *c = container_of(sink, struct counting_sink, sink);

	ASSERT_LE(c->len + len, sizeof(c->text));
	memcpy(c->text + c->len, text, len);
	c->len += len;
}

TEST(format, sinks_get_the_whole_text)
{
	struct counting_sink c = {{count_text}, 0, {0}};

	EXPECT_EQ(format_to(&c.sink, "%-20s|%020d", "left", 7), 41);
	EXPECT_EQ(c.len, 41);
	EXPECT_EQ(memcmp(c.text, "left                |00000000000000000007", 41), 0);
}

TEST(format, bytes_for_people)
{
	static const struct {
		u64 bytes;
		const char *text;
	} cases[] = {
	    {0, "0 B"},
	    {1, "1 B"},
	    {1023, "1023 B"},
	    {1024, "1 KiB"},
	    {1025, "1.0 KiB"},
	    {1126, "1.0 KiB"}, /* 1.0996 */
	    {1127, "1.1 KiB"}, /* 1.1006 */
	    {1536, "1.5 KiB"},
	    {MIB - 1, "1023.9 KiB"},
	    {MIB, "1 MiB"},
	    {640 * KIB, "640 KiB"},
	    {3 * GIB / 2, "1.5 GiB"},
	    {16 * TIB, "16 TiB"},
	    {1024 * TIB, "1 PiB"},
	    {UINT64_MAX, "15.9 EiB"},
	    {1ull << 63, "8 EiB"},
	};
	char buf[16];

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		EXPECT_STREQ(format_bytes(buf, cases[i].bytes), cases[i].text);
		EXPECT_LE(strlen(buf), 10);
	}
}
