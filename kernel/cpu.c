/*
 * Processors: struct cpu, descriptor tables, stacks, features.
 *
 * Long mode leaves little of segmentation: one flat code and one data segment, and the task state
 * segment, which holds the stacks that the CPU switches to by itself. A double fault, an NMI and a
 * machine check arrive on stacks of their own (IST), because they may arrive when the kernel stack
 * is what is broken. Below every stack lies a page that kernel/paging.c never maps, so an overflow
 * faults instead of eating what lies below.
 *
 * C1  %gs's base is this CPU's struct cpu; cpu_id() and cpu_self() work from cpu_init() on.
 * C2  cpu_features is what every CPU turns on; constant after cpu_detect().
 *
 * Only CPU 0 is static. Others get the same struct and stacks from kernel/smp.c.
 */
#include <kernel/cpu.h>
#include <kernel/machine.h>
#include <kernel/msr.h>
#include <kernel/stack.h>
#include <lib/assert.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/kmalloc.h>

#define EFER_NX (1u << 11)
#define CR0_WRITE_PROTECT (1ul << 16)
#define CR4_GLOBAL_PAGES (1ul << 7)
#define CR4_UMIP (1ul << 11)
#define CR4_SMEP (1ul << 20)
#define CR4_SMAP (1ul << 21)

/* Page attribute table: entry 1 (PWT alone) becomes write-combining, the others keep their values
 * at reset. */
#define PAT_VALUE 0x0007010600070106ull

struct ist_stack {
	u8 guard[STACK_GUARD_SIZE];
	u8 stack[IST_STACK_SIZE];
};

extern u8 boot_stack[], boot_stack_top[]; /* boot/start.asm */

static struct ist_stack ist_stack[NR_IST] __aligned(4096) __attribute__((section(".bss.stacks")));
static struct cpu cpu0;
static struct cpu *cpu_table[MAX_CPUS]; /* A: entries appear, and stay */
struct cpu_features cpu_features __ro_after_init;

/* --- Stacks --- */

struct cpu *cpu_of(unsigned id)
{
	return id < MAX_CPUS ? __atomic_load_n(&cpu_table[id], __ATOMIC_ACQUIRE) : NULL;
}

bool cpu_stack_contains(u64 va, u64 length)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu0.stack); i++) {
		const struct kernel_stack *s = &cpu0.stack[i];

		if (va >= s->base && va - s->base < s->size && length <= s->size - (va - s->base))
			return true;
	}
	return stack_contains(va, length);
}

/* The stack of another CPU, or of a thread. */
static const struct kernel_stack *other_stack_of_guard(u64 va)
{
	static const struct kernel_stack thread_stack = {0, CPU_STACK_SIZE, "thread's stack"};

	for (unsigned id = 1; id < MAX_CPUS && cpu_of(id) != NULL; id++)
		for (size_t i = 0; i < ARRAY_SIZE(cpu0.stack); i++)
			if (va - (cpu_of(id)->stack[i].base - STACK_GUARD_SIZE) < STACK_GUARD_SIZE)
				return &cpu_of(id)->stack[i];
	return stack_is_guard(va) ? &thread_stack : NULL;
}

const struct kernel_stack *cpu_stack_of_guard(u64 va)
{
	for (size_t i = 0; i < ARRAY_SIZE(cpu0.stack); i++)
		if (va - (cpu0.stack[i].base - STACK_GUARD_SIZE) < STACK_GUARD_SIZE)
			return &cpu0.stack[i];
	return other_stack_of_guard(va);
}

static const char *const stack_names[1 + NR_IST] = {"kernel stack", "double fault stack",
                                                    "NMI stack", "machine check stack"};

static void set_stack(struct cpu *cpu, unsigned i, u64 base, u64 size)
{
	cpu->stack[i] = (struct kernel_stack){base, size, stack_names[i]};
	if (i == 0)
		cpu->tss.rsp[0] = base + size;
	else
		cpu->tss.ist[i - 1] = base + size;
	cpu->tss.io_map = sizeof(struct tss); /* beyond the limit: no ports for user mode */
}

