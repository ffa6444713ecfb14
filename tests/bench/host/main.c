/*
 * The benchmark's program: runs one workload on one allocator and prints its figures, a line each.
 * bench_host.py runs it many times over and compares; see work.h and docs/benchmarks-host.md.
 */
#include <tests/bench/host/work.h>

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

unsigned nr_blocks = 31;
static bool counting;

static const struct work *const groups[] = {pair_works, batch_works, mix_works, thread_works,
                                            replay_works};

void fail(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("bench: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(status);
}

static double ns_of(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double wall_ns(void)
{
	return ns_of(CLOCK_MONOTONIC);
}

double cpu_ns(void)
{
	return ns_of(CLOCK_THREAD_CPUTIME_ID);
}

/* Callgrind's counts start and end with this function: its name is an option there. */
__noinline void measured(void (*body)(void));
__noinline void measured(void (*body)(void))
{
	body();
	__asm__ volatile("" : : : "memory"); /* not a jump: the function returns after the body */
}

void phase_add(struct phase *p, double ns)
{
	if (p->nr < MAX_BLOCKS)
		p->block[p->nr++] = ns / (double)p->ops;
}

void phase_run(struct phase *p, void (*body)(void))
{
	double start = cpu_ns();

	measured(body);
	phase_add(p, cpu_ns() - start);
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(const struct phase *p)
{
	double sorted[MAX_BLOCKS];

	memcpy(sorted, p->block, p->nr * sizeof(sorted[0]));
	qsort(sorted, p->nr, sizeof(sorted[0]), compare);
	return p->nr % 2 ? sorted[p->nr / 2] : (sorted[p->nr / 2 - 1] + sorted[p->nr / 2]) / 2;
}

void report(const char *name, double value)
{
	printf("%s %.9g\n", name, value);
}

void phase_report(const struct phase *p)
{
	report(p->name, counting ? (double)p->ops : median(p));
}

void *table(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

	if (p == MAP_FAILED)
		fail(STATUS_FAILED, "no memory for a table of %zu bytes", bytes);
	return p;
}

u32 mix_size(struct lcg *g)
{
	u32 a = lcg_next(g) >> 16, b = lcg_next(g) >> 16, log = (a < b ? a : b) * 9;
	u32 base = 16u << (log >> 16);

	return base + (u32)((u64)base * (log & 0xffff) >> 16);
}

static void print_help(void)
{
	puts("usage: PROGRAM [--blocks N | --count] WORKLOAD [ARGUMENT]\n"
	     "Runs one workload on the allocator that the program was built or started with, and\n"
	     "prints its figures: nanoseconds an operation, bytes, or ratios.\n\n"
	     "  --blocks N  how many blocks a figure is the median of, 1 to 64 (default: 31)\n"
	     "  --count     one block a figure, for callgrind; prints how many operations it has\n"
	     "  --help      this text\n\n"
	     "Workloads:");
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		for (const struct work *w = groups[i]; w->name != NULL; w++)
			printf("  %-24s %s\n", w->name, w->what);
	exit(0);
}

static const struct work *find(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(groups); i++)
		for (const struct work *w = groups[i]; w->name != NULL; w++)
			if (strcmp(w->name, name) == 0)
				return w;
	fail(STATUS_USAGE, "no workload %s (see --help)", name);
}

static void set_blocks(const char *text)
{
	char *end;
	unsigned long n = text ? strtoul(text, &end, 10) : 0;

	if (n == 0 || n > MAX_BLOCKS || *end != '\0')
		fail(STATUS_USAGE, "--blocks needs a number from 1 to %u", MAX_BLOCKS);
	nr_blocks = (unsigned)n;
}

int main(int argc, char **argv)
{
	int i = 1;

	for (; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--help") == 0)
			print_help();
		else if (strcmp(argv[i], "--count") == 0)
			counting = true, nr_blocks = 1;
		else if (strcmp(argv[i], "--blocks") == 0)
			set_blocks(argv[++i]);
		else
			fail(STATUS_USAGE, "unknown option %s (see --help)", argv[i]);
	}
	if (i >= argc || argc - i > 2)
		fail(STATUS_USAGE, "needs a workload, and at most one argument (see --help)");
	find(argv[i])->run(argv[i + 1]);
	return 0;
}
