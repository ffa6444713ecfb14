/*
 * The host's test program: brings the memory manager up on a machine in this process, and runs the
 * tests that need no real one. Exit status: 0 all passed, 1 a test failed, 2 wrong usage or no test
 * matched, 37 a panic or a sanitizer's report.
 */
#include <lib/platform.h>
#include <mm/debug.h>
#include <mm/harden.h>
#include <mm/mm.h>
#include <tests/host/grade.h>
#include <tests/host/machine.h>
#include <tests/test.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>

#define MEM_MIN (16 * MIB)
#define MEM_DEFAULT (512 * MIB)

#define NOT_GRADED UINT64_MAX

enum { STATUS_PASSED, STATUS_FAILED, STATUS_USAGE };

static struct {
	const char *filter, *slab_debug;
	u64 seed, mem;
	u64 grade, seconds; /* grade: a descriptor, NOT_GRADED if none */
	bool list, stop, init_on_alloc, init_on_free, harden;
} options = {.mem = MEM_DEFAULT, .grade = NOT_GRADED, .seconds = 10};

static void print_help(const char *program)
{
	printf(
	    "usage: %s [OPTION]...\n"
	    "Runs the tests on this machine; the report is KTAP.\n\n"
	    "  --filter PATTERN  only the tests suite.name that match; * ?, a suite alone, !suite\n"
	    "                    means all of it, several are separated by commas (default: all)\n"
	    "  --seed N          the seed of the random tests (default: a random one, printed)\n"
	    "  --mem SIZE        memory of the machine, %llu M or more; K, M, G, T (default: "
	    "%lluM)\n"
	    "  --slab-debug TEXT checks in the allocators, as the kernel's slab_debug= "
	    "(FZPUQ;...)\n"
	    "  --init-on-alloc   zero all memory that is allocated\n"
	    "  --init-on-free    zero all memory that is freed\n"
	    "  --harden          all of mm/harden.h, with the run's seed\n"
	    "  --list            print the names of the tests, run none\n"
	    "  --grade FD        each test in a process of its own, results signed with the key "
	    "that\n"
	    "                    is read there (tests/sign.h)\n"
	    "  --seconds N       with --grade: after which a test counts as hung (default: 10)\n"
	    "  --stop            with --grade: no more tests behind the first that fails\n"
	    "  --quiet           without the memory manager's log\n"
	    "  --help            this text\n",
	    program, MEM_MIN / MIB, MEM_DEFAULT / MIB);
}

static _Noreturn void wrong_usage(const char *what, const char *arg)
{
	fprintf(stderr, "tests: %s: %s (see --help)\n", what, arg);
	exit(STATUS_USAGE);
}

static u64 read_number(const char *option, const char *text, bool suffixes)
{
	u64 value;

	if (str_to_u64(text, suffixes, &value) != 0)
		wrong_usage(option, "needs a number");
	return value;
}

/* Options with a value; returns false when the name is not one. */
static bool set_option(const char *name, const char *value)
{
	if (strcmp(name, "--filter") == 0)
		options.filter = value;
	else if (strcmp(name, "--seed") == 0)
		options.seed = read_number(name, value, false);
	else if (strcmp(name, "--slab-debug") == 0)
		options.slab_debug = value;
	else if (strcmp(name, "--grade") == 0)
		options.grade = read_number(name, value, false);
	else if (strcmp(name, "--seconds") == 0)
		options.seconds = read_number(name, value, false);
	else if (strcmp(name, "--mem") == 0)
		options.mem = read_number(name, value, true);
	else
		return false;
	return true;
}

static void read_options(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--help") == 0) {
			print_help(argv[0]);
			exit(STATUS_PASSED);
		} else if (strcmp(argv[i], "--list") == 0) {
			options.list = true;
		} else if (strcmp(argv[i], "--stop") == 0) {
			options.stop = true;
		} else if (strcmp(argv[i], "--init-on-alloc") == 0) {
			options.init_on_alloc = true;
		} else if (strcmp(argv[i], "--init-on-free") == 0) {
			options.init_on_free = true;
		} else if (strcmp(argv[i], "--harden") == 0) {
			options.harden = true;
		} else if (strcmp(argv[i], "--quiet") == 0) {
			host_log_level = 0;
		} else if (i + 1 == argc || !set_option(argv[i], argv[i + 1])) {
			wrong_usage("unknown option, or its value is missing", argv[i]);
		} else {
			i++;
		}
	}
	if (options.mem < MEM_MIN || options.mem > 4 * TIB)
		wrong_usage("--mem", "needs 16M to 4T");
	if (options.grade != NOT_GRADED && options.grade > INT32_MAX)
		wrong_usage("--grade", "needs the number of an open file");
	if (options.seconds < 1 || options.seconds > 3600)
		wrong_usage("--seconds", "needs 1 to 3600");
}

static u64 random_seed(void)
{
	u32 seed; /* short enough to type */

	if (getrandom(&seed, sizeof(seed), 0) != sizeof(seed))
		seed = (u32)cycles();
	return seed;
}

int main(int argc, char **argv)
{
	struct test_totals totals;
	int result;

	setvbuf(stdout, NULL, _IOLBF, 0); /* nothing is lost when a sanitizer ends the process */
	options.seed = random_seed();
	read_options(argc, argv);
	if (options.list)
		return test_list(options.filter) > 0 ? STATUS_PASSED : STATUS_USAGE;

	mm_debug_configure(options.slab_debug, options.init_on_alloc, options.init_on_free);
	if (options.harden)
		mm_harden(&(struct mm_hardening){options.seed, true, true, true, 16});
	if (options.grade != NOT_GRADED)
		return grade_run(&(struct grade_options){(int)options.grade,
		                                         (unsigned)options.seconds, options.filter,
		                                         options.seed, options.mem, options.stop});
	host_machine_boot_pc(options.mem);
	result = test_run_all(options.filter, options.seed);
	test_totals(&totals);
	printf("%u passed, %u failed\n", totals.passed, totals.failed);
	if (result < 0)
		return STATUS_USAGE;
	return result == 0 ? STATUS_PASSED : STATUS_FAILED;
}