static void init_stacks(struct cpu *cpu)
{
	set_stack(cpu, 0, (u64)boot_stack, CPU_STACK_SIZE);
	for (unsigned i = 0; i < NR_IST; i++)
		set_stack(cpu, 1 + i, (u64)ist_stack[i].stack, IST_STACK_SIZE);
}

/* --- Descriptors --- */

static void init_gdt(struct cpu *cpu)
{
	u64 base = (u64)&cpu->tss;
	u64 limit = sizeof(struct tss) - 1;

	cpu->gdt[0] = 0;
	cpu->gdt[SELECTOR_CODE / 8] = 0x00209a0000000000; /* present, code, readable, 64-bit */
	cpu->gdt[SELECTOR_DATA / 8] = 0x0000920000000000; /* present, data, writable */
	/* An available 64-bit TSS: its base in three pieces, the last in a second entry. */
	cpu->gdt[SELECTOR_TSS / 8] =
	    limit | (base & 0xffffff) << 16 | 0x89ull << 40 | (base >> 24 & 0xff) << 56;
	cpu->gdt[SELECTOR_TSS / 8 + 1] = base >> 32;
}

static void load_descriptors(const struct cpu *cpu)
{
	struct __packed {
		u16 limit;
		u64 base;
	} gdtr = {sizeof(cpu->gdt) - 1, (u64)cpu->gdt};

	__asm__ volatile("lgdt %0\n\t"
	                 "pushq %1\n\t"
	                 "leaq 1f(%%rip), %%rax\n\t"
	                 "pushq %%rax\n\t"
	                 "lretq\n"
	                 "1:\n\t"
	                 "movl %2, %%eax\n\t"
	                 "movl %%eax, %%ss\n\t"
	                 "movl %%eax, %%ds\n\t"
	                 "movl %%eax, %%es\n\t"
	                 "ltr %w3"
	                 :
	                 : "m"(gdtr), "i"(SELECTOR_CODE), "i"(SELECTOR_DATA), "r"(SELECTOR_TSS)
	                 : "rax", "memory");
}

void cpu_init(void)
{
	struct cpu *cpu = &cpu0;

	assert(boot_stack_top - boot_stack == CPU_STACK_SIZE);
	cpu->self = cpu;
	cpu->id = 0;
	init_stacks(cpu);
	init_gdt(cpu);
	cpu_table[0] = cpu;
	cpu_load(cpu);
}

void cpu_load(struct cpu *cpu)
{
	load_descriptors(cpu);
	write_msr(MSR_GS_BASE, (u64)cpu);
}

/* Freed by nobody once it has run: other CPUs may look at it. */
struct cpu *cpu_create(unsigned id)
{
	struct cpu *cpu = kzalloc(sizeof(*cpu), GFP_KERNEL);
	unsigned i = 0;

	if (cpu == NULL)
		return NULL;
	cpu->self = cpu;
	cpu->id = id;
	for (; i < 1 + NR_IST; i++) {
		u64 base = stack_alloc();

		if (base == 0)
			break;
		set_stack(cpu, i, base, CPU_STACK_SIZE);
	}
	init_gdt(cpu);
	if (i == 1 + NR_IST)
		return cpu;
	cpu_destroy(cpu);
	return NULL;
}

void cpu_destroy(struct cpu *cpu)
{
	for (unsigned i = 0; i < 1 + NR_IST && cpu->stack[i].base != 0; i++)
		stack_free(cpu->stack[i].base);
	kfree(cpu);
}

void cpu_publish(struct cpu *cpu)
{
	__atomic_store_n(&cpu_table[cpu->id], cpu, __ATOMIC_RELEASE);
}

/* Where the descriptor table lies tells which CPU this is, whatever %gs holds. */
void cpu_restore_self(void)
{
	struct __packed {
		u16 limit;
		u64 base;
	} gdtr;
	u64 cpu;

	__asm__ volatile("sgdt %0" : "=m"(gdtr));
	cpu = gdtr.base - offsetof(struct cpu, gdt);
	if (read_msr(MSR_GS_BASE) != cpu)
		write_msr(MSR_GS_BASE, cpu);
}

/* --- Features --- */

#define CPUID_1_C_RDRAND (1u << 30)
#define RDRAND_TRIES 10 /* as Intel's manual advises */

