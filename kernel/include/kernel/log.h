/*
 * The log: the last few hundred lines that log_at() was given, of all levels, shown or not. A panic
 * prints its end.
 */
#pragma once

#include <lib/log.h>
#include <lib/types.h>

/* Appends one line (without newline). The caller serialises: the console does, under its lock. */
void log_append(enum log_level level, const char *text, size_t len);

/* Prints the last `lines` lines that are still kept, oldest first. Any context. */
void log_print_tail(unsigned lines);

/* Calls fn for each kept line, oldest first, the last `lines` of them. */
void log_for_each_tail(unsigned lines, void (*fn)(enum log_level, const char *, size_t, void *),
                       void *context);
