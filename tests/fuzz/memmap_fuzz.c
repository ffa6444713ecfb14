/*
 * The memory map against an oracle that decides each page alone, from the list of entries.
 *
 * Entries lie in two windows of 16 pages, at 0 and at the limit, or reach from one to the other and
 * past 2^64. A page is of the most restrictive type that an entry touches it with, or usable when
 * the usable entries together cover all its bytes: docs/memmap.md, with neither sorting nor a
 * sweep. With storage for 2n - 1 ranges the map must be exactly that; with less, it may only be
 * poorer: no page is usable that the oracle does not call so. Then pages are reserved, released and
 * looked for, against an array of types.
 *
 * Input: 4 bytes of set-up, 6 bytes an entry, then operations.
 */
#include <mm/memmap.h>
#include <tests/fuzz/fuzz.h>

#define PAGE 4096ull
#define WINDOW 16u /* pages */
#define NR_PAGES (2 * WINDOW)
#define MAX_ENTRIES 24u

enum { GAP = 0 }; /* as a type: nothing is known of the page */

static struct {
	struct memmap map;
	struct mem_range entry[MAX_ENTRIES]; /* as given; `length` may wrap */
	u32 nr;
	bool exact;         /* there is storage enough */
	u32 type[NR_PAGES]; /* what each page of the windows is */
} s;

static u64 page_address_of(u32 i)
{
	return i < WINDOW ? i * PAGE : s.map.limit - (NR_PAGES - i) * PAGE;
}

static u64 end_of(const struct mem_range *r)
{
	return r->length > UINT64_MAX - r->base ? UINT64_MAX : r->base + r->length;
}

/* --- the oracle --- */

static bool touches(const struct mem_range *r, u64 page)
{
	return r->length > 0 && r->base < page + PAGE && end_of(r) > page;
}

static unsigned severity(u32 type)
{
	static const u32 order[] = {MEM_ACPI, MEM_NVS, MEM_RESERVED, MEM_BAD};

	for (unsigned i = 0; i < ARRAY_SIZE(order); i++)
		if (order[i] == type)
			return i + 1;
	return type == MEM_USABLE ? 0 : severity(MEM_RESERVED);
}

/* Whether the usable entries leave no byte of the page out. */
static bool is_covered(u64 page)
{
	u64 at = page, before;

	do {
		before = at;
		for (u32 i = 0; i < s.nr; i++)
			if (severity(s.entry[i].type) == 0 && s.entry[i].base <= at &&
			    end_of(&s.entry[i]) > at)
				at = end_of(&s.entry[i]);
	} while (at != before && at < page + PAGE);
	return at >= page + PAGE;
}

static u32 oracle(u64 page)
{
	static const u32 types[] = {GAP, MEM_ACPI, MEM_NVS, MEM_RESERVED, MEM_BAD};
	unsigned worst = 0;

	for (u32 i = 0; i < s.nr; i++)
		if (touches(&s.entry[i], page) && severity(s.entry[i].type) > worst)
			worst = severity(s.entry[i].type);
	return worst == 0 && is_covered(page) ? MEM_USABLE : types[worst];
}

static u32 map_type(u64 pa)
{
	const struct mem_range *r = memmap_find(&s.map, pa);

	MUST(r == NULL || (r->base <= pa && pa - r->base < r->length));
	return r ? r->type : GAP;
}

static void check_page(u64 page)
{
	u32 want = oracle(page), is = map_type(page);

	if (s.exact)
		MUST_EQ(is, want);
	MUST(is != MEM_USABLE || want == MEM_USABLE);
	MUST(is != GAP || want == GAP || want == MEM_USABLE);
}

/* --- the list --- */

static void add_entry(struct input *in)
{
	u32 how = input_below(in, 256), type = how & 15;
	u64 base = input_bytes(in, 2), length = input_bytes(in, 2);
	unsigned shift = input_below(in, 4); /* so that whole pages are likely */

	base <<= shift * 4;
	length <<= shift * 4;
	if (how & 16)
		base += s.map.limit - WINDOW * PAGE;
	if (how & 32)
		length = s.map.limit - length;
	if (how & 64)
		length = UINT64_MAX - length;
	type = type < 12 ? type % 6 : MEM_PAGE_ZERO + type;
	s.entry[s.nr++] = (struct mem_range){base, length, type};
	memmap_add(&s.map, base, length, type);
	MUST(s.map.nr <= s.map.capacity);
}

