/*
 * The reader of ACPI tables: root pointer → list of tables → MADT, SRAT, SLIT.
 *
 * A table counts only when its header fits, its bytes sum to 0 and all of it can be read; an entry
 * of a table only when it lies in the table and is as long as its type says. What is malformed is
 * counted and passed over.
 *
 *   A1  cpu[] holds no APIC id twice; a processor that is not enabled is not in it
 *   A2  nodes are numbered in the order of their domains' first appearance in the SRAT
 *   A3  memory[] is sorted and disjoint, or the SRAT is ignored as a whole (srat_fault)
 *   A4  distance[i][i] is ACPI_NEAR and all others are larger, or the SLIT is ignored
 *
 * Cost: one pass over each table, quadratic in the number of CPUs (256 at most).
 */
#include <boot/acpi.h>
#include <lib/bits.h>
#include <lib/string.h>

#define ROOT_SIGNATURE 0x2052545020445352ull /* "RSD PTR " */
#define TABLE_HEADER 36u
#define TABLE_MAX (1u << 20)
#define BIOS_EBDA_SEGMENT 0x40eu
#define BIOS_AREA 0xe0000u
#define BIOS_AREA_END 0x100000u

struct reader {
	boot_peek peek;
	void *context;
	struct acpi_info *out;
};

/* A part of a table: bytes and how many. */
struct bytes {
	const u8 *data;
	u32 length;
};

static u64 number(const u8 *p, unsigned size)
{
	u64 value = 0;

	for (unsigned i = 0; i < size; i++)
		value |= (u64)p[i] << 8 * i;
	return value;
}

static u32 u32_at(const u8 *p)
{
	return (u32)number(p, 4);
}

static bool sums_to_zero(const u8 *p, u32 length)
{
	u8 sum = 0;

	for (u32 i = 0; i < length; i++)
		sum = (u8)(sum + p[i]);
	return sum == 0;
}

/* --- root pointer and tables --- */

/* Eight bytes at once: a search compares thousands of places. */
static bool is_root(const u8 *p)
{
	u64 word;

	__builtin_memcpy(&word, p, sizeof(word));
	return word == ROOT_SIGNATURE;
}

static u8 root_length(const u8 *p, u64 left)
{
	if (left < 20 || !is_root(p) || !sums_to_zero(p, 20))
		return 0;
	return p[15] >= 2 && left >= 36 && sums_to_zero(p, 36) ? 36 : 20;
}

static u8 find_root_in(boot_peek peek, void *context, u64 start, u64 end, u8 rsdp[36])
{
	const u8 *area = peek(context, start, end - start);

	for (u64 at = 0; area != NULL && at + 20 <= end - start; at += 16) {
		u8 length;

		if (likely(!is_root(area + at)))
			continue;
		length = root_length(area + at, end - start - at);
		if (length != 0) {
			memcpy(rsdp, area + at, length);
			return length;
		}
	}
	return 0;
}

u8 acpi_find_root(boot_peek peek, void *context, u8 rsdp[36])
{
	const u8 *segment = peek(context, BIOS_EBDA_SEGMENT, 2);
	u64 ebda = segment != NULL ? number(segment, 2) << 4 : 0;
	u8 length = 0;

	memset(rsdp, 0, 36);
	if (ebda >= 0x80000 && ebda < 0xa0000)
		length = find_root_in(peek, context, ebda, ebda + 1024, rsdp);
	return length != 0 ? length : find_root_in(peek, context, BIOS_AREA, BIOS_AREA_END, rsdp);
}

/* The table at pa, whole and with the right sum; data NULL otherwise. */
static struct bytes table_at(const struct reader *r, u64 pa)
{
	const u8 *header = pa != 0 ? r->peek(r->context, pa, TABLE_HEADER) : NULL;
	struct bytes none = {NULL, 0};
	const u8 *data;
	u32 length;

	if (header == NULL)
		return none;
	length = u32_at(header + 4);
	if (length < TABLE_HEADER || length > TABLE_MAX)
		return none;
	data = r->peek(r->context, pa, length);
	if (data == NULL || !sums_to_zero(data, length))
		return none;
	return (struct bytes){data, length};
}

static bool has_signature(struct bytes table, const char *signature)
{
	return table.data != NULL && memcmp(table.data, signature, 4) == 0;
}

