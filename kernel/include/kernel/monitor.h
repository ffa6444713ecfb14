/*
 * The monitor: a prompt on the console that shows and tries everything that the memory manager
 * does.
 */
#pragma once

#include <lib/types.h>

struct boot_info;

#define MONITOR_MAX_ARGS 8
#define MONITOR_LOG_LINES 20 /* that `log` shows when it is not told */
#define MONITOR_MAX_LOG_LINES 100000

struct monitor_command {
	const char *name;
	const char *args;      /* as `help` shows them: "PFN|ADDR", "[FILTER]" … */
	const char *help;      /* one line */
	const char *details;   /* more lines for `help NAME`, or NULL */
	u8 min_args, max_args; /* besides the name */
	/* 0 or a negative errno after a line that says what was wrong. argv[0] is the name. */
	int (*run)(int argc, char **argv);
};

/* demo: begins with that command. */
_Noreturn void monitor_run(const struct boot_info *info, bool demo);

/* Runs one line; `line` is cut into its words. 0, or negative: the command refused, or there is no
 * such command, and a line has said so. */
int monitor_execute(char *line);

/* The command table, in the order of `help`; ends with a NULL name. */
extern const struct monitor_command monitor_commands[];

/* The row with that name, or NULL. */
const struct monitor_command *monitor_find(const char *name);
/* Says that there is no such command; -ENOENT. */
int monitor_unknown(const char *name);

/* A number in the monitor's notation (decimal, 0x, K M G T). False, with a line that says what was
 * wrong. */
bool monitor_number(const char *command, const char *text, u64 *out);

/* --- the commands, by file --- */

/* monitor_help.c */
int monitor_help(int argc, char **argv);

/* monitor_mm.c: looking at the memory manager */
int monitor_mem(int argc, char **argv);
int monitor_zones(int argc, char **argv);
int monitor_numastat(int argc, char **argv);
int monitor_buddyinfo(int argc, char **argv);
int monitor_slabinfo(int argc, char **argv);
int monitor_owners(int argc, char **argv);
int monitor_shrinkers(int argc, char **argv);
int monitor_vmeminfo(int argc, char **argv);
int monitor_sites(int argc, char **argv);
int monitor_page(int argc, char **argv);
int monitor_map(int argc, char **argv);
int monitor_retire(int argc, char **argv);
int monitor_check(int argc, char **argv);
int monitor_shrink(int argc, char **argv);

/* monitor_debug.c: looking for mistakes */
int monitor_leaks(int argc, char **argv);
int monitor_audit(int argc, char **argv);
int monitor_failslab(int argc, char **argv);
int monitor_fail_page_alloc(int argc, char **argv);
int monitor_kfence(int argc, char **argv);
/* What the command line said of them; "": nothing. */
void monitor_guard(const char *kfence);
void monitor_arm(const char *failslab, const char *fail_page_alloc);

/* monitor_alloc.c: allocating by hand */
int monitor_alloc(int argc, char **argv);
int monitor_free(int argc, char **argv);
int monitor_free_raw(int argc, char **argv);
/* Frees everything that `alloc` holds; returns how many. */
unsigned monitor_free_all(void);

/* monitor_view.c: memory, live */
int monitor_view(int argc, char **argv);
int monitor_demo(int argc, char **argv);

/* monitor_watch.c: running another */
int monitor_watch(int argc, char **argv);
int monitor_more(int argc, char **argv);

/* monitor_work.c: making work, and what it leaves */
int monitor_bench(int argc, char **argv);
int monitor_stress(int argc, char **argv);
int monitor_frag(int argc, char **argv);
int monitor_pagetable(int argc, char **argv);

/* monitor_json.c: the command's answer for scripts, where it has one for these arguments (without
 * the -j). False: it has none, and nothing is printed. *result: as a command's. */
bool monitor_json(int argc, char **argv, int *result);

/* monitor_trace.c: events */
int monitor_trace(int argc, char **argv);
int monitor_trace_json(int argc, char **argv);

/* monitor_compare.c: the gallery of allocators */
int monitor_compare(int argc, char **argv);

/* monitor_online.c: memory that comes and goes */
int monitor_online(int argc, char **argv);
int monitor_offline(int argc, char **argv);

/* monitor_machine.c: the rest of the kernel */
int monitor_memmap(int argc, char **argv);
int monitor_cpu(int argc, char **argv);
int monitor_cpus(int argc, char **argv);
int monitor_threads(int argc, char **argv);
int monitor_locks(int argc, char **argv);
int monitor_log(int argc, char **argv);
int monitor_loglevel(int argc, char **argv);
int monitor_where(int argc, char **argv);
int monitor_test(int argc, char **argv);
int monitor_reboot(int argc, char **argv);
int monitor_poweroff(int argc, char **argv);
