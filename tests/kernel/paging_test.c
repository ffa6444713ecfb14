/*
 * The final page tables, tried out: what must fault does, what is mapped is where it should be.
 */
#include <kernel/cpu.h>
#include <kernel/layout.h>
#include <kernel/memory.h>
#include <kernel/page_map.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <kernel/trap.h>
#include <lib/assert.h>
#include <lib/string.h>
#include <mm/vmalloc.h>
#include <mm/zone.h>
#include <tests/test.h>

static void read_byte(void *p)
{
	(void)*(volatile u8 *)p;
}

/* Writes what is there, so that a test that fails does no harm. */
static void write_byte(void *p)
{
	u8 old = *(volatile u8 *)p;

	*(volatile u8 *)p = old;
}

static void call(void *p)
{
	((void (*)(void))p)();
}

/* That the access ends in a page fault at va with these bits of the error code. */
static void expect_fault(void (*access)(void *), u64 va, u64 error)
{
	struct trap_frame f;

	ASSERT_TRUE(trap_expect(access, (void *)va, &f));
	EXPECT_EQ(f.vector, TRAP_PAGE_FAULT);
	EXPECT_EQ(f.cr2, va);
	EXPECT_EQ(f.error, error);
}

u64 test_pages_kept(void)
{
	return pagetable_nr_pages();
}

TEST(paging, page_zero_and_the_lower_half_fault)
{
	expect_fault(read_byte, 0, 0);
	expect_fault(read_byte, 0xfff, 0);
	expect_fault(read_byte, 0x200000, 0); /* where the image is loaded */
	expect_fault(read_byte, 0x7ffffffff000, 0);
}

TEST(paging, text_is_not_writable)
{
	expect_fault(write_byte, (u64)text_start, FAULT_PRESENT | FAULT_WRITE);
	expect_fault(write_byte, (u64)&read_byte, FAULT_PRESENT | FAULT_WRITE);
	expect_fault(write_byte, (u64)text_end - 1, FAULT_PRESENT | FAULT_WRITE);
}

TEST(paging, constants_are_not_writable)
{
	expect_fault(write_byte, (u64)rodata_start, FAULT_PRESENT | FAULT_WRITE);
	expect_fault(write_byte, (u64)rodata_end - 1, FAULT_PRESENT | FAULT_WRITE);
}

TEST(paging, text_and_constants_are_not_writable_through_the_direct_map)
{
	u64 text = (u64)phys_to_virt(image_pa(&read_byte));
	u64 constant = (u64)phys_to_virt(image_pa(rodata_start));

	EXPECT_FALSE(trap_expect(read_byte, (void *)text, NULL));
	expect_fault(write_byte, text, FAULT_PRESENT | FAULT_WRITE);
	expect_fault(write_byte, constant, FAULT_PRESENT | FAULT_WRITE);
}

static u8 code_in_data[16] = {0xc3}; /* ret */

TEST(paging, data_stack_and_direct_map_do_not_execute)
{
	u8 code_on_stack[16] = {0xc3};
	u64 alias = (u64)phys_to_virt(image_pa(code_in_data));

	if (!cpu_features.nx) {
		test_skip("this CPU has no NX");
		return;
	}
	EXPECT_EQ(*(volatile u8 *)alias, 0xc3);
	expect_fault(call, (u64)code_in_data, FAULT_PRESENT | FAULT_FETCH);
	expect_fault(call, (u64)code_on_stack, FAULT_PRESENT | FAULT_FETCH);
	expect_fault(call, alias, FAULT_PRESENT | FAULT_FETCH);
	expect_fault(call, (u64)rodata_start, FAULT_PRESENT | FAULT_FETCH);
}

TEST(paging, every_stack_has_a_guard_page)
{
	const struct cpu *cpu = cpu_self();

	for (size_t i = 0; i < ARRAY_SIZE(cpu->stack); i++) {
		u64 base = cpu->stack[i].base;

		EXPECT_FALSE(trap_expect(read_byte, (void *)base, NULL));
		expect_fault(read_byte, base - 1, 0);
		expect_fault(read_byte, base - STACK_GUARD_SIZE, 0);
		EXPECT_TRUE(cpu_stack_of_guard(base - 1) == &cpu->stack[i]);
		EXPECT_NULL(cpu_stack_of_guard(base));
	}
}

TEST(paging, early_page_tables_are_gone)
{
	expect_fault(read_byte, (u64)boot_tables, 0);
	EXPECT_FALSE(paging_translate((u64)boot_tables_end - 1, NULL, NULL));
}

