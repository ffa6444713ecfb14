/* trace_NAME_per_op: the trace that is the boot module, replayed; what an operation costs, parsing
 * and stamping outside the clock. */
#include <boot/boot_info.h>
#include <kernel/memory.h>
#include <kernel/replay.h>
#include <lib/format.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <tests/bench/bench.h>

/* "path/k-files.trace" → "trace_k-files_per_op" */
static void name_figure(char *name, size_t size, const char *path)
{
	size_t length = 0;

	for (const char *p = path; *p != '\0'; p++)
		if (*p == '/')
			path = p + 1;
	while (path[length] != '\0' && path[length] != '.' && path[length] != ' ')
		length++;
	format_buf(name, size, "trace_%.*s_per_op", (int)length, path);
}

BENCH_OWN(trace_per_op)
{
	const struct boot_info *info = boot_info();
	struct replay_result result;
	char name[80];

	(void)n;
	if (info->nr_modules == 0)
		return;
	if (replay_text(phys_to_virt(info->module[0].base), info->module[0].length, &result) != 0) {
		kprintf("# bench: the trace failed: %s\n", result.error);
		return;
	}
	name_figure(name, sizeof(name), info->module[0].name);
	bench_report(name, result.nr_ops == 0 ? 0 : result.cycles * 10 / result.nr_ops);
}
