/*
 * The other CPUs: how they start, and how one asks another for something.
 *
 * A start is INIT, a pause, and up to two STARTUPs (Intel SDM 3A, 9.4.4; MultiProcessor
 * Specification 1.4, B.4), which make the CPU run boot/trampoline.asm in a page below 1 MiB. CPUs
 * start one after the other, since they share that page. One that does not say that it runs within
 * a tenth of a second is given up and reported.
 *
 * Calls: one at a time in the whole machine. The caller fills the slot, sends an interrupt to each
 * CPU that is meant, and waits until all have counted themselves off.
 *
 *   X1  CPU numbers are dense: a number is given only to a CPU that answered
 *   X2  the page tables in use while starting map nothing of the lower half but the trampoline's
 * page
 */
#include <kernel/apic.h>
#include <kernel/cmdline.h>
#include <kernel/cpu.h>
#include <kernel/irq.h>
#include <kernel/machine.h>
#include <kernel/memory.h>
#include <kernel/pagetable.h>
#include <kernel/sched.h>
#include <kernel/smp.h>
#include <kernel/trap.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/spinlock.h>
#include <lib/string.h>
#include <mm/context.h>
#include <mm/node.h>
#include <mm/page_alloc.h>

#define INIT_PAUSE_US 10000
#define STARTUP_PAUSE_US 200
#define TABLES_ORDER 2
#define LOOKS_BEFORE_HALT 2000
#define ANSWER_TRIES 500    /* of STARTUP_PAUSE_US each */
#define FLUSH_PAGES_MAX 128 /* at most so many one by one */
#define EFER_LONG_MODE (1u << 8)
#define EFER_NX (1u << 11)

extern const u8 trampoline_start[], trampoline_end[];
extern const u8 trampoline_gdt[], trampoline_gdtr[], trampoline_far[], trampoline_cr3[],
    trampoline_efer[], trampoline_final_cr3[], trampoline_cpu[], trampoline_stack[],
    trampoline_entry[];
void smp_enter(void);
_Noreturn void smp_cpu_main(struct cpu *cpu);

static unsigned nr_cpus = 1; /* A */
static bool stopping;        /* A: a panic ends the machine */

unsigned smp_nr_cpus(void)
{
	return __atomic_load_n(&nr_cpus, __ATOMIC_ACQUIRE);
}

/* --- the page of the trampoline --- */

static u64 trampoline_pa(void)
{
	const struct memmap *map = memory_map();

	for (u32 i = 0; i < map->nr; i++)
		if (map->range[i].type == MEM_TRAMPOLINE)
			return map->range[i].base;
	return 0;
}

/* A variable of the trampoline, in the copy. */
static void *variable(u64 pa, const u8 *symbol)
{
	return (u8 *)phys_to_virt(pa) + (symbol - trampoline_start);
}

static void set32(u64 pa, const u8 *symbol, u32 value)
{
	memcpy(variable(pa, symbol), &value, sizeof(value));
}

static void set64(u64 pa, const u8 *symbol, u64 value)
{
	memcpy(variable(pa, symbol), &value, sizeof(value));
}

static u64 current_cr3(void)
{
	u64 cr3;

	__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
	return cr3;
}

/*
 * The tables with which the other CPUs turn paging on: the kernel's half, and the first 2 MiB one
 * to one. Three pages below 4 GiB, since %cr3 has 32 bits then. 0: no memory.
 */
static struct page *make_tables(void)
{
	struct page *pages = alloc_pages(GFP_KERNEL | __GFP_DMA32 | __GFP_ZERO, TABLES_ORDER);
	u64 *table, pa;

	if (pages == NULL)
		return NULL;
	table = page_address(pages);
	pa = page_to_phys(pages);
	memcpy(table + 256, (u64 *)phys_to_virt(current_cr3() & PTE_ADDRESS) + 256, 2048);
	table[0] = (pa + 4096) | PTE_PRESENT | PTE_WRITE;
	table[512] = (pa + 8192) | PTE_PRESENT | PTE_WRITE;
	table[1024] = PTE_PRESENT | PTE_WRITE | PTE_LARGE;
	return pages;
}

