/*
 * The debug console and the second serial port, as ways out for events.
 *
 * The debug console is the one to choose: it takes a byte at each `out`, never makes its writer
 * wait, and says that it is there by reading as its own number. A 16550 costs a look at its status
 * every 16 bytes. Both are a trip to the emulator for every byte, which is what events cost most;
 * `rep outsb` saves the guest's part of it.
 *
 * Registers and bits: National Semiconductor's PC16550D data sheet. The debug console: QEMU's
 * hw/char/debugcon.c.
 */
#include <kernel/event_port.h>
#include <kernel/io.h>

#define DEBUGCON 0xe9
#define SERIAL 0x2f8

enum { /* offsets of the serial port's registers */
       DATA = 0,
       DIVISOR_LOW = 0,
       INTERRUPT_ENABLE = 1,
       DIVISOR_HIGH = 1,
       FIFO_CONTROL = 2,
       LINE_CONTROL = 3,
       MODEM_CONTROL = 4,
       LINE_STATUS = 5,
};

#define LCR_8N1 0x03
#define LCR_DIVISOR 0x80
#define FCR_ENABLE_AND_CLEAR 0x07
#define MCR_DTR_RTS 0x03
#define MCR_LOOP 0x10
#define LSR_DATA_READY 0x01
#define LSR_TRANSMIT_EMPTY 0x20
#define FIFO_SIZE 16u
#define MAX_WAIT 1000000u /* looks: more than a second */
#define PROBE_BYTE 0x5c

static bool stuck;

const char *event_port_name(enum event_port port)
{
	static const char *const names[] = {"memory", "debugcon", "serial"};

	return names[port];
}

static bool wait_status(u8 mask, unsigned max)
{
	for (unsigned i = 0; i < max; i++)
		if (inb(SERIAL + LINE_STATUS) & mask)
			return true;
	return false;
}

/* In loop-back mode what is sent comes back; where no UART decodes the address, reads give 0xff. */
static bool serial_probe(void)
{
	bool found;

	if (inb(SERIAL + LINE_STATUS) == 0xff)
		return false;
	outb(SERIAL + INTERRUPT_ENABLE, 0);
	outb(SERIAL + LINE_CONTROL, LCR_DIVISOR);
	outb(SERIAL + DIVISOR_LOW, 1); /* 115200 / 1 */
	outb(SERIAL + DIVISOR_HIGH, 0);
	outb(SERIAL + LINE_CONTROL, LCR_8N1);
	outb(SERIAL + FIFO_CONTROL, FCR_ENABLE_AND_CLEAR);
	outb(SERIAL + MODEM_CONTROL, MCR_LOOP | MCR_DTR_RTS);
	outb(SERIAL + DATA, PROBE_BYTE);
	found = wait_status(LSR_DATA_READY, MAX_WAIT / 100) && inb(SERIAL + DATA) == PROBE_BYTE;
	outb(SERIAL + MODEM_CONTROL, MCR_DTR_RTS);
	return found;
}

bool event_port_probe(enum event_port port)
{
	stuck = false;
	if (port == EVENT_PORT_DEBUGCON)
		return inb(DEBUGCON) == DEBUGCON;
	return port == EVENT_PORT_SERIAL && serial_probe();
}

static void out_many(u16 port, const u8 *bytes, size_t n)
{
	__asm__ volatile("rep outsb" : "+S"(bytes), "+c"(n) : "d"(port) : "memory");
}

void event_port_write(enum event_port port, const void *bytes, size_t n)
{
	const u8 *at = bytes;

	if (port == EVENT_PORT_DEBUGCON)
		out_many(DEBUGCON, at, n);
	for (size_t part; port == EVENT_PORT_SERIAL && n != 0; at += part, n -= part) {
		part = n < FIFO_SIZE ? n : FIFO_SIZE;
		if (stuck || !wait_status(LSR_TRANSMIT_EMPTY, MAX_WAIT)) {
			stuck = true;
			return;
		}
		out_many(SERIAL + DATA, at, part);
	}
}

bool event_port_stuck(void)
{
	return stuck;
}
