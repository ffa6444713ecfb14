/*
 * The Multiboot 1 reader on a small physical memory of its own: [BASE, BASE + 4096) and nothing
 * else, so every address that leads out of it must be refused. What peek() gives is a copy at the
 * end of an array: on the host the sanitizer catches a reader that looks further than it asked.
 */
#include <boot/boot_info.h>
#include <boot/multiboot.h>
#include <tests/test.h>

#define BASE 0x10000u
#define SIZE 4096u

/* Where the parts stand, from BASE. */
enum {
	INFO = 0,
	CMDLINE = 0x100,
	LOADER = 0x140,
	MODULES = 0x180,
	SECTIONS = 0x400,
	MMAP = 0x600,
	TEXT = 0x800
};

static u8 memory[SIZE], shown[SIZE];
static struct mb1_info header;
static struct mem_range storage[64];
static struct memmap map;
static struct boot_info info;
static u64 nr_peeks, largest_peek;
static u64 memory_base = BASE; /* where memory[0] stands */

static const void *peek(void *context, u64 pa, u64 length)
{
	u8 *copy;

	EXPECT_TRUE(context == memory);
	EXPECT_LE(length - 1, UINT64_MAX - pa); /* not empty, and no wrap */
	nr_peeks++;
	largest_peek = length > largest_peek ? length : largest_peek;
	if (pa < memory_base || pa - memory_base > SIZE || length > SIZE - (pa - memory_base))
		return NULL;
	copy = shown + SIZE - length;
	memcpy(copy, memory + (pa - memory_base), length);
	return copy;
}

static void put_mmap_entry(u32 offset, u32 size, u64 base, u64 length, u32 type)
{
	struct mb1_mmap_entry e = {size, {base, length, type}};

	memcpy(memory + offset, &e, sizeof(e));
}

static void put_module(u32 i, u32 start, u32 end, u32 name)
{
	struct mb1_module m = {start, end, name, 0};

	memcpy(memory + MODULES + i * sizeof(m), &m, sizeof(m));
}

/* A structure in which every field is present and right. */
static void build(void)
{
	memset(memory, 0, sizeof(memory));
	str_copy((char *)memory + CMDLINE, "kernel test", 64);
	str_copy((char *)memory + LOADER, "GRUB 0.97", 64);
	str_copy((char *)memory + TEXT, "module one", 64);
	put_module(0, 0x200000, 0x201000, BASE + TEXT);
	put_module(1, 0x300000, 0x300000, 0);
	put_mmap_entry(MMAP, 20, 0, 0x9f000, 1);
	put_mmap_entry(MMAP + 24, 28, 0x9f000, 0x1000, 2); /* a longer entry than most */
	put_mmap_entry(MMAP + 24 + 32, 20, 0x100000, 0x700000, 1);
	header = (struct mb1_info){
	    .flags = MB1_HAS_BASIC | MB1_HAS_CMDLINE | MB1_HAS_MODULES | MB1_HAS_ELF |
	             MB1_HAS_MMAP | MB1_HAS_LOADER | MB1_HAS_FRAMEBUFFER,
	    .lower_kib = 639,
	    .upper_kib = 7168,
	    .cmdline = BASE + CMDLINE,
	    .nr_modules = 2,
	    .modules = BASE + MODULES,
	    .nr_sections = 3,
	    .section_size = 64,
	    .sections = BASE + SECTIONS,
	    .strings = 2,
	    .mmap_length = 24 + 32 + 24,
	    .mmap = BASE + MMAP,
	    .loader = BASE + LOADER,
	    .framebuffer = {0xfd000000, 4096, 1024, 768, 32, MB_FB_RGB},
	    .rgb = {16, 8, 8, 8, 0, 8},
	};
}

static int read_at(u64 pa)
{
	memcpy(memory + INFO, &header, sizeof(header));
	memmap_init(&map, storage, ARRAY_SIZE(storage), 52);
	nr_peeks = largest_peek = 0;
	return multiboot1_read(pa, peek, memory, &info, &map);
}

static void read_all(void)
{
	ASSERT_EQ(read_at(BASE + INFO), 0);
}

TEST(multiboot1, reads_every_field)
{
	build();
	read_all();
	EXPECT_EQ(info.protocol, BOOT_MULTIBOOT1);
	EXPECT_EQ(info.nr_bad, 0);
	EXPECT_STREQ(info.cmdline, "kernel test");
	EXPECT_STREQ(info.loader, "GRUB 0.97");
	ASSERT_EQ(info.nr_modules, 2);
	EXPECT_EQ(info.module[0].base, 0x200000);
	EXPECT_EQ(info.module[0].length, 0x1000);
	EXPECT_STREQ(info.module[0].name, "module one");
	EXPECT_STREQ(info.module[1].name, "");
	EXPECT_EQ(info.elf_sections, BASE + SECTIONS);
	EXPECT_EQ(info.elf_sections_length, 192);
	EXPECT_EQ(info.elf_section_strings, 2);
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_RGB);
	EXPECT_EQ(info.framebuffer.address, 0xfd000000);
	EXPECT_EQ(info.framebuffer.red_pos, 16);
	EXPECT_EQ(info.info_base, BASE);
	EXPECT_EQ(info.info_length, 116);
	EXPECT_FALSE(info.efi);
}

