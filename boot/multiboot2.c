/*
 * Multiboot 2: one run of tags, each with its own length. The reader trusts none of them:
 *
 *   MR1 nothing outside [data, data + min(size, total_size)) is read, and a tag's reader sees only
 * its tag MR2 every step over tags or entries is at least 8 bytes, so every loop ends MR3 a
 * malformed tag is counted and ignored; one whose length makes the next tag unfindable ends the
 * reading MR4 of the memory maps only one is used: what the readers of the others would add never
 * reaches the map
 *
 * So tags are first walked, remembering where the maps stand, and the best map that has an entry is
 * read last. Where a tag that should be unique is repeated, the first that is well-formed counts.
 *
 * Cost: O(size). It keeps no pointer into its input.
 */
#include "multiboot_internal.h"

#include <lib/bits.h>

enum { RSDP_LENGTH_V1 = 20, RSDP_LENGTH_V2 = 36, RSDP_REVISION = 15, RSDP_LENGTH = 20 };

#define EFI_PAGE_SHIFT 12

struct reader {
	struct boot_info *info;
	struct memmap *map;
	struct bytes all;
	u64 pa;
	struct bytes mmap, efi_mmap, basic; /* whole tags; empty when absent */
	bool boot_services;                 /* the firmware still owns their memory */
};

/* --- texts --- */

/* Copies what stands before the NUL; false when there is none, and the text ends with its tag. */
static bool copy_text(struct bytes from, char *to, size_t size, bool *cut)
{
	size_t length = strnlen((const char *)from.data, from.size);
	size_t kept = length < size ? length : size - 1;

	memcpy(to, from.data, kept);
	to[kept] = 0;
	*cut = length >= size;
	return length < from.size;
}

static bool read_cmdline(struct reader *r, struct bytes tag)
{
	struct bytes text = bytes_after(tag, sizeof(struct mb2_tag));

	if (r->info->cmdline[0] != 0)
		return true;
	return copy_text(text, r->info->cmdline, sizeof(r->info->cmdline), &r->info->cmdline_cut);
}

static bool read_loader(struct reader *r, struct bytes tag)
{
	bool cut;

	if (r->info->loader[0] != 0)
		return true;
	return copy_text(bytes_after(tag, sizeof(struct mb2_tag)), r->info->loader,
	                 sizeof(r->info->loader), &cut);
}

static bool read_module(struct reader *r, struct bytes tag)
{
	struct mb2_module m;
	struct boot_module *module;
	bool cut;

	if (!bytes_get(tag, 0, &m, sizeof(m)))
		return false;
	module = boot_add_module(r->info, m.start, m.end);
	return module == NULL ||
	       copy_text(bytes_after(tag, sizeof(m)), module->name, sizeof(module->name), &cut);
}

/* --- memory maps --- */

static bool remember_mmap(struct reader *r, struct bytes tag)
{
	if (r->mmap.size == 0)
		r->mmap = tag;
	return true;
}

static bool remember_efi_mmap(struct reader *r, struct bytes tag)
{
	if (r->efi_mmap.size == 0)
		r->efi_mmap = tag;
	return true;
}

static bool remember_basic(struct reader *r, struct bytes tag)
{
	if (r->basic.size == 0)
		r->basic = tag;
	return true;
}

static bool remember_boot_services(struct reader *r, struct bytes tag)
{
	(void)tag;
	r->boot_services = true;
	return true;
}

static bool read_mmap(struct reader *r)
{
	struct mb2_mmap head;
	struct mb2_mmap_entry e;
	struct bytes list = bytes_after(r->mmap, sizeof(head));

	if (!bytes_get(r->mmap, 0, &head, sizeof(head)) || head.entry_size < sizeof(e) ||
	    list.size < head.entry_size)
		return false;
	for (u64 at = 0; list.size - at >= head.entry_size; at += head.entry_size) {
		bytes_get(list, at, &e, sizeof(e));
		memmap_add(r->map, e.base, e.length, e.type);
	}
	if (list.size % head.entry_size != 0)
		r->info->nr_bad++;
	r->info->map_source = BOOT_MAP_E820;
	return true;
}

/* Ordinary memory is usable unless an attribute speaks against it: not cacheable, for one device,
 * still in use. */
