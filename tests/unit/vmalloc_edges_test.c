/*
 * Areas at their edges: the counts at which the purge comes, a table of areas that grows and
 * shrinks, records that cannot be had, page tables that somebody else changed, and what the check
 * names. On the host only: some of it needs another machine afterwards.
 */
#if __STDC_HOSTED__
#include <mm/mm.h>
#include <mm/pt.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"
#include "tests/model/walker.h"

static u64 root(void)
{
	return platform_page_tables()->root_pa;
}

static struct walk_result at(const void *p)
{
	return walker_translate(root(), (u64)p);
}

static struct vmalloc_stats stats_now(void)
{
	struct vmalloc_stats s;

	vmalloc_stats(&s);
	return s;
}

static void fail(enum inject_point point, const char *text)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(point, text, &rule, why), 0);
	ASSERT_EQ(inject_set(point, &rule), 0);
}

static void fail_no_more(void)
{
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
}

static struct vmem *arena(void)
{
	struct vmem *v = vmem_next(NULL);
	struct vmem_stats s;

	for (; v != NULL; v = vmem_next(v)) {
		vmem_stats(v, &s);
		if (strcmp(s.name, "vmalloc") == 0)
			return v;
	}
	return NULL;
}

/* --- what is counted, and when the purge comes --- */

TEST(vmalloc_edges, areas_of_every_kind_are_counted)
{
	struct vmalloc_stats before = stats_now(), s;
	struct page *page = alloc_page(GFP_KERNEL);
	char *p = vmalloc(3 * PAGE_SIZE), *large = vmalloc(3 * MIB), *m, *w;

	ASSERT_TRUE(page != NULL && p != NULL && large != NULL);
	m = vmap(&page, 1, VM_WRITE);
	w = ioremap(0xfee00000, 2 * PAGE_SIZE);
	ASSERT_TRUE(m != NULL && w != NULL);
	s = stats_now();
	EXPECT_EQ(s.nr_areas, before.nr_areas + 4);
	EXPECT_EQ(s.bytes, before.bytes + 3 * MIB + 6 * PAGE_SIZE);
	EXPECT_EQ(s.memory_bytes, before.memory_bytes + 3 * MIB + 3 * PAGE_SIZE);
	vfree(p);
	vfree(large);
	vunmap(m);
	iounmap(w);
	s = stats_now();
	EXPECT_EQ(s.nr_areas, before.nr_areas);
	EXPECT_EQ(s.bytes, before.bytes);
	EXPECT_EQ(s.memory_bytes, before.memory_bytes);
	free_page(page);
}

TEST(vmalloc_edges, the_purge_comes_at_1024_areas)
{
	struct vmalloc_stats before, s;

	(void)vmalloc_purge();
	before = stats_now();
	for (unsigned i = 0; i < 1023; i++)
		vfree(vmalloc(PAGE_SIZE));
	s = stats_now();
	EXPECT_EQ(s.nr_waiting, 1023);
	EXPECT_EQ(s.nr_purges, before.nr_purges);
	vfree(vmalloc(PAGE_SIZE));
	s = stats_now();
	EXPECT_EQ(s.nr_waiting, 0);
	EXPECT_EQ(s.nr_purges, before.nr_purges + 1);
}

TEST(vmalloc_edges, the_purge_comes_at_32_MiB_of_addresses)
{
	struct vmalloc_stats before, s;

	(void)vmalloc_purge();
	before = stats_now();
	for (unsigned i = 0; i < 15; i++)
		vfree(vmalloc(2 * MIB - PAGE_SIZE)); /* 2 MiB with its guard */
	s = stats_now();
	EXPECT_EQ(s.waiting_bytes, 30 * MIB);
	EXPECT_EQ(s.nr_purges, before.nr_purges);
	vfree(vmalloc(2 * MIB - PAGE_SIZE));
	s = stats_now();
	EXPECT_EQ(s.waiting_bytes, 0);
	EXPECT_EQ(s.nr_purges, before.nr_purges + 1);
}

static void expect_flush(const char *first, const char *last, u64 bytes)
{
	EXPECT_TRUE(vmalloc_purge());
	EXPECT_EQ(host_flushed_start, (u64)first);
	EXPECT_EQ(host_flushed_end, (u64)last + bytes + PAGE_SIZE);
}

