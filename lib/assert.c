/*
 * panic(): formats the one line, and hands it to the catcher if there is one, else to the platform.
 * Lines longer than the buffer are cut: the fixed words that people search for stand first.
 */
#include <lib/assert.h>
#include <lib/format.h>
#include <lib/platform.h>

#define PANIC_LINE_MAX 256

static panic_catcher catcher;

panic_catcher panic_set_catcher(panic_catcher new_catcher)
{
	return __atomic_exchange_n(&catcher, new_catcher, __ATOMIC_SEQ_CST);
}

void panic(const char *fmt, ...)
{
	panic_catcher catch_line = __atomic_load_n(&catcher, __ATOMIC_SEQ_CST);
	char line[PANIC_LINE_MAX];
	va_list args;

	va_start(args, fmt);
	vformat_buf(line, sizeof(line), fmt, args);
	va_end(args);
	if (catch_line)
		catch_line(line);
	platform_panic(line);
}
