/*
 * lib/string.c. The copying functions take different ways for sizes up to 16 and above, upwards and
 * downwards: so every size up to 80 meets every misalignment and every overlap, compared with bytes
 * computed one by one.
 */
#include <tests/test.h>

#define SPACE 192u
#define MARGIN 32u

static u8 space[SPACE], expected[SPACE];

/* Both arrays the same: no byte equals a neighbour, so a byte in the wrong place shows. */
static void fill(void)
{
	for (unsigned i = 0; i < SPACE; i++)
		space[i] = expected[i] = (u8)(i * 37 + 11);
}

static unsigned first_difference(void)
{
	unsigned i = 0;

	while (i < SPACE && space[i] == expected[i])
		i++;
	return i;
}

TEST(string, memmove_moves_any_overlap)
{
	for (unsigned n = 0; n <= 80; n++) {
		for (unsigned dst = 0; dst <= SPACE - n; dst += 1 + n / 40) {
			fill();
			for (unsigned i = 0; i < n; i++)
				expected[dst + i] = (u8)((i + MARGIN) * 37 + 11);
			ASSERT_EQ(memmove(space + dst, space + MARGIN, n), (void *)(space + dst));
			ASSERT_EQ(first_difference(), SPACE);
		}
	}
}

TEST(string, memcpy_copies_at_any_alignment)
{
	for (unsigned n = 0; n <= 80; n++) {
		for (unsigned shift = 0; shift < 64; shift++) {
			unsigned src = shift % 8, dst = 100 + shift / 8;

			fill();
			for (unsigned i = 0; i < n; i++)
				expected[dst + i] = (u8)((i + src) * 37 + 11);
			ASSERT_EQ(memcpy(space + dst, space + src, n), (void *)(space + dst));
			ASSERT_EQ(first_difference(), SPACE);
		}
	}
}

TEST(string, memset_sets_exactly_n_bytes)
{
	for (unsigned n = 0; n <= 80; n++) {
		for (unsigned dst = 1; dst < 10; dst++) {
			fill();
			for (unsigned i = 0; i < n; i++)
				expected[dst + i] = 0xa5;
			ASSERT_EQ(memset(space + dst, 0x7a5, n), (void *)(space + dst));
			ASSERT_EQ(first_difference(), SPACE);
		}
	}
}

TEST(string, memcmp_finds_the_first_difference)
{
	for (unsigned n = 0; n <= 40; n++) {
		fill();
		ASSERT_EQ(memcmp(space + 1, expected + 1, n), 0);
		for (unsigned i = 0; i < n; i++) {
			fill();
			space[1 + i] = 0xff;
			expected[1 + i] = 1;
			ASSERT_GT(memcmp(space + 1, expected + 1, n), 0);
			ASSERT_LT(memcmp(expected + 1, space + 1, n), 0);
			ASSERT_EQ(memcmp(space + 1, expected + 1, i), 0);
			space[2 + i] = 0; /* what follows must not matter */
			ASSERT_GT(memcmp(space + 1, expected + 1, n), 0);
		}
	}
}

TEST(string, mem_find_other_names_the_first_other_byte)
{
	for (unsigned n = 0; n <= 40; n++) {
		for (unsigned at = 0; at < 8; at++) {
			memset(space, 1, SPACE);
			memset(space + at, 0xee, n);
			ASSERT_NULL(mem_find_other(space + at, 0xee, n));
			ASSERT_EQ(mem_find_other(space + at, 0xee, n + 1), space + at + n);
			space[at + n / 2] ^= 1;
			ASSERT_EQ(mem_find_other(space + at, 0xee, n + 1), space + at + n / 2);
		}
	}
}

/* A multiplication that carries would compare with another word. */
TEST(string, mem_find_other_looks_at_each_byte_of_a_word)
{
	u8 word[8];

	for (unsigned other = 0; other < 8; other++) {
		for (unsigned value = 0; value < 256; value++) {
			memset(word, 1, sizeof(word));
			word[other] = (u8)value;
			ASSERT_TRUE(mem_find_other(word, 1, 8) ==
			            (value == 1 ? NULL : word + other));
		}
	}
}

