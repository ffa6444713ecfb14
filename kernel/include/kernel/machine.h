/*
 * The ends of the machine. The status goes to QEMU's isa-debug-exit device at port 0xf4, which
 * makes QEMU exit with 2 * status + 1; where that device is absent the machine is switched off, and
 * where that fails too it halts. All are usable in any context and at any time after the CPU is in
 * long mode.
 */
#pragma once

enum machine_status {
	MACHINE_PASS = 16,  /* QEMU exits with 33 */
	MACHINE_FAIL = 17,  /* 35 */
	MACHINE_PANIC = 18, /* 37 */
};

_Noreturn void machine_exit(enum machine_status status);
_Noreturn void machine_poweroff(void);
_Noreturn void machine_reboot(void);

/* Stops this CPU for good: interrupts off. */
_Noreturn void machine_halt(void);
