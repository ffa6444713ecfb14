/*
 * What the grader asks of page tables and areas beside the tests that everyone can read: ranges
 * drawn anew in each run, read by the tests' own walker. Each suite is one task's.
 *
 * The tables are this file's: a test that fails leaves none behind.
 */
#include <lib/format.h>
#include <lib/string.h>
#include <mm/inject.h>
#include <mm/mm.h>
#include <mm/pt.h>

#include "tests/model/expect.h"
#include "tests/model/walker.h"

#define BASE 0xffffa00000000000ull
#define BITS (PTE_PRESENT | PTE_WRITE | PTE_NX)
#define MAX_TABLES 400u

static struct page_tables pt;
static u64 tables[MAX_TABLES];
static unsigned nr_tables, max_tables;

static u64 below(u64 bound)
{
	return rng_below(test_rng(), bound);
}

static u64 new_table(void)
{
	struct page *page = nr_tables < max_tables ? alloc_page(GFP_KERNEL | __GFP_ZERO) : NULL;

	if (page == NULL)
		return 0;
	tables[nr_tables++] = page_to_phys(page);
	return page_to_phys(page);
}

static void free_table(u64 pa)
{
	unsigned i = 0;

	while (i < nr_tables && tables[i] != pa)
		i++;
	ASSERT_TRUE(i > 0 && i < nr_tables); /* the root is never freed, nor one twice */
	EXPECT_NULL(mem_find_other(phys_to_virt(pa), 0, PAGE_SIZE));
	tables[i] = tables[--nr_tables];
	free_page(pfn_to_page((u32)(pa >> PAGE_SHIFT)));
}

static void open(unsigned max_leaf_level)
{
	nr_tables = 0;
	max_tables = MAX_TABLES;
	pt = (struct page_tables){
	    .max_leaf_level = max_leaf_level, .new_table = new_table, .free_table = free_table};
	pt.root_pa = new_table();
	ASSERT_NE(pt.root_pa, 0);
}

static void close(void)
{
	EXPECT_SOUND(pt_check(&pt));
	while (nr_tables > 0)
		free_page(pfn_to_page((u32)(tables[--nr_tables] >> PAGE_SHIFT)));
}

static struct walk_result at(u64 va)
{
	return walker_translate(pt.root_pa, va);
}

/* --- 7.1 --- */

/* Every leaf is as large as it may be: this one is 2^(12 + 9 level) bytes. */
static unsigned level_for(u64 va, u64 pa, u64 left, unsigned max)
{
	while (((va | pa) & ((PAGE_SIZE << 9 * max) - 1)) != 0 || left < PAGE_SIZE << 9 * max)
		max--;
	return max;
}

TEST(lab7_map, leaves_as_large_as_they_may_be)
{
	for (unsigned round = 0; round < 60; round++) {
		unsigned max = (unsigned)below(3);
		bool alike = below(3) != 0; /* or else all leaves are small */
		u64 unit = PAGE_SIZE << 9 * below(alike ? max + 1 : 1),
		    va = BASE + below(700) * unit;
		u64 pa = alike ? (va & (GIB - 1)) + below(9) * GIB : below(700) * PAGE_SIZE;
		u64 length = (1 + below(3)) * unit + below(600) * PAGE_SIZE, found, step;

		open(max);
		ASSERT_EQ(pt_map(&pt, va, pa, length, BITS), 0);
		for (u64 done = 0; done < length; done += step) {
			struct walk_result r = at(va + done);

			step = PAGE_SIZE << 9 * level_for(va + done, pa + done, length - done, max);
			ASSERT_TRUE(r.present && r.write && !r.execute);
			ASSERT_EQ(r.pa, pa + done);
			ASSERT_EQ(1ull << r.bits, step);
			ASSERT_TRUE(pt_translate(&pt, va + done + step - 1, &found));
			ASSERT_EQ(found, pa + done + step - 1);
		}
		EXPECT_FALSE(at(va - 1).present);
		EXPECT_FALSE(at(va + length).present);
		EXPECT_FALSE(pt_translate(&pt, va + length, &found));
		close();
	}
}

