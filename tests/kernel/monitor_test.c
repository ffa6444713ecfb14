/*
 * The monitor's commands, given as lines and judged by what they print and leave behind.
 */
#include <kernel/console.h>
#include <kernel/monitor.h>
#include <kernel/smp.h>
#include <kernel/symbols.h>
#include <lib/format.h>
#include <lib/log.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>
#include <tests/test.h>

static char answer[32 * KIB];
static size_t nr_answer;

static void capture(struct sink *self, const char *text, size_t len)
{
	(void)self;
	for (size_t i = 0; i < len && nr_answer + 1 < sizeof(answer); i++)
		answer[nr_answer++] = text[i];
	answer[nr_answer] = '\0';
}

/* Runs the line; its answer is in `answer`. The expectations come after the console is back. */
static int run(const char *line)
{
	static struct sink to = {.write = capture};
	static char buffer[128];

	str_copy(buffer, line, sizeof(buffer));
	nr_answer = 0;
	answer[0] = '\0';
	struct sink *before = console_divert(&to);
	int result = monitor_execute(buffer);

	console_divert(before);
	return result;
}

static bool says(const char *text)
{
	return strstr(answer, text) != NULL;
}

#define EXPECT_ANSWER(line, result, text)                               \
	do {                                                            \
		EXPECT_EQ(run(line), result);                           \
		EXPECT_NOT_NULL(strstr(answer, text));                  \
		if (!says(text))                                        \
			test_note("%s answered: %.200s", line, answer); \
	} while (0)

/* The longest line of the answer. */
static size_t widest(void)
{
	size_t width = 0, max = 0;

	for (const char *c = answer; *c != '\0'; c++) {
		width = *c == '\n' ? 0 : width + 1;
		max = width > max ? width : max;
	}
	return max;
}

TEST(monitor, answers_every_looking_command_within_80_columns)
{
	static const char *const lines[] = {"help",     "mem",   "zones",    "buddyinfo",
	                                    "map",      "check", "loglevel", "alloc",
	                                    "page 300", "locks", "help all", "frag"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		EXPECT_EQ(run(lines[i]), 0);
		EXPECT_GT(nr_answer, 0u);
		EXPECT_LE(widest(), 80u);
		if (widest() > 80)
			test_note("too wide: %s", lines[i]);
	}
	EXPECT_EQ(run("log 3"), 0);
	EXPECT_EQ(run("cpu"), 0);
	EXPECT_EQ(run("slabinfo"), 0);
	EXPECT_EQ(run("owners"), 0);
	EXPECT_EQ(run("shrinkers"), 0);
	EXPECT_EQ(run("vmeminfo"), 0);
	EXPECT_EQ(run("sites"), 0);
	EXPECT_EQ(run("memmap"), 0);
	EXPECT_EQ(run("threads"), 0);
	EXPECT_TRUE(says(" main\n"));
	EXPECT_EQ(run("retire"), 0);
}

TEST(monitor, memory_comes_and_goes)
{
	struct page *page = alloc_page(GFP_KERNEL);
	char line[32];

	ASSERT_NOT_NULL(page);
	EXPECT_ANSWER("offline 1 4096", -EINVAL, "offline: ADDRESS and SIZE must be whole pages");
	EXPECT_ANSWER("offline 0x100000 0", -EINVAL, "must be whole pages");
	EXPECT_ANSWER("offline 0 0x1000", -EINVAL, "offline: not all of it is free memory");
	EXPECT_ANSWER("online 4096", -EINVAL, "usage: online [ADDRESS SIZE]");
	EXPECT_ANSWER("online 0 0x1000", -EINVAL, "online: there is no such memory there");
	EXPECT_ANSWER("online 0xfffff00000000 0x1000", -EINVAL, "must be multiples of 2 MiB");
	EXPECT_ANSWER("online 0xfffff00000000 2M", -EINVAL, "online: it ends beyond the addresses");
	EXPECT_ANSWER("retire 0", -EINVAL, "retire: page 0 is not the page allocator's");
	format_buf(line, sizeof(line), "retire %u", page_to_pfn(page));
	EXPECT_ANSWER(line, 0, "is in use; it leaves when it is freed");
	EXPECT_ANSWER("retire", 0, ": leaves when it is freed");
	free_page(page);
	EXPECT_ANSWER("retire", 0, ": has left");
	EXPECT_EQ(page_unretire(page_to_pfn(page)), 0);
}

