/*
 * Interrupts that come in the middle of the allocators, on the host: handlers that allocate and
 * free while the code that they interrupted does.
 *
 * First that the interrupts do as they should (tests/host/interrupts.h). Then, from the orderly to
 * the wild: at each place where interrupts are turned on again; at every single instruction of the
 * fast ways in and out, and at random ones of the slow; on a machine without memory, where the
 * handler's allocations fail and empty the CPU's caches; and by a timer, on one CPU and on several.
 * What is allocated in the handlers is freed by the main line and the other way round
 * (tests/model/exchange.h), contents verified.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"
#include "tests/model/exchange.h"
#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#include <tests/host/cpus.h>
#include <tests/host/interrupts.h>

#define NR_CPUS 4u

/* --- the interrupts themselves --- */

struct visit {
	u64 nr, context;
	bool irq_off;
};

static void note_visit(void *arg)
{
	struct visit *v = arg;

	v->nr++;
	v->context = mm_this(id);
	v->irq_off = !irq_is_enabled();
}

TEST(context_interrupt, runs_now_or_when_interrupts_are_on)
{
	struct visit v = {0};
	u64 flags, before = host_interrupt_count();

	host_interrupt_fire(note_visit, &v);
	EXPECT_EQ(v.nr, 1);
	EXPECT_EQ(v.context, CONTEXT_INTERRUPTS);
	EXPECT_TRUE(v.irq_off);
	EXPECT_TRUE(irq_is_enabled());
	EXPECT_EQ(mm_this(id), CONTEXT_THREADS);

	flags = irq_save();
	host_interrupt_fire(note_visit, &v);
	EXPECT_EQ(v.nr, 1);
	EXPECT_PANIC("another interrupt is still pending", host_interrupt_fire(note_visit, &v));
	irq_restore(irq_save()); /* they stay off */
	EXPECT_EQ(v.nr, 1);
	irq_restore(flags);
	EXPECT_EQ(v.nr, 2);
	EXPECT_EQ(host_interrupt_count(), before + 2);
}

TEST(context_interrupt, comes_at_every_third_restore)
{
	struct visit v = {0};
	u64 flags;

	host_interrupt_at_restores(3, note_visit, &v);
	for (unsigned i = 0; i < 10; i++) {
		flags = irq_save();
		irq_restore(irq_save()); /* turns nothing on: not counted */
		irq_restore(flags);
		EXPECT_EQ(v.nr, (i + 1) / 3);
	}
	host_interrupt_at_restores(0, NULL, NULL);
	for (unsigned i = 0; i < 10; i++)
		irq_restore(irq_save());
	EXPECT_EQ(v.nr, 3);
}

TEST(context_interrupt, comes_after_each_instruction)
{
	struct visit v = {0};
	u64 n, where, last = 0;
	bool came = true;

	for (n = 1; came; n++) {
		host_interrupt_step_begin(n, note_visit, &v);
		__asm__ volatile("nop; nop; nop; nop; nop");
		came = host_interrupt_step_end(&where);
		EXPECT_EQ(v.nr, came ? n : n - 1);
		if (came)
			EXPECT_TRUE(where > last); /* straight on */
		last = where;
	}
	EXPECT_GT(n, 6);
	EXPECT_EQ(mm_this(id), CONTEXT_THREADS);
}

/* --- handlers that allocate --- */

#define GUEST_GFP (GFP_ATOMIC | __GFP_NOWARN)

static struct {
	unsigned steps; /* of the exchange, each time */
	struct rng rng[NR_CPUS];
} guest;

static void exchange_in_handler(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < guest.steps; i++)
		exchange_step(&guest.rng[cpu_id()], GUEST_GFP);
}

static void begin_exchange(unsigned kinds, unsigned steps)
{
	guest.steps = steps;
	for (unsigned cpu = 0; cpu < NR_CPUS; cpu++)
		rng_seed(&guest.rng[cpu], rng_next(test_rng()));
	EXPECT_TRUE(exchange_begin(kinds));
}

static void end_exchange(void)
{
	EXPECT_SOUND(mm_check());
	EXPECT_SOUND(exchange_end());
}