static void prepare_trampoline(u64 pa, const struct page *tables)
{
	u32 far = (u32)pa;
	u32 offset;

	memcpy(phys_to_virt(pa), trampoline_start, (size_t)(trampoline_end - trampoline_start));
	memcpy(&offset, variable(pa, trampoline_far), sizeof(offset));
	set32(pa, trampoline_far, offset + far);
	set32(pa, trampoline_gdtr + 2, far + (u32)(trampoline_gdt - trampoline_start));
	set32(pa, trampoline_cr3, (u32)page_to_phys(tables));
	set32(pa, trampoline_efer, EFER_LONG_MODE | (cpu_features.nx ? EFER_NX : 0));
	set64(pa, trampoline_final_cr3, current_cr3());
	set64(pa, trampoline_entry, (u64)smp_enter);
}

/* --- starting one --- */

_Noreturn void smp_cpu_main(struct cpu *cpu)
{
	cpu_load(cpu);
	trap_load();
	cpu_enable_features();
	apic_init_cpu();
	mm_context_enter(CONTEXT_THREADS);
	cpu->apic_id = apic_id();
	cpu_publish(cpu);
	sched_run_cpu(); /* says that it runs, and never returns */
}

static bool is_up(const struct cpu *cpu)
{
	return cpu_of(cpu->id) == cpu && sched_cpu_runs(cpu->id);
}

static bool wait_for(const struct cpu *cpu, unsigned tries)
{
	for (unsigned i = 0; i < tries && !is_up(cpu); i++)
		pit_wait(STARTUP_PAUSE_US);
	return is_up(cpu);
}

/* 0; -ETIMEDOUT: nobody took the struct cpu, and nobody can any more; -EBUSY: it was taken, so it
 * may still be used one day. */
static int start(struct cpu *cpu, u32 id, u64 page_pa)
{
	u64 *mailbox = variable(page_pa, trampoline_cpu);

	set64(page_pa, trampoline_stack, cpu->stack[0].base + cpu->stack[0].size);
	__atomic_store_n(mailbox, (u64)cpu, __ATOMIC_RELEASE);
	apic_send_init(id);
	pit_wait(INIT_PAUSE_US);
	apic_send_startup(id, page_pa);
	if (!wait_for(cpu, 5))
		apic_send_startup(id, page_pa);
	if (wait_for(cpu, ANSWER_TRIES))
		return 0;
	/* Taken, but not through yet: very slow, or dead on the way. */
	if (__atomic_exchange_n(mailbox, 0, __ATOMIC_ACQ_REL) != 0)
		return -ETIMEDOUT;
	return wait_for(cpu, 20 * ANSWER_TRIES) ? 0 : -EBUSY;
}

static int start_with(struct cpu *cpu, struct page *tables, u32 id)
{
	u64 page_pa = trampoline_pa();

	int error;

	prepare_trampoline(page_pa, tables);
	error = start(cpu, id, page_pa);
	if (error != 0)
		return error;
	__atomic_store_n(&nr_cpus, cpu->id + 1, __ATOMIC_RELEASE);
	return 0;
}

int smp_start_cpu(u32 id, u32 node)
{
	struct page *tables;
	struct cpu *cpu;
	int error = -ENOMEM;

	if (smp_nr_cpus() >= mm_nr_cpus || trampoline_pa() == 0)
		return -ENOSPC;
	cpu = cpu_create(smp_nr_cpus());
	tables = make_tables();
	if (cpu != NULL && tables != NULL && sched_add_cpu(cpu)) {
		cpu->node = node;
		mm_set_cpu_node(cpu->id, node);
		error = start_with(cpu, tables, id);
	}
	if (tables != NULL && error != -EBUSY)
		free_pages(tables, TABLES_ORDER);
	if (cpu != NULL && error != 0 && error != -EBUSY) {
		sched_remove_cpu(cpu);
		cpu_destroy(cpu);
	}
	return error;
}

