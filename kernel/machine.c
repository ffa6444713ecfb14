/*
 * The ends of the machine: exit with a status, power off, reboot, halt.
 *
 * There is no ACPI here, so each end tries what the known machines listen to, most specific first,
 * and then stops the CPU with a line that says what to do. A port that nothing listens to ignores
 * the write.
 */
#include <kernel/console.h>
#include <kernel/io.h>
#include <kernel/machine.h>
#include <lib/log.h>
#include <lib/types.h>

#define DEBUG_EXIT_PORT 0xf4 /* QEMU -device isa-debug-exit */

/* SLP_EN with S5's SLP_TYP 0 in the PM1a control register, where QEMU's firmwares put it. */
#define ACPI_POWEROFF 0x2000
static const u16 acpi_control_port[] = {0x604 /* q35, i440fx */, 0xb004 /* Bochs, old QEMU */};

#define DELAY_PORT 0x80 /* the POST code port: an access takes about a microsecond */
#define BOCHS_SHUTDOWN_PORT 0x8900
#define RESET_PORT 0xcf9
#define KEYBOARD_PORT 0x64
#define KEYBOARD_RESET 0xfe

void machine_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

static void try_poweroff(void)
{
	for (const char *s = "Shutdown"; *s; s++)
		outb(BOCHS_SHUTDOWN_PORT, (u8)*s);
	for (size_t i = 0; i < ARRAY_SIZE(acpi_control_port); i++)
		outw(acpi_control_port[i], ACPI_POWEROFF);
}

void machine_exit(enum machine_status status)
{
	console_flush();
	outb(DEBUG_EXIT_PORT, (u8)status);
	/* A machine that is no QEMU test: after a panic people want to read the screen. */
	if (status != MACHINE_PANIC)
		try_poweroff();
	kprintf("halted: switch the machine off or reset it\n");
	machine_halt();
}

void machine_poweroff(void)
{
	kprintf("power off\n");
	console_flush();
	try_poweroff();
	for (unsigned i = 0; i < 1000000; i++)
		inb(DELAY_PORT); /* about a second: some machines take their time */
	kprintf("this machine does not switch off by itself: it is safe to do so now\n");
	machine_halt();
}

/* With an empty table of handlers every exception is a third fault, and the CPU resets. */
static void triple_fault(void)
{
	struct __packed {
		u16 limit;
		u64 base;
	} idtr = {0, 0};

	__asm__ volatile("lidt %0; ud2" : : "m"(idtr));
}

void machine_reboot(void)
{
	kprintf("reboot\n");
	__asm__ volatile("cli");
	outb(RESET_PORT, 0x02);
	outb(RESET_PORT, 0x06); /* a full reset, on the rising edge of bit 2 */
	for (unsigned i = 0; i < 10000 && (inb(KEYBOARD_PORT) & 2); i++)
		; /* its input buffer is full */
	outb(KEYBOARD_PORT, KEYBOARD_RESET);
	triple_fault();
	machine_halt();
}
