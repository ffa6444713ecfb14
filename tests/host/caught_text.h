/*
 * What a report for people prints, caught: CATCH(stats_print_guard()), then look into `text`. On
 * the host only, where kprintf() ends in stdout.
 */
#pragma once

#include <lib/string.h>
#include <stdio.h>

#include "tests/test.h"

static char text[16 * 1024]; /* of the last one */

#define CATCH(statement)                                     \
	({                                                   \
		FILE *terminal_ = stdout;                    \
		memset(text, 0, sizeof(text));               \
		stdout = fmemopen(text, sizeof(text), "w");  \
		__typeof__(statement) result_ = (statement); \
		fclose(stdout);                              \
		stdout = terminal_;                          \
		result_;                                     \
	})

#define EXPECT_TEXT(words) EXPECT_NOT_NULL(strstr(text, words))
