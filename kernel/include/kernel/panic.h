/*
 * The end of a machine that can't be trusted any more. lib/assert.h's panic() arrives at
 * platform_panic().
 */
#pragma once

#include <kernel/trap.h>

/* The report and the end after an unexpected exception. */
_Noreturn void panic_trap(const struct trap_frame *f);
