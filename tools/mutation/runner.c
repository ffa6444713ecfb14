/*
 * The host's tests as a server for tools/mutate: stands in for tests/host/main.c and tests/test.c.
 *
 * The sources it is linked with hold all mutants behind a switch on mutant_now (schema.py). The
 * server brings the memory manager up, and for each request forks a process that sets mutant_now
 * and runs tests until one fails: a mutant sees a fresh process, without the cost of starting one.
 * With the argument "unbooted" the boot is left to the forked process, with the mutant: for those
 * in functions that run at boot. Requests and answers are lines:
 *
 *     names          the names of all tests, a line each; their numbers are their places, from 0
 *     tests T,T,…    runs each of these alone, unchanged. A line for the boot and for each:
 *                    NAME STATUS MICROSECONDS .FUNCTION,… .FUNCTION,… (entered by the test itself,
 *                    and by the gates before and after it)
 *     times N,N,…    what each test, by number, takes alone, as another server measured it
 *     run M L T,T,…  mutant M: the tests with these numbers, in this order. Each may use L times
 *                    the time that it took alone, and 30 ms. The answer is STATUS
 *                    and the test: passed, failed (a test did, or a panic or a sanitizer ended the
 *                    process), crashed (a signal did), timeout
 *     body M L T,T,… the same, but the mutant is there only while the tests themselves run: the
 *                    gates judge what it left behind by the unchanged code
 *
 * A mutant that never ends is stopped by its process's own timer of processor time; one that sleeps
 * for ever, by an alarm. The framework is included, not linked, so that its parts can be called one
 * by one.
 */
#include <tests/test.inc> /* a copy of tests/test.c */

#include <tests/host/machine.h>

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define MEMORY (512 * MIB) /* as tests/host/main.c */
#define MAX_FUNCTIONS 4096 /* a page of bytes */
#define MAX_TESTS 4096
#define SLACK_US 30000 /* the clock of a busy machine is not exact */
#define BOOT_US 100000  /* more than bringing up that machine takes */
#define ALARM_SECONDS 60

unsigned mutant_now;
unsigned char mutant_entered[MAX_FUNCTIONS] __attribute__((aligned(4096)));

static bool unbooted;            /* the forked processes boot */
static long alone_us[MAX_TESTS]; /* what each test took alone */
static volatile struct {
	int test; /* the current one; -1: it boots */
	long us;
	unsigned char entered[MAX_FUNCTIONS], in_gates[MAX_FUNCTIONS];
} * shared; /* with the forked process */
static struct {
	struct test test; /* the current one, with run_inside() for its function */
	void (*run)(void);
	unsigned mutant;
	bool counts; /* what it enters is kept */
} inside;

static _Noreturn void give_up(const char *what)
{
	perror(what);
	exit(2);
}

static long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

static void limit_us(long us)
{
	struct itimerval limit = {.it_value = {us / 1000000, us % 1000000}};

	setitimer(ITIMER_PROF, &limit, NULL);
}

static const struct test *test_number(int i)
{
	return __start_strata_tests[i];
}

static int nr_tests(void)
{
	return (int)(__stop_strata_tests - __start_strata_tests);
}

static void move_entered(volatile unsigned char to[MAX_FUNCTIONS])
{
	for (unsigned f = 0; f < MAX_FUNCTIONS; f++) {
		to[f] |= mutant_entered[f];
		mutant_entered[f] = 0;
	}
}

/* The test itself, between the gates. */
static void run_inside(void)
{
	unsigned outside = mutant_now;

	if (inside.counts)
		move_entered(shared->in_gates);
	mutant_now = inside.mutant;
	if (__builtin_setjmp(run.end) == 0)
		inside.run();
	mutant_now = outside;
	if (inside.counts)
		move_entered(shared->entered);
	else if (run.failed)
		_exit(1); /* the gates would add nothing */
}

static bool test_passes(int i)
{
	char name[128];

	shared->test = i;
	full_name(test_number(i), name);
	inside.test = *test_number(i);
	inside.run = inside.test.run;
	inside.test.run = run_inside;
	begin_test(&inside.test, name);
	run_test(&inside.test);
	run.current = NULL;
	return !run.failed;
}

/* The next number of a list with commas. */
static bool take_number(char **list, long *number)
{
	char *at = *list;

	*number = strtol(at, list, 10);
	if (*list == at)
		return false;
	*list += **list == ',';
	return true;
}

/* --- In the forked process --- */

/* The time is up. A test that had failed before it hung has failed. */
static void on_timer(int signal_number)
{
	if (run.failed)
		_exit(1);
	signal(signal_number, SIG_DFL);
	raise(signal_number);
}

