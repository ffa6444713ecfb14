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
	u32 tag;            /* set by site_init() */
	u64 objects, bytes; /* scratch of the sums over live objects, under their lock */
	u64 size;           /* where kmalloc() was given a literal: what it asks for; else 0 */
} __aligned(64); /* the size, too: so the section is an array however a compiler aligns */

static_assert(sizeof(struct alloc_site) == 64, "the linker section is an array of these");

/* Object states below the first site's tag. */
enum { TAG_IN_SLAB = 0, TAG_IN_MAGAZINE = 1, TAG_FIRST_SITE = 2 };

/* No site's tag has this bit: the leak finder's, while it looks. */
#define TAG_MARK 0x8000u

#define ALLOC_SITE_(size_)                                                                       \
	({                                                                                       \
		static struct alloc_site site_ __attribute__((section("alloc_sites"), used)) = { \
		    .file = __FILE__, .function = __func__, .line = __LINE__, .size = (size_)};  \
		&site_;                                                                          \
	})
#define ALLOC_SITE() ALLOC_SITE_(0)

/* What the allocators' fast ways take: the number alone. */
#define ALLOC_TAG() (ALLOC_SITE()->tag)

/*
 * For kmalloc(): the fast way for a size that is a constant knows the size class, not the size.
 * Debugging needs it to the byte, so the site's record holds it, which costs no instruction. The
 * compiler must decide by what is written there (choose_expr) and not by what it knows after
 * inlining, because the record is made from that.
 */
#define SIZE_IS_LITERAL(size_) __builtin_choose_expr(__builtin_constant_p(size_), true, false)
#define ALLOC_TAG_OF(size_) \
	(ALLOC_SITE_(__builtin_choose_expr(__builtin_constant_p(size_), (u64)(size_), 0))->tag)

/* Numbers the records. Called once, before the first allocation. */
void site_init(void);

/* NULL for a number that is no site's. */
const struct alloc_site *site_of_tag(u32 tag);
u32 site_count(void);

/* Sums by site: start from nothing, add, then visit those that have objects. One user at a time. */
void site_sums_begin(void);
void site_sums_add(u32 tag, u64 objects, u64 bytes);
void site_sums_end(void (*visit)(void *context, u32 tag, u64 objects, u64 bytes), void *context);

/* "mm/foo.c:12 (bar)"; for the states above "free" and "cached". Returns buf. */
char *site_name(char buf[96], u32 tag);
