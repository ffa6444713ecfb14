/*
 * The monitor's `help`: the commands by topic on one screen, a topic's in a line each, and all
 * about one. The topics cut the command table where their first commands stand, so a new row is in
 * the topic of its neighbours.
 */
#include <kernel/monitor.h>
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/string.h>

#define HELP_COLUMNS 68 /* of names, behind the topic's column */
#define HELP_USAGE 24

static int help_one(const char *name)
{
	const struct monitor_command *c = monitor_find(name);

	if (c == NULL)
		return monitor_unknown(name);
	kprintf("%s %s\n%s\n", c->name, c->args, c->help);
	if (c->details != NULL)
		kprintf("%s\n", c->details);
	return 0;
}

/* --- the lists, by topic --- */

/* A topic's commands are those from its first on, to the next topic's. */
static const struct topic {
	const char *name, *about, *first;
} topics[] = {
    {"totals", "what there is, and how much of it is used", "help"},
    {"pages", "pages and addresses, one by one or as a picture", "page"},
    {"by-hand", "allocate, free, take memory in and away", "alloc"},
    {"checks", "look for mistakes, and make some", "check"},
    {"machine", "log, CPUs, threads, locks, page tables", "log"},
    {"work", "measure, load, repeat, end", "bench"},
};

static const struct topic *topic_at(const char *command)
{
	for (unsigned i = 0; i < ARRAY_SIZE(topics); i++)
		if (strcmp(topics[i].first, command) == 0)
			return &topics[i];
	return NULL;
}

static bool ends_topic(const struct monitor_command *c)
{
	return c->name == NULL || topic_at(c->name) != NULL;
}

/* A topic's names, in rows that fit. */
static void print_names(const struct monitor_command *c)
{
	size_t column = 0;

	do {
		size_t width = strlen(c->name) + 1;

		if (column == 0 || column + width > HELP_COLUMNS) {
			kprintf("%s%10s", column == 0 ? "" : "\n", "");
			column = 0;
		}
		kprintf(" %s", c->name);
		column += width;
		c++;
	} while (!ends_topic(c));
	kprintf("\n");
}

static void print_topics(void)
{
	const struct topic *t;

	kprintf("help TOPIC and help COMMAND tell more; help all tells a line of each.\n");
	for (const struct monitor_command *c = monitor_commands; c->name != NULL; c++) {
		t = topic_at(c->name);
		if (t == NULL)
			continue;
		kprintf("\x1b[1m%-10s\x1b[0m %s\n", t->name, t->about);
		print_names(c);
	}
	kprintf("Keys: arrows, Home, End, Delete, Ctrl-A E K U W L C; up and down: history; Tab\n");
}

/* The arguments of the longest commands don't fit the column: they are left to `help COMMAND`. */
static void print_line(const struct monitor_command *c)
{
	char usage[HELP_USAGE + 1];
	size_t length = strlen(c->name) + 1 + strlen(c->args);

	format_buf(usage, sizeof(usage), "%s %s", c->name, length <= HELP_USAGE ? c->args : "...");
	kprintf("%-*s %s\n", (int)HELP_USAGE, usage, c->help);
}

static bool help_topic(const char *name)
{
	bool is_in = strcmp(name, "all") == 0, is_all = is_in, is_known = is_in;

	for (const struct monitor_command *c = monitor_commands; c->name != NULL; c++) {
		const struct topic *t = topic_at(c->name);

		if (t != NULL) {
			is_in = is_all || strcmp(t->name, name) == 0;
			is_known |= is_in;
		}
		if (is_in)
			print_line(c);
	}
	return is_known;
}

int monitor_help(int argc, char **argv)
{
	if (argc == 2 && !help_topic(argv[1]))
		return help_one(argv[1]);
	if (argc == 1)
		print_topics();
	return 0;
}
