/*
 * Page tables as a data structure (Intel SDM 3A, 4.5).
 *
 *   T1  an entry above a leaf is present, writable and executable, and nothing more: the leaf alone
 *       decides
 *   T2  a leaf's physical address is a multiple of its span, and no leaf stands above the largest
 *       level
 *   T3  no leaf is both writable and executable
 *
 * Cost: a mapping walks down once for each table and then fills a run of leaves: 4 TiB in 1 GiB
 * leaves are 4096 stores in eight tables. Not here: locks, flushes, what is mapped where.
 */
#include "internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/pt.h>

#define TABLE_BITS (PTE_PRESENT | PTE_WRITE | PTE_ACCESSED)

static u64 *table_of(u64 entry)
{
	return phys_to_virt(entry & PTE_ADDRESS);
}

static u64 leaf_bits(unsigned level)
{
	return level > 0 ? PTE_LARGE : 0;
}

static bool is_canonical(u64 va)
{
	return va >> 47 == 0 || va >> 47 == 0x1ffff;
}

/* Not empty, in whole pages, in one of the halves. */
static bool is_range(u64 va, u64 length)
{
	u64 last = va + (length - 1);

	return is_aligned(va | length, PAGE_SIZE) && last >= va && is_canonical(va) &&
	       va >> 47 == last >> 47;
}

/* From va to the end of what its entry of that level stands for. */
static u64 to_end(u64 va, unsigned level)
{
	u64 span = pagetable_span(level);

	return span - (va & (span - 1));
}

/* --- down --- */

/* The table of that level on the way to va, made when there is none, and whether it was. 0,
 * -ENOMEM, or -EEXIST when a leaf is in the way. */
/* lab 7.1 */
static int make_way(struct page_tables *pt, u64 va, unsigned level, u64 **table, bool *is_new)
{
	u64 *at = phys_to_virt(pt->root_pa);

	*is_new = false;
	for (unsigned l = PAGETABLE_ROOT_LEVEL; l > level; l--) {
		u64 *entry = &at[pagetable_index(va, l)];

		if (*entry == 0) {
			u64 pa = pt->new_table();

			if (pa == 0)
				return -ENOMEM;
			*entry = pa | TABLE_BITS;
			*is_new = true;
		}
		if (*entry & PTE_LARGE)
			return -EEXIST;
		at = table_of(*entry);
	}
	*table = at;
	return 0;
}

u64 *pt_entry(struct page_tables *pt, u64 va, unsigned level)
{
	bool is_new;
	u64 *table;

	return make_way(pt, va, level, &table, &is_new) == 0 ? &table[pagetable_index(va, level)]
	                                                     : NULL;
}

/* The entry at which the way to va ends: a leaf, or one that is not present; and its level. */
/* lab 7.1 */
static u64 *end_of_way(const struct page_tables *pt, u64 va, unsigned *level)
{
	u64 *table = phys_to_virt(pt->root_pa);

	for (unsigned l = PAGETABLE_ROOT_LEVEL;; l--) {
		u64 *entry = &table[pagetable_index(va, l)];

		if (!(*entry & PTE_PRESENT) || pagetable_is_leaf(*entry, l)) {
			*level = l;
			return entry;
		}
		table = table_of(*entry);
	}
}

/* --- map --- */

/* How many entries from here on, up to nr, are empty. */
static u64 count_empty(const u64 *entry, u64 nr)
{
	const u64 *at = entry, *end = entry + nr;

	while (end - at >= 8 &&
	       (at[0] | at[1] | at[2] | at[3] | at[4] | at[5] | at[6] | at[7]) == 0)
		at += 8;
	while (at < end && *at == 0)
		at++;
	return (u64)(at - entry);
}

/* nr leaves, the first of which is `leaf`; eight at a time: most of a boot's page tables are these.
 */
static void fill_leaves(u64 *entry, u64 nr, u64 leaf, u64 span)
{
	for (; nr >= 8; nr -= 8, entry += 8, leaf += span) {
		entry[0] = leaf;
		entry[1] = leaf += span;
		entry[2] = leaf += span;
		entry[3] = leaf += span;
		entry[4] = leaf += span;
		entry[5] = leaf += span;
		entry[6] = leaf += span;
		entry[7] = leaf += span;
	}
	for (; nr > 0; nr--, leaf += span)
		*entry++ = leaf;
}

