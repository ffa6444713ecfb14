/*
 * The machine's ACPI tables, read once at boot while the early page tables show the first 4 GiB:
 * the result is copied, so the tables' memory may be given away.
 */
#include <kernel/cmdline.h>
#include <kernel/memory.h>
#include <kernel/msr.h>
#include <kernel/smp.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/context.h>
#include <mm/node.h>
#include <mm/platform.h>

static_assert(ACPI_NODES_MAX == MAX_NODES && ACPI_MEMORY_MAX == NODE_RANGES_MAX, "as many");

#define EARLY_LIMIT (4 * GIB)
#define UNCOVERED_MAX MIB /* usable memory that the SRAT may forget */

static struct acpi_info info;

const struct acpi_info *acpi_info(void)
{
	return &info;
}

static const void *peek(void *context, u64 pa, u64 length)
{
	(void)context;
	return pa < EARLY_LIMIT && length <= EARLY_LIMIT - pa ? phys_to_virt(pa) : NULL;
}

static void log_result(int error)
{
	if (error)
		log_info("acpi: no tables; one CPU, one node");
	else
		log_info("acpi: %u CPUs, %u I/O APICs, %u nodes%s", info.nr_cpus, info.nr_ioapics,
		         info.nr_nodes, info.has_madt ? "" : "; no MADT");
	if (info.nr_cpus_dropped > 0)
		log_warn("acpi: %u CPUs too many, ignored", info.nr_cpus_dropped);
	if (info.nr_bad > 0)
		log_warn("acpi: %u malformed entries ignored", info.nr_bad);
}

/* The processor's own number, before its APIC is set up: the long one where there is one. */
static u32 own_apic_id(void)
{
	if (cpuid(0, 0).a >= 0xb && cpuid(0xb, 0).b != 0)
		return cpuid(0xb, 0).d;
	return cpuid(1, 0).b >> 24;
}

static void tell_topology(void)
{
	static struct mm_topology t;
	u32 self = own_apic_id();

	t.nr_nodes = info.nr_nodes;
	t.nr_ranges = info.nr_memory;
	for (u32 i = 0; i < info.nr_memory; i++)
		t.range[i] = (struct mm_node_range){info.memory[i].base, info.memory[i].length,
		                                    info.memory[i].node};
	memcpy(t.distance, info.distance, sizeof(t.distance));
	mm_set_topology(&t);
	for (u32 i = 0; i < info.nr_cpus; i++)
		if (info.cpu[i].apic_id == self)
			mm_set_cpu_node(0, info.cpu[i].node);
}

void smp_read_tables(void)
{
	const struct boot_info *boot = boot_info();
	u8 rsdp[36], length = boot->rsdp_length;
	int error;

	memcpy(rsdp, boot->rsdp, sizeof(rsdp));
	if (length == 0 && !boot->efi)
		length = acpi_find_root(peek, NULL, rsdp);
	error = acpi_read(rsdp, length, peek, NULL, &info);
	log_result(error);
	(void)acpi_nodes_cover(&info, memory_map(), UNCOVERED_MAX);
	if (info.srat_fault != NULL)
		log_warn("acpi: the SRAT is ignored: %s; all memory is node 0", info.srat_fault);
	tell_topology();
	mm_nr_cpus = (unsigned)min_u64(info.nr_cpus, options()->maxcpus);
}
