/*
 * For tests of gaps between page blocks: between begin and end, what is allocated has one. All
 * of it is to be freed before the end.
 */
#pragma once

#include "mm/internal.h"

#include <tests/test.h>

static bool page_gaps_debugged;

static inline void page_gaps_begin(void)
{
	page_gaps_debugged = page_debug_on;
	ASSERT_TRUE(cpu_pages_bypass(true));
	page_debug_on = page_gaps_on = true;
}

static inline void page_gaps_end(void)
{
	page_gaps_on = false;
	page_debug_on = page_gaps_debugged;
	ASSERT_TRUE(cpu_pages_bypass(false));
}
