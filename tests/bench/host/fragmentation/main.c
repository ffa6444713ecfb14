/*
 * The fragmentation program: one experiment on one placer, figures on standard output.
 * fragmentation.py runs it for all and compares; docs/fragmentation.md.
 */
#include <tests/bench/host/fragmentation/placer.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

void fail(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("fragmentation: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

void *table(u64 bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		fail(STATUS_FAILED, "no memory for a table of %llu bytes",
		     (unsigned long long)bytes);
	madvise(p, bytes, MADV_HUGEPAGE); /* they are large, and walked at random */
	return p;
}

static void print_help(void)
{
	puts("usage: fragmentation [OPTION]... PLACER churn\n"
	     "       fragmentation [OPTION]... PLACER replay TRACE\n"
	     "churn: half the memory live at random, rounds of random reallocation; prints after\n"
	     "each round the share of the possible free 2 MiB frames that are free.\n"
	     "replay: a trace of pages (plain text); prints what can be allocated at its peak, at\n"
	     "the worst moment and at its end.\n\n"
	     "  --memory MIB  MiB of memory, 16 or more (default: 1024)\n"
	     "  --rounds N    default: 100\n"
	     "  --percent N   of the live pages reallocated in a round, 1 to 100 (default: 10)\n"
	     "  --seed N      default: 1\n"
	     "  --help        this text\n\n"
	     "Placers:");
	printf("  %-10s %s\n", strata_placer.name, strata_placer.what);
	for (const struct placer *p = textbook_placers; p->name != NULL; p++)
		printf("  %-10s %s\n", p->name, p->what);
	exit(0);
}

static const struct placer *find_placer(const char *name)
{
	if (strcmp(name, strata_placer.name) == 0)
		return &strata_placer;
	for (const struct placer *p = textbook_placers; p->name != NULL; p++)
		if (strcmp(name, p->name) == 0)
			return p;
	fail(STATUS_USAGE, "no placer %s (see --help)", name);
}

static u64 read_number(const char *option, const char *text, u64 min, u64 max)
{
	char *end = NULL;
	u64 n = text != NULL ? strtoull(text, &end, 10) : 0;

	if (text == NULL || end == text || *end != '\0' || n < min || n > max)
		fail(STATUS_USAGE, "%s needs a number from %llu to %llu", option,
		     (unsigned long long)min, (unsigned long long)max);
	return n;
}

static void set_option(struct options *o, const char *option, const char *value)
{
	if (strcmp(option, "--help") == 0)
		print_help();
	else if (strcmp(option, "--memory") == 0)
		o->memory = read_number(option, value, 16, 8 * MIB) * MIB;
	else if (strcmp(option, "--rounds") == 0)
		o->rounds = (unsigned)read_number(option, value, 0, 1000000);
	else if (strcmp(option, "--percent") == 0)
		o->percent = (unsigned)read_number(option, value, 1, 100);
	else if (strcmp(option, "--seed") == 0)
		o->seed = read_number(option, value, 0, UINT64_MAX);
	else
		fail(STATUS_USAGE, "unknown option %s (see --help)", option);
}

int main(int argc, char **argv)
{
	struct options o = {.memory = GIB, .seed = 1, .rounds = 100, .percent = 10};
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i += 2)
		set_option(&o, argv[i], argv[i + 1]);
	if (argc - i == 2 && strcmp(argv[i + 1], "churn") == 0) {
		run_churn(find_placer(argv[i]), &o);
	} else if (argc - i == 3 && strcmp(argv[i + 1], "replay") == 0) {
		o.trace = argv[i + 2];
		run_replay(find_placer(argv[i]), &o);
	} else {
		fail(STATUS_USAGE, "needs a placer and an experiment (see --help)");
	}
	return 0;
}
