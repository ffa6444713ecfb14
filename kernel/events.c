/*
 * Events in the kernel: see <kernel/events.h>. What is recorded, and how, is mm/event.c.
 *
 * The stream goes to a port, byte by byte, which is slow; so it is written by a thread while there
 * is time, and by whoever finds a CPU's ring full when there is not. Without a port, or when asked
 * to, the rings stay in memory and keep the newest events.
 *
 * The time stamp counter's frequency is measured against the interval timer, once.
 */
#include <kernel/apic.h>
#include <kernel/cmdline.h>
#include <kernel/event_port.h>
#include <kernel/events.h>
#include <kernel/sched.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/event.h>

#define MEASURE_US 10000u
#define PAUSE_MS 10u
#define PANIC_EVENTS 8u

static enum event_port port; /* C while events are on */
static u64 ticks_a_second, start_time;
static struct thread *thread;
static bool should_stop; /* A */

struct request {
	struct event_options options;
	bool port_given;
	enum event_port port;
};

/* --- words --- */

static bool take_word(struct request *r, const char *word)
{
	u32 groups;

	for (enum event_port p = EVENT_PORT_NONE; p <= EVENT_PORT_SERIAL; p++)
		if (strcmp(word, event_port_name(p)) == 0) {
			r->port = p;
			r->port_given = true;
			return true;
		}
	if (strcmp(word, "drop") == 0)
		return r->options.drop = true;
	if (event_parse_groups(word, &groups) != 0)
		return false;
	r->options.groups |= groups;
	return true;
}

static bool parse(const char *words, struct request *r, char why[EVENTS_WHY_MAX])
{
	char word[24];

	while (*words != '\0') {
		const char *comma = strchr(words, ',');
		size_t length = comma != NULL ? (size_t)(comma - words) : strlen(words);

		str_copy(word, words, min_u64(length + 1, sizeof(word)));
		if (length >= sizeof(word) || !take_word(r, word)) {
			format_buf(why, EVENTS_WHY_MAX, "%s is no group, port or drop: help trace",
			           word);
			return false;
		}
		words += length + (comma != NULL);
	}
	return true;
}

/* --- on and off --- */

static void write(void *context, const void *bytes, size_t n)
{
	(void)context;
	event_port_write(port, bytes, n);
}

static void measure(void)
{
	u64 before;

	if (ticks_a_second != 0)
		return;
	before = cycles();
	pit_wait(MEASURE_US);
	ticks_a_second = (cycles() - before) * (1000000 / MEASURE_US);
}

/* The port that was asked for, or the first that is there. False: it is not. */
static bool choose_port(struct request *r, char why[EVENTS_WHY_MAX])
{
	if (r->port_given && r->port != EVENT_PORT_NONE && !event_port_probe(r->port)) {
		format_buf(why, EVENTS_WHY_MAX, "this machine has no %s",
		           r->port == EVENT_PORT_DEBUGCON ? "debug console (port 0xe9)"
		                                          : "second serial port (0x2f8)");
		return false;
	}
	if (r->port_given)
		return true;
	r->port = event_port_probe(EVENT_PORT_DEBUGCON) ? EVENT_PORT_DEBUGCON
	          : event_port_probe(EVENT_PORT_SERIAL) ? EVENT_PORT_SERIAL
	                                                : EVENT_PORT_NONE;
	return true;
}

static void drain(void *unused)
{
	enum { AT_ONCE = 1024 };

	(void)unused;
	while (!__atomic_load_n(&should_stop, __ATOMIC_ACQUIRE))
		if (event_drain(AT_ONCE) == 0)
			thread_sleep(PAUSE_MS);
}

void events_start_thread(void)
{
	struct event_stats s;

	event_stats(&s);
	if (thread != NULL || !s.on || port == EVENT_PORT_NONE)
		return;
	__atomic_store_n(&should_stop, false, __ATOMIC_RELEASE);
	thread =
	    thread_create(THREAD_ANY_CPU, drain, NULL, "events"); /* NULL: who records writes */
}

static const char *start_fault(int error)
{
	switch (error) {
	case -EBUSY:
		return "it is on already: trace off first";
	case -ENOMEM:
		return "no memory for the rings";
	default:
		return "other CPUs cannot be told now";
	}
}