/* One page in the way of many, anywhere; or too few tables. */
TEST(lab7_map, all_or_nothing)
{
	for (unsigned round = 0; round < 40; round++) {
		u64 va = BASE + below(2000) * PAGE_SIZE, nr = 600 + below(900), hole = below(nr);

		open(1);
		ASSERT_EQ(pt_map(&pt, va + hole * PAGE_SIZE, 0, PAGE_SIZE, PTE_PRESENT), 0);
		ASSERT_EQ(pt_map(&pt, va, GIB + (va & (GIB - 1)), nr * PAGE_SIZE, BITS), -EEXIST);
		for (u64 i = 0; i < nr; i++)
			ASSERT_EQ(at(va + i * PAGE_SIZE).present, i == hole);
		max_tables = nr_tables + (unsigned)below(2);
		ASSERT_EQ(pt_map(&pt, BASE + 7 * GIB - 600 * PAGE_SIZE, 0, 1200 * PAGE_SIZE, BITS),
		          -ENOMEM);
		for (u64 i = 0; i < 1200; i++)
			ASSERT_FALSE(at(BASE + 7 * GIB + i * PAGE_SIZE - 600 * PAGE_SIZE).present);
		close();
	}
}

TEST(lab7_map, pages_from_anywhere)
{
	static struct page *pages[900];

	for (unsigned round = 0; round < 20; round++) {
		u64 va = BASE + below(1000) * PAGE_SIZE, n = 1 + below(ARRAY_SIZE(pages));

		open(2);
		for (u64 i = 0; i < n; i++)
			pages[i] = pfn_to_page((u32)(1 + below(4000)));
		ASSERT_EQ(pt_map_pages(&pt, va, pages, n, BITS), 0);
		for (u64 i = 0; i < n; i++) {
			struct walk_result r = at(va + i * PAGE_SIZE);

			ASSERT_TRUE(r.present && r.bits == PAGE_SHIFT);
			ASSERT_EQ(r.pa, page_to_phys(pages[i]));
		}
		EXPECT_FALSE(at(va + n * PAGE_SIZE).present);
		EXPECT_EQ(pt_map_pages(&pt, va + (n - 1) * PAGE_SIZE, pages, 1, BITS), -EEXIST);
		close();
	}
}

/* --- 7.2 and 7.3: 2048 pages, what each is by a list --- */

#define NR_PAGES 2048u
#define PA (5 * GIB)

static u8 page_is[NR_PAGES]; /* 0: not mapped, 1: read-only, 2: writable */
static u64 nr_told;

static void open_list(u8 value)
{
	open(1);
	ASSERT_EQ(pt_map(&pt, BASE, PA, NR_PAGES * PAGE_SIZE, BITS), 0);
	memset(page_is, value, sizeof(page_is));
}

static void expect_list(void)
{
	for (u64 i = 0; i < NR_PAGES; i++) {
		struct walk_result r = at(BASE + i * PAGE_SIZE);

		ASSERT_EQ(r.present, page_is[i] != 0);
		if (!r.present)
			continue;
		ASSERT_EQ(r.pa, PA + i * PAGE_SIZE);
		ASSERT_EQ(r.write, page_is[i] == 2);
	}
}

static void told(void *context, u64 va, unsigned level, u64 entry)
{
	u64 first = (va - BASE) >> PAGE_SHIFT;

	EXPECT_NULL(context);
	EXPECT_EQ(entry & PTE_ADDRESS, PA + (va - BASE));
	for (u64 i = first; i < first + (1ull << 9 * level); i++)
		nr_told += page_is[i] != 0;
}

static u64 mark(u64 first, u64 nr, u8 value)
{
	u64 was = 0;

	for (u64 i = first; i < first + nr; i++) {
		was += page_is[i] != 0;
		page_is[i] = value;
	}
	return was;
}

static void draw_range(u64 *first, u64 *nr)
{
	*first = below(NR_PAGES);
	*nr = 1 + below(min_u64(NR_PAGES - *first, below(2) == 0 ? 40 : 1100));
}