TEST(context_interrupt, handlers_allocate_at_restores)
{
	for (u64 n = 1; n <= 5; n++) {
		u64 before = host_interrupt_count();

		begin_exchange(0, 1);
		host_interrupt_at_restores(n, exchange_in_handler, NULL);
		for (unsigned i = 0; i < 2000; i++)
			exchange_step(test_rng(), GFP_KERNEL | __GFP_NOWARN);
		host_interrupt_at_restores(0, NULL, NULL);
		EXPECT_GT(host_interrupt_count(), before);
		end_exchange();
	}
}

/* --- at every instruction --- */

/* A way in and the way out that belongs to it. */
struct pair {
	void *(*alloc)(gfp_t gfp);
	void (*free)(void *block);
	size_t bytes;
	void (*prepare)(void); /* before each allocation, or NULL */
	u64 stride;            /* 1: every instruction; else up to so many are passed over */
	host_interrupt_handler handler;
	u32 nr_slots; /* of the ring */
};

#define RING 32u

/* Blocks of the main line and of the handler; each frees what it finds. */
static u64 *ring[RING];
static const struct pair *pair;
static u64 nr_wrong;

static u64 *swap_in_ring(u64 *block)
{
	return __atomic_exchange_n(&ring[rng_below(&guest.rng[0], pair->nr_slots)], block,
	                           __ATOMIC_RELAXED);
}

static void verify(const u64 *block)
{
	nr_wrong += !block_is_signed(block, pair->bytes);
}

static u64 *make(gfp_t gfp)
{
	return block_sign(pair->alloc(gfp), pair->bytes, (u64)&ring ^ nr_wrong);
}

static void allocate_in_handler(void *unused)
{
	(void)unused;
	for (unsigned i = 0; i < 3; i++) {
		u64 *found = swap_in_ring(make(GUEST_GFP));

		if (found != NULL) {
			verify(found);
			pair->free(found);
		}
	}
}

/* An interrupt after n instructions of each. False: both were over before. */
static bool interrupt_pair_after(u64 n, u64 *nr_in_fast_path)
{
	bool came_in_alloc, came_in_free = false;
	u64 where = 0, *block;

	if (pair->prepare)
		pair->prepare();
	host_interrupt_step_begin(n, pair->handler, NULL);
	block = pair->alloc(GFP_KERNEL | __GFP_NOWARN);
	came_in_alloc = host_interrupt_step_end(&where);
	*nr_in_fast_path += came_in_alloc && mm_in_fast_path(where);
	nr_wrong += block_sign(block, pair->bytes, n) == NULL;

	block = swap_in_ring(block);
	if (block == NULL)
		return came_in_alloc;
	verify(block);
	host_interrupt_step_begin(n, pair->handler, NULL);
	pair->free(block);
	came_in_free = host_interrupt_step_end(&where);
	*nr_in_fast_path += came_in_free && mm_in_fast_path(where);
	return came_in_alloc || came_in_free;
}

static void empty_ring(void)
{
	for (unsigned i = 0; i < RING; i++) {
		if (ring[i] != NULL) {
			verify(ring[i]);
			pair->free(ring[i]);
		}
		ring[i] = NULL;
	}
}

/* Returns how many interrupts came in a fast path. */
static u64 interrupt_everywhere(const struct pair *p)
{
	u64 n = 1, in_fast_path = 0;

	pair = p;
	nr_wrong = 0;
	rng_seed(&guest.rng[0], rng_next(test_rng()));
	while (nr_wrong == 0 && interrupt_pair_after(n, &in_fast_path))
		n += p->stride == 1 ? 1 : 1 + rng_below(test_rng(), p->stride);
	EXPECT_GT(n, 20);
	EXPECT_SOUND(mm_check());
	empty_ring();
	EXPECT_EQ(nr_wrong, 0);
	return in_fast_path;
}

static void empty_this_cpu(void)
{
	slab_shrink_all();
	drain_cpu_pages();
}

static void *alloc_96(gfp_t gfp)
{
	return kmalloc(96, gfp);
}

static void free_96(void *block)
{
	kfree(block);
}

static void *alloc_single(gfp_t gfp)
{
	struct page *page = alloc_page(gfp);

	return page ? page_address(page) : NULL;
}

static void free_single(void *block)
{
	free_page(virt_to_page(block));
}