/* All that waited, with the guards, in whatever order; and nothing of the time before. */
TEST(vmalloc_edges, a_purge_flushes_what_waited)
{
	enum { PAGES = 30 };
	char *p[5];

	(void)vmalloc_purge();
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		ASSERT_NOT_NULL(p[i] = vmalloc(PAGES * PAGE_SIZE));
	for (unsigned i = 0; i + 1 < ARRAY_SIZE(p);) /* by address */
		if (p[i] > p[i + 1]) {
			char *higher = p[i];

			p[i] = p[i + 1];
			p[i + 1] = higher;
			i = 0;
		} else {
			i++;
		}
	vfree(p[3]);
	vfree(p[0]);
	vfree(p[4]);
	expect_flush(p[0], p[4], PAGES * PAGE_SIZE);
	vfree(p[1]);
	vfree(p[2]);
	expect_flush(p[1], p[2], PAGES * PAGE_SIZE);
}

static void expect_usable(const void *p, u64 bytes, u64 usable)
{
	EXPECT_EQ(host_area.va, (u64)p);
	EXPECT_EQ(host_area.bytes, bytes);
	EXPECT_EQ(host_area.usable, usable);
}

/* What a checker of accesses is told. */
TEST(vmalloc_edges, how_much_of_an_area_may_be_touched_is_told)
{
	struct page *page[2];
	char *p;

	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, 2, page), 2);
	p = vmalloc(5000);
	expect_usable(p, 2 * PAGE_SIZE, 5000);
	vfree(p);
	expect_usable(p, 2 * PAGE_SIZE, 0);
	p = vmap(page, 2, VM_WRITE);
	expect_usable(p, 2 * PAGE_SIZE, 2 * PAGE_SIZE);
	vunmap(p);
	expect_usable(p, 2 * PAGE_SIZE, 0);
	p = ioremap(0xfee00ff0, 0x20);
	expect_usable(p - 0xff0, 2 * PAGE_SIZE, 2 * PAGE_SIZE);
	iounmap(p);
	expect_usable(p - 0xff0, 2 * PAGE_SIZE, 0);
	free_pages_bulk(2, page);
}

/* --- the table of areas --- */

enum { NR_WINDOWS = 1500 };
static char *window[NR_WINDOWS];

static void open_windows(struct page *page)
{
	for (unsigned i = 0; i < NR_WINDOWS; i++) {
		window[i] = vmap(&page, 1, VM_WRITE);
		ASSERT_NOT_NULL(window[i]);
	}
	EXPECT_SOUND(vmalloc_check());
}

static void close_windows(void)
{
	for (unsigned i = 0; i < NR_WINDOWS; i++) {
		EXPECT_PANIC("vunmap: not the start", vunmap(window[i] + PAGE_SIZE));
		vunmap(window[i]);
	}
	EXPECT_SOUND(vmalloc_check());
}

/* Live objects of kmalloc()'s caches. */
static u64 nr_kmallocs(void)
{
	struct kmem_cache_stats s;
	u64 nr = 0;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		kmem_cache_stats(c, &s);
		nr += strncmp(s.name, "kmalloc-", 8) == 0 ? s.nr_live : 0;
	}
	return nr;
}

TEST(vmalloc_edges, the_table_of_areas_grows_and_shrinks)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u64 before;

	ASSERT_NOT_NULL(page);
	before = nr_kmallocs();
	open_windows(page);
	EXPECT_GE(nr_kmallocs(), before + 6); /* parts for 16, 32, … 512 more buckets, at least */
	close_windows();
	EXPECT_LT(nr_kmallocs(), before + 6);
	free_page(page);
}

TEST(vmalloc_edges, without_memory_for_its_table_areas_work_all_the_same)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct inject_stats asked;

	ASSERT_NOT_NULL(page);
	fail(INJECT_OBJECTS, "cache=kmalloc-*");
	open_windows(page);
	inject_stats(INJECT_OBJECTS, &asked);
	fail_no_more();
	EXPECT_GE(asked.nr_failed, 1);
	close_windows();
	free_page(page);
}

/* --- no memory --- */

static void expect_no_area(struct page *page)
{
	EXPECT_NULL(vmalloc(PAGE_SIZE));
	EXPECT_NULL(vmalloc(4 * MIB));
	EXPECT_NULL(vmap(&page, 1, VM_WRITE));
	EXPECT_NULL(ioremap(0xfee00000, 16));
}