TEST(lab7_unmap, what_was_there_and_nothing_else)
{
	for (unsigned round = 0; round < 6; round++) {
		open_list(2);
		for (unsigned step = 0; step < 20; step++) {
			u64 first, nr, mapped = 0;

			draw_range(&first, &nr);
			nr_told = 0;
			ASSERT_EQ(pt_unmap(&pt, BASE + first * PAGE_SIZE, nr * PAGE_SIZE, told,
			                   NULL, &mapped),
			          0);
			ASSERT_EQ(mapped, nr_told << PAGE_SHIFT);
			ASSERT_EQ(mark(first, nr, 0), nr_told);
			expect_list();
		}
		close();
	}
}

static bool is_empty(u64 first, u64 nr)
{
	for (u64 i = first; i < first + nr; i++)
		if (page_is[i] != 0)
			return false;
	return true;
}

/* All of level 0 are there, then those go that have nothing left. */
TEST(lab7_unmap, tables_without_entries_go)
{
	for (unsigned round = 0; round < 20; round++) {
		unsigned nr_left = 0;
		u64 chain, first, nr;

		open(0);
		ASSERT_EQ(pt_map(&pt, BASE, PA, NR_PAGES * PAGE_SIZE, BITS), 0);
		memset(page_is, 2, sizeof(page_is));
		for (unsigned step = 0; step < 4; step++) {
			first = below(4) * 512 + below(2) * below(512);
			nr = min_u64(NR_PAGES - first, below(2) == 0 ? 512 : 1100);
			(void)mark(first, nr, 0);
			(void)pt_clear(&pt, BASE + first * PAGE_SIZE, nr * PAGE_SIZE, NULL, NULL);
		}
		for (unsigned i = 0; i < 4; i++)
			nr_left += !is_empty(i * 512u, 512);
		chain = pt_prune(&pt, BASE, NR_PAGES * PAGE_SIZE, 0);
		for (u64 table = chain; table != 0; table = *(u64 *)phys_to_virt(table))
			ASSERT_FALSE(*(u64 *)phys_to_virt(table) & PTE_PRESENT);
		EXPECT_EQ(walker_count_tables(pt.root_pa), nr_left == 0 ? 0 : nr_left + 2);
		EXPECT_EQ(pt_free_tables(&pt, chain), nr_left == 0 ? 6 : 4 - nr_left);
		EXPECT_EQ(nr_tables, 1 + walker_count_tables(pt.root_pa));
		expect_list();
		close();
	}
}

TEST(lab7_protect, exactly_the_range)
{
	for (unsigned round = 0; round < 6; round++) {
		open_list(2);
		for (unsigned step = 0; step < 20; step++) {
			bool writable = below(2) == 0;
			u64 first, nr;

			draw_range(&first, &nr);
			ASSERT_EQ(pt_protect(&pt, BASE + first * PAGE_SIZE, nr * PAGE_SIZE,
			                     writable ? BITS : PTE_PRESENT | PTE_NX),
			          0);
			(void)mark(first, nr, writable ? 2 : 1);
			expect_list();
		}
		close();
	}
}

/* A hole somewhere, or no table for one of both splits: nothing has changed. */
TEST(lab7_protect, all_or_nothing)
{
	for (unsigned round = 0; round < 10; round++) {
		u64 hole = 600 + below(800);

		open_list(2);
		max_tables = nr_tables;
		EXPECT_EQ(pt_protect(&pt, BASE + below(511) * PAGE_SIZE + PAGE_SIZE, 2 * MIB,
		                     PTE_PRESENT),
		          -ENOMEM);
		expect_list();
		max_tables = nr_tables + 1;
		EXPECT_EQ(pt_protect(&pt, BASE + below(511) * PAGE_SIZE + PAGE_SIZE, 2 * MIB,
		                     PTE_PRESENT),
		          -ENOMEM);
		expect_list();
		max_tables = MAX_TABLES;
		ASSERT_EQ(pt_unmap(&pt, BASE + hole * PAGE_SIZE, PAGE_SIZE, NULL, NULL, NULL), 0);
		(void)mark(hole, 1, 0);
		EXPECT_EQ(
		    pt_protect(&pt, BASE + below(500) * PAGE_SIZE, 1500 * PAGE_SIZE, PTE_PRESENT),
		    -ENOENT);
		expect_list();
		close();
	}
}

/* --- 7.4 --- */

#define NR_AREAS 40u

struct area {
	char *p;
	u64 bytes;
};

