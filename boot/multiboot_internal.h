/*
 * What the two Multiboot readers share. Bounds are checked in one place: bytes_get() copies a
 * structure out of a span of bytes, or says that it is not there.
 *
 * The shared readers return false when the field is malformed and was ignored; the caller counts
 * it.
 */
#pragma once

#include <boot/boot_info.h>
#include <boot/multiboot.h>
#include <lib/string.h>

/* Bytes that may be read. */
struct bytes {
	const u8 *data;
	u64 size;
};

static inline bool bytes_get(struct bytes b, u64 offset, void *out, u64 length)
{
	if (offset > b.size || length > b.size - offset)
		return false;
	memcpy(out, b.data + offset, length);
	return true;
}

/* What follows the offset: nothing when that lies outside. */
static inline struct bytes bytes_after(struct bytes b, u64 offset)
{
	if (offset > b.size)
		return (struct bytes){NULL, 0};
	return (struct bytes){b.data + offset, b.size - offset};
}

/* The next place for a module, cleared; NULL (and counted as dropped) when there is none or end <
 * start. */
struct boot_module *boot_add_module(struct boot_info *info, u64 start, u64 end);

bool boot_read_framebuffer(struct boot_info *info, const struct mb_framebuffer *fb,
                           const struct mb_rgb *rgb);

/* The last resort: conventional memory from 0, extended memory from 1 MiB. */
bool boot_read_basic(struct boot_info *info, struct memmap *map, u32 lower_kib, u32 upper_kib);

/* Remembers where the ELF section headers lie; `room` is what may be read there. */
bool boot_read_sections(struct boot_info *info, u64 pa, u64 room, u32 nr, u32 entry_size,
                        u32 strings);
