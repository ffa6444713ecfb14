/*
 * The per-CPU page caches: order, bounds, what drains, contexts, and their checker.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define NR_PAGES 300u

static struct page *pages[NR_PAGES];
static struct hoard hoard;

static struct cpu_pages *caches_of(enum mm_context_kind kind)
{
	return cpu_pages_of(cpu_id() * NR_CONTEXT_KINDS + kind);
}

static struct page_stack *stack_of(const struct page *page, unsigned order)
{
	return &mm_this(pages)->of_zone[page->zone][order];
}

static unsigned entries(const struct page *page, unsigned order)
{
	const struct page_stack *s = stack_of(page, order);

	return (unsigned)(s->top - page_stack_base(s, order));
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

/* The order that the compiler knows and the one that it does not mean the same. */
TEST(cpu_pages, single_pages_by_either_way)
{
	struct page *page;

	alloc_many(0, 1);
	free_hot_page(pages[0]);
	page = alloc_any_pages(GFP_KERNEL, 0);
	EXPECT_TRUE(page == pages[0]);
	free_any_pages(page, 0);
	page = alloc_hot_page(GFP_KERNEL);
	EXPECT_TRUE(page == pages[0]);
	free_page(page);
	page = alloc_pages(GFP_KERNEL, 0);
	EXPECT_TRUE(page == pages[0]);
	free_pages(page, 0);
	page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	EXPECT_TRUE(page == pages[0]);
	free_page(page);
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
		unsigned n = NR_PAGES >> order, i = 0;
		u64 drains;

		drain_cpu_pages();
		drains = mm_this(pages)->nr_drains;
		alloc_many(order, n);
		while (entries(pages[0], order) < (unsigned)CPU_PAGES_MAX >> order)
			free_pages(pages[i++], order);
		EXPECT_EQ(mm_this(pages)->nr_drains, drains);
		EXPECT_SOUND(cpu_pages_check());
		free_pages(pages[i++], order);
		EXPECT_EQ(mm_this(pages)->nr_drains, drains + 1);
		EXPECT_LE(entries(pages[0], order), CPU_PAGES_MAX >> order);
		for (; i < n; i++)
			free_pages(pages[i], order);
		EXPECT_LE(entries(pages[0], order), CPU_PAGES_MAX >> order);
		EXPECT_GT(entries(pages[0], order), 0);
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
	for (unsigned i = n; i-- > n - CPU_PAGES_MAX / 2;) {
		struct page *page = alloc_page(GFP_KERNEL);

		EXPECT_TRUE(page == pages[i]);
		pages[i] = page;
	}
	for (unsigned i = n - CPU_PAGES_MAX / 2; i < n; i++)
		free_page(pages[i]);
}

TEST(cpu_pages, one_trip_to_the_zone_serves_many)
{
	u64 refills, locks;
	struct zone *z;

	drain_cpu_pages();
	alloc_many(0, 1);
	z = page_zone(pages[0]);
	refills = mm_this(pages)->nr_refills;
	locks = z->nr_lock_acquisitions;
	for (unsigned i = 0; i < 1000; i++) {
		struct page *page = alloc_page(GFP_KERNEL);

		free_page(page);
	}
	EXPECT_EQ(z->nr_lock_acquisitions, locks); /* the common path takes no lock */
	EXPECT_EQ(mm_this(pages)->nr_refills, refills);
	free_many(0, 1);
	alloc_many(0, 200);
	EXPECT_LE(z->nr_lock_acquisitions - locks, 200 / CPU_PAGES_BATCH + 1);
	free_many(0, 200);
}

