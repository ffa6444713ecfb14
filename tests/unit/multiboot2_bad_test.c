/*
 * The Multiboot 2 reader and malformed input: each lie that a structure can tell, every truncation,
 * random damage.
 */
#include "multiboot2_build.h"

TEST(multiboot2_bad, unusable_header)
{
	begin();
	for (u32 size = 0; size < 8; size++)
		EXPECT_EQ(read_bytes(size), -EINVAL);
	for (u32 total = 0; total < 8; total++) {
		set_total(total);
		EXPECT_EQ(read_bytes(64), -EINVAL);
		EXPECT_EQ(info.protocol, BOOT_NONE);
		EXPECT_EQ(info.info_length, 0);
	}
}

TEST(multiboot2_bad, total_size_larger_than_what_may_be_read)
{
	begin();
	tag_mmap(24);
	tag(MB2_END, 0);
	set_total(0xffffffff);
	EXPECT_EQ(read_bytes(length), 0);
	EXPECT_EQ(map.nr, 3);
	EXPECT_EQ(info.info_length, length);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot2_bad, what_follows_the_end_tag_is_not_the_structure)
{
	begin();
	tag_basic(639, 1024);
	tag(MB2_END, 0);
	set_total(2048);
	EXPECT_EQ(read_bytes(2048), 0);
	EXPECT_EQ(info.info_length, length);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot2_bad, total_size_smaller_than_what_may_be_read)
{
	u32 total;

	begin();
	tag_basic(639, 1024);
	total = length;
	tag_text(MB2_CMDLINE, "not ours");
	tag(MB2_END, 0);
	set_total(total);
	EXPECT_EQ(read_bytes(length), 0);
	EXPECT_STREQ(info.cmdline, "");
	EXPECT_EQ(map.nr, 2);
	EXPECT_EQ(info.info_length, total);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot2_bad, missing_end_tag)
{
	begin();
	tag_mmap(24);
	set_total(length);
	EXPECT_EQ(read_bytes(length), 0);
	EXPECT_EQ(map.nr, 3);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot2_bad, tag_sizes_that_lie_end_the_reading)
{
	static const u32 lies[] = {0, 1, 7, 64, 0x7fffffff, 0xfffffff8, 0xffffffff};

	for (u32 i = 0; i < ARRAY_SIZE(lies); i++) {
		begin();
		tag_text(MB2_LOADER, "before");
		tag_claiming(MB2_CMDLINE, lies[i]);
		put("text", 5);
		tag(MB2_END, 0);
		set_total(length);
		EXPECT_EQ(read_bytes(length), 0);
		EXPECT_STREQ(info.loader, "before");
		EXPECT_STREQ(info.cmdline, "");
		EXPECT_EQ(info.nr_bad, 1);
	}
}

TEST(multiboot2_bad, every_truncation_is_survived)
{
	begin();
	tag_text(MB2_CMDLINE, "x");
	tag_module(1, 2, "m");
	tag_mmap(24);
	tag_rsdp(MB2_RSDP_NEW, 2, 36, 36);
	tag_framebuffer(MB_FB_RGB, 32, 4096, 0xfd000000);
	finish();
	for (u32 size = 8; size < length; size++) {
		ASSERT_EQ(read_bytes(size), 0);
		EXPECT_GE(info.nr_bad, 1);
	}
}

TEST(multiboot2_bad, every_tag_of_every_short_size)
{
	for (u32 type = 1; type <= 24; type++) {
		for (u32 payload = 0; payload < 40; payload++) {
			begin();
			tag(type, payload);
			memset(build + length, 0xff, payload);
			length += payload;
			tag_text(MB2_LOADER, "behind");
			finish();
			if (type != MB2_LOADER)
				EXPECT_STREQ(info.loader, "behind");
		}
	}
}

TEST(multiboot2_bad, text_without_end_is_kept_and_counted)
{
	begin();
	tag(MB2_CMDLINE, 4);
	put("abcd", 4);
	tag(MB2_LOADER, 0);
	finish();
	EXPECT_STREQ(info.cmdline, "abcd");
	EXPECT_STREQ(info.loader, "");
	EXPECT_EQ(info.nr_bad, 2);
}

