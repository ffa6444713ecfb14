/*
 * The two cascaded 8259A interrupt controllers, as the PC wires them: the slave on line 2 of the
 * master.
 *
 * They are reprogrammed so that lines 0 … 15 give vectors 32 … 47 instead of the exceptions' 8 …
 * 15, and every line starts masked. Lines 7 and 15 double as the vector of a request that vanished
 * before it was acknowledged; the in-service register tells the two apart, and such noise must not
 * be acknowledged (Intel's 8259A data sheet).
 *
 * Where the local APIC sits between the controllers and the CPU, the firmware leaves its LINT0 pin
 * as "virtual wire" (Intel MultiProcessor Specification 1.4, 3.6.2); irq.c polls where it did not.
 */
#include <kernel/io.h>
#include <kernel/irq.h>

#define MASTER_COMMAND 0x20
#define MASTER_DATA 0x21
#define SLAVE_COMMAND 0xa0
#define SLAVE_DATA 0xa1

#define ICW1_INIT_CASCADE_ICW4 0x11
#define ICW4_8086 0x01
#define OCW2_END_OF_INTERRUPT 0x20
#define OCW3_READ_IN_SERVICE 0x0b

#define CASCADE 2

static u16 masked = 0xffff;
static bool present;

/* About a microsecond (a write to the power-on test port): old controllers need it between two
 * commands. */
static void settle(void)
{
	outb(0x80, 0);
}

static void command(u16 port, u8 value)
{
	outb(port, value);
	settle();
}

static void write_masks(void)
{
	outb(MASTER_DATA, (u8)masked);
	outb(SLAVE_DATA, (u8)(masked >> 8));
}

/* The mask registers keep what is written to them; an address without a controller reads 0xff. */
static bool answers(void)
{
	outb(MASTER_DATA, 0xfb);
	outb(SLAVE_DATA, 0xfe);
	settle();
	return inb(MASTER_DATA) == 0xfb && inb(SLAVE_DATA) == 0xfe;
}

bool pic_init(void)
{
	present = answers();
	command(MASTER_COMMAND, ICW1_INIT_CASCADE_ICW4);
	command(SLAVE_COMMAND, ICW1_INIT_CASCADE_ICW4);
	command(MASTER_DATA, IRQ_VECTOR_BASE);
	command(SLAVE_DATA, IRQ_VECTOR_BASE + 8);
	command(MASTER_DATA, 1 << CASCADE);
	command(SLAVE_DATA, CASCADE);
	command(MASTER_DATA, ICW4_8086);
	command(SLAVE_DATA, ICW4_8086);
	masked = (u16) ~(1u << CASCADE);
	write_masks();
	return present;
}

void pic_unmask(unsigned line)
{
	masked &= (u16) ~(1u << line);
	write_masks();
}

void pic_mask(unsigned line)
{
	masked |= (u16)(1u << line);
	write_masks();
}

static bool in_service(unsigned line)
{
	u16 port = line < 8 ? MASTER_COMMAND : SLAVE_COMMAND;

	outb(port, OCW3_READ_IN_SERVICE);
	return inb(port) >> (line & 7) & 1;
}

bool pic_acknowledge(unsigned line)
{
	bool is_real = (line & 7) != 7 || in_service(line);

	if (line >= 8 && is_real)
		outb(SLAVE_COMMAND, OCW2_END_OF_INTERRUPT);
	if (line >= 8 ||
	    is_real) /* the cascade line is real even when the slave's request vanished */
		outb(MASTER_COMMAND, OCW2_END_OF_INTERRUPT);
	return is_real;
}
