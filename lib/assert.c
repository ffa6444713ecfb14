/*
 * panic(): formats the one line, and hands it to the catcher if there is one, else to the platform.
 * Lines longer than the buffer are cut: the fixed words that people search for stand first.
 */
#include <lib/assert.h>
#include <lib/format.h>
#include <lib/platform.h>

#define PANIC_LINE_MAX 256

static panic_catcher catcher;
static panic_teller story;
static const void *story_subject;

panic_catcher panic_set_catcher(panic_catcher new_catcher)
{
	return __atomic_exchange_n(&catcher, new_catcher, __ATOMIC_SEQ_CST);
}

static _Noreturn void end_with(const char *fmt, va_list args) __printf(1, 0);
static _Noreturn void end_with(const char *fmt, va_list args)
{
	panic_catcher catch_line = __atomic_load_n(&catcher, __ATOMIC_SEQ_CST);
	char line[PANIC_LINE_MAX];

	vformat_buf(line, sizeof(line), fmt, args);
	if (catch_line)
		catch_line(line);
	platform_panic(line);
}

void panic(const char *fmt, ...)
{
	va_list args;

	story = NULL; /* of a panic that a test caught */
	va_start(args, fmt);
	end_with(fmt, args);
}

/* Two CPUs that panic at once may tell each other's story: both are true. */
void panic_about(panic_teller teller, const void *subject, const char *fmt, ...)
{
	va_list args;

	story_subject = subject;
	story = teller;
	va_start(args, fmt);
	end_with(fmt, args);
}

void panic_story(void)
{
	panic_teller teller = story;

	story = NULL; /* or a panic in it would tell it again */
	if (teller != NULL)
		teller(story_subject);
}
