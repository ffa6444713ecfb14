/*
 * The PS/2 keyboard: scan codes of set 1 (which the controller translates to) into the bytes that a
 * serial terminal with a US keyboard sends, so that the rest of the kernel knows only one kind of
 * input.
 *
 * The decoder is pure. The driver around it waits for the controller only for a bounded time: a
 * machine without one reads 0xff from its ports and is left alone.
 *
 * Registers and commands: IBM PS/2 Hardware Interface Technical Reference, keyboard and auxiliary
 * device controller.
 *
 * Does not do: other layouts, the lights, the numeric block with Num Lock.
 */
#include <kernel/console.h>
#include <kernel/io.h>
#include <kernel/irq.h>
#include <kernel/keyboard.h>
#include <lib/string.h>

#define DATA 0x60
#define STATUS 0x64  /* read */
#define COMMAND 0x64 /* write */
#define LINE 1

#define STATUS_OUTPUT_FULL 0x01 /* a byte waits for us */
#define STATUS_INPUT_FULL 0x02  /* the controller has not taken ours yet */
#define STATUS_FROM_MOUSE 0x20

#define READ_CONFIG 0x20
#define WRITE_CONFIG 0x60
#define ENABLE_KEYBOARD 0xae
#define CONFIG_INTERRUPT 0x01
#define CONFIG_DISABLED 0x10
#define CONFIG_TRANSLATE 0x40

#define KEYBOARD_ENABLE 0xf4
#define KEYBOARD_ECHO 0xee
#define KEYBOARD_ACK 0xfa

#define MAX_WAIT 20000u /* port reads of about a microsecond each */

#define RELEASE 0x80
#define KEY_CTRL 0x1d
#define KEY_SHIFT_LEFT 0x2a
#define KEY_SHIFT_RIGHT 0x36
#define KEY_CAPS 0x3a
#define PREFIX_EXTENDED 0xe0
#define PREFIX_PAUSE 0xe1

/* Indexed by scan code; 0 where the key types nothing. */
static const char plain[] = "\0\x1b"
                            "1234567890-=\x7f\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shifted[] = "\0\x1b"
                              "!@#$%^&*()_+\x7f\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";
static_assert(sizeof(plain) == sizeof(shifted) && sizeof(plain) == 0x39 + 2,
              "both tables end with the space bar, scan code 0x39");

static struct keyboard state;
static bool present;

static unsigned type(char out[KEYBOARD_MAX_BYTES], const char *bytes)
{
	unsigned n = (unsigned)strlen(bytes);

	memcpy(out, bytes, n);
	return n;
}

/* Keys that send an escape sequence, with or without the prefix (the numeric block without Num
 * Lock). */
static unsigned decode_cursor(u8 key, char out[KEYBOARD_MAX_BYTES])
{
	switch (key) {
	case 0x47:
		return type(out, "\x1b[H");
	case 0x48:
		return type(out, "\x1b[A");
	case 0x49:
		return type(out, "\x1b[5~");
	case 0x4b:
		return type(out, "\x1b[D");
	case 0x4d:
		return type(out, "\x1b[C");
	case 0x4f:
		return type(out, "\x1b[F");
	case 0x50:
		return type(out, "\x1b[B");
	case 0x51:
		return type(out, "\x1b[6~");
	case 0x53:
		return type(out, "\x1b[3~");
	default:
		return 0;
	}
}

static bool decode_modifier(struct keyboard *k, u8 key, bool pressed)
{
	switch (key) {
	case KEY_SHIFT_LEFT:
	case KEY_SHIFT_RIGHT:
		k->shift = pressed;
		return true;
	case KEY_CTRL:
		k->ctrl = pressed;
		return true;
	case KEY_CAPS:
		k->caps ^= pressed;
		return true;
	default:
		return false;
	}
}

static char decode_character(const struct keyboard *k, u8 key)
{
	char c = key < sizeof(plain) ? plain[key] : 0;
	bool is_letter = c >= 'a' && c <= 'z';

	if (k->ctrl && is_letter)
		return (char)(c - 'a' + 1);
	if (k->shift != (k->caps && is_letter) && key < sizeof(shifted))
		c = shifted[key];
	return c;
}

