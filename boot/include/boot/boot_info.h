/*
 * What the boot loader told us, whatever its protocol: the result of the readers in boot/, and the
 * only thing that the rest of the kernel knows of the boot. The readers are pure (bytes in, struct
 * out): no field of their input is trusted, nothing outside [data, data + size) is read, and the
 * same code is fuzzed on the host.
 *
 * Strings are copied, because the loader's memory is given away later.
 */
#pragma once

#include <lib/types.h>
#include <mm/memmap.h>

#define BOOT_CMDLINE_MAX 1024
#define BOOT_MODULES_MAX 16
#define BOOT_MODULE_NAME_MAX 128

enum boot_protocol { BOOT_NONE, BOOT_MULTIBOOT1, BOOT_MULTIBOOT2 };

/* Where the memory map came from, best first. */
enum boot_map_source { BOOT_MAP_NONE, BOOT_MAP_BASIC, BOOT_MAP_EFI, BOOT_MAP_E820 };

struct boot_module {
	u64 base, length;                /* physical */
	char name[BOOT_MODULE_NAME_MAX]; /* its command line */
};

enum boot_framebuffer_type { BOOT_FB_NONE, BOOT_FB_RGB, BOOT_FB_TEXT };

struct boot_framebuffer {
	enum boot_framebuffer_type type;
	u64 address;       /* physical */
	u32 pitch;         /* bytes a line */
	u32 width, height; /* pixels; characters for BOOT_FB_TEXT */
	u8 bits_per_pixel;
	u8 red_pos, red_size, green_pos, green_size, blue_pos, blue_size;
};

struct boot_info {
	enum boot_protocol protocol;
	char loader[64];
	char cmdline[BOOT_CMDLINE_MAX];
	bool cmdline_cut; /* it was longer */

	enum boot_map_source map_source;
	u32 nr_modules, nr_modules_dropped;
	struct boot_module module[BOOT_MODULES_MAX];
	struct boot_framebuffer framebuffer;

	u8 rsdp[36];    /* a copy of the ACPI root pointer, the newest version given */
	u8 rsdp_length; /* 0, 20 or 36 */

	u64 elf_sections, elf_sections_length; /* physical address of the section headers, bytes; 0
	                                          if not given */
	u32 elf_section_size, elf_section_strings;

	bool efi;      /* booted by UEFI firmware */
	u64 load_base; /* where the image was put, 0 if not told */
	u64 info_base,
	    info_length; /* the loader's own structure, to be reserved while it is in use */
	u32 nr_bad;      /* tags or fields that were ignored because they were malformed */
};

/*
 * Multiboot2: `data` is the information structure (8-byte aligned in the specification; not needed
 * here), `size` the bytes that may be read at most; the structure's own total_size may be smaller.
 * `pa` is its physical address. Memory map entries go to `map` with memmap_add(): of the sources
 * present only the best is used (the Multiboot memory map, then the EFI map, then basic meminfo).
 * 0, or -EINVAL when the header itself is unusable (info is then empty but valid).
 */
int multiboot2_read(const void *data, size_t size, u64 pa, struct boot_info *info,
                    struct memmap *map);

/*
 * Multiboot1's structure points at other places in physical memory; `peek` gives access to [pa, pa
 * + length) or returns NULL when that can't be read. 0 or -EINVAL as above.
 */
typedef const void *(*boot_peek)(void *context, u64 pa, u64 length);
int multiboot1_read(u64 info_pa, boot_peek peek, void *context, struct boot_info *info,
                    struct memmap *map);