TEST(multiboot1, reads_the_memory_map)
{
	build();
	read_all();
	EXPECT_EQ(info.map_source, BOOT_MAP_E820);
	ASSERT_EQ(map.nr, 3);
	EXPECT_EQ(map.range[1].base, 0x9f000);
	EXPECT_EQ(map.range[1].type, MEM_RESERVED);
	EXPECT_EQ(map.range[2].base, 0x100000);
	EXPECT_EQ(map.range[2].length, 0x700000);
}

TEST(multiboot1, ignores_fields_without_their_flag)
{
	build();
	header.flags = 0;
	read_all();
	EXPECT_EQ(nr_peeks, 1);
	EXPECT_STREQ(info.cmdline, "");
	EXPECT_STREQ(info.loader, "");
	EXPECT_EQ(info.nr_modules, 0);
	EXPECT_EQ(info.elf_sections, 0);
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_NONE);
	EXPECT_EQ(info.map_source, BOOT_MAP_NONE);
	EXPECT_EQ(info.info_length, 88);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot1, short_structure_at_the_end_of_memory)
{
	build();
	header.flags = MB1_HAS_BASIC;
	memcpy(memory + SIZE - 12, &header, 12);
	ASSERT_EQ(read_at(BASE + SIZE - 12), 0);
	EXPECT_EQ(info.map_source, BOOT_MAP_BASIC);
	EXPECT_EQ(map.nr, 2);
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot1, structure_that_can_not_be_read)
{
	build();
	EXPECT_EQ(read_at(BASE + SIZE - 3), -EINVAL);
	EXPECT_EQ(read_at(0), -EINVAL);
	EXPECT_EQ(read_at(UINT64_MAX), -EINVAL);
	EXPECT_EQ(read_at(UINT64_MAX - 3), -EINVAL);
	EXPECT_EQ(info.protocol, BOOT_NONE);
}

TEST(multiboot1, structure_at_the_end_of_all_addresses)
{
	build();
	header.flags = MB1_HAS_CMDLINE;
	memcpy(memory + SIZE - 8, &header, 8);
	memory_base = 0 - (u64)SIZE;
	EXPECT_EQ(read_at(0 - 8ull), 0);
	memory_base = BASE;
	EXPECT_EQ(nr_peeks, 1); /* the field would be round the corner, at 8 */
	EXPECT_STREQ(info.cmdline, "");
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot1, addresses_that_lead_nowhere_are_counted)
{
	static const u32 nowhere[] = {0, 1, BASE - 1, BASE + SIZE, 0xfffffff0, 0xffffffff};

	for (u32 i = 0; i < ARRAY_SIZE(nowhere); i++) {
		build();
		header.cmdline = header.loader = header.sections = header.mmap = nowhere[i];
		header.modules = nowhere[i];
		read_all();
		EXPECT_STREQ(info.cmdline, "");
		EXPECT_EQ(info.nr_modules, 0);
		EXPECT_EQ(info.elf_sections, 0);
		EXPECT_EQ(info.map_source, BOOT_MAP_BASIC);
		EXPECT_EQ(info.framebuffer.type, BOOT_FB_RGB);
		EXPECT_EQ(info.nr_bad, 6); /* two modules */
	}
}

TEST(multiboot1, texts_to_the_end_of_memory)
{
	build();
	memset(memory + SIZE - 8, 'x', 8);
	header.cmdline = BASE + SIZE - 8;
	read_all();
	EXPECT_STREQ(info.cmdline, "xxxxxxxx");
	EXPECT_EQ(info.nr_bad, 1);
	memory[SIZE - 1] = 0;
	read_all();
	EXPECT_STREQ(info.cmdline, "xxxxxxx");
	EXPECT_EQ(info.nr_bad, 0);
}

TEST(multiboot1, long_texts_are_cut)
{
	for (u32 n = BOOT_CMDLINE_MAX - 2; n <= BOOT_CMDLINE_MAX + 1; n++) {
		build();
		header.cmdline = BASE + TEXT;
		memset(memory + TEXT, 'c', n);
		memory[TEXT + n] = 0;
		read_all();
		EXPECT_EQ(strlen(info.cmdline), n < BOOT_CMDLINE_MAX ? n : BOOT_CMDLINE_MAX - 1);
		EXPECT_EQ(info.cmdline_cut, n >= BOOT_CMDLINE_MAX);
		EXPECT_EQ(info.nr_bad, 0);
	}
}

