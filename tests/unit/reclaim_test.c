/*
 * Reclaim: who is asked, in what order, and what the page allocator makes of it.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#if __STDC_HOSTED__
#include <tests/host/machine.h>
#endif

#define NR_SPARE 600u

/* A cache of pages that it gives back when asked. */
struct source {
	struct shrinker shrinker;
	struct page *page[NR_SPARE];
	u64 nr, asked_for;
	unsigned nr_asked, turn; /* how often, and as which of all */
	u64 nested;
};

static struct source first, second;
static struct hoard hoard;
static unsigned turns;

static u64 count(struct shrinker *self)
{
	return container_of(self, struct source, shrinker)->nr;
}

static u64 give_back(struct shrinker *self, u64 nr)
{
	struct source *s = container_of(self, struct source, shrinker);
	u64 given = 0;

	s->nr_asked++;
	s->turn = ++turns;
	s->asked_for = nr;
	s->nested += s->nr_asked < 10 ? reclaim_pages(1) : 0;
	for (; s->nr > 0 && given < nr; given++)
		free_page(s->page[--s->nr]);
	return given;
}

static void open(struct source *s, const char *name, unsigned nr_pages)
{
	*s = (struct source){.shrinker = {.name = name, .count = count, .scan = give_back}};
	s->nr = alloc_pages_bulk(GFP_KERNEL, nr_pages, s->page);
	ASSERT_EQ(s->nr, nr_pages);
	drain_cpu_pages();
	register_shrinker(&s->shrinker);
}

/* Nothing else is to be had then. */
static void settle(void)
{
	(void)reclaim_pages(~0ull);
}

/* Where a walk still stood on it, unregistering would never end. */
static void close(struct source *s)
{
	EXPECT_EQ(s->shrinker.nr_walks, 0);
	unregister_shrinker(&s->shrinker);
	free_pages_bulk(s->nr, s->page);
	s->nr = 0;
}

TEST(reclaim, asks_in_order_until_it_is_enough)
{
	settle();
	turns = 0;
	open(&first, "first", 3);
	open(&second, "second", 5);
	EXPECT_EQ(reclaim_pages(0), 0);
	EXPECT_EQ(first.nr_asked, 0);
	EXPECT_EQ(reclaim_pages(2), 2); /* one of each */
	EXPECT_EQ(first.nr_asked, 1);
	EXPECT_EQ(second.nr_asked, 1);
	EXPECT_LT(first.turn, second.turn);
	EXPECT_EQ(second.asked_for, 1);
	EXPECT_EQ(reclaim_pages(3), 4); /* a round is never cut short */
	EXPECT_EQ(first.nr, 0);
	EXPECT_EQ(second.nr, 2);
	EXPECT_EQ(reclaim_pages(100), 2);
	EXPECT_EQ(first.nr_asked, 3); /* who counts nothing is not asked */
	EXPECT_EQ(reclaim_pages(100), 0);
	EXPECT_EQ(first.nr + second.nr, 0);
	close(&first);
	close(&second);
}

TEST(reclaim, asks_for_a_share_and_then_for_more)
{
	settle();
	open(&first, "first", 512);
	open(&second, "second", 256);
	EXPECT_EQ(reclaim_pages(1), 3);
	EXPECT_EQ(first.nr, 510);
	EXPECT_EQ(second.nr, 255);
	/* 1 + 1, 3 + 1, 7 + 3, 15 + 7 … of what is left each time */
	EXPECT_EQ(reclaim_pages(10), 16);
	EXPECT_EQ(first.nr, 510 - 1 - 3 - 7);
	EXPECT_EQ(second.nr, 255 - 1 - 1 - 3);
	EXPECT_EQ(reclaim_pages(NR_SPARE * 2), 499 + 250);
	EXPECT_EQ(first.shrinker.nr_given, 512);
	EXPECT_EQ(second.shrinker.nr_given, 256);
	close(&first);
	close(&second);
}

/* Without a count: asked for everything, and before the others. */
TEST(reclaim, what_nobody_uses_goes_first)
{
	settle();
	open(&first, "first", 3);
	open(&second, "second", 5);
	second.shrinker.count = NULL;
	EXPECT_EQ(reclaim_pages(1), 5);
	EXPECT_EQ(second.asked_for, ~0ull);
	EXPECT_EQ(second.nr_asked, 1);
	EXPECT_EQ(first.nr_asked, 0);
	EXPECT_EQ(reclaim_pages(1), 1);
	EXPECT_EQ(second.nr_asked, 3); /* before and after the round */
	EXPECT_EQ(first.nr_asked, 1);
	close(&first);
	close(&second);
}

