/*
 * vmalloc() and kvmalloc() where memory is in pieces or gone: what each of the two ways may do on
 * behalf of the other, and what a request that cannot be met leaves alone. On the host: machines of
 * the tests' own.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/mm.h>
#include <mm/reclaim.h>
#include <mm/vmalloc.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/model/expect.h"

static struct page *page[8192];
static unsigned nr_pages;

/* All of a small machine, in single pages, as many as there are above the reserve or in all. */
static void take_all(gfp_t gfp)
{
	nr_pages = 0;
	while (nr_pages < ARRAY_SIZE(page) &&
	       (page[nr_pages] = alloc_page(gfp | __GFP_NOWARN)) != NULL)
		nr_pages++;
	ASSERT_LT(nr_pages, ARRAY_SIZE(page));
}

/* No two pages that are free are beside each other. */
static void leave_pieces(void)
{
	take_all(GFP_NOWAIT | __GFP_MEMALLOC);
	for (unsigned i = 0; i < nr_pages; i++)
		if (page_to_pfn(page[i]) % 2 == 0)
			free_page(page[i]);
	drain_cpu_pages();
}

static u64 nr_asked;

static u64 count_asked(struct shrinker *self, u64 nr)
{
	(void)self;
	(void)nr;
	nr_asked++;
	return 0;
}

/* That there is no large block is no reason to warn, to reclaim, or to give up: single pages will
 * do, also for who must not be refused. */
TEST(vmalloc_more, pieces_will_do)
{
	static struct shrinker shrinker = {.name = "test", .scan = count_asked};
	void *p, *q;

	host_machine_borrow(16 * MIB, 1);
	leave_pieces();
	register_shrinker(&shrinker);
	nr_asked = 0;
	CATCH({
		p = vmalloc_tag(32 * PAGE_SIZE, GFP_KERNEL | __GFP_NOFAIL, ALLOC_TAG());
		q = kvmalloc(32 * PAGE_SIZE, GFP_KERNEL);
	});
	unregister_shrinker(&shrinker);
	EXPECT_TRUE(p != NULL && is_vmalloc_addr(p));
	EXPECT_TRUE(q != NULL && is_vmalloc_addr(q));
	EXPECT_STREQ(text, "");
	EXPECT_EQ(nr_asked, 0);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* For a page or less the first way must do all: the reserve is there for who must not be refused.
 */
TEST(vmalloc_more, a_page_that_must_not_fail)
{
	void *p;

	host_machine_borrow(16 * MIB, 1);
	take_all(GFP_NOWAIT);
	while (kmalloc(PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN) != NULL)
		;
	p = kvmalloc(PAGE_SIZE, GFP_KERNEL | __GFP_NOWARN | __GFP_NOFAIL);
	EXPECT_NOT_NULL(p);
	host_machine_return();
}

/* What was asked for is what the first way is asked for too. */
TEST(vmalloc_more, kvmalloc_keeps_the_flags)
{
	struct page *dirty;
	char *p;

	host_machine_borrow(64 * MIB, 1);
	for (unsigned i = 0; i < 100; i++) {
		dirty = alloc_pages(GFP_KERNEL, 3);
		ASSERT_NOT_NULL(dirty);
		memset(page_address(dirty), 0xa5, 8 * PAGE_SIZE);
		page[i] = dirty;
	}
	for (unsigned i = 0; i < 100; i++)
		free_pages(page[i], 3);
	for (unsigned i = 0; i < 10; i++) {
		p = kvmalloc(8 * PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);
		ASSERT_NOT_NULL(p);
		EXPECT_NULL(mem_find_other(p, 0, 8 * PAGE_SIZE));
		EXPECT_STREQ(page_zone(virt_to_page(p))->name, zone_table[ZONE_NORMAL].name);
	}
	host_machine_return();
}

/* What cannot be had in any case costs nobody anything: nothing is purged for it. */
TEST(vmalloc_more, impossible_sizes_purge_nothing)
{
	volatile u64 most = UINT64_MAX;
	struct vmalloc_stats before, s;

	vfree(vmalloc(PAGE_SIZE));
	vmalloc_stats(&before);
	EXPECT_GT(before.nr_waiting, 0);
	EXPECT_NULL(vmalloc(0));
	EXPECT_NULL(vmalloc(VMALLOC_MAX_SIZE + 1));
	EXPECT_NULL(vmalloc(most));
	vmalloc_stats(&s);
	EXPECT_EQ(s.nr_waiting, before.nr_waiting);
	EXPECT_EQ(s.nr_purges, before.nr_purges);
	(void)vmalloc_purge();
}

/* A window may end where memory begins. */
TEST(vmalloc_more, windows_just_below_memory)
{
	void *p;

	host_machine_borrow(64 * MIB, 1);
	ASSERT_NOT_NULL(page_block_of(4 * GIB >> PAGE_SHIFT)); /* the upper half's first page */
	p = ioremap(4 * GIB - PAGE_SIZE, PAGE_SIZE);
	EXPECT_NOT_NULL(p);
	EXPECT_NULL(ioremap(4 * GIB - PAGE_SIZE, PAGE_SIZE + 1));
	iounmap(p);
	host_machine_return();
}
#endif
