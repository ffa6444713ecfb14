/*
 * The test framework: see tests/test.h for what a test may use, and for the gates.
 *
 * The report is KTAP, version 1: a plan, then for each test the lines of diagnosis, and its result
 * after them. What a test prints there is made plain ASCII on one line, so no value can forge a
 * line of the report.
 *
 * A test ends by returning, or by test_end(), which jumps back to the runner from any depth.
 * EXPECT_PANIC arms a trap: it becomes panic()'s catcher, and a panic jumps to the statement's
 * other branch. Jumps are the compiler's (__builtin_setjmp), because there is no C library in the
 * kernel. All state is in two structs:
 *
 *   run    what is running, and the counts
 *   trap   the armed trap, and how the last panic that it caught read
 *
 *   T1  a result line is printed for every planned test, and passed + failed + skipped = planned at
 * the end T2  between tests no trap is armed T3  the order is that of the linker; a test's random
 * numbers depend on the seed and its name only
 *
 * What it does not do: run tests in parallel, or survive a panic that no test expected. That goes
 * to the platform, and the run ends without its last line, which whoever reads the report takes as
 * a failure.
 */
#include <lib/assert.h>
#include <lib/format.h>
#include <lib/lock_check.h>
#include <lib/platform.h>
#include <mm/platform.h>
#include <tests/sign.h>
#include <tests/test.h>

#define NAME_MAX 128 /* "suite.name", or one pattern of a list */
#define TEXT_MAX 256 /* a line of diagnosis */
#define LINES_MAX \
	25u /* that a single test may print: a failure in a loop must not bury the report */

/* The linker's bounds of the section; without a single test there are none. */
extern const struct test *const __start_strata_tests[] __attribute__((weak));
extern const struct test *const __stop_strata_tests[] __attribute__((weak));

extern __typeof__(test_usage_now) test_usage_now __attribute__((weak));
extern __typeof__(test_state_check) test_state_check __attribute__((weak));

extern __typeof__(test_not_applicable) test_not_applicable __attribute__((weak));

static struct {
	const struct test *current;
	const char *skip_reason;
	bool failed, has_no_machine;
	unsigned lines;
	void *end[5]; /* where test_end() jumps */
	u64 seed;
	struct rng rng;
	struct test_totals totals;
} run;

static struct {
	struct test_trap *armed;
	const void *thread;
	u64 irq_flags;     /* the state of interrupts when it was armed */
	unsigned nr_locks; /* that the CPU held then */
	char line[TEXT_MAX];
} trap;

const struct test *test_current(void)
{
	return run.current;
}

struct rng *test_rng(void)
{
	return &run.rng;
}

u64 test_seed(void)
{
	return run.seed;
}

void test_totals(struct test_totals *out)
{
	*out = run.totals;
}

/* --- The report --- */

static void report_write(struct sink *self, const char *text, size_t len)
{
	(void)self;
	for (size_t i = 0, from = 0; i <= len; i++) {
		if (i < len && text[i] >= ' ' && text[i] <= '~')
			continue;
		platform_write(text + from, i - from);
		if (i < len)
			kprintf("\\x%02x", (u8)text[i]);
		from = i + 1;
	}
}

/* "# where: text" or "# text". */
static void report_line(const char *file, int line, const char *fmt, va_list args)
{
	struct sink sink = {report_write};

	if (run.lines++ >= LINES_MAX)
		return;
	kprintf("# ");
	if (file)
		kprintf("%s:%d: ", file, line);
	vformat_to(&sink, fmt, args);
	kprintf("\n");
	if (run.lines == LINES_MAX)
		kprintf("# ... and no more lines of this test\n");
}

void test_note(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	report_line(NULL, 0, fmt, args);
	va_end(args);
}

void test_fail(const char *file, int line, const char *fmt, ...)
{
	va_list args;

	run.failed = true;
	va_start(args, fmt);
	report_line(file, line, fmt, args);
	va_end(args);
}

/* A failure of the test as a whole, found after its end. */
static void gate_fail(const char *fmt, ...) __printf(1, 2);
static void gate_fail(const char *fmt, ...)
{
	va_list args;

	run.failed = true;
	va_start(args, fmt);
	report_line(run.current->file, run.current->line, fmt, args);
	va_end(args);
}

void test_skip(const char *reason)
{
	run.skip_reason = reason;
}

/* --- Comparisons --- */

/* -1, 0, 1 as the mathematical value of a is below, equal to or above that of b. */
static int compare_values(s64 a, bool a_negative, s64 b, bool b_negative)
{
	if (a_negative != b_negative)
		return a_negative ? -1 : 1;
	if (a == b)
		return 0;
	return (u64)a < (u64)b ? -1 : 1; /* of one sign, two's complement keeps the order */
}