TEST(multiboot2_bad, long_texts_are_cut)
{
	for (u32 n = BOOT_CMDLINE_MAX - 2; n <= BOOT_CMDLINE_MAX + 1; n++) {
		begin();
		tag(MB2_CMDLINE, n + 1);
		memset(build + length, 'c', n);
		length += n + 1;
		finish();
		EXPECT_EQ(strlen(info.cmdline), n < BOOT_CMDLINE_MAX ? n : BOOT_CMDLINE_MAX - 1);
		EXPECT_EQ(info.cmdline_cut, n >= BOOT_CMDLINE_MAX);
		EXPECT_EQ(info.nr_bad, 0);
	}
}

TEST(multiboot2_bad, modules_beyond_the_bound_are_counted)
{
	begin();
	tag_module(8, 7, "backwards");
	for (u32 i = 0; i < BOOT_MODULES_MAX + 3; i++)
		tag_module(i * 0x1000, i * 0x1000 + 1, "m");
	finish();
	EXPECT_EQ(info.nr_modules, BOOT_MODULES_MAX);
	EXPECT_EQ(info.nr_modules_dropped, 3);
	EXPECT_EQ(info.module[BOOT_MODULES_MAX - 1].base, (BOOT_MODULES_MAX - 1) * 0x1000);
	EXPECT_EQ(info.nr_bad, 1);
}

/* A memory map that can't be read, and the next best behind it. */
static void expect_fallback(u32 type, u32 entry_size, u32 version, u32 payload)
{
	begin();
	tag(type, 8 + payload);
	put32(entry_size);
	put32(version);
	length += payload;
	tag_basic(639, 1024);
	finish();
	EXPECT_EQ(info.map_source, BOOT_MAP_BASIC);
	EXPECT_EQ(map.nr, 2);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot2_bad, malformed_maps_give_way_to_the_next)
{
	expect_fallback(MB2_MMAP, 0, 0, 48);
	expect_fallback(MB2_MMAP, 19, 0, 48);
	expect_fallback(MB2_MMAP, 24, 0, 23);
	expect_fallback(MB2_MMAP, 0xffffffff, 0, 48);
	expect_fallback(MB2_EFI_MMAP, 0, 1, 96);
	expect_fallback(MB2_EFI_MMAP, 39, 1, 96);
	expect_fallback(MB2_EFI_MMAP, 48, 1, 47);
	expect_fallback(MB2_EFI_MMAP, 48, 2, 96);
	expect_fallback(MB2_EFI_MMAP, 0x80000000, 1, 96);
}

TEST(multiboot2_bad, partial_last_entry_is_ignored)
{
	begin();
	tag(MB2_MMAP, 8 + 24 + 20);
	put32(24);
	put32(0);
	entry(0x100000, 0x1000, 1, 24);
	entry(0x200000, 0x1000, 1, 20);
	finish();
	EXPECT_EQ(map.nr, 1);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot2_bad, framebuffers_that_can_not_be)
{
	static const struct {
		u8 type, bits;
		u32 pitch;
		u64 address;
	} bad[] = {
	    {MB_FB_RGB, 32, 4095, 0xfd000000},
	    {MB_FB_RGB, 8, 4096, 0xfd000000},
	    {MB_FB_RGB, 255, 40960, 0xfd000000},
	    {MB_FB_RGB, 16, 4096, 0xfd000000},
	    {MB_FB_RGB, 32, 4096, 0},
	    {MB_FB_RGB, 32, 4096, UINT64_MAX - 4096},
	    {MB_FB_TEXT, 8, 4096, 0xb8000},
	    {MB_FB_TEXT, 16, 2047, 0xb8000},
	};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		begin();
		tag_framebuffer(bad[i].type, bad[i].bits, bad[i].pitch, bad[i].address);
		finish();
		EXPECT_EQ(info.framebuffer.type, BOOT_FB_NONE);
		EXPECT_EQ(info.nr_bad, 1);
	}
}

static void expect_sections_bad(u32 nr, u32 size, u32 strings)
{
	begin();
	tag(MB2_ELF_SECTIONS, 12 + 128);
	put32(nr);
	put32(size);
	put32(strings);
	length += 128;
	finish();
	EXPECT_EQ(info.elf_sections, 0);
	EXPECT_EQ(info.elf_sections_length, 0);
	EXPECT_EQ(info.nr_bad, nr != 0);
}

