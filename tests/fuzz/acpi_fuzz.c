/*
 * The reader of ACPI tables on a physical memory of any content. Sums are repaired, or hardly any
 * input would get past them: where a byte pattern like a table's signature stands, the byte at 9 is
 * set so that the sum over its length is 0. What must hold of the result: A1 to A4 of boot/acpi.c.
 */
#include <boot/acpi.h>
#include <tests/fuzz/fuzz.h>

#define BASE 0x10000u

struct memory {
	u8 *bytes;
	size_t size;
};

static const void *peek(void *context, u64 pa, u64 length)
{
	struct memory *m = context;

	MUST(length > 0);
	if (pa < BASE || pa - BASE > m->size || length > m->size - (pa - BASE))
		return NULL;
	return m->bytes + (pa - BASE);
}

static void repair(u8 *p, size_t length, size_t at)
{
	u8 sum = 0;

	p[at] = 0;
	for (size_t i = 0; i < length; i++)
		sum = (u8)(sum + p[i]);
	p[at] = (u8)-sum;
}

static bool is_table(const u8 *p)
{
	static const char *const names[] = {"XSDT", "RSDT", "APIC", "SRAT", "SLIT"};

	for (u32 i = 0; i < ARRAY_SIZE(names); i++)
		if (memcmp(p, names[i], 4) == 0)
			return true;
	return false;
}

/* From the end on, so that a table inside another one's bytes is repaired before it. */
static void repair_all(struct memory *m)
{
	for (size_t at = m->size; at-- > 0;) {
		size_t left = m->size - at, length;

		if (left < 36 || !is_table(m->bytes + at))
			continue;
		length = (size_t)m->bytes[at + 4] | (size_t)m->bytes[at + 5] << 8;
		if (length >= 36 && length <= left && m->bytes[at + 6] == 0 &&
		    m->bytes[at + 7] == 0)
			repair(m->bytes + at, length, 9);
	}
	if (m->size >= 36) {
		repair(m->bytes, 20, 8);
		repair(m->bytes, 36, 32);
	}
}

static void check_cpus(const struct acpi_info *info)
{
	MUST(info->nr_cpus >= 1 && info->nr_cpus <= ACPI_CPUS_MAX);
	MUST(info->nr_ioapics <= ACPI_IOAPICS_MAX);
	for (u32 i = 0; i < info->nr_cpus; i++) {
		MUST(info->cpu[i].node < ACPI_NODES_MAX);
		for (u32 j = 0; j < i; j++)
			MUST(info->cpu[i].apic_id != info->cpu[j].apic_id);
	}
}

static void check_nodes(const struct acpi_info *info)
{
	MUST(info->nr_nodes >= 1 && info->nr_nodes <= ACPI_NODES_MAX);
	MUST(info->nr_memory <= ACPI_MEMORY_MAX);
	MUST(info->srat_fault == NULL || info->nr_memory == 0);
	for (u32 i = 0; i < info->nr_memory; i++) {
		const struct acpi_memory *m = &info->memory[i];

		MUST(m->node < info->nr_nodes && m->length != 0);
		MUST(m->base <= UINT64_MAX - m->length);
		MUST(i == 0 || m[-1].base + m[-1].length <= m->base);
	}
	for (u32 i = 0; i < info->nr_nodes; i++)
		for (u32 j = 0; j < info->nr_nodes; j++)
			MUST(i == j ? info->distance[i][j] == ACPI_NEAR
			            : info->distance[i][j] > ACPI_NEAR);
}

void fuzz_one(struct input *in)
{
	struct memory memory = {.size = 0};
	struct acpi_info *info = exact_alloc(sizeof(*info));
	u8 length = (u8[]){0, 20, 36}[input_below(in, 3)];

	memory.bytes = input_take_rest(in, &memory.size, false);
	repair_all(&memory);
	if (memory.size >= 36)
		(void)acpi_read(memory.bytes, length, peek, &memory, info);
	else
		(void)acpi_read(NULL, 0, peek, &memory, info);
	check_cpus(info);
	check_nodes(info);
	exact_free(memory.bytes);
	exact_free(info);
}
