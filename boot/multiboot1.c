/*
 * Multiboot 1: a fixed structure whose flags say which fields are there, and whose fields are
 * 32-bit physical addresses of everything else. Nothing is read but through the caller's peek(),
 * which may refuse any of it:
 *
 *   MO1 a field is looked at only when its flag is set, and only that field (old loaders give short
 * structures) MO2 a list or text is read only where peek() shows it; what it refuses is counted and
 * ignored MO3 no count or length of the input bounds a loop alone: lists have a largest believable
 * size
 *
 * Cost: O(bytes shown). It keeps no pointer into what peek() returned.
 */
#include "multiboot_internal.h"

#define MMAP_MAX_LENGTH MIB /* some 40,000 entries: firmware gives a few dozen */
#define INFO_LENGTH_SHORT offsetof(struct mb1_info, framebuffer)

struct reader {
	struct boot_info *info;
	struct memmap *map;
	u64 pa;
	boot_peek peek;
	void *context;
};

/* --- access --- */

static struct bytes peek(struct reader *r, u64 pa, u64 length)
{
	const void *data = NULL;

	if (length > 0 && length <= UINT64_MAX - pa)
		data = r->peek(r->context, pa, length);
	return (struct bytes){data, data != NULL ? length : 0};
}

static bool peek_get(struct reader *r, u64 pa, void *out, u64 length)
{
	return bytes_get(peek(r, pa, length), 0, out, length);
}

