/*
 * build/host/events: the events (mm/event.h) of an allocation trace that is replayed on the memory
 * manager in this process. The replayer is the kernel's (kernel/replay.c), so the file has what a
 * kernel's would have, for tools/events and tools/report. docs/events.md has its format.
 */
#include <kernel/replay.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/host/machine.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { STATUS_GOOD, STATUS_FAILED, STATUS_USAGE = 64 };

static const char help[] =
    "usage: events [--mem SIZE] [--groups LIST] [--repeat N] TRACE FILE\n"
    "Replays an allocation trace on the memory manager, and writes its events to FILE.\n\n"
    "TRACE (- for standard input) is plain text: docs/traces.md has its format.\n"
    "  --mem SIZE     the machine's memory: 256M, 4G (default: 512M)\n"
    "  --groups LIST  what is recorded, of pages, buddy, objects, slabs, vmalloc, reclaim\n"
    "                 (default: all)\n"
    "  --repeat N     replay it so often (default: 1)\n"
    "  --help         this text\n\n"
    "Exit status: 0; 1 after one line on standard error that says what failed; 64 wrong usage.\n";

struct arguments {
	const char *trace, *file;
	u64 mem, repeat;
	u32 groups;
};

static _Noreturn void fail(int status, const char *what, const char *why)
{
	fprintf(stderr, "events: %s: %s%s\n", what, why,
	        status == STATUS_USAGE ? " (events --help)" : "");
	exit(status);
}

/* --- the command line --- */

static u64 number(const char *option, const char *text, u64 min, u64 max)
{
	static const char units[] = "KMGT";
	char *end;
	u64 n = strtoull(text, &end, 10);
	const char *unit = *end != '\0' ? strchr(units, *end) : NULL;

	if (unit != NULL) {
		n <<= 10 * (unit - units + 1);
		end++;
	}
	if (end == text || *end != '\0' || n < min || n > max)
		fail(STATUS_USAGE, option, "no number in its range");
	return n;
}

static void set_option(struct arguments *a, const char *option, const char *value)
{
	if (value == NULL)
		fail(STATUS_USAGE, option, "no such option, or no value after it");
	if (strcmp(option, "--mem") == 0)
		a->mem = number(option, value, 32 * MIB, 4 * TIB);
	else if (strcmp(option, "--repeat") == 0)
		a->repeat = number(option, value, 1, 1000000);
	else if (strcmp(option, "--groups") != 0)
		fail(STATUS_USAGE, option, "no such option");
	else if (event_parse_groups(value, &a->groups) != 0)
		fail(STATUS_USAGE, value, "not pages, buddy, objects, slabs, vmalloc, reclaim");
}

static void parse(struct arguments *a, char **arg)
{
	for (; *arg != NULL; arg++) {
		if (strcmp(*arg, "--help") == 0) {
			fputs(help, stdout);
			exit(STATUS_GOOD);
		}
		if ((*arg)[0] == '-' && (*arg)[1] == '-') {
			set_option(a, arg[0], arg[1]);
			arg++;
		} else if (a->trace == NULL) {
			a->trace = *arg;
		} else if (a->file == NULL) {
			a->file = *arg;
		} else {
			fail(STATUS_USAGE, *arg, "one trace and one file");
		}
	}
	if (a->file == NULL)
		fail(STATUS_USAGE, "arguments", "a trace and a file are needed");
}

/* --- files --- */

static char *read_all(const char *name, size_t *length)
{
	FILE *in = strcmp(name, "-") == 0 ? stdin : fopen(name, "rb");
	size_t room = 1 << 20, n;
	char *text = malloc(room);

	if (in == NULL)
		fail(STATUS_FAILED, name, strerror(errno));
	for (*length = 0;
	     text != NULL && (n = fread(text + *length, 1, room - *length, in)) != 0;) {
		*length += n;
		if (*length == room)
			text = realloc(text, room *= 2);
	}
	if (text == NULL || ferror(in))
		fail(STATUS_FAILED, name, "cannot be read");
	if (in != stdin)
		fclose(in);
	return text;
}

static void put(void *context, const void *bytes, size_t n)
{
	if (fwrite(bytes, 1, n, context) != n)
		fail(STATUS_FAILED, "writing", strerror(errno));
}

static u64 nanoseconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (u64)t.tv_sec * 1000000000 + (u64)t.tv_nsec;
}

/* Ticks a second are known at the end, and belong into the first record. */
static void set_ticks(FILE *out, u64 ticks, u64 ns)
{
	u64 a_second = ns != 0 ? (u64)((unsigned __int128)ticks * 1000000000 / ns) : 0;

	if (fseek(out, 0, SEEK_SET) == 0)
		put(out, &a_second, sizeof(a_second));
}

static void replay(const struct arguments *a, const char *text, size_t length)
{
	struct replay_result result;

	for (u64 i = 0; i < a->repeat; i++)
		if (replay_text(text, length, &result) != 0) {
			fprintf(stderr, "events: %s: line %u: %s\n", a->trace, result.line,
			        result.error);
			exit(STATUS_FAILED);
		}
}

int main(int argc, char **argv)
{
	struct arguments a = {.mem = 512 * MIB, .repeat = 1};
	struct event_options options = {.write = put};
	struct event_stats stats;
	u64 ticks, ns;
	size_t length;
	char *text;
	FILE *out;

	(void)argc;
	parse(&a, argv + 1);
	text = read_all(a.trace, &length);
	out = fopen(a.file, "wb");
	if (out == NULL)
		fail(STATUS_FAILED, a.file, strerror(errno));
	host_log_level = LOG_WARN;
	host_machine_boot_pc(a.mem);
	options.context = out;
	options.groups = a.groups;
	ticks = cycles();
	ns = nanoseconds();
	if (event_start(&options) != 0)
		fail(STATUS_FAILED, "events", "no memory for their rings: more --mem");
	replay(&a, text, length);
	event_stop();
	set_ticks(out, cycles() - ticks, nanoseconds() - ns);
	event_stats(&stats);
	if (fclose(out) != 0)
		fail(STATUS_FAILED, a.file, strerror(errno));
	printf("%lu events, %lu lost, %lu bytes: %s\n", stats.nr_recorded, stats.nr_lost,
	       stats.nr_bytes, a.file);
	return STATUS_GOOD;
}