static struct walk_result look(const void *p)
{
	return walker_translate(platform_page_tables()->root_pa, (u64)p);
}

/* Mapped to pages that are allocated, and nothing behind it. */
static void expect_area(const struct area *a)
{
	for (u64 i = 0; i < a->bytes; i += PAGE_SIZE) {
		struct walk_result r = look(a->p + i);

		ASSERT_TRUE(r.present && r.write && !r.execute);
		ASSERT_NOT_NULL(page_block_of(r.pa >> PAGE_SHIFT));
	}
	ASSERT_FALSE(look(a->p + a->bytes).present);
}

static void step_areas(struct area *a)
{
	if (a->p != NULL) {
		expect_area(a);
		vfree(a->p);
		ASSERT_FALSE(look(a->p).present);
		EXPECT_PANIC("vfree: ", vfree(a->p));
		a->p = NULL;
		return;
	}
	a->bytes = below(12) == 0 ? 2 * MIB + below(600) * PAGE_SIZE
	                          : (1 + below(below(3) == 0 ? 200 : 17)) * PAGE_SIZE;
	a->p = vmalloc(a->bytes - below(PAGE_SIZE));
	ASSERT_NOT_NULL(a->p);
	expect_area(a);
}

TEST(lab7_areas, come_and_go)
{
	static struct area areas[NR_AREAS];
	struct vmalloc_stats s;
	u64 bytes = 0, nr = 0;

	(void)vmalloc_purge();
	memset(areas, 0, sizeof(areas));
	for (unsigned step = 0; step < 400; step++) {
		step_areas(&areas[below(NR_AREAS)]);
		if (below(60) == 0)
			(void)vmalloc_purge();
		if (step % 50 == 0)
			ASSERT_SOUND(vmalloc_check());
	}
	for (unsigned i = 0; i < NR_AREAS; i++) {
		nr += areas[i].p != NULL;
		bytes += areas[i].p != NULL ? areas[i].bytes : 0;
	}
	vmalloc_stats(&s);
	EXPECT_EQ(s.nr_areas, nr);
	EXPECT_EQ(s.bytes, bytes);
	for (unsigned i = 0; i < NR_AREAS; i++)
		vfree(areas[i].p);
	(void)vmalloc_purge();
	ASSERT_SOUND(vmalloc_check());
}

/* Addresses that wait are nobody's until the purge. */
TEST(lab7_areas, addresses_are_not_given_out_while_they_wait)
{
	static char *gone[300];

	(void)vmalloc_purge();
	for (unsigned i = 0; i < ARRAY_SIZE(gone); i++) {
		char *p = vmalloc(PAGE_SIZE * (1 + i % 3));

		ASSERT_NOT_NULL(p);
		for (unsigned j = 0; j < i; j++)
			ASSERT_TRUE(p != gone[j]);
		vfree(p);
		gone[i] = p;
	}
	EXPECT_PANIC("vfree: double free", vfree(gone[below(ARRAY_SIZE(gone))]));
	EXPECT_TRUE(vmalloc_purge());
	EXPECT_PANIC("vfree: not the start of an area", vfree(gone[0]));
}

/* From the n-th block on there is none: for the area's pages, or for its tables. */
static void fail_after(unsigned n)
{
	char text[32], why[INJECT_WHY_MAX];
	struct inject_rule rule;

	format_buf(text, sizeof(text), "after=%u", n);
	ASSERT_EQ(inject_parse(INJECT_PAGES, text, &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, &rule), 0);
}

/* The framework counts what is in use before and after. */
TEST(lab7_areas, without_memory_all_goes_back)
{
	static const u64 sizes[] = {20 * PAGE_SIZE, 150 * PAGE_SIZE, 3 * MIB};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct area a = {NULL, sizes[i]};

		for (unsigned n = 0; a.p == NULL && n < 400; n++) {
			(void)vmalloc_purge();
			fail_after(n);
			a.p = vmalloc_tag(a.bytes, GFP_KERNEL | __GFP_NOWARN, ALLOC_TAG());
			ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
			ASSERT_SOUND(vmalloc_check());
		}
		ASSERT_NOT_NULL(a.p);
		expect_area(&a);
		vfree(a.p);
	}
}