static void begin_child(unsigned mutant, bool everywhere, long factor)
{
	int nowhere = open("/dev/null", O_RDWR);

	dup2(nowhere, 0);
	dup2(nowhere, 1);
	dup2(nowhere, 2);
	signal(SIGPROF, on_timer);
	alarm(ALARM_SECONDS);
	limit_us(factor * BOOT_US);
	shared->test = -1;
	inside.mutant = mutant;
	mutant_now = everywhere ? mutant : 0;
	if (unbooted)
		host_machine_boot_pc(MEMORY);
}

static _Noreturn void run_list(unsigned mutant, bool everywhere, long factor, char *list)
{
	long test;

	begin_child(mutant, everywhere, factor);
	while (take_number(&list, &test)) {
		alarm(ALARM_SECONDS);
		limit_us(factor * (alone_us[test] + SLACK_US));
		if (!test_passes((int)test))
			_exit(1);
	}
	_exit(0);
}

/* What is entered counts from now on, in the processes that a test forks too. */
static void begin_record(void)
{
	if (mmap(mutant_entered, sizeof(mutant_entered), PROT_READ | PROT_WRITE,
	         MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED)
		give_up("runner");
	for (unsigned f = 0; f < MAX_FUNCTIONS; f++)
		shared->entered[f] = shared->in_gates[f] = 0;
}

static _Noreturn void run_alone(int i)
{
	bool passed;
	long began;

	begin_child(0, true, 0);
	limit_us(100 * 1000000);
	alarm(5 * ALARM_SECONDS); /* of a machine that others use too */
	begin_record();
	inside.counts = true;
	began = now_us();
	passed = test_passes(i);
	shared->us = now_us() - began;
	move_entered(shared->in_gates);
	_exit(!passed);
}

/* --- In the server --- */

static const char *wait_for(pid_t child)
{
	int status;

	if (child < 0 || waitpid(child, &status, 0) != child)
		give_up("runner: fork");
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGPROF || WTERMSIG(status) == SIGALRM))
		return "timeout";
	if (WIFSIGNALED(status))
		return "crashed";
	return WEXITSTATUS(status) == 0 ? "passed" : "failed";
}

static void print_entered(const volatile unsigned char entered[MAX_FUNCTIONS])
{
	printf(" .");
	for (unsigned f = 0; f < MAX_FUNCTIONS; f++)
		if (entered[f])
			printf("%u,", f);
}

static void answer_names(void)
{
	for (int i = 0; i < nr_tests(); i++)
		printf("%s.%s\n", test_number(i)->suite, test_number(i)->name);
	printf("end\n");
}

static void answer_tests(char *list)
{
	long i;

	printf("boot passed 0");
	print_entered(mutant_entered);
	printf(" .\n");
	while (take_number(&list, &i)) {
		pid_t child = fork();

		if (child == 0)
			run_alone((int)i);
		printf("%s.%s %s", test_number((int)i)->suite, test_number((int)i)->name,
		       wait_for(child));
		alone_us[i] = shared->us;
		printf(" %ld", alone_us[i]);
		print_entered(shared->entered);
		print_entered(shared->in_gates);
		printf("\n");
	}
	printf("end\n");
}

static void take_times(char *list)
{
	for (int i = 0; i < MAX_TESTS && take_number(&list, &alone_us[i]); i++)
		;
}

static void answer_run(unsigned mutant, bool everywhere, long factor, char *list)
{
	pid_t child = fork();

	if (child == 0)
		run_list(mutant, everywhere, factor, list);
	printf("%s", wait_for(child));
	printf(" %d\n", shared->test);
}

int main(int argc, char **argv)
{
	char *line = NULL, *list = NULL;
	size_t size = 0;
	unsigned mutant;
	long factor;

	shared =
	    mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (shared == MAP_FAILED || nr_tests() > MAX_TESTS)
		give_up("runner");
	host_log_level = 0;
	run.seed = 1;
	unbooted = argc == 2 && strcmp(argv[1], "unbooted") == 0;
	if (!unbooted)
		host_machine_boot_pc(MEMORY);
	while (getline(&line, &size, stdin) > 0) {
		if (strcmp(line, "names\n") == 0)
			answer_names();
		else if (sscanf(line, "tests %ms", &list) == 1)
			answer_tests(list);
		else if (sscanf(line, "times %ms", &list) == 1)
			take_times(list);
		else if (sscanf(line, "run %u %ld %ms", &mutant, &factor, &list) == 3)
			answer_run(mutant, true, factor, list);
		else if (sscanf(line, "body %u %ld %ms", &mutant, &factor, &list) == 3)
			answer_run(mutant, false, factor, list);
		else
			return 2;
		free(list);
		list = NULL;
		fflush(stdout);
	}
	return 0;
}
