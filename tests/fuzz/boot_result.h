/*
 * What must hold of every struct boot_info and memory map that a boot reader gives, whatever its
 * input: see boot_result.c.
 */
#pragma once

#include <boot/boot_info.h>

/* A map in storage of exactly the capacity that the input asks for, 8 … 263. */
struct boot_result {
	struct boot_info *info; /* exact_alloc() too: garbage before the reader fills it */
	struct memmap map;
};
struct input;
void boot_result_init(struct boot_result *r, struct input *in);
void boot_result_finish(struct boot_result *r);

/* Checks all that does not depend on the protocol, and normalises the map. `error` is the reader's
 * answer. */
void boot_result_check(struct boot_result *r, int error);
