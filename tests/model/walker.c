/* See walker.h. */
#include "tests/model/walker.h"

#include <mm/page.h>

static u64 read_entry(u64 table_pa, u64 index)
{
	return ((const u64 *)phys_to_virt(table_pa))[index];
}

struct walk_result walker_translate(u64 root_pa, u64 va)
{
	struct walk_result r = {.write = true, .execute = true, .user = true};
	u64 table = root_pa;

	for (unsigned shift = 39;; shift -= 9) {
		u64 entry = read_entry(table, va >> shift & 0x1ff), frame = entry & 0xffffffffff000;

		if ((entry & 1) == 0)
			return (struct walk_result){0};
		r.write &= entry >> 1 & 1;
		r.user &= entry >> 2 & 1;
		r.execute &= ~entry >> 63 & 1;
		if (shift == 12 || (entry >> 7 & 1)) {
			u64 inside = ((u64)1 << shift) - 1;

			r.present = true;
			r.bits = shift;
			r.pa = (frame & ~inside) | (va & inside);
			r.pat = (unsigned)(entry >> 3 & 3);
			r.global = entry >> 8 & 1;
			return r;
		}
		table = frame;
	}
}

static u64 count_below(u64 table, unsigned shift)
{
	u64 nr = 0;

	for (u64 i = 0; i < 512; i++) {
		u64 entry = read_entry(table, i);

		if ((entry & 1) != 0 && (entry >> 7 & 1) == 0 && shift > 12 &&
		    (entry >> 10 & 1) == 0) /* opaque: mm/pt.h */
			nr += 1 + count_below(entry & 0xffffffffff000, shift - 9);
	}
	return nr;
}

u64 walker_count_tables(u64 root_pa)
{
	return count_below(root_pa, 39);
}
