/*
 * What the firmware's ACPI tables say of processors, interrupt controllers and NUMA nodes: the
 * MADT, the SRAT and the SLIT (ACPI specification 6.5, 5.2.12, 5.2.16 and 5.2.17). Pure, like the
 * boot information's readers: no field is trusted, tables are reached through `peek` only, and the
 * same code is fuzzed on the host.
 */
#pragma once

#include <boot/boot_info.h>
#include <lib/types.h>

#define ACPI_CPUS_MAX 256
#define ACPI_IOAPICS_MAX 16
#define ACPI_ISA_LINES 16
#define ACPI_NODES_MAX 8
#define ACPI_MEMORY_MAX 64
#define ACPI_NEAR 10 /* SLIT: the distance of a node to itself */
#define ACPI_FAR 20  /* to another, when nothing else is said */

struct acpi_cpu {
	u32 apic_id;
	u32 node;
};

struct acpi_ioapic {
	u64 address; /* physical */
	u32 first;   /* its first global interrupt */
};

/* Where an ISA line arrives: the global interrupt's number, and how. */
struct acpi_line {
	u32 global;
	bool active_low, level;
};

/* Memory of one node. */
struct acpi_memory {
	u64 base, length;
	u32 node;
	bool hot; /* may be plugged in later: perhaps nothing is there now */
};

struct acpi_info {
	/* MADT */
	bool has_madt;
	bool has_8259;                /* a PIC pair, to be masked where I/O APICs are used */
	u64 local_apic;               /* physical */
	u32 nr_cpus, nr_cpus_dropped; /* usable ones; beyond ACPI_CPUS_MAX */
	struct acpi_cpu cpu[ACPI_CPUS_MAX];
	u32 nr_ioapics;
	struct acpi_ioapic ioapic[ACPI_IOAPICS_MAX];
	struct acpi_line line[ACPI_ISA_LINES];

	/* SRAT and SLIT; without a valid SRAT there is one node, 0, and nr_memory is 0 */
	u32 nr_nodes;
	u32 domain[ACPI_NODES_MAX]; /* the firmware's number of each node */
	u32 nr_memory;
	struct acpi_memory memory[ACPI_MEMORY_MAX]; /* sorted, disjoint */
	u8 distance[ACPI_NODES_MAX][ACPI_NODES_MAX];

	u32 nr_bad;             /* entries that were ignored because they were malformed */
	const char *srat_fault; /* NULL, or why the SRAT was ignored as a whole */
};

/* Finds the root pointer where a BIOS leaves it (the first KiB of the extended BIOS data area,
 * 0xe0000 … 0xfffff); rsdp gets 36 bytes. Returns 0, 20 or 36: how many are valid. */
u8 acpi_find_root(boot_peek peek, void *context, u8 rsdp[36]);

/*
 * Reads the tables that the root pointer (its `length` valid bytes: 0, 20 or 36) leads to. 0, or
 * -ENOENT when there is no usable root or table list: *out then says one CPU (APIC id 0) and one
 * node, as it does for each table that is missing.
 */
int acpi_read(const u8 *rsdp, u8 length, boot_peek peek, void *context, struct acpi_info *out);

/*
 * Whether the nodes' memory is all of the usable memory (but for `tolerance` bytes): a SRAT that
 * forgets memory is worse than none. False: *out has been reset to one node, and srat_fault set.
 */
bool acpi_nodes_cover(struct acpi_info *out, const struct memmap *map, u64 tolerance);

/* Whether the nodes' ranges hold all of [base, base + length). */
bool acpi_lists_memory(const struct acpi_info *info, u64 base, u64 length);

/* The node of the memory at pa, and where the range of that node ends (memory of no range: node 0,
 * up to the next range). */
u32 acpi_node_of(const struct acpi_info *info, u64 pa, u64 *end);