TEST(string, lengths)
{
	EXPECT_EQ(strlen(""), 0);
	EXPECT_EQ(strlen("four"), 4);
	EXPECT_EQ(strnlen("four", 0), 0);
	EXPECT_EQ(strnlen("four", 3), 3);
	EXPECT_EQ(strnlen("four", 4), 4);
	EXPECT_EQ(strnlen("four", 99), 4);
}

TEST(string, comparisons_are_of_unsigned_characters)
{
	EXPECT_EQ(strcmp("", ""), 0);
	EXPECT_EQ(strcmp("same", "same"), 0);
	EXPECT_LT(strcmp("", "a"), 0);
	EXPECT_GT(strcmp("ab", "a"), 0);
	EXPECT_LT(strcmp("ab", "b"), 0);
	EXPECT_GT(strcmp("\xff", "a"), 0);
	EXPECT_EQ(strncmp("abc", "abd", 2), 0);
	EXPECT_LT(strncmp("abc", "abd", 3), 0);
	EXPECT_EQ(strncmp("a", "b", 0), 0);
	EXPECT_EQ(strncmp("a\0b", "a\0c", 3), 0);
}

TEST(string, searches)
{
	const char *s = "a needle in a haystack";

	EXPECT_EQ(strchr(s, 'n'), s + 2);
	EXPECT_EQ(strchr(s, '\0'), s + strlen(s));
	EXPECT_NULL(strchr(s, 'z'));
	EXPECT_EQ(strstr(s, ""), s);
	EXPECT_EQ(strstr(s, "needle"), s + 2);
	EXPECT_EQ(strstr(s, "stack"), s + 17);
	EXPECT_EQ(strstr("aaab", "aab"), strchr("aaab", 'b') - 2);
	EXPECT_NULL(strstr(s, "stacks"));
	EXPECT_NULL(strstr("", "a"));
	EXPECT_STREQ(strstr("", ""), "");
}

TEST(string, str_copy_always_ends_with_nul)
{
	char buf[6];

	memset(buf, 'x', sizeof(buf));
	EXPECT_EQ(str_copy(buf, "abc", sizeof(buf)), 3);
	EXPECT_STREQ(buf, "abc");
	EXPECT_EQ(buf[4], 'x');
	EXPECT_EQ(str_copy(buf, "abcde", sizeof(buf)), 5);
	EXPECT_STREQ(buf, "abcde");
	EXPECT_EQ(str_copy(buf, "abcdef", sizeof(buf)), 6);
	EXPECT_STREQ(buf, "abcde");
	EXPECT_EQ(str_copy(buf, "zz", 1), 2);
	EXPECT_STREQ(buf, "");
	EXPECT_EQ(buf[1], 'b');
}

TEST(string, str_matches_without_wildcards)
{
	EXPECT_TRUE(str_matches("", ""));
	EXPECT_TRUE(str_matches("buddy.split", "buddy.split"));
	EXPECT_FALSE(str_matches("buddy.split", "buddy.splits"));
	EXPECT_FALSE(str_matches("buddy.splits", "buddy.split"));
	EXPECT_FALSE(str_matches("", "a"));
	EXPECT_FALSE(str_matches("a", ""));
}

TEST(string, str_matches_wildcards)
{
	EXPECT_TRUE(str_matches("*", ""));
	EXPECT_TRUE(str_matches("*", "anything"));
	EXPECT_TRUE(str_matches("***", "x"));
	EXPECT_TRUE(str_matches("b?ddy.*", "buddy.split"));
	EXPECT_FALSE(str_matches("?", ""));
	EXPECT_FALSE(str_matches("??", "a"));
	EXPECT_TRUE(str_matches("*.*", "a.b"));
	EXPECT_TRUE(str_matches("*b*d", "abcbxd"));
	EXPECT_FALSE(str_matches("*b*d", "abcbxde"));
	EXPECT_TRUE(str_matches("*aab", "aaaab"));
	EXPECT_TRUE(str_matches("a*", "a"));
	EXPECT_FALSE(str_matches("a*b", "a"));
	EXPECT_TRUE(str_matches("*?c", "abc"));
	EXPECT_FALSE(str_matches("*a?", "ba"));
}

