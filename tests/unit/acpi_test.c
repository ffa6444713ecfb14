/* The reader of ACPI tables: what it makes of good ones, and of every kind of bad ones. */
#include <boot/acpi.h>
#include <lib/bits.h>
#include <tests/test.h>

#define PA 0x7000000ull /* where the made-up memory lies */
#define SIZE 8192u
#define ROOT 0u /* offsets in it */
#define LIST 64u
#define MADT 512u
#define SRAT 2048u
#define SLIT 4096u

static u8 memory[SIZE];
static u32 end; /* of the table in the making */
static struct acpi_info info;

static const void *peek(void *context, u64 pa, u64 length)
{
	(void)context;
	return pa >= PA && length <= SIZE && pa - PA <= SIZE - length ? memory + (pa - PA) : NULL;
}

static void put(u64 value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		memory[end++] = (u8)(i < 8 ? value >> 8 * i : 0);
}

static void set(u32 at, u64 value, unsigned bytes)
{
	u32 back = end;

	end = at;
	put(value, bytes);
	end = back;
}

static void fix_sum(u32 start, u32 length, u32 at)
{
	u8 sum = 0;

	memory[at] = 0;
	for (u32 i = 0; i < length; i++)
		sum = (u8)(sum + memory[start + i]);
	memory[at] = (u8)-sum;
}

static void table(u32 at, const char *signature)
{
	end = at;
	for (u32 i = 0; i < 4; i++)
		put((u8)signature[i], 1);
	end = at + 36;
}

static void table_end(u32 at)
{
	set(at + 4, end - at, 4);
	fix_sum(at, end - at, at + 9);
}

/* A root of version 2 and an XSDT, or a root of version 0 and an RSDT. */
static void root(bool version_2)
{
	memset(memory, 0, sizeof(memory));
	memcpy(memory + ROOT, "RSD PTR ", 8);
	memory[ROOT + 15] = version_2 ? 2 : 0;
	set(version_2 ? ROOT + 24 : ROOT + 16, PA + LIST, version_2 ? 8 : 4);
	fix_sum(ROOT, 20, ROOT + 8);
	fix_sum(ROOT, 36, ROOT + 32);
	table(LIST, version_2 ? "XSDT" : "RSDT");
	for (u32 i = 0; i < 4; i++)
		put((u64[]){PA + 0x1f00, PA + MADT, PA + SRAT, PA + SLIT}[i], version_2 ? 8 : 4);
	table_end(LIST);
}

static void madt(void)
{
	table(MADT, "APIC");
	put(0xfee00000, 4);
	put(1, 4);
}

static void madt_cpu(u32 id, u32 flags)
{
	put(0, 1), put(8, 1), put(id, 1), put(id, 1), put(flags, 4);
}

static void madt_x2apic(u32 id, u32 flags)
{
	put(9, 1), put(16, 1), put(0, 2), put(id, 4), put(flags, 4), put(id, 4);
}

static void srat(void)
{
	table(SRAT, "SRAT");
	put(1, 4), put(0, 8);
}

static void srat_memory(u32 domain, u64 base, u64 length, u32 flags)
{
	put(1, 1), put(40, 1), put(domain, 4), put(0, 2), put(base, 8), put(length, 8);
	put(0, 4), put(flags, 4), put(0, 8);
}

static void srat_cpu(u32 domain, u32 id)
{
	put(0, 1), put(16, 1), put(domain & 0xff, 1), put(id, 1), put(1, 4), put(0, 1);
	put(domain >> 8, 3), put(0, 4);
}

static void srat_x2apic(u32 domain, u32 id)
{
	put(2, 1), put(24, 1), put(0, 2), put(domain, 4), put(id, 4), put(1, 4), put(0, 8);
}

static void slit(u64 n, const char *rows)
{
	table(SLIT, "SLIT");
	put(n, 8);
	for (; *rows; rows++)
		put((u8)(*rows - '0') * 10u, 1);
	table_end(SLIT);
}

static int read(void)
{
	return acpi_read(memory + ROOT, 36, peek, NULL, &info);
}

static void expect_one_cpu_one_node(void)
{
	EXPECT_EQ(info.nr_cpus, 1);
	EXPECT_EQ(info.cpu[0].apic_id, 0);
	EXPECT_EQ(info.nr_nodes, 1);
	EXPECT_EQ(info.nr_memory, 0);
	EXPECT_EQ(info.distance[0][0], ACPI_NEAR);
	EXPECT_EQ(info.distance[0][1], ACPI_FAR);
	EXPECT_EQ(info.line[7].global, 7);
}