TEST(reclaim, an_unregistered_shrinker_is_not_asked)
{
	settle();
	open(&first, "first", 2);
	open(&second, "second", 2);
	close(&first);
	drain_cpu_pages();
	EXPECT_EQ(reclaim_pages(1), 1);
	EXPECT_EQ(first.nr_asked, 0);
	EXPECT_EQ(second.nr_asked, 1);
	close(&second);
	drain_cpu_pages();
	EXPECT_EQ(reclaim_pages(1), 0);
	EXPECT_EQ(second.nr_asked, 1);
}

/* What a shrinker gave back does not stay in the CPU's own cache: another may have asked. */
TEST(reclaim, a_single_page_reaches_its_zone)
{
	settle();
	open(&first, "first", 1);
	EXPECT_EQ(reclaim_pages(1), 1);
	EXPECT_EQ(cpu_pages_count(), 0);
	close(&first);
}

TEST(reclaim, does_not_recurse)
{
	settle();
	open(&first, "first", 1);
	open(&second, "second", 2);
	EXPECT_EQ(reclaim_pages(10), 3);
	EXPECT_EQ(first.nested + second.nested, 0);
	EXPECT_EQ(first.nr_asked + second.nr_asked, 3);
	close(&first);
	close(&second);
}

TEST(reclaim, memory_comes_back_when_there_is_none_left)
{
	struct page *page;

	settle();
	open(&first, "first", 4);
	hoard_take_all(&hoard, GFP_NOWAIT);
	page = alloc_page(GFP_KERNEL | __GFP_MEMALLOC);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(first.nr_asked, 1);
	EXPECT_EQ(first.nr, 3);
	free_page(page);
	hoard_drop_all(&hoard);
	close(&first);
}

/* Those that may not wait, and those that would rather fail, get NULL and ask nobody. */
TEST(reclaim, only_for_those_who_may_wait)
{
	static const gfp_t flags[] = {GFP_NOWAIT, GFP_ATOMIC, GFP_KERNEL | __GFP_NORETRY};

	settle();
	open(&first, "first", 4);
	hoard_take_all(&hoard, GFP_NOWAIT);
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_NULL(alloc_page(flags[i] | __GFP_NOWARN));
		EXPECT_EQ(first.nr_asked, 0);
		EXPECT_EQ(first.nr, 4);
	}
	hoard_drop_all(&hoard);
	close(&first);
}

/* A shrinker that claims everything does not keep an allocation for ever, nor is it believed. */
static u64 claim(struct shrinker *self)
{
	(void)self;
	return turns < 100 ? ~0ull : 0; /* but who asks for ever is to come to an end */
}

static u64 lie(struct shrinker *self, u64 nr)
{
	(void)self;
	turns++;
	return nr;
}

TEST(reclaim, a_lying_shrinker_does_not_hang_the_machine)
{
	static struct shrinker liar = {.name = "liar", .count = claim, .scan = lie};

	settle();
	register_shrinker(&liar);
	turns = 0;
	EXPECT_EQ(reclaim_pages(1), 0);
	EXPECT_EQ(turns, 9);
	EXPECT_EQ(liar.nr_asked, 9);
	hoard_take_all(&hoard, GFP_NOWAIT);
	turns = 0;
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN, 1));
	EXPECT_LT(turns, 100);
	hoard_drop_all(&hoard);
	unregister_shrinker(&liar);
}

/* One that counts much and gives nothing keeps nobody from the others. */
static u64 give_nothing(struct shrinker *self, u64 nr)
{
	(void)self;
	(void)nr;
	return 0;
}

TEST(reclaim, a_miser_is_passed_by)
{
	static struct shrinker miser = {.name = "miser", .count = claim, .scan = give_nothing};

	settle();
	turns = 0;
	register_shrinker(&miser);
	open(&first, "first", 100);
	EXPECT_EQ(reclaim_pages(100), 100);
	EXPECT_EQ(first.nr, 0);
	EXPECT_EQ(first.nr_asked, 9);
	close(&first);
	unregister_shrinker(&miser);
}

