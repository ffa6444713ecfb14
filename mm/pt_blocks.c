/*
 * Blocks of the page allocator in and out of page tables: what mm/vmalloc.c does most.
 *
 * The blocks are chained by their heads' links and mapped side by side in leaves of 4 KiB, whatever
 * their sizes; so one walk down serves up to 512 pages, and a page costs its entry. On the way out
 * the first entry of a block leads to its head, which knows how many follow; each of these must be
 * the block's next page, or nothing is believed any more.
 *
 * Cost: a walk for each table, one comparison and one store a page. Not here: large leaves
 * (pt_map(), pt_clear()), locks, flushes.
 */
#include "internal.h"

#include <lib/assert.h>
#include <mm/pt.h>

/* The table below, or NULL: there is none, or a large leaf. */
static __always_inline u64 *next_table(const u64 *table, u64 va, unsigned level)
{
	u64 entry = table[pagetable_index(va, level)];

	return likely((entry & (PTE_PRESENT | PTE_LARGE)) == PTE_PRESENT)
	           ? phys_to_virt(entry & PTE_ADDRESS)
	           : NULL;
}

/* The entry of level 0 for va when its table is there, or NULL. */
static __always_inline u64 *find_entry(const struct page_tables *pt, u64 va)
{
	const u64 *table = next_table(phys_to_virt(pt->root_pa), va, PAGETABLE_ROOT_LEVEL);

	if (likely(table != NULL))
		table = next_table(table, va, 2);
	if (likely(table != NULL))
		table = next_table(table, va, 1);
	return likely(table != NULL) ? (u64 *)&table[pagetable_index(va, 0)] : NULL;
}

/* How many of n pages from va on have their entries in one table. */
static __always_inline u64 in_one_table(u64 va, u64 n)
{
	return min_u64(n, PAGETABLE_ENTRIES - pagetable_index(va, 0));
}

/* --- in --- */

/* n entries become leaves. False: one was in use; those before it are written. */
static __always_inline bool fill(u64 *entry, u64 n, u64 leaf, u64 *done)
{
	for (const u64 *end = entry + n; entry < end; entry++, leaf += PAGE_SIZE, ++*done) {
		if (unlikely(*entry != 0))
			return false;
		*entry = leaf;
	}
	return true;
}

static __noinline int undo(struct page_tables *pt, u64 va, u64 nr_pages, int error)
{
	if (nr_pages != 0)
		(void)pt_clear(pt, va, nr_pages << PAGE_SHIFT, NULL, NULL);
	return error;
}

/* Why there is no entry of level 0. */
static __noinline int no_entry(const struct page_tables *pt, u64 va)
{
	unsigned level;
	u64 entry;

	return pt_find(pt, va, &entry, &level) ? -EEXIST : -ENOMEM;
}

int pt_map_blocks(struct page_tables *pt, u64 va, const struct page *first, u64 bits)
{
	u64 done = 0;

	for (const struct page *block = first; block != NULL; block = block->link) {
		u64 leaf = page_to_phys(block) | bits, left = 1ull << block->order, n;

		for (; left > 0; left -= n, leaf += n << PAGE_SHIFT) {
			u64 at = va + (done << PAGE_SHIFT), *entry = find_entry(pt, at);

			if (unlikely(entry == NULL))
				entry = pt_entry(pt, at, 0);
			if (unlikely(entry == NULL))
				return undo(pt, va, done, no_entry(pt, at));
			n = in_one_table(at, left);
			debug_assert(n != 0);
			if (unlikely(!fill(entry, n, leaf, &done)))
				return undo(pt, va, done, -EEXIST);
		}
	}
	return 0;
}

/* --- out --- */

/* n entries, which must be the leaves from this one on; flags apart. */
static __always_inline bool clear(u64 *entry, u64 n, u64 leaf)
{
	for (const u64 *end = entry + n; entry < end; entry++, leaf += PAGE_SIZE) {
		if (unlikely((*entry ^ leaf) & (PTE_ADDRESS | PTE_PRESENT)))
			return false;
		*entry = 0;
	}
	return true;
}

u64 pt_take_blocks(struct page_tables *pt, u64 va, u64 nr_pages, struct page **chain)
{
	u64 done = 0, left = 0, leaf = 0, n;

	for (; done < nr_pages; done += n, left -= n, leaf += n << PAGE_SHIFT) {
		u64 at = va + (done << PAGE_SHIFT), *entry = find_entry(pt, at);

		if (unlikely(entry == NULL))
			break;
		if (left == 0) {
			struct page *block;

			leaf = *entry;
			block = pfn_to_page((u32)((leaf & PTE_ADDRESS) >> PAGE_SHIFT));
			if (unlikely(!(leaf & PTE_PRESENT) ||
			             1ull << block->order > nr_pages - done))
				break;
			left = 1ull << block->order;
			block->link = *chain;
			*chain = block;
		}
		n = in_one_table(at, left);
		debug_assert(n != 0);
		if (unlikely(!clear(entry, n, leaf)))
			break;
	}
	return done;
}
