/*
 * The first serial port: a 16550 UART at 0x3f8, polled for output, IRQ 4 for input.
 *
 * Nothing here may hang. Whether a UART exists is proven by its loop-back mode before anything
 * waits for it; a transmitter that stops (flow control, a stalled reader behind an emulator) costs
 * one bounded wait, after which bytes are dropped until it moves again.
 *
 * Registers and bits: National Semiconductor's PC16550D data sheet.
 *
 * Does not do: other ports, speeds and hardware flow control.
 */
#include <kernel/console.h>
#include <kernel/io.h>
#include <kernel/irq.h>
#include <kernel/serial.h>

#define PORT 0x3f8
#define LINE 4

enum { /* offsets of the registers */
       DATA = 0,
       DIVISOR_LOW = 0,
       INTERRUPT_ENABLE = 1,
       DIVISOR_HIGH = 1,
       FIFO_CONTROL = 2,
       LINE_CONTROL = 3,
       MODEM_CONTROL = 4,
       LINE_STATUS = 5,
};

#define IER_RECEIVED 0x01
#define IER_TRANSMIT_EMPTY 0x02
#define LCR_8N1 0x03
#define LCR_DIVISOR 0x80
#define FCR_ENABLE_AND_CLEAR 0x07
#define MCR_DTR_RTS_OUT2 0x0b /* OUT2 lets the interrupt through to the bus */
#define MCR_LOOP 0x10
#define LSR_DATA_READY 0x01
#define LSR_BREAK 0x10
#define LSR_TRANSMIT_EMPTY 0x20
#define LSR_TRANSMIT_IDLE 0x40

#define FIFO_SIZE 16
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

static bool wait_status(u8 mask, unsigned max)
{
	for (unsigned i = 0; i < max; i++)
		if (reg_read(LINE_STATUS) & mask)
			return true;
	return false;
}

/* What was typed before: turning the FIFO on empties it. */
static unsigned take_received(u8 bytes[], unsigned max)
{
	unsigned nr = 0;

	while (nr < max && (reg_read(LINE_STATUS) & LSR_DATA_READY))
		bytes[nr++] = reg_read(DATA);
	return nr;
}

/* In loop-back mode what is sent comes back; where no UART decodes the address, reads give 0xff. */
static bool loops_back(void)
{
	reg_write(MODEM_CONTROL, MCR_LOOP | MCR_DTR_RTS_OUT2);
	reg_write(DATA, PROBE_BYTE);
	return wait_status(LSR_DATA_READY, MAX_WAIT / 10) && reg_read(DATA) == PROBE_BYTE;
}

bool serial_init(void)
{
	u8 typed[FIFO_SIZE];
	unsigned nr_typed;

	if (reg_read(LINE_STATUS) == 0xff)
		return false;
	wait_status(LSR_TRANSMIT_EMPTY, MAX_WAIT); /* let out what the boot loader said */
	reg_write(INTERRUPT_ENABLE, 0);
	reg_write(LINE_CONTROL, LCR_DIVISOR);
	reg_write(DIVISOR_LOW, 1); /* 115200 / 1 */
	reg_write(DIVISOR_HIGH, 0);
	reg_write(LINE_CONTROL, LCR_8N1);
	nr_typed = take_received(typed, FIFO_SIZE);
	reg_write(FIFO_CONTROL, FCR_ENABLE_AND_CLEAR);
	present = loops_back();
	reg_write(MODEM_CONTROL, MCR_DTR_RTS_OUT2);
	for (unsigned i = 0; present && i < nr_typed; i++)
		console_input(typed[i]);
	return present;
}

static void send(u8 byte)
{
	static unsigned room; /* bytes that the FIFO is sure to take */

	if (room == 0) {
		if (!wait_status(LSR_TRANSMIT_EMPTY, stuck ? 1 : MAX_WAIT)) {
			stuck = true;
			return;
		}
		stuck = false;
		room = FIFO_SIZE;
	}
	room--;
	reg_write(DATA, byte);
}

void serial_flush(void)
{
	if (present)
		wait_status(LSR_TRANSMIT_IDLE, MAX_WAIT);
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
	for (unsigned i = 0; i < 4 * FIFO_SIZE; i++) {
		u8 status = reg_read(LINE_STATUS);

		if (!(status & LSR_DATA_READY))
			return;
		u8 byte = reg_read(DATA);

		if (!(status & LSR_BREAK))
			console_input(byte);
	}
}

/* Reading the interrupt's cause clears "transmitter empty", which serial_enable_input() provokes
 * once. */
static void interrupt(void *context)
{
	(void)context;
	(void)reg_read(FIFO_CONTROL);
	reg_write(INTERRUPT_ENABLE, IER_RECEIVED);
	serial_poll();
}

void serial_enable_input(void)
{
	if (!present || irq_register(LINE, interrupt, NULL) != 0)
		return;
	/* An empty transmitter interrupts at once: that proves the line works, so that waiting may
	 * halt. */
	irq_expect(LINE);
	reg_write(INTERRUPT_ENABLE, IER_RECEIVED | IER_TRANSMIT_EMPTY);
}
