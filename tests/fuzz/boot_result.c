/*
 * The invariants of a boot reader's result:
 *
 *   texts        end inside their array; a cut command line is a full one
 *   modules      no more than there is place for, none wraps, those dropped are counted
 *   framebuffer  lines fit in the pitch, channels in the pixel, all of it below 2^64
 *   rsdp         absent, or signed and with a sum of zero
 *   ELF          headers that are there, large enough, and name one of themselves for the names
 *   map          normalises into a sound map with nothing above the limit; from no source: empty
 *   failure      -EINVAL alone, and then everything is empty
 */
#include <tests/fuzz/boot_result.h>
#include <tests/fuzz/fuzz.h>

void boot_result_init(struct boot_result *r, struct input *in)
{
	unsigned phys_bits = 32 + input_below(in, 21);
	u32 capacity = 8 + input_below(in, 256);

	r->info = exact_alloc(sizeof(*r->info));
	memmap_init(&r->map, exact_alloc(capacity * sizeof(struct mem_range)), capacity, phys_bits);
}

void boot_result_finish(struct boot_result *r)
{
	exact_free(r->map.range);
	exact_free(r->info);
}

static bool is_terminated(const char *text, size_t size)
{
	return strnlen(text, size) < size;
}

static void check_texts(const struct boot_info *info)
{
	MUST(is_terminated(info->loader, sizeof(info->loader)));
	MUST(is_terminated(info->cmdline, sizeof(info->cmdline)));
	if (info->cmdline_cut)
		MUST_EQ(strlen(info->cmdline), BOOT_CMDLINE_MAX - 1);
}

static void check_modules(const struct boot_info *info)
{
	MUST(info->nr_modules <= BOOT_MODULES_MAX);
	for (u32 i = 0; i < info->nr_modules; i++) {
		const struct boot_module *m = &info->module[i];

		MUST(m->base + m->length <= UINT32_MAX); /* both protocols have 32 bits */
		MUST(is_terminated(m->name, sizeof(m->name)));
	}
}

static void check_framebuffer(const struct boot_framebuffer *fb)
{
	u64 bytes_a_pixel = (fb->bits_per_pixel + 7u) / 8;

	if (fb->type == BOOT_FB_NONE) {
		MUST_EQ(fb->address, 0);
		return;
	}
	MUST(fb->type == BOOT_FB_RGB || fb->type == BOOT_FB_TEXT);
	MUST(fb->address != 0 && fb->width > 0 && fb->height > 0);
	MUST(fb->width * bytes_a_pixel <= fb->pitch);
	MUST((u64)fb->pitch * fb->height <= UINT64_MAX - fb->address);
	if (fb->type == BOOT_FB_TEXT) {
		MUST_EQ(fb->bits_per_pixel, 16);
		return;
	}
	MUST(fb->bits_per_pixel >= 15 && fb->bits_per_pixel <= 32);
	MUST(fb->red_size > 0 && fb->red_pos + fb->red_size <= fb->bits_per_pixel);
	MUST(fb->green_size > 0 && fb->green_pos + fb->green_size <= fb->bits_per_pixel);
	MUST(fb->blue_size > 0 && fb->blue_pos + fb->blue_size <= fb->bits_per_pixel);
}

static void check_rsdp(const struct boot_info *info)
{
	u8 sum = 0;

	MUST(info->rsdp_length == 0 || info->rsdp_length == 20 || info->rsdp_length == 36);
	for (u8 i = 0; i < info->rsdp_length; i++)
		sum = (u8)(sum + info->rsdp[i]);
	MUST_EQ(sum, 0);
	if (info->rsdp_length > 0)
		MUST_EQ(memcmp(info->rsdp, "RSD PTR ", 8), 0);
}

static void check_sections(const struct boot_info *info)
{
	MUST_EQ(info->elf_sections == 0, info->elf_sections_length == 0);
	if (info->elf_sections == 0)
		return;
	MUST(info->elf_section_size >= 40);
	MUST_EQ(info->elf_sections_length % info->elf_section_size, 0);
	MUST(info->elf_section_strings < info->elf_sections_length / info->elf_section_size);
}

static void check_map(const struct boot_info *info, struct memmap *map)
{
	u64 end = 0;

	MUST(map->nr <= map->capacity);
	if (info->map_source == BOOT_MAP_NONE)
		MUST_EQ(map->nr, 0);
	memmap_normalize(map);
	MUST_BE_SOUND(memmap_check(map));
	for (u32 i = 0; i < map->nr; i++) { /* the same once more, without mm/'s own code */
		const struct mem_range *r = &map->range[i];

		MUST(r->base >= end && r->length > 0 && (r->base | r->length) % 4096 == 0);
		MUST(r->type >= MEM_USABLE && r->type <= MEM_BAD);
		end = r->base + r->length;
		MUST(end <= map->limit);
	}
}

static void check_empty(const struct boot_result *r)
{
	MUST_EQ(r->map.nr, 0);
	MUST(mem_find_other(r->info, 0, sizeof(*r->info)) == NULL);
}

void boot_result_check(struct boot_result *r, int error)
{
	MUST(error == 0 || error == -EINVAL);
	if (error != 0)
		check_empty(r);
	check_texts(r->info);
	check_modules(r->info);
	check_framebuffer(&r->info->framebuffer);
	check_rsdp(r->info);
	check_sections(r->info);
	check_map(r->info, &r->map);
}
