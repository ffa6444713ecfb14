/*
 * The monitor: a prompt on the console that shows and tries everything that the memory manager
 * does.
 */
#pragma once

#include <lib/types.h>

struct boot_info;

#define MONITOR_MAX_ARGS 8

struct monitor_command {
	const char *name;
	const char *args;      /* as `help` shows them: "PFN|ADDR", "[FILTER]" … */
	const char *help;      /* one line */
	const char *details;   /* more lines for `help NAME`, or NULL */
	u8 min_args, max_args; /* besides the name */
	/* 0 or a negative errno after a line that says what was wrong. argv[0] is the name. */
	int (*run)(int argc, char **argv);
};

_Noreturn void monitor_run(const struct boot_info *info);

/* Runs one line; `line` is cut into its words. 0, or negative: the command refused, or there is no
 * such command, and a line has said so. */
int monitor_execute(char *line);

/* The command table, in the order of `help`; ends with a NULL name. */
extern const struct monitor_command monitor_commands[];

/* Frees everything that `alloc` allocated by hand; returns how many. */
unsigned monitor_free_all(void);