/* All but the thread. */
static int start(const char *words, char why[EVENTS_WHY_MAX])
{
	struct request r = {.port_given = false};
	int error;

	if (!parse(words, &r, why))
		return -EINVAL;
	if (!choose_port(&r, why))
		return -ENOENT;
	measure();
	r.options.ticks_a_second = ticks_a_second;
	r.options.write = r.port != EVENT_PORT_NONE ? write : NULL;
	if (thread == NULL)
		port = r.port; /* else events are on, and -EBUSY follows */
	start_time = cycles();
	error = event_start(&r.options);
	if (error != 0)
		str_copy(why, start_fault(error), EVENTS_WHY_MAX);
	return error;
}

static void say_on(const char *how)
{
	if (port == EVENT_PORT_NONE)
		log_info("trace: on%s; no port for events is used: the newest stay in memory, for "
		         "trace dump",
		         how);
	else
		log_info("trace: on%s; events go to %s", how, event_port_name(port));
}

int events_on(const char *words, char why[EVENTS_WHY_MAX])
{
	int error = start(words, why);

	if (error != 0)
		return error;
	say_on("");
	events_start_thread();
	return 0;
}

int events_off(void)
{
	int error;

	__atomic_store_n(&should_stop, true, __ATOMIC_RELEASE);
	if (thread != NULL)
		thread_join(thread);
	thread = NULL;
	error = event_stop();
	if (error == 0 && event_port_stuck())
		log_warn("trace: the %s stopped taking bytes: the stream is not whole",
		         event_port_name(port));
	if (error == -EAGAIN)
		events_start_thread();
	return error;
}

/* --- the boot, and ends --- */

void events_boot(const struct options *o)
{
	char why[EVENTS_WHY_MAX];

	if (!o->has_trace)
		return;
	if (start(o->trace, why) != 0)
		log_warn("trace: %s; nothing is recorded", why);
	else
		say_on(" from the boot");
}

void events_finish(void)
{
	struct event_stats s;

	event_stats(&s);
	if (!s.on)
		return;
	if (events_off() != 0)
		log_warn("trace: other CPUs cannot be told now: the stream has no end");
	event_stats(&s);
	kprintf("trace: %lu events, %lu lost, %lu bytes to %s\n", s.nr_recorded, s.nr_lost,
	        s.nr_bytes, event_port_name(port));
}

/* --- text --- */

/* Microseconds since they were turned on. */
u64 events_microseconds(u64 time)
{
	u64 ticks = time - start_time;

	return ticks_a_second == 0 ? ticks
	                           : (u64)((unsigned __int128)ticks * 1000000 / ticks_a_second);
}

void events_dump(size_t n)
{
	static struct event last[EVENTS_DUMP_MAX]; /* the monitor's thread; or a panic */
	char text[EVENT_TEXT_MAX];

	n = event_last(last, min_u64(n, EVENTS_DUMP_MAX));
	for (size_t i = 0; i < n; i++) {
		u64 us = events_microseconds(last[i].time);

		kprintf("%5lu.%06lu cpu %u %s\n", us / 1000000, us % 1000000, last[i].cpu,
		        event_text(text, &last[i]));
	}
}

void events_status(void)
{
	char groups[64];
	struct event_stats s;

	event_stats(&s);
	if (s.nr_records == 0) {
		kprintf("trace: off\n");
		return;
	}
	kprintf("trace: %s %s, to %s\n",
	        s.on ? "on:" : "off; was on:", event_groups_text(groups, s.groups),
	        event_port_name(port));
	kprintf("       %lu events recorded, %lu lost, %lu waiting; %u a CPU's ring; %lu bytes "
	        "written\n",
	        s.nr_recorded, s.nr_lost, s.nr_waiting, s.nr_records, s.nr_bytes);
}

const char *events_port_name(void)
{
	return event_port_name(port);
}

void events_panic(void)
{
	struct event_stats s;

	event_stats(&s);
	if (!s.on)
		return;
	kprintf("last events:\n");
	events_dump(PANIC_EVENTS);
	(void)event_drain(SIZE_MAX);
}