TEST(vmalloc_edges, without_records_there_is_no_area)
{
	struct vmalloc_stats before = stats_now();
	struct page *page = alloc_page(GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	fail(INJECT_OBJECTS, "cache=vm_area");
	expect_no_area(page);
	fail_no_more();
	EXPECT_EQ(stats_now().nr_areas, before.nr_areas);
	free_page(page);
}

/* vmalloc() has nothing smaller than a page, and low memory cannot be asked of it by this name. */
TEST(vmalloc_edges, kvmalloc_does_not_fall_back_for_a_page_or_for_low_memory)
{
	void *p;

	fail(INJECT_OBJECTS, "cache=kmalloc-*");
	fail(INJECT_PAGES, "order=2");
	EXPECT_NULL(kvmalloc(PAGE_SIZE, GFP_KERNEL));
	EXPECT_NULL(kvmalloc(4 * PAGE_SIZE, GFP_KERNEL | __GFP_DMA));
	EXPECT_NULL(kvmalloc(4 * PAGE_SIZE, GFP_KERNEL | __GFP_DMA32));
	p = kvmalloc(4 * PAGE_SIZE, GFP_KERNEL);
	fail_no_more();
	EXPECT_TRUE(p != NULL && is_vmalloc_addr(p));
	kvfree(p);
}

TEST(vmalloc_edges, pages_lie_where_they_were_asked_for)
{
	char *dma = vmalloc_tag(3 * PAGE_SIZE, GFP_KERNEL | __GFP_DMA, ALLOC_TAG());
	char *dma32 = vmalloc_tag(3 * MIB, GFP_KERNEL | __GFP_DMA32, ALLOC_TAG());

	ASSERT_TRUE(dma != NULL && dma32 != NULL);
	for (unsigned i = 0; i < 3; i++)
		EXPECT_LT(at(dma + i * PAGE_SIZE).pa, 16 * MIB);
	for (unsigned i = 0; i < 3 * MIB / PAGE_SIZE; i++)
		EXPECT_LT(at(dma32 + i * PAGE_SIZE).pa, 4 * GIB);
	vfree(dma);
	vfree(dma32);
}

/* Large ones have a tag of the arena each. */
TEST(vmalloc_edges, without_addresses_what_waits_is_purged)
{
	static char *p[200];
	unsigned n = 0;
	u64 purges;

	(void)vmalloc_purge();
	fail(INJECT_OBJECTS, "cache=vmem_seg");
	while (n < ARRAY_SIZE(p) && (p[n] = vmalloc(100 * PAGE_SIZE)) != NULL)
		n++;
	EXPECT_GT(n, 0);
	EXPECT_LT(n, ARRAY_SIZE(p)); /* a spare tag or so, then no more */
	EXPECT_EQ(stats_now().nr_areas, n);
	purges = stats_now().nr_purges;
	vfree(p[--n]);
	EXPECT_EQ(stats_now().nr_waiting, 1);
	p[n] = vmalloc(100 * PAGE_SIZE);
	EXPECT_NOT_NULL(p[n++]);
	EXPECT_EQ(stats_now().nr_purges, purges + 1);
	EXPECT_EQ(stats_now().nr_waiting, 0);
	fail_no_more();
	while (n > 0)
		vfree(p[--n]);
}

/* --- sizes of blocks and leaves --- */

TEST(vmalloc_edges, many_pages_come_in_large_blocks)
{
	static const struct {
		unsigned nr_pages, order;
	} cases[] = {{1, 0}, {2, 1}, {3, 1}, {7, 2}, {8, 3}, {63, 3}, {64, 6}, {127, 6}, {511, 8}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		char *p = vmalloc(cases[i].nr_pages * PAGE_SIZE);

		ASSERT_NOT_NULL(p);
		EXPECT_EQ(page_block_of(at(p).pa >> PAGE_SHIFT)->order, cases[i].order);
		EXPECT_NE(page_zone(page_block_of(at(p).pa >> PAGE_SHIFT))->kind, ZONE_DMA);
		vfree(p);
	}
}

/* A machine whose free memory is only blocks of that order: every second of a row. */
static struct page *odd[400];

static void leave_blocks_of(unsigned order, unsigned nr, struct hoard *hoard)
{
	for (unsigned i = 0; i < nr; i++) {
		odd[i] = alloc_pages(GFP_KERNEL, order);
		ASSERT_NOT_NULL(odd[i]);
	}
	hoard_take_all(hoard, GFP_NOWAIT | __GFP_NOWARN);
	for (unsigned i = 0; i < nr; i++)
		if (page_to_pfn(odd[i]) >> order & 1) {
			free_pages(odd[i], order);
			odd[i] = NULL;
		}
	drain_cpu_pages();
}

static void give_back(unsigned order, unsigned nr, struct hoard *hoard)
{
	hoard_drop_all(hoard);
	for (unsigned i = 0; i < nr; i++)
		if (odd[i] != NULL)
			free_pages(odd[i], order);
}

static void expect_first_block(u64 nr_pages, unsigned order)
{
	const gfp_t gfp = GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC;
	char *p = vmalloc_tag(nr_pages * PAGE_SIZE, gfp, ALLOC_TAG());

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(page_block_of(at(p).pa >> PAGE_SHIFT)->order, order);
	vfree(p);
	(void)vmalloc_purge();
	drain_cpu_pages();
}

/* Where memory is in pieces, those that CPUs cache are next, then pages. */
TEST(vmalloc_edges, without_large_blocks_smaller_ones_will_do)
{
	struct hoard hoard = {0};

	leave_blocks_of(5, 100, &hoard);
	for (u64 nr_pages = 64; nr_pages <= 512; nr_pages *= 2)
		expect_first_block(nr_pages, 3);
	give_back(5, 100, &hoard);
	hoard = (struct hoard){0};
	leave_blocks_of(2, 400, &hoard);
	expect_first_block(8, 0);
	give_back(2, 400, &hoard);
	hoard = (struct hoard){0};
	leave_blocks_of(1, 400, &hoard);
	expect_first_block(4, 0);
	give_back(1, 400, &hoard);
}

TEST(vmalloc_edges, small_areas_share_addresses_and_large_ones_are_aligned)
{
	struct vmem_stats before, now;
	char *small[8], *odd_size[3], *large[3], *exact = vmalloc(2 * MIB);

	ASSERT_NOT_NULL(exact);
	EXPECT_EQ(at(exact).bits, 21);
	vmem_stats(arena(), &before);
	for (unsigned i = 0; i < ARRAY_SIZE(small); i++)
		ASSERT_NOT_NULL(small[i] =
		                    i % 2 ? vmalloc(PAGE_SIZE) : ioremap(GIB * 1024 * 15, 8));
	vmem_stats(arena(), &now);
	EXPECT_LE(now.nr_allocated, before.nr_allocated + 2);
	for (unsigned i = 0; i < ARRAY_SIZE(large); i++) {
		odd_size[i] = vmalloc(101 * PAGE_SIZE);
		large[i] = vmalloc(3 * MIB);
		ASSERT_TRUE(odd_size[i] != NULL && large[i] != NULL);
		EXPECT_TRUE(is_aligned((u64)large[i], 2 * MIB));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(large); i++) {
		vfree(odd_size[i]);
		vfree(large[i]);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(small); i++)
		if (i % 2)
			vfree(small[i]);
		else
			iounmap(small[i]);
	vfree(exact);
}

/* Freed in parts of 32 MiB. */
TEST(vmalloc_edges, an_area_of_many_leaves_comes_and_goes_whole)
{
	const u64 size = 70 * MIB + 5 * PAGE_SIZE;
	struct mm_usage usage;
	char *p;

	mm_usage(&usage);
	if (usage.free_pages < 72 * MIB / PAGE_SIZE) {
		test_skip("needs 72 MiB of free memory");
		return;
	}
	p = vmalloc(size);
	ASSERT_NOT_NULL(p);
	EXPECT_TRUE(is_aligned((u64)p, 2 * MIB));
	for (u64 i = 0; i < size; i += PAGE_SIZE)
		EXPECT_TRUE(at(p + i).present);
	EXPECT_FALSE(at(p + size).present);
	EXPECT_EQ(at(p + 68 * MIB).bits, 21);
	EXPECT_SOUND(vmalloc_check());
	vfree(p);
	for (u64 i = 0; i < size; i += PAGE_SIZE)
		EXPECT_FALSE(at(p + i).present);
}

/* Areas that span more than 1 GiB: only their own tables are looked at. So large a window is purged
 * by its own free. */
TEST(vmalloc_edges, tables_of_areas_far_apart_go_too)
{
	u64 before;
	char *w;

	(void)vmalloc_purge();
	before = walker_count_tables(root());
	w = ioremap(PLATFORM_MAX_PA + PAGE_SIZE, GIB + 3 * MIB); /* in leaves of 4 KiB */
	ASSERT_NOT_NULL(w);
	EXPECT_GE(walker_count_tables(root()), before + 512);
	iounmap(w);
	EXPECT_EQ(stats_now().nr_waiting, 0);
	EXPECT_EQ(walker_count_tables(root()), before);
}

/* --- windows --- */

/* One past the last frame of all zones. */
static u64 end_of_memory(void)
{
	u64 end = 0;

	for_each_zone(z)
		end = max_u64(end, z->buddy.high);
	return end << PAGE_SHIFT;
}

TEST(vmalloc_edges, windows_begin_where_memory_ends)
{
	u64 end = end_of_memory();
	char *p = ioremap(end, 8);

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(at(p).pa, end);
	iounmap(p);
	EXPECT_NULL(ioremap(end - 1, 1));
	EXPECT_NULL(ioremap(end - 1, 2));
}

TEST(vmalloc_edges, windows_end_where_physical_addresses_do)
{
	const u64 last = PTE_ADDRESS - PAGE_SIZE;
	char *p = ioremap(last, PAGE_SIZE);

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(at(p).pa, last);
	iounmap(p);
	EXPECT_NULL(ioremap(last, PAGE_SIZE + 1));
	EXPECT_NULL(ioremap(PLATFORM_MAX_PA, VMALLOC_MAX_SIZE + 1));
	EXPECT_NULL(ioremap(~0ull - PAGE_SIZE, PAGE_SIZE));
	EXPECT_NULL(vmap(NULL, (VMALLOC_MAX_SIZE >> PAGE_SHIFT) + 1, VM_WRITE));
}

/* --- the check --- */

TEST(vmalloc_edges, the_check_names_what_is_not_mapped)
{
	struct page_tables *pt = platform_page_tables();
	struct page *page[3];
	u64 bits = platform_page_bits(VM_WRITE);
	char *p;

	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, 3, page), 3);
	p = vmap(page, 3, VM_WRITE);
	ASSERT_NOT_NULL(p);
	for (unsigned i = 0; i < 3; i++) {
		u64 va = (u64)p + i * PAGE_SIZE;

		EXPECT_EQ(pt_clear(pt, va, PAGE_SIZE, NULL, NULL), PAGE_SIZE);
		EXPECT_BROKEN(vmalloc_check(), "VM1: an area is not mapped whole");
		EXPECT_EQ(pt_map(pt, va, page_to_phys(page[i]), PAGE_SIZE, bits), 0);
		EXPECT_SOUND(vmalloc_check());
	}
	EXPECT_EQ(pt_map(pt, (u64)p + 3 * PAGE_SIZE, 0, PAGE_SIZE, bits), 0);
	EXPECT_BROKEN(vmalloc_check(), "VM1: a guard page is mapped");
	EXPECT_EQ(pt_clear(pt, (u64)p + 3 * PAGE_SIZE, PAGE_SIZE, NULL, NULL), PAGE_SIZE);
	EXPECT_SOUND(vmalloc_check());
	vunmap(p);
	free_pages_bulk(3, page);
}