TEST(multiboot2_bad, elf_sections_that_can_not_be)
{
	expect_sections_bad(0, 64, 0); /* none: nothing wrong */
	expect_sections_bad(3, 64, 0);
	expect_sections_bad(2, 64, 2);
	expect_sections_bad(2, 39, 0);
	expect_sections_bad(0xffffffff, 0xffffffff, 0);
	expect_sections_bad(0x10000, 0x10000, 0); /* 2^32 */
}

TEST(multiboot2_bad, rsdp_must_have_its_checksums)
{
	for (u32 i = 0; i < 36; i++) {
		begin();
		tag_rsdp(MB2_RSDP_NEW, 2, 36, 36);
		build[16 + i] ^= 0x40;
		finish();
		/* Damage behind the first 20 bytes leaves a valid ACPI 1.0 pointer. */
		EXPECT_EQ(info.rsdp_length, i < 20 ? 0 : 20);
		EXPECT_EQ(info.nr_bad, i < 20);
	}
	begin();
	tag_rsdp(MB2_RSDP_NEW, 2, 37, 36); /* claims more than the tag holds */
	finish();
	EXPECT_EQ(info.rsdp_length, 20);
}

/* --- random damage --- */

static void build_everything(void)
{
	begin();
	tag_text(MB2_CMDLINE, "test=buddy.* seed=7");
	tag_text(MB2_LOADER, "GRUB 2.06");
	tag_module(0x200000, 0x210000, "module one");
	tag_basic(639, 65535);
	tag_mmap(24);
	tag_framebuffer(MB_FB_RGB, 32, 4096, 0xfd000000);
	tag(MB2_ELF_SECTIONS, 12 + 128);
	put32(2);
	put32(64);
	put32(1);
	length += 128;
	tag_rsdp(MB2_RSDP_OLD, 0, 0, 20);
	tag_rsdp(MB2_RSDP_NEW, 2, 36, 36);
	tag_efi_mmap(2, 48);
	descriptor(EFI_CONVENTIONAL, 0x100000, 256, 0xf, 48);
	descriptor(EFI_ACPI_RECLAIM, 0x200000, 256, 0xf, 48);
	tag(MB2_LOAD_BASE, 4);
	put32(0x200000);
	tag(MB2_END, 0);
	set_total(length);
}

static void damage(void)
{
	static const u32 evil[] = {0, 1, 7, 8, 0x7fffffff, 0x80000000, 0xfffffff8, 0xffffffff};
	u32 at = (u32)rng_below(test_rng(), length / 4) * 4;
	u32 value = evil[rng_below(test_rng(), ARRAY_SIZE(evil))];

	if (rng_below(test_rng(), 2))
		memcpy(build + at, &value, 4);
	else
		build[rng_below(test_rng(), length)] = (u8)rng_next(test_rng());
}

/* What holds for any input. */
static void expect_bounded(u32 size)
{
	EXPECT_LT(strnlen(info.cmdline, BOOT_CMDLINE_MAX), BOOT_CMDLINE_MAX);
	EXPECT_LT(strnlen(info.loader, sizeof(info.loader)), sizeof(info.loader));
	EXPECT_LE(info.nr_modules, BOOT_MODULES_MAX);
	EXPECT_LE(info.info_length, size);
	EXPECT_TRUE(info.rsdp_length == 0 || info.rsdp_length == 20 || info.rsdp_length == 36);
	if (info.elf_sections != 0) {
		EXPECT_GE(info.elf_sections, PA);
		EXPECT_LE(info.elf_sections + info.elf_sections_length, PA + size);
	}
	memmap_normalize(&map);
	EXPECT_STREQ(memmap_check(&map), NULL);
}

TEST(multiboot2_bad, random_damage_is_survived)
{
	for (u32 round = 0; round < 1000; round++) {
		u32 size;

		build_everything();
		for (u64 n = rng_below(test_rng(), 4) + 1; n > 0; n--)
			damage();
		size = rng_below(test_rng(), 4) ? length : (u32)rng_below(test_rng(), length + 1);
		if (read_bytes(size) == 0)
			expect_bounded(size);
	}
}
