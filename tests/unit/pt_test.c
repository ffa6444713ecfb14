/*
 * Page tables built in memory that no processor uses, and read again by a walker of the tests' own
 * (tests/model/walker.h): leaves of all sizes, splits, failures, empty tables.
 */
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/pt.h>

#include "tests/model/expect.h"
#include "tests/model/walker.h"

#define BASE 0xffff900000000000ull
#define BITS (PTE_PRESENT | PTE_WRITE | PTE_NX)

static struct page_tables pt;
static u64 nr_tables, max_tables;

static u64 new_table(void)
{
	struct page *page = nr_tables < max_tables ? alloc_page(GFP_KERNEL | __GFP_ZERO) : NULL;

	nr_tables += page != NULL;
	return page != NULL ? page_to_phys(page) : 0;
}

/* As empty as it came. */
static void free_table(u64 pa)
{
	static const u8 empty[PAGE_SIZE];

	EXPECT_EQ(memcmp(phys_to_virt(pa), empty, PAGE_SIZE), 0);
	nr_tables--;
	free_page(pfn_to_page((u32)(pa >> PAGE_SHIFT)));
}

static void open(unsigned max_leaf_level)
{
	nr_tables = 0;
	max_tables = 1000;
	pt = (struct page_tables){
	    .max_leaf_level = max_leaf_level, .new_table = new_table, .free_table = free_table};
	pt.root_pa = new_table();
	ASSERT_NE(pt.root_pa, 0);
}

static void close(void)
{
	u64 half = 1ull << 47;

	EXPECT_SOUND(pt_check(&pt));
	EXPECT_EQ(walker_count_tables(pt.root_pa), nr_tables - 1);
	ASSERT_EQ(pt_unmap(&pt, 0ull - half, half, NULL, NULL, NULL), 0);
	ASSERT_EQ(pt_unmap(&pt, 0, half, NULL, NULL, NULL), 0);
	(void)pt_free_tables(&pt, pt_prune(&pt, 0, half, pt_prune(&pt, 0ull - half, half, 0)));
	EXPECT_EQ(nr_tables, 1);
	free_table(pt.root_pa);
}

/* [va, va + length) is mapped to pa on, in pages of 2^bits bytes. */
static void expect_mapped(u64 va, u64 pa, u64 length, unsigned bits)
{
	for (u64 at = 0; at < length; at += 1ull << bits) {
		struct walk_result first = walker_translate(pt.root_pa, va + at);
		u64 last = (1ull << bits) - 1, found;

		ASSERT_TRUE(first.present);
		ASSERT_EQ(first.pa, pa + at);
		ASSERT_EQ(first.bits, bits);
		ASSERT_TRUE(pt_translate(&pt, va + at + last, &found));
		ASSERT_EQ(found, pa + at + last);
	}
}

static void expect_hole(u64 va)
{
	u64 pa;

	EXPECT_FALSE(walker_translate(pt.root_pa, va).present);
	EXPECT_FALSE(pt_translate(&pt, va, &pa));
}

TEST(pt, maps_with_the_largest_leaves_that_fit)
{
	u64 va = BASE + GIB - 2 * MIB - PAGE_SIZE, pa = 7 * GIB - 2 * MIB - PAGE_SIZE;

	open(2);
	ASSERT_EQ(pt_map(&pt, va, pa, 2 * GIB + 4 * MIB + 2 * PAGE_SIZE, BITS), 0);
	expect_mapped(va, pa, PAGE_SIZE, 12);
	expect_mapped(va + PAGE_SIZE, pa + PAGE_SIZE, 2 * MIB, 21);
	expect_mapped(BASE + GIB, 7 * GIB, 2 * GIB, 30);
	expect_mapped(BASE + 3 * GIB, 9 * GIB, 2 * MIB, 21);
	expect_mapped(BASE + 3 * GIB + 2 * MIB, 9 * GIB + 2 * MIB, PAGE_SIZE, 12);
	expect_hole(va - 1);
	expect_hole(BASE + 3 * GIB + 2 * MIB + PAGE_SIZE);
	close();
}

TEST(pt, max_leaf_level_is_obeyed)
{
	for (unsigned level = 0; level < 3; level++) {
		open(level);
		ASSERT_EQ(pt_map(&pt, BASE, GIB, level == 2 ? GIB : 4 * MIB, BITS), 0);
		expect_mapped(BASE, GIB, 4 * MIB > 1ull << (12 + 9 * level) ? 4 * MIB : GIB,
		              12 + 9 * level);
		close();
	}
}