/* --- all of them --- */

static void start_others(const struct acpi_info *acpi)
{
	u32 self = apic_id();

	for (u32 i = 0; i < acpi->nr_cpus && smp_nr_cpus() < mm_nr_cpus; i++) {
		const struct acpi_cpu *c = &acpi->cpu[i];
		int error;

		if (c->apic_id == self)
			continue;
		error = smp_start_cpu(c->apic_id, c->node);
		if (error == -ETIMEDOUT || error == -EBUSY)
			log_warn(
			    "smp: the CPU with APIC id %u does not answer; going on without it",
			    c->apic_id);
		else if (error)
			log_warn("smp: no memory to start the CPU with APIC id %u", c->apic_id);
	}
}

void smp_init(void)
{
	const struct acpi_info *acpi = acpi_info();

	if (!apic_init(acpi)) {
		log_info("smp: no local APIC; one CPU");
		return;
	}
	irq_use_ioapics(acpi);
	cpu_self()->apic_id = apic_id();
	for (u32 i = 0; i < acpi->nr_cpus; i++)
		if (acpi->cpu[i].apic_id == apic_id())
			cpu_self()->node = acpi->cpu[i].node;
	if (!apic_timer_calibrate())
		log_warn("apic: the timer does not run; threads are not pre-empted");
	else
		sched_start_timer();
	start_others(acpi);
	log_info("smp: %u of %u CPUs run", smp_nr_cpus(), acpi->nr_cpus);
}

/* --- calls --- */

static struct {
	struct spinlock lock; /* one call at a time; interrupts stay on while it is waited for */
	void (*fn)(void *arg);
	void *arg;
	unsigned nr_left; /* A */
} call = {.lock = SPINLOCK_INIT("smp call")};

void smp_handle_call(void)
{
	call.fn(call.arg);
	__atomic_sub_fetch(&call.nr_left, 1, __ATOMIC_RELEASE);
}

static void send_call(unsigned cpu)
{
	apic_send(cpu_of(cpu)->apic_id, VECTOR_CALL);
}

/* Between two looks at what another CPU is to do. Who has waited for long halts until its next
 * tick: an emulator has fewer CPUs than the machine, and this one may be what the other waits for.
 */
static void wait_a_little(u32 *nr_looks)
{
	if (++*nr_looks > LOOKS_BEFORE_HALT && sched_is_ticking())
		__asm__ volatile("hlt" : : : "memory");
	else
		cpu_relax();
}

/* Between the two this thread stays on its CPU, and nobody else calls. cpu: one, or mm_nr_cpus for
 * all others. */
static void begin_call(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	unsigned self, nr = smp_nr_cpus();
	u32 nr_looks = 0;

	assert(irq_is_enabled());
	sched_stay();
	while (!spin_try_lock(&call.lock))
		wait_a_little(&nr_looks);
	self = cpu_id();
	call.fn = fn;
	call.arg = arg;
	__atomic_store_n(&call.nr_left, cpu < nr ? 1 : nr - 1, __ATOMIC_RELEASE);
	for (unsigned i = 0; i < nr; i++)
		if (i != self && (cpu >= nr || i == cpu))
			send_call(i);
}

static void end_call(void)
{
	u32 nr_looks = 0;

	while (__atomic_load_n(&call.nr_left, __ATOMIC_ACQUIRE) != 0)
		wait_a_little(&nr_looks);
	spin_unlock(&call.lock);
	sched_move();
}

static void call_cpus(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	begin_call(cpu, fn, arg);
	end_call();
}

void smp_call(unsigned cpu, void (*fn)(void *arg), void *arg)
{
	assert(cpu < smp_nr_cpus());
	if (cpu == cpu_id()) { /* threads stay on their CPU */
		u64 flags = irq_save();
		struct mm_context former = mm_context_enter(CONTEXT_INTERRUPTS);

		fn(arg);
		mm_context_leave(former);
		irq_restore(flags);
		return;
	}
	call_cpus(cpu, fn, arg);
}

