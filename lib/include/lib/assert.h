/*
 * Three prices of checking (see docs/style.md):
 *   assert        a caller's mistake: always on, cheap
 *   debug_assert  an inner truth in O(1): only in CONFIG=debug
 *   X_check()     walks everything and names the broken invariant: for tests, fuzzers, the monitor
 */
#pragma once

#include <lib/types.h>

/*
 * Stops the machine with one line. The line is fixed text and numbers ("buddy: double free pfn=…
 * order=…"), so that people can search for it and tests can expect it. No newline at its end. Any
 * context.
 */
_Noreturn __cold void panic(const char *fmt, ...) __printf(1, 2);

/*
 * The same about something that there is more to say of: the platform has it printed after the
 * line, by panic_story(), which calls story(subject). Whatever catches the line hears no story.
 */
typedef void (*panic_teller)(const void *subject);
_Noreturn __cold void panic_about(panic_teller story, const void *subject, const char *fmt, ...)
    __printf(3, 4);

/* Tells the story of the panic that is being reported, if it has one; once. For the platform. */
void panic_story(void);

#define assert(cond)   \
	(likely(cond)  \
	     ? (void)0 \
	     : panic("assertion failed: %s (%s:%d, %s)", #cond, __FILE__, __LINE__, __func__))

#ifdef CONFIG_DEBUG
#define debug_assert(cond) assert(cond)
#else
#define debug_assert(cond) ((void)sizeof(!(cond)))
#endif

/*
 * While a catcher is set, panic() hands it the formatted line instead of stopping the machine; it
 * must not return. Tests use it to expect a panic. Returns the catcher set before; NULL restores
 * the default.
 */
typedef void (*panic_catcher)(const char *line);
panic_catcher panic_set_catcher(panic_catcher catcher);