static bool relation_holds(const char *op, int order)
{
	switch (op[0]) {
	case '=':
		return order == 0;
	case '!':
		return order != 0;
	case '<':
		return order < 0 || (op[1] == '=' && order == 0);
	default:
		return order > 0 || (op[1] == '=' && order == 0);
	}
}

static const char *print_value(char *buf, size_t size, s64 value, bool negative)
{
	if (negative)
		format_buf(buf, size, "0x%lx (%ld)", (u64)value, (long)value);
	else
		format_buf(buf, size, "0x%lx (%lu)", (u64)value, (u64)value);
	return buf;
}

bool test_compare(s64 a, bool a_signed, s64 b, bool b_signed, const char *op, const char *a_text,
                  const char *b_text, const char *file, int line)
{
	bool a_negative = a_signed && a < 0, b_negative = b_signed && b < 0;
	int order = compare_values(a, a_negative, b, b_negative);
	bool holds = relation_holds(op, order);
	char a_value[48], b_value[48];

	if (!holds)
		test_fail(file, line, "EXPECT %s %s %s: %s %s %s", a_text, op, b_text,
		          print_value(a_value, sizeof(a_value), a, a_negative),
		          order < 0    ? "<"
		          : order == 0 ? "=="
		                       : ">",
		          print_value(b_value, sizeof(b_value), b, b_negative));
	return holds;
}

bool test_compare_str(const char *a, const char *b, const char *a_text, const char *b_text,
                      const char *file, int line)
{
	bool same = a == b || (a && b && strcmp(a, b) == 0);
	const char *a_quote = a ? "\"" : "", *b_quote = b ? "\"" : "";

	if (!same)
		test_fail(file, line, "EXPECT %s == %s: %s%s%s != %s%s%s", a_text, b_text, a_quote,
		          a, a_quote, b_quote, b, b_quote);
	return same;
}

/* --- Panics --- */

/* In another thread a panic is never the expected one: it is not that one's stack to return to. */
bool test_expects_panic(void)
{
	return trap.armed != NULL && platform_thread() == trap.thread;
}

static void trap_catch(const char *line)
{
	struct test_trap *armed = trap.armed;

	if (!test_expects_panic())
		platform_panic(line);
	str_copy(trap.line, line, sizeof(trap.line));
	test_trap_disarm();
	lock_check_forget(trap.nr_locks);
	irq_restore(trap.irq_flags);
	__builtin_longjmp(armed->jump, 1);
}

void test_trap_arm(struct test_trap *new_trap)
{
	if (trap.armed)
		panic("test: EXPECT_PANIC inside EXPECT_PANIC");
	trap.irq_flags = irq_save();
	irq_restore(trap.irq_flags);
	trap.thread = platform_thread();
	trap.nr_locks = lock_check_nr_held();
	trap.armed = new_trap;
	panic_set_catcher(trap_catch);
}

void test_trap_disarm(void)
{
	panic_set_catcher(NULL);
	trap.armed = NULL;
}

bool test_trap_caught(const char *text, const char *file, int line)
{
	bool found = strstr(trap.line, text) != NULL;

	if (!found)
		test_fail(file, line, "EXPECT_PANIC \"%s\": it was \"%s\"", text, trap.line);
	return found;
}

/* --- One test --- */

void test_end(void)
{
	__builtin_longjmp(run.end, 1);
}

/* Alone in its function: a function must not jump to itself, nor keep values in registers across
 * the jump. */
static __noinline void run_body(const struct test *t)
{
	if (__builtin_setjmp(run.end) == 0)
		t->run();
}

static void look_at_usage(struct test_usage *usage)
{
	*usage = (struct test_usage){0};
	if (test_usage_now && !run.has_no_machine)
		test_usage_now(usage);
}

static void leak_gate(const char *what, u64 before, u64 after)
{
	if (after > before)
		gate_fail("leaked %lu %s", after - before, what);
	else if (after < before)
		gate_fail("freed %lu %s that it did not allocate", before - after, what);
}

static void state_gate(void)
{
	const char *broken = test_state_check && !run.has_no_machine ? test_state_check() : NULL;

	if (broken)
		gate_fail("left a broken state behind: %s", broken);
}

static void interrupt_gate(bool enabled_before, u64 flags_before)
{
	if (irq_is_enabled() != enabled_before)
		gate_fail("left interrupts %s", enabled_before ? "off" : "on");
	irq_restore(flags_before);
}

static void lock_gate(unsigned nr_before)
{
	if (lock_check_nr_held() > nr_before)
		gate_fail("left the lock %s taken", lock_check_name(nr_before));
	lock_check_forget(nr_before);
}

