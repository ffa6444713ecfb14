/*
 * What the page allocator's layers say of their work while events are recorded, to the field: of
 * failures, of wrong frees (nothing), of pages that leave, of merges and splits; and that they work
 * as they do unrecorded. On the host, where a machine is made for each.
 */
#if __STDC_HOSTED__
#include "mm/event_record.h"
#include "mm/internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"
#include "tests/model/giants.h"

static struct event events[1024];
static size_t nr_events;

static void begin(u32 groups)
{
	host_machine_borrow(64 * MIB, 1);
	ASSERT_EQ(event_start(&(struct event_options){.groups = groups}), 0);
}

/* What was recorded since. */
static void look(void)
{
	nr_events = event_last(events, ARRAY_SIZE(events));
}

static void end(void)
{
	EXPECT_EQ(event_stop(), 0);
	event_release();
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

static const struct event *find(unsigned kind)
{
	for (size_t i = 0; i < nr_events; i++)
		if (events[i].kind == kind)
			return &events[i];
	return NULL;
}

TEST(page_alloc_events, what_was_asked_for_in_vain)
{
	const struct event *e;

	begin(EVENT_GROUP_RECLAIM);
	EXPECT_NULL(alloc_pages(GFP_NOWAIT | __GFP_NOWARN, MAX_ORDER + 1));
	look();
	e = find(EVENT_OUT_OF_MEMORY);
	ASSERT_NOT_NULL(e);
	EXPECT_EQ(e->address, 0);
	EXPECT_EQ(e->order, MAX_ORDER + 1);
	EXPECT_EQ(e->size, PAGE_SIZE << (MAX_ORDER + 1));
	EXPECT_EQ(e->site, EVENT_NO_SITE);
	end();
}

/* Who called is told of what is given out, and of nothing else. */
TEST(page_alloc_events, only_allocations_have_a_caller)
{
	u32 nr_allocs = 0;
	void *exact;

	begin(EVENT_GROUP_PAGES | EVENT_GROUP_BUDDY);
	for (unsigned order = 0; order <= 6; order++)
		free_pages(alloc_pages(GFP_KERNEL, order), order);
	exact = alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL);
	free_pages_exact(exact, 3 * PAGE_SIZE);
	look();
	for (size_t i = 0; i < nr_events; i++) {
		bool is_alloc = events[i].kind == EVENT_PAGES_ALLOC;

		EXPECT_EQ(events[i].site != EVENT_NO_SITE, is_alloc);
		nr_allocs += is_alloc;
	}
	EXPECT_EQ(nr_allocs, 8);
	EXPECT_TRUE(find(EVENT_PAGES_FREE) && find(EVENT_BUDDY_ALLOC) && find(EVENT_BUDDY_FREE));
	end();
}

TEST(page_alloc_events, a_wrong_free_is_none)
{
	struct page *page;

	begin(EVENT_GROUP_PAGES);
	page = alloc_pages(GFP_KERNEL, 5);
	ASSERT_NOT_NULL(page);
	EXPECT_PANIC("page_alloc: wrong order", free_pages(page, 6));
	look();
	EXPECT_NULL(find(EVENT_PAGES_FREE));
	free_pages(page, 5);
	look();
	EXPECT_NOT_NULL(find(EVENT_PAGES_FREE));
	end();
}

/* The block is freed, whatever becomes of its bad page. */
TEST(page_alloc_events, a_block_whose_page_leaves)
{
	const struct event *e;
	struct page *page;
	u64 pa;

	begin(EVENT_GROUP_PAGES);
	page = alloc_pages(GFP_KERNEL, 3);
	ASSERT_NOT_NULL(page);
	pa = page_to_phys(page);
	EXPECT_EQ(page_retire(page_to_pfn(page) + 2u), -EBUSY);
	free_pages(page, 3);
	look();
	e = find(EVENT_PAGES_FREE);
	ASSERT_NOT_NULL(e);
	EXPECT_EQ(e->address, pa);
	EXPECT_EQ(e->order, 3);
	EXPECT_EQ(e->size, PAGE_SIZE << 3);
	EXPECT_EQ(e->site, EVENT_NO_SITE);
	EXPECT_EQ(page_unretire(page_to_pfn(page) + 2u), 0);
	end();
}

/* The block that comes of a merge holds the one that was freed; a step has two orders. */
TEST(buddy_events, a_merge_holds_what_was_freed)
{
	struct page *page[32];
	u64 freed = 0, nr_merges = 0;

	begin(EVENT_GROUP_BUDDY);
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		ASSERT_NOT_NULL(page[i] = alloc_pages(GFP_KERNEL, 4));
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		free_pages(page[i], 4);
	look();
	for (size_t i = 0; i < nr_events; i++) {
		const struct event *e = &events[i];

		if (e->kind == EVENT_BUDDY_FREE)
			freed = e->address;
		if (e->kind != EVENT_MERGE && e->kind != EVENT_SPLIT)
			continue;
		EXPECT_NE(e->order, e->size);
		EXPECT_TRUE(is_aligned(e->address, PAGE_SIZE << min_u64(e->order, e->size)));
		if (e->kind != EVENT_MERGE)
			continue;
		EXPECT_LT(freed - e->address, PAGE_SIZE << e->order);
		nr_merges++;
	}
	EXPECT_GT(nr_merges, 4);
	end();
}

