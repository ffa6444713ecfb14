/*
 * What is printed or logged, caught: CATCH(stats_print_guard()), then look into `text`. On the host
 * only, where kprintf() ends in stdout.
 */
#pragma once

#include <lib/log.h>
#include <lib/string.h>
#include <stdio.h>
#include <tests/host/machine.h>

#include "tests/test.h"

static char text[64 * 1024]; /* of the last one */

#define CATCH(statement)                                    \
	do {                                                \
		FILE *terminal_ = stdout;                   \
		enum log_level level_ = host_log_level;     \
		memset(text, 0, sizeof(text));              \
		host_log_level = LOG_INFO;                  \
		stdout = fmemopen(text, sizeof(text), "w"); \
		statement;                                  \
		fclose(stdout);                             \
		stdout = terminal_;                         \
		host_log_level = level_;                    \
	} while (0)

#define EXPECT_TEXT(words)                                \
	do {                                              \
		if (strstr(text, words) == NULL)          \
			test_note("lacks \"%s\"", words); \
		EXPECT_NOT_NULL(strstr(text, words));     \
	} while (0)
