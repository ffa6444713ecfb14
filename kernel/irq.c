/*
 * Device interrupts: who handles which line, and how the kernel waits for one.
 *
 * An idle prompt halts the CPU. That is only safe where interrupts are known to arrive, which
 * depends on how the firmware left the machine. So a device whose line can be made to fire says so
 * with irq_expect(), and until all such lines have fired, waiting means polling the devices:
 * slower, warmer, but it always answers.
 *
 *   I1  a line without a handler is masked.
 *   I2  handlers run with interrupts off on CPU 0 and are installed once.
 *
 * Acknowledging before the handler runs is safe because of I2: the line can't nest while interrupts
 * are off.
 */
#include <kernel/apic.h>
#include <kernel/irq.h>
#include <kernel/keyboard.h>
#include <kernel/sched.h>
#include <kernel/serial.h>
#include <kernel/smp.h>
#include <lib/log.h>
#include <lib/platform.h>

static struct {
	irq_handler handler;
	void *context;
	u64 count;
} line_table[IRQ_NR_LINES];

static u64 nr_spurious;
static u16 expected; /* lines that should fire … */
static u16 fired;    /* … and those that did, ever */
static bool ioapics; /* deliver the lines */

int irq_register(unsigned line, irq_handler handler, void *context)
{
	if (line >= IRQ_NR_LINES || handler == NULL)
		return -EINVAL;
	if (line_table[line].handler != NULL)
		return -EBUSY;
	u64 flags = irq_save();

	line_table[line].context = context;
	line_table[line].handler = handler;
	if (!ioapics || !ioapic_unmask(line, (u8)(IRQ_VECTOR_BASE + line)))
		pic_unmask(line);
	irq_restore(flags);
	return 0;
}

void irq_expect(unsigned line)
{
	expected |= (u16)(1u << line);
}

/* Reports the first interrupt that nobody asked for; the others are only counted. */
static void note_spurious(unsigned vector)
{
	if (nr_spurious++ == 0)
		log_warn("irq: unexpected interrupt, vector %u; further ones are only counted",
		         vector);
}

/* The interrupts of the local APIC: its timer, and other CPUs. False: none of these. */
static bool dispatch_local(unsigned vector)
{
	if (vector < VECTOR_TIMER || vector > VECTOR_RESCHEDULE)
		return vector == VECTOR_SPURIOUS && apic_is_present(); /* not to be acknowledged */
	apic_end_of_interrupt();
	if (vector == VECTOR_TIMER)
		sched_tick();
	else if (vector == VECTOR_CALL)
		smp_handle_call();
	else
		sched_resched();
	return true;
}

static bool acknowledge(unsigned line)
{
	if (!ioapics)
		return pic_acknowledge(line);
	apic_end_of_interrupt();
	return true;
}

void irq_dispatch(unsigned vector)
{
	unsigned line = vector - IRQ_VECTOR_BASE;

	if (dispatch_local(vector))
		return;
	if (vector < IRQ_VECTOR_BASE || line >= IRQ_NR_LINES) {
		note_spurious(vector);
		return;
	}
	if (!acknowledge(line) || line_table[line].handler == NULL) {
		note_spurious(vector);
		return;
	}
	line_table[line].count++;
	fired |= (u16)(1u << line);
	line_table[line].handler(line_table[line].context);
}

static void poll_devices(void)
{
	serial_poll();
	keyboard_poll();
	/* Interrupts get their chance here: once they are seen to work, the polling ends. */
	__asm__ volatile("sti; nop; pause; cli" : : : "memory");
}

void irq_wait(void)
{
	if (expected == 0 || (expected & ~fired) != 0)
		poll_devices();
	else /* sti takes effect after the next instruction: nothing can come between it and hlt */
		__asm__ volatile("sti; hlt; cli" : : : "memory");
}

u64 irq_count(unsigned line)
{
	return line < IRQ_NR_LINES ? line_table[line].count : 0;
}

u64 irq_spurious_count(void)
{
	return nr_spurious;
}

void irq_use_ioapics(const struct acpi_info *acpi)
{
	ioapics = ioapic_init(acpi);
}

void irq_init(void)
{
	if (!pic_init() && !ioapics)
		log_warn("irq: no 8259 interrupt controller; the console is polled");
	serial_enable_input();
	keyboard_init();
}
