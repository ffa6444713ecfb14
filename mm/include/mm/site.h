/*
 * Call sites. Every use of the kmalloc family's macros places one static record in a linker
 * section; its number, the tag, is stored beside each live object. So a leak report, a double
 * free's line and the accounting by caller cost one 2-byte store an allocation.
 */
#pragma once

#include <lib/types.h>

struct alloc_site {
	const char *file, *function;
	u32 line;
	u32 tag; /* set by site_init() */
} __aligned(32);

/* Object states below the first site's tag. */
enum { TAG_IN_SLAB = 0, TAG_IN_MAGAZINE = 1, TAG_FIRST_SITE = 2 };

#define ALLOC_SITE()                                                                             \
	({                                                                                       \
		static struct alloc_site site_ __attribute__((section("alloc_sites"), used)) = { \
		    __FILE__, __func__, __LINE__, 0};                                            \
		&site_;                                                                          \
	})

/* Numbers the records. Called once, before the first allocation. */
void site_init(void);

/* NULL for a number that is no site's. */
const struct alloc_site *site_of_tag(u32 tag);
u32 site_count(void);

/* "mm/foo.c:12 (bar)"; for the states above "free" and "cached". Returns buf. */
char *site_name(char buf[96], u32 tag);
