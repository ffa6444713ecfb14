/*
 * The report when memory is out, read back. On the host only, where standard output can be caught.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/mm.h>
#include <stdio.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/host/caught_text.h"
#include "tests/model/hoard.h"
#include "tests/test.h"

static void report(gfp_t gfp, unsigned order, u64 nr_failures)
{
	CATCH(oom_report(gfp, order, nr_failures));
}

static unsigned count_lines(const char *p)
{
	unsigned n = 0;

	for (; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

TEST(oom, says_what_was_asked)
{
	report(GFP_ATOMIC, 3, 1);
	EXPECT_STREQ(text, "page_alloc: out of memory order=3 gfp=GFP_ATOMIC failures=1\n");
	report(GFP_NOWAIT, 0, 64);
	EXPECT_STREQ(text, "page_alloc: out of memory order=0 gfp=GFP_NOWAIT failures=64\n");
	report(__GFP_DMA | __GFP_ZERO, 0, 2);
	EXPECT_STREQ(text,
	             "page_alloc: out of memory order=0 gfp=__GFP_DMA|__GFP_ZERO failures=2\n");
}

TEST(oom, says_it_at_powers_of_two_and_to_those_who_want_it)
{
	for (u64 nr = 1; nr <= 70; nr++) {
		report(GFP_ATOMIC, 0, nr);
		EXPECT_EQ(count_lines(text), nr == 1 || nr == 2 || nr == 4 || nr == 8 || nr == 16 ||
		                                 nr == 32 || nr == 64);
	}
	report(GFP_KERNEL | __GFP_NOWARN, 0, 1);
	EXPECT_STREQ(text, "");
}

TEST(oom, one_screen_of_who_holds_what)
{
	static void *small[3000], *large[2];
	struct kmem_cache *c = kmem_cache_create("hungry", 2000, 0, 0, NULL);

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 3000, small), 3000);
	for (unsigned i = 0; i < 2; i++)
		large[i] = kmalloc(4 << 20, GFP_KERNEL);
	report(GFP_KERNEL, 18, 1);
	EXPECT_TEXT("order=18 gfp=GFP_KERNEL failures=1\n");
	EXPECT_TEXT("large kmallocs 8 MiB");
	EXPECT_TEXT("free blocks, by order:");
	EXPECT_TEXT("      3000  hungry\n");
	EXPECT_TEXT("     8 MiB          2  tests/unit/oom_test.c:");
	EXPECT_TEXT("   5.7 MiB       3000  tests/unit/oom_test.c:");
	EXPECT_LT(strstr(text, "  8 MiB          2"), strstr(text, "   5.7 MiB       3000"));
	EXPECT_LE(count_lines(text), 24);
	kmem_cache_free_bulk(c, 3000, small);
	for (unsigned i = 0; i < 2; i++)
		kfree(large[i]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* More caches than there are ranks: the largest is first whenever it comes, the least are summed.
 */
TEST(oom, the_largest_come_first)
{
	struct kmem_cache *c[9];
	void *object[9];
	char name[16];

	slab_shrink_all();
	for (unsigned i = 0; i < 9; i++) {
		format_buf(name, sizeof(name), "ranked-%u", i);
		c[i] = kmem_cache_create(name, 1ul << 18, 0, SLAB_NO_MAGAZINE, NULL);
		for (unsigned n = 0; n <= (i * 5) % 9; n++) {
			void *o = kmem_cache_alloc(c[i], GFP_KERNEL);

			ASSERT_NOT_NULL(o);
			*(void **)o = n == 0 ? NULL : object[i];
			object[i] = o;
		}
	}
	report(GFP_KERNEL, 0, 1);
	EXPECT_TEXT("   2.2 MiB          9  ranked-7\n     2 MiB          8  ranked-5\n"
	            "   1.7 MiB          7  ranked-3\n   1.5 MiB          6  ranked-1\n"
	            "   1.2 MiB          5  ranked-8\n     1 MiB          4  ranked-6\n");
	EXPECT_NOT_NULL(strstr(text, " more\n"));
	for (unsigned i = 0; i < 9; i++) {
		for (void *next; object[i] != NULL; object[i] = next) {
			next = *(void **)object[i];
			kmem_cache_free(c[i], object[i]);
		}
		EXPECT_EQ(kmem_cache_destroy(c[i]), 0);
	}
}

/* --- to the byte --- */

struct sum {
	u64 nr, bytes, largest[8];
};

/* Keeps the largest in descending order. */
static void sum_add(struct sum *s, u64 bytes)
{
	s->nr++;
	s->bytes += bytes;
	for (unsigned i = 0; i < ARRAY_SIZE(s->largest); i++)
		if (bytes > s->largest[i]) {
			u64 pushed = s->largest[i];

			s->largest[i] = bytes;
			bytes = pushed;
		}
}

static void add_site(void *sum, u32 tag, u64 objects, u64 bytes)
{
	(void)tag;
	(void)objects;
	sum_add(sum, bytes);
}

/* The line for what is not among the six largest. */
static void expect_rest(const char *from, const struct sum *s)
{
	char line[64], size[16];
	u64 rest = s->bytes;

	for (unsigned i = 0; i < 6; i++)
		rest -= s->largest[i];
	ASSERT_GT(s->nr, 6);
	format_buf(line, sizeof(line), "%10s %10s  %lu more\n", format_bytes(size, rest), "",
	           s->nr - 6);
	EXPECT_NOT_NULL(strstr(from, line));
}

