/*
 * The monitor's command `trace`: events (kernel/events.c), on, off, looked at.
 */
#include <kernel/events.h>
#include <kernel/monitor.h>
#include <lib/log.h>
#include <lib/string.h>

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

static int dump(const char *number)
{
	u64 n = DUMPED;

	if (number != NULL && !monitor_number("trace", number, &n))
		return -EINVAL;
	if (n == 0 || n > EVENTS_DUMP_MAX) {
		kprintf("trace: dump shows 1 to %u events\n", EVENTS_DUMP_MAX);
		return -EINVAL;
	}
	events_dump(n);
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