void smp_call_others(void (*fn)(void *arg), void *arg)
{
	if (smp_nr_cpus() > 1)
		call_cpus(MAX_CPUS, fn, arg);
}

/* --- alone --- */

struct hold {
	unsigned nr_held; /* A */
	bool over;        /* A */
};

static void stand_still(void *arg)
{
	struct hold *h = arg;

	__atomic_add_fetch(&h->nr_held, 1, __ATOMIC_ACQ_REL);
	while (!__atomic_load_n(&h->over, __ATOMIC_ACQUIRE))
		cpu_relax();
}

/* Nobody is held inside a critical section: their interrupts are off there. */
static void with_others_held(void (*fn)(void *arg), void *arg)
{
	struct hold h = {0};
	u32 nr_looks = 0;
	u64 flags;

	begin_call(MAX_CPUS, stand_still, &h);
	while (__atomic_load_n(&h.nr_held, __ATOMIC_ACQUIRE) != smp_nr_cpus() - 1)
		wait_a_little(&nr_looks);
	flags = irq_save();
	fn(arg);
	irq_restore(flags);
	__atomic_store_n(&h.over, true, __ATOMIC_RELEASE);
	end_call();
}

bool platform_alone(void (*fn)(void *arg), void *arg)
{
	u64 flags;

	if (smp_nr_cpus() > 1 && !irq_is_enabled())
		return false;
	if (smp_nr_cpus() > 1) {
		with_others_held(fn, arg);
		return true;
	}
	flags = irq_save();
	fn(arg);
	irq_restore(flags);
	return true;
}

/* --- drains --- */

struct drain {
	void (*fn)(void);
	bool done;
};

/* Not in the middle of a fast path of mm/: what it works on is half done. */
static void unless_in_fast_path(void *arg)
{
	struct drain *d = arg;
	struct mm_context former;

	if (mm_in_fast_path(cpu_self()->interrupted_ip))
		return;
	former = mm_context_enter(CONTEXT_THREADS); /* whose handlers' is then within reach too */
	d->fn();
	d->done = true;
	mm_context_leave(former);
}

/* One after the other: what they give back goes through the same few locks, so that all at once
 * they would wait for each other, with interrupts off. */
bool platform_on_other_cpus(void (*fn)(void))
{
	if (smp_nr_cpus() > 1 && !irq_is_enabled())
		return false;
	for (unsigned cpu = 0; cpu < smp_nr_cpus(); cpu++) {
		struct drain d = {.fn = fn, .done = cpu == cpu_id()}; /* threads stay on theirs */

		while (!d.done)
			smp_call(cpu, unless_in_fast_path, &d);
	}
	return true;
}

/* --- the end --- */

void smp_stop_others(void)
{
	if (smp_nr_cpus() == 1 || __atomic_exchange_n(&stopping, true, __ATOMIC_ACQ_REL))
		return;
	apic_send_nmi_to_others();
}

void smp_handle_stop(void)
{
	if (__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
		machine_halt();
}

/* --- translations --- */

struct range {
	u64 start, end;
};

static void flush_range(void *arg)
{
	const struct range *r = arg;

	if (r->end - r->start > FLUSH_PAGES_MAX * PAGE_SIZE) {
		cpu_forget_translations();
		return;
	}
	for (u64 va = r->start; va < r->end; va += PAGE_SIZE)
		__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
}

void tlb_shootdown(u64 va, u64 length)
{
	struct range r = {align_down(va, PAGE_SIZE), va + length};

	flush_range(&r);
	smp_call_others(flush_range, &r);
}

bool platform_may_flush(void)
{
	return smp_nr_cpus() == 1 || irq_is_enabled();
}

void platform_flush(u64 start, u64 end)
{
	tlb_shootdown(start, end - start);
}
