/*
 * The local APIC (Intel SDM 3A, chapter 11): xAPIC through memory, x2APIC through model-specific
 * registers, the same registers either way.
 *
 * x2APIC is used where the CPU has it, because only it reaches APIC ids above 254; where the
 * firmware has turned it on already it cannot be left.
 *
 *   L1  an interrupt that was accepted is acknowledged before its handler runs, with interrupts
 * off, so handlers do not nest L2  a command to another CPU is written with interrupts off, and
 * xAPIC waits until the one before it has left
 */
#include <kernel/apic.h>
#include <kernel/msr.h>
#include <kernel/paging.h>
#include <lib/log.h>
#include <lib/platform.h>

#define BASE_ENABLE (1u << 11)
#define BASE_X2APIC (1u << 10)
#define BASE_ADDRESS 0xffffffffff000ull

enum {
	REG_ID = 0x20,
	REG_TASK_PRIORITY = 0x80,
	REG_END = 0xb0,
	REG_SPURIOUS = 0xf0,
	REG_ERROR = 0x280,
	REG_COMMAND = 0x300,
	REG_COMMAND_HIGH = 0x310,
	REG_TIMER = 0x320,
	REG_LINT0 = 0x350,
	REG_LINT1 = 0x360,
	REG_INITIAL_COUNT = 0x380,
	REG_CURRENT_COUNT = 0x390,
	REG_DIVIDE = 0x3e0,
};

#define SPURIOUS_ENABLE 0x100u
#define LVT_MASKED 0x10000u
#define LVT_NMI 0x400u
#define LVT_EXTERNAL 0x700u /* from the 8259 pair */
#define TIMER_PERIODIC 0x20000u
#define DIVIDE_BY_16 0x3u

#define COMMAND_NMI 0x400u
#define COMMAND_INIT 0x500u
#define COMMAND_STARTUP 0x600u
#define COMMAND_ASSERT 0x4000u
#define COMMAND_BUSY 0x1000u
#define TO_OTHERS 0xc0000u

#define CALIBRATION_US 20000u

static bool present, x2apic;
static volatile u32 *registers; /* xAPIC */
static u64 ticks_per_second;    /* of the timer, divided by 16 */

static u32 read(u32 reg)
{
	return x2apic ? (u32)read_msr(MSR_X2APIC + reg / 16) : registers[reg / 4];
}

static void write(u32 reg, u32 value)
{
	if (x2apic)
		write_msr(MSR_X2APIC + reg / 16, value);
	else
		registers[reg / 4] = value;
}

bool apic_is_present(void)
{
	return present;
}

bool apic_is_x2apic(void)
{
	return x2apic;
}

u32 apic_id(void)
{
	if (!present)
		return 0;
	return x2apic ? read(REG_ID) : read(REG_ID) >> 24;
}

void apic_end_of_interrupt(void)
{
	write(REG_END, 0);
}

void apic_init_cpu(void)
{
	u64 base = read_msr(MSR_APIC_BASE);

	write_msr(MSR_APIC_BASE, base | BASE_ENABLE | (x2apic ? BASE_X2APIC : 0));
	write(REG_TASK_PRIORITY, 0);
	write(REG_TIMER, LVT_MASKED | VECTOR_TIMER);
	write(REG_LINT0, cpu_id() == 0 ? LVT_EXTERNAL : LVT_MASKED);
	write(REG_LINT1, LVT_NMI);
	write(REG_SPURIOUS, SPURIOUS_ENABLE | VECTOR_SPURIOUS);
}

bool apic_init(const struct acpi_info *acpi)
{
	struct cpuid features = cpuid(1, 0);
	u64 base;

	if (!(features.d >> 9 & 1))
		return false;
	base = read_msr(MSR_APIC_BASE);
	x2apic = features.c >> 21 & 1;
	if (!x2apic) {
		u64 pa =
		    acpi->has_madt && acpi->local_apic ? acpi->local_apic : base & BASE_ADDRESS;

		registers = paging_map_device(pa, 4096);
		if (registers == NULL)
			return false;
	}
	present = true;
	apic_init_cpu();
	return true;
}

/* --- to other CPUs --- */

static void command(u32 id, u32 what)
{
	u64 flags = irq_save();

	if (x2apic) {
		/* Unlike the memory access this orders nothing: what was written for the other CPU
		 * to see comes first. */
		__asm__ volatile("mfence; lfence" : : : "memory");
		write_msr(MSR_X2APIC + REG_COMMAND / 16, (u64)id << 32 | what);
	} else {
		while (read(REG_COMMAND) & COMMAND_BUSY)
			cpu_relax();
		write(REG_COMMAND_HIGH, id << 24);
		write(REG_COMMAND, what);
	}
	irq_restore(flags);
}

void apic_send(u32 id, u8 vector)
{
	command(id, vector | COMMAND_ASSERT);
}

void apic_send_nmi_to_others(void)
{
	if (present)
		command(0, COMMAND_NMI | COMMAND_ASSERT | TO_OTHERS);
}

void apic_send_init(u32 id)
{
	command(id, COMMAND_INIT | COMMAND_ASSERT);
}

void apic_send_startup(u32 id, u64 page_pa)
{
	command(id, COMMAND_STARTUP | COMMAND_ASSERT | (u32)(page_pa >> 12));
}

/* --- the timer --- */

bool apic_timer_calibrate(void)
{
	u64 flags;
	u32 spent;

	if (!present)
		return false;
	flags = irq_save();
	write(REG_DIVIDE, DIVIDE_BY_16);
	write(REG_INITIAL_COUNT, 0xffffffff);
	pit_wait(CALIBRATION_US);
	spent = 0xffffffff - read(REG_CURRENT_COUNT);
	write(REG_INITIAL_COUNT, 0);
	irq_restore(flags);
	ticks_per_second = (u64)spent * (1000000 / CALIBRATION_US);
	log_info("apic: %s, timer at %llu kHz", x2apic ? "x2APIC" : "xAPIC",
	         (unsigned long long)(ticks_per_second * 16 / 1000));
	return spent != 0;
}

void apic_timer_start(unsigned hz)
{
	write(REG_DIVIDE, DIVIDE_BY_16);
	write(REG_TIMER, TIMER_PERIODIC | VECTOR_TIMER);
	write(REG_INITIAL_COUNT, (u32)(ticks_per_second / hz));
}

void apic_timer_stop(void)
{
	write(REG_INITIAL_COUNT, 0);
}
