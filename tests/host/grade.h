/*
 * A graded run on the host: every test in a process of its own.
 */
#pragma once

#include <lib/types.h>

struct grade_options {
	int key_fd;       /* the key is read there (tests/sign.h) */
	unsigned seconds; /* of the processor, after which a test, or the boot, counts as hung */
	const char *filter;
	u64 seed, mem;
	bool stop; /* behind the first test that does not seem to pass */
};

/* Returns the program's exit status: 0 if all tests ran, whatever became of them; 2 if none could.
 */
int grade_run(const struct grade_options *options);
