/* Bad pages leave: free ones at once, others with their block's free, whoever has it. */
#include "mm/internal.h"

#include <mm/mm.h>
#include <mm/pt.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

static struct free_shape shape;

static u64 managed(void)
{
	struct mm_usage u;

	mm_usage(&u);
	return u.managed_pages;
}

static void swap_words(u32 *a, u32 *b)
{
	u32 was = *a;

	*a = *b;
	*b = was;
}

static void expect_stats(u64 nr_left, u64 nr_noted)
{
	struct page_retire_stats s;

	page_retire_stats(&s);
	EXPECT_EQ(s.nr_left, nr_left);
	EXPECT_EQ(s.nr_noted, nr_noted);
}

static struct zone *pfn_to_zone(u32 pfn)
{
	return page_zone(pfn_to_page(pfn));
}

/* In use now; afterwards the caller frees it, and calls expect_gone(). */
static void retire_used(u32 pfn)
{
	EXPECT_EQ(page_retire(pfn), -EBUSY);
	EXPECT_EQ(page_retire(pfn), -EBUSY);
	EXPECT_NOT_NULL(page_block_of(pfn));
	EXPECT_SOUND(retire_check());
	expect_stats(0, 1);
}

/* It has left, alone; and comes back. */
static void expect_gone(u32 pfn, u64 managed_before)
{
	bool left = false;

	expect_stats(1, 0);
	EXPECT_EQ(managed(), managed_before - 1);
	EXPECT_NULL(page_block_of(pfn));
	EXPECT_PANIC("not RAM", free_page(pfn_to_page(pfn)));
	EXPECT_EQ(page_retire(pfn), 0);
	EXPECT_EQ(page_retire(pfn + (1ull << 32)), -EINVAL);
	EXPECT_EQ(page_retire_next(0, &left), pfn);
	EXPECT_TRUE(left);
	EXPECT_EQ(page_retire_next(pfn, &left), 0);
	EXPECT_SOUND(mm_check());
	EXPECT_EQ(page_unretire(pfn), 0);
	EXPECT_EQ(page_unretire(pfn), -ENOENT);
	EXPECT_EQ(managed(), managed_before);
	expect_stats(0, 0);
}

TEST(retire, a_free_page_leaves_at_once)
{
	struct hoard hoard = {0};
	struct page *page = alloc_page(GFP_KERNEL);
	u64 before = managed();
	u32 pfn;

	ASSERT_NOT_NULL(page);
	pfn = page_to_pfn(page);
	free_page(page); /* into the CPU's cache */
	drain_cpu_pages();
	free_shape_take(&shape);
	pfn_to_zone(pfn)->min_free_pages = zone_free_pages(pfn_to_zone(pfn));
	EXPECT_EQ(page_retire(pfn), 0);
	EXPECT_EQ(pfn_to_zone(pfn)->min_free_pages, zone_free_pages(pfn_to_zone(pfn)));
	hoard_take_all(&hoard, GFP_NOWAIT); /* nobody gets it */
	EXPECT_NULL(page_block_of(pfn));
	hoard_drop_all(&hoard);
	expect_gone(pfn, before);
	drain_cpu_pages();
	EXPECT_TRUE(free_shape_is(&shape));
}

TEST(retire, a_page_in_a_cpu_s_cache_is_free)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u64 before = managed();

	ASSERT_NOT_NULL(page);
	free_page(page);
	EXPECT_EQ(page->type, PAGE_CACHED);
	EXPECT_EQ(page_retire(page_to_pfn(page)), 0);
	expect_gone(page_to_pfn(page), before);
}

/* The first, the last and one in the middle of blocks that CPUs cache and others. */
TEST(retire, a_page_in_use_leaves_with_its_block_s_free)
{
	static const unsigned orders[] = {0, 1, 3, 4, 9, 10};

	for (unsigned i = 0; i < ARRAY_SIZE(orders); i++)
		for (u64 at = 0; at < 3; at++) {
			struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, orders[i]);
			u64 before = managed();
			u32 pfn;

			if (page == NULL) /* a small machine */
				continue;
			pfn = page_to_pfn(page) + (u32)(((1ull << orders[i]) - 1) * at / 2);
			*(volatile u64 *)page_address(page) = 0x600d;
			retire_used(pfn);
			EXPECT_EQ(*(volatile u64 *)page_address(page), 0x600d);
			EXPECT_PANIC("wrong order", free_pages(page, orders[i] + 1));
			free_pages(page, orders[i]);
			if (orders[i] > 0 && at == 2)
				EXPECT_PANIC("double free", free_pages(page, orders[i]));
			expect_gone(pfn, before);
		}
}

