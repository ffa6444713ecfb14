/*
 * Events of several CPUs: their rings are one stream in the order of time, every record names its
 * CPU, and what each lost is told as its own; and the rings' size and memory. One thread is all
 * CPUs by turns. On the host, where machines are made.
 */
#if __STDC_HOSTED__
#include "mm/event_record.h"
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define NR_CAUGHT 1024

static struct event caught[NR_CAUGHT]; /* all records but text, from the header on */
static u64 nr_caught, text_left;

static void catch (void *context, const void *bytes, size_t n)
{
	struct event e;

	EXPECT_EQ(context, &nr_caught);
	if (text_left != 0) {
		text_left -= n;
		return;
	}
	memcpy(&e, bytes, sizeof(e));
	if (e.kind == EVENT_NAME_SITE || e.kind == EVENT_NAME_CACHE)
		text_left = align_up(e.size, sizeof(e));
	else if (nr_caught < NR_CAUGHT && e.kind > EVENT_MEMORY && e.kind != EVENT_ALREADY_FREE &&
	         e.kind != EVENT_ALREADY_SLAB)
		caught[nr_caught++] = e;
}

static int start(u32 groups, u32 nr_records, bool drop)
{
	nr_caught = text_left = 0;
	return event_start(&(struct event_options){.groups = groups,
	                                           .nr_records = nr_records,
	                                           .write = catch,
	                                           .context = &nr_caught,
	                                           .drop = drop});
}

static int start_silent(u32 groups, u32 nr_records)
{
	return event_start(&(struct event_options){.groups = groups, .nr_records = nr_records});
}

static void stop(void)
{
	EXPECT_EQ(event_stop(), 0);
	event_release();
}

static void borrow(unsigned nr_cpus)
{
	host_machine_borrow(64 * MIB, nr_cpus);
	host_cpus_answer = true;
}

/* One record of this CPU that carries a number. */
static void say(unsigned cpu, u64 number)
{
	host_cpu_enter(cpu);
	event_bytes(EVENT_VMALLOC, number, 1, EVENT_NO_CACHE, 0);
}

static struct event_stats stats_now(void)
{
	struct event_stats s;

	event_stats(&s);
	return s;
}

/* --- one stream --- */

/* In turns that no order of CPUs could explain. */
static const u8 turns[] = {2, 0, 0, 1, 2, 2, 1, 0, 2, 1, 1, 0, 2, 0, 1, 1, 2, 0};

static void say_by_turns(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(turns); i++)
		say(turns[i], 100 + i);
	host_cpu_enter(0);
}

static void expect_turns(const struct event *e, unsigned first)
{
	for (unsigned i = first; i < ARRAY_SIZE(turns); i++, e++) {
		EXPECT_EQ(e->kind, EVENT_VMALLOC);
		EXPECT_EQ(e->address, 100 + i);
		EXPECT_EQ(e->cpu, turns[i]);
		if (i > first)
			EXPECT_LT(e[-1].time, e->time);
	}
}

TEST(event_cpus, rings_are_one_stream_in_order_of_time)
{
	u64 begin = cycles();

	borrow(3);
	ASSERT_EQ(start(EVENT_GROUP_VMALLOC, EVENT_RING_MIN, false), 0);
	nr_caught = 0;
	say_by_turns();
	EXPECT_EQ(stats_now().nr_recorded, ARRAY_SIZE(turns));
	EXPECT_EQ(stats_now().nr_waiting, ARRAY_SIZE(turns));
	EXPECT_EQ(event_drain(5), 5);
	EXPECT_EQ(event_drain(100), ARRAY_SIZE(turns) - 5);
	EXPECT_EQ(nr_caught, ARRAY_SIZE(turns));
	expect_turns(caught, 0);
	EXPECT_LT(begin, caught[0].time);
	EXPECT_LT(caught[nr_caught - 1].time, cycles());
	EXPECT_EQ(stats_now().nr_waiting, 0);
	stop();
	host_machine_return();
}