/* It may allocate: what is free then, and no more. */
static u64 nr_got;

static u64 allocate_inside(struct shrinker *self, u64 nr)
{
	struct page *page = alloc_page(GFP_KERNEL | __GFP_NOWARN);

	(void)self;
	(void)nr;
	nr_got += page != NULL;
	if (page != NULL)
		free_page(page);
	return 0;
}

TEST(reclaim, a_shrinker_may_allocate)
{
	static struct shrinker user = {.name = "user", .count = claim, .scan = allocate_inside};

	turns = 0;
	register_shrinker(&user);
	nr_got = 0;
	(void)reclaim_pages(1ull << 60);
	EXPECT_GT(nr_got, 0);
	hoard_take_all(&hoard, GFP_NOWAIT);
	nr_got = 0;
	EXPECT_NULL(alloc_page(GFP_KERNEL | __GFP_MEMALLOC | __GFP_NOWARN));
	EXPECT_EQ(nr_got, 0);
	hoard_drop_all(&hoard);
	unregister_shrinker(&user);
}

TEST(reclaim, begins_to_count_when_it_is_registered)
{
	settle();
	first = (struct source){
	    .shrinker = {
	        .count = count, .scan = give_back, .nr_asked = 7, .nr_given = 8, .nr_walks = 0}};
	register_shrinker(&first.shrinker);
	EXPECT_EQ(first.shrinker.nr_asked, 0);
	EXPECT_EQ(first.shrinker.nr_given, 0);
	close(&first);
}

/* What nobody uses is all that there is: one round, not nine. */
TEST(reclaim, ends_where_nobody_counts_anything)
{
	settle();
	open(&first, "first", 0);
	open(&second, "second", 0);
	second.shrinker.count = NULL;
	EXPECT_EQ(reclaim_pages(1), 0);
	EXPECT_EQ(second.nr_asked, 1);
	EXPECT_EQ(first.nr_asked, 0);
	close(&first);
	close(&second);
}

/* --- in the background --- */

/* One page a call, whatever is asked for. */
static u64 give_one(struct shrinker *self, u64 nr)
{
	struct source *s = container_of(self, struct source, shrinker);

	(void)nr;
	s->nr_asked++;
	if (s->nr == 0)
		return 0;
	free_page(s->page[--s->nr]);
	return 1;
}

static u64 give_nothing_counted(struct shrinker *self, u64 nr)
{
	(void)nr;
	container_of(self, struct source, shrinker)->nr_asked++;
	return 0;
}

static u64 count_one(struct shrinker *self)
{
	return container_of(self, struct source, shrinker)->nr != 0;
}

/* What reclaim_balance() says with one zone's high mark so far above what it has, and the others'
 * far below. */
static bool balance_lacking(struct zone *lacking, u64 nr_pages)
{
	u64 mark[MAX_ZONES];
	bool balanced;

	drain_cpu_pages();
	for_each_zone(z) {
		mark[z->id] = z->mark[MARK_HIGH];
		z->mark[MARK_HIGH] = z == lacking ? z->buddy.nr_free_pages + nr_pages : 0;
	}
	balanced = reclaim_balance();
	for_each_zone(z)
		z->mark[MARK_HIGH] = mark[z->id];
	return balanced;
}

/* Nine pages in the first call of reclaim_pages(), what is missing then in the second. */
TEST(reclaim, balance_asks_for_what_is_missing)
{
	for (u64 lack = 1; lack <= 13; lack++) {
		settle();
		open(&first, "first", 40);
		first.shrinker.count = count_one;
		EXPECT_TRUE(balance_lacking(page_zone(first.page[0]), lack));
		EXPECT_EQ(first.nr, 40 - lack);
		EXPECT_EQ(first.nr_asked, lack);
		close(&first);
	}
}

/* A page in each call. */
TEST(reclaim, balance_goes_on_while_there_is_progress)
{
	settle();
	open(&first, "first", 40);
	first.shrinker.count = NULL;
	first.shrinker.scan = give_one;
	EXPECT_TRUE(balance_lacking(page_zone(first.page[0]), 10));
	EXPECT_EQ(first.nr_asked, 10);
	EXPECT_EQ(first.nr, 30);
	close(&first);
}