TEST(retire, a_page_of_vmalloc)
{
	u8 *p = vmalloc(5 * PAGE_SIZE);
	u64 before = managed(), pa;
	u32 pfn;

	ASSERT_NOT_NULL(p);
	ASSERT_TRUE(pt_translate(platform_page_tables(), (u64)p + 2 * PAGE_SIZE, &pa));
	pfn = (u32)(pa >> PAGE_SHIFT);
	retire_used(pfn);
	vfree(p);
	expect_gone(pfn, before);
}

TEST(retire, a_page_of_runs_and_contiguous_ranges)
{
	void *large = kmalloc(13 * PAGE_SIZE, GFP_KERNEL);
	void *exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);
	struct page *contig = alloc_contig_pages(21, 1, GFP_KERNEL);
	u64 before = managed();
	u32 pfn;

	ASSERT_TRUE(large != NULL && exact != NULL && contig != NULL);
	pfn = page_to_pfn(virt_to_page(large)) + 7;
	retire_used(pfn);
	kfree(large);
	expect_gone(pfn, before);
	pfn = page_to_pfn(virt_to_page(exact));
	retire_used(pfn);
	free_pages_exact(exact, 3 * PAGE_SIZE);
	expect_gone(pfn, before);
	pfn = page_to_pfn(contig) + 20;
	retire_used(pfn);
	free_contig_pages(contig, 21);
	expect_gone(pfn, before);
}

/* Slabs of 1, 2 … pages, powers of two and others. */
TEST(retire, a_page_of_a_slab)
{
	static const size_t sizes[] = {64, 1000, 1500, 3000, 5000, 7000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct kmem_cache *c = kmem_cache_create("bad", sizes[i], 0, 0, NULL);
		u64 before = managed();
		void *object;
		u32 pfn;

		ASSERT_NOT_NULL(c);
		object = kmem_cache_alloc(c, GFP_KERNEL);
		ASSERT_NOT_NULL(object);
		pfn = page_to_pfn(virt_to_page((u8 *)object + sizes[i] - 1));
		retire_used(pfn);
		kmem_cache_free(c, object);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
		expect_gone(pfn, before);
	}
}

/* It was noted, and then it was not bad after all. */
TEST(retire, what_is_forgotten_stays)
{
	struct page *page = alloc_pages(GFP_KERNEL, 2);
	u64 before = managed();

	ASSERT_NOT_NULL(page);
	retire_used(page_to_pfn(page) + 1);
	EXPECT_EQ(page_unretire(page_to_pfn(page) + 1), 0);
	expect_stats(0, 0);
	free_pages(page, 2); /* its head still says so */
	EXPECT_EQ(managed(), before);
	EXPECT_SOUND(mm_check());
}

/* Every second page of eight. */
static void expect_listed(u32 pfn, bool has_left)
{
	u64 at = 0;

	for (u32 i = 0; i < 8; i += 2) {
		bool left = !has_left;

		at = page_retire_next(at, &left);
		EXPECT_EQ(at, pfn + i);
		EXPECT_EQ(left, has_left);
	}
	EXPECT_SOUND(retire_check());
}

TEST(retire, several_of_one_block)
{
	struct page *page = alloc_pages(GFP_KERNEL, 3);
	u64 before = managed(), frees;
	u32 pfn;

	ASSERT_NOT_NULL(page);
	pfn = page_to_pfn(page);
	for (u32 i = 0; i < 8; i += 2)
		EXPECT_EQ(page_retire(pfn + i), -EBUSY);
	expect_stats(0, 4);
	expect_listed(pfn, false);
	frees = page_zone(page)->nr_frees;
	free_pages(page, 3);
	EXPECT_EQ(page_zone(pfn_to_page(pfn + 1))->nr_frees, frees + 1);
	expect_stats(4, 0);
	expect_listed(pfn, true);
	EXPECT_EQ(managed(), before - 4);
	for (u32 i = 0; i < 8; i++)
		EXPECT_EQ(page_block_of(pfn + i) == NULL, i % 2 == 0);
	for (u32 i = 0; i < 8; i += 2)
		EXPECT_EQ(page_unretire(pfn + i), 0);
}

TEST(retire, the_check_names_a_page_that_has_an_owner_again)
{
	struct page *page = alloc_page(GFP_KERNEL);
	u32 pfn, word;

	ASSERT_NOT_NULL(page);
	pfn = page_to_pfn(page);
	word = page->head;
	free_page(page);
	ASSERT_EQ(page_retire(pfn), 0);
	EXPECT_SOUND(retire_check());
	swap_words(&page->head, &word);
	EXPECT_BROKEN(retire_check(), "R1: a page that has left belongs to a block");
	swap_words(&page->head, &word);
	EXPECT_EQ(page_unretire(pfn), 0);
}

