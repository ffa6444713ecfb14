/*
 * Areas of virtual addresses: what is mapped where, by a walker of the tests' own; failures; wrong
 * frees. That the memory behind them works is tests/kernel/vmalloc_test.c.
 */
#include <mm/mm.h>
#include <mm/pt.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"
#include "tests/model/walker.h"

static struct walk_result at(const void *p)
{
	return walker_translate(platform_page_tables()->root_pa, (u64)p);
}

/* n bytes from p on are mapped to distinct pages of the allocator's, and the byte behind is not. */
static void expect_area(const char *p, u64 n)
{
	for (u64 i = 0; i < n; i += PAGE_SIZE) {
		struct walk_result r = at(p + i);

		ASSERT_TRUE(r.present && r.write && !r.execute && !r.user && r.pat == 0);
		ASSERT_NOT_NULL(page_block_of(r.pa >> PAGE_SHIFT));
	}
	EXPECT_FALSE(at(p + align_up(n, PAGE_SIZE)).present);
}

TEST(vmalloc, maps_pages_with_a_guard_behind)
{
	static const u64 sizes[] = {1, PAGE_SIZE, PAGE_SIZE + 1, 15 * PAGE_SIZE, MIB, 2 * MIB - 1};
	char *p[ARRAY_SIZE(sizes)];

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		p[i] = vmalloc(sizes[i]);
		ASSERT_NOT_NULL(p[i]);
		EXPECT_TRUE(is_vmalloc_addr(p[i]));
		expect_area(p[i], sizes[i]);
	}
	EXPECT_SOUND(vmalloc_check());
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		vfree(p[i]);
		EXPECT_FALSE(at(p[i]).present);
	}
	vfree(NULL);
}

TEST(vmalloc, large_areas_have_large_leaves)
{
	char *p = vmalloc(4 * MIB + 3 * PAGE_SIZE);

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(at(p).bits, 21);
	EXPECT_EQ(at(p + 2 * MIB).bits, 21);
	EXPECT_EQ(at(p + 4 * MIB).bits, 12);
	expect_area(p, 4 * MIB + 3 * PAGE_SIZE);
	vfree(p);
	EXPECT_FALSE(at(p + MIB).present);
}

TEST(vmalloc, zeroed_pages_are_zero)
{
	const u8 *byte;
	char *p = vmalloc(3 * PAGE_SIZE);

	ASSERT_NOT_NULL(p);
	for (u64 i = 0; i < 3; i++)
		memset(phys_to_virt(at(p + i * PAGE_SIZE).pa), 0xab, PAGE_SIZE);
	vfree(p);
	p = vzalloc(3 * PAGE_SIZE);
	ASSERT_NOT_NULL(p);
	for (u64 i = 0; i < 3; i++) {
		byte = phys_to_virt(at(p + i * PAGE_SIZE).pa);
		EXPECT_NULL(mem_find_other(byte, 0, PAGE_SIZE));
	}
	vfree(p);
}

TEST(vmalloc, impossible_sizes_give_null)
{
	volatile u64 all = ~0ull;

	EXPECT_NULL(vmalloc(0));
	EXPECT_NULL(vmalloc(VMALLOC_MAX_SIZE + 1));
	EXPECT_NULL(vmalloc(all));
	EXPECT_NULL(vzalloc(0));
	EXPECT_NULL(kvmalloc(all, GFP_KERNEL | __GFP_NOWARN));
	EXPECT_NULL(vmap(NULL, 0, VM_WRITE));
	EXPECT_NULL(vmap(NULL, ~0ull, VM_WRITE));
	EXPECT_NULL(ioremap(0xfee00000, 0));
	EXPECT_NULL(ioremap(~0ull - 10, 100));
	EXPECT_NULL(ioremap(1ull << 52, 1));
}