TEST(oom, what_is_not_shown_is_summed)
{
	struct sum caches = {0}, sites = {0};
	struct kmem_cache_stats stats;
	const char *sites_begin;
	void *p[8];

	p[0] = kmalloc(100000, GFP_KERNEL);
	p[1] = kmalloc(300, GFP_KERNEL);
	p[2] = kmalloc(500, GFP_KERNEL);
	p[3] = kmalloc(900, GFP_KERNEL);
	p[4] = kmalloc(40, GFP_KERNEL);
	p[5] = kmalloc(2000, GFP_KERNEL);
	p[6] = kmalloc(7000, GFP_KERNEL);
	p[7] = kmalloc(60000, GFP_KERNEL);
	report(GFP_KERNEL, 0, 1);
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		kmem_cache_stats(c, &stats);
		if (stats.nr_slabs != 0)
			sum_add(&caches, stats.nr_slabs * stats.pages_per_slab * PAGE_SIZE);
	}
	slab_visit_sites(add_site, &sites);
	EXPECT_TEXT("\n    memory    objects  cache (whole slabs; its live objects)\n");
	EXPECT_TEXT("\n    memory    objects  call site (live objects)\n");
	expect_rest(text, &caches);
	sites_begin = strstr(text, "call site (live");
	ASSERT_NOT_NULL(sites_begin);
	expect_rest(sites_begin, &sites);
	for (unsigned i = 0; i < 8; i++)
		kfree(p[i]);
}

/* Of equals the first six that come, in that order; a smaller one never. */
TEST(oom, equals_keep_their_order)
{
	struct kmem_cache *c[8];
	void *object[8][10];
	char name[16];

	slab_shrink_all();
	for (unsigned i = 0; i < 8; i++) {
		unsigned nr = i < 7 ? 10 : 1;

		format_buf(name, sizeof(name), i < 7 ? "twin-%u" : "tiny-%u", i);
		c[i] = kmem_cache_create(name, 1ul << 18, 0, SLAB_NO_MAGAZINE, NULL);
		ASSERT_EQ(kmem_cache_alloc_bulk(c[i], GFP_KERNEL, nr, object[i]), nr);
	}
	report(GFP_KERNEL, 0, 1);
	EXPECT_TEXT("10  twin-0\n   2.5 MiB         10  twin-1\n   2.5 MiB         10  twin-2\n"
	            "   2.5 MiB         10  twin-3\n   2.5 MiB         10  twin-4\n"
	            "   2.5 MiB         10  twin-5\n");
	EXPECT_NULL(strstr(text, "twin-6"));
	EXPECT_NULL(strstr(text, "tiny-7"));
	for (unsigned i = 0; i < 8; i++) {
		kmem_cache_free_bulk(c[i], i < 7 ? 10 : 1, object[i]);
		EXPECT_EQ(kmem_cache_destroy(c[i]), 0);
	}
}

static void expect_free_blocks(void)
{
	char line[256];
	size_t len = format_buf(line, sizeof(line), "\nfree blocks, by order:");

	for (unsigned order = 0; order < NR_ORDERS; order++) {
		u64 nr = 0;

		for_each_zone(z)
			nr += z->buddy.nr_free_blocks[order];
		if (nr > 0)
			len += format_buf(line + len, sizeof(line) - len, " %u:%lu", order, nr);
	}
	format_buf(line + len, sizeof(line) - len, "\n    memory");
	EXPECT_TEXT(line);
}

TEST(oom, free_blocks_of_every_order)
{
	struct page *page;

	host_machine_borrow(4 * GIB, 1);
	page = alloc_page(GFP_KERNEL);
	drain_cpu_pages();
	report(GFP_KERNEL, 0, 1);
	EXPECT_TEXT("free blocks, by order: 0:");
	EXPECT_TEXT(" 18:");
	expect_free_blocks();
	free_page(page);
	host_machine_return();
}

/* With so little free that the cached pages are seen in the sum. */
TEST(oom, totals)
{
	static struct hoard hoard;
	char line[256], size[5][16];
	struct page *cached[40];
	void *large = kmalloc(3 << 20, GFP_KERNEL);
	struct mm_usage u;

	hoard_leave(&hoard, 2048);
	while (hoard_take(&hoard, GFP_NOWAIT, 9)) {
		mm_usage(&u);
		if (u.free_pages < 1024)
			break;
	}
	ASSERT_EQ(alloc_pages_bulk(GFP_NOWAIT, ARRAY_SIZE(cached), cached), ARRAY_SIZE(cached));
	free_pages_bulk(ARRAY_SIZE(cached), cached);
	report(GFP_KERNEL, 0, 1);
	mm_usage(&u);
	EXPECT_GT(u.cached_pages, 30);
	format_buf(
	    line, sizeof(line),
	    "used %s: slabs %s, large kmallocs %s, pages by themselves %s; free %s\n",
	    format_bytes(size[0], u.used_pages * PAGE_SIZE),
	    format_bytes(size[1], u.slab_pages * PAGE_SIZE),
	    format_bytes(size[2], u.large_pages * PAGE_SIZE),
	    format_bytes(size[3], (u.used_pages - (u.slab_pages + u.large_pages)) * PAGE_SIZE),
	    format_bytes(size[4], (u.free_pages + u.cached_pages) * PAGE_SIZE));
	EXPECT_TEXT(line);
	hoard_drop_all(&hoard);
	kfree(large);
}
#endif
