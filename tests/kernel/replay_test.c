/*
 * The replayer on small traces written here: what it counts, and each way in which a trace can be
 * wrong.
 */
#include <boot/boot_info.h>
#include <kernel/console.h>
#include <kernel/replay_ops.h>
#include <mm/mm.h>
#include <tests/test.h>

#define HEADER(counts) "# trace 1\n# origin: a test\n" counts "\n"

static struct replay_result result;

static int replay(const char *text)
{
	return replay_text(text, strlen(text), &result);
}

TEST(replay, makes_every_kind_of_operation)
{
	EXPECT_EQ(replay(HEADER(
	              "# ops: 14  ids: 6  peak-live-bytes: 13612") "# level: mixed\n"
	                                                           "# cache inode size 600 align 8 "
	                                                           "stride 640 allocs 1\n"
	                                                           "k 0 100\n"
	                                                           "c 1 inode 600\n"
	                                                           "p 2 1\n"
	                                                           "m 3 7\n"
	                                                           "z 4 64 100\n"
	                                                           "r 0 5000\n"
	                                                           "f 3\n"
	                                                           "m 3 0\n"
	                                                           "c 5 dentry 192\n"
	                                                           "r 3 13\n"
	                                                           "f 1\n"
	                                                           "f 2\n"
	                                                           "r 0 20\n"
	                                                           "f 4\n"),
	          -EINVAL); /* the peak is not the header's: see the next */
	EXPECT_STREQ(result.error, "the peak of live bytes is not the one in the header");
	EXPECT_EQ(result.peak_live_bytes, 14097u);
	EXPECT_EQ(result.nr_ops, 14u);
	EXPECT_EQ(result.nr_allocs, 7u);
	EXPECT_EQ(result.nr_frees, 4u);
	EXPECT_EQ(result.nr_reallocs, 3u);
	EXPECT_EQ(result.nr_failures, 0u);
	EXPECT_EQ(result.nr_corrupt, 0u);
	EXPECT_EQ(result.live_objects, 3u);
	EXPECT_EQ(result.live_bytes, 20u + 192 + 13);
	EXPECT_EQ(result.lost_objects, 0u);
	EXPECT_EQ(result.lost_pages, 0u);
}

TEST(replay, passes_a_right_trace_with_threads_and_no_last_newline)
{
	EXPECT_EQ(replay(HEADER("# ops: 4  ids: 2  peak-live-bytes: 300") "m 0 100 @0\n"
	                                                                  "m 1 200 @1\n"
	                                                                  "f 0 @1\n"
	                                                                  "f 1 @0"),
	          0);
	EXPECT_NULL(result.error);
	EXPECT_EQ(result.live_objects, 0u);
	EXPECT_GE(result.peak_pages, 1u);
	EXPECT_GT(result.cycles, 0u);
}

TEST(replay, takes_an_empty_trace)
{
	EXPECT_EQ(replay(HEADER("# ops: 0  ids: 0  peak-live-bytes: 0")), 0);
	EXPECT_EQ(result.nr_ops, 0u);
}

/* Aligned blocks beyond a page, and sizes that only pages can serve. */
TEST(replay, aligns_beyond_a_page)
{
	EXPECT_EQ(replay(HEADER("# ops: 4  ids: 3  peak-live-bytes: 365536") "z 0 16384 65536\n"
	                                                                     "z 1 4096 100000\n"
	                                                                     "z 2 65536 200000\n"
	                                                                     "f 1\n"),
	          0);
	EXPECT_EQ(result.nr_corrupt, 0u);
}

TEST(replay, counts_failures_and_goes_on)
{
	EXPECT_EQ(
	    replay(HEADER("# ops: 4  ids: 2  peak-live-bytes: 99999999999") "m 0 99999999999\n"
	                                                                    "r 0 50\n"
	                                                                    "k 1 20\n"
	                                                                    "f 0\n"),
	    -EFAULT);
	EXPECT_EQ(result.nr_failures, 1u);
	EXPECT_EQ(result.nr_ops, 4u);
	EXPECT_EQ(result.nr_corrupt, 0u);
	EXPECT_STREQ(result.error, "allocations failed: the machine has too little memory");
}

static void discard(struct sink *self, const char *text, size_t len)
{
	(void)self, (void)text, (void)len;
}

static void one_step(struct replay *r, char kind, u64 size)
{
	struct trace_op op = {.kind = kind, .size = size};
	struct sink nowhere = {.write = discard};
	struct sink *console = console_divert(&nowhere);
	int err = replay_step(r, &op);

	console_divert(console);
	EXPECT_EQ(err, 0);
}

/* The witness must see a change in the first and in the last bytes, at a free and at a realloc. */
TEST(replay, notices_content_that_changed)
{
	static const u64 sizes[] = {1, 8, 16, 100, 5000};
	struct slot slot = {.kind = SLOT_EMPTY};
	struct replay r = {.result = &result, .slots = &slot};

	memset(&result, 0, sizeof(result));
	for (unsigned i = 0; i < 4 * ARRAY_SIZE(sizes); i++) {
		u64 size = sizes[i / 4];

		one_step(&r, 'k', size);
		slot.object[i % 2 == 0 ? 0 : size - 1] ^= 0x10;
		if (i % 4 < 2)
			one_step(&r, 'r', size * 2);
		EXPECT_EQ(result.nr_corrupt, i % 4 < 2 ? i + 1 : i);
		one_step(&r, 'f', 0);
		EXPECT_EQ(result.nr_corrupt, i + 1);
	}
	EXPECT_EQ(result.live_objects, 0u);
}

