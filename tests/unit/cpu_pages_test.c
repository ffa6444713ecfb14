/*
 * The per-CPU page caches: order, bounds, what drains, and their checker.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#define NR_PAGES 300u

static struct page *pages[NR_PAGES];

static struct page_stack *stack_of(const struct page *page, unsigned order)
{
	return &cpu_pages_of(cpu_id())->stack[page_zone(page)->kind][order];
}

static void alloc_many(unsigned order, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		pages[i] = alloc_pages(GFP_KERNEL, order);
		ASSERT_NOT_NULL(pages[i]);
	}
}

static void free_many(unsigned order, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		free_pages(pages[i], order);
}

TEST(cpu_pages, the_page_just_freed_comes_next)
{
	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		struct page *a, *b;

		alloc_many(order, 2);
		a = pages[0];
		b = pages[1];
		free_many(order, 2);
		EXPECT_EQ(a->type, PAGE_CACHED);
		EXPECT_EQ(b->type, PAGE_CACHED);
		alloc_many(order, 2);
		EXPECT_TRUE(pages[0] == b && pages[1] == a);
		EXPECT_EQ(a->type, PAGE_ALLOCATED);
		EXPECT_EQ(a->order, order);
		free_many(order, 2);
	}
}

TEST(cpu_pages, large_blocks_are_not_cached)
{
	u64 cached;

	drain_cpu_pages();
	alloc_many(CPU_PAGE_ORDERS, 1);
	cached = cpu_pages_count();
	free_many(CPU_PAGE_ORDERS, 1);
	EXPECT_EQ(cpu_pages_count(), cached);
	EXPECT_NE(pages[0]->type, PAGE_CACHED);
}

TEST(cpu_pages, a_drain_leaves_nothing)
{
	struct mm_usage before, after;

	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		alloc_many(order, 3);
		free_many(order, 3);
	}
	EXPECT_GT(cpu_pages_count(), 0);
	mm_usage(&before);
	EXPECT_EQ(before.cached_pages, cpu_pages_count());
	drain_cpu_pages();
	EXPECT_EQ(cpu_pages_count(), 0);
	mm_usage(&after);
	EXPECT_EQ(after.cached_pages, 0);
	EXPECT_EQ(after.free_pages, before.free_pages + before.cached_pages);
	EXPECT_EQ(after.used_pages, before.used_pages);
	drain_cpu_pages();
	EXPECT_SOUND(mm_check());
}

TEST(cpu_pages, a_stack_has_a_bound)
{
	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		unsigned n = NR_PAGES >> order;
		u64 drains;

		drain_cpu_pages();
		drains = cpu_pages_of(cpu_id())->nr_drains;
		alloc_many(order, n);
		free_many(order, n);
		EXPECT_LE(stack_of(pages[0], order)->nr, CPU_PAGES_MAX >> order);
		EXPECT_GT(stack_of(pages[0], order)->nr, 0);
		EXPECT_GT(cpu_pages_of(cpu_id())->nr_drains, drains);
		EXPECT_SOUND(cpu_pages_check());
	}
}

TEST(cpu_pages, the_hottest_stay_when_the_coldest_leave)
{
	unsigned n = CPU_PAGES_MAX + 1;

	drain_cpu_pages();
	alloc_many(0, n);
	drain_cpu_pages();
	free_many(0, n);
	for (unsigned i = n; i-- > n - 8;) {
		struct page *page = alloc_page(GFP_KERNEL);

		EXPECT_TRUE(page == pages[i]);
		pages[i] = page;
	}
	for (unsigned i = n - 8; i < n; i++)
		free_page(pages[i]);
}

TEST(cpu_pages, one_trip_to_the_zone_serves_many)
{
	u64 refills, locks;
	struct zone *z;

	drain_cpu_pages();
	alloc_many(0, 1);
	z = page_zone(pages[0]);
	refills = cpu_pages_of(cpu_id())->nr_refills;
	locks = z->nr_lock_acquisitions;
	for (unsigned i = 0; i < 1000; i++) {
		struct page *page = alloc_page(GFP_KERNEL);

		free_page(page);
	}
	EXPECT_EQ(z->nr_lock_acquisitions, locks); /* the common path takes no lock */
	EXPECT_EQ(cpu_pages_of(cpu_id())->nr_refills, refills);
	free_many(0, 1);
	alloc_many(0, 200);
	EXPECT_LE(z->nr_lock_acquisitions - locks, 200 / 8);
	free_many(0, 200);
}

TEST(cpu_pages, interrupts_are_put_back)
{
	u64 flags;

	EXPECT_TRUE(irq_is_enabled());
	alloc_many(0, 100);
	free_many(0, 100);
	drain_cpu_pages();
	EXPECT_TRUE(irq_is_enabled());
	flags = irq_save();
	alloc_many(0, 100);
	free_many(0, 100);
	drain_cpu_pages();
	EXPECT_FALSE(irq_is_enabled());
	irq_restore(flags);
}

TEST(cpu_pages, an_overwritten_block_is_not_handed_out)
{
	struct page_stack *s;

	alloc_many(0, 1);
	free_many(0, 1);
	s = stack_of(pages[0], 0);
	pages[0]->type = PAGE_ALLOCATED;
	EXPECT_PANIC("page_alloc: cached block overwritten", alloc_page(GFP_KERNEL));
	pages[0]->type = PAGE_CACHED;
	s->pfn[s->nr++] = page_to_pfn(pages[0]); /* as it was */
	pages[0]->order = 1;
	EXPECT_PANIC("page_alloc: cached block overwritten", alloc_page(GFP_KERNEL));
	pages[0]->order = 0;
	s->pfn[s->nr++] = page_to_pfn(pages[0]);
	EXPECT_SOUND(mm_check());
}

#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(cpu_pages_check(), name); \
		(lvalue) = right_;                      \
		EXPECT_SOUND(cpu_pages_check());        \
	})

TEST(cpu_pages_check, C1_to_C3)
{
	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		struct page_stack *s;
		unsigned last;

		drain_cpu_pages();
		alloc_many(order, 4);
		free_many(order, 4);
		s = stack_of(pages[0], order);
		last = s->nr - 1;
		ASSERT_GE(last, 3);
		EXPECT_BREAKS("C1:", s->nr, (CPU_PAGES_MAX >> order) + 1);
		for (unsigned i = 0; i <= last; i += last) {
			struct page *page = pfn_to_page(s->pfn[i]);

			EXPECT_BREAKS("C2:", page->type, PAGE_FREE);
			EXPECT_BREAKS("C2:", page->type, PAGE_ALLOCATED);
			EXPECT_BREAKS("C2:", page->order, order + 1);
			EXPECT_BREAKS("C2:", page->zone, page->zone ^ 1);
			EXPECT_BREAKS("C2:", s->pfn[i], 0);
		}
		EXPECT_BREAKS("C3:", s->pfn[0], s->pfn[last]);
		EXPECT_BREAKS("C3:", s->pfn[last], s->pfn[last - 1]);
	}
}
