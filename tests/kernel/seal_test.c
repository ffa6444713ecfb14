/* What only the boot writes is read-only afterwards, under each of its addresses. */
#include <kernel/cpu.h>
#include <kernel/layout.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <kernel/trap.h>
#include <mm/mm.h>
#include <tests/test.h>

#include "tests/model/sealed.h"

#define CR0_WP (1ull << 16)

/* For a moment this CPU may write whatever it can read, as at the boot. */
void sealed_store(void *to, u64 word)
{
	u64 flags = irq_save(), cr0;

	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0 & ~CR0_WP) : "memory");
	*(volatile u64 *)to = word;
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0) : "memory");
	irq_restore(flags);
}

static int written_at_boot __ro_after_init = 5;

static void write_to(void *p)
{
	*(volatile u8 *)p = 0;
}

static void expect_read_only(void *p)
{
	u8 before = *(volatile u8 *)p;
	struct trap_frame f;

	ASSERT_TRUE(trap_expect(write_to, p, &f));
	EXPECT_EQ(f.vector, TRAP_PAGE_FAULT);
	EXPECT_EQ(f.error, FAULT_PRESENT | FAULT_WRITE);
	EXPECT_EQ(*(volatile u8 *)p, before);
}

TEST(seal, what_only_the_boot_writes_faults)
{
	ASSERT_TRUE(paging_is_sealed());
	expect_read_only(&written_at_boot);
	expect_read_only(&cpu_features);
	expect_read_only(kmalloc_cache);
	EXPECT_EQ(written_at_boot, 5);
}

TEST(seal, so_does_its_alias_in_the_direct_map)
{
	expect_read_only(phys_to_virt(image_pa(&written_at_boot)));
	expect_read_only(phys_to_virt(image_pa(kmalloc_cache)));
}

TEST(seal, its_neighbours_stay_what_they_were)
{
	u32 flags = 0;

	ASSERT_TRUE(paging_translate((u64)ro_init_end, NULL, &flags));
	EXPECT_EQ(flags, PAGING_WRITE);
	ASSERT_TRUE(paging_translate((u64)ro_init_start - 1, NULL, &flags));
	EXPECT_EQ(flags, 0);
	EXPECT_NULL(paging_check());
}