/* The largest leaf that fits, up to this level. A page always does. */
/* lab 7.1 */
static unsigned largest_leaf(unsigned level, u64 va, u64 pa, u64 length)
{
	while (!is_aligned(va | pa, pagetable_span(level)) || length < pagetable_span(level))
		level--;
	return level;
}

/* What was mapped of a range that could not be mapped whole. */
static int undo(struct page_tables *pt, u64 va, u64 done, int error)
{
	if (done != 0)
		(void)pt_unmap(pt, va, done, NULL, NULL, NULL);
	return error;
}

/* lab 7.1 */
int pt_map(struct page_tables *pt, u64 va, u64 pa, u64 length, u64 bits)
{
	unsigned max_level = length < pagetable_span(1) ? 0 : pt->max_leaf_level;
	u64 done = 0;

	assert(is_range(va, length) && is_aligned(pa, PAGE_SIZE));
	while (done < length) {
		unsigned level = largest_leaf(max_level, va + done, pa + done, length - done);
		unsigned index = pagetable_index(va + done, level);
		u64 span = pagetable_span(level), nr, filled, *table;
		bool is_new;
		int error = make_way(pt, va + done, level, &table, &is_new);

		if (error != 0)
			return undo(pt, va, done, error);
		nr = min_u64((length - done) / span, PAGETABLE_ENTRIES - index);
		debug_assert(nr != 0);
		filled = is_new ? nr : count_empty(&table[index], nr);
		fill_leaves(&table[index], filled, (pa + done) | bits | leaf_bits(level), span);
		done += filled * span;
		max_level = pt->max_leaf_level;
		if (filled == nr)
			continue;
		if (pagetable_is_leaf(table[index + filled], level))
			return undo(pt, va, done, -EEXIST);
		max_level = level - 1; /* into a table, perhaps one that ran empty */
	}
	return 0;
}

/* lab 7.1 */
int pt_map_pages(struct page_tables *pt, u64 va, struct page *const pages[], size_t n, u64 bits)
{
	size_t done = 0;

	assert(is_range(va, n << PAGE_SHIFT));
	while (done < n) {
		u64 at = va + (done << PAGE_SHIFT), *table, *entry, *end;
		bool is_new;
		int error = make_way(pt, at, 0, &table, &is_new);

		if (error != 0)
			return undo(pt, va, done << PAGE_SHIFT, error);
		entry = &table[pagetable_index(at, 0)];
		end = entry + min_u64(n - done, PAGETABLE_ENTRIES - pagetable_index(at, 0));
		debug_assert(end > entry);
		for (; entry < end; entry++, done++) {
			if (*entry != 0)
				return undo(pt, va, done << PAGE_SHIFT, -EEXIST);
			*entry = page_to_phys(pages[done]) | bits;
		}
	}
	return 0;
}

/* --- split --- */

/* The leaf becomes a table of 512 that say the same. */
/* lab 7.3 */
static int split_leaf(struct page_tables *pt, u64 *entry, unsigned level)
{
	u64 pa = pt->new_table(), span = pagetable_span(level - 1), leaf = *entry, *table;

	if (pa == 0)
		return -ENOMEM;
	table = phys_to_virt(pa);
	if (level == 1)
		leaf &= ~PTE_LARGE;
	fill_leaves(table, PAGETABLE_ENTRIES, leaf, span);
	*entry = pa | TABLE_BITS;
	return 0;
}

/* No leaf lies on both sides of va. */
/* lab 7.3 */
static int split_at(struct page_tables *pt, u64 va)
{
	for (;;) {
		unsigned level;
		u64 *entry = end_of_way(pt, va, &level);
		int error;

		if (!(*entry & PTE_PRESENT) || is_aligned(va, pagetable_span(level)))
			return 0;
		error = split_leaf(pt, entry, level);
		if (error != 0)
			return error;
	}
}

/* Where the range ends with its half, its end is some entry's of the root, and no leaf lies on
 * both sides of that. */
static int split_ends(struct page_tables *pt, u64 va, u64 length)
{
	int error = split_at(pt, va);

	return error != 0 ? error : split_at(pt, va + length);
}

