/*
 * I/O APICs (Intel 82093AA data sheet): each takes a range of global interrupts, and its table says
 * which vector a line gives, how it is triggered, and which CPU gets it. All lines go to CPU 0.
 *
 * The ISA lines arrive where the MADT's overrides say, else at the global interrupt of their own
 * number.
 */
#include <kernel/apic.h>
#include <kernel/paging.h>
#include <lib/log.h>

#define SELECT 0 /* in 32-bit words */
#define WINDOW 4
#define REG_VERSION 1
#define REG_TABLE 0x10
#define ENTRY_MASKED (1u << 16)
#define ENTRY_LEVEL (1u << 15)
#define ENTRY_ACTIVE_LOW (1u << 13)

struct ioapic {
	volatile u32 *registers;
	u32 first, count;
};

static struct ioapic controllers[ACPI_IOAPICS_MAX];
static u32 nr_controllers;
static struct acpi_line lines[ACPI_ISA_LINES];

static void write(const struct ioapic *io, u32 reg, u32 value)
{
	io->registers[SELECT] = reg;
	io->registers[WINDOW] = value;
}

static u32 read(const struct ioapic *io, u32 reg)
{
	io->registers[SELECT] = reg;
	return io->registers[WINDOW];
}

static void add(const struct acpi_ioapic *found)
{
	struct ioapic *io = &controllers[nr_controllers];

	io->registers = paging_map_device(found->address, 32);
	if (io->registers == NULL)
		return;
	io->first = found->first;
	io->count = (read(io, REG_VERSION) >> 16 & 0xff) + 1;
	for (u32 i = 0; i < io->count; i++)
		write(io, REG_TABLE + 2 * i, ENTRY_MASKED);
	nr_controllers++;
}

bool ioapic_init(const struct acpi_info *acpi)
{
	nr_controllers = 0;
	for (u32 i = 0; i < ACPI_ISA_LINES; i++)
		lines[i] = acpi->line[i];
	for (u32 i = 0; i < acpi->nr_ioapics; i++)
		add(&acpi->ioapic[i]);
	return nr_controllers != 0;
}

bool ioapic_unmask(unsigned line, u8 vector)
{
	const struct acpi_line *l = &lines[line];

	for (u32 i = 0; i < nr_controllers; i++) {
		const struct ioapic *io = &controllers[i];
		u32 entry = l->global - io->first;

		if (l->global < io->first || entry >= io->count)
			continue;
		write(io, REG_TABLE + 2 * entry + 1, apic_id() << 24);
		write(io, REG_TABLE + 2 * entry,
		      vector | (l->level ? ENTRY_LEVEL : 0) |
		          (l->active_low ? ENTRY_ACTIVE_LOW : 0));
		return true;
	}
	return false;
}
