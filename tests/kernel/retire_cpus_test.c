/*
 * Pages that leave while another CPU allocates and frees them without a pause: what page_retire()
 * says is true. After -EBUSY the next free has taken the page out; nobody needs to ask again.
 */
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <mm/mm.h>
#include <tests/test.h>

#include "tests/model/expect.h"

#define ROUNDS 10u

struct churn {
	void (*turn)(struct churn *c);
	struct kmem_cache *cache;
	unsigned order;
	unsigned pause;    /* with the page in use */
	u64 pfn, nr_turns; /* A: the last turn's page; turns that are over */
	bool over;         /* A */
};

/* The page is in use for that long. */
static void show(struct churn *c, const struct page *page)
{
	__atomic_store_n(&c->pfn, page_to_pfn(page), __ATOMIC_RELEASE);
	for (unsigned i = 0; i < c->pause; i++)
		cpu_relax();
}

static void turn_pages(struct churn *c)
{
	struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, c->order);

	if (page == NULL)
		return;
	show(c, page);
	free_pages(page, c->order);
}

/* Its slab comes and goes with it. */
static void turn_slab(struct churn *c)
{
	void *object = kmem_cache_alloc(c->cache, GFP_KERNEL);

	if (object == NULL)
		return;
	show(c, virt_to_page(object));
	kmem_cache_free(c->cache, object);
	(void)kmem_cache_shrink(c->cache);
}

static void churn(void *arg)
{
	struct churn *c = arg;

	while (!__atomic_load_n(&c->over, __ATOMIC_ACQUIRE)) {
		c->turn(c);
		__atomic_add_fetch(&c->nr_turns, 1, __ATOMIC_RELEASE);
	}
}

static void wait_for_turns(struct churn *c, u64 n)
{
	u64 until = __atomic_load_n(&c->nr_turns, __ATOMIC_ACQUIRE) + n;

	while (__atomic_load_n(&c->nr_turns, __ATOMIC_ACQUIRE) < until)
		thread_yield();
}

static bool has_left(u64 pfn)
{
	bool left = false;

	return page_retire_next(pfn - 1, &left) == pfn && left;
}

/* Returns how often the page was in use. */
static unsigned retire_rounds(struct churn *c)
{
	unsigned nr_busy = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		u64 pfn;
		int error;

		wait_for_turns(c, 1);
		pfn = __atomic_load_n(&c->pfn, __ATOMIC_ACQUIRE);
		error = pfn != 0 ? page_retire(pfn) : 0;
		EXPECT_TRUE(error == 0 || error == -EBUSY || error == -EAGAIN);
		if (error == -EBUSY)
			wait_for_turns(c, 2);
		if (error != -EAGAIN && pfn != 0)
			EXPECT_TRUE(has_left(pfn));
		nr_busy += error == -EBUSY;
		if (pfn != 0)
			EXPECT_EQ(page_unretire(pfn), 0);
	}
	return nr_busy;
}

static void retire_under(struct churn *c)
{
	struct thread *t = thread_create(smp_nr_cpus() - 1, churn, c, "churn");
	unsigned nr_busy;

	ASSERT_NOT_NULL(t);
	nr_busy = retire_rounds(c);
	__atomic_store_n(&c->over, true, __ATOMIC_RELEASE);
	thread_join(t);
	test_note("%u of %u were in use", nr_busy, ROUNDS);
	EXPECT_SOUND(mm_check());
}

TEST(retire_cpus, single_pages)
{
	retire_under(&(struct churn){.turn = turn_pages});
}

TEST(retire_cpus, small_blocks)
{
	retire_under(&(struct churn){.turn = turn_pages, .order = 2});
}

/* Past the CPUs' caches: every free takes the zone's lock. */
TEST(retire_cpus, large_blocks)
{
	retire_under(&(struct churn){.turn = turn_pages, .order = 5, .pause = 1000});
}

TEST(retire_cpus, slabs)
{
	struct kmem_cache *cache = kmem_cache_create("churn", 1024, 0, 0, NULL);

	ASSERT_NOT_NULL(cache);
	retire_under(&(struct churn){.turn = turn_slab, .cache = cache, .pause = 1000});
	EXPECT_EQ(kmem_cache_destroy(cache), 0);
}
