/* The first serial port (16550 at 0x3f8, IRQ 4), 115200 baud, 8N1. */
#pragma once

#include <lib/types.h>

/* Programs the port and proves by loop-back that a UART answers. false: there is none; the others
 * do nothing then. */
bool serial_init(void);

/* Sends the bytes, each newline as CR LF. Waits for the transmitter, but never without bound. */
void serial_write(const char *text, size_t len);

/* Waits, within bounds, until the last byte has left the shift register. */
void serial_flush(void);

/* Lets received bytes raise IRQ 4, which hands them to console_input(). After irq_init(). */
void serial_enable_input(void);

/* Hands over what the receiver holds. For a machine where interrupts do not work. */
void serial_poll(void);
