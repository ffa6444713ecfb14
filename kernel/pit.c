/*
 * The PC's interval timer (8254), as a clock to wait by: channel 2, whose output can be read at
 * port 0x61 and interrupts nobody.
 *
 * A machine without the timer must not hang: each wait also counts its reads of the port, which
 * take about a microsecond each on the slowest bus.
 */
#include <kernel/apic.h>
#include <kernel/io.h>

#define CHANNEL_2 0x42
#define COMMAND 0x43
#define ONE_SHOT_2 0xb0 /* channel 2, both bytes, mode 0: the output rises at 0 */
#define GATE 0x61
#define GATE_ON 0x01
#define SPEAKER 0x02
#define OUTPUT 0x20
#define FREQUENCY 1193182u

void pit_wait(unsigned microseconds)
{
	u32 ticks = (u32)((u64)microseconds * FREQUENCY / 1000000) + 1;
	u64 reads = 0;

	outb(GATE, (u8)((inb(GATE) & ~SPEAKER) | GATE_ON));
	outb(COMMAND, ONE_SHOT_2);
	outb(CHANNEL_2, (u8)ticks);
	outb(CHANNEL_2, (u8)(ticks >> 8));
	while (!(inb(GATE) & OUTPUT) && ++reads < 100ull * microseconds + 1000)
		;
}
