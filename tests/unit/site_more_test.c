/*
 * The edges of the table of call sites: its first and last record, and a table that cannot be
 * right. (Too many sites for a tag cannot be tried: the linker makes the table.)
 */
#include <mm/mm.h>

#include "tests/test.h"

struct edges {
	u32 first, last;
	u64 first_bytes, last_bytes;
};

static void visit(void *context, u32 tag, u64 objects, u64 bytes)
{
	struct edges *edges = context;

	(void)objects;
	if (tag == edges->first)
		edges->first_bytes += bytes;
	if (tag == edges->last)
		edges->last_bytes += bytes;
}

static struct edges look(void)
{
	struct edges edges = {.first = TAG_FIRST_SITE, .last = TAG_FIRST_SITE + site_count() - 1};

	slab_visit_sites(visit, &edges);
	return edges;
}

TEST(site_more, the_first_and_the_last_site_are_summed)
{
	struct edges before, after;
	void *p, *q;

	kfree(kmalloc(64, GFP_KERNEL)); /* the slabs exist: their records have sites too */
	kfree(kmalloc(128, GFP_KERNEL));
	before = look();
	p = kmalloc_any(64, GFP_KERNEL, before.first);
	q = kmalloc_any(128, GFP_KERNEL, before.last);
	after = look();
	EXPECT_EQ(after.first_bytes, before.first_bytes + 64);
	EXPECT_EQ(after.last_bytes, before.last_bytes + 128);
	kfree(p);
	kfree(q);
	after = look();
	EXPECT_EQ(after.first_bytes, before.first_bytes);
	EXPECT_EQ(after.last_bytes, before.last_bytes);
}

TEST(site_more, a_gap_in_the_table_stops_the_boot)
{
	struct alloc_site *last =
	    (struct alloc_site *)site_of_tag(TAG_FIRST_SITE + site_count() - 1);
	const char *file = last->file;

	last->file = NULL;
	EXPECT_PANIC("site: the linker left a gap", site_init());
	last->file = file;
	site_init(); /* the same numbers again */
	EXPECT_EQ(last->tag, TAG_FIRST_SITE + site_count() - 1);
}

/* Sites are numbered from the first to the last, and once more when asked. */
TEST(site_more, every_site_gets_its_tag)
{
	u32 tag;

	for (tag = TAG_FIRST_SITE; site_of_tag(tag) != NULL; tag++)
		((struct alloc_site *)(u64)site_of_tag(tag))->tag = 0;
	EXPECT_GT(tag, TAG_FIRST_SITE + 10);
	site_init();
	for (tag = TAG_FIRST_SITE; site_of_tag(tag) != NULL; tag++)
		EXPECT_EQ(site_of_tag(tag)->tag, tag);
}