/* --- unmap, protect --- */

/* Takes n pages' entries out of a table of level 0; returns how many were there. */
/* lab 7.2 */
static u64 clear_pages(u64 *entry, u64 va, u64 n, pt_leaf_fn gone, void *context)
{
	u64 nr = 0;

	for (const u64 *end = entry + n; entry < end; entry++, va += PAGE_SIZE) {
		u64 old = *entry;

		if (!(old & PTE_PRESENT))
			continue;
		*entry = 0;
		nr++;
		if (gone != NULL)
			gone(context, va, 0, old);
	}
	return nr;
}

/* One entry above level 0, where the way to va ends; returns its span if it was a leaf. */
/* lab 7.2 */
static u64 clear_large(u64 *entry, u64 va, unsigned level, pt_leaf_fn gone, void *context)
{
	u64 old = *entry;

	if (!(old & PTE_PRESENT))
		return 0;
	*entry = 0;
	if (gone != NULL)
		gone(context, va, level, old);
	return pagetable_span(level);
}

/* lab 7.2 */
u64 pt_clear(struct page_tables *pt, u64 va, u64 length, pt_leaf_fn gone, void *context)
{
	u64 sum = 0;

	for (u64 left = length, step; left > 0; va += step, left -= step) {
		unsigned level;
		u64 *entry = end_of_way(pt, va, &level);

		if (level == 0) {
			u64 n =
			    min_u64(left >> PAGE_SHIFT, PAGETABLE_ENTRIES - pagetable_index(va, 0));

			sum += clear_pages(entry, va, n, gone, context) << PAGE_SHIFT;
			step = n << PAGE_SHIFT;
		} else {
			sum += clear_large(entry, va, level, gone, context);
			step = min_u64(to_end(va, level), left);
		}
		debug_assert(step != 0);
	}
	return sum;
}

/* lab 7.2 */
int pt_unmap(struct page_tables *pt, u64 va, u64 length, pt_leaf_fn gone, void *context,
             u64 *mapped)
{
	int error;
	u64 sum;

	assert(is_range(va, length));
	error = split_ends(pt, va, length);
	if (error != 0)
		return error;
	sum = pt_clear(pt, va, length, gone, context);
	if (mapped != NULL)
		*mapped = sum;
	return 0;
}

/* lab 7.3 */
static bool is_mapped(const struct page_tables *pt, u64 va, u64 length)
{
	for (u64 left = length, step; left > 0; va += step, left -= step) {
		unsigned level;
		u64 *entry = end_of_way(pt, va, &level);

		if (!(*entry & PTE_PRESENT))
			return false;
		step = min_u64(to_end(va, level), left);
		debug_assert(step != 0);
	}
	return true;
}

/* lab 7.3 */
int pt_protect(struct page_tables *pt, u64 va, u64 length, u64 bits)
{
	int error;

	assert(is_range(va, length));
	if (!is_mapped(pt, va, length))
		return -ENOENT;
	error = split_ends(pt, va, length);
	for (u64 left = error == 0 ? length : 0, span; left > 0; va += span, left -= span) {
		unsigned level;
		u64 *entry = end_of_way(pt, va, &level);

		span = pagetable_span(level);
		*entry = (*entry & PTE_ADDRESS & ~(span - 1)) | bits | leaf_bits(level);
	}
	return error;
}

/* --- looking --- */

/* lab 7.1 */
bool pt_find(const struct page_tables *pt, u64 va, u64 *entry, unsigned *level)
{
	if (!is_canonical(va))
		return false;
	*entry = *end_of_way(pt, va, level);
	return *entry & PTE_PRESENT;
}

/* lab 7.1 */
bool pt_translate(const struct page_tables *pt, u64 va, u64 *pa)
{
	unsigned level;
	u64 entry;

	if (!pt_find(pt, va, &entry, &level))
		return false;
	*pa = (entry & PTE_ADDRESS & ~(pagetable_span(level) - 1)) |
	      (va & (pagetable_span(level) - 1));
	return true;
}