/* Not reused before all CPUs have forgotten it. */
TEST(vmalloc, addresses_wait_for_the_purge)
{
	struct vmalloc_stats s;
	char *p, *q;

	(void)vmalloc_purge();
	p = vmalloc(PAGE_SIZE);
	ASSERT_NOT_NULL(p);
	vfree(p);
	vmalloc_stats(&s);
	EXPECT_EQ(s.nr_waiting, 1);
	EXPECT_EQ(s.waiting_bytes, 2 * PAGE_SIZE);
	q = vmalloc(PAGE_SIZE);
	EXPECT_TRUE(q != p);
	EXPECT_TRUE(vmalloc_purge());
	EXPECT_FALSE(vmalloc_purge());
	vfree(q);
	EXPECT_TRUE(vmalloc_purge());
	vmalloc_stats(&s);
	EXPECT_EQ(s.nr_waiting, 0);
	EXPECT_EQ(s.nr_areas, 0);
}

TEST(vmalloc, many_frees_purge_by_themselves)
{
	struct vmalloc_stats before, after;

	(void)vmalloc_purge();
	vmalloc_stats(&before);
	for (unsigned i = 0; i < 3000; i++)
		vfree(vmalloc(PAGE_SIZE));
	for (unsigned i = 0; i < 40; i++)
		vfree(vmalloc(MIB));
	vmalloc_stats(&after);
	EXPECT_GE(after.nr_purges, before.nr_purges + 3);
	EXPECT_LT(after.nr_waiting, 1024);
	EXPECT_LT(after.waiting_bytes, 33 * MIB);
}

TEST(vmalloc, page_tables_go_with_the_last_area)
{
	u64 root = platform_page_tables()->root_pa, before;
	char *p;

	(void)vmalloc_purge();
	before = walker_count_tables(root);
	p = vmalloc(MIB);
	EXPECT_GT(walker_count_tables(root), before);
	vfree(p);
	(void)vmalloc_purge();
	EXPECT_EQ(walker_count_tables(root), before);
}

/* --- wrong frees --- */

TEST(vmalloc, names_what_is_wrong_with_a_free)
{
	struct page *page = alloc_page(GFP_KERNEL);
	char *p = vmalloc(2 * PAGE_SIZE), *k = kmalloc(100, GFP_KERNEL), *m;

	ASSERT_TRUE(p != NULL && k != NULL && page != NULL);
	m = vmap(&page, 1, VM_WRITE);
	ASSERT_NOT_NULL(m);
	EXPECT_PANIC("kfree: a vmalloc address", kfree(p));
	EXPECT_PANIC("vfree: not a vmalloc area", vfree(k));
	EXPECT_PANIC("vfree: not the start of an area", vfree(p + PAGE_SIZE));
	EXPECT_PANIC("vfree: not the start of an area", vfree(p + 8));
	EXPECT_PANIC("vfree: an area for vunmap()", vfree(m));
	EXPECT_PANIC("vunmap: an area for vfree()", vunmap(p));
	EXPECT_PANIC("iounmap: an area for vfree()", iounmap(p));
	EXPECT_SOUND(vmalloc_check());
	vfree(p);
	EXPECT_PANIC("vfree: double free", vfree(p));
	vunmap(m);
	EXPECT_PANIC("vunmap: double free", vunmap(m));
	(void)vmalloc_purge();
	EXPECT_PANIC("vfree: not the start of an area", vfree(p));
	kfree(k);
	free_page(page);
}

/* --- kvmalloc --- */

static u64 reserve_of_highest_zone(void)
{
	const struct zone *highest = NULL;

	for_each_zone(z)
		if (z->node == mm_this_node() || highest == NULL)
			highest = z;
	return highest->floor[DEPTH_ORDINARY][ZONE_NORMAL];
}

TEST(vmalloc, kvmalloc_falls_back)
{
	static struct page *odd[8192];
	struct hoard hoard = {0};
	size_t nr = 2 * (reserve_of_highest_zone() + 128);
	void *p = kvmalloc(100, GFP_KERNEL), *q;

	if (nr > ARRAY_SIZE(odd)) {
		test_skip("this machine's reserve is larger than the test can leave");
		kvfree(p);
		return;
	}

	EXPECT_FALSE(is_vmalloc_addr(p));
	kvfree(p);
	kvfree(NULL);
	/* Single pages that do not touch are all that is left, above the reserve. */
	nr = alloc_pages_bulk(GFP_KERNEL, nr, odd);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	for (size_t i = 0; i < nr; i++)
		if (page_to_pfn(odd[i]) % 2 == 0) {
			free_page(odd[i]);
			odd[i] = NULL;
		}
	drain_cpu_pages();
	p = kvmalloc(40 * PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);
	q = kmalloc(40 * PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN);
	EXPECT_TRUE(p != NULL && is_vmalloc_addr(p));
	EXPECT_NULL(q);
	kvfree(p);
	hoard_drop_all(&hoard);
	for (size_t i = 0; i < nr; i++)
		if (odd[i] != NULL)
			free_page(odd[i]);
}