/* Same alignment in both, or small leaves only. */
TEST(pt, unlike_alignment_has_small_leaves)
{
	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, GIB + PAGE_SIZE, 2 * MIB, BITS), 0);
	expect_mapped(BASE, GIB + PAGE_SIZE, 2 * MIB, 12);
	close();
}

TEST(pt, both_halves_and_their_ends)
{
	open(2);
	ASSERT_EQ(pt_map(&pt, 0, PAGE_SIZE, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_map(&pt, (1ull << 47) - PAGE_SIZE, 2 * PAGE_SIZE, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_map(&pt, 0xffff800000000000, 3 * PAGE_SIZE, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_map(&pt, 0ull - PAGE_SIZE, 4 * PAGE_SIZE, PAGE_SIZE, BITS), 0);
	expect_mapped(0, PAGE_SIZE, PAGE_SIZE, 12);
	expect_mapped((1ull << 47) - PAGE_SIZE, 2 * PAGE_SIZE, PAGE_SIZE, 12);
	expect_mapped(0xffff800000000000, 3 * PAGE_SIZE, PAGE_SIZE, 12);
	expect_mapped(0ull - PAGE_SIZE, 4 * PAGE_SIZE, PAGE_SIZE, 12);
	ASSERT_EQ(pt_unmap(&pt, 0ull - PAGE_SIZE, PAGE_SIZE, NULL, NULL, NULL), 0);
	expect_hole(0ull - 1);
	EXPECT_PANIC("assertion failed", (void)pt_prune(&pt, BASE + 1, PAGE_SIZE, 0));
	EXPECT_PANIC("assertion failed", (void)pt_map(&pt, 1ull << 47, 0, PAGE_SIZE, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_map(&pt, 0ull - PAGE_SIZE, 0, 8192, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_map(&pt, BASE + 1, 0, PAGE_SIZE, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_map(&pt, BASE, 0, 0, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_map(&pt, 0, 0, 0, BITS));
	EXPECT_PANIC("assertion failed", /* around all numbers, to where it began */
	             (void)pt_map(&pt, 0ull - PAGE_SIZE, 0, 0ull - PAGE_SIZE, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_map(&pt, BASE, 1, PAGE_SIZE, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_map_pages(&pt, BASE + 1, NULL, 1, BITS));
	EXPECT_PANIC("assertion failed", (void)pt_unmap(&pt, BASE, 1, NULL, NULL, NULL));
	EXPECT_PANIC("assertion failed", (void)pt_protect(&pt, BASE + 1, PAGE_SIZE, BITS));
	close();
}

TEST(pt, refuses_what_is_mapped_and_undoes_the_rest)
{
	open(2);
	ASSERT_EQ(pt_map(&pt, BASE + 5 * PAGE_SIZE, GIB, PAGE_SIZE, BITS), 0);
	EXPECT_EQ(pt_map(&pt, BASE, 2 * GIB, 8 * PAGE_SIZE, BITS), -EEXIST);
	EXPECT_EQ(pt_map(&pt, BASE, 2 * GIB, 2 * MIB, BITS), -EEXIST);
	for (u64 i = 0; i < 8; i++)
		if (i != 5)
			expect_hole(BASE + i * PAGE_SIZE);
	expect_mapped(BASE + 5 * PAGE_SIZE, GIB, PAGE_SIZE, 12);
	ASSERT_EQ(pt_map(&pt, BASE + GIB, GIB, GIB, BITS), 0);
	EXPECT_EQ(pt_map(&pt, BASE + GIB + MIB, GIB, PAGE_SIZE, BITS), -EEXIST); /* inside a leaf */
	close();
}

/* Wherever it stands among others: they are looked at eight at a time. */
TEST(pt, refuses_one_page_that_is_mapped_among_many)
{
	for (u64 i = 0; i < 17; i++) {
		open(2);
		ASSERT_EQ(pt_map(&pt, BASE + i * PAGE_SIZE, GIB, PAGE_SIZE, BITS), 0);
		EXPECT_EQ(pt_map(&pt, BASE, 2 * GIB, 17 * PAGE_SIZE, BITS), -EEXIST);
		expect_mapped(BASE + i * PAGE_SIZE, GIB, PAGE_SIZE, 12);
		for (u64 j = 0; j < 17; j++)
			if (j != i)
				expect_hole(BASE + j * PAGE_SIZE);
		close();
	}
}

/* At address 0, with no bit but that it is there. */
TEST(pt, refuses_the_barest_of_leaves)
{
	open(2);
	ASSERT_EQ(pt_map(&pt, BASE + 3 * PAGE_SIZE, 0, PAGE_SIZE, PTE_PRESENT), 0);
	EXPECT_EQ(pt_map(&pt, BASE, 2 * GIB, 16 * PAGE_SIZE, BITS), -EEXIST);
	expect_mapped(BASE + 3 * PAGE_SIZE, 0, PAGE_SIZE, 12);
	close();
}

/* A page between large leaves: small leaves go where the table is, and no others. */
TEST(pt, tables_that_ran_empty_are_used_again)
{
	open(1);
	ASSERT_EQ(pt_map(&pt, BASE, 3 * GIB, 2 * MIB, BITS), 0);
	ASSERT_EQ(pt_map(&pt, BASE + 4 * MIB, GIB, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE + 4 * MIB, PAGE_SIZE, NULL, NULL, NULL), 0);
	ASSERT_EQ(pt_map(&pt, BASE + 2 * MIB, GIB, 6 * MIB, BITS), 0);
	expect_mapped(BASE, 3 * GIB, 2 * MIB, 21);
	expect_mapped(BASE + 2 * MIB, GIB, 2 * MIB, 21);
	expect_mapped(BASE + 4 * MIB, GIB + 2 * MIB, 2 * MIB, 12);
	expect_mapped(BASE + 6 * MIB, GIB + 4 * MIB, 2 * MIB, 21);
	EXPECT_EQ(*pt_entry(&pt, BASE + 2 * MIB, 1), GIB | BITS | PTE_LARGE);
	EXPECT_EQ(*pt_entry(&pt, BASE + 4 * MIB, 0), (GIB + 2 * MIB) | BITS);
	close();
}

TEST(pt, without_tables_nothing_is_mapped)
{
	for (u64 nr = 1; nr < 6; nr++) {
		open(2);
		max_tables = nr;
		EXPECT_EQ(pt_map(&pt, BASE + 2 * MIB - PAGE_SIZE, 0, 2 * MIB, BITS),
		          nr < 5 ? -ENOMEM : 0);
		if (nr < 5)
			for (u64 i = 0; i <= 512; i++)
				expect_hole(BASE + 2 * MIB - PAGE_SIZE + i * PAGE_SIZE);
		max_tables = 1000;
		close();
	}
}

TEST(pt, maps_scattered_pages)
{
	struct page *page[5];

	open(2);
	for (unsigned i = 0; i < 5; i++)
		page[i] = pfn_to_page(1000 - 7 * i);
	ASSERT_EQ(pt_map_pages(&pt, BASE + 2 * MIB - 2 * PAGE_SIZE, page, 5, BITS), 0);
	for (unsigned i = 0; i < 5; i++)
		expect_mapped(BASE + 2 * MIB + i * PAGE_SIZE - 2 * PAGE_SIZE,
		              (1000 - 7 * i) * PAGE_SIZE, PAGE_SIZE, 12);
	EXPECT_EQ(pt_map_pages(&pt, BASE + 2 * MIB - 3 * PAGE_SIZE, page, 5, BITS), -EEXIST);
	expect_hole(BASE + 2 * MIB - 3 * PAGE_SIZE);
	expect_hole(BASE + 2 * MIB + 3 * PAGE_SIZE);
	max_tables = 0;
	EXPECT_EQ(pt_map_pages(&pt, BASE + 8 * MIB, page, 5, BITS), -ENOMEM);
	max_tables = nr_tables + 1; /* enough for the first two pages */
	EXPECT_EQ(pt_map_pages(&pt, BASE + 8 * MIB - 2 * PAGE_SIZE, page, 5, BITS), -ENOMEM);
	expect_hole(BASE + 8 * MIB - 2 * PAGE_SIZE);
	expect_hole(BASE + 8 * MIB - PAGE_SIZE);
	max_tables = 1000;
	close();
}

/* --- blocks --- */

#define ORDERS 4u
#define BLOCK_PAGES ((1u << ORDERS) - 1)

static struct page *head[ORDERS];

static void alloc_blocks(void)
{
	for (unsigned order = 0; order < ORDERS; order++)
		ASSERT_NOT_NULL(head[order] = alloc_pages(GFP_KERNEL, order));
}

static void free_blocks(void)
{
	for (unsigned order = 0; order < ORDERS; order++)
		free_pages(head[order], order);
}

/* Chains them, the largest first. */
static const struct page *chain(void)
{
	for (unsigned order = 0; order < ORDERS; order++)
		head[order]->link = order > 0 ? head[order - 1] : NULL;
	return head[ORDERS - 1];
}

static void expect_blocks(u64 va, const struct page *first)
{
	for (const struct page *block = first; block != NULL; block = block->link) {
		expect_mapped(va, page_to_phys(block), PAGE_SIZE << block->order, 12);
		va += PAGE_SIZE << block->order;
	}
}

/* Wherever the border between two tables falls. */
TEST(pt, blocks_go_in_and_come_out)
{
	alloc_blocks();
	open(2);
	for (u64 before = 0; before <= BLOCK_PAGES; before++) {
		u64 va = BASE + 2 * MIB - before * PAGE_SIZE;
		struct page *out = NULL;

		ASSERT_EQ(pt_map_blocks(&pt, va, chain(), BITS), 0);
		expect_blocks(va, head[ORDERS - 1]);
		expect_hole(va - PAGE_SIZE);
		expect_hole(va + BLOCK_PAGES * PAGE_SIZE);
		ASSERT_EQ(pt_take_blocks(&pt, va, BLOCK_PAGES, &out), BLOCK_PAGES);
		for (unsigned page = 0; page < BLOCK_PAGES; page++)
			expect_hole(va + page * PAGE_SIZE);
		for (unsigned order = 0; order < ORDERS; order++, out = out->link)
			ASSERT_EQ(out, head[order]); /* the last block comes first */
		EXPECT_NULL(out);
	}
	close();
	free_blocks();
}

TEST(pt, blocks_are_mapped_whole_or_not_at_all)
{
	u64 va = BASE + 2 * MIB - 5 * PAGE_SIZE;

	alloc_blocks();
	open(2);
	ASSERT_EQ(pt_map(&pt, va + 9 * PAGE_SIZE, 0, PAGE_SIZE, BITS), 0);
	EXPECT_EQ(pt_map_blocks(&pt, va, chain(), BITS), -EEXIST);
	EXPECT_TRUE(walker_translate(pt.root_pa, va + 9 * PAGE_SIZE).present);
	for (unsigned page = 0; page < 9; page++)
		expect_hole(va + page * PAGE_SIZE);
	EXPECT_EQ(pt_map_blocks(&pt, va + 8 * PAGE_SIZE, chain(), BITS), -EEXIST);
	expect_hole(va + 8 * PAGE_SIZE);
	ASSERT_EQ(pt_map(&pt, BASE + 4 * MIB, 0, 2 * MIB, BITS), 0);
	EXPECT_EQ(pt_map_blocks(&pt, BASE + 4 * MIB - 5 * PAGE_SIZE, chain(), BITS), -EEXIST);
	expect_hole(BASE + 4 * MIB - 5 * PAGE_SIZE);
	max_tables = nr_tables;
	EXPECT_EQ(pt_map_blocks(&pt, BASE + 8 * MIB, chain(), BITS), -ENOMEM);
	max_tables = 1000;
	close();
	free_blocks();
}

/* What is not as pt_map_blocks() left it ends the way out. */
TEST(pt, blocks_that_were_meddled_with_are_not_believed)
{
	struct page *out = NULL;

	alloc_blocks();
	open(2);
	for (u64 va = BASE; va < BASE + 4 * MIB; va += MIB)
		ASSERT_EQ(pt_map_blocks(&pt, va, chain(), BITS), 0);
	EXPECT_EQ(pt_take_blocks(&pt, BASE, 10, &out), 8); /* the second reaches over the end */
	*pt_entry(&pt, BASE + MIB + 8 * PAGE_SIZE, 0) = 0;
	EXPECT_EQ(pt_take_blocks(&pt, BASE + MIB, BLOCK_PAGES, &out), 8);
	*pt_entry(&pt, BASE + 2 * MIB + 3 * PAGE_SIZE, 0) += PAGE_SIZE;
	EXPECT_EQ(pt_take_blocks(&pt, BASE + 2 * MIB, BLOCK_PAGES, &out), 0);
	*pt_entry(&pt, BASE + 3 * MIB + 11 * PAGE_SIZE, 0) &= ~PTE_PRESENT;
	EXPECT_EQ(pt_take_blocks(&pt, BASE + 3 * MIB, BLOCK_PAGES, &out), 8);
	*pt_entry(&pt, BASE + 3 * MIB + 11 * PAGE_SIZE, 0) = 0;
	EXPECT_EQ(pt_take_blocks(&pt, BASE + GIB, 1, &out), 0); /* no table */
	close();
	free_blocks();
}

static u64 nr_gone[4];

static void count_gone(void *context, u64 va, unsigned level, u64 entry)
{
	u64 *expected = context;

	nr_gone[level]++;
	EXPECT_EQ(entry & PTE_ADDRESS, va - BASE + *expected);
}

TEST(pt, unmaps_leaves_and_tells_each)
{
	u64 pa = 4 * GIB, mapped = 0;

	open(2);
	memset(nr_gone, 0, sizeof(nr_gone));
	ASSERT_EQ(pt_map(&pt, BASE, pa, GIB + 4 * MIB + 3 * PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE, 2 * GIB, count_gone, &pa, &mapped), 0);
	EXPECT_EQ(mapped, GIB + 4 * MIB + 3 * PAGE_SIZE);
	EXPECT_EQ(nr_gone[0], 3);
	EXPECT_EQ(nr_gone[1], 2);
	EXPECT_EQ(nr_gone[2], 1);
	ASSERT_EQ(pt_unmap(&pt, BASE, 2 * GIB, NULL, NULL, &mapped), 0); /* again: nothing */
	EXPECT_EQ(mapped, 0);
	close();
}

static void expect_below(void *limit, u64 va, unsigned level, u64 entry)
{
	(void)entry;
	EXPECT_LT(va, *(u64 *)limit);
	EXPECT_EQ(level, 0);
}

TEST(pt, unmaps_no_more_than_it_is_told)
{
	u64 end = BASE + 2 * MIB - 4 * PAGE_SIZE, mapped;

	open(0);
	ASSERT_EQ(pt_map(&pt, BASE, GIB, 8 * MIB, BITS), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE + MIB, MIB - 4 * PAGE_SIZE, expect_below, &end, &mapped), 0);
	EXPECT_EQ(mapped, MIB - 4 * PAGE_SIZE);
	expect_mapped(BASE, GIB, MIB, 12);
	expect_hole(end - PAGE_SIZE);
	expect_mapped(end, GIB + (end - BASE), 4 * PAGE_SIZE, 12);
	close();
}

/* --- looking --- */

struct leaves {
	u64 va[8], entry[8];
	unsigned level[8], nr;
};

static void note_leaf(void *leaves, u64 va, unsigned level, u64 entry)
{
	struct leaves *l = leaves;

	if (l->nr < ARRAY_SIZE(l->va)) {
		l->va[l->nr] = va;
		l->level[l->nr] = level;
		l->entry[l->nr] = entry;
	}
	l->nr++;
}

TEST(pt, walks_leaves_in_the_order_of_addresses)
{
	static const struct {
		u64 va, length;
		unsigned level;
	} part[] = {
	    {0, PAGE_SIZE, 0},
	    {3 * GIB, GIB, 2},
	    {(1ull << 47) - PAGE_SIZE, PAGE_SIZE, 0},
	    {0xffff800000000000, PAGE_SIZE, 0},
	    {BASE + 511 * PAGE_SIZE, PAGE_SIZE, 0},
	    {BASE + 6 * MIB, 2 * MIB, 1},
	    {0ull - PAGE_SIZE, PAGE_SIZE, 0},
	};
	struct leaves l = {.nr = 0};

	open(2);
	for (u64 i = 0; i < ARRAY_SIZE(part); i++)
		ASSERT_EQ(pt_map(&pt, part[i].va, i * GIB, part[i].length, BITS), 0);
	pt_walk(&pt, note_leaf, &l);
	ASSERT_EQ(l.nr, ARRAY_SIZE(part));
	for (u64 i = 0; i < ARRAY_SIZE(part); i++) {
		EXPECT_EQ(l.va[i], part[i].va);
		EXPECT_EQ(l.level[i], part[i].level);
		EXPECT_EQ(l.entry[i], i * GIB | BITS | (part[i].level ? PTE_LARGE : 0));
	}
	close();
}

struct tables_seen {
	u64 nr, at_level[PAGETABLE_ROOT_LEVEL + 1];
};

static void note_table(void *context, u64 pa, unsigned level)
{
	struct tables_seen *t = context;

	EXPECT_TRUE(level == PAGETABLE_ROOT_LEVEL || pa != pt.root_pa);
	t->nr++;
	t->at_level[level]++;
}

/* A large leaf needs no table below it. */
TEST(pt, walks_tables)
{
	struct tables_seen t = {0};

	open(1);
	ASSERT_EQ(pt_map(&pt, BASE, 0, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_map(&pt, BASE + 2 * GIB, 0, 2 * MIB, BITS), 0);
	pt_walk_tables(&pt, note_table, &t);
	EXPECT_EQ(t.nr, 5);
	EXPECT_EQ(t.at_level[3], 1);
	EXPECT_EQ(t.at_level[2], 1);
	EXPECT_EQ(t.at_level[1], 2);
	EXPECT_EQ(t.at_level[0], 1);
	close();
}

TEST(pt, finds_what_is_mapped_and_nothing_between_the_halves)
{
	unsigned level = 9;
	u64 entry = 0, pa;

	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, 4 * GIB, GIB, BITS), 0);
	ASSERT_EQ(pt_map(&pt, 0, GIB, GIB, BITS), 0);
	EXPECT_TRUE(pt_find(&pt, BASE + 5 * MIB + 7, &entry, &level));
	EXPECT_EQ(entry, 4 * GIB | BITS | PTE_LARGE);
	EXPECT_EQ(level, 2);
	EXPECT_FALSE(pt_find(&pt, BASE + GIB, &entry, &level));
	EXPECT_EQ(entry, 0);
	EXPECT_FALSE(pt_find(&pt, 1ull << 48, &entry, &level));
	EXPECT_FALSE(pt_translate(&pt, 1ull << 48, &pa));
	EXPECT_TRUE(pt_translate(&pt, BASE + 5 * MIB + 7, &pa));
	EXPECT_EQ(pa, 4 * GIB + 5 * MIB + 7);
	close();
}

/* --- split --- */

/* Bit 7 says that a leaf is large, and at the bottom something else. */
TEST(pt, small_leaves_of_a_split_are_not_marked_large)
{
	open(1);
	ASSERT_EQ(pt_map(&pt, BASE, GIB, 2 * MIB, BITS), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE, PAGE_SIZE, NULL, NULL, NULL), 0);
	EXPECT_EQ(*pt_entry(&pt, BASE + PAGE_SIZE, 0), (GIB + PAGE_SIZE) | BITS);
	ASSERT_EQ(pt_protect(&pt, BASE + PAGE_SIZE, PAGE_SIZE, PTE_PRESENT), 0);
	EXPECT_EQ(*pt_entry(&pt, BASE + PAGE_SIZE, 0), (GIB + PAGE_SIZE) | PTE_PRESENT);
	close();
}

TEST(pt, unmapping_twice_finds_nothing)
{
	u64 mapped = 1;

	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, 0, 3 * MIB, BITS), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE, 3 * MIB, NULL, NULL, &mapped), 0);
	EXPECT_EQ(mapped, 3 * MIB);
	ASSERT_EQ(pt_unmap(&pt, BASE, 3 * MIB, NULL, NULL, &mapped), 0);
	EXPECT_EQ(mapped, 0);
	EXPECT_EQ(pt_clear(&pt, BASE, 3 * MIB, NULL, NULL), 0);
	EXPECT_EQ(pt_protect(&pt, BASE, PAGE_SIZE, BITS), -ENOENT);
	close();
}

TEST(pt, splits_what_is_unmapped_in_part)
{
	u64 mapped;

	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, 4 * GIB, GIB, BITS), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE + 4 * MIB + PAGE_SIZE, 2 * MIB, NULL, NULL, &mapped), 0);
	EXPECT_EQ(mapped, 2 * MIB);
	expect_mapped(BASE, 4 * GIB, 4 * MIB, 21);
	expect_mapped(BASE + 4 * MIB, 4 * GIB + 4 * MIB, PAGE_SIZE, 12);
	expect_hole(BASE + 4 * MIB + PAGE_SIZE);
	expect_hole(BASE + 6 * MIB);
	expect_mapped(BASE + 6 * MIB + PAGE_SIZE, 4 * GIB + 6 * MIB + PAGE_SIZE,
	              2 * MIB - PAGE_SIZE, 12);
	expect_mapped(BASE + 8 * MIB, 4 * GIB + 8 * MIB, GIB - 8 * MIB, 21);
	close();
}