/* Rounds: the rings' places are used again and again. */
TEST(event_cpus, the_order_holds_when_rings_wrap)
{
	borrow(2);
	ASSERT_EQ(start(EVENT_GROUP_VMALLOC, EVENT_RING_MIN, false), 0);
	nr_caught = 0;
	for (unsigned i = 0; i < 5 * EVENT_RING_MIN; i++)
		say(i / 3 % 2, i);
	host_cpu_enter(0);
	EXPECT_EQ(event_stop(), 0);
	ASSERT_EQ(nr_caught, 5 * EVENT_RING_MIN + 1);
	for (unsigned i = 0; i < 5 * EVENT_RING_MIN; i++) {
		EXPECT_EQ(caught[i].address, i);
		EXPECT_EQ(caught[i].cpu, i / 3 % 2);
	}
	EXPECT_EQ(caught[nr_caught - 1].kind, EVENT_END);
	event_release();
	host_machine_return();
}

TEST(event_cpus, the_last_of_all_cpus)
{
	static struct event last[64];

	borrow(3);
	ASSERT_EQ(start_silent(EVENT_GROUP_VMALLOC, EVENT_RING_MIN), 0);
	say_by_turns();
	last[ARRAY_SIZE(turns)].size = 77;
	EXPECT_EQ(event_last(last, ARRAY_SIZE(last)), ARRAY_SIZE(turns));
	expect_turns(last, 0);
	EXPECT_EQ(last[ARRAY_SIZE(turns)].size, 77); /* nothing behind what there is */
	EXPECT_EQ(event_last(last, 7), 7);
	expect_turns(last, ARRAY_SIZE(turns) - 7);
	EXPECT_EQ(event_last(last, 1), 1);
	expect_turns(last, ARRAY_SIZE(turns) - 1);
	EXPECT_EQ(event_last(last, 0), 0);
	stop();
	host_machine_return();
}

TEST(event_cpus, each_tells_its_own_losses)
{
	borrow(3);
	ASSERT_EQ(start(EVENT_GROUP_VMALLOC, EVENT_RING_MIN, true), 0);
	nr_caught = 0;
	for (unsigned cpu = 0; cpu < 3; cpu++)
		for (unsigned i = 0; i < EVENT_RING_MIN + 10 * cpu; i++)
			say(cpu, i);
	host_cpu_enter(0);
	EXPECT_EQ(stats_now().nr_lost, 30);
	stop();
	ASSERT_EQ(nr_caught, 3 * EVENT_RING_MIN + 2 + 1);
	for (unsigned i = 1; i <= 2; i++) {
		const struct event *lost = &caught[3 * EVENT_RING_MIN + i - 1];

		EXPECT_EQ(lost->kind, EVENT_LOST);
		EXPECT_EQ(lost->cpu, i);
		EXPECT_EQ(lost->size, 10 * i);
		EXPECT_EQ(lost->cache, EVENT_NO_CACHE);
		EXPECT_LE(caught[0].time, lost->time);
	}
	host_machine_return();
}

/* Each gap is told as what it was, not as the sum. */
TEST(event_cpus, every_gap_is_told_once)
{
	u64 told[3] = {0}, nr = 0;

	ASSERT_EQ(start(EVENT_GROUP_VMALLOC, EVENT_RING_MIN, true), 0);
	nr_caught = 0;
	for (unsigned round = 1; round <= 3; round++) {
		for (unsigned i = 0; i < EVENT_RING_MIN + 4 + round; i++)
			say(0, i);
		EXPECT_EQ(event_drain(1000), EVENT_RING_MIN);
	}
	stop();
	for (u64 i = 0; i < nr_caught; i++)
		if (caught[i].kind == EVENT_LOST && nr < 3)
			told[nr++] = caught[i].size;
	EXPECT_EQ(told[0], 5);
	EXPECT_EQ(told[1], 7); /* the record of the loss took a place */
	EXPECT_EQ(told[2], 8);
}

/* --- draining --- */

TEST(event_cpus, no_more_is_drained_than_was_asked_for)
{
	ASSERT_EQ(start(EVENT_GROUP_VMALLOC, 256, false), 0);
	nr_caught = 0;
	for (unsigned i = 0; i < 200; i++)
		say(0, i);
	EXPECT_EQ(event_drain(100), 100);
	EXPECT_EQ(stats_now().nr_waiting, 100);
	EXPECT_EQ(event_drain(0), 0);
	EXPECT_EQ(event_drain(64), 64);
	EXPECT_EQ(event_drain(64), 36);
	EXPECT_EQ(event_drain(64), 0);
	stop();
}

