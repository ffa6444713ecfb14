/* What the boot held is free again, and every byte is still accounted for. */
#include <kernel/memory.h>
#include <kernel/sections.h>
#include <mm/mm.h>
#include <tests/test.h>

TEST(memory, every_byte_is_accounted_for)
{
	EXPECT_EQ(memory_print_account(), 0);
}

TEST(memory, what_the_boot_held_is_free_again)
{
	static const u32 types[] = {MEM_ACPI, MEM_BOOT, MEM_MODULE};

	for (unsigned i = 0; i < ARRAY_SIZE(types); i++)
		EXPECT_EQ(memmap_bytes(memory_map(), types[i]), 0);
	EXPECT_NULL(memmap_check(memory_map()));
}

TEST(memory, the_init_data_are_ordinary_pages)
{
	EXPECT_GT(init_end - init_start, 0);
	for (u64 pa = image_pa(init_start); pa < image_pa(init_end); pa += PAGE_SIZE)
		EXPECT_NOT_NULL(page_block_of(pa >> PAGE_SHIFT));
	EXPECT_NULL(page_block_of(image_pa(init_end) >> PAGE_SHIFT));
}