TEST(paging, translates_known_addresses)
{
	static u8 variable;
	u64 pa;
	u32 flags;

	ASSERT_TRUE(paging_translate((u64)&variable, &pa, &flags));
	EXPECT_EQ(pa, image_pa(&variable));
	EXPECT_EQ(flags & ~(u32)PAGING_EXECUTE, PAGING_WRITE);
	ASSERT_TRUE(paging_translate((u64)&read_byte, &pa, &flags));
	EXPECT_EQ(pa, image_pa(&read_byte));
	EXPECT_EQ(flags, PAGING_EXECUTE);
	ASSERT_TRUE(paging_translate((u64)phys_to_virt(0x123456), &pa, &flags));
	EXPECT_EQ(pa, 0x123456);
	EXPECT_EQ(flags & ~(u32)PAGING_EXECUTE, PAGING_WRITE);
}

TEST(paging, translates_nothing_that_is_not_mapped)
{
	EXPECT_FALSE(paging_translate(0, NULL, NULL));
	EXPECT_FALSE(paging_translate(0x800000000000, NULL, NULL)); /* not canonical */
	EXPECT_FALSE(paging_translate(0xfffe800000000000, NULL, NULL));
	EXPECT_FALSE(paging_translate(STACKS_BASE, NULL, NULL));
	EXPECT_FALSE(paging_translate(DIRECT_MAP_BASE + DIRECT_MAP_SIZE, NULL, NULL));
}

static bool is_mapped_ram(u32 type)
{
	return type != MEM_RESERVED && type != MEM_BAD && type != MEM_UNREACHABLE;
}

TEST(paging, direct_map_has_both_ends_of_every_ram_range)
{
	const struct memmap *map = memory_map();

	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		u64 last = r->base + r->length - 1, pa = 0;

		if (!is_mapped_ram(r->type))
			continue;
		EXPECT_TRUE(paging_translate((u64)phys_to_virt(r->base), &pa, NULL));
		EXPECT_EQ(pa, r->base);
		EXPECT_TRUE(paging_translate((u64)phys_to_virt(last), &pa, NULL));
		EXPECT_EQ(pa, last);
	}
}

TEST(paging, direct_map_leaves_the_firmwares_reserved_ranges_out)
{
	const struct memmap *map = memory_map();

	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		if (is_mapped_ram(r->type) || r->base < MIB || r->base >= PLATFORM_MAX_PA)
			continue;
		EXPECT_FALSE(paging_translate((u64)phys_to_virt(r->base), NULL, NULL));
	}
}

TEST(paging, pageblock_window_reads_zero_where_no_ram_is)
{
	u64 last = PAGEBLOCK_BASE + PAGEBLOCK_SIZE - 1;

	EXPECT_EQ(*(volatile u8 *)last, 0);
	expect_fault(write_byte, last, FAULT_PRESENT | FAULT_WRITE);
	EXPECT_EQ(*(volatile u8 *)(PAGEBLOCK_BASE + PAGEBLOCK_SIZE / 2), 0);
	EXPECT_NULL(page_hint((void *)KERNEL_BASE));
	EXPECT_NULL(page_hint((void *)~0ul));
	EXPECT_NULL(page_hint((void *)0x1234));
	EXPECT_NULL(page_hint((void *)0x1234567800000000));
}

/* The page of pageblock bytes of the first whole 8 GiB of untouched memory that nobody asked about
 * yet, or 0. */
static u64 promised_page(void)
{
	for_each_zone(z)
		for (u32 i = 0; i < z->buddy.nr_untouched; i++)
			for (u64 pfn = z->buddy.untouched[i].start; pfn < z->buddy.untouched[i].end;
			     pfn += 1u << MAX_ORDER) {
				u64 va = (u64)&pageblock_map[pfn >> PAGEBLOCK_ORDER];

				if (!paging_translate(va, NULL, NULL))
					return va;
			}
	return 0;
}

TEST(paging, promised_pages_of_the_window_are_there_when_asked_for)
{
	u64 va = promised_page(), backed = page_map_window_pages();
	u32 flags = 0;

	if (va == 0) {
		test_skip("all pageblock bytes of this machine were looked at already");
		return;
	}
	EXPECT_EQ(*(volatile u8 *)va, PAGEBLOCK_UNKNOWN);
	EXPECT_TRUE(paging_translate(va, NULL, &flags));
	EXPECT_TRUE(flags & PAGING_WRITE);
	EXPECT_EQ(page_map_window_pages(), backed + 1);
	EXPECT_NULL(mem_find_other((void *)align_down(va, PAGE_SIZE), 0, PAGE_SIZE));
	va = promised_page();
	if (va != 0) { /* by a write, and nothing of it is lost */
		*(volatile u8 *)va = PAGEBLOCK_HEAD;
		EXPECT_EQ(*(volatile u8 *)va, PAGEBLOCK_HEAD);
		*(volatile u8 *)va = PAGEBLOCK_UNKNOWN;
	}
}