static u64 drained_inside;
static bool is_inside;

static void drain_inside(void *context, const void *bytes, size_t n)
{
	(void)context;
	(void)bytes;
	(void)n;
	if (is_inside)
		return;
	is_inside = true;
	drained_inside += event_drain(10);
	is_inside = false;
}

/* One at a time: whoever comes meanwhile gets nothing, and waits for nobody. */
TEST(event_cpus, a_second_drain_finds_the_first)
{
	struct event_options options = {
	    .groups = EVENT_GROUP_VMALLOC, .nr_records = 64, .write = drain_inside};

	is_inside = true; /* not while the start is written: nobody drains then */
	ASSERT_EQ(event_start(&options), 0);
	is_inside = false;
	drained_inside = 0;
	for (unsigned i = 0; i < 20; i++)
		say(0, i);
	EXPECT_EQ(event_drain(3), 3);
	EXPECT_EQ(drained_inside, 0);
	EXPECT_EQ(stats_now().nr_waiting, 17);
	is_inside = true;
	stop();
}

/* --- which kinds --- */

#define PAIR(kind) (3ull << (kind))

TEST(event_cpus, a_group_has_its_kinds_and_no_others)
{
	static const u64 kinds[] = {PAIR(EVENT_PAGES_ALLOC) | PAIR(EVENT_PAGES_REFILL),
	                            PAIR(EVENT_SPLIT) | PAIR(EVENT_BUDDY_ALLOC),
	                            PAIR(EVENT_OBJECT_ALLOC) | PAIR(EVENT_LARGE_ALLOC),
	                            PAIR(EVENT_SLAB_NEW) | PAIR(EVENT_MAGAZINE_REFILL),
	                            PAIR(EVENT_VMALLOC),
	                            PAIR(EVENT_RECLAIM)};
	struct kmem_cache *c = kmem_cache_create("test", 100, 0, 0, NULL);

	ASSERT_NOT_NULL(c);
	for (unsigned i = 0; i < ARRAY_SIZE(kinds); i++) {
		ASSERT_EQ(start_silent(1u << i, EVENT_RING_MIN), 0);
		EXPECT_EQ(event_mask, kinds[i]);
		/* The fast ways are closed for these two alone. */
		EXPECT_EQ(mm_this(pages)->diverted, 1u << i == EVENT_GROUP_PAGES);
		if (c->quarantine == NULL)
			EXPECT_EQ(c->hot != c->cpu, 1u << i == EVENT_GROUP_OBJECTS);
		stop();
	}
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(event_cpus, the_first_call_site_has_a_number)
{
	struct event last[2];

	ASSERT_EQ(start_silent(EVENT_GROUP_VMALLOC, EVENT_RING_MIN), 0);
	event_bytes(EVENT_VMALLOC, 1, 1, EVENT_NO_CACHE, TAG_FIRST_SITE);
	event_bytes(EVENT_VMALLOC, 2, 1, EVENT_NO_CACHE, TAG_FIRST_SITE - 1);
	EXPECT_EQ(event_last(last, 2), 2);
	EXPECT_EQ(last[0].site, TAG_FIRST_SITE);
	EXPECT_EQ(last[1].site, EVENT_NO_SITE);
	stop();
}

/* Of the only record too, and of none. */
TEST(event_cpus, as_many_of_the_last_as_there_are)
{
	struct event last[4] = {{.size = 9}, {.size = 9}};

	ASSERT_EQ(start_silent(EVENT_GROUP_VMALLOC, EVENT_RING_MIN), 0);
	EXPECT_EQ(event_last(last, 4), 0);
	EXPECT_EQ(last[0].size, 9);
	say(0, 5);
	EXPECT_EQ(event_last(last, 4), 1);
	EXPECT_EQ(last[0].address, 5);
	EXPECT_EQ(last[1].size, 9);
	stop();
	EXPECT_EQ(stats_now().nr_records, 0);
	EXPECT_EQ(stats_now().nr_recorded, 0);
}

/* The newest stay, each once, in order, wherever in the ring they begin. */
TEST(event_cpus, the_last_of_a_full_ring)
{
	static struct event last[EVENT_RING_MIN];

	ASSERT_EQ(start_silent(EVENT_GROUP_VMALLOC, EVENT_RING_MIN), 0);
	for (unsigned i = 0; i < 3 * EVENT_RING_MIN + 7; i++)
		say(0, i);
	ASSERT_EQ(event_last(last, ARRAY_SIZE(last)), EVENT_RING_MIN - 1);
	for (unsigned i = 0; i < EVENT_RING_MIN - 1; i++)
		EXPECT_EQ(last[i].address, 2 * EVENT_RING_MIN + 8 + i);
	stop();
}

/* --- nodes --- */

static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};
static const struct mm_topology two_nodes = {
    .nr_nodes = 2, .nr_ranges = 1, .range = {{64 * MIB, 64 * MIB, 1}}};