/* An allocation where the highest zone has nothing left takes no lock of it. */
TEST(cpu_pages, an_empty_zone_is_not_asked_again_and_again)
{
	struct zone *last = NULL, *first = zone_next(NULL);
	struct page *page;
	u64 locks;

	for_each_zone(z)
		last = z;
	page = alloc_pages(GFP_NOWAIT | __GFP_DMA, 0);
	ASSERT_NOT_NULL(page);
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_page(page);
	page = alloc_page(GFP_KERNEL); /* the last free page, from the lowest zone's stack */
	ASSERT_NOT_NULL(page);
	EXPECT_TRUE(page_zone(page) == first);
	locks = last->nr_lock_acquisitions + first->nr_lock_acquisitions;
	for (unsigned i = 0; i < 100; i++) {
		free_page(page);
		page = alloc_page(GFP_KERNEL);
	}
	EXPECT_EQ(last->nr_lock_acquisitions + first->nr_lock_acquisitions, locks);
	free_page(page);
	hoard_drop_all(&hoard);
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

/* --- contexts --- */

TEST(cpu_pages, an_interrupt_handler_has_stacks_of_its_own)
{
	struct mm_context threads;
	struct page *top, *page;
	u64 flags;

	drain_cpu_pages();
	alloc_many(0, 2);
	free_many(0, 2);
	top = *stack_of(pages[0], 0)->top;
	flags = irq_save();
	threads = mm_context_enter(CONTEXT_INTERRUPTS);
	EXPECT_TRUE(mm_this(pages) == caches_of(CONTEXT_INTERRUPTS));
	EXPECT_TRUE(mm_this(pages) != threads.pages);
	page = alloc_page(GFP_ATOMIC);
	ASSERT_NOT_NULL(page);
	EXPECT_TRUE(page != top && page != pages[0] && page != pages[1]);
	EXPECT_GT(entries(page, 0), 0); /* its own refill */
	free_page(page);
	EXPECT_TRUE(*stack_of(page, 0)->top == page);
	EXPECT_SOUND(cpu_pages_check());
	mm_context_leave(threads);
	irq_restore(flags);
	EXPECT_TRUE(*stack_of(pages[0], 0)->top == top);
	EXPECT_TRUE(alloc_page(GFP_KERNEL) == top);
	free_page(top);
}

TEST(cpu_pages, threads_drain_both_contexts_and_a_handler_its_own)
{
	u64 flags = irq_save(), cached;
	struct mm_context threads;
	struct page *page;

	drain_cpu_pages();
	alloc_many(0, 1);
	free_many(0, 1);
	cached = cpu_pages_count();
	EXPECT_GT(cached, 0);
	threads = mm_context_enter(CONTEXT_INTERRUPTS);
	page = alloc_page(GFP_ATOMIC);
	ASSERT_NOT_NULL(page);
	free_page(page);
	EXPECT_GT(cpu_pages_count(), cached);
	drain_cpu_pages();
	EXPECT_EQ(cpu_pages_count(), cached);
	free_page(alloc_page(GFP_ATOMIC));
	mm_context_leave(threads);
	EXPECT_GT(cpu_pages_count(), cached);
	drain_cpu_pages();
	EXPECT_EQ(cpu_pages_count(), 0);
	irq_restore(flags);
}

/* The fast paths and nothing else: what a scheduler must not interrupt. */
TEST(cpu_pages, the_fast_paths_are_marked)
{
	EXPECT_TRUE(mm_in_fast_path((u64)(uintptr_t)alloc_hot_page));
	EXPECT_TRUE(mm_in_fast_path((u64)(uintptr_t)alloc_any_pages));
	EXPECT_TRUE(mm_in_fast_path((u64)(uintptr_t)free_hot_page));
	EXPECT_TRUE(mm_in_fast_path((u64)(uintptr_t)free_any_pages));
	EXPECT_FALSE(mm_in_fast_path((u64)(uintptr_t)cpu_pages_alloc));
	EXPECT_FALSE(mm_in_fast_path((u64)(uintptr_t)cpu_pages_free));
	EXPECT_FALSE(mm_in_fast_path((u64)(uintptr_t)drain_cpu_pages));
}

/* --- what is not cached here --- */

/* As another node's zone is: each of its blocks goes to the zone itself and comes from there. */
TEST(cpu_pages, zones_that_are_not_cached_have_full_stacks)
{
	struct page_stack *full = mm_this(pages)->of_zone[MAX_ZONES - 1], **of_zone, *own;
	struct zone *z;
	u64 cached, frees, allocs;

	EXPECT_TRUE(full->top == full->limit);
	alloc_many(0, 2);
	z = page_zone(pages[0]);
	of_zone = &mm_this(pages)->of_zone[z->id];
	own = *of_zone;
	drain_cpu_pages();
	cached = cpu_pages_count();
	frees = z->nr_frees;
	allocs = z->nr_allocs;
	*of_zone = full;
	free_pages(pages[0], 0);
	EXPECT_EQ(z->nr_frees, frees + 1);
	EXPECT_EQ(cpu_pages_count(), cached);
	pages[0] = alloc_pages_node(z->node, GFP_KERNEL, 0);
	EXPECT_EQ(z->nr_allocs, allocs + 1);
	EXPECT_EQ(cpu_pages_count(), cached);
	EXPECT_SOUND(cpu_pages_check());
	*of_zone = own;
	EXPECT_TRUE(pages[0] != NULL && page_zone(pages[0]) == z);
	free_many(0, 2);
}

/* --- damage --- */

TEST(cpu_pages, an_overwritten_block_is_not_handed_out)
{
	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		alloc_many(order, 1);
		free_many(order, 1);
		pages[0]->type = PAGE_ALLOCATED;
		EXPECT_PANIC("page_alloc: cached block overwritten",
		             alloc_pages(GFP_KERNEL, order));
		pages[0]->type = PAGE_CACHED;
		pages[0]->order = (u8)(order + 1);
		EXPECT_PANIC("page_alloc: cached block overwritten",
		             alloc_pages(GFP_KERNEL, order));
		pages[0]->order = (u8)order;
		EXPECT_SOUND(mm_check());
	}
}

