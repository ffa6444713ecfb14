/*
 * Events on the machine: several CPUs and their interrupts record at once, and the words of trace=
 * and of the monitor. What a record says is tested in tests/unit/event_test.c.
 */
#include <kernel/event_port.h>
#include <kernel/events.h>
#include <kernel/monitor.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <mm/mm.h>
#include <tests/test.h>

#include <lib/string.h>

#define MAX_THREADS 8u
#define PAIRS 500u

/* --- several CPUs --- */

static struct {
	u64 nr_allocs, nr_frees, nr_late, nr_lost;
	u64 last[MAX_CPUS]; /* times */
	u64 text_left;
} seen;

static void read(void *context, const void *bytes, size_t n)
{
	struct event e;

	(void)context;
	if (seen.text_left != 0) {
		seen.text_left -= n;
		return;
	}
	memcpy(&e, bytes, sizeof(e));
	if (e.kind == EVENT_NAME_SITE || e.kind == EVENT_NAME_CACHE)
		seen.text_left = align_up(e.size, sizeof(e));
	if (e.kind <= EVENT_END) {
		seen.nr_lost += e.kind == EVENT_LOST ? e.size : 0;
		return;
	}
	seen.nr_late += e.time < seen.last[e.cpu];
	seen.last[e.cpu] = e.time;
	seen.nr_allocs += e.kind == EVENT_OBJECT_ALLOC && e.size == 77;
	seen.nr_frees += e.kind == EVENT_OBJECT_FREE;
}

static void allocate(void *unused)
{
	u64 size = 77;

	(void)unused;
	__asm__("" : "+r"(size));
	for (unsigned i = 0; i < PAIRS; i++) {
		kfree(kmalloc(size, GFP_KERNEL));
		free_page(alloc_page(GFP_KERNEL));
	}
}

static void on_all_cpus(u32 nr_records)
{
	const struct event_options options = {.groups = EVENT_GROUP_OBJECTS | EVENT_GROUP_PAGES,
	                                      .nr_records = nr_records,
	                                      .write = read};
	unsigned nr = smp_nr_cpus() < MAX_THREADS ? smp_nr_cpus() : MAX_THREADS;
	struct thread *threads[MAX_THREADS];

	memset(&seen, 0, sizeof(seen));
	ASSERT_EQ(event_start(&options), 0);
	for (unsigned i = 0; i < nr; i++)
		threads[i] = thread_create(i, allocate, NULL, "events");
	for (unsigned i = 0; i < nr; i++)
		if (threads[i] != NULL)
			thread_join(threads[i]);
	EXPECT_EQ(event_stop(), 0);
	event_release();
	EXPECT_EQ(seen.nr_allocs, nr * PAIRS);
	EXPECT_TRUE(seen.nr_frees >= nr * PAIRS);
	EXPECT_EQ(seen.nr_late, 0);
	EXPECT_EQ(seen.nr_lost, 0);
	EXPECT_NULL(mm_check());
}

TEST(event_kernel, all_cpus_record_and_nothing_is_lost)
{
	on_all_cpus(0);
}

/* Whoever finds his ring full writes, and meets the others who do. */
TEST(event_kernel, all_cpus_write_the_stream)
{
	on_all_cpus(EVENT_RING_MIN);
}

TEST(event_kernel, with_interrupts_off_others_cannot_be_told)
{
	const struct event_options options = {.nr_records = EVENT_RING_MIN};
	u64 flags;

	if (smp_nr_cpus() == 1)
		return test_skip("one CPU");
	flags = irq_save();
	EXPECT_EQ(event_start(&options), -EAGAIN);
	irq_restore(flags);
	ASSERT_EQ(event_start(&options), 0);
	flags = irq_save();
	EXPECT_EQ(event_stop(), -EAGAIN);
	irq_restore(flags);
	EXPECT_EQ(event_stop(), 0);
	event_release();
	EXPECT_NULL(mm_check());
}

/* --- words --- */

TEST(event_kernel, words_that_are_none)
{
	char why[EVENTS_WHY_MAX];

	EXPECT_EQ(events_on("pagess", why), -EINVAL);
	EXPECT_STREQ(why, "pagess is no group, port or drop: help trace");
	EXPECT_EQ(events_on("pages,,drop", why), -EINVAL);
	EXPECT_EQ(events_on("a-word-that-is-much-too-long,pages", why), -EINVAL);
	EXPECT_EQ(events_off(), -ENOENT);
}

TEST(event_kernel, in_memory)
{
	struct event_stats s;
	char why[EVENTS_WHY_MAX];

	ASSERT_EQ(events_on("objects,memory", why), 0);
	EXPECT_EQ(events_on("objects,memory", why), -EBUSY);
	EXPECT_STREQ(why, "it is on already: trace off first");
	kfree(kmalloc(10, GFP_KERNEL));
	event_stats(&s);
	EXPECT_TRUE(s.on && s.nr_recorded >= 2 && s.nr_bytes == 0);
	EXPECT_EQ(s.groups, EVENT_GROUP_OBJECTS);
	EXPECT_EQ(events_off(), 0);
	event_release();
}

/* The ports are those of the machine that runs the tests: it may have none. */
TEST(event_kernel, a_port_that_is_not_there)
{
	char why[EVENTS_WHY_MAX];

	if (!event_port_probe(EVENT_PORT_DEBUGCON)) {
		EXPECT_EQ(events_on("debugcon", why), -ENOENT);
		EXPECT_STREQ(why, "this machine has no debug console (port 0xe9)");
	}
	if (!event_port_probe(EVENT_PORT_SERIAL)) {
		EXPECT_EQ(events_on("serial", why), -ENOENT);
		EXPECT_STREQ(why, "this machine has no second serial port (0x2f8)");
	}
	EXPECT_FALSE(event_port_probe(EVENT_PORT_NONE));
	EXPECT_FALSE(event_port_stuck());
	event_port_write(EVENT_PORT_NONE, "x", 1);
}

TEST(event_kernel, the_monitors_command)
{
	char on[] = "trace on memory,slabs", dump[] = "trace dump 3", off[] = "trace off";
	char none[] = "trace of", many[] = "trace dump 1000", again[] = "trace off";

	EXPECT_EQ(monitor_execute(on), 0);
	kfree(kmalloc(10, GFP_KERNEL));
	EXPECT_EQ(monitor_execute(dump), 0);
	EXPECT_EQ(monitor_execute(none), -EINVAL);
	EXPECT_EQ(monitor_execute(many), -EINVAL);
	EXPECT_EQ(monitor_execute(off), 0);
	EXPECT_EQ(monitor_execute(again), -ENOENT);
	event_release();
}