/* A field of the info structure; false when peek() does not show it. */
#define GET_FIELD(r, name, out)                                                               \
	({                                                                                    \
		static_assert(sizeof(*(out)) == sizeof(((struct mb1_info *)0)->name), #name); \
		peek_field(r, offsetof(struct mb1_info, name), out, sizeof(*(out)));          \
	})

static bool peek_field(struct reader *r, u64 offset, void *out, u64 length)
{
	return offset <= UINT64_MAX - r->pa && peek_get(r, r->pa + offset, out, length);
}

/*
 * Copies the text at `pa`, byte by byte: nothing says how long it is, and what lies behind its NUL
 * may not be there. False when it can't be read to its end (what could be read stays).
 */
static bool copy_text(struct reader *r, u64 pa, char *to, size_t size, bool *cut)
{
	char c = 1;
	size_t n = 0;

	to[0] = 0;
	*cut = false;
	while (pa != 0 && peek_get(r, pa + n, &c, 1) && c != 0 && n < size - 1) {
		to[n++] = c;
		to[n] = 0;
	}
	*cut = n == size - 1 && c != 0;
	return c == 0 || *cut;
}

/* --- fields --- */

static bool read_cmdline(struct reader *r)
{
	u32 pa;

	return GET_FIELD(r, cmdline, &pa) &&
	       copy_text(r, pa, r->info->cmdline, sizeof(r->info->cmdline), &r->info->cmdline_cut);
}

static bool read_loader(struct reader *r)
{
	u32 pa;
	bool cut;

	return GET_FIELD(r, loader, &pa) &&
	       copy_text(r, pa, r->info->loader, sizeof(r->info->loader), &cut);
}

static bool read_module(struct reader *r, u64 pa)
{
	struct mb1_module m;
	struct boot_module *module;
	bool cut;

	if (!peek_get(r, pa, &m, sizeof(m)))
		return false;
	module = boot_add_module(r->info, m.start, m.end);
	return module == NULL || m.cmdline == 0 ||
	       copy_text(r, m.cmdline, module->name, sizeof(module->name), &cut);
}

static bool read_modules(struct reader *r)
{
	u32 nr, list;
	u32 nr_read;

	if (!GET_FIELD(r, nr_modules, &nr) || !GET_FIELD(r, modules, &list))
		return false;
	nr_read = nr < BOOT_MODULES_MAX ? nr : BOOT_MODULES_MAX;
	r->info->nr_modules_dropped = nr - nr_read;
	for (u32 i = 0; i < nr_read; i++)
		if (!read_module(r, list + (u64)i * sizeof(struct mb1_module)))
			r->info->nr_bad++;
	return true;
}

static bool read_sections(struct reader *r)
{
	u32 nr, size, pa, strings;
	u64 length, room;

	if (!GET_FIELD(r, nr_sections, &nr) || !GET_FIELD(r, section_size, &size) ||
	    !GET_FIELD(r, sections, &pa) || !GET_FIELD(r, strings, &strings))
		return false;
	length = (u64)nr * size;
	room = peek(r, pa, length).size;
	return boot_read_sections(r->info, pa, room, nr, size, strings);
}

static bool read_framebuffer(struct reader *r)
{
	struct mb_framebuffer fb;
	struct mb_rgb rgb = {0};

	if (!GET_FIELD(r, framebuffer, &fb))
		return false;
	if (fb.type == MB_FB_RGB && !GET_FIELD(r, rgb, &rgb))
		return false;
	return boot_read_framebuffer(r->info, &fb, &rgb);
}

/* --- memory map --- */

/* One entry at `at`; how far the next one is, or 0 when this one does not fit. */
static u64 read_mmap_entry(struct reader *r, struct bytes list, u64 at)
{
	struct mb1_mmap_entry e;
	u64 stride;

	if (!bytes_get(list, at, &e, sizeof(e)))
		return 0;
	stride = sizeof(e.size) + e.size;
	if (stride < sizeof(e) || stride > list.size - at)
		return 0;
	memmap_add(r->map, e.entry.base, e.entry.length, e.entry.type);
	return stride;
}

static bool read_mmap(struct reader *r)
{
	u32 pa, length;
	u64 at = 0, stride;
	struct bytes list;

	if (!GET_FIELD(r, mmap, &pa) || !GET_FIELD(r, mmap_length, &length) ||
	    length > MMAP_MAX_LENGTH)
		return false;
	list = peek(r, pa, length);
	while (at < list.size && (stride = read_mmap_entry(r, list, at)) != 0)
		at += stride;
	if (at == 0)
		return false;
	if (at < list.size)
		r->info->nr_bad++;
	r->info->map_source = BOOT_MAP_E820;
	return true;
}

static bool read_basic(struct reader *r)
{
	u32 lower, upper;

	return GET_FIELD(r, lower_kib, &lower) && GET_FIELD(r, upper_kib, &upper) &&
	       boot_read_basic(r->info, r->map, lower, upper);
}

static void read_best_map(struct reader *r, u32 flags)
{
	if (flags & MB1_HAS_MMAP) {
		if (read_mmap(r))
			return;
		r->info->nr_bad++;
	}
	if ((flags & MB1_HAS_BASIC) && !read_basic(r))
		r->info->nr_bad++;
}

/* --- the whole --- */

static const struct {
	u32 flag;
	bool (*read)(struct reader *r); /* false: malformed */
} field_readers[] = {
    {MB1_HAS_CMDLINE, read_cmdline},         {MB1_HAS_LOADER, read_loader},
    {MB1_HAS_MODULES, read_modules},         {MB1_HAS_ELF, read_sections},
    {MB1_HAS_FRAMEBUFFER, read_framebuffer},
};

static void read_fields(struct reader *r, u32 flags)
{
	for (size_t i = 0; i < ARRAY_SIZE(field_readers); i++)
		if ((flags & field_readers[i].flag) && !field_readers[i].read(r))
			r->info->nr_bad++;
}

int multiboot1_read(u64 info_pa, boot_peek peek_at, void *context, struct boot_info *info,
                    struct memmap *map)
{
	struct reader r = {info, map, info_pa, peek_at, context};
	u32 flags;

	memset(info, 0, sizeof(*info));
	if (!GET_FIELD(&r, flags, &flags))
		return -EINVAL;
	info->protocol = BOOT_MULTIBOOT1;
	info->info_base = info_pa;
	info->info_length =
	    flags & MB1_HAS_FRAMEBUFFER ? sizeof(struct mb1_info) : INFO_LENGTH_SHORT;
	if ((flags & MB1_HAS_AOUT) && (flags & MB1_HAS_ELF)) {
		info->nr_bad++;
		flags &= ~(u32)MB1_HAS_ELF;
	}
	read_fields(&r, flags);
	read_best_map(&r, flags);
	return 0;
}
