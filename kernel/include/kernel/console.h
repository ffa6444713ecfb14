/*
 * The console: one stream of text, shown alike on the serial port and on the screen, and one stream
 * of bytes that people typed on either.
 *
 * Output is platform_write() and platform_log() of lib/platform.h. Both work in any context: the
 * console's lock is the last in the lock order, and a holder that never returns (the machine is
 * dying inside the console) is waited for only a bounded time.
 */
#pragma once

#include <lib/log.h>
#include <lib/types.h>

struct boot_info;

/* Serial port only. Needs no memory, no interrupts and no final page tables; a machine without a
 * UART has a silent console afterwards. */
void console_early_init(void);

/* Adds the screen: the boot loader's framebuffer, or VGA text mode. Needs paging_map_device(). What
 * was logged before is shown on the screen now. */
void console_init(const struct boot_info *info);

/* Whether there is a screen to show it on. */
bool console_has_screen(void);

/* Its size in characters; without one both stay as they are. */
void console_screen_size(unsigned *columns, unsigned *rows);

/* Waits, within bounds, until the serial port has sent its last bit: before the power goes. */
void console_flush(void);

/* Log lines are shown when their level is <= this one; the default is LOG_INFO. They are kept in
 * any case. */
void console_set_level(int level);
int console_level(void);

/* Log lines for people: whose they are, warnings and errors in colours. Off at first, and in a
 * panic, whose lines are for scripts too. */
void console_set_colours(bool on);

/* For panic(), before its first line: from now on nobody waits for the console's lock, and log
 * lines of every level are shown. */
void console_panic_begin(void);

/* Redirects all text of platform_write() to `sink` instead of the devices (NULL: back to them);
 * returns the sink before. Tests capture a command's answer with it. One CPU. The sink must not
 * print. */
struct sink *console_divert(struct sink *sink);

/* The next byte typed; waits for it with the CPU halted. Interrupts must be on and irq_init() done.
 */
u8 console_read(void);

/* The same without waiting: false when nothing was typed. */
bool console_try_read(u8 *byte);

/* Whether Ctrl-C was typed since the last call; long answers of the monitor stop then. */
bool console_interrupted(void);

/* For the drivers' interrupt handlers: a byte that was typed. When the reader is too late it is
 * dropped. */
void console_input(u8 byte);
