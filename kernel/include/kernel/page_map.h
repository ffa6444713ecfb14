/* The address ranges of the page map and of the pageblock bytes; mm/platform.h has the rest. */
#pragma once

/* Makes the whole pageblock window read as zero. Called by paging_init(). */
void page_map_init(void);