TEST(monitor, locks_lists_classes_and_trips)
{
	EXPECT_EQ(run("locks"), 0);
	EXPECT_TRUE(says("taken   waited for\n"));
	EXPECT_TRUE(says("trips of pages to zones: "));
	EXPECT_TRUE(says("of objects to depots and slabs: "));
#ifdef CONFIG_DEBUG
	EXPECT_TRUE(says("zone "));
	EXPECT_TRUE(says("slab cache "));
	EXPECT_TRUE(says("console "));
#endif
}

TEST(monitor, locks_runs_workloads)
{
	EXPECT_EQ(run("locks mix"), 0);
	EXPECT_TRUE(says("mix, 200000 operations; per 1000:\n"));
	EXPECT_TRUE(says(" locks (caches "));
	EXPECT_EQ(run("locks remote"), smp_nr_cpus() > 1 ? 0 : -ENOENT);
	EXPECT_TRUE(says(smp_nr_cpus() > 1 ? "remote, 200000 operations; per 1000:\n"
	                                   : "locks: remote needs two CPUs; here is one\n"));
	EXPECT_LE(widest(), 80);
	EXPECT_EQ(run("locks all"), -EINVAL);
	EXPECT_TRUE(says("locks: all is not a workload; mix and remote are\n"));
}

TEST(monitor, table_is_complete_and_documented)
{
	char line[32];

	for (const struct monitor_command *c = monitor_commands; c->name != NULL; c++) {
		EXPECT_NOT_NULL(c->run);
		EXPECT_GT(strlen(c->help), 0u);
		EXPECT_LE(c->min_args, c->max_args);
		EXPECT_LT(c->max_args, MONITOR_MAX_ARGS);
		format_buf(line, sizeof(line), "help %s", c->name);
		EXPECT_EQ(run(line), 0);
		EXPECT_TRUE(says(c->help));
	}
}

TEST(monitor, refuses_with_one_line_that_helps)
{
	EXPECT_ANSWER("nonsense", -ENOENT, "nonsense: no such command; type help");
	EXPECT_ANSWER("help nonsense", -ENOENT, "nonsense: no such command");
	EXPECT_ANSWER("page", -EINVAL, "usage: page PFN|ADDRESS");
	EXPECT_ANSWER("page 1 2", -EINVAL, "usage: page");
	EXPECT_ANSWER("page x", -EINVAL, "page: \"x\" is no number");
	EXPECT_ANSWER("page 99999999999999999999", -EINVAL, "too large");
	EXPECT_ANSWER("page 0x7fffffffffffffff", -EINVAL, "neither a physical address");
	EXPECT_ANSWER("page 99999999999", -EINVAL, "beyond the largest");
	EXPECT_ANSWER("mem 1", -EINVAL, "usage: mem");
	EXPECT_ANSWER("loglevel 8", -EINVAL, "not 0 to 7");
	EXPECT_ANSWER("where nothing_like_it", -ENOENT, "no address and no function");
	EXPECT_ANSWER("where 0x10", -ENOENT, "not in the kernel's code");
	EXPECT_ANSWER("alloc pages", -EINVAL, "pages needs an argument");
	EXPECT_ANSWER("alloc wine 1", -EINVAL, "none of pages, bytes, cache");
	EXPECT_ANSWER("alloc pages 19", -EINVAL, "above the largest, 18");
	EXPECT_ANSWER("alloc pages -1", -EINVAL, "is no number");
	EXPECT_ANSWER("alloc bytes 2G", -ENOMEM, "no memory for bytes 2G");
	EXPECT_ANSWER("alloc cache none", -ENOENT, "no cache \"none\"");
	EXPECT_ANSWER("a b c d e f g h i j k l m", -ENOENT, "a: no such command");
}

TEST(monitor, ignores_blanks_and_empty_lines)
{
	EXPECT_EQ(run(""), 0);
	EXPECT_EQ(nr_answer, 0u);
	EXPECT_EQ(run("  \t "), 0);
	EXPECT_ANSWER("\t loglevel  ", 0, "loglevel: ");
}

