/*
 * Strata's benchmarks as a Linux module: loading it runs them, and its parameters say which.
 *
 *     only=PATTERN     the figures to print, * and ? (default: all)
 *     trace=PATH       the text for trace_NAME_per_op
 *     first=TICKS      the time stamp counter at the kernel's first instruction, for boot_to_memory
 *
 * boot_to_memory: Linux keeps no time stamp of the moment when all memory became usable, but its
 * log has a line for it, with a time: a kernel thread, late in the boot, ends the setting up of the
 * page map ("node 0 deferred pages initialised"). Log times count from the setting up of the clock,
 * in microseconds; the clock and the time stamp counter read together here tell how far the two are
 * apart. Exact to a microsecond, which is a thousand instructions of some hundred million.
 */
#include <asm/tsc.h>
#include <compat.h>
#include <linux/fs.h>
#include <linux/kernel_read_file.h>
#include <linux/kmsg_dump.h>
#include <linux/module.h>
#include <linux/sched/clock.h>
#include <tests/bench/bench.h>

static char *only = "";
module_param(only, charp, 0);
static char *trace = "";
module_param(trace, charp, 0);
static ulong first;
module_param(first, ulong, 0);

struct kmem_cache *linux_bench_cache;

/* --- boot_to_memory --- */

#define READY_LINE "deferred pages initialised"

/* "<6>[    0.123456] text" → nanoseconds, or 0 when the line has no time. */
static u64 line_time(const char *line)
{
	unsigned long seconds, micros;
	const char *bracket = strchr(line, '[');

	if (bracket == NULL || sscanf(bracket, "[%lu.%lu]", &seconds, &micros) != 2)
		return 0;
	return (seconds * 1000000ull + micros) * 1000;
}

/* When the last node's page map was complete, in the log's time; 0: the log does not say. */
static u64 ready_time(void)
{
	static char line[1024];
	struct kmsg_dump_iter log;
	size_t length;
	u64 time = 0;

	kmsg_dump_rewind(&log);
	while (kmsg_dump_get_line(&log, true, line, sizeof(line) - 1, &length)) {
		line[length] = '\0';
		if (strstr(line, READY_LINE) != NULL)
			time = line_time(line);
	}
	return time;
}

u64 memory_boot_cycles(void)
{
	u64 ready = ready_time(), now = local_clock(), ticks = cycles();

	if (ready == 0 || first == 0)
		return 0;
	return ticks - mul_u64_u64_div_u64(now - ready, tsc_khz, 1000000) - first;
}

/* --- the trace --- */

const struct boot_info *boot_info(void)
{
	static struct boot_info info;
	void *text = NULL;
	ssize_t length;

	if (info.nr_modules > 0 || trace[0] == '\0')
		return &info;
	length = kernel_read_file_from_path(trace, 0, &text, INT_MAX, NULL, READING_UNKNOWN);
	if (length < 0) {
		log_error("bench: cannot read %s: error %zd", trace, -length);
		return &info;
	}
	info.module[0] = (struct boot_module){(uintptr_t)text, (u64)length, trace};
	info.nr_modules = 1;
	return &info;
}

/* --- loading --- */

static int __init strata_bench_init(void)
{
	struct kmem_cache *cache = kmem_cache_create("bench", 256, 0, 0, NULL);
	int err;

	if (cache == NULL)
		return -ENOMEM;
	linux_bench_cache = cache;
	err = bench_run_all(only);
	linux_bench_cache = NULL;
	kmem_cache_destroy(cache);
	return err;
}
module_init(strata_bench_init);

MODULE_DESCRIPTION("Strata's benchmarks");
MODULE_LICENSE("Dual MIT/GPL");