static void *alloc_order_3(gfp_t gfp)
{
	struct page *page = alloc_pages(gfp, 3);

	return page ? page_address(page) : NULL;
}

static void free_order_3(void *block)
{
	free_pages(virt_to_page(block), 3);
}

static void *alloc_run(gfp_t gfp)
{
	return kmalloc(20000, gfp);
}

TEST(context_interrupt, at_every_instruction_of_kmalloc_and_kfree)
{
	static const struct pair hot = {alloc_96, free_96, 96, NULL, 1, allocate_in_handler, RING};

	EXPECT_GT(interrupt_everywhere(&hot), 5);
}

TEST(context_interrupt, at_every_instruction_of_a_page_in_and_out)
{
	static const struct pair hot = {alloc_single,        free_single, PAGE_SIZE, NULL, 1,
	                                allocate_in_handler, RING};

	interrupt_everywhere(&hot);
}

TEST(context_interrupt, at_many_instructions_of_slow_paths)
{
	static const struct pair cold[] = {
	    {alloc_96, free_96, 96, empty_this_cpu, 31, allocate_in_handler, RING},
	    {alloc_single, free_single, PAGE_SIZE, empty_this_cpu, 31, allocate_in_handler, RING},
	    {alloc_order_3, free_order_3, PAGE_SIZE << 3, NULL, 11, allocate_in_handler, RING},
	    {alloc_run, free_96, 20000, NULL, 31, allocate_in_handler, RING},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cold); i++)
		interrupt_everywhere(&cold[i]);
}

/* Everything there is, and back. */
static void use_up_in_handler(void *unused)
{
	struct page *page[16];
	unsigned n = 0;

	(void)unused;
	for (; n < ARRAY_SIZE(page); n++) {
		page[n] = alloc_page(GUEST_GFP);
		if (page[n] == NULL)
			break;
		block_sign(page_address(page[n]), PAGE_SIZE, n);
	}
	nr_wrong += n == ARRAY_SIZE(page);
	while (n-- > 0) {
		verify(page_address(page[n]));
		free_page(page[n]);
	}
}

/* The handler's allocations fail in the end, and look for memory in what this CPU holds, which may
 * be just what the interrupted instruction is about to take. */
TEST(context_interrupt, at_every_instruction_when_handlers_find_no_memory)
{
	static const struct pair hot = {
	    alloc_single, free_single, PAGE_SIZE, NULL, 1, use_up_in_handler, 2};
	struct hoard hoard = {0};
	struct page *left[6];

	host_machine_borrow(16 * MIB, 1);
	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, ARRAY_SIZE(left), left), ARRAY_SIZE(left));
	hoard_take_all(&hoard, GFP_NOWAIT);
	free_pages_bulk(ARRAY_SIZE(left), left);
	interrupt_everywhere(&hot);
	hoard_drop_all(&hoard);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* --- by a timer --- */

/* Until that many interrupts have come: where they are dear, little happens between them. */
static void storm(unsigned nr_interrupts, u64 period_ns)
{
	u64 first = host_interrupt_count();
	struct rng rng;

	rng_seed(&rng, rng_next(&guest.rng[cpu_id()]));
	host_interrupt_by_timer(period_ns, exchange_in_handler, NULL);
	while (host_interrupt_count() - first < nr_interrupts)
		exchange_step(&rng, GFP_KERNEL | __GFP_NOWARN);
	host_interrupt_by_timer(0, NULL, NULL);
}

TEST(context_interrupt, a_timers_handlers_allocate)
{
	begin_exchange(0, 4);
	storm(1000, 50000);
	end_exchange();
}

static void storm_and_empty(void *unused)
{
	(void)unused;
	storm(300, 100000);
	host_cpus_meet();
	empty_this_cpu();
}

TEST(context_interrupt, timers_handlers_allocate_on_four_cpus)
{
	struct mm_usage before, after;

	host_machine_borrow(64 * MIB, NR_CPUS);
	empty_this_cpu();
	mm_usage(&before);
	begin_exchange(0, 4);
	host_cpus_run(NR_CPUS, storm_and_empty, NULL);
	end_exchange();
	empty_this_cpu();
	mm_usage(&after);
	EXPECT_EQ(after.used_pages, before.used_pages);
	EXPECT_EQ(after.live_objects, before.live_objects);
	host_machine_return();
}
#endif