TEST(multiboot1, modules_beyond_the_bound_are_counted)
{
	build();
	for (u32 i = 0; i < BOOT_MODULES_MAX; i++)
		put_module(i, 0x1000 * i, 0x1000 * i + 8, 0);
	put_module(3, 8, 7, 0);
	header.nr_modules = BOOT_MODULES_MAX + 4;
	read_all();
	EXPECT_EQ(info.nr_modules, BOOT_MODULES_MAX - 1);
	EXPECT_EQ(info.nr_modules_dropped, 4);
	EXPECT_EQ(info.nr_bad, 1);
	header.nr_modules = 0xffffffff;
	read_all();
	EXPECT_LT(nr_peeks, 200);
	EXPECT_EQ(info.nr_modules_dropped, 0xffffffff - BOOT_MODULES_MAX);
}

TEST(multiboot1, memory_map_entries_that_lie_end_the_list)
{
	static const u32 lies[] = {0, 19, 29, 0x7fffffff, 0xfffffffb, 0xfffffffc, 0xffffffff};

	for (u32 i = 0; i < ARRAY_SIZE(lies); i++) {
		build();
		put_mmap_entry(MMAP + 24 + 32, lies[i], 0x100000, 0x700000, 1);
		read_all();
		EXPECT_EQ(map.nr, 2);
		EXPECT_EQ(info.map_source, BOOT_MAP_E820);
		EXPECT_EQ(info.nr_bad, 1);
	}
}

TEST(multiboot1, memory_maps_without_an_entry_give_way)
{
	static const u32 lengths[] = {0, 3, 4, 23, SIZE, 0x100000, 0x100001, 0xffffffff};

	for (u32 i = 0; i < ARRAY_SIZE(lengths); i++) {
		build();
		header.mmap_length = lengths[i];
		read_all();
		EXPECT_EQ(info.map_source, BOOT_MAP_BASIC);
		EXPECT_EQ(map.nr, 2);
		EXPECT_EQ(info.nr_bad, 1);
		EXPECT_LE(largest_peek, MIB);
	}
	header.lower_kib = header.upper_kib = 0;
	read_all();
	EXPECT_EQ(info.map_source, BOOT_MAP_NONE);
	EXPECT_EQ(info.nr_bad, 2);
}

TEST(multiboot1, sections_that_can_not_be)
{
	static const u32 bad[][3] = {/* nr, size, strings */
	                             {3, 64, 3},
	                             {3, 39, 0},
	                             {64, 64, 0},
	                             {0x10000, 0x10000, 0},
	                             {0xffffffff, 0xffffffff, 0}};

	for (u32 i = 0; i < ARRAY_SIZE(bad); i++) {
		build();
		header.nr_sections = bad[i][0];
		header.section_size = bad[i][1];
		header.strings = bad[i][2];
		read_all();
		EXPECT_EQ(info.elf_sections, 0);
		EXPECT_EQ(info.nr_bad, 1);
	}
	build();
	header.flags |= MB1_HAS_AOUT;
	read_all();
	EXPECT_EQ(info.elf_sections, 0);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot1, framebuffer_of_text_and_of_no_use)
{
	build();
	header.framebuffer = (struct mb_framebuffer){0xb8000, 160, 80, 25, 16, MB_FB_TEXT};
	read_all();
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_TEXT);
	header.framebuffer.type = MB_FB_INDEXED;
	read_all();
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_NONE);
	EXPECT_EQ(info.nr_bad, 0);
	header.framebuffer.type = MB_FB_RGB;
	header.framebuffer.pitch = 159;
	read_all();
	EXPECT_EQ(info.framebuffer.type, BOOT_FB_NONE);
	EXPECT_EQ(info.nr_bad, 1);
}

TEST(multiboot1, random_damage_is_survived)
{
	static const u32 evil[] = {0,          1,          19,        BASE, BASE + SIZE - 1,
	                           0x7fffffff, 0xfffffffc, 0xffffffff};

	for (u32 round = 0; round < 1000; round++) {
		build();
		for (u64 n = rng_below(test_rng(), 4) + 1; n > 0; n--) {
			u32 value = evil[rng_below(test_rng(), ARRAY_SIZE(evil))];
			u8 *place = rng_below(test_rng(), 2)
			                ? (u8 *)&header + rng_below(test_rng(), 112)
			                : memory + rng_below(test_rng(), SIZE - 4);

			memcpy(place, &value, 4);
		}
		if (read_at(BASE + INFO) != 0)
			continue;
		EXPECT_LT(nr_peeks, 10000);
		EXPECT_LE(info.nr_modules, BOOT_MODULES_MAX);
		EXPECT_LT(strnlen(info.cmdline, BOOT_CMDLINE_MAX), BOOT_CMDLINE_MAX);
		memmap_normalize(&map);
		EXPECT_STREQ(memmap_check(&map), NULL);
	}
}