TEST(vmalloc_edges, the_check_names_addresses_of_no_area)
{
	u64 va;

	ASSERT_NOT_NULL(arena());
	va = vmem_alloc(arena(), MIB, GFP_KERNEL);
	ASSERT_NE(va, 0);
	EXPECT_BROKEN(vmalloc_check(), "VM2:");
	vmem_free(arena(), va, MIB);
	EXPECT_SOUND(vmalloc_check());
}

/* --- somebody else changed the page tables --- */

/* Frees a window after a part of it was unmapped. The machine cannot be mended afterwards. */
#define EXPECT_NOT_AS_IT_WAS(p, part, length, statement)                                           \
	({                                                                                         \
		char line_[96];                                                                    \
                                                                                                   \
		format_buf(line_, sizeof(line_),                                                   \
		           "vmalloc: an area is not mapped as it was address=%#lx", (u64)(p));     \
		EXPECT_EQ(pt_clear(platform_page_tables(), (u64)(p) + (part), length, NULL, NULL), \
		          length);                                                                 \
		EXPECT_PANIC(line_, statement);                                                    \
	})

TEST(vmalloc_edges, an_area_that_somebody_unmapped_is_noticed)
{
	char *small, *large, *w;

	host_machine_borrow(256 * MIB, 1);
	small = vmalloc(3 * PAGE_SIZE);
	large = vmalloc(40 * MIB);
	w = ioremap(0xfee00000, 2 * PAGE_SIZE);
	ASSERT_TRUE(small != NULL && large != NULL && w != NULL);
	EXPECT_NOT_AS_IT_WAS(small, 2 * PAGE_SIZE, PAGE_SIZE, vfree(small));
	EXPECT_NOT_AS_IT_WAS(large, 38 * MIB, 2 * MIB, vfree(large));
	EXPECT_NOT_AS_IT_WAS(w, 0, PAGE_SIZE, iounmap(w));
	ASSERT_NOT_NULL(small = vmalloc(PAGE_SIZE));
	vfree(small);
	host_machine_return(); /* with an area that waits */
	EXPECT_EQ(stats_now().nr_purges, 0);
	EXPECT_EQ(stats_now().nr_waiting, 0);
	EXPECT_EQ(stats_now().bytes, 0);
	ASSERT_NOT_NULL(large = vmalloc(100 * PAGE_SIZE));
	vfree(large);
	expect_flush(large, large, 100 * PAGE_SIZE);
}
#endif