/* The list of tables: XSDT with 8-byte entries, or RSDT with 4-byte ones. */
static struct bytes table_list(const struct reader *r, const u8 *rsdp, u8 length, unsigned *size)
{
	struct bytes list = {NULL, 0};

	*size = 8;
	if (length == 36)
		list = table_at(r, number(rsdp + 24, 8));
	if (has_signature(list, "XSDT"))
		return list;
	*size = 4;
	if (length >= 20)
		list = table_at(r, number(rsdp + 16, 4));
	return has_signature(list, "RSDT") ? list : (struct bytes){NULL, 0};
}

static struct bytes find_table(const struct reader *r, struct bytes list, unsigned size,
                               const char *signature)
{
	for (u32 at = TABLE_HEADER; at + size <= list.length; at += size) {
		struct bytes table = table_at(r, number(list.data + at, size));

		if (has_signature(table, signature))
			return table;
	}
	return (struct bytes){NULL, 0};
}

/* Calls fn for each entry (type, length, content …) from `at` on; its length byte is at 1. */
static void each_entry(struct reader *r, struct bytes table, u32 at,
                       bool (*fn)(struct acpi_info *out, const u8 *entry, u32 length))
{
	while (at + 2 <= table.length) {
		u32 length = table.data[at + 1];

		if (length < 2 || length > table.length - at) {
			r->out->nr_bad++;
			return; /* where the next one starts is not known */
		}
		if (!fn(r->out, table.data + at, length))
			r->out->nr_bad++;
		at += length;
	}
}

/* --- MADT --- */

enum {
	MADT_LOCAL_APIC = 0,
	MADT_IOAPIC = 1,
	MADT_OVERRIDE = 2,
	MADT_ADDRESS = 5,
	MADT_X2APIC = 9,
};

#define CPU_ENABLED 1u

static void add_cpu(struct acpi_info *out, u32 apic_id, u32 flags)
{
	if (!(flags & CPU_ENABLED))
		return;
	for (u32 i = 0; i < out->nr_cpus; i++)
		if (out->cpu[i].apic_id == apic_id)
			return; /* listed as xAPIC and x2APIC */
	if (out->nr_cpus == ACPI_CPUS_MAX)
		out->nr_cpus_dropped++;
	else
		out->cpu[out->nr_cpus++] = (struct acpi_cpu){.apic_id = apic_id};
}

static bool add_ioapic(struct acpi_info *out, const u8 *e)
{
	if (out->nr_ioapics == ACPI_IOAPICS_MAX || u32_at(e + 4) == 0)
		return false;
	out->ioapic[out->nr_ioapics++] =
	    (struct acpi_ioapic){.address = u32_at(e + 4), .first = u32_at(e + 8)};
	return true;
}

/* Polarity and trigger: 0 as the bus has it (ISA: active high, edge), 1 high or edge, 3 low or
 * level. */
static bool add_override(struct acpi_info *out, const u8 *e)
{
	unsigned flags = (unsigned)number(e + 8, 2);

	if (e[2] != 0 || e[3] >= ACPI_ISA_LINES)
		return false;
	out->line[e[3]] = (struct acpi_line){.global = u32_at(e + 4),
	                                     .active_low = (flags & 3) == 3,
	                                     .level = (flags >> 2 & 3) == 3};
	return true;
}

static bool madt_entry(struct acpi_info *out, const u8 *e, u32 length)
{
	static const u8 lengths[] = {[MADT_LOCAL_APIC] = 8,
	                             [MADT_IOAPIC] = 12,
	                             [MADT_OVERRIDE] = 10,
	                             [MADT_ADDRESS] = 12,
	                             [MADT_X2APIC] = 16};

	if (e[0] < ARRAY_SIZE(lengths) && length < lengths[e[0]])
		return false;
	switch (e[0]) {
	case MADT_LOCAL_APIC:
		add_cpu(out, e[3], u32_at(e + 4));
		return true;
	case MADT_X2APIC:
		add_cpu(out, u32_at(e + 4), u32_at(e + 8));
		return true;
	case MADT_IOAPIC:
		return add_ioapic(out, e);
	case MADT_OVERRIDE:
		return add_override(out, e);
	case MADT_ADDRESS:
		out->local_apic = number(e + 4, 8);
		return true;
	default:
		return true; /* NMI sources and what is newer */
	}
}

