/*
 * Builds Multiboot 2 structures for the reader's tests, tag by tag: begin(), tags, finish().
 *
 * A structure is built in `build` and handed over at the very end of `area`, so that on the host
 * the sanitizer catches the first byte read behind it.
 */
#pragma once

#include <boot/boot_info.h>
#include <boot/multiboot.h>
#include <tests/test.h>

#define PA 0x12340ull

static u8 build[4096], area[4096];
static u32 length; /* of what is built so far */
static struct mem_range storage[64];
static struct memmap map;
static struct boot_info info;

/* --- building --- */

static inline void put(const void *bytes, u32 n)
{
	ASSERT_LE(length + n, sizeof(build));
	memcpy(build + length, bytes, n);
	length += n;
}

static inline void put32(u32 value)
{
	put(&value, 4);
}

static inline void put64(u64 value)
{
	put(&value, 8);
}

static inline void begin(void)
{
	memset(build, 0, sizeof(build));
	length = 0;
	put64(0); /* finish() knows the size */
}

/* A tag with any claimed size, however many bytes of it really follow. */
static inline void tag_claiming(u32 type, u32 size)
{
	length = (length + 7) / 8 * 8;
	put32(type);
	put32(size);
}

static inline void tag(u32 type, u32 payload)
{
	tag_claiming(type, 8 + payload);
}

static inline void tag_text(u32 type, const char *text)
{
	tag(type, (u32)strlen(text) + 1);
	put(text, (u32)strlen(text) + 1);
}

static inline void tag_module(u32 start, u32 end, const char *name)
{
	tag(MB2_MODULE, 8 + (u32)strlen(name) + 1);
	put32(start);
	put32(end);
	put(name, (u32)strlen(name) + 1);
}

static inline void tag_basic(u32 lower, u32 upper)
{
	tag(MB2_BASIC, 8);
	put32(lower);
	put32(upper);
}

static inline void entry(u64 base, u64 size, u32 type, u32 entry_size)
{
	put64(base);
	put64(size);
	put32(type);
	for (u32 i = 20; i < entry_size; i += 4)
		put32(0xdeadbeef);
}

/* The PC's usual map: usable, reserved, usable. */
static inline void tag_mmap(u32 entry_size)
{
	tag(MB2_MMAP, 8 + 3 * entry_size);
	put32(entry_size);
	put32(0);
	entry(0, 0x9f000, 1, entry_size);
	entry(0x9f000, 0x1000, 2, entry_size);
	entry(0x100000, 0x700000, 1, entry_size);
}

static inline void descriptor(u32 type, u64 base, u64 pages, u64 attributes, u32 size)
{
	put32(type);
	put32(0xdeadbeef);
	put64(base);
	put64(0);
	put64(pages);
	put64(attributes);
	for (u32 i = 40; i < size; i += 4)
		put32(0xdeadbeef);
}

static inline void tag_efi_mmap(u32 descriptors, u32 size)
{
	tag(MB2_EFI_MMAP, 8 + descriptors * size);
	put32(size);
	put32(EFI_DESCRIPTOR_VERSION);
}

static inline void tag_framebuffer(u8 type, u8 bits, u32 pitch, u64 address)
{
	tag(MB2_FRAMEBUFFER, 30);
	put64(address);
	put32(pitch);
	put32(1024);
	put32(768);
	put((u8[]){bits, type, 0, 0}, 4);
	put((u8[]){16, 8, 8, 8, 0, 8}, 6);
}

static inline void tag_rsdp(u32 type, u8 revision, u32 claimed, u32 n)
{
	u8 rsdp[64] = "RSD PTR xOEMID ";
	u8 sum = 0;

	rsdp[15] = revision;
	memcpy(rsdp + 20, &claimed, 4);
	for (u32 i = 0; i < 20; i++)
		sum = (u8)(sum + rsdp[i]);
	rsdp[8] = (u8)(rsdp[8] - sum);
	sum = 0;
	for (u32 i = 0; i < n; i++)
		sum = (u8)(sum + rsdp[i]);
	rsdp[32] = (u8)(rsdp[32] - sum);
	tag(type, n);
	put(rsdp, n);
}

static inline int read_bytes(u32 size)
{
	u8 *data = area + sizeof(area) - size;

	memcpy(data, build, size);
	memmap_init(&map, storage, ARRAY_SIZE(storage), 52);
	return multiboot2_read(data, size, PA, &info, &map);
}

static inline void set_total(u32 total)
{
	memcpy(build, &total, 4);
}

/* Ends the structure well and reads it. */
static inline void finish(void)
{
	tag(MB2_END, 0);
	set_total(length);
	ASSERT_EQ(read_bytes(length), 0);
}

static inline void expect_entry(u32 i, u64 base, u64 size, u32 type)
{
	ASSERT_LT(i, map.nr);
	EXPECT_EQ(map.range[i].base, base);
	EXPECT_EQ(map.range[i].length, size);
	EXPECT_EQ(map.range[i].type, type);
}
