/*
 * The Multiboot 2 reader: what it makes of each tag. tests/unit/multiboot2_bad_test.c has what can
 * be wrong with them.
 */
#include "multiboot2_build.h"

TEST(multiboot2, empty_structure)
{
	begin();
	finish();
	EXPECT_EQ(info.protocol, BOOT_MULTIBOOT2);
	EXPECT_EQ(info.nr_bad, 0);
	EXPECT_EQ(info.map_source, BOOT_MAP_NONE);
	EXPECT_EQ(info.info_base, PA);
	EXPECT_EQ(info.info_length, 16);
	EXPECT_EQ(map.nr, 0);
}

TEST(multiboot2, texts_modules_and_load_base)
{
	begin();
	tag_text(MB2_CMDLINE, "test seed=1");
	tag_text(MB2_LOADER, "GRUB 2.06");
	tag_module(0x200000, 0x201234, "a.trace x");
	tag_module(0x300000, 0x300000, "");
	tag(MB2_LOAD_BASE, 4);
	put32(0x400000);
	tag(MB2_EFI64, 8);
	put64(0x7ff00000);
	tag(0x7777, 3);
	put("abc", 3);
	finish();
	EXPECT_STREQ(info.cmdline, "test seed=1");
	EXPECT_FALSE(info.cmdline_cut);
	EXPECT_STREQ(info.loader, "GRUB 2.06");
	ASSERT_EQ(info.nr_modules, 2);
	EXPECT_EQ(info.module[0].base, 0x200000);
	EXPECT_EQ(info.module[0].length, 0x1234);
	EXPECT_STREQ(info.module[0].name, "a.trace x");
	EXPECT_EQ(info.module[1].length, 0);
	EXPECT_STREQ(info.module[1].name, "");
	EXPECT_EQ(info.load_base, 0x400000);
	EXPECT_TRUE(info.efi);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot2, memory_map_with_entries_of_any_size)
{
	for (u32 size = 20; size <= 40; size += 4) {
		begin();
		tag_mmap(size);
		finish();
		EXPECT_EQ(info.map_source, BOOT_MAP_E820);
		ASSERT_EQ(map.nr, 3);
		expect_entry(0, 0, 0x9f000, MEM_USABLE);
		expect_entry(1, 0x9f000, 0x1000, MEM_RESERVED);
		expect_entry(2, 0x100000, 0x700000, MEM_USABLE);
		EXPECT_EQ(info.nr_bad, 0);
	}
}

TEST(multiboot2, best_map_wins_in_any_order)
{
	begin();
	tag_basic(639, 1024);
	tag_efi_mmap(1, 48);
	descriptor(EFI_CONVENTIONAL, 0x100000, 16, EFI_MEMORY_WB, 48);
	finish();
	EXPECT_EQ(info.map_source, BOOT_MAP_EFI);
	EXPECT_EQ(map.nr, 1);
	length -= 8; /* the end tag */
	tag_mmap(24);
	finish();
	EXPECT_EQ(info.map_source, BOOT_MAP_E820);
	EXPECT_EQ(map.nr, 3);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot2, basic_memory_is_the_last_resort)
{
	begin();
	tag_basic(639, 3072);
	finish();
	EXPECT_EQ(info.map_source, BOOT_MAP_BASIC);
	ASSERT_EQ(map.nr, 2);
	expect_entry(0, 0, 639 * KIB, MEM_USABLE);
	expect_entry(1, MIB, 3 * MIB, MEM_USABLE);
	begin();
	tag_basic(0xffffffff, 0xffffffff);
	finish();
	expect_entry(0, 0, 640 * KIB, MEM_USABLE);
	expect_entry(1, MIB, 0xffffffffull * KIB, MEM_USABLE);
}

static u32 efi_type(u32 type, u64 attributes, bool boot_services)
{
	begin();
	if (boot_services)
		tag(MB2_EFI_BOOT_SERVICES, 0);
	tag_efi_mmap(1, 48);
	descriptor(type, 0x100000, 16, attributes, 48);
	finish();
	expect_entry(0, 0x100000, 0x10000, map.range[0].type);
	EXPECT_EQ(info.nr_bad, 0);
	return map.range[0].type;
}