static void set_up(struct input *in)
{
	u32 nr = 1 + input_below(in, MAX_ENTRIES), capacity = 8 + input_below(in, 64);
	unsigned phys_bits = 32 + input_below(in, 21);
	bool generous = input_below(in, 4) != 0;

	if (generous)
		capacity = nr * 2 - 1 > 8 ? nr * 2 - 1 : 8;
	memmap_init(&s.map, exact_alloc(capacity * sizeof(struct mem_range)), capacity, phys_bits);
	s.exact = capacity >= nr * 2 - 1;
	s.nr = 0;
	while (s.nr < nr)
		add_entry(in);
}

static void check_normalized(void)
{
	memmap_normalize(&s.map);
	MUST_BE_SOUND(memmap_check(&s.map));
	MUST(!s.exact || s.map.nr_dropped == 0);
	for (u32 i = 0; i < NR_PAGES; i++) {
		check_page(page_address_of(i));
		s.type[i] = map_type(page_address_of(i));
	}
	check_page(WINDOW * PAGE); /* between the windows: at its ends and somewhere */
	check_page(s.map.limit / 2);
	check_page(s.map.limit - (WINDOW + 1) * PAGE);
}

/* --- changes afterwards --- */

static void change(struct input *in, bool reserve)
{
	u32 kind = input_below(in, 9) + MEM_PAGE_ZERO;
	u64 base = input_bytes(in, 2), length = input_bytes(in, 2);
	u32 from = reserve ? MEM_USABLE : kind, to = reserve ? kind : MEM_USABLE;
	int error = reserve ? memmap_reserve(&s.map, base, length, kind)
	                    : memmap_release(&s.map, base, length, kind);

	MUST(error == 0 || (error == -ENOSPC && s.map.nr + 2 > s.map.capacity));
	for (u32 i = 0; i < WINDOW && error == 0; i++)
		if (length > 0 && i * PAGE < base + length && (i + 1) * PAGE > base &&
		    s.type[i] == from)
			s.type[i] = to;
}

static bool is_usable(u64 start, u64 end)
{
	for (u64 page = start / PAGE; page <= (end - 1) / PAGE; page++)
		if (page >= WINDOW || s.type[page] != MEM_USABLE)
			return false;
	return true;
}

/* Each candidate in turn, from the top. */
static u64 oracle_find(u64 length, u64 align, u64 min, u64 max)
{
	if (length == 0 || length > max)
		return 0;
	for (u64 a = align_down(max - length, align); a >= max_u64(min, PAGE); a -= align) {
		if (is_usable(a, a + length))
			return a;
		if (a < align)
			break;
	}
	return 0;
}

static void find(struct input *in)
{
	u64 length = input_bytes(in, 2), align = 256ull << input_below(in, 8);
	u64 min = input_bytes(in, 2), max = min_u64(input_bytes(in, 2), WINDOW * PAGE - 1);

	MUST_EQ(memmap_find_free(&s.map, length, align, min, max),
	        oracle_find(length, align, min, max));
}

static void check_changed(void)
{
	u64 sum = 0;

	MUST_BE_SOUND(memmap_check(&s.map));
	for (u32 i = 0; i < NR_PAGES; i++)
		MUST_EQ(map_type(page_address_of(i)), s.type[i]);
	for (u32 i = 0; i < s.map.nr; i++)
		sum += s.map.range[i].type == MEM_USABLE ? s.map.range[i].length : 0;
	MUST_EQ(memmap_bytes(&s.map, MEM_USABLE), sum);
}

void fuzz_one(struct input *in)
{
	set_up(in);
	check_normalized();
	while (input_left(in)) {
		u32 what = input_below(in, 3);

		if (what < 2)
			change(in, what == 0);
		else
			find(in);
		check_changed();
	}
	exact_free(s.map.range);
}