static void walk_table(const u64 *table, unsigned level, u64 base, pt_leaf_fn fn, void *context)
{
	for (unsigned i = 0; i < PAGETABLE_ENTRIES; i++) {
		u64 va = base + pagetable_span(level) * i;

		if (level == PAGETABLE_ROOT_LEVEL && i >= PAGETABLE_ENTRIES / 2)
			va |= 0xffff000000000000; /* canonical */
		if (!(table[i] & PTE_PRESENT) || (table[i] & PTE_OPAQUE))
			continue;
		if (pagetable_is_leaf(table[i], level))
			fn(context, va, level, table[i]);
		else
			walk_table(table_of(table[i]), level - 1, va, fn, context);
	}
}

void pt_walk(const struct page_tables *pt, pt_leaf_fn fn, void *context)
{
	walk_table(phys_to_virt(pt->root_pa), PAGETABLE_ROOT_LEVEL, 0, fn, context);
}

static void visit_tables(u64 pa, unsigned level, pt_table_fn fn, void *context)
{
	const u64 *table = phys_to_virt(pa);

	fn(context, pa, level);
	for (unsigned i = 0; level > 0 && i < PAGETABLE_ENTRIES; i++)
		if ((table[i] & PTE_PRESENT) && !(table[i] & PTE_OPAQUE) &&
		    !pagetable_is_leaf(table[i], level))
			visit_tables(table[i] & PTE_ADDRESS, level - 1, fn, context);
}

void pt_walk_tables(const struct page_tables *pt, pt_table_fn fn, void *context)
{
	visit_tables(pt->root_pa, PAGETABLE_ROOT_LEVEL, fn, context);
}

/* --- empty tables --- */

/* Those below the table, on the way to [va, va + length), which lies in its span. */
/* lab 7.2 */
static u64 prune_below(u64 *table, unsigned level, u64 va, u64 length, u64 chain)
{
	for (u64 left = length, step; left > 0; va += step, left -= step) {
		u64 *entry = &table[pagetable_index(va, level)], *below;

		step = min_u64(to_end(va, level), left);
		debug_assert(step != 0);
		if (!(*entry & PTE_PRESENT) || pagetable_is_leaf(*entry, level))
			continue;
		below = table_of(*entry);
		if (level > 1)
			chain = prune_below(below, level - 1, va, step, chain);
		if (count_empty(below, PAGETABLE_ENTRIES) == PAGETABLE_ENTRIES) {
			below[0] = chain;
			chain = *entry & PTE_ADDRESS;
			*entry = 0;
		}
	}
	return chain;
}

u64 pt_prune(struct page_tables *pt, u64 va, u64 length, u64 chain)
{
	assert(is_range(va, length));
	return prune_below(phys_to_virt(pt->root_pa), PAGETABLE_ROOT_LEVEL, va, length, chain);
}

/* lab 7.2 */
u64 pt_free_tables(struct page_tables *pt, u64 chain)
{
	u64 nr = 0;

	for (; chain != 0; nr++) {
		u64 *table = phys_to_virt(chain), pa = chain;

		chain = table[0];
		table[0] = 0;
		pt->free_table(pa);
	}
	return nr;
}

/* --- check --- */

static const char *check_table(const struct page_tables *pt, const u64 *table, unsigned level)
{
	const char *fault = NULL;

	for (unsigned i = 0; i < PAGETABLE_ENTRIES && fault == NULL; i++) {
		u64 entry = table[i];

		if (entry & PTE_OPAQUE)
			continue;
		if (!(entry & PTE_PRESENT))
			fault = entry != 0 ? "T1: an entry that is not present is not empty" : NULL;
		else if (!pagetable_is_leaf(entry, level))
			fault = (entry & ~PTE_ADDRESS) != TABLE_BITS
			            ? "T1: an entry above the leaves decides something"
			            : check_table(pt, table_of(entry), level - 1);
		else if (level > pt->max_leaf_level ||
		         !is_aligned(entry & PTE_ADDRESS, pagetable_span(level)))
			fault = "T2: a leaf is too large, or not where it may be";
		else if ((entry & PTE_WRITE) && !(entry & PTE_NX))
			fault = "T3: a leaf is writable and executable";
	}
	return fault;
}

const char *pt_check(const struct page_tables *pt)
{
	return check_table(pt, phys_to_virt(pt->root_pa), PAGETABLE_ROOT_LEVEL);
}