TEST(monitor, finds_functions)
{
	char line[64];

	if (symbol_count() == 0) {
		test_skip("this build has no symbol table");
		return;
	}
	format_buf(line, sizeof(line), "where %#llx", (unsigned long long)monitor_execute + 1);
	EXPECT_ANSWER(line, 0, "monitor_execute+0x1");
	EXPECT_ANSWER("where monitor_execute", 0, "monitor_execute");
}

/* The number that the last `alloc` gave: the first word of its answer. */
static u64 held_id(void)
{
	const char *c = answer;
	u64 id = 0;

	while (*c == ' ')
		c++;
	for (; *c >= '0' && *c <= '9'; c++)
		id = id * 10 + (u64)(*c - '0');
	return id;
}

/* … and its address, the second. */
static u64 held_address(void)
{
	const char *c = strstr(answer, "0x");
	char text[19];
	u64 address = 0;

	str_copy(text, c != NULL ? c : "", sizeof(text));
	EXPECT_EQ(str_to_u64(text, false, &address), 0);
	return address;
}

static int run_with(const char *command, u64 n, bool hexadecimal)
{
	char line[64];

	format_buf(line, sizeof(line), hexadecimal ? "%s %#llx" : "%s %llu", command,
	           (unsigned long long)n);
	return run(line);
}

TEST(monitor, allocates_and_frees_by_number_and_address)
{
	struct mm_usage before, during, after;

	mm_usage(&before);
	EXPECT_ANSWER("alloc pages 3", 0, "order 3");
	u64 pages = held_id();

	EXPECT_ANSWER("alloc bytes 100", 0, "100 B");
	u64 bytes = held_address();

	mm_usage(&during);
	EXPECT_GE(during.used_pages, before.used_pages + 8);
	EXPECT_EQ(during.live_objects, before.live_objects + 1);
	EXPECT_ANSWER("alloc", 0, "order 3");
	EXPECT_EQ(run_with("free", pages, false), 0);
	EXPECT_EQ(run_with("free", bytes, true), 0);
	mm_usage(&after);
	EXPECT_EQ(after.live_objects, before.live_objects);
	EXPECT_EQ(after.used_pages - after.slab_pages, before.used_pages - before.slab_pages);
}

TEST(monitor, refuses_wrong_frees_by_naming_the_handle)
{
	char text[64];

	EXPECT_EQ(run("alloc bytes 4K"), 0);
	u64 id = held_id(), address = held_address();

	EXPECT_EQ(run_with("free", address + 24, true), -EINVAL);
	format_buf(text, sizeof(text), "is inside number %llu, 24 bytes from its start",
	           (unsigned long long)id);
	EXPECT_TRUE(says(text));
	EXPECT_EQ(run_with("free", address + 4096, true), -EINVAL);
	EXPECT_TRUE(says("is nothing that alloc holds"));
	EXPECT_EQ(run_with("free", id + 1, false), -EINVAL);
	EXPECT_TRUE(says("there is no number"));
	EXPECT_EQ(run("free 0"), -EINVAL);
	EXPECT_EQ(run_with("free", id, false), 0);
	EXPECT_EQ(run_with("free", id, false), -EINVAL);
	EXPECT_TRUE(says("was freed already"));
	EXPECT_EQ(run_with("free", address, true), -EINVAL);
}

TEST(monitor, holds_many_and_frees_all)
{
	int result = 0;
	unsigned n = 0;

	while (n < 1000 && (result = run("alloc bytes 64")) == 0)
		n++;
	EXPECT_EQ(result, -ENOSPC);
	EXPECT_TRUE(says("are held already"));
	EXPECT_EQ(monitor_free_all(), n);
	EXPECT_ANSWER("free all", 0, "free: 0 freed");
}