/* Somebody's own instance is not the machine's memory; and works as it does unrecorded. */
TEST(buddy_events, of_an_instance_of_ones_own_nothing_is_told)
{
	struct page *pages[64];
	unsigned nr[2];

	for (unsigned recorded = 0; recorded < 2; recorded++) {
		struct buddy *b = arena_open_full(1024, 4096);
		u32 pfn;

		if (recorded)
			begin(EVENT_GROUP_BUDDY);
		pfn = buddy_alloc(b, 3);
		buddy_free(b, pfn, 3);
		EXPECT_EQ(buddy_alloc(b, MAX_ORDER + 1), 0);
		ASSERT_EQ(buddy_alloc_batch(b, 0, 64, pages), 64);
		nr[recorded] = buddy_free_batch(b, 0, 64, pages);
		for (unsigned at = nr[recorded]; at < 64;)
			at += buddy_free_batch(b, 0, 64 - at, pages + at);
		EXPECT_PANIC("buddy: ", (void)buddy_free_batch(b, 0, 1, pages));
		EXPECT_SOUND(buddy_check(b));
		EXPECT_EQ(b->nr_free_pages, 3072);
	}
	EXPECT_EQ(nr[1], nr[0]);
	look();
	EXPECT_EQ(nr_events, 0);
	end();
}

TEST(buddy_events, gigabytes_are_given_out_as_ever)
{
	const u32 gib = 1u << MAX_ORDER;
	u32 first, second;

	begin(EVENT_GROUP_BUDDY);
	giants_open();
	buddy_add_range(&giants, gib, 3 * gib);
	first = buddy_alloc(&giants, MAX_ORDER);
	second = buddy_alloc(&giants, 0); /* out of what was never touched */
	EXPECT_TRUE(first != 0 && second != 0);
	buddy_free(&giants, first, MAX_ORDER);
	EXPECT_EQ(buddy_alloc(&giants, MAX_ORDER), first); /* listed now */
	EXPECT_EQ(buddy_alloc(&giants, MAX_ORDER), 0);
	EXPECT_EQ(buddy_alloc(&giants, MAX_ORDER + 1), 0);
	buddy_free(&giants, first, MAX_ORDER);
	buddy_free(&giants, second, 0);
	EXPECT_EQ(giants.nr_free_pages, 2ull * gib);
	EXPECT_SOUND(buddy_check(&giants));
	end();
}

/* --- the CPU's stacks --- */

/* The pages of low zones are cached and counted as those of the highest, recorded or not. */
static void expect_cached(gfp_t place)
{
	struct page *page;
	struct zone *z;
	u64 free;

	drain_cpu_pages();
	page = alloc_page(GFP_KERNEL | place);
	ASSERT_NOT_NULL(page);
	z = page_zone(page);
	drain_cpu_pages();
	free = zone_free_pages(z);
	free_page(page);
	EXPECT_EQ(zone_free_pages(z), free); /* it did not go home */
	EXPECT_EQ(cpu_pages_count(), 1);
	EXPECT_EQ(page->type, PAGE_CACHED);
	drain_cpu_pages();
	EXPECT_EQ(zone_free_pages(z), free + 1);
}

TEST(cpu_pages_events, pages_of_all_zones_are_cached)
{
	host_machine_borrow(64 * MIB, 1);
	expect_cached(__GFP_DMA);
	expect_cached(0);
	host_machine_return();
	begin(EVENT_GROUP_PAGES);
	expect_cached(__GFP_DMA);
	expect_cached(0);
	end();
}

/* A bypass that comes and goes leaves the fast ways as they were: closed while events are
 * recorded, so that none is missed. */
TEST(cpu_pages_events, no_free_is_missed_behind_a_bypass)
{
	struct page *page[8];
	u32 nr_frees = 0;

	begin(EVENT_GROUP_PAGES);
	ASSERT_TRUE(cpu_pages_bypass(true));
	ASSERT_TRUE(cpu_pages_bypass(false));
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		ASSERT_NOT_NULL(page[i] = alloc_page(GFP_KERNEL));
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++)
		free_page(page[i]);
	look();
	for (size_t i = 0; i < nr_events; i++)
		nr_frees += events[i].kind == EVENT_PAGES_FREE;
	EXPECT_EQ(nr_frees, ARRAY_SIZE(page));
	EXPECT_EQ(event_stop(), 0);
	event_release();
	free_page(alloc_page(GFP_KERNEL)); /* and open again */
	EXPECT_GT(cpu_pages_count(), 0);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(cpu_pages_events, the_check_sees_the_stacks_of_every_zone)
{
	host_machine_borrow(64 * MIB, 1);
	for (unsigned rank = 0; rank < mm_this(pages)->nr_zones; rank++) {
		struct page_stack *s = &mm_this(pages)->stack[rank][0];
		struct page **base = page_stack_base(s, 0), *sentinel = *base;

		*base = NULL;
		EXPECT_BROKEN(cpu_pages_check(), "C4:");
		*base = sentinel;
		EXPECT_SOUND(cpu_pages_check());
	}
	host_machine_return();
}
#endif
