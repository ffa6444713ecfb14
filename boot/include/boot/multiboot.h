/*
 * The parts of the two Multiboot specifications that Strata reads (version 1: 0.6.96; version
 * 2: 2.0, and GRUB's multiboot2.h where the two disagree), and the EFI memory descriptor
 * (UEFI 2.10, section 7.2.3). All integers are little-endian and may stand at any address, so the
 * structures are packed and only ever copied out.
 */
#pragma once

#include <lib/types.h>

/* --- Multiboot 2 --- */

struct mb2_header {
	u32 total_size, reserved;
};

struct mb2_tag {
	u32 type, size; /* size: with this header, without the padding to the next multiple of 8 */
};

enum {
	MB2_TAG_ALIGN = 8,

	MB2_END = 0,
	MB2_CMDLINE = 1,
	MB2_LOADER = 2,
	MB2_MODULE = 3,
	MB2_BASIC = 4,
	MB2_MMAP = 6,
	MB2_FRAMEBUFFER = 8,
	MB2_ELF_SECTIONS = 9,
	MB2_EFI32 = 11,
	MB2_EFI64 = 12,
	MB2_RSDP_OLD = 14,
	MB2_RSDP_NEW = 15,
	MB2_EFI_MMAP = 17,
	MB2_EFI_BOOT_SERVICES = 18, /* they still run */
	MB2_LOAD_BASE = 21,
};

struct mb2_basic {
	struct mb2_tag tag;
	u32 lower_kib, upper_kib;
} __packed;

struct mb2_module {
	struct mb2_tag tag;
	u32 start, end;
} __packed; /* its command line follows */

struct mb2_mmap {
	struct mb2_tag tag;
	u32 entry_size, entry_version; /* a newer version only appends to the entry */
} __packed;

struct mb2_mmap_entry {
	u64 base, length;
	u32 type; /* 1 … 5 as in memmap.h */
} __packed;

struct mb2_efi_mmap {
	struct mb2_tag tag;
	u32 descriptor_size, descriptor_version;
} __packed;

struct mb2_elf_sections {
	struct mb2_tag tag;
	u32 nr, entry_size, strings; /* GRUB's widths; the specification's text says u16 */
} __packed;                          /* the section headers follow */

struct mb2_load_base {
	struct mb2_tag tag;
	u32 base;
} __packed;

/* The same in both versions up to here. */
struct mb_framebuffer {
	u64 address;
	u32 pitch, width, height;
	u8 bits_per_pixel, type;
} __packed;

struct mb_rgb {
	u8 red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
} __packed;

enum { MB_FB_INDEXED = 0, MB_FB_RGB = 1, MB_FB_TEXT = 2 };

enum {
	MB2_RGB_OFFSET = 32, /* in the tag, behind two bytes of padding */
	MB1_RGB_OFFSET = 110,
};

/* --- Multiboot 1 --- */

struct mb1_info {
	u32 flags;
	u32 lower_kib, upper_kib;                          /* MB1_HAS_BASIC */
	u32 boot_device;                                   /* not read */
	u32 cmdline;                                       /* MB1_HAS_CMDLINE */
	u32 nr_modules, modules;                           /* MB1_HAS_MODULES */
	u32 nr_sections, section_size, sections, strings;  /* MB1_HAS_ELF */
	u32 mmap_length, mmap;                             /* MB1_HAS_MMAP */
	u32 drives_length, drives, config;                 /* not read */
	u32 loader;                                        /* MB1_HAS_LOADER */
	u32 apm, vbe_control, vbe_mode_info;               /* not read */
	u16 vbe_mode, vbe_segment, vbe_offset, vbe_length; /* not read */
	struct mb_framebuffer framebuffer;                 /* MB1_HAS_FRAMEBUFFER */
	struct mb_rgb rgb;
} __packed;

static_assert(offsetof(struct mb1_info, framebuffer) == 88, "Multiboot 0.6.96, section 3.3");
static_assert(offsetof(struct mb1_info, rgb) == MB1_RGB_OFFSET, "Multiboot 0.6.96, section 3.3");

enum {
	MB1_HAS_BASIC = 1 << 0,
	MB1_HAS_CMDLINE = 1 << 2,
	MB1_HAS_MODULES = 1 << 3,
	MB1_HAS_AOUT = 1 << 4, /* excludes ELF: they share their place */
	MB1_HAS_ELF = 1 << 5,
	MB1_HAS_MMAP = 1 << 6,
	MB1_HAS_LOADER = 1 << 9,
	MB1_HAS_FRAMEBUFFER = 1 << 12,
};

struct mb1_module {
	u32 start, end, cmdline, reserved;
} __packed;

struct mb1_mmap_entry {
	u32 size; /* of what follows: 20 or more */
	struct mb2_mmap_entry entry;
} __packed;

/* --- EFI --- */

struct efi_descriptor {
	u32 type, padding;
	u64 base, virtual_base, nr_pages, attributes;
} __packed;

enum { EFI_DESCRIPTOR_VERSION = 1 };

enum {
	EFI_LOADER_CODE = 1,
	EFI_LOADER_DATA = 2,
	EFI_BOOT_SERVICES_CODE = 3,
	EFI_BOOT_SERVICES_DATA = 4,
	EFI_CONVENTIONAL = 7,
	EFI_UNUSABLE = 8,
	EFI_ACPI_RECLAIM = 9,
	EFI_ACPI_NVS = 10,
};

#define EFI_MEMORY_CACHEABILITY 0xfull /* uncached, write combining, through, back */
#define EFI_MEMORY_WB (1ull << 3)
#define EFI_MEMORY_SP (1ull << 18)      /* specific purpose: meant for one device's driver */
#define EFI_MEMORY_RUNTIME (1ull << 63) /* the firmware keeps using it */
