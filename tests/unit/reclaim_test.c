/*
 * Reclaim: who is asked, in what order, and what the page allocator makes of it.
 */
#include "mm/internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define NR_SPARE 8u

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

static u64 give_back(struct shrinker *self, u64 nr_pages)
{
	struct source *s = container_of(self, struct source, shrinker);
	u64 given = 0;

	s->nr_asked++;
	s->turn = ++turns;
	s->asked_for = nr_pages;
	s->nested += s->nr_asked < 10 ? reclaim_pages(1) : 0;
	for (; s->nr > 0 && given < nr_pages; given++)
		free_page(s->page[--s->nr]);
	return given;
}

static void open(struct source *s, const char *name, unsigned nr_pages)
{
	*s = (struct source){.shrinker = {.name = name, .shrink = give_back}};
	s->nr = alloc_pages_bulk(GFP_KERNEL, nr_pages, s->page);
	ASSERT_EQ(s->nr, nr_pages);
	register_shrinker(&s->shrinker);
}

static void close(struct source *s)
{
	unregister_shrinker(&s->shrinker);
	free_pages_bulk(s->nr, s->page);
	s->nr = 0;
}

TEST(reclaim, asks_in_order_until_it_is_enough)
{
	slab_shrink_all(); /* which is asked before all of these, and has nothing left */
	turns = 0;
	open(&first, "first", 3);
	open(&second, "second", 5);
	EXPECT_EQ(reclaim_pages(2), 2);
	EXPECT_EQ(first.nr_asked, 1);
	EXPECT_EQ(second.nr_asked, 0);
	EXPECT_EQ(reclaim_pages(3), 3);
	EXPECT_EQ(first.nr_asked, 2);
	EXPECT_EQ(second.nr_asked, 1);
	EXPECT_LT(first.turn, second.turn);
	EXPECT_EQ(second.asked_for, 2);
	EXPECT_EQ(reclaim_pages(100), 3);
	EXPECT_EQ(reclaim_pages(100), 0);
	EXPECT_EQ(first.nr + second.nr, 0);
	close(&first);
	close(&second);
}

TEST(reclaim, an_unregistered_shrinker_is_not_asked)
{
	slab_shrink_all();
	open(&first, "first", 2);
	open(&second, "second", 2);
	close(&first);
	EXPECT_EQ(reclaim_pages(1), 1);
	EXPECT_EQ(first.nr_asked, 0);
	EXPECT_EQ(second.nr_asked, 1);
	close(&second);
	EXPECT_EQ(reclaim_pages(1), 0);
	EXPECT_EQ(second.nr_asked, 1);
}

/* What a shrinker gave back does not stay in the CPU's own cache: another may have asked. */
TEST(reclaim, a_single_page_reaches_its_zone)
{
	slab_shrink_all();
	open(&first, "first", 1);
	drain_cpu_pages();
	EXPECT_EQ(reclaim_pages(1), 1);
	EXPECT_EQ(cpu_pages_count(), 0);
	close(&first);
}

TEST(reclaim, does_not_recurse)
{
	slab_shrink_all();
	open(&first, "first", 1);
	open(&second, "second", 2);
	EXPECT_EQ(reclaim_pages(10), 3);
	EXPECT_EQ(first.nested + second.nested, 0);
	EXPECT_EQ(first.nr_asked + second.nr_asked, 2);
	close(&first);
	close(&second);
}

TEST(reclaim, memory_comes_back_when_there_is_none_left)
{
	struct page *page;

	open(&first, "first", 4);
	slab_shrink_all();
	hoard_take_all(&hoard, GFP_NOWAIT);
	page = alloc_page(GFP_KERNEL);
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

	open(&first, "first", 4);
	slab_shrink_all();
	hoard_take_all(&hoard, GFP_NOWAIT);
	for (unsigned i = 0; i < ARRAY_SIZE(flags); i++) {
		EXPECT_NULL(alloc_page(flags[i] | __GFP_NOWARN));
		EXPECT_EQ(first.nr_asked, 0);
		EXPECT_EQ(first.nr, 4);
	}
	hoard_drop_all(&hoard);
	close(&first);
}

/* A shrinker that claims progress for ever does not keep an allocation for ever. */
static u64 lie(struct shrinker *self, u64 nr_pages)
{
	(void)self;
	turns++;
	return nr_pages;
}

TEST(reclaim, a_lying_shrinker_does_not_hang_the_machine)
{
	static struct shrinker liar = {.name = "liar", .shrink = lie};

	turns = 0;
	slab_shrink_all();
	register_shrinker(&liar);
	hoard_take_all(&hoard, GFP_NOWAIT);
	EXPECT_NULL(alloc_pages(GFP_KERNEL | __GFP_NOWARN, 1));
	EXPECT_GT(turns, 0);
	EXPECT_LE(turns, 100);
	hoard_drop_all(&hoard);
	unregister_shrinker(&liar);
}

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
	page = alloc_page(GFP_KERNEL);
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