TEST(pt, without_memory_for_a_split_nothing_changes)
{
	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, 4 * GIB, GIB, BITS), 0);
	max_tables = nr_tables;
	EXPECT_EQ(pt_unmap(&pt, BASE + PAGE_SIZE, PAGE_SIZE, NULL, NULL, NULL), -ENOMEM);
	EXPECT_EQ(pt_protect(&pt, BASE + PAGE_SIZE, PAGE_SIZE, PTE_PRESENT | PTE_NX), -ENOMEM);
	EXPECT_EQ(pt_unmap(&pt, BASE + 2 * MIB, GIB - 2 * MIB, NULL, NULL, NULL), -ENOMEM);
	EXPECT_EQ(pt_unmap(&pt, BASE, 2 * MIB, NULL, NULL, NULL), -ENOMEM);
	expect_mapped(BASE, 4 * GIB, GIB, 30);
	max_tables = 1000;
	close();
}

TEST(pt, protects_exactly_the_range)
{
	struct walk_result r;

	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, 4 * GIB, 4 * MIB, BITS | PTE_GLOBAL | PTE_PWT), 0);
	ASSERT_EQ(pt_protect(&pt, BASE + PAGE_SIZE, 2 * MIB, PTE_PRESENT), 0);
	expect_mapped(BASE, 4 * GIB, 4 * MIB, 12); /* both were split */
	r = walker_translate(pt.root_pa, BASE);
	EXPECT_TRUE(r.write && !r.execute && r.global && r.pat == 1);
	r = walker_translate(pt.root_pa, BASE + PAGE_SIZE);
	EXPECT_TRUE(!r.write && r.execute && !r.global && r.pat == 0 && !r.user);
	r = walker_translate(pt.root_pa, BASE + 2 * MIB);
	EXPECT_TRUE(!r.write && r.execute);
	r = walker_translate(pt.root_pa, BASE + 2 * MIB + PAGE_SIZE);
	EXPECT_TRUE(r.write && !r.execute);
	EXPECT_EQ(pt_protect(&pt, BASE + 2 * MIB, 4 * MIB, BITS), -ENOENT);
	r = walker_translate(pt.root_pa, BASE + 2 * MIB);
	EXPECT_FALSE(r.write); /* nothing was changed */
	close();
}