TEST(multiboot2, efi_types)
{
	static const u32 expected[] = {2, 1, 1, 1, 1, 2, 2, 1, 5, 3, 4, 2, 2, 2, 2, 2, 2};

	for (u32 type = 0; type < ARRAY_SIZE(expected); type++)
		EXPECT_EQ(efi_type(type, 0xf, false), expected[type]);
	EXPECT_EQ(efi_type(0x80000001, 0xf, false), MEM_RESERVED);
	EXPECT_EQ(efi_type(EFI_BOOT_SERVICES_CODE, 0xf, true), MEM_RESERVED);
	EXPECT_EQ(efi_type(EFI_BOOT_SERVICES_DATA, 0xf, true), MEM_RESERVED);
	EXPECT_EQ(efi_type(EFI_CONVENTIONAL, 0xf, true), MEM_USABLE);
}

TEST(multiboot2, efi_attributes_can_forbid_use)
{
	EXPECT_EQ(efi_type(EFI_CONVENTIONAL, 0, false), MEM_USABLE);
	EXPECT_EQ(efi_type(EFI_CONVENTIONAL, EFI_MEMORY_WB, false), MEM_USABLE);
	EXPECT_EQ(efi_type(EFI_CONVENTIONAL, 1, false), MEM_RESERVED);
	EXPECT_EQ(efi_type(EFI_CONVENTIONAL, 0xf | EFI_MEMORY_SP, false), MEM_RESERVED);
	EXPECT_EQ(efi_type(EFI_LOADER_DATA, 0xf | EFI_MEMORY_RUNTIME, false), MEM_RESERVED);
}

TEST(multiboot2, efi_map_with_descriptors_of_any_size)
{
	for (u32 size = 40; size <= 64; size += 8) {
		begin();
		tag_efi_mmap(2, size);
		descriptor(EFI_CONVENTIONAL, 0x100000, 1, 0xf, size);
		descriptor(EFI_ACPI_NVS, 0x200000, (1ull << 52) + 1, 0xf,
		           size); /* bytes: past 2^64 */
		finish();
		ASSERT_EQ(map.nr, 2);
		expect_entry(0, 0x100000, 0x1000, MEM_USABLE);
		expect_entry(1, 0x200000, (1ull << 52) - 0x200000, MEM_NVS);
	}
}

TEST(multiboot2, framebuffer_types)
{
	begin();
	tag_framebuffer(MB_FB_RGB, 32, 4096, 0xfd000000);
	finish();
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_RGB);
	EXPECT_EQ(info.framebuffer.address, 0xfd000000);
	EXPECT_EQ(info.framebuffer.pitch, 4096);
	EXPECT_EQ(info.framebuffer.width, 1024);
	EXPECT_EQ(info.framebuffer.height, 768);
	EXPECT_EQ(info.framebuffer.bits_per_pixel, 32);
	EXPECT_EQ(info.framebuffer.red_pos, 16);
	EXPECT_EQ(info.framebuffer.green_pos, 8);
	EXPECT_EQ(info.framebuffer.blue_size, 8);
	begin();
	tag_framebuffer(MB_FB_TEXT, 16, 2048, 0xb8000);
	finish();
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_TEXT);
	begin();
	tag_framebuffer(MB_FB_INDEXED, 8, 1024, 0xa0000);
	finish();
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_NONE);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot2, elf_sections)
{
	begin();
	tag(MB2_ELF_SECTIONS, 12 + 2 * 64);
	put32(2);
	put32(64);
	put32(1);
	length += 2 * 64;
	finish();
	EXPECT_EQ(info.elf_sections, PA + 8 + 20);
	EXPECT_EQ(info.elf_sections_length, 128);
	EXPECT_EQ(info.elf_section_size, 64);
	EXPECT_EQ(info.elf_section_strings, 1);
}

TEST(multiboot2, newest_valid_rsdp_is_kept)
{
	begin();
	tag_rsdp(MB2_RSDP_NEW, 2, 36, 36);
	tag_rsdp(MB2_RSDP_OLD, 0, 0, 20);
	finish();
	EXPECT_EQ(info.rsdp_length, 36);
	EXPECT_EQ(info.rsdp[15], 2);
	begin();
	tag_rsdp(MB2_RSDP_OLD, 0, 0, 20);
	finish();
	EXPECT_EQ(info.rsdp_length, 20);
	EXPECT_TRUE(memcmp(info.rsdp, "RSD PTR ", 8) == 0);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot2, first_of_a_repeated_tag_counts)
{
	begin();
	tag_text(MB2_CMDLINE, "first");
	tag_mmap(24);
	tag_text(MB2_CMDLINE, "second");
	tag_mmap(24);
	finish();
	EXPECT_STREQ(info.cmdline, "first");
	EXPECT_EQ(map.nr, 3);
}