TEST(retire, the_check_counts)
{
	struct page *page = alloc_page(GFP_KERNEL);

	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page_retire(page_to_pfn(page)), -EBUSY);
	retire_nr_noted++;
	EXPECT_BROKEN(retire_check(), "R1: the sums are not those of the table");
	retire_nr_noted--;
	EXPECT_EQ(page_unretire(page_to_pfn(page)), 0);
	free_page(page);
}

/* The last page of a zone is one; frames among its pages that it does not have are none. */
TEST(retire, the_edges_of_zones)
{
	for (struct zone *z = zone_next(NULL); z != NULL; z = zone_next(z)) {
		u32 last = z->buddy.high - 1, gap = z->buddy.low;
		int error = page_retire(last);

		EXPECT_TRUE(error == 0 || error == -EBUSY);
		EXPECT_EQ(page_unretire(last), 0);
		while (gap < last && (page_block_of(gap) || buddy_is_untouched(&z->buddy, gap)))
			gap++;
		if (gap < last)
			EXPECT_EQ(page_retire(gap), -EINVAL);
	}
}

#if __STDC_HOSTED__
#include <tests/host/cpus.h>

/* A block of the highest order, too, whose free nobody may miss. */
TEST(retire, a_page_of_a_gigabyte)
{
	struct page *page;
	u32 pfn;

	host_machine_borrow(6 * GIB, 1);
	page = alloc_pages(GFP_KERNEL, MAX_ORDER);
	ASSERT_NOT_NULL(page);
	pfn = page_to_pfn(page) + 12345;
	EXPECT_EQ(page_retire(pfn), -EBUSY);
	free_pages(page, MAX_ORDER);
	expect_stats(1, 0);
	EXPECT_NULL(page_block_of(pfn));
	EXPECT_SOUND(mm_check());
	host_machine_return();
	expect_stats(0, 0); /* another machine has none to wait for */
}

/* The table is a machine's. */
TEST(retire, a_new_machine_forgets)
{
	struct page *page[3];
	bool left;

	host_machine_borrow(0, 1);
	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, ARRAY_SIZE(page), page), ARRAY_SIZE(page));
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		EXPECT_EQ(page_retire(page_to_pfn(page[i])), -EBUSY);
	free_page(page[1]);
	expect_stats(1, 2);
	host_machine_borrow(0, 1);
	expect_stats(0, 0);
	EXPECT_EQ(retire_nr_noted, 0);
	EXPECT_EQ(page_retire_next(0, &left), 0);
	EXPECT_SOUND(retire_check());
	host_machine_return();
}

/* Other CPUs that cannot be asked: nothing is promised of a page that somebody has. */
TEST(retire, others_that_were_not_seen)
{
	struct page *page;
	void *object;

	host_machine_borrow(0, 2);
	page = alloc_page(GFP_KERNEL);
	object = kmalloc(100, GFP_KERNEL);
	ASSERT_TRUE(page != NULL && object != NULL);
	EXPECT_EQ(page_retire(page_to_pfn(page)), -EAGAIN);
	EXPECT_EQ(page_retire(page_to_pfn(virt_to_page(object))), -EAGAIN);
	free_page(page);
	kfree(object);
	host_machine_return();
}
#endif

TEST(retire, impossible_pages)
{
	static struct page *page[PAGE_RETIRE_MAX + 1];

	EXPECT_EQ(page_retire(0), -EINVAL);
	EXPECT_EQ(page_retire(PLATFORM_MAX_PA >> PAGE_SHIFT), -EINVAL);
	EXPECT_EQ(page_retire(~0ull), -EINVAL);
	EXPECT_EQ(page_unretire(0), -ENOENT);
	EXPECT_EQ(page_unretire(1ull << 40), -ENOENT);
	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, ARRAY_SIZE(page), page), ARRAY_SIZE(page));
	for (unsigned i = 0; i < PAGE_RETIRE_MAX; i++)
		ASSERT_EQ(page_retire(page_to_pfn(page[i])), -EBUSY);
	EXPECT_EQ(page_retire(page_to_pfn(page[PAGE_RETIRE_MAX])), -ENOSPC);
	free_pages_bulk(ARRAY_SIZE(page), page);
	expect_stats(PAGE_RETIRE_MAX, 0);
	for (unsigned i = 0; i < PAGE_RETIRE_MAX; i++)
		ASSERT_EQ(page_unretire(page_to_pfn(page[i])), 0);
}
