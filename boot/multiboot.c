/*
 * The fields that Multiboot 1 and 2 have in common, each validated before anything is believed:
 *
 *   modules      end >= start; no more than there is place for
 *   framebuffer  RGB: 15, 16, 24 or 32 bits, channels inside the pixel, lines inside the pitch, no
 * wrap past 2^64; text: 16 bits a character. Indexed colour, and types still unknown, are no
 * framebuffer to us basic        640 KiB of conventional memory at most, whatever is claimed ELF
 * headers of at least the size of ELF32's, all inside the bytes given
 */
#include "multiboot_internal.h"

#define CONVENTIONAL_MAX_KIB 640
#define ELF32_SECTION_HEADER 40

struct boot_module *boot_add_module(struct boot_info *info, u64 start, u64 end)
{
	struct boot_module *module;

	if (end < start) {
		info->nr_bad++;
		return NULL;
	}
	if (info->nr_modules == BOOT_MODULES_MAX) {
		info->nr_modules_dropped++;
		return NULL;
	}
	module = &info->module[info->nr_modules++];
	*module = (struct boot_module){.base = start, .length = end - start};
	return module;
}

static bool channel_fits(u8 pos, u8 size, u8 bits_per_pixel)
{
	return size > 0 && pos + size <= bits_per_pixel;
}

static bool is_rgb_sane(const struct mb_framebuffer *fb, const struct mb_rgb *rgb)
{
	u8 bits = fb->bits_per_pixel;

	return (bits == 15 || bits == 16 || bits == 24 || bits == 32) &&
	       channel_fits(rgb->red_pos, rgb->red_size, bits) &&
	       channel_fits(rgb->green_pos, rgb->green_size, bits) &&
	       channel_fits(rgb->blue_pos, rgb->blue_size, bits);
}

static bool is_geometry_sane(const struct mb_framebuffer *fb)
{
	u64 line = (u64)fb->width * ((fb->bits_per_pixel + 7u) / 8), total;

	return fb->address != 0 && fb->width > 0 && fb->height > 0 && line <= fb->pitch &&
	       !__builtin_mul_overflow((u64)fb->pitch, fb->height, &total) &&
	       total <= UINT64_MAX - fb->address;
}

bool boot_read_framebuffer(struct boot_info *info, const struct mb_framebuffer *fb,
                           const struct mb_rgb *rgb)
{
	bool text = fb->type == MB_FB_TEXT;

	if (fb->type != MB_FB_RGB && !text)
		return true;
	if (!is_geometry_sane(fb) || (text ? fb->bits_per_pixel != 16 : !is_rgb_sane(fb, rgb)))
		return false;
	info->framebuffer = (struct boot_framebuffer){
	    .type = text ? BOOT_FB_TEXT : BOOT_FB_RGB,
	    .address = fb->address,
	    .pitch = fb->pitch,
	    .width = fb->width,
	    .height = fb->height,
	    .bits_per_pixel = fb->bits_per_pixel,
	};
	if (text)
		return true;
	info->framebuffer.red_pos = rgb->red_pos;
	info->framebuffer.red_size = rgb->red_size;
	info->framebuffer.green_pos = rgb->green_pos;
	info->framebuffer.green_size = rgb->green_size;
	info->framebuffer.blue_pos = rgb->blue_pos;
	info->framebuffer.blue_size = rgb->blue_size;
	return true;
}

bool boot_read_basic(struct boot_info *info, struct memmap *map, u32 lower_kib, u32 upper_kib)
{
	if (lower_kib == 0 && upper_kib == 0)
		return false;
	if (lower_kib > CONVENTIONAL_MAX_KIB)
		lower_kib = CONVENTIONAL_MAX_KIB;
	memmap_add(map, 0, lower_kib * KIB, MEM_USABLE);
	memmap_add(map, MIB, upper_kib * KIB, MEM_USABLE);
	info->map_source = BOOT_MAP_BASIC;
	return true;
}

bool boot_read_sections(struct boot_info *info, u64 pa, u64 room, u32 nr, u32 entry_size,
                        u32 strings)
{
	u64 length = (u64)nr * entry_size;

	if (nr == 0)
		return true;
	if (pa == 0 || entry_size < ELF32_SECTION_HEADER || length > room || strings >= nr)
		return false;
	info->elf_sections = pa;
	info->elf_sections_length = length;
	info->elf_section_size = entry_size;
	info->elf_section_strings = strings;
	return true;
}
