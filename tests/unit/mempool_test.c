/*
 * Mempools: what comes from where, in which order, and that the reserve is never lost.
 *
 * Most tests use elements that this file hands out, so that it decides when "memory" is short.
 */
#include <mm/mm.h>

#include "tests/model/expect.h"

#if __STDC_HOSTED__
#include <tests/host/cpus.h>

#include <sched.h>
#define mempool_test_pause() sched_yield()
#else
#include <kernel/sched.h>
#define mempool_test_pause() thread_yield()
#endif

#define NR_ELEMENTS 8u

/* An allocator of eight numbers. */
static struct {
	u32 element[NR_ELEMENTS];
	bool used[NR_ELEMENTS];
	unsigned nr_used, limit; /* how many it may hand out at once */
	gfp_t gfp;               /* of the last call */
	unsigned nr_calls;
} source;

static void *take_number(gfp_t gfp, void *data)
{
	source.gfp = gfp;
	source.nr_calls++;
	EXPECT_EQ((void *)&source, data);
	EXPECT_LT(source.nr_calls, 100); /* somebody asks for ever: there it is */
	if (source.nr_calls >= 100)
		source.limit = NR_ELEMENTS;
	if (source.nr_used >= source.limit)
		return NULL;
	for (unsigned i = 0; i < NR_ELEMENTS; i++)
		if (!source.used[i]) {
			source.used[i] = true;
			source.nr_used++;
			return &source.element[i];
		}
	return NULL;
}

static void give_number(void *element, void *data)
{
	unsigned i = (unsigned)((u32 *)element - source.element);

	EXPECT_EQ((void *)&source, data);
	ASSERT_LT(i, NR_ELEMENTS);
	EXPECT_TRUE(source.used[i]);
	source.used[i] = false;
	source.nr_used--;
}

static struct mempool *create(unsigned min_nr, unsigned limit)
{
	memset(&source, 0, sizeof(source));
	source.limit = limit;
	return mempool_create(min_nr, take_number, give_number, &source);
}

static unsigned in_reserve(struct mempool *p)
{
	struct mempool_stats s;

	mempool_stats(p, &s);
	return s.nr;
}

TEST(mempool, is_full_from_the_start)
{
	struct mempool *p = create(3, NR_ELEMENTS);
	struct mempool_stats s;

	ASSERT_NOT_NULL(p);
	EXPECT_EQ(source.nr_used, 3);
	mempool_stats(p, &s);
	EXPECT_EQ(s.min_nr, 3);
	EXPECT_EQ(s.nr, 3);
	EXPECT_EQ(s.nr_from_reserve, 0);
	EXPECT_EQ(s.nr_waits, 0);
	mempool_destroy(p);
	EXPECT_EQ(source.nr_used, 0);
}

TEST(mempool, that_cannot_be_filled_takes_nothing)
{
	EXPECT_NULL(create(4, 3));
	EXPECT_EQ(source.nr_used, 0);
	EXPECT_EQ(source.nr_calls, 4);
}

TEST(mempool, impossible_numbers)
{
	struct mempool *p;

	EXPECT_NULL(create(0, NR_ELEMENTS));
	EXPECT_NULL(create(MEMPOOL_MAX + 1, NR_ELEMENTS));
	EXPECT_EQ(source.nr_calls, 0);
	p = mempool_create_kmalloc_pool(MEMPOOL_MAX, 64);
	EXPECT_NOT_NULL(p);
	mempool_destroy(p);
	EXPECT_NULL(mempool_create_kmalloc_pool(0, 64));
	EXPECT_NULL(mempool_create_page_pool(MEMPOOL_MAX + 1, 0));
	EXPECT_NULL(mempool_create_kmalloc_pool(2, KMALLOC_MAX_SIZE + 1));
	EXPECT_NULL(mempool_create_page_pool(2, MAX_ORDER + 1));
	EXPECT_PANIC("free != NULL", mempool_create(1, take_number, NULL, NULL));
	EXPECT_PANIC("alloc != NULL", mempool_create(1, NULL, give_number, NULL));
	mempool_destroy(NULL);
}