static const struct {
	unsigned line;
	const char *error, *text;
} wrong[] = {
    {1, "the file is no trace: its first line must be \"# trace 1\"", ""},
    {1, "the file is no trace: its first line must be \"# trace 1\"", "# trace 2\n"},
    {1, "the file is compressed with xz: unpack it first (xz -dc)",
     "\xfd"
     "7zXZ"},
    {2, "expected \"# origin: …\"", "# trace 1\n"},
    {3, "expected \"# ops: N  ids: M  peak-live-bytes: B\"", HEADER("# ops: 1 ids: 1")},
    {3, "a number is missing", HEADER("# ops: -1  ids: 1  peak-live-bytes: 1")},
    {3, "the counts can't be true for a text of this length",
     HEADER("# ops: 1  ids: 2  peak-live-bytes: 1")},
    {3, "the counts can't be true for a text of this length",
     HEADER("# ops: 99999999999  ids: 2  peak-live-bytes: 1")},
    {4, "the cache's object size is not 1 to 262144 bytes",
     HEADER("# ops: 1  ids: 1  peak-live-bytes: 1") "# cache a size 0 align 8\n"},
    {4, "the cache's alignment is no power of two up to a page",
     HEADER("# ops: 1  ids: 1  peak-live-bytes: 1") "# cache a size 8 align 12\n"},
    {4, "the cache's size is missing",
     HEADER("# ops: 1  ids: 1  peak-live-bytes: 1") "# cache a\n"},
    {5, "the cache is there already",
     HEADER("# ops: 1  ids: 1  peak-live-bytes: 1") "# cache a size 8\n# cache a size 8\n"},
#define COUNTS HEADER("# ops: 3  ids: 2  peak-live-bytes: 30")
    {4, "no operation starts like this (k c p m z r f)", COUNTS "q 0 1\n"},
    {4, "an empty line", COUNTS "\n"},
    {5, "a comment after the first operation", COUNTS "m 0 1\n# more\n"},
    {4, "a field is missing", COUNTS "m 0\n"},
    {4, "a number is missing", COUNTS "m 0 x\n"},
    {4, "a number is missing", COUNTS "m  0 1\n"},
    {4, "a number is too large", COUNTS "m 0 99999999999999999999\n"},
    {4, "there is more on the line than its operation has fields", COUNTS "m 0 1 2\n"},
    {4, "there is more on the line than its operation has fields", COUNTS "m 0 1\r\n"},
    {4, "the id is not below the header's count of ids", COUNTS "m 2 1\n"},
    {4, "the object is not live", COUNTS "f 0\n"},
    {5, "the object is live already", COUNTS "m 0 1\nm 0 1\n"},
    {6, "the object is not live", COUNTS "m 0 1\nf 0\nf 0\n"},
    {5, "r of an object that is not of kmalloc or malloc", COUNTS "p 0 0\nr 0 9\n"},
    {4, "the order is above 18", COUNTS "p 0 19\n"},
    {4, "the alignment is no power of two, or this is above 1 GiB", COUNTS "z 0 3 9\n"},
    {4, "the cache's name is missing", COUNTS "c 0  9\n"},
    {4, "the cache's object size is not 1 to 262144 bytes", COUNTS "c 0 a 999999\n"},
    {5, "the cache's objects have another size", COUNTS "c 0 a 9\nc 1 a 10\n"},
    {5, "the text ends here, but the header counts other operations", COUNTS "m 0 1\nf 0\n"},
    {7, "the text ends here, but the header counts other operations",
     COUNTS "m 0 1\nf 0\nm 0 1\nf 0\n"},
};

TEST(replay, stops_at_the_first_bad_line_and_frees_everything)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		EXPECT_EQ(replay(wrong[i].text), -EINVAL);
		EXPECT_STREQ(result.error, wrong[i].error);
		EXPECT_EQ(result.line, wrong[i].line);
		if (result.line != wrong[i].line)
			test_note("the text was: %s", wrong[i].text);
		EXPECT_EQ(result.lost_objects, 0u);
		EXPECT_EQ(result.lost_pages, 0u);
	}
}

/* Truncated anywhere and changed anywhere, a trace is either right or refused; nothing is read
 * behind its end. */
TEST(replay, survives_damaged_text)
{
	static const char right[] = HEADER(
	    "# ops: 5  ids: 2  peak-live-bytes: 300") "# cache a size 100 align 8\nm 0 100 @1\nc 1 "
	                                              "a 100 @1\nr 0 200 @1\nf 1 @1\nf 0 @1\n";
	static char text[sizeof(right)];

	EXPECT_EQ(replay(right), 0);
	/* Without its last four bytes, " @1" and the newline, it is right again. */
	for (size_t n = 0; n < sizeof(right) - 5; n++)
		EXPECT_EQ(replay_text(right, n, &result), -EINVAL);
	for (unsigned i = 0; i < 300; i++) {
		memcpy(text, right, sizeof(right));
		size_t at = (size_t)rng_below(test_rng(), sizeof(right) - 1);

		text[at] = (char)rng_below(test_rng(), 256);
		(void)replay_text(text, sizeof(right) - 1, &result);
		ASSERT_EQ(result.lost_objects, 0u);
		ASSERT_EQ(result.lost_pages, 0u);
	}
}

TEST(replay, refuses_unknown_engines_and_missing_modules)
{
	static struct boot_info none;
	struct sink nowhere = {.write = discard};
	struct sink *console = console_divert(&nowhere);
	int unknown = replay_run(&none, "malloc"), missing = replay_run(&none, "kmalloc");

	console_divert(console);
	EXPECT_EQ(unknown, -EINVAL);
	EXPECT_EQ(missing, -ENOENT);
}
