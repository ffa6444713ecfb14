/*
 * The first serial port: a 16550 UART at 0x3f8, polled for output, IRQ 4 for input.
 *
 * Nothing here may hang. Whether a UART exists is proven by its loop-back mode before anything
 * waits for it; a transmitter that stops (flow control, a stalled reader behind an emulator) costs
 * one bounded wait, after which bytes are dropped until it moves again.
 *
 * Does not do: other ports, speeds and hardware flow control.
 */
#include <kernel/console.h>
#include <kernel/irq.h>
#include <kernel/serial.h>
#include <kernel/uart.h>

#define PORT 0x3f8
#define LINE 4

#define IER_RECEIVED 0x01
#define IER_TRANSMIT_EMPTY 0x02

/* A port read takes about a microsecond, a full FIFO 1.4 ms at 115200 baud. */
#define MAX_WAIT 100000u
#define PROBE_BYTE 0xae

static bool present;
static bool stuck; /* the transmitter did not move within MAX_WAIT */

static u8 reg_read(unsigned reg)
{
	return inb((u16)(PORT + reg));
}

static void reg_write(unsigned reg, u8 value)
{
	outb((u16)(PORT + reg), value);
}

/* What was typed before: turning the FIFO on empties it. */
static unsigned take_received(u8 bytes[], unsigned max)
{
	unsigned nr = 0;

	while (nr < max && (reg_read(UART_LINE_STATUS) & LSR_DATA_READY))
		bytes[nr++] = reg_read(UART_DATA);
	return nr;
}

bool serial_init(void)
{
	u8 typed[UART_FIFO_SIZE];
	unsigned nr_typed;

	if (reg_read(UART_LINE_STATUS) == UART_NOBODY)
		return false;
	uart_wait(PORT, LSR_TRANSMIT_EMPTY, MAX_WAIT); /* let out what the boot loader said */
	uart_set_line(PORT);
	nr_typed = take_received(typed, UART_FIFO_SIZE);
	reg_write(UART_FIFO_CONTROL, FCR_ENABLE_AND_CLEAR);
	present = uart_probe(PORT, MCR_DTR_RTS | MCR_OUT2, PROBE_BYTE, MAX_WAIT / 10);
	for (unsigned i = 0; present && i < nr_typed; i++)
		console_input(typed[i]);
	return present;
}

static void send(u8 byte)
{
	static unsigned room; /* bytes that the FIFO is sure to take */

	if (room == 0) {
		if (!uart_wait(PORT, LSR_TRANSMIT_EMPTY, stuck ? 1 : MAX_WAIT)) {
			stuck = true;
			return;
		}
		stuck = false;
		room = UART_FIFO_SIZE;
	}
	room--;
	reg_write(UART_DATA, byte);
}

void serial_flush(void)
{
	if (present)
		uart_wait(PORT, LSR_TRANSMIT_IDLE, MAX_WAIT);
}

void serial_write(const char *text, size_t len)
{
	if (!present)
		return;
	for (size_t i = 0; i < len; i++) {
		if (text[i] == '\n')
			send('\r');
		send((u8)text[i]);
	}
}

void serial_poll(void)
{
	if (!present)
		return;
	/* Bounded: a port that always has data must not keep us in the handler. */
	for (unsigned i = 0; i < 4 * UART_FIFO_SIZE; i++) {
		u8 status = reg_read(UART_LINE_STATUS);

		if (!(status & LSR_DATA_READY))
			return;
		u8 byte = reg_read(UART_DATA);

		if (!(status & LSR_BREAK))
			console_input(byte);
	}
}

/* Reading the interrupt's cause clears "transmitter empty", which serial_enable_input() provokes
 * once. */
static void interrupt(void *context)
{
	(void)context;
	(void)reg_read(UART_FIFO_CONTROL);
	reg_write(UART_INTERRUPT_ENABLE, IER_RECEIVED);
	serial_poll();
}

void serial_enable_input(void)
{
	if (!present || irq_register(LINE, interrupt, NULL) != 0)
		return;
	/* An empty transmitter interrupts at once: that proves the line works, so that waiting may
	 * halt. */
	irq_expect(LINE);
	reg_write(UART_INTERRUPT_ENABLE, IER_RECEIVED | IER_TRANSMIT_EMPTY);
}