TEST(pt, prunes_tables_without_entries_and_no_others)
{
	u64 chain;

	open(2);
	ASSERT_EQ(pt_map(&pt, BASE, GIB, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_map(&pt, BASE + 2 * MIB, GIB, PAGE_SIZE, BITS), 0);
	EXPECT_EQ(nr_tables, 5); /* root, two, and two at the bottom */
	EXPECT_EQ(pt_prune(&pt, BASE, 4 * MIB, 0), 0);
	ASSERT_EQ(pt_unmap(&pt, BASE, PAGE_SIZE, NULL, NULL, NULL), 0);
	EXPECT_EQ(pt_prune(&pt, BASE + 2 * MIB, 2 * MIB, 0), 0); /* not on the way there */
	chain = pt_prune(&pt, BASE, PAGE_SIZE, 0);
	EXPECT_NE(chain, 0);
	EXPECT_EQ(*(u64 *)phys_to_virt(chain) & PTE_PRESENT, 0);
	EXPECT_EQ(nr_tables, 5); /* until nobody can remember them */
	EXPECT_EQ(pt_free_tables(&pt, chain), 1);
	EXPECT_EQ(nr_tables, 4);
	expect_mapped(BASE + 2 * MIB, GIB, PAGE_SIZE, 12);
	ASSERT_EQ(pt_unmap(&pt, BASE + 2 * MIB, PAGE_SIZE, NULL, NULL, NULL), 0);
	EXPECT_EQ(pt_free_tables(&pt, pt_prune(&pt, BASE, GIB, 0)), 3);
	EXPECT_EQ(nr_tables, 1);
	close();
}

/* From the middle of one table to the middle of the next, and to no third. */
TEST(pt, prunes_both_tables_of_a_range_across_them)
{
	open(2);
	for (u64 i = 0; i < 3; i++)
		ASSERT_EQ(pt_map(&pt, BASE + i * 2 * MIB, GIB, PAGE_SIZE, BITS), 0);
	for (u64 i = 0; i < 3; i++)
		ASSERT_EQ(pt_unmap(&pt, BASE + i * 2 * MIB, PAGE_SIZE, NULL, NULL, NULL), 0);
	EXPECT_EQ(nr_tables, 6);
	EXPECT_EQ(pt_free_tables(&pt, pt_prune(&pt, BASE + MIB, 2 * MIB, 0)), 2);
	EXPECT_EQ(nr_tables, 4);
	EXPECT_EQ(pt_free_tables(&pt, pt_prune(&pt, BASE + 5 * MIB, PAGE_SIZE, 0)), 3);
	close();
}

TEST(pt, check_names_each_broken_invariant)
{
	u64 *leaf, *large, *above;

	open(1);
	ASSERT_EQ(pt_map(&pt, BASE, GIB, PAGE_SIZE, BITS), 0);
	ASSERT_EQ(pt_map(&pt, BASE + 2 * MIB, GIB, 2 * MIB, BITS), 0);
	leaf = pt_entry(&pt, BASE, 0);
	above = pt_entry(&pt, BASE, 1);
	large = pt_entry(&pt, BASE + 2 * MIB, 1);
	EXPECT_NULL(pt_entry(&pt, BASE + 2 * MIB, 0));
	EXPECT_SOUND(pt_check(&pt));
	*above |= PTE_NX;
	EXPECT_BROKEN(pt_check(&pt), "T1:");
	*above ^= PTE_NX | PTE_WRITE;
	EXPECT_BROKEN(pt_check(&pt), "T1:");
	*above ^= PTE_WRITE;
	*leaf ^= PTE_PRESENT;
	EXPECT_BROKEN(pt_check(&pt), "T1:");
	*leaf ^= PTE_PRESENT;
	*large ^= PAGE_SIZE;
	EXPECT_BROKEN(pt_check(&pt), "T2:");
	*large ^= PAGE_SIZE;
	pt.max_leaf_level = 0;
	EXPECT_BROKEN(pt_check(&pt), "T2:");
	pt.max_leaf_level = 1;
	*leaf ^= PTE_NX;
	EXPECT_BROKEN(pt_check(&pt), "T3:");
	*leaf ^= PTE_NX;
	close();
}

/* --- against a list of what should be mapped --- */

enum { SLOTS = 1024 };

/* Slot i is the page BASE + i pages around two borders of 2 MiB; 0: hole, else its page's number.
 */
static u64 slot_pa[SLOTS];
static bool slot_write[SLOTS];

static void expect_slots(void)
{
	for (u64 i = 0; i < SLOTS; i++) {
		struct walk_result r = walker_translate(pt.root_pa, BASE + i * PAGE_SIZE);

		ASSERT_EQ(r.present, slot_pa[i] != 0);
		if (r.present) {
			ASSERT_EQ(r.pa, slot_pa[i]);
			ASSERT_EQ(r.write, slot_write[i]);
		}
	}
}

static void random_step(void)
{
	u64 start = rng_below(test_rng(), SLOTS), n = 1 + rng_below(test_rng(), SLOTS - start);
	u64 va = BASE + start * PAGE_SIZE, pa, nr = 0, mapped;
	bool write = rng_below(test_rng(), 2);
	int error;

	if (rng_below(test_rng(), 2)) { /* to where large leaves fit */
		start &= 512;
		va = BASE + start * PAGE_SIZE;
		n = 512;
	}
	for (u64 i = start; i < start + n; i++)
		nr += slot_pa[i] != 0;
	pa = (1 + rng_below(test_rng(), 8)) * 4 * MIB + (rng_below(test_rng(), 2) ? PAGE_SIZE : 0);
	switch (rng_below(test_rng(), 3)) {
	case 0:
		error = pt_map(&pt, va, pa, n * PAGE_SIZE, BITS ^ (write ? 0 : PTE_WRITE));
		ASSERT_EQ(error, nr == 0 ? 0 : -EEXIST);
		for (u64 i = 0; i < n && error == 0; i++) {
			slot_pa[start + i] = pa + i * PAGE_SIZE;
			slot_write[start + i] = write;
		}
		break;
	case 1:
		ASSERT_EQ(pt_unmap(&pt, va, n * PAGE_SIZE, NULL, NULL, &mapped), 0);
		ASSERT_EQ(mapped, nr * PAGE_SIZE);
		memset(slot_pa + start, 0, n * sizeof(slot_pa[0]));
		break;
	default:
		error = pt_protect(&pt, va, n * PAGE_SIZE, BITS ^ (write ? 0 : PTE_WRITE));
		ASSERT_EQ(error, nr == n ? 0 : -ENOENT);
		for (u64 i = start; i < start + n && error == 0; i++)
			slot_write[i] = write;
	}
}

TEST(pt_model, random_operations_against_a_list)
{
	open(2);
	memset(slot_pa, 0, sizeof(slot_pa));
	for (unsigned step = 0; step < 2000; step++) {
		random_step();
		if (step % 10 == 0) {
			expect_slots();
			ASSERT_SOUND(pt_check(&pt));
			(void)pt_free_tables(&pt, pt_prune(&pt, BASE, 4 * MIB, 0));
		}
	}
	close();
}