TEST(mempool, the_reserve_is_the_last_resort)
{
	struct mempool *p = create(2, 4);
	void *e[5];

	ASSERT_NOT_NULL(p);
	for (unsigned i = 0; i < 4; i++) {
		e[i] = mempool_alloc(p, GFP_ATOMIC);
		ASSERT_NOT_NULL(e[i]);
		EXPECT_EQ(in_reserve(p), i < 2 ? 2 : 4 - i - 1);
	}
	EXPECT_NULL(mempool_alloc(p, GFP_ATOMIC));
	for (unsigned i = 0; i < 4; i++) { /* the reserve first, then the source */
		mempool_free(e[i], p);
		EXPECT_EQ(in_reserve(p), i < 2 ? i + 1 : 2);
		EXPECT_EQ(source.nr_used, i < 2 ? 4 : 4 - (i - 1));
	}
	mempool_free(NULL, p);
	EXPECT_EQ(in_reserve(p), 2);
	mempool_destroy(p);
	EXPECT_EQ(source.nr_used, 0);
}

TEST(mempool, asks_gently_then_with_all_that_the_caller_allows)
{
	struct mempool *p = create(1, 2);
	void *first, *second;

	ASSERT_NOT_NULL(p);
	source.nr_calls = 0;
	first = mempool_alloc(p, GFP_KERNEL | __GFP_NOFAIL | __GFP_DMA);
	EXPECT_EQ(source.nr_calls, 1);
	EXPECT_EQ(source.gfp, __GFP_DMA | __GFP_NOWARN | __GFP_NORETRY);
	second = mempool_alloc(p, GFP_KERNEL);
	EXPECT_EQ(source.nr_calls, 2); /* the reserve is nearer than reclaim */
	EXPECT_EQ(in_reserve(p), 0);
	mempool_free(first, p);
	mempool_free(second, p);
	source.nr_calls = 0;
	source.limit = 0;
	first = mempool_alloc(p, GFP_ATOMIC);
	EXPECT_NULL(mempool_alloc(p, GFP_ATOMIC));
	EXPECT_EQ(source.nr_calls, 2);
	EXPECT_EQ(source.gfp, GFP_ATOMIC | __GFP_NOWARN | __GFP_NORETRY);
	mempool_free(first, p);
	mempool_destroy(p);
}

/* Here nobody could free one meanwhile: interrupts are off. */
TEST(mempool, where_nobody_can_wait_it_fails)
{
	struct mempool *p = create(1, 1);
	void *element;
	u64 flags;

	ASSERT_NOT_NULL(p);
	element = mempool_alloc(p, GFP_KERNEL);
	flags = irq_save();
	source.nr_calls = 0;
	EXPECT_NULL(mempool_alloc(p, GFP_KERNEL | __GFP_NOFAIL));
	EXPECT_EQ(source.nr_calls, 2);
	EXPECT_EQ(source.gfp, GFP_KERNEL | __GFP_NOWARN);
	irq_restore(flags);
	mempool_free(element, p);
	mempool_destroy(p);
}

TEST(mempool, counts_what_came_from_the_reserve)
{
	struct mempool *p = create(2, 3);
	struct mempool_stats s;
	void *e[3];

	ASSERT_NOT_NULL(p);
	for (unsigned i = 0; i < 3; i++)
		e[i] = mempool_alloc(p, GFP_NOWAIT);
	mempool_stats(p, &s);
	EXPECT_EQ(s.nr_from_reserve, 2);
	for (unsigned i = 0; i < 3; i++)
		mempool_free(e[i], p);
	mempool_stats(p, &s);
	EXPECT_EQ(s.nr_from_reserve, 2);
	mempool_destroy(p);
}