TEST(monitor, allocates_from_a_cache_by_name)
{
	struct kmem_cache *c = kmem_cache_create("monitor-test", 40, 0, 0, NULL);

	ASSERT_NOT_NULL(c);
	EXPECT_ANSWER("alloc cache monitor-test", 0, "object of cache monitor-test");
	struct kmem_cache_stats stats;

	kmem_cache_stats(c, &stats);
	EXPECT_EQ(stats.nr_live, 1u);
	EXPECT_EQ(monitor_free_all(), 1u);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static void run_capturing_panics(const char *line, u64 n)
{
	struct sink *console = console_divert(NULL);

	EXPECT_PANIC("double free", (void)run_with(line, n, true));
	console_divert(console);
}

TEST(monitor, passes_raw_frees_to_the_allocators_checks)
{
	EXPECT_EQ(run("alloc bytes 100"), 0);
	u64 address = held_address();

	EXPECT_EQ(run_with("free!", address, true), 0);
	EXPECT_ANSWER("alloc", 0, "nothing is held");
	run_capturing_panics("free!", address);
}

TEST(monitor, lets_allocations_fail_and_says_how_many_did)
{
	void *p;

	EXPECT_ANSWER("failslab", 0, "off");
	EXPECT_ANSWER("failslab cache=kmalloc-128,times=1", 0, "");
	p = kmalloc(128, GFP_KERNEL);
	EXPECT_NULL(p);
	kfree(p);
	p = kmalloc(128, GFP_KERNEL);
	EXPECT_NOT_NULL(p);
	kfree(p);
	EXPECT_ANSWER("failslab", 0, "1 failed");
	EXPECT_ANSWER("fail_page_alloc order=2", 0, "");
	EXPECT_NULL(alloc_pages(GFP_KERNEL, 2));
	EXPECT_ANSWER("fail_page_alloc often", -EINVAL, "interval");
	EXPECT_ANSWER("failslab off", 0, "");
	EXPECT_ANSWER("fail_page_alloc off", 0, "");
	EXPECT_ANSWER("failslab", 0, "fail_page_alloc  off");
}

TEST(monitor, finds_leaks_and_audits)
{
	EXPECT_ANSWER("leaks", 0, " unreferenced\n");
	EXPECT_ANSWER("audit", 0, "every page and every object is in exactly one state");
	EXPECT_LE(widest(), 80u);
}

TEST(monitor, walks_the_page_tables)
{
	static const char constant[] = "constant";
	char *area = vmalloc(PAGE_SIZE), line[64];

	ASSERT_NOT_NULL(area);
	format_buf(line, sizeof(line), "pagetable %#lx", (u64)area);
	EXPECT_ANSWER(line, 0, "PML4E");
	EXPECT_TRUE(says("PTE  ") && says("maps") && says("write") && says("no-execute"));
	format_buf(line, sizeof(line), "pagetable %#lx", (u64)constant);
	EXPECT_ANSWER(line, 0, "read-only");
	EXPECT_ANSWER("pagetable", 0, "ffff800000000000-");
	EXPECT_TRUE(says("  r-x") && says("  rw-")); /* and nothing that is both */
	EXPECT_FALSE(says(" rwx"));
	EXPECT_ANSWER("pagetable 0x1000", 0, "not present");
	EXPECT_ANSWER("pagetable 0x8000000000000000", -EINVAL, "bits 47 to 63 differ");
	EXPECT_ANSWER("pagetable nowhere", -EINVAL, "no number");
	vfree(area);
}

TEST(monitor, makes_work_and_shows_what_it_leaves)
{
	EXPECT_ANSWER("frag", 0, "largest block");
	EXPECT_TRUE(says("1 GiB"));
	EXPECT_ANSWER("cpus", 0, "CPU 0: APIC id");
	EXPECT_ANSWER("bench no_such_thing", -ENOENT, "nothing matches \"no_such_thing\"");
	EXPECT_ANSWER("stress 0", -EINVAL, "not 1 to 86400 seconds");
	EXPECT_ANSWER("stress much", -EINVAL, "no number");
}

/* --- for scripts, and for reading --- */

/* A line is an object: braces and quotes in pairs, nothing but JSON's own characters outside. */
static bool is_json_line(const char *c, size_t n)
{
	bool quoted = false;
	int depth = 0;

	if (n < 2 || c[0] != '{' || c[n - 1] != '}')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (quoted && c[i] == '\\')
			i++;
		else if (c[i] == '"')
			quoted = !quoted;
		else if (!quoted && strchr("{}[]:,0123456789", c[i]) == NULL)
			return false;
		else if (!quoted)
			depth += c[i] == '{' || c[i] == '['   ? 1
			         : c[i] == '}' || c[i] == ']' ? -1
			                                      : 0;
	}
	return !quoted && depth == 0;
}

