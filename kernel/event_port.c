/*
 * The debug console and the second serial port, as ways out for events.
 *
 * The debug console is the one to choose: it takes a byte at each `out`, never makes its writer
 * wait, and says that it is there by reading as its own number. A 16550 costs a look at its status
 * every 16 bytes. Both are a trip to the emulator for every byte, which is what events cost most;
 * `rep outsb` saves the guest's part of it.
 *
 * The debug console: QEMU's hw/char/debugcon.c.
 */
#include <kernel/event_port.h>
#include <kernel/io.h>
#include <kernel/uart.h>

#define DEBUGCON 0xe9
#define SERIAL 0x2f8

#define MAX_WAIT 1000000u /* looks: more than a second */
#define PROBE_BYTE 0x5c

static bool stuck;

const char *event_port_name(enum event_port port)
{
	static const char *const names[] = {"memory", "debugcon", "serial"};

	return names[port];
}

static bool serial_probe(void)
{
	if (inb(SERIAL + UART_LINE_STATUS) == UART_NOBODY)
		return false;
	uart_set_line(SERIAL);
	outb(SERIAL + UART_FIFO_CONTROL, FCR_ENABLE_AND_CLEAR);
	return uart_probe(SERIAL, MCR_DTR_RTS, PROBE_BYTE, MAX_WAIT / 100);
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
		part = n < UART_FIFO_SIZE ? n : UART_FIFO_SIZE;
		if (stuck || !uart_wait(SERIAL, LSR_TRANSMIT_EMPTY, MAX_WAIT)) {
			stuck = true;
			return;
		}
		out_many(SERIAL + UART_DATA, at, part);
	}
}

bool event_port_stuck(void)
{
	return stuck;
}
