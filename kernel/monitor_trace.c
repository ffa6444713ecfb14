/*
 * The monitor's command `trace`: events (kernel/events.c), on, off, looked at.
 */
#include <kernel/events.h>
#include <kernel/json.h>
#include <kernel/monitor.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/event.h>

#define DUMPED 20

static int turn_on(const char *words)
{
	char why[EVENTS_WHY_MAX];
	int error = events_on(words, why);

	if (error != 0)
		kprintf("trace: %s\n", why);
	else
		events_status();
	return error;
}

static int turn_off(void)
{
	int error = events_off();

	if (error == 0)
		events_status();
	else
		kprintf("trace: %s\n",
		        error == -ENOENT ? "it is off" : "other CPUs cannot be told now");
	return error;
}

/* How many `dump` shows; 0 after a line that says why not. */
static u64 how_many(const char *number)
{
	u64 n = DUMPED;

	if (number != NULL && !monitor_number("trace", number, &n))
		return 0;
	if (n == 0 || n > EVENTS_DUMP_MAX) {
		kprintf("trace: dump shows 1 to %u events\n", EVENTS_DUMP_MAX);
		return 0;
	}
	return n;
}

static int dump(const char *number)
{
	u64 n = how_many(number);

	if (n == 0)
		return -EINVAL;
	events_dump(n);
	return 0;
}

static void json_event(const struct event *e)
{
	const char *cache = event_cache_name(e->cache);
	char site[96];

	json_begin();
	json_text("event", event_kind_name(e->kind));
	json_number("microseconds", events_microseconds(e->time));
	json_number("cpu", e->cpu);
	json_number("address", e->address);
	json_number("size", e->size);
	json_number("order", e->order);
	json_number("node", e->node);
	json_text("cache", cache != NULL ? cache : "");
	json_text("site", e->site != EVENT_NO_SITE ? event_site_name(site, e->site) : "");
	json_end();
}

static int json_dump(const char *number)
{
	static struct event last[EVENTS_DUMP_MAX]; /* the monitor's thread */
	u64 n = how_many(number);

	if (n == 0)
		return -EINVAL;
	n = event_last(last, n);
	for (u64 i = 0; i < n; i++)
		json_event(&last[i]);
	return 0;
}

static void json_status(void)
{
	struct event_stats s;
	char groups[64];

	event_stats(&s);
	json_begin();
	json_text("state", s.on ? "on" : "off");
	json_text("groups", event_groups_text(groups, s.groups));
	json_text("port", events_port_name());
	json_number("recorded", s.nr_recorded);
	json_number("lost", s.nr_lost);
	json_number("waiting", s.nr_waiting);
	json_number("ring_records", s.nr_records);
	json_number("written_bytes", s.nr_bytes);
	json_end();
}

int monitor_trace_json(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "dump") == 0)
		return json_dump(argc > 2 ? argv[2] : NULL);
	if (argc > 1 && (argc > 2 || strcmp(argv[1], "status") != 0)) {
		kprintf("trace: -j goes with status and dump [N]\n");
		return -EINVAL;
	}
	json_status();
	return 0;
}

int monitor_trace(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "status", *word = argc > 2 ? argv[2] : NULL;

	if (strcmp(verb, "on") == 0)
		return turn_on(word != NULL ? word : "");
	if (strcmp(verb, "dump") == 0)
		return dump(word);
	if (strcmp(verb, "off") == 0 && word == NULL)
		return turn_off();
	if (strcmp(verb, "status") == 0 && word == NULL) {
		events_status();
		return 0;
	}
	kprintf("trace: \"%s\" is none of on, off, dump, status; type help trace\n",
	        word != NULL && strcmp(verb, "off") == 0 ? word : verb);
	return -EINVAL;
}