TEST(reclaim, balance_does_not_go_on_for_ever)
{
	settle();
	open(&first, "first", 100);
	first.shrinker.count = NULL;
	first.shrinker.scan = give_one;
	EXPECT_FALSE(balance_lacking(page_zone(first.page[0]), 99));
	EXPECT_EQ(first.nr_asked, 64);
	close(&first);
}

TEST(reclaim, balance_asks_once_where_nothing_comes)
{
	settle();
	open(&first, "first", 1);
	first.shrinker.count = NULL;
	first.shrinker.scan = give_nothing_counted;
	EXPECT_FALSE(balance_lacking(page_zone(first.page[0]), 5));
	EXPECT_EQ(first.nr_asked, 1);
	close(&first);
}

static bool all_above(enum zone_mark mark)
{
	for_each_zone(z)
		if (zone_below(z, mark))
			return false;
	return true;
}

TEST(reclaim, balance_stops_at_the_high_marks)
{
	settle();
	EXPECT_TRUE(reclaim_balance());
	open(&first, "first", NR_SPARE);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_FALSE(all_above(MARK_LOW));
	if (reclaim_balance())
		EXPECT_TRUE(all_above(MARK_HIGH));
	else
		EXPECT_EQ(first.nr, 0); /* it had less than is wanted */
	hoard_drop_all(&hoard);
	close(&first);
}

TEST(reclaim, balance_gives_up_where_nothing_is_to_be_had)
{
	settle();
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_FALSE(reclaim_balance());
	hoard_drop_all(&hoard);
	EXPECT_TRUE(reclaim_balance());
}

#if __STDC_HOSTED__
/* Said by the allocation that crosses the mark, and by none above it. */
TEST(reclaim, is_wanted_below_the_low_mark)
{
	settle();
	host_reclaim_wanted = 0;
	while (all_above(MARK_LOW)) {
		EXPECT_EQ(host_reclaim_wanted, 0);
		ASSERT_TRUE(hoard_take(&hoard, GFP_NOWAIT, 4));
	}
	EXPECT_EQ(host_reclaim_wanted, 1);
	hoard_drop_all(&hoard);
}
#endif

#if __STDC_HOSTED__
#include <stdio.h>

TEST(reclaim, shrinkers_are_printed)
{
	FILE *terminal = stdout;
	static char text[2048];

	settle();
	open(&first, "first", 3);
	open(&second, "second", 5);
	second.shrinker.count = NULL;
	(void)reclaim_pages(1);
	(void)reclaim_pages(1);
	memset(text, 0, sizeof(text));
	stdout = fmemopen(text, sizeof(text), "w");
	stats_print_shrinkers();
	fclose(stdout);
	stdout = terminal;
	EXPECT_EQ(strncmp(text, "shrinker               could give      asked         gave\n", 58),
	          0);
	EXPECT_NOT_NULL(
	    strstr(text, "first                           2          1            1\n"));
	EXPECT_NOT_NULL(
	    strstr(text, "second               what is free          3            5\n"));
	EXPECT_NOT_NULL(strstr(text, "\nslab  "));
	close(&first);
	close(&second);
}
#endif

TEST(reclaim, empty_slabs_come_back)
{
	static void *objects[100];
	struct kmem_cache *c = kmem_cache_create("test", 1000, 0, 0, NULL);
	struct kmem_cache_stats stats;
	struct page *page;

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, ARRAY_SIZE(objects), objects),
	          ARRAY_SIZE(objects));
	kmem_cache_free_bulk(c, ARRAY_SIZE(objects), objects);
	kmem_cache_stats(c, &stats);
	EXPECT_GT(stats.nr_slabs, 0);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_NULL(alloc_page(GFP_NOWAIT | __GFP_NOWARN));
	page = alloc_page(GFP_KERNEL | __GFP_MEMALLOC);
	EXPECT_NOT_NULL(page);
	kmem_cache_stats(c, &stats);
	EXPECT_EQ(stats.nr_slabs, 0);
	if (page != NULL)
		free_page(page);
	hoard_drop_all(&hoard);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(reclaim, a_shrinker_needs_its_function)
{
	static struct shrinker empty = {.name = "empty"};

	EXPECT_PANIC("assertion failed", register_shrinker(&empty));
}
