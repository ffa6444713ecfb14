/*
 * A graded run: the code under test is somebody's work, half done and perhaps hostile. What crashes
 * or hangs costs its own test alone, and only what is signed counts (tests/sign.h).
 *
 *     this process      reads the key, prints the signed plan, runs nothing of the code under test
 *       └ the machine   brings the memory manager up, once
 *           └ a test    a copy of it; ends with a signed result, or without one
 *
 * Where the memory manager does not even come up, the tests run without a machine. Those of pure
 * parts need none; the others crash, which is their result.
 *
 * Exit statuses are not believed, and decide nothing but which line of explanation is printed.
 */
#include <tests/host/grade.h>

#include <lib/platform.h>
#include <mm/debug.h>
#include <tests/host/machine.h>
#include <tests/sign.h>
#include <tests/test.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define KEY_DIGITS 32
#define NAME_LENGTH 128
#define PATIENCE 6 /* a busy machine takes longer than its processors do */

static const struct grade_options *options;

static void take_key(int fd)
{
	struct sign_key key;
	char digits[KEY_DIGITS + 1] = "";
	size_t n = 0;
	ssize_t got = 1;

	while (n < KEY_DIGITS && got > 0) {
		got = read(fd, digits + n, KEY_DIGITS - n);
		n += got > 0 ? (size_t)got : 0;
	}
	close(fd);
	if (n != KEY_DIGITS || !sign_key_read(digits, &key)) {
		fprintf(stderr, "tests: --grade: no key there: 32 hexadecimal digits\n");
		exit(2);
	}
	sign_begin(&key);
	explicit_bzero(digits, sizeof(digits));
}

/* Of processor time; and of time as such, for who waits for ever. 0: none. */
static void set_limits(unsigned seconds)
{
	setitimer(ITIMER_PROF, &(struct itimerval){.it_value.tv_sec = seconds}, NULL);
	alarm(PATIENCE * seconds);
}

/* A child that goes when its parent does, and that cannot run for ever. */
static pid_t fork_child(void)
{
	pid_t child;

	fflush(stdout);
	child = fork();
	if (child < 0) {
		perror("tests: fork");
		exit(2);
	}
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		set_limits(options->seconds);
	}
	return child;
}

static void explain(const char *name, int status)
{
	if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGALRM || WTERMSIG(status) == SIGPROF))
		printf("# %s: no end within %u s\n", name, options->seconds);
	else if (WIFSIGNALED(status))
		printf("# %s: ended by signal %d (%s)\n", name, WTERMSIG(status),
		       strsignal(WTERMSIG(status)));
	else if (WEXITSTATUS(status) > 1)
		printf("# %s: stopped\n", name);
}

/* Whether it seems to have passed. */
static bool run_one(const struct test *t)
{
	char name[NAME_LENGTH];
	pid_t child;
	int status;

	snprintf(name, sizeof(name), "%s.%s", t->suite, t->name);
	printf("# begin %s\n", name);
	child = fork_child();
	if (child == 0) {
		int failed = test_run_all(name, options->seed);

		fflush(stdout);
		_exit(failed != 0);
	}
	if (waitpid(child, &status, 0) == child)
		explain(name, status);
	return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* A machine, and all tests on it; ready: told when it is up. */
static _Noreturn void run_machine(bool boots, int ready)
{
	if (boots)
		host_machine_boot_pc(options->mem);
	else
		test_without_machine();
	set_limits(0);
	(void)!write(ready, "", 1);
	close(ready);
	for (const struct test *t = test_next(options->filter, NULL); t != NULL;
	     t = test_next(options->filter, t))
		if (!run_one(t) && options->stop)
			break;
	fflush(stdout);
	_exit(0);
}

/* Whether the machine came up, and so all tests ran. */
static bool run_on(bool boots)
{
	int ready[2], status;
	char up;
	bool came_up;
	pid_t machine;

	if (pipe(ready) != 0) {
		perror("tests: pipe");
		exit(2);
	}
	machine = fork_child();
	if (machine == 0) {
		close(ready[0]);
		run_machine(boots, ready[1]);
	}
	close(ready[1]);
	came_up = read(ready[0], &up, 1) == 1;
	close(ready[0]);
	if (waitpid(machine, &status, 0) == machine && !came_up)
		explain("the boot", status);
	return came_up;
}

int grade_run(const struct grade_options *chosen)
{
	unsigned nr = 0;

	options = chosen;
	take_key(chosen->key_fd);
	for (const struct test *t = test_next(chosen->filter, NULL); t != NULL;
	     t = test_next(chosen->filter, t), nr++)
		sign_line("plan %s.%s", t->suite, t->name);
	if (nr == 0)
		return 2;
	if (!run_on(true)) {
		printf("# without a machine: the memory manager does not start\n");
		if (!run_on(false))
			return 2;
	}
	return 0;
}