TEST(paging, page_map_is_where_the_shifts_say)
{
	void *va = phys_to_virt(image_pa(kernel_end));
	u64 pfn = image_pa(kernel_end) >> PAGE_SHIFT;

	EXPECT_TRUE((struct page *)((s64)va >> 8 & ~15l) == &page_map[pfn]);
	EXPECT_TRUE((u8 *)((s64)va >> 21) == &pageblock_map[pfn >> PAGEBLOCK_ORDER]);
	EXPECT_TRUE(paging_translate((u64)&page_map[pfn], NULL, NULL));
	EXPECT_FALSE(trap_expect(write_byte, &pageblock_map[pfn >> PAGEBLOCK_ORDER], NULL));
}

TEST(paging, nothing_breaks_an_invariant)
{
	EXPECT_NULL(paging_check());
}

/* Of 4 KiB, or of 2 MiB where the image is large enough. */
static u64 *leaf_entry(u64 va)
{
	u64 *entry = pagetable_entry(va, 0);

	if (entry == NULL)
		entry = pagetable_entry(va, 1);
	assert(entry && (*entry & PTE_PRESENT));
	return entry;
}

/* Each breaks exactly one invariant in an entry of a page that nobody uses, and repairs it. */
static void expect_broken(u64 va, u64 flip, const char *invariant)
{
	u64 *entry = leaf_entry(va), good = *entry;
	const char *found;

	*entry = good ^ flip; /* not flushed: the CPU may go on with the good one */
	found = paging_check();
	*entry = good;
	__asm__ volatile("invlpg (%0)" : : "r"(va) : "memory");
	ASSERT_NOT_NULL(found);
	EXPECT_TRUE(strncmp(found, invariant, 2) == 0);
}

TEST(paging, check_finds_each_broken_invariant)
{
	void *victim = vmalloc(PAGE_SIZE);

	ASSERT_NOT_NULL(victim);
	if (cpu_features.nx) {
		expect_broken((u64)victim, PTE_NX, "P2");
		expect_broken((u64)text_start, PTE_WRITE, "P2");
	}
	expect_broken((u64)victim, PTE_USER, "P3");
	expect_broken((u64)rodata_start, PTE_WRITE, "P4");
	EXPECT_NULL(paging_check());
	vfree(victim);
}

TEST(paging, check_finds_a_mapping_in_the_lower_half)
{
	u64 cr3, *root;
	const char *found;

	__asm__ volatile("movq %%cr3, %0" : "=r"(cr3));
	root = phys_to_virt(cr3);
	root[0] = root[pagetable_index(KERNEL_BASE, PAGETABLE_ROOT_LEVEL)];
	found = paging_check();
	root[0] = 0;
	__asm__ volatile("movq %0, %%cr3" : : "r"(cr3) : "memory");
	ASSERT_NOT_NULL(found);
	EXPECT_TRUE(strncmp(found, "P1", 2) == 0);
}

TEST(paging, refuses_to_map_what_is_mapped)
{
	static u8 victim[PAGE_SIZE] __aligned(4096);

	EXPECT_EQ(
	    pagetable_map((u64)victim, image_pa(victim), PAGE_SIZE, pagetable_bits(PAGING_WRITE)),
	    -EEXIST);
	EXPECT_EQ(pagetable_map(DIRECT_MAP_BASE, 0, PAGE_SIZE, pagetable_bits(0)), -EEXIST);
}

TEST(paging, refuses_devices_that_no_address_can_be)
{
	EXPECT_NULL(paging_map_device(0xfee00000, 0));
	EXPECT_NULL(paging_map_device(~0ull - 10, 100));
	EXPECT_NULL(paging_map_device(1ull << cpu_features.phys_bits, 1));
	EXPECT_NULL(paging_map_device(0, STACKS_BASE - DEVICE_BASE + 1));
}

/* The interrupt controller of the CPU: every x86-64 machine has its page there. Mapped once, since
 * there is no unmap. */
TEST(paging, maps_a_device_uncached)
{
	static volatile u8 *registers;
	u64 pa;
	u32 flags;

	if (!registers)
		registers = paging_map_device(0xfee00030, 4);
	ASSERT_NOT_NULL((const void *)registers);
	ASSERT_TRUE(paging_translate((u64)registers, &pa, &flags));
	EXPECT_EQ(pa, 0xfee00030);
	EXPECT_EQ(flags & ~(u32)PAGING_EXECUTE, PAGING_WRITE | PAGING_UNCACHED);
	EXPECT_EQ(registers[1], registers[1]); /* a read that must not fault */
}
