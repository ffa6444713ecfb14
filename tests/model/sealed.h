/* For tests that exchange what only the boot writes (__ro_after_init). */
#pragma once

#include <lib/types.h>

/* Stores a word there, sealed or not. The kernel's: tests/kernel/seal_test.c. */
void sealed_store(void *to, u64 word);
