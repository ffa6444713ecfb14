/*
 * The leak finder at its edges: what free memory and the manager's own objects say, ages of the
 * samples, a report of one site, and of more leaks than it lists. On the host: small machines of
 * the tests' own.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <lib/format.h>
#include <mm/leak.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/plain_cache.h"

static struct leak_report now;
static const void *root;

static void give_root(struct leak_scan *scan)
{
	leak_add_root(scan, &root, &root + 1);
}

static u64 count(void)
{
	EXPECT_EQ(leak_find(give_root, &now), 0);
	EXPECT_SOUND(mm_check());
	return now.nr_leaked;
}

static void *must(void *p)
{
	ASSERT_NOT_NULL(p);
	return p;
}

/* Words in pages that are nobody's, or that are read as objects, lead nowhere by themselves. */
TEST(unreferenced_edges, free_pages_are_no_roots)
{
	struct page *page;
	void **lost_large, *p;
	u64 before;

	host_machine_borrow(16 * MIB, 1);
	root = NULL;
	before = count();
	page = must(alloc_pages(GFP_KERNEL | __GFP_ZERO, 5));
	lost_large = must(kzalloc(9000, GFP_KERNEL));
	p = must(kzalloc(100, GFP_KERNEL));
	EXPECT_EQ(count(), before + 2);
	((void **)page_address(page))[100] = p;
	EXPECT_EQ(count(), before + 1);
	if (!page_debug_on) {
		free_pages(page, 5);
		EXPECT_EQ(count(), before + 2);
	}
	lost_large[7] = p;
	EXPECT_EQ(count(), before + (page_debug_on ? 1 : 2));
	host_machine_return();
}

/* A word that is an address in a block of pages, or in none, marks nothing. */
TEST(unreferenced_edges, addresses_of_pages_lead_nowhere)
{
	struct page *page;
	u64 before;

	host_machine_borrow(16 * MIB, 1);
	root = NULL;
	page = must(alloc_pages(GFP_KERNEL | __GFP_ZERO, 2));
	page->link = NULL;
	before = count();
	root = (char *)page_address(page) + 5000;
	EXPECT_EQ(count(), before);
	EXPECT_NULL(page->link);
	EXPECT_EQ(page->head, page_head_word(PAGE_ALLOCATED, 2, page->zone));
	root = phys_to_virt(0);
	EXPECT_EQ(count(), before);
	root = phys_to_virt(PLATFORM_MAX_PA - 8);
	EXPECT_EQ(count(), before);
	host_machine_return();
}

static u16 *tag_of(void *object)
{
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(object, &info));
	return &slab_of(object)->tag[info.index];
}

/* The manager's own objects are not judged, so no mark stays on them either (LK1). */
TEST(unreferenced_edges, the_managers_own_objects_are_left_alone)
{
	struct kmem_cache *c;
	void *p, *record;
	u16 tag;

	host_machine_borrow(16 * MIB, 1);
	c = plain_cache_create("own", 64, 0, 0);
	p = must(kmem_cache_zalloc(c, GFP_KERNEL));
	record = slab_of(p);
	tag = *tag_of(record);
	EXPECT_TRUE(slab_of(record)->cache->flags & SLAB_INTERNAL);
	EXPECT_GE(tag, TAG_FIRST_SITE);
	root = record;
	EXPECT_EQ(leak_find(give_root, &now), 0);
	EXPECT_EQ(*tag_of(record), tag);
	host_machine_return();
}

/* --- reports --- */

static struct kmem_cache *aging_cache(void)
{
	struct kmem_cache *c;

	debugged_begin("Z");
	c = kmem_cache_create("aging", 200, 0, 0, NULL);
	debugged_end();
	return must(c);
}

TEST(unreferenced_edges, samples_have_ages)
{
	struct kmem_cache *aging;
	void *p[3];
	u64 nr_seen = 0;

	host_machine_borrow(64 * MIB, 1);
	aging = aging_cache();
	for (unsigned i = 0; i < 3; i++) {
		p[i] = must(kmem_cache_zalloc(aging, GFP_KERNEL));
		host_milliseconds += 40;
	}
	root = NULL;
	(void)count();
	ASSERT_LE(now.nr_leaked, LEAK_SAMPLES);
	for (unsigned k = 0; k < now.nr_samples; k++)
		for (unsigned i = 0; i < 3; i++)
			if (now.sample[k] == p[i]) {
				EXPECT_EQ(now.sample_ms[k], (3 - i) * 40);
				nr_seen++;
			}
	EXPECT_EQ(nr_seen, 3);
	host_milliseconds = 0;
	host_machine_return();
}

static u64 lines(void)
{
	u64 n = 0;

	for (const char *p = text; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

/* A line for all, one each site and each sample, and what is not listed. */
TEST(unreferenced_edges, a_line_for_each_and_for_the_others)
{
	struct kmem_cache *aging;
	char line[48];

	host_machine_borrow(64 * MIB, 1);
	aging = aging_cache();
	root = NULL;
	for (unsigned i = 0; i < 2 * LEAK_SAMPLES; i++) {
		EXPECT_EQ(leak_find(NULL, &now), 0);
		CATCH(EXPECT_EQ(stats_print_leaks(), (s64)now.nr_leaked));
		EXPECT_EQ(lines(),
		          1 + now.nr_sites + now.nr_samples + (now.nr_leaked > LEAK_SAMPLES));
		must(kmem_cache_zalloc(aging, GFP_KERNEL));
	}
	ASSERT_GT(now.nr_leaked, LEAK_SAMPLES);
	format_buf(line, sizeof(line), "\n  and %lu more\n", now.nr_leaked - LEAK_SAMPLES);
	EXPECT_TEXT(line);
	host_machine_return();
}
#endif