static void run_test(const struct test *t)
{
	bool irq_enabled = irq_is_enabled();
	unsigned nr_locks = lock_check_nr_held();
	struct test_usage before, after;
	u64 irq_flags;

	look_at_usage(&before);
	irq_flags = irq_save();
	irq_restore(irq_flags);
	run_body(t);
	test_trap_disarm(); /* an ASSERT_ inside EXPECT_PANIC leaves it armed */
	interrupt_gate(irq_enabled, irq_flags);
	lock_gate(nr_locks);
	look_at_usage(&after);
	leak_gate("pages", before.pages, after.pages);
	leak_gate("objects", before.objects, after.objects);
	state_gate();
}

/* --- All tests --- */

static void full_name(const struct test *t, char buf[NAME_MAX])
{
	format_buf(buf, NAME_MAX, "%s.%s", t->suite, t->name);
}

static bool matches_one(const char *pattern, const struct test *t)
{
	char name[NAME_MAX];

	pattern += *pattern == '!';
	if (!strchr(pattern, '.'))
		return str_matches(pattern, t->suite);
	full_name(t, name);
	return str_matches(pattern, name);
}

/* The last pattern that says anything of the test decides; before the first, a list that begins by
 * taking tests away means all. */
static bool matches(const char *patterns, const struct test *t)
{
	bool in = !patterns || *patterns == '\0' || *patterns == '!';
	char one[NAME_MAX];

	if (!patterns)
		return true;
	for (const char *end; *patterns != '\0'; patterns = *end == '\0' ? end : end + 1) {
		end = strchr(patterns, ',');
		if (!end)
			end = patterns + strlen(patterns);
		if (end - patterns >= NAME_MAX)
			continue;
		str_copy(one, patterns, (size_t)(end - patterns) + 1);
		if (matches_one(one, t))
			in = *one != '!';
	}
	return in;
}

#define for_each_test(it) \
	for (const struct test *const *it = __start_strata_tests; it != __stop_strata_tests; it++)

static unsigned count_matching(const char *pattern)
{
	unsigned count = 0;

	for_each_test(t) count += matches(pattern, *t);
	return count;
}

/* FNV-1a, 64 bits. */
static u64 hash_text(const char *text)
{
	u64 hash = 0xcbf29ce484222325;

	for (; *text != '\0'; text++)
		hash = (hash ^ (u8)*text) * 0x100000001b3;
	return hash;
}

static void begin_test(const struct test *t, const char *name)
{
	run.current = t;
	run.skip_reason = NULL;
	run.failed = false;
	run.lines = 0;
	rng_seed(&run.rng, run.seed ^ hash_text(name));
}

static void report_result(unsigned number, const char *name)
{
	if (run.failed) {
		run.totals.failed++;
		kprintf("not ok %u %s\n", number, name);
		sign_line("failed %s", name);
	} else if (run.skip_reason) {
		run.totals.skipped++;
		kprintf("ok %u %s # SKIP %s\n", number, name, run.skip_reason);
		sign_line("skipped %s", name);
	} else {
		run.totals.passed++;
		kprintf("ok %u %s\n", number, name);
		sign_line("passed %s", name);
	}
}

int test_run_all(const char *pattern, u64 seed)
{
	unsigned number = 0;
	char name[NAME_MAX];

	run.totals = (struct test_totals){.planned = count_matching(pattern)};
	run.seed = seed;
	kprintf("KTAP version 1\n1..%u\n", run.totals.planned);
	if (run.totals.planned == 0) {
		kprintf("# no test matches \"%s\": a test's name is suite.name\n",
		        pattern ? pattern : "");
		return -ENOENT;
	}
	for_each_test(t)
	{
		if (!matches(pattern, *t))
			continue;
		full_name(*t, name);
		begin_test(*t, name);
		if (test_not_applicable)
			run.skip_reason = test_not_applicable(name);
		if (!run.skip_reason)
			run_test(*t);
		report_result(++number, name);
		run.current = NULL;
	}
	kprintf("# passed: %u failed: %u skipped: %u seed: %lu\n", run.totals.passed,
	        run.totals.failed, run.totals.skipped, seed);
	sign_line("end: %u planned, %u passed, %u failed, %u skipped", run.totals.planned,
	          run.totals.passed, run.totals.failed, run.totals.skipped);
	return (int)run.totals.failed;
}

void test_without_machine(void)
{
	run.has_no_machine = true;
}

const struct test *test_next(const char *pattern, const struct test *after)
{
	for_each_test(t)
	{
		if (after == NULL && matches(pattern, *t))
			return *t;
		if (*t == after)
			after = NULL;
	}
	return NULL;
}

int test_list(const char *pattern)
{
	char name[NAME_MAX];

	for_each_test(t)
	{
		if (!matches(pattern, *t))
			continue;
		full_name(*t, name);
		kprintf("%s\n", name);
	}
	return (int)count_matching(pattern);
}
