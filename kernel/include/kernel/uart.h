/*
 * A 16550 UART: its registers, and what both of its drivers do with one (kernel/serial.c the
 * console's, kernel/event_port.c the events'). Nothing here waits without a bound.
 *
 * Registers and bits: National Semiconductor's PC16550D data sheet.
 */
#pragma once

#include <kernel/io.h>
#include <lib/types.h>

enum { /* offsets from the port */
       UART_DATA = 0,
       UART_DIVISOR_LOW = 0,
       UART_INTERRUPT_ENABLE = 1,
       UART_DIVISOR_HIGH = 1,
       UART_FIFO_CONTROL = 2,
       UART_LINE_CONTROL = 3,
       UART_MODEM_CONTROL = 4,
       UART_LINE_STATUS = 5,
};

#define LCR_8N1 0x03
#define LCR_DIVISOR 0x80
#define FCR_ENABLE_AND_CLEAR 0x07
#define MCR_DTR_RTS 0x03
#define MCR_OUT2 0x08 /* lets the interrupt through to the bus */
#define MCR_LOOP 0x10
#define LSR_DATA_READY 0x01
#define LSR_BREAK 0x10
#define LSR_TRANSMIT_EMPTY 0x20
#define LSR_TRANSMIT_IDLE 0x40

#define UART_FIFO_SIZE 16u
#define UART_NOBODY 0xff /* what reads give where no UART decodes the address */

/* Looks at the line's status up to max times. False: none of these bits was seen. */
static inline bool uart_wait(u16 port, u8 mask, unsigned max)
{
	for (unsigned i = 0; i < max; i++)
		if (inb((u16)(port + UART_LINE_STATUS)) & mask)
			return true;
	return false;
}

/* No interrupts, 115200 baud, eight bits without parity. */
static inline void uart_set_line(u16 port)
{
	outb((u16)(port + UART_INTERRUPT_ENABLE), 0);
	outb((u16)(port + UART_LINE_CONTROL), LCR_DIVISOR);
	outb((u16)(port + UART_DIVISOR_LOW), 1); /* 115200 / 1 */
	outb((u16)(port + UART_DIVISOR_HIGH), 0);
	outb((u16)(port + UART_LINE_CONTROL), LCR_8N1);
}

/* Whether there is one: in loop-back mode what is sent comes back. It is left with these bits of
 * modem control. */
static inline bool uart_probe(u16 port, u8 modem_control, u8 byte, unsigned max)
{
	bool found;

	outb((u16)(port + UART_MODEM_CONTROL), MCR_LOOP | modem_control);
	outb((u16)(port + UART_DATA), byte);
	found = uart_wait(port, LSR_DATA_READY, max) && inb((u16)(port + UART_DATA)) == byte;
	outb((u16)(port + UART_MODEM_CONTROL), modem_control);
	return found;
}
