/*
 * Answers for scripts: objects of JSON (RFC 8259), one a line, through kprintf. Keys are plain
 * words; text may be anybody's and is escaped; numbers are whole and stand as they are.
 *
 *     json_begin();
 *     json_text("zone", z->name);
 *     json_number("free_pages", n);
 *     json_end();
 *
 * One at a time, in threads: the monitor's.
 */
#pragma once

#include <lib/types.h>

void json_begin(void);
void json_end(void);
void json_text(const char *key, const char *text);
/* The same for text of that length. */
void json_bytes(const char *key, const char *text, size_t len);
void json_number(const char *key, u64 n);

/* [n, n, …]: begun with its key, ended by itself. */
void json_array(const char *key, const u32 *n, size_t nr);

/* monitor_json.c and monitor_json_machine.c: the commands that have such an answer. */
struct json_command {
	const char *name;
	int max_args;                        /* behind the name; -j is not among them */
	int (*print)(int argc, char **argv); /* 0, or negative after a line that says why not */
};
extern const struct json_command json_machine_commands[]; /* ends with a NULL name */
