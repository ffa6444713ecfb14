/* A PS/2 keyboard: scan code set 1, US layout. */
#pragma once

#include <lib/types.h>

#define KEYBOARD_MAX_BYTES 4

/* What the decoder remembers between scan codes. All zero at the start. */
struct keyboard {
	bool shift, ctrl, caps, extended;
	u8 skip; /* bytes of the Pause key's sequence still to ignore */
};

/* Pure: takes one scan code, writes the bytes that it types to `out` and returns their number (0
 * for modifiers, releases and keys without a meaning). Arrows and such give the escape sequences of
 * a serial terminal. */
unsigned keyboard_decode(struct keyboard *k, u8 scancode, char out[KEYBOARD_MAX_BYTES]);

/* Turns the keyboard on if there is a controller, and its interrupt. After irq_init()'s
 * controllers. */
void keyboard_init(void);

/* Handles what the controller holds. For a machine where interrupts do not work. */
void keyboard_poll(void);
