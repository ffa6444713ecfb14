/* The address ranges of the page map and of the pageblock bytes; mm/platform.h has the rest. */
#pragma once

#include <lib/types.h>

/* Makes the whole pageblock window read as zero. Called by paging_init(). */
void page_map_init(void);

/* An access faulted at va, where nothing is present. True: it was in the pageblock window, where
 * there is something now; the access goes on. Any context. */
bool page_map_serve_fault(u64 va);

/* Pages of pageblock bytes that were cleared and mapped so far. */
u64 page_map_window_pages(void);