TEST(acpi, processors_and_controllers)
{
	for (int version_2 = 0; version_2 <= 1; version_2++) {
		root(version_2);
		madt();
		madt_cpu(0, 1), madt_cpu(2, 1), madt_cpu(4, 0), madt_cpu(6, 2);
		madt_x2apic(2, 1), madt_x2apic(0x12345, 1);
		put(1, 1), put(12, 1), put(3, 1), put(0, 1), put(0xfec00000, 4), put(24, 4);
		put(2, 1), put(10, 1), put(0, 1), put(9, 1), put(20, 4), put(0xf, 2);
		put(2, 1), put(10, 1), put(0, 1), put(0, 1), put(2, 4), put(0, 2);
		put(4, 1), put(6, 1), put(0, 4); /* an NMI source: nothing to us */
		table_end(MADT);
		EXPECT_EQ(read(), 0);
		EXPECT_TRUE(info.has_madt && info.has_8259);
		EXPECT_EQ(info.local_apic, 0xfee00000);
		ASSERT_EQ(info.nr_cpus, 3);
		EXPECT_EQ(info.cpu[1].apic_id, 2);
		EXPECT_EQ(info.cpu[2].apic_id, 0x12345);
		ASSERT_EQ(info.nr_ioapics, 1);
		EXPECT_EQ(info.ioapic[0].address, 0xfec00000);
		EXPECT_EQ(info.ioapic[0].first, 24);
		EXPECT_EQ(info.line[9].global, 20);
		EXPECT_TRUE(info.line[9].active_low && info.line[9].level);
		EXPECT_EQ(info.line[0].global, 2);
		EXPECT_FALSE(info.line[0].active_low || info.line[0].level);
		EXPECT_EQ(info.nr_bad, 0);
	}
}

TEST(acpi, the_local_apic_may_be_elsewhere)
{
	root(true);
	madt();
	put(5, 1), put(12, 1), put(0, 2), put(0x1fee00000, 8);
	table_end(MADT);
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.local_apic, 0x1fee00000);
	EXPECT_EQ(info.nr_cpus, 1); /* the one that runs, though none is listed */
}

TEST(acpi, more_processors_than_there_is_room_for)
{
	root(true);
	madt(); /* from here to the end, over the other tables */
	for (u32 i = 0; i < ACPI_CPUS_MAX + 7; i++)
		madt_x2apic(i, 1);
	table_end(MADT);
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.nr_cpus, ACPI_CPUS_MAX);
	EXPECT_EQ(info.nr_cpus_dropped, 7);
}

TEST(acpi, nodes_in_the_order_of_the_table)
{
	u64 stop;

	root(true);
	madt();
	madt_cpu(0, 1), madt_cpu(1, 1), madt_x2apic(300, 1);
	table_end(MADT);
	srat();
	srat_cpu(0x1234567, 1);
	srat_x2apic(9, 300);
	srat_cpu(9, 77);                 /* not in the MADT */
	srat_memory(9, 4 * GIB, GIB, 3); /* may be plugged in */
	srat_memory(0x1234567, 0, GIB, 1);
	srat_memory(5, 8 * GIB, GIB, 0); /* not enabled */
	srat_memory(5, 9 * GIB, 0, 1);   /* empty */
	table_end(SRAT);
	EXPECT_EQ(read(), 0);
	EXPECT_NULL(info.srat_fault);
	EXPECT_EQ(info.nr_nodes, 2);
	EXPECT_EQ(info.cpu[0].node, 0); /* not named: node 0 */
	EXPECT_EQ(info.cpu[1].node, 0);
	EXPECT_EQ(info.cpu[2].node, 1);
	ASSERT_EQ(info.nr_memory, 2);
	EXPECT_EQ(info.memory[0].base, 0);
	EXPECT_EQ(info.memory[1].node, 1);
	EXPECT_TRUE(info.memory[1].hot && !info.memory[0].hot);
	EXPECT_EQ(acpi_node_of(&info, 5 * MIB, &stop), 0);
	EXPECT_EQ(stop, GIB);
	EXPECT_EQ(acpi_node_of(&info, 2 * GIB, &stop), 0);
	EXPECT_EQ(stop, 4 * GIB);
	EXPECT_EQ(acpi_node_of(&info, 5 * GIB - 1, &stop), 1);
	EXPECT_EQ(stop, 5 * GIB);
	EXPECT_EQ(acpi_node_of(&info, 5 * GIB, &stop), 0);
	EXPECT_EQ(stop, UINT64_MAX);
}

