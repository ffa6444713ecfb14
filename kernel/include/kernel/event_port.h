/*
 * Ways out of the machine for a stream of events: QEMU's (and Bochs') debug console at port 0xe9,
 * and the second serial port.
 */
#pragma once

#include <lib/types.h>

enum event_port { EVENT_PORT_NONE, EVENT_PORT_DEBUGCON, EVENT_PORT_SERIAL };

const char *event_port_name(enum event_port port);

/* Whether it is there; a serial port is programmed for 115200 baud, 8N1, as a side effect. */
bool event_port_probe(enum event_port port);

/* Sends the bytes. Any context; waits for the port, but never without bound: one that has stopped
 * gets no more. */
void event_port_write(enum event_port port, const void *bytes, size_t n);

/* Whether a port stopped, so that what was written is not whole. Since the last probe. */
bool event_port_stuck(void);