TEST(mempool, misuse_is_named)
{
	struct mempool *p = create(3, 3);
	void *first, *second;

	ASSERT_NOT_NULL(p);
	first = mempool_alloc(p, GFP_NOWAIT);
	second = mempool_alloc(p, GFP_NOWAIT);
	EXPECT_PANIC("mempool: destroyed in use", mempool_destroy(p));
	EXPECT_PANIC("__GFP_ZERO", mempool_alloc(p, GFP_NOWAIT | __GFP_ZERO));
	mempool_free(first, p);
	EXPECT_PANIC("mempool: double free", mempool_free(first, p));
	EXPECT_EQ(in_reserve(p), 2);
	mempool_free(second, p);
	EXPECT_EQ(in_reserve(p), 3);
	mempool_destroy(p);
}

#if __STDC_HOSTED__
#include <tests/host/machine.h>

/* P3: for each element that comes into the reserve, and for no other. */
TEST(mempool, who_waits_is_woken_by_what_fills_the_reserve)
{
	struct mempool *p = create(2, 4);
	void *e[4];

	ASSERT_NOT_NULL(p);
	for (unsigned i = 0; i < 4; i++)
		e[i] = mempool_alloc(p, GFP_NOWAIT);
	for (unsigned i = 0; i < 4; i++) {
		u64 before = host_wakes;

		mempool_free(e[i], p);
		EXPECT_EQ(host_wakes - before, i < 2);
	}
	mempool_destroy(p);
}
#endif

/* Whichever of the reserve it is. */
TEST(mempool, a_second_free_is_seen_while_the_reserve_has_room)
{
	struct mempool *p = create(3, 3);
	void *e[3];

	ASSERT_NOT_NULL(p);
	for (unsigned i = 0; i < 3; i++)
		e[i] = mempool_alloc(p, GFP_NOWAIT);
	for (unsigned i = 0; i < 2; i++) {
		mempool_free(e[i], p);
		for (unsigned j = 0; j <= i; j++)
			EXPECT_PANIC("mempool: double free", mempool_free(e[j], p));
	}
	mempool_free(e[2], p);
	mempool_destroy(p);
}

TEST(mempool, of_kmalloc)
{
	struct mempool *p = mempool_create_kmalloc_pool(4, 300);
	struct slab_object_info info;
	void *element;
	char name[96];

	ASSERT_NOT_NULL(p);
	element = mempool_alloc(p, GFP_KERNEL);
	ASSERT_NOT_NULL(element);
	EXPECT_GE(ksize(element), 300);
	ASSERT_TRUE(slab_object_of(element, &info));
	EXPECT_NOT_NULL(strstr(site_name(name, info.tag), "mempool_test.c"));
	mempool_free(element, p);
	mempool_destroy(p);
}