static void two_nodes(void)
{
	root(true);
	srat();
	srat_memory(1, 0, GIB, 1);
	srat_memory(0, GIB, GIB, 1);
	table_end(SRAT);
}

TEST(acpi, memory_that_the_table_lists)
{
	two_nodes(); /* [0, 1) and [1, 2) GiB */
	EXPECT_EQ(read(), 0);
	EXPECT_TRUE(acpi_lists_memory(&info, 0, 2 * GIB));
	EXPECT_TRUE(acpi_lists_memory(&info, GIB - 1, 2));
	EXPECT_FALSE(acpi_lists_memory(&info, GIB, GIB + 1));
	EXPECT_FALSE(acpi_lists_memory(&info, 2 * GIB, 1));
}

TEST(acpi, distances)
{
	two_nodes();
	slit(2, "1321"); /* domain 0 to 1 is 30, 1 to 0 is 20; node 0 is domain 1 */
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.distance[0][1], 20);
	EXPECT_EQ(info.distance[1][0], 30);
	EXPECT_EQ(info.distance[1][1], ACPI_NEAR);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(acpi, distances_that_make_no_sense)
{
	static const struct {
		u64 n;
		const char *rows;
	} bad[] = {{2, "2331"}, {2, "1131"}, {1, "1"}, {2, "132"}, {0, ""}, {1ull << 33, "1321"}};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		two_nodes();
		slit(bad[i].n, bad[i].rows);
		EXPECT_EQ(read(), 0);
		EXPECT_EQ(info.nr_bad, 1);
		EXPECT_EQ(info.nr_nodes, 2);
		EXPECT_EQ(info.distance[0][1], ACPI_FAR);
		EXPECT_EQ(info.distance[0][0], ACPI_NEAR);
	}
}

static void expect_srat_fault(const char *why)
{
	table_end(SRAT);
	EXPECT_EQ(read(), 0);
	EXPECT_STREQ(info.srat_fault, why);
	expect_one_cpu_one_node();
}

TEST(acpi, a_srat_that_is_ignored)
{
	root(true);
	srat();
	srat_memory(0, 0, 2 * GIB, 1), srat_memory(1, GIB, GIB, 1);
	expect_srat_fault("its memory ranges overlap");
	srat();
	srat_memory(1, GIB, GIB, 1), srat_memory(0, 0, GIB + 1, 1);
	expect_srat_fault("its memory ranges overlap");
	srat();
	srat_cpu(3, 0);
	expect_srat_fault("it names no memory");
	srat();
	for (u32 i = 0; i <= ACPI_NODES_MAX; i++)
		srat_memory(i, i * GIB, GIB, 1);
	expect_srat_fault("it has more than 8 nodes");
	srat();
	srat_memory(0, 1ull << 63, 1ull << 63, 1), srat_memory(0, GIB, GIB, 1);
	table_end(SRAT);
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.nr_bad, 1); /* the range that wraps */
	EXPECT_EQ(info.nr_memory, 1);
}

TEST(acpi, a_srat_with_too_many_ranges)
{
	root(true);
	srat();
	for (u32 i = 0; i < ACPI_MEMORY_MAX; i++)
		srat_memory(0, i * GIB, MIB, 1);
	table_end(SRAT);
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.nr_memory, ACPI_MEMORY_MAX);
	srat_memory(0, GIB * ACPI_MEMORY_MAX, MIB, 1);
	expect_srat_fault("it has more than 64 memory ranges");
}

TEST(acpi, usable_memory_must_have_a_node)
{
	struct mem_range range[8];
	struct memmap map;

	memmap_init(&map, range, ARRAY_SIZE(range), 52);
	memmap_add(&map, MIB, 2 * GIB, MEM_USABLE);
	memmap_add(&map, 3 * GIB, GIB, MEM_RESERVED);
	two_nodes();
	EXPECT_EQ(read(), 0);
	EXPECT_TRUE(acpi_nodes_cover(&info, &map, MIB));
	EXPECT_EQ(info.nr_nodes, 2);
	EXPECT_FALSE(acpi_nodes_cover(&info, &map, MIB - 1));
	EXPECT_STREQ(info.srat_fault, "usable memory belongs to no node");
	expect_one_cpu_one_node();
	EXPECT_TRUE(acpi_nodes_cover(&info, &map, 0)); /* no SRAT: nothing to cover */
}

