/*
 * Messages for people. One call is one line or part of one; the platform decides where it goes (the
 * kernel: serial port, screen and the log that a panic prints; the host: standard output).
 *
 * Any context, any lock held: a message takes only the console's own lock, which is the last in the
 * order.
 */
#pragma once

#include <lib/format.h>
#include <lib/types.h>

enum log_level {
	LOG_ERROR =
	    3, /* the numbers are syslog's, so that `loglevel=` means what it means elsewhere */
	LOG_WARN = 4,
	LOG_INFO = 6,
	LOG_DEBUG = 7,
};

/* A line of the log: shown when level <= the console's level, kept for the panic's report always.
 */
void log_at(enum log_level level, const char *fmt, ...) __printf(2, 3);

#define log_error(...) log_at(LOG_ERROR, __VA_ARGS__)
#define log_warn(...) log_at(LOG_WARN, __VA_ARGS__)
#define log_info(...) log_at(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_DEBUG, __VA_ARGS__)

/* Output that was asked for (a monitor's answer, a test's report): shown whatever the level. */
void kprintf(const char *fmt, ...) __printf(1, 2);