u64 cpu_random(void)
{
	bool ok = false;
	u64 value = 0;

	for (unsigned i = 0; i < RDRAND_TRIES && !ok && cpuid(1, 0).c & CPUID_1_C_RDRAND; i++)
		__asm__ volatile("rdrand %0" : "=r"(value), "=@ccc"(ok));
	return ok ? value : cycles() * 0x9e3779b97f4a7c15;
}

static void read_names(struct cpu_features *f)
{
	struct cpuid r = cpuid(0, 0);

	memcpy(f->vendor, &r.b, 4);
	memcpy(f->vendor + 4, &r.d, 4);
	memcpy(f->vendor + 8, &r.c, 4);
	if (cpuid(0x80000000, 0).a < 0x80000004)
		return;
	for (u32 i = 0; i < 3; i++) {
		r = cpuid(0x80000002 + i, 0);
		memcpy(f->brand + sizeof(r) * i, &r, sizeof(r));
	}
}

static void read_widths(struct cpu_features *f)
{
	u32 widths = cpuid(0x80000000, 0).a >= 0x80000008 ? cpuid(0x80000008, 0).a : 0;

	f->phys_bits = widths & 0xff;
	f->virt_bits = widths >> 8 & 0xff;
	if (f->phys_bits < 32 || f->phys_bits > 52)
		f->phys_bits = 36; /* what every 64-bit CPU has at least */
	if (f->virt_bits < 48)
		f->virt_bits = 48;
}

void cpu_detect(void)
{
	struct cpu_features *f = &cpu_features;
	struct cpuid basic = cpuid(1, 0), extended = cpuid(0x80000001, 0), structured = {0};

	if (cpuid(0, 0).a >= 7)
		structured = cpuid(7, 0);
	read_names(f);
	read_widths(f);
	f->nx = extended.d >> 20 & 1;
	f->gib_pages = extended.d >> 26 & 1;
	f->global_pages = basic.d >> 13 & 1;
	f->smep = structured.b >> 7 & 1;
	f->smap = structured.b >> 20 & 1;
	f->umip = structured.c >> 2 & 1;
}

void cpu_forget_features(void)
{
	struct cpu_features *f = &cpu_features;

	f->gib_pages = f->global_pages = f->smep = f->smap = f->umip = false;
}

static void log_features(const struct cpu_features *f)
{
	const char *brand = f->brand;

	while (*brand == ' ')
		brand++;
	log_info("cpu %u: %s, %s", cpu_id(), f->vendor, *brand ? brand : "no model name");
	log_info("cpu %u: %u-bit physical%s%s%s%s%s%s", cpu_id(), f->phys_bits,
	         f->nx ? ", nx" : ", NO nx", f->gib_pages ? ", 1g" : "",
	         f->global_pages ? ", pge" : "", f->smep ? ", smep" : "", f->smap ? ", smap" : "",
	         f->umip ? ", umip" : "");
}

void cpu_enable_features(void)
{
	const struct cpu_features *f = &cpu_features;
	u64 cr0, cr4;

	if (f->nx)
		write_msr(MSR_EFER, read_msr(MSR_EFER) | EFER_NX);
	write_msr(MSR_PAT, PAT_VALUE);
	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0 | CR0_WRITE_PROTECT) : "memory");
	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	cr4 |= (f->global_pages ? CR4_GLOBAL_PAGES : 0) | (f->smep ? CR4_SMEP : 0) |
	       (f->smap ? CR4_SMAP : 0) | (f->umip ? CR4_UMIP : 0);
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4) : "memory");
	if (cpu_id() == 0) /* the others are the same */
		log_features(f);
}

/* Changing the bit makes the CPU forget the global ones too, and loading %cr3 the others where
 * there are no global ones (Intel SDM 3A, 4.10.4.1). */
void cpu_forget_translations(void)
{
	u64 flags = irq_save(), cr3, cr4;

	__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 & ~CR4_GLOBAL_PAGES) : "memory");
	__asm__ volatile("movq %%cr3, %0; movq %0, %%cr3" : "=r"(cr3) : : "memory");
	__asm__ volatile("movq %0, %%cr4" : : "r"(cr4) : "memory");
	irq_restore(flags);
}