TEST(vmalloc, without_memory_nothing_is_left_behind)
{
	struct page *page[40];
	struct hoard hoard = {0};
	struct vmalloc_stats s;

	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, ARRAY_SIZE(page), page), ARRAY_SIZE(page));
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++) { /* one page more each time */
		EXPECT_NULL(vmalloc_tag(64 * PAGE_SIZE, GFP_NOWAIT | __GFP_NOWARN, ALLOC_TAG()));
		EXPECT_NULL(vmalloc_tag(4 * MIB, GFP_NOWAIT | __GFP_NOWARN, ALLOC_TAG()));
		EXPECT_SOUND(vmalloc_check());
		free_page(page[i]);
	}
	hoard_drop_all(&hoard);
	vmalloc_stats(&s);
	EXPECT_EQ(s.nr_areas, 0);
}

/* --- windows --- */

TEST(vmalloc, vmap_shows_the_pages_as_asked)
{
	struct page *page[3];
	char *p;

	for (unsigned i = 0; i < 3; i++)
		ASSERT_NOT_NULL(page[i] = alloc_page(GFP_KERNEL));
	p = vmap(page, 3, 0);
	ASSERT_NOT_NULL(p);
	for (unsigned i = 0; i < 3; i++) {
		EXPECT_EQ(at(p + i * PAGE_SIZE).pa, page_to_phys(page[i]));
		EXPECT_FALSE(at(p + i * PAGE_SIZE).write);
	}
	EXPECT_FALSE(at(p + 3 * PAGE_SIZE).present);
	vunmap(p);
	EXPECT_FALSE(at(p).present);
	for (unsigned i = 0; i < 3; i++)
		free_page(page[i]); /* still the caller's */
}

TEST(vmalloc, ioremap_has_the_caching_that_was_asked)
{
	const u64 pa = 0xfee00030;
	char *p = ioremap(pa, 0x2000), *wc = ioremap_wc(pa, 16), *wb = ioremap_cache(pa, 16);

	ASSERT_TRUE(p != NULL && wc != NULL && wb != NULL);
	EXPECT_EQ(at(p).pa, pa);
	EXPECT_EQ(at(p + 0x1fff).pa, pa + 0x1fff);
	EXPECT_FALSE(at(p + 0x3000).present);
	EXPECT_TRUE(at(p).pat == 3 && at(p).write && !at(p).execute);
	EXPECT_EQ(at(wc).pat, 1);
	EXPECT_EQ(at(wb).pat, 0);
	iounmap(p);
	iounmap(wc);
	iounmap(wb);
	EXPECT_FALSE(at(p).present);
}

TEST(vmalloc, a_window_is_unmapped_once)
{
	char *p = ioremap(0xfee00030, 4);

	ASSERT_NOT_NULL(p);
	EXPECT_PANIC("vunmap: not the start of an area", vunmap(p));
	EXPECT_PANIC("vunmap: an area for iounmap()", vunmap(p - 0x30));
	iounmap(p);
	EXPECT_PANIC("iounmap: double free", iounmap(p));
	(void)vmalloc_purge();
	EXPECT_PANIC("iounmap: not the start of an area", iounmap(p));
}

TEST(vmalloc, ioremap_refuses_the_allocators_memory)
{
	struct page *page = alloc_page(GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	EXPECT_NULL(ioremap(page_to_phys(page), PAGE_SIZE));
	EXPECT_NULL(ioremap(page_to_phys(page) - PAGE_SIZE, 2 * PAGE_SIZE));
	free_page(page);
}