static void read_madt(struct reader *r, struct bytes table)
{
	struct acpi_info *out = r->out;

	if (table.length < TABLE_HEADER + 8) {
		out->nr_bad++;
		return;
	}
	out->nr_cpus = 0;
	out->has_madt = true;
	out->local_apic = u32_at(table.data + TABLE_HEADER);
	out->has_8259 = u32_at(table.data + TABLE_HEADER + 4) & 1;
	each_entry(r, table, TABLE_HEADER + 8, madt_entry);
	if (out->nr_cpus == 0) /* the one that reads this is there in any case */
		add_cpu(out, 0, CPU_ENABLED);
}

/* --- SRAT and SLIT --- */

enum { SRAT_CPU = 0, SRAT_MEMORY = 1, SRAT_X2APIC = 2 };

#define SRAT_ENABLED 1u
#define SRAT_HOT 2u

static void reset_nodes(struct acpi_info *out, const char *why)
{
	out->srat_fault = why;
	out->nr_nodes = 1;
	out->nr_memory = 0;
	out->domain[0] = 0;
	for (u32 i = 0; i < out->nr_cpus; i++)
		out->cpu[i].node = 0;
	for (u32 i = 0; i < ACPI_NODES_MAX; i++)
		for (u32 j = 0; j < ACPI_NODES_MAX; j++)
			out->distance[i][j] = i == j ? ACPI_NEAR : ACPI_FAR;
}

/* The node of a domain, made at its first appearance; ACPI_NODES_MAX when there are too many. */
static u32 node_of_domain(struct acpi_info *out, u32 domain)
{
	for (u32 i = 0; i < out->nr_nodes; i++)
		if (out->domain[i] == domain)
			return i;
	if (out->nr_nodes == ACPI_NODES_MAX) {
		out->srat_fault = "it has more than 8 nodes";
		return ACPI_NODES_MAX;
	}
	out->domain[out->nr_nodes] = domain;
	return out->nr_nodes++;
}

static bool srat_cpu(struct acpi_info *out, u32 apic_id, u32 domain)
{
	u32 node = node_of_domain(out, domain);

	for (u32 i = 0; i < out->nr_cpus; i++)
		if (out->cpu[i].apic_id == apic_id)
			out->cpu[i].node = node;
	return true; /* of a processor that is not there: no harm */
}

/* Inserted where it belongs; an overlap with another node's range makes the whole table worthless.
 */
static bool srat_memory(struct acpi_info *out, u64 base, u64 length, u32 domain, bool hot)
{
	u32 at = out->nr_memory, node;

	if (length == 0)
		return true;
	if (base + length < base)
		return false;
	node = node_of_domain(out, domain);
	if (out->nr_memory == ACPI_MEMORY_MAX) {
		out->srat_fault = "it has more than 64 memory ranges";
		return true;
	}
	for (; at > 0 && out->memory[at - 1].base > base; at--)
		out->memory[at] = out->memory[at - 1];
	out->memory[at] = (struct acpi_memory){base, length, node, hot};
	out->nr_memory++;
	if ((at > 0 && out->memory[at - 1].base + out->memory[at - 1].length > base) ||
	    (at + 1 < out->nr_memory && base + length > out->memory[at + 1].base))
		out->srat_fault = "its memory ranges overlap";
	return true;
}

static bool srat_entry(struct acpi_info *out, const u8 *e, u32 length)
{
	static const u8 lengths[] = {[SRAT_CPU] = 16, [SRAT_MEMORY] = 40, [SRAT_X2APIC] = 24};

	if (e[0] < ARRAY_SIZE(lengths) && length < lengths[e[0]])
		return false;
	switch (e[0]) {
	case SRAT_CPU:
		return !(u32_at(e + 4) & SRAT_ENABLED) ||
		       srat_cpu(out, e[3], e[2] | (u32)number(e + 9, 3) << 8);
	case SRAT_X2APIC:
		return !(u32_at(e + 12) & SRAT_ENABLED) ||
		       srat_cpu(out, u32_at(e + 8), u32_at(e + 4));
	case SRAT_MEMORY:
		return !(u32_at(e + 28) & SRAT_ENABLED) ||
		       srat_memory(out, number(e + 8, 8), number(e + 16, 8), u32_at(e + 2),
		                   u32_at(e + 28) & SRAT_HOT);
	default:
		return true;
	}
}