static u32 usable_by_attributes(u64 attributes)
{
	u64 cacheability = attributes & EFI_MEMORY_CACHEABILITY;

	if (attributes & (EFI_MEMORY_SP | EFI_MEMORY_RUNTIME))
		return MEM_RESERVED;
	return cacheability == 0 || (cacheability & EFI_MEMORY_WB) ? MEM_USABLE : MEM_RESERVED;
}

static u32 efi_to_mem_type(const struct reader *r, const struct efi_descriptor *d)
{
	switch (d->type) {
	case EFI_BOOT_SERVICES_CODE:
	case EFI_BOOT_SERVICES_DATA:
		return r->boot_services ? MEM_RESERVED : usable_by_attributes(d->attributes);
	case EFI_CONVENTIONAL:
	case EFI_LOADER_CODE:
	case EFI_LOADER_DATA:
		return usable_by_attributes(d->attributes);
	case EFI_ACPI_RECLAIM:
		return MEM_ACPI;
	case EFI_ACPI_NVS:
		return MEM_NVS;
	case EFI_UNUSABLE:
		return MEM_BAD;
	default:
		return MEM_RESERVED;
	}
}

static void add_efi_descriptor(struct reader *r, const struct efi_descriptor *d)
{
	bool huge = d->nr_pages > UINT64_MAX >> EFI_PAGE_SHIFT;
	u64 length = huge ? UINT64_MAX : d->nr_pages << EFI_PAGE_SHIFT;

	memmap_add(r->map, d->base, length, efi_to_mem_type(r, d));
}

static bool read_efi_mmap(struct reader *r)
{
	struct mb2_efi_mmap head;
	struct efi_descriptor d;
	struct bytes list = bytes_after(r->efi_mmap, sizeof(head));

	if (!bytes_get(r->efi_mmap, 0, &head, sizeof(head)) || head.descriptor_size < sizeof(d) ||
	    head.descriptor_version != EFI_DESCRIPTOR_VERSION || list.size < head.descriptor_size)
		return false;
	for (u64 at = 0; list.size - at >= head.descriptor_size; at += head.descriptor_size) {
		bytes_get(list, at, &d, sizeof(d));
		add_efi_descriptor(r, &d);
	}
	if (list.size % head.descriptor_size != 0)
		r->info->nr_bad++;
	r->info->map_source = BOOT_MAP_EFI;
	return true;
}

static bool read_basic(struct reader *r)
{
	struct mb2_basic b;

	return bytes_get(r->basic, 0, &b, sizeof(b)) &&
	       boot_read_basic(r->info, r->map, b.lower_kib, b.upper_kib);
}

/* The best map that can be read; the better ones that could not are counted as malformed. */
static void read_best_map(struct reader *r)
{
	if (r->mmap.size > 0 && read_mmap(r))
		return;
	r->info->nr_bad += r->mmap.size > 0;
	if (r->efi_mmap.size > 0 && read_efi_mmap(r))
		return;
	r->info->nr_bad += r->efi_mmap.size > 0;
	if (r->basic.size > 0 && !read_basic(r))
		r->info->nr_bad++;
}

/* --- the rest --- */

static bool read_framebuffer(struct reader *r, struct bytes tag)
{
	struct mb_framebuffer fb;
	struct mb_rgb rgb = {0};

	if (r->info->framebuffer.type != BOOT_FB_NONE)
		return true;
	if (!bytes_get(tag, sizeof(struct mb2_tag), &fb, sizeof(fb)))
		return false;
	if (fb.type == MB_FB_RGB && !bytes_get(tag, MB2_RGB_OFFSET, &rgb, sizeof(rgb)))
		return false;
	return boot_read_framebuffer(r->info, &fb, &rgb);
}

static bool read_sections(struct reader *r, struct bytes tag)
{
	struct mb2_elf_sections s;
	u64 offset = (u64)(tag.data - r->all.data) + sizeof(s);

	if (r->info->elf_sections != 0)
		return true;
	if (!bytes_get(tag, 0, &s, sizeof(s)))
		return false;
	return boot_read_sections(r->info, r->pa + offset, tag.size - sizeof(s), s.nr, s.entry_size,
	                          s.strings);
}

static bool read_efi_table(struct reader *r, struct bytes tag)
{
	if (tag.size < sizeof(struct mb2_tag) + sizeof(u32)) /* no room for even a 32-bit pointer */
		return false;
	r->info->efi = true;
	return true;
}

