/*
 * Panics and the stories that go with them: a story is told once, after its own panic and no other.
 * And, in a process that may end by it, that a panic nobody catches gets to the platform.
 */
#include <lib/assert.h>
#include <lib/string.h>
#include <tests/test.h>

static const void *told_about;
static unsigned nr_told;

static void tell(const void *subject)
{
	told_about = subject;
	nr_told++;
}

static void tell_badly(const void *subject)
{
	tell(subject);
	panic_story(); /* as a panic in it would */
}

static void expect_told(unsigned times, const void *subject)
{
	nr_told = 0;
	told_about = NULL;
	panic_story();
	EXPECT_EQ(nr_told, times);
	EXPECT_TRUE(told_about == subject);
}

TEST(assert, a_story_is_told_once)
{
	EXPECT_PANIC("number 7", panic_about(tell, &nr_told, "number %d", 7));
	expect_told(1, &nr_told);
	expect_told(0, NULL);
	EXPECT_PANIC("again", panic_about(tell, &told_about, "again"));
	expect_told(1, &told_about);
}

TEST(assert, a_story_that_panics_is_not_told_again)
{
	EXPECT_PANIC("bad", panic_about(tell_badly, &nr_told, "bad"));
	expect_told(1, &nr_told);
}

TEST(assert, a_story_belongs_to_its_own_panic)
{
	EXPECT_PANIC("with", panic_about(tell, &nr_told, "with"));
	EXPECT_PANIC("without", panic("without"));
	expect_told(0, NULL);
}

#if __STDC_HOSTED__
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* What a process says that panics, and its status. */
static int panic_in_child(char *text, size_t size)
{
	int ends[2], status = 0;
	ssize_t n, length = 0;
	pid_t child;

	ASSERT_EQ(pipe(ends), 0);
	fflush(stdout);
	child = fork();
	ASSERT_GE(child, 0);
	if (child == 0) {
		dup2(ends[1], STDERR_FILENO);
		(void)panic_set_catcher(NULL);
		panic("nobody catches number %d", 5);
	}
	close(ends[1]);
	while ((n = read(ends[0], text + length, size - 1 - (size_t)length)) > 0)
		length += n;
	text[length] = '\0';
	close(ends[0]);
	EXPECT_EQ(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

TEST(assert, a_panic_that_nobody_catches_stops_the_machine)
{
	char text[512];

	EXPECT_EQ(panic_in_child(text, sizeof(text)), 37);
	EXPECT_EQ(strncmp(text, "PANIC: nobody catches number 5 (in assert.", 42), 0);
}
#endif