TEST(acpi, malformed_entries)
{
	root(true);
	madt();
	put(0, 1), put(7, 1), put(0, 5); /* too short for what it is */
	madt_cpu(5, 1);
	put(1, 1), put(12, 1), put(0, 10);                                   /* an I/O APIC at 0 */
	put(2, 1), put(10, 1), put(0, 1), put(16, 1), put(16, 4), put(0, 2); /* line 16 */
	put(2, 1), put(10, 1), put(1, 1), put(3, 1), put(16, 4), put(0, 2);  /* another bus */
	put(0, 1), put(0, 1); /* of no length: the end */
	madt_cpu(6, 1);
	table_end(MADT);
	EXPECT_EQ(read(), 0);
	ASSERT_EQ(info.nr_cpus, 1);
	EXPECT_EQ(info.cpu[0].apic_id, 5);
	EXPECT_EQ(info.nr_ioapics, 0);
	EXPECT_EQ(info.line[3].global, 3);
	EXPECT_EQ(info.nr_bad, 5);
	madt();
	put(0, 1), put(8, 1), put(0, 2); /* ends beyond the table */
	table_end(MADT);
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.nr_bad, 1);
	end = MADT + 40; /* no room for the fixed part */
	table_end(MADT);
	EXPECT_EQ(read(), 0);
	EXPECT_EQ(info.nr_bad, 1);
	EXPECT_FALSE(info.has_madt);
	expect_one_cpu_one_node();
}

TEST(acpi, tables_that_cannot_be_read)
{
	root(true);
	madt();
	madt_cpu(9, 1);
	table_end(MADT);
	memory[MADT + 44]++; /* the sum */
	EXPECT_EQ(read(), 0);
	EXPECT_FALSE(info.has_madt);
	memory[MADT + 44]--;
	EXPECT_EQ(read(), 0);
	EXPECT_TRUE(info.has_madt);
	set(MADT + 4, 35, 4); /* shorter than a header */
	EXPECT_EQ(read(), 0);
	EXPECT_FALSE(info.has_madt);
	set(MADT + 4, SIZE, 4); /* beyond what can be read */
	EXPECT_EQ(read(), 0);
	EXPECT_FALSE(info.has_madt);
	set(MADT + 4, 0xffffffff, 4);
	EXPECT_EQ(read(), 0);
	EXPECT_FALSE(info.has_madt);
	expect_one_cpu_one_node();
}

TEST(acpi, a_root_that_leads_nowhere)
{
	root(true);
	EXPECT_EQ(acpi_read(memory, 0, peek, NULL, &info), -ENOENT);
	expect_one_cpu_one_node();
	EXPECT_EQ(acpi_read(memory, 20, peek, NULL, &info), -ENOENT); /* no RSDT */
	memory[LIST]++;
	EXPECT_EQ(read(), -ENOENT);
	root(true);
	set(ROOT + 16, PA + LIST, 4); /* the RSDT's place has an XSDT */
	EXPECT_EQ(acpi_read(memory, 20, peek, NULL, &info), -ENOENT);
	set(ROOT + 24, 1ull << 60, 8);
	EXPECT_EQ(read(), -ENOENT);
}

/* Low memory as a BIOS leaves it. */
static u8 bios[0x100000 - 0xe0000], ebda[1024], segment[2];

static const void *peek_bios(void *context, u64 pa, u64 length)
{
	(void)context;
	if (pa == 0x40e && length == 2)
		return segment;
	if (pa == 0x9fc00 && length <= sizeof(ebda))
		return ebda;
	return pa >= 0xe0000 && pa + length <= 0x100000 ? bios + (pa - 0xe0000) : NULL;
}

TEST(acpi, the_root_of_a_bios)
{
	u8 rsdp[36];

	memset(bios, 0, sizeof(bios));
	memset(ebda, 0, sizeof(ebda));
	memset(segment, 0, sizeof(segment));
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 0);
	root(true);
	memcpy(bios + 0x1238, memory, 36); /* not at a multiple of 16 */
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 0);
	memcpy(bios + sizeof(bios) - 32, memory, 32); /* cut off: only its first version is whole */
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 20);
	memcpy(bios + 0x1230, memory, 36);
	bios[0x1230 + 35]++; /* the second sum */
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 20);
	bios[0x1230 + 35]--;
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 36);
	EXPECT_EQ(memcmp(rsdp, memory, 36), 0);
	root(false);
	memcpy(ebda + 16, memory, 20);
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 36); /* the area is not given */
	segment[0] = 0xc0, segment[1] = 0x9f;
	EXPECT_EQ(acpi_find_root(peek_bios, NULL, rsdp), 20);
	EXPECT_EQ(rsdp[15], 0);
}
