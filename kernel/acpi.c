/*
 * The machine's ACPI tables, read once at boot while the early page tables show the first 4 GiB:
 * the result is copied, so the tables' memory may be given away.
 */
#include <kernel/cmdline.h>
#include <kernel/memory.h>
#include <kernel/smp.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/context.h>
#include <mm/platform.h>

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
	mm_nr_cpus = (unsigned)min_u64(info.nr_cpus, options()->maxcpus);
}
