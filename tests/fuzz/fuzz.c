/*
 * Between libFuzzer and a target: see fuzz.h. Everything that is wrong ends in abort(), which
 * libFuzzer reports together with the bytes that led there.
 */
#include <lib/format.h>
#include <lib/platform.h>
#include <stdio.h>
#include <stdlib.h>
#include <tests/fuzz/fuzz.h>
#include <tests/host/machine.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const u8 *data, size_t size);

static struct {
	bool armed;
	u64 irq_flags;
	jmp_buf jump;
	char line[256];
} trap;

/* --- findings --- */

static _Noreturn void finding(const char *text)
{
	fflush(stdout);
	fprintf(stderr, "FINDING: %s\n", text);
	abort();
}

void fuzz_fail(const char *file, int line, const char *fmt, ...)
{
	char why[300], text[400];
	va_list args;

	va_start(args, fmt);
	vformat_buf(why, sizeof(why), fmt, args);
	va_end(args);
	format_buf(text, sizeof(text), "%s:%d: %s", file, line, why);
	finding(text);
}

static void catch_panic(const char *line)
{
	char text[300];

	if (trap.armed) {
		trap.armed = false;
		irq_restore(trap.irq_flags);
		str_copy(trap.line, line, sizeof(trap.line));
		longjmp(trap.jump, 1);
	}
	format_buf(text, sizeof(text), "panic: %s", line);
	finding(text);
}

jmp_buf *fuzz_trap_arm(void)
{
	trap.irq_flags = irq_save();
	irq_restore(trap.irq_flags);
	trap.armed = true;
	return &trap.jump;
}

void fuzz_trap_caught(const char *file, int line, const char *start)
{
	if (strncmp(trap.line, start, strlen(start)) != 0)
		fuzz_fail(file, line, "panicked with \"%s\", not \"%s\"", trap.line, start);
}

/* --- memory --- */

void *exact_alloc(size_t size)
{
	void *p = malloc(size);

	if (p == NULL)
		finding("out of memory in the fuzzer itself");
	memset(p, 0xa5, size);
	return p;
}

void exact_free(void *p)
{
	free(p);
}

u8 *input_take_rest(struct input *in, size_t *size, bool terminated)
{
	u8 *copy = exact_alloc(in->left + terminated);

	memcpy(copy, in->at, in->left);
	if (terminated)
		copy[in->left] = 0;
	*size = in->left;
	in->at += in->left;
	in->left = 0;
	return copy;
}

/* --- libFuzzer's entries --- */

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	host_log_level = 0; /* lines are formatted, and not shown */
	panic_set_catcher(catch_panic);
	return 0;
}

int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	struct input in = {data, size};

	fuzz_one(&in);
	if (!irq_is_enabled())
		finding("interrupts are off at the end");
	return 0;
}