TEST(event_cpus, a_block_has_its_node)
{
	struct page *page;
	struct event last[1];

	host_machine_borrow_nodes(memory, 1, &two_nodes, 1);
	ASSERT_EQ(start_silent(EVENT_GROUP_PAGES, EVENT_RING_MIN), 0);
	for (unsigned node = 0; node < 2; node++) {
		page = alloc_pages_node(node, GFP_KERNEL, 5);
		ASSERT_NOT_NULL(page);
		EXPECT_EQ(page_zone(page)->node, node);
		ASSERT_EQ(event_last(last, 1), 1);
		EXPECT_EQ(last[0].kind, EVENT_PAGES_ALLOC);
		EXPECT_EQ(last[0].address, page_to_phys(page));
		EXPECT_EQ(last[0].node, node);
		free_pages(page, 5);
	}
	stop();
	host_machine_return();
}

/* --- memory --- */

static u64 used_pages(void)
{
	struct mm_usage u;

	drain_cpu_pages();
	mm_usage(&u);
	return u.used_pages;
}

/* A page for each CPU's ring, and those of the rings' heads and of the names. */
TEST(event_cpus, rings_take_their_memory_and_give_it_back)
{
	u64 before, one;

	borrow(1);
	before = used_pages();
	ASSERT_EQ(start_silent(EVENT_GROUP_VMALLOC, 128), 0);
	one = used_pages() - before;
	stop();
	EXPECT_EQ(used_pages(), before);
	host_machine_return();
	borrow(5);
	before = used_pages();
	ASSERT_EQ(start_silent(EVENT_GROUP_VMALLOC, 128), 0);
	EXPECT_EQ(used_pages() - before, one + 4);
	stop();
	EXPECT_EQ(used_pages(), before);
	host_cpus_answer = false; /* as on a machine whose CPUs cannot be told */
	EXPECT_EQ(start_silent(EVENT_GROUP_VMALLOC, 128), -EAGAIN);
	EXPECT_EQ(used_pages(), before);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

static u64 all_free_pages(void)
{
	u64 nr = 0;

	for_each_zone(z)
		nr += zone_free_pages(z);
	return nr;
}

/* Leaves exactly so many free, in ones. */
static void leave_free(struct hoard *hoard, u64 nr)
{
	hoard_leave(hoard, nr + 1024);
	while (all_free_pages() > nr + 64)
		ASSERT_TRUE(hoard_take(hoard, GFP_KERNEL | __GFP_NOWARN, 4));
	while (all_free_pages() > nr) {
		ASSERT_TRUE(hoard_take(hoard, GFP_KERNEL | __GFP_NOWARN, 0));
		drain_cpu_pages();
	}
	ASSERT_EQ(all_free_pages(), nr);
}

static u32 records_with(u64 nr_free)
{
	struct hoard hoard = {0};
	u32 nr = 0;

	drain_cpu_pages();
	leave_free(&hoard, nr_free);
	if (start_silent(EVENT_GROUP_VMALLOC, 0) == 0) {
		nr = stats_now().nr_records;
		stop();
	}
	hoard_drop_all(&hoard);
	return nr;
}

/* To the page: 4096 records of 32 bytes are a 64th of 2048 pages. */
TEST(event_cpus, rings_of_a_64th_of_free_memory)
{
	borrow(1);
	EXPECT_EQ(records_with(4096), 8192);
	EXPECT_EQ(records_with(4095), 4096);
	host_machine_return();
	borrow(4);
	EXPECT_EQ(records_with(4096), 2048);
	EXPECT_EQ(records_with(4095), 1024);
	host_machine_return();
}

/* However many CPUs there are. */
TEST(event_cpus, no_ring_is_smaller_than_the_smallest)
{
	host_machine_borrow(48 * MIB, 128);
	host_cpus_answer = true;
	EXPECT_EQ(records_with(3000), EVENT_RING_MIN); /* half of them would be a 64th */
	host_machine_return();
}

TEST(event_cpus, without_memory_it_says_nothing)
{
	struct hoard hoard = {0};
	int error;

	borrow(1);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	CATCH(error = start_silent(EVENT_GROUP_VMALLOC, 0));
	EXPECT_EQ(error, -ENOMEM);
	EXPECT_STREQ(text, "");
	hoard_drop_all(&hoard);
	host_machine_return();
}

/* --- on, off, and a new machine --- */

TEST(event_cpus, where_others_cannot_be_told_it_goes_on)
{
	u64 mask;

	ASSERT_EQ(start(EVENT_GROUP_VMALLOC, EVENT_RING_MIN, false), 0);
	nr_caught = 0;
	mask = event_mask;
	mm_nr_cpus = 2;
	EXPECT_EQ(event_stop(), -EAGAIN);
	mm_nr_cpus = 1;
	EXPECT_EQ(event_mask, mask);
	say(0, 5);
	stop();
	EXPECT_EQ(nr_caught, 2); /* and the end */
	EXPECT_EQ(caught[0].address, 5);
}

/* The former machine's rings are gone with it. */
TEST(event_cpus, a_boot_ends_it)
{
	struct event last;

	ASSERT_EQ(start(0, EVENT_RING_MIN, false), 0);
	kfree(kmalloc(100, GFP_KERNEL));
	EXPECT_NOT_NULL(event_cache_name(0));
	host_machine_borrow(0, 1);
	EXPECT_EQ(event_mask, 0);
	EXPECT_FALSE(mm_this(pages)->diverted);
	EXPECT_NULL(event_cache_name(0));
	EXPECT_EQ(event_last(&last, 1), 0);
	EXPECT_EQ(stats_now().nr_records, 0);
	EXPECT_EQ(stats_now().nr_recorded, 0);
	EXPECT_EQ(event_drain(10), 0);
	event_release(); /* there is nothing of this machine's to give back */
	kfree(kmalloc(100, GFP_KERNEL));
	EXPECT_EQ(event_stop(), -ENOENT);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

/* --- the stacks while they are closed --- */

static u64 drained_pages(void)
{
	u64 nr = 0;

	for (u64 i = 0; i < nr_caught; i++)
		if (caught[i].kind == EVENT_PAGES_DRAIN)
			nr += caught[i].size << caught[i].order;
	return nr;
}

/* What is freed goes to the stack of its own zone, as ever, and what that spills is told. */
TEST(event_cpus, pages_that_are_freed_while_it_is_on)
{
	static struct page *page[3 * CPU_PAGES_MAX];
	struct page *low;
	u64 cached;

	borrow(1);
	low = alloc_page(GFP_KERNEL | __GFP_DMA);
	ASSERT_NOT_NULL(low);
	ASSERT_EQ(alloc_pages_bulk(GFP_KERNEL, ARRAY_SIZE(page), page), ARRAY_SIZE(page));
	drain_cpu_pages();
	ASSERT_EQ(start(EVENT_GROUP_PAGES, 4096, false), 0);
	nr_caught = 0;
	free_page(low);
	EXPECT_EQ(low->type, PAGE_CACHED);
	cached = cpu_pages_count();
	free_pages_bulk(ARRAY_SIZE(page), page);
	event_drain(SIZE_MAX);
	EXPECT_GT(drained_pages(), 0);
	EXPECT_EQ(cpu_pages_count() - cached, ARRAY_SIZE(page) - drained_pages());
	EXPECT_SOUND(mm_check());
	stop();
	EXPECT_SOUND(mm_check());
	host_machine_return();
}
#endif