static void read_srat(struct reader *r, struct bytes table)
{
	struct acpi_info *out = r->out;

	out->nr_nodes = 0;
	each_entry(r, table, TABLE_HEADER + 12, srat_entry);
	if (out->srat_fault == NULL && out->nr_memory == 0)
		out->srat_fault = "it names no memory";
	if (out->srat_fault != NULL)
		reset_nodes(out, out->srat_fault);
}

/* The matrix is in domain numbers. All of it must make sense, or none of it is taken. */
static void read_slit(struct reader *r, struct bytes table)
{
	struct acpi_info *out = r->out;
	u64 n = table.length >= TABLE_HEADER + 8 ? number(table.data + TABLE_HEADER, 8) : 0;
	const u8 *matrix = table.data + TABLE_HEADER + 8;
	u8 distance[ACPI_NODES_MAX][ACPI_NODES_MAX];

	if (n == 0 || n > 1024 || n * n > table.length - TABLE_HEADER - 8) {
		out->nr_bad++;
		return;
	}
	for (u32 i = 0; i < out->nr_nodes; i++)
		for (u32 j = 0; j < out->nr_nodes; j++) {
			u64 at = out->domain[i] * n + out->domain[j];

			if (out->domain[i] >= n || out->domain[j] >= n ||
			    (i == j ? matrix[at] != ACPI_NEAR : matrix[at] <= ACPI_NEAR)) {
				out->nr_bad++;
				return;
			}
			distance[i][j] = matrix[at];
		}
	for (u32 i = 0; i < out->nr_nodes; i++)
		memcpy(out->distance[i], distance[i], out->nr_nodes);
}

/* --- all of it --- */

static void defaults(struct acpi_info *out)
{
	memset(out, 0, sizeof(*out));
	out->nr_cpus = 1;
	for (u32 i = 0; i < ACPI_ISA_LINES; i++)
		out->line[i].global = i;
	reset_nodes(out, NULL);
}

int acpi_read(const u8 *rsdp, u8 length, boot_peek peek, void *context, struct acpi_info *out)
{
	struct reader r = {peek, context, out};
	struct bytes list, table;
	unsigned size;

	defaults(out);
	list = table_list(&r, rsdp, length, &size);
	if (list.data == NULL)
		return -ENOENT;
	table = find_table(&r, list, size, "APIC");
	if (table.data != NULL)
		read_madt(&r, table);
	table = find_table(&r, list, size, "SRAT");
	if (table.data != NULL)
		read_srat(&r, table);
	table = find_table(&r, list, size, "SLIT");
	if (table.data != NULL && out->nr_memory != 0)
		read_slit(&r, table);
	return 0;
}

bool acpi_lists_memory(const struct acpi_info *info, u64 base, u64 length)
{
	u64 at = base, end = base + length;

	for (u32 i = 0; i < info->nr_memory && at < end; i++) {
		const struct acpi_memory *m = &info->memory[i];

		if (m->base <= at && at - m->base < m->length)
			at = m->base + m->length;
	}
	return at >= end;
}

u32 acpi_node_of(const struct acpi_info *info, u64 pa, u64 *end)
{
	for (u32 i = 0; i < info->nr_memory; i++) {
		const struct acpi_memory *m = &info->memory[i];

		if (pa < m->base) {
			*end = m->base;
			return 0;
		}
		if (pa - m->base < m->length) {
			*end = m->base + m->length;
			return m->node;
		}
	}
	*end = UINT64_MAX;
	return 0;
}

/* Bytes of [start, end) that no node's range holds. */
static u64 uncovered(const struct acpi_info *info, u64 start, u64 end)
{
	u64 bytes = end - start;

	for (u32 i = 0; i < info->nr_memory; i++) {
		const struct acpi_memory *m = &info->memory[i];
		u64 low = max_u64(start, m->base), high = min_u64(end, m->base + m->length);

		bytes -= low < high ? high - low : 0;
	}
	return bytes;
}

bool acpi_nodes_cover(struct acpi_info *out, const struct memmap *map, u64 tolerance)
{
	u64 bytes = 0;

	for (u32 i = 0; i < map->nr && out->nr_memory != 0; i++)
		if (map->range[i].type == MEM_USABLE)
			bytes += uncovered(out, map->range[i].base,
			                   map->range[i].base + map->range[i].length);
	if (bytes <= tolerance)
		return true;
	reset_nodes(out, "usable memory belongs to no node");
	return false;
}