static bool read_load_base(struct reader *r, struct bytes tag)
{
	struct mb2_load_base b;

	if (!bytes_get(tag, 0, &b, sizeof(b)))
		return false;
	if (r->info->load_base == 0)
		r->info->load_base = b.base;
	return true;
}

static bool sums_to_zero(struct bytes b, u64 length)
{
	u8 sum = 0;

	for (u64 i = 0; i < length; i++)
		sum = (u8)(sum + b.data[i]);
	return sum == 0;
}

/* How much of the root pointer is valid: 36 bytes (ACPI 2.0), 20 (ACPI 1.0) or 0. */
static u8 rsdp_valid_length(struct bytes rsdp)
{
	u32 length;

	if (rsdp.size < RSDP_LENGTH_V1 || memcmp(rsdp.data, "RSD PTR ", 8) != 0 ||
	    !sums_to_zero(rsdp, RSDP_LENGTH_V1))
		return 0;
	if (rsdp.data[RSDP_REVISION] < 2 ||
	    !bytes_get(rsdp, RSDP_LENGTH, &length, sizeof(length)) || length < RSDP_LENGTH_V2 ||
	    length > rsdp.size || !sums_to_zero(rsdp, length))
		return RSDP_LENGTH_V1;
	return RSDP_LENGTH_V2;
}

static bool read_rsdp(struct reader *r, struct bytes tag)
{
	struct bytes rsdp = bytes_after(tag, sizeof(struct mb2_tag));
	u8 length = rsdp_valid_length(rsdp);

	if (length > r->info->rsdp_length) {
		memcpy(r->info->rsdp, rsdp.data, length);
		r->info->rsdp_length = length;
	}
	return length > 0;
}

/* --- the walk --- */

static const struct {
	u32 type;
	bool (*read)(struct reader *r, struct bytes tag); /* false: malformed */
} tag_readers[] = {
    {MB2_CMDLINE, read_cmdline},
    {MB2_LOADER, read_loader},
    {MB2_MODULE, read_module},
    {MB2_BASIC, remember_basic},
    {MB2_MMAP, remember_mmap},
    {MB2_FRAMEBUFFER, read_framebuffer},
    {MB2_ELF_SECTIONS, read_sections},
    {MB2_EFI32, read_efi_table},
    {MB2_EFI64, read_efi_table},
    {MB2_RSDP_OLD, read_rsdp},
    {MB2_RSDP_NEW, read_rsdp},
    {MB2_EFI_MMAP, remember_efi_mmap},
    {MB2_EFI_BOOT_SERVICES, remember_boot_services},
    {MB2_LOAD_BASE, read_load_base},
};

static void read_tag(struct reader *r, u32 type, struct bytes tag)
{
	for (size_t i = 0; i < ARRAY_SIZE(tag_readers); i++)
		if (tag_readers[i].type == type && !tag_readers[i].read(r, tag))
			r->info->nr_bad++;
}

/* False when the tags end in any way but with the end tag. What is behind that is not the loader's
 * structure. */
static bool read_tags(struct reader *r)
{
	struct mb2_tag head;
	u64 at = sizeof(struct mb2_header);

	while (bytes_get(r->all, at, &head, sizeof(head))) {
		if (head.type == MB2_END) {
			r->info->info_length = at + sizeof(head);
			return true;
		}
		if (head.size < sizeof(head) || head.size > r->all.size - at)
			return false;
		read_tag(r, head.type, (struct bytes){r->all.data + at, head.size});
		at += align_up(head.size, MB2_TAG_ALIGN);
	}
	return false;
}

int multiboot2_read(const void *data, size_t size, u64 pa, struct boot_info *info,
                    struct memmap *map)
{
	struct reader r = {.info = info, .map = map, .all = {data, size}, .pa = pa};
	struct mb2_header head;

	memset(info, 0, sizeof(*info));
	if (!bytes_get(r.all, 0, &head, sizeof(head)) || head.total_size < sizeof(head))
		return -EINVAL;
	info->protocol = BOOT_MULTIBOOT2;
	if (head.total_size > size)
		info->nr_bad++;
	r.all.size = min_u64(size, head.total_size);
	info->info_base = pa;
	info->info_length = r.all.size;
	if (!read_tags(&r))
		info->nr_bad++;
	read_best_map(&r);
	return 0;
}