TEST(mempool, of_a_cache)
{
	struct kmem_cache *c = kmem_cache_create("pooled", 200, 0, 0, NULL);
	struct mempool *p = mempool_create_slab_pool(4, c);
	struct kmem_cache_stats s;
	void *element;

	ASSERT_NOT_NULL(p);
	element = mempool_alloc(p, GFP_KERNEL);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_live, 5);
	mempool_free(element, p);
	mempool_destroy(p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(mempool, of_pages)
{
	struct mempool *p = mempool_create_page_pool(2, 3);
	struct page *page;

	ASSERT_NOT_NULL(p);
	page = mempool_alloc(p, GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ(page->order, 3);
	mempool_free(page, p);
	mempool_destroy(p);
}

/* --- waiting --- */

#define ROUNDS 200u

static struct {
	struct mempool *pool;
	u32 element[2], nr_taken;
	u32 nr_failed, nr_shared;
} contest;

/* Memory for the reserve, and never again. */
static void *take_last(gfp_t gfp, void *data)
{
	(void)gfp, (void)data;
	return contest.nr_taken < 2 ? &contest.element[contest.nr_taken++] : NULL;
}

static void give_last(void *element, void *data)
{
	(void)element, (void)data;
}

/* More want an element than there are. */
static void contend(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < ROUNDS; i++) {
		u32 *element = mempool_alloc(contest.pool, GFP_KERNEL);

		if (element == NULL) {
			__atomic_add_fetch(&contest.nr_failed, 1, __ATOMIC_RELAXED);
			continue;
		}
		if (__atomic_add_fetch(element, 1, __ATOMIC_RELAXED) != 1)
			__atomic_add_fetch(&contest.nr_shared, 1, __ATOMIC_RELAXED);
		mempool_test_pause();
		__atomic_sub_fetch(element, 1, __ATOMIC_RELAXED);
		mempool_free(element, contest.pool);
	}
}

/* run() has contend() called by three. */
static void hold_contest(void (*run)(void))
{
	struct mempool_stats s;

	memset(&contest, 0, sizeof(contest));
	contest.pool = mempool_create(2, take_last, give_last, NULL);
	ASSERT_NOT_NULL(contest.pool);
	run();
	EXPECT_EQ(contest.nr_failed, 0);
	EXPECT_EQ(contest.nr_shared, 0);
	mempool_stats(contest.pool, &s);
	EXPECT_EQ(s.nr_from_reserve, 3 * ROUNDS);
	EXPECT_EQ(s.nr, 2);
	mempool_destroy(contest.pool);
}

/* One that finds the reserve empty, and gets what is freed later. */
static void wait_for_one(void *unused)
{
	(void)unused;
	mempool_free(mempool_alloc(contest.pool, GFP_KERNEL), contest.pool);
}

static u64 nr_waits(void)
{
	struct mempool_stats s;

	mempool_stats(contest.pool, &s);
	return s.nr_waits;
}

static void begin_wait(void *held[2])
{
	memset(&contest, 0, sizeof(contest));
	contest.pool = mempool_create(2, take_last, give_last, NULL);
	ASSERT_NOT_NULL(contest.pool);
	held[0] = mempool_alloc(contest.pool, GFP_KERNEL);
	held[1] = mempool_alloc(contest.pool, GFP_KERNEL);
}

/* Once the other waits. */
static void end_wait(void *held[2])
{
	while (nr_waits() == 0)
		mempool_test_pause();
	mempool_free(held[0], contest.pool);
	mempool_free(held[1], contest.pool);
}

#if __STDC_HOSTED__
static void run_on_cpus(void)
{
	host_cpus_run(3, contend, NULL);
}

TEST(mempool, who_may_wait_gets_an_element)
{
	host_machine_borrow(0, 3);
	hold_contest(run_on_cpus);
	host_machine_return();
}

static void wait_or_end(void *held)
{
	if (cpu_id() == 0)
		end_wait(held);
	else
		wait_for_one(NULL);
}

TEST(mempool, an_empty_reserve_is_waited_for)
{
	void *held[2];

	host_machine_borrow(0, 2);
	begin_wait(held);
	host_cpus_run(2, wait_or_end, held);
	EXPECT_EQ(nr_waits(), 1);
	mempool_destroy(contest.pool);
	host_machine_return();
}
#else
static void run_threads(void)
{
	struct thread *t[3];

	for (unsigned i = 0; i < 3; i++)
		t[i] = thread_create(THREAD_ANY_CPU, contend, NULL, "contends");
	for (unsigned i = 0; i < 3; i++)
		thread_join(t[i]);
}

TEST(mempool, who_may_wait_gets_an_element)
{
	hold_contest(run_threads);
}

TEST(mempool, an_empty_reserve_is_waited_for)
{
	struct thread *t;
	void *held[2];

	begin_wait(held);
	t = thread_create(THREAD_ANY_CPU, wait_for_one, NULL, "waits");
	end_wait(held);
	thread_join(t);
	EXPECT_EQ(nr_waits(), 1);
	mempool_destroy(contest.pool);
}
#endif
