/*
 * For tests of the quarantine of pages: between begin and end, what is freed is poisoned and waits,
 * up to so many pages. False: this run has chosen another fill.
 */
#pragma once

#include "mm/debug/debug_internal.h"

#include <tests/test.h>

static bool waiting_pages_debugged;
static u64 waiting_pages_former;

static inline bool waiting_pages_begin(u64 nr_pages)
{
	struct mm_debug_choice run = mm_debug_choice();

	waiting_pages_debugged = page_debug_on;
	if (page_debug_on && !(mm_debug_letters("pages") & DEBUG_POISON)) {
		test_skip("this run has chosen otherwise for pages");
		return false;
	}
	ASSERT_TRUE(cpu_pages_bypass(true));
	if (!page_debug_on) {
		mm_debug_configure("P,pages", false, false);
		page_debug_init();
		mm_debug_choose(&run);
	}
	waiting_pages_former = page_quarantine_limit(nr_pages);
	return true;
}

static inline void waiting_pages_end(void)
{
	(void)page_quarantine_limit(waiting_pages_former);
	if (!waiting_pages_debugged)
		page_debug_finish();
	ASSERT_TRUE(cpu_pages_bypass(false));
}
