/*
 * lib/log.c, lib/assert.c and the reports that go through the log: what arrives, to the character.
 * On the host only, where standard output can be caught and a process may end.
 */
#if __STDC_HOSTED__
#include <lib/assert.h>
#include <lib/log.h>
#include <mm/memmap.h>
#include <tests/host/machine.h>
#include <tests/test.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define LINE_MAX 240 /* characters of a line of the log */

static char text[4096];
static FILE *terminal;
static enum log_level level;

static void catch_begin(void)
{
	memset(text, 0, sizeof(text));
	level = host_log_level;
	host_log_level = LOG_INFO;
	terminal = stdout;
	stdout = fmemopen(text, sizeof(text), "w");
}

static void catch_end(void)
{
	fclose(stdout);
	stdout = terminal;
	host_log_level = level;
}

/* Letters in turn, so that a piece in the wrong place shows. */
static void fill(char *buf, size_t len)
{
	for (size_t i = 0; i < len; i++)
		buf[i] = (char)('a' + (i + len) % 23);
	buf[len] = '\0';
}

TEST(log, a_long_line_is_cut_and_says_so)
{
	static const size_t lengths[] = {0, 1, LINE_MAX - 1, LINE_MAX, LINE_MAX + 1, 1000};
	char line[1001], expected[1003];

	for (unsigned i = 0; i < ARRAY_SIZE(lengths); i++) {
		fill(line, lengths[i]);
		memcpy(expected, line, lengths[i] + 1);
		if (lengths[i] > LINE_MAX)
			memcpy(expected + LINE_MAX - 3, "...", 4);
		memcpy(expected + strlen(expected), "\n", 2);
		catch_begin();
		log_at(LOG_INFO, "%s", line);
		catch_end();
		EXPECT_STREQ(text, expected);
	}
}

/* Its buffer holds 160 characters: pieces that fill it, overflow it, and are longer than it. */
TEST(log, kprintf_prints_all_of_any_length)
{
	static const size_t lengths[] = {0, 1, 2, 80, 159, 160, 161, 500};
	char first[501], second[501], expected[1510];

	for (unsigned i = 0; i < ARRAY_SIZE(lengths) * ARRAY_SIZE(lengths); i++) {
		fill(first, lengths[i / ARRAY_SIZE(lengths)]);
		fill(second, lengths[i % ARRAY_SIZE(lengths)]);
		format_buf(expected, sizeof(expected), "%s%s%s", first, second, second);
		catch_begin();
		kprintf("%s%s%s", first, second, second);
		catch_end();
		EXPECT_STREQ(text, expected);
	}
}

TEST(log, the_memory_map_line_by_line)
{
	static struct mem_range storage[8];
	struct memmap map;

	memmap_init(&map, storage, ARRAY_SIZE(storage), 40);
	memmap_add(&map, 0, 0x9f000, MEM_USABLE);
	memmap_add(&map, 0x100000, 0x300000, MEM_NVS);
	memmap_normalize(&map);
	catch_begin();
	memmap_dump(&map);
	catch_end();
	EXPECT_STREQ(text, "  [0000000000000000, 000000000009f000)    636 KiB usable\n"
	                   "  [0000000000100000, 0000000000400000)      3 MiB nvs\n");
}

static void return_at_once(const char *line)
{
	(void)line;
}

/* Even where the catcher returns, which it must not. */
TEST(log, a_panic_ends_the_process)
{
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		stdout = stderr = fopen("/dev/null", "w");
		panic_set_catcher(return_at_once);
		panic("the end");
	}
	ASSERT_GT(child, 0);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	EXPECT_TRUE(WIFEXITED(status));
	EXPECT_EQ(WEXITSTATUS(status), 37);
}
#endif