/* Backtracking to every star would take 2^n steps here. */
TEST(string, str_matches_takes_no_exponential_time)
{
	static char text[600];

	memset(text, 'a', sizeof(text) - 1);
	EXPECT_FALSE(str_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", text));
	EXPECT_TRUE(str_matches("*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*", text));
}

static int parse(const char *s, bool suffixes, u64 *out)
{
	*out = 12345;
	return str_to_u64(s, suffixes, out);
}

#define EXPECT_NUMBER(s, suffixes, value)                  \
	do {                                               \
		EXPECT_EQ(parse(s, suffixes, &number), 0); \
		EXPECT_EQ(number, value);                  \
	} while (0)
#define EXPECT_NO_NUMBER(s, suffixes, error)                   \
	do {                                                   \
		EXPECT_EQ(parse(s, suffixes, &number), error); \
		EXPECT_EQ(number, 12345);                      \
	} while (0)

TEST(string, str_to_u64_reads_numbers)
{
	u64 number;

	EXPECT_NUMBER("0", false, 0);
	EXPECT_NUMBER("007", false, 7);
	EXPECT_NUMBER("010", false, 10);
	EXPECT_NUMBER("18446744073709551615", false, UINT64_MAX);
	EXPECT_NUMBER("0x0", false, 0);
	EXPECT_NUMBER("0xfFffFFffffffFFFF", false, UINT64_MAX);
	EXPECT_NUMBER("0XaB", false, 0xab);
	EXPECT_NUMBER("0x0123456789", false, 0x0123456789);
	EXPECT_NUMBER("0xabcdef", false, 0xabcdef);
	EXPECT_NUMBER("0xABCDEF", false, 0xabcdef);
	EXPECT_NUMBER("0x00000000000000000001", false, 1);
	EXPECT_NUMBER("4096", true, 4096);
}

TEST(string, str_to_u64_reads_suffixes)
{
	u64 number;

	EXPECT_NUMBER("1K", true, KIB);
	EXPECT_NUMBER("3k", true, 3 * KIB);
	EXPECT_NUMBER("512M", true, 512 * MIB);
	EXPECT_NUMBER("6g", true, 6 * GIB);
	EXPECT_NUMBER("0x10T", true, 16 * TIB);
	EXPECT_NUMBER("0T", true, 0);
	EXPECT_NUMBER("16777215T", true, 16777215 * TIB);
	EXPECT_NO_NUMBER("16777216T", true, -ERANGE);
	EXPECT_NO_NUMBER("18446744073709551615K", true, -ERANGE);
	EXPECT_NO_NUMBER("1K", false, -EINVAL);
	EXPECT_NO_NUMBER("1KK", true, -EINVAL);
	EXPECT_NO_NUMBER("1KB", true, -EINVAL);
	EXPECT_NO_NUMBER("K", true, -EINVAL);
	EXPECT_NO_NUMBER("1P", true, -EINVAL);
}

TEST(string, str_to_u64_refuses_all_else)
{
	u64 number;

	EXPECT_NO_NUMBER("", false, -EINVAL);
	EXPECT_NO_NUMBER("0x", false, -EINVAL);
	EXPECT_NO_NUMBER("x1", false, -EINVAL);
	EXPECT_NO_NUMBER("-1", false, -EINVAL);
	EXPECT_NO_NUMBER("+1", false, -EINVAL);
	EXPECT_NO_NUMBER(" 1", false, -EINVAL);
	EXPECT_NO_NUMBER("1 ", false, -EINVAL);
	EXPECT_NO_NUMBER("12a", false, -EINVAL);
	EXPECT_NO_NUMBER("0x1g", false, -EINVAL);
	EXPECT_NO_NUMBER("1:", false, -EINVAL);  /* stands behind 9 */
	EXPECT_NO_NUMBER("0x@", false, -EINVAL); /* before A */
	EXPECT_NO_NUMBER("0x`", false, -EINVAL); /* before a */
	EXPECT_NO_NUMBER("18446744073709551616", false, -ERANGE);
	EXPECT_NO_NUMBER("0x10000000000000000", false, -ERANGE);
	EXPECT_NO_NUMBER("99999999999999999999999999", false, -ERANGE);
	EXPECT_NO_NUMBER("99999999999999999999999999x", false, -EINVAL);
}