TEST(monitor, answers_scripts_in_json)
{
	static const char *const lines[] = {
	    "mem -j",   "zones -j",   "numastat -j", "buddyinfo -j", "slabinfo -j", "vmeminfo -j",
	    "sites -j", "threads -j", "owners -j",   "frag -j",      "memmap -j",   "cpus -j",
	    "locks -j", "log -j",     "log 2 -j",    "shrinkers -j", "trace -j"};
	void *p = kmalloc(100, GFP_KERNEL); /* so that there is a site */

	for (unsigned i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *line = answer, *end;

		EXPECT_EQ(run(lines[i]), 0);
		EXPECT_GT(nr_answer, 0u);
		for (; (end = strchr(line, '\n')) != NULL; line = end + 1)
			EXPECT_TRUE(is_json_line(line, (size_t)(end - line)));
		EXPECT_EQ(*line, '\0');
	}
	EXPECT_ANSWER("slabinfo -j", 0, "{\"cache\":\"kmalloc-16\",\"size\":16,");
	EXPECT_ANSWER("mem -j", 0, "\"used_pages\":");
	EXPECT_ANSWER("page 1 -j", -EINVAL, "usage: page"); /* which has none */
	EXPECT_ANSWER("trace on -j", -EINVAL, "trace: -j goes with status and dump");
	EXPECT_ANSWER("mem 1 -j", -EINVAL, "usage: mem");
	EXPECT_ANSWER("log x -j", -EINVAL, "log: \"x\" is no number");
	kfree(p);
}

TEST(monitor, sorts_caches_by_any_column)
{
	u64 former = UINT64_MAX;

	EXPECT_EQ(run("slabinfo size"), 0);
	for (const char *line = strchr(answer, '\n'); line != NULL && line[1] != '\0';
	     line = strchr(line + 1, '\n')) {
		u64 size = 0;
		char word[16] = {0};
		const char *at = line + 1 + 20; /* behind the name's column */

		while (*at == ' ')
			at++;
		for (unsigned i = 0; i < 15 && *at >= '0' && *at <= '9'; i++)
			word[i] = *at++;
		ASSERT_EQ(str_to_u64(word, false, &size), 0);
		EXPECT_LE(size, former);
		former = size;
	}
	EXPECT_EQ(run("slabinfo cache"), 0);
	EXPECT_LT(strstr(answer, "kmalloc-1024 "), strstr(answer, "kmalloc-16 "));
	EXPECT_EQ(run("slabinfo bytes"), 0);
	EXPECT_ANSWER("slabinfo colour", -EINVAL, "colour is no column");
}

TEST(monitor, runs_other_commands_again_and_page_by_page)
{
	EXPECT_ANSWER("watch", -EINVAL, "usage: watch");
	EXPECT_ANSWER("watch 0 mem", -EINVAL, "1 to 3600 seconds");
	EXPECT_ANSWER("watch 5", -EINVAL, "usage: watch");
	EXPECT_ANSWER("watch 99999999999999999999 mem", -EINVAL, "too large");
	EXPECT_ANSWER("watch more mem", -EINVAL, "not of more");
	EXPECT_ANSWER("watch nonsense", -ENOENT, "no such command"); /* and ends */
	EXPECT_ANSWER("more view", -EINVAL, "not of view");
	console_input('q');
	EXPECT_ANSWER("watch 1 mem", 0, "managed");
	EXPECT_ANSWER("more mem", 0, "live objects");
	for (unsigned i = 0; i < 150; i++) /* more than any screen has rows */
		log_debug("filler %u.", i);
	console_input('q');
	EXPECT_ANSWER("more log 150", 0, "a page, Enter a line, q ends");
	EXPECT_FALSE(says("filler 149."));
	for (unsigned i = 0; i < 200; i++)
		console_input(i % 2 != 0 ? '\r' : ' ');
	EXPECT_ANSWER("more log 150", 0, "filler 149.");
	for (u8 byte; console_try_read(&byte);)
		;
}