static unsigned decode_extended(struct keyboard *k, u8 key, bool pressed, char out[])
{
	if (key == KEY_CTRL)
		k->ctrl = pressed;
	/* 0xe0 0x2a and 0xe0 0x36 are shifts that the keyboard makes up around the grey keys. */
	if (!pressed || key == KEY_SHIFT_LEFT || key == KEY_SHIFT_RIGHT)
		return 0;
	if (key == 0x1c || key == 0x35) /* the numeric block's Enter and slash */
		return type(out, key == 0x1c ? "\r" : "/");
	return decode_cursor(key, out);
}

unsigned keyboard_decode(struct keyboard *k, u8 scancode, char out[KEYBOARD_MAX_BYTES])
{
	u8 key = scancode & (u8)~RELEASE;
	bool pressed = !(scancode & RELEASE);

	if (k->skip > 0) {
		k->skip--;
		return 0;
	}
	if (scancode == PREFIX_PAUSE || scancode == PREFIX_EXTENDED) {
		k->skip = scancode == PREFIX_PAUSE ? 2 : 0;
		k->extended = scancode == PREFIX_EXTENDED;
		return 0;
	}
	if (k->extended) {
		k->extended = false;
		return decode_extended(k, key, pressed, out);
	}
	if (decode_modifier(k, key, pressed) || !pressed)
		return 0;
	char c = decode_character(k, key);

	if (c == 0)
		return decode_cursor(key, out);
	out[0] = c;
	return 1;
}

void keyboard_poll(void)
{
	char bytes[KEYBOARD_MAX_BYTES];

	/* Bounded: a controller that always has data must not keep us here. */
	for (unsigned i = 0; present && i < 32; i++) {
		u8 status = inb(STATUS);

		if (!(status & STATUS_OUTPUT_FULL))
			return;
		u8 code = inb(DATA);

		if (status & STATUS_FROM_MOUSE)
			continue;
		unsigned n = keyboard_decode(&state, code, bytes);

		for (unsigned b = 0; b < n; b++)
			console_input((u8)bytes[b]);
	}
}

static void interrupt(void *context)
{
	(void)context;
	keyboard_poll();
}

static bool send(u16 port, u8 value)
{
	for (unsigned i = 0; i < MAX_WAIT; i++) {
		if (inb(STATUS) & STATUS_INPUT_FULL)
			continue;
		outb(port, value);
		return true;
	}
	return false;
}

static bool receive(u8 *value)
{
	for (unsigned i = 0; i < MAX_WAIT; i++) {
		if (!(inb(STATUS) & STATUS_OUTPUT_FULL))
			continue;
		*value = inb(DATA);
		return true;
	}
	return false;
}

/* Throws away what was typed before we listened. */
static void drain(void)
{
	for (unsigned i = 0; i < 32 && (inb(STATUS) & STATUS_OUTPUT_FULL); i++)
		(void)inb(DATA);
}

/* Sets the configuration byte: translation on, and the interrupt as asked. */
static bool configure(bool interrupts)
{
	u8 config;

	if (!send(COMMAND, READ_CONFIG) || !receive(&config))
		return false;
	config = (u8)((config & ~(CONFIG_DISABLED | CONFIG_INTERRUPT)) | CONFIG_TRANSLATE |
	              (interrupts ? CONFIG_INTERRUPT : 0));
	return send(COMMAND, WRITE_CONFIG) && send(DATA, config);
}

void keyboard_init(void)
{
	u8 answer = 0;

	if (inb(STATUS) == 0xff) /* nothing decodes the port */
		return;
	drain();
	if (!send(COMMAND, ENABLE_KEYBOARD) || !configure(false))
		return;
	drain();
	present = true;
	bool answered = send(DATA, KEYBOARD_ENABLE) && receive(&answer) && answer == KEYBOARD_ACK;

	if (!configure(true) || irq_register(LINE, interrupt, NULL) != 0 || !answered)
		return;
	/* The echo's answer interrupts: that proves the line works. Decoded, it is a release of
	 * nothing. */
	irq_expect(LINE);
	(void)send(DATA, KEYBOARD_ECHO);
}