/* A head that looks right but for bits that no head has. */
TEST(cpu_pages, a_wrong_zone_is_not_believed)
{
	struct page *page;
	u8 zone;

	alloc_many(0, 1);
	page = pages[0];
	zone = page->zone;
	page->flags = 1;
	EXPECT_PANIC("page_alloc: overwritten metadata", free_page(page));
	page->flags = 0;
	page->zone = MAX_ZONES;
	EXPECT_PANIC("page_alloc: overwritten metadata", free_page(page));
	page->zone = 0xff;
	EXPECT_PANIC("page_alloc: overwritten metadata", free_any_pages(page, 0));
	page->zone = zone;
	free_page(page);
}

#define EXPECT_BREAKS(name, lvalue, wrong)              \
	({                                              \
		__typeof__(lvalue) right_ = (lvalue);   \
		(lvalue) = (__typeof__(lvalue))(wrong); \
		EXPECT_BROKEN(cpu_pages_check(), name); \
		(lvalue) = right_;                      \
		EXPECT_SOUND(cpu_pages_check());        \
	})

static void expect_breaks(unsigned order)
{
	struct page_stack *s;
	struct page **base;

	alloc_many(order, 4);
	free_many(order, 4);
	s = stack_of(pages[0], order);
	base = page_stack_base(s, order);
	ASSERT_GE(s->top - base, 4);
	EXPECT_BREAKS("C1:", s->top, s->limit + 1);
	EXPECT_BREAKS("C1:", s->top, base - 1);
	EXPECT_BREAKS("C4:", *base, *s->top);
	EXPECT_BREAKS("C4:", *base, NULL);
	for (struct page **at = base + 1; at <= s->top; at += s->top - base - 1) {
		EXPECT_BREAKS("C2:", (*at)->type, PAGE_FREE);
		EXPECT_BREAKS("C2:", (*at)->type, PAGE_ALLOCATED);
		EXPECT_BREAKS("C2:", (*at)->order, order + 1);
		EXPECT_BREAKS("C2:", (*at)->zone, (*at)->zone ^ 1);
		EXPECT_BREAKS("C2:", *at, NULL);
		EXPECT_BREAKS("C2:", *at, *base);
		EXPECT_BREAKS("C2:", *at, (char *)*at + 8);
	}
	EXPECT_BREAKS("C3:", base[1], *s->top);
	EXPECT_BREAKS("C3:", s->top[0], s->top[-1]);
}

TEST(cpu_pages_check, C1_to_C4)
{
	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		drain_cpu_pages();
		expect_breaks(order);
	}
}

TEST(cpu_pages_check, C1_to_C4_of_interrupt_handlers)
{
	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		u64 flags = irq_save();
		struct mm_context threads;

		drain_cpu_pages();
		threads = mm_context_enter(CONTEXT_INTERRUPTS);
		expect_breaks(order);
		mm_context_leave(threads);
		irq_restore(flags);
	}
}
