/*
 * Page tables against a list of what is mapped where, and a walker of the tests' own.
 *
 * The model is a list of extents: addresses, the frames they lead to, the bits of their leaves.
 * Leaf sizes are not in it, since splits must change nothing else. Every so often the leaves must
 * add up to the extents, the walker (tests/model/walker.h, which shares nothing with mm/pt.c) must
 * see each extent's ends, middle and neighbours as they are, and no table may be lost.
 *
 * An operation fails exactly when it must: -EEXIST where some of it is mapped, -ENOENT where some
 * is not, -ENOMEM when a table was refused; and then what is mapped is as before.
 *
 * Input: the largest leaf and how many tables there are, then operations of 3 to 9 bytes.
 */
#include <mm/mm.h>
#include <mm/pt.h>
#include <tests/fuzz/fuzz.h>
#include <tests/host/machine.h>
#include <tests/model/walker.h>

#define MAX_EXTENTS 200u
#define MAX_GROUPS 16u
#define MAX_OPS 200u
#define OPS_A_CHECK 8u
#define FRAMES (1ull << 34) /* where what is mapped may lie: nobody reads it */

struct extent {
	u64 va, last, pa, bits;
};

/* Blocks that pt_map_blocks() put side by side. */
struct group {
	u64 va, nr_pages;
	struct page *first;
};

static struct extent extent[MAX_EXTENTS]; /* ascending */
static struct group group[MAX_GROUPS];
static u32 nr_extents, nr_groups;
static struct page_tables pt;
static u64 nr_tables, max_tables;
static bool refused; /* a table, since the operation began */

/* --- tables --- */

static u64 new_table(void)
{
	struct page *page = NULL;

	if (nr_tables < max_tables)
		page = alloc_page(GFP_KERNEL | __GFP_ZERO);
	refused |= page == NULL;
	nr_tables += page != NULL;
	return page != NULL ? page_to_phys(page) : 0;
}

static void free_table(u64 pa)
{
	MUST(!mem_find_other(phys_to_virt(pa), 0, PAGE_SIZE));
	nr_tables--;
	free_page(pfn_to_page((u32)(pa >> PAGE_SHIFT)));
}

/* --- the model --- */

/* The first extent that ends at va or above. */
static u32 find(u64 va)
{
	u32 i = 0;

	while (i < nr_extents && extent[i].last < va)
		i++;
	return i;
}

static void insert(u32 at, struct extent e)
{
	MUST(nr_extents < MAX_EXTENTS);
	memmove(&extent[at + 1], &extent[at], (nr_extents - at) * sizeof(e));
	extent[at] = e;
	nr_extents++;
}

static void cut(u64 va)
{
	u32 i = find(va);
	struct extent tail;

	if (i == nr_extents || extent[i].va >= va)
		return;
	tail = extent[i];
	tail.pa += va - tail.va;
	tail.va = va;
	extent[i].last = va - 1;
	insert(i + 1, tail);
}

/* The extents of [va, last], none of which reaches over an end: [*from, *to). */
static void select_range(u64 va, u64 last, u32 *from, u32 *to)
{
	cut(va);
	if (last + 1 != 0)
		cut(last + 1);
	for (*from = *to = find(va); *to < nr_extents && extent[*to].va <= last; ++*to)
		;
}

static bool follows(const struct extent *next, const struct extent *e)
{
	return e->last + 1 == next->va && next->pa - e->pa == next->va - e->va &&
	       next->bits == e->bits;
}

/* Neighbours that say the same become one: so a leaf never lies in two. */
static void merge(void)
{
	u32 n = 0;

	for (u32 i = 0; i < nr_extents; i++)
		if (n > 0 && follows(&extent[i], &extent[n - 1]))
			extent[n - 1].last = extent[i].last;
		else
			extent[n++] = extent[i];
	nr_extents = n;
}

static u64 bytes_of(u32 from, u32 to)
{
	u64 sum = 0;

	for (u32 i = from; i < to; i++)
		sum += extent[i].last - extent[i].va + 1;
	return sum;
}

/* The extent that maps va, or NULL. */
static const struct extent *mapping(u64 va)
{
	u32 i = find(va);

	return i < nr_extents && extent[i].va <= va ? &extent[i] : NULL;
}

static bool is_free(u64 va, u64 last)
{
	u32 i = find(va);

	return i == nr_extents || extent[i].va > last;
}

/* --- the oracle --- */

static void expect_address(u64 va)
{
	struct walk_result seen = walker_translate(pt.root_pa, va);
	const struct extent *e = mapping(va);
	u64 pa, entry;
	unsigned level;

	MUST_EQ(seen.present, e != NULL);
	MUST_EQ(pt_translate(&pt, va, &pa), e != NULL);
	if (e == NULL)
		return;
	MUST_EQ(seen.pa, e->pa + (va - e->va));
	MUST_EQ(pa, seen.pa);
	MUST_EQ(seen.write, (e->bits & PTE_WRITE) != 0);
	MUST_EQ(seen.execute, (e->bits & PTE_NX) == 0);
	MUST_EQ(seen.global, (e->bits & PTE_GLOBAL) != 0);
	MUST_EQ(seen.pat, e->bits >> 3 & 3);
	MUST(!seen.user);
	MUST(pt_find(&pt, va, &entry, &level) && seen.bits == 12 + 9 * level);
}

static void expect_extent(const struct extent *e)
{
	expect_address(e->va);
	expect_address(e->last);
	expect_address(e->va + (e->last - e->va) / 2);
	if (e->va != 0 && e->va != 0xffff800000000000)
		expect_address(e->va - 1);
	if (e->last != ~0ull && e->last != 0x7fffffffffff)
		expect_address(e->last + 1);
}

struct sum {
	u64 bytes, next;
};

/* A leaf's pages are one extent's. */
static void expect_leaf(void *context, u64 va, unsigned level, u64 entry)
{
	const struct extent *e = mapping(va);
	u64 span = pagetable_span(level);
	struct sum *sum = context;

	MUST(e != NULL && e->last - va >= span - 1 && va >= sum->next &&
	     level <= pt.max_leaf_level);
	MUST_EQ(entry, (e->pa + (va - e->va)) | e->bits | (level > 0 ? PTE_LARGE : 0));
	sum->bytes += span;
	sum->next = va + span;
}

static void check(void)
{
	struct sum sum = {0, 0};

	MUST_BE_SOUND(pt_check(&pt));
	MUST_EQ(walker_count_tables(pt.root_pa), nr_tables - 1);
	pt_walk(&pt, expect_leaf, &sum);
	MUST_EQ(sum.bytes, bytes_of(0, nr_extents));
	for (u32 i = 0; i < nr_extents; i++)
		expect_extent(&extent[i]);
}

/* --- operations --- */

struct range {
	u64 va, last;
};

static u64 length_of(struct range r)
{
	return r.last - r.va + 1;
}

/* A few leaves of some level, and a little on either side; at places where tables and halves begin
 * and end. */
static struct range take_range(struct input *in)
{
	static const u64 base[] = {0, (1ull << 47) - 2 * GIB, 0xffff800000000000, 0ull - 2 * GIB};
	u32 place = input_below(in, 256), size = input_below(in, 256);
	u64 start = base[place & 3], offset, length;

	offset = (place >> 2 & 3) * pagetable_span(2 - (place >> 2 & 1)) +
	         (place >> 4 & 3) * pagetable_span(1) + (u64)(place >> 6) * 511 * PAGE_SIZE;
	length = (size & 1) * pagetable_span(2) + (size >> 1 & 3) * pagetable_span(1) +
	         (u64)(size >> 3) * (size & 128 ? 127 : 1) * PAGE_SIZE;
	offset %= 2 * GIB;
	length = min_u64(max_u64(length, PAGE_SIZE), 2 * GIB - offset);
	return (struct range){start + offset, start + offset + length - 1};
}

static u64 take_bits(struct input *in)
{
	static const u64 bits[] = {PTE_PRESENT,
	                           PTE_PRESENT | PTE_NX,
	                           PTE_PRESENT | PTE_WRITE | PTE_NX,
	                           PTE_PRESENT | PTE_WRITE | PTE_NX | PTE_PWT | PTE_PCD,
	                           PTE_PRESENT | PTE_WRITE | PTE_NX | PTE_PWT,
	                           PTE_PRESENT | PTE_GLOBAL};

	return bits[input_below(in, ARRAY_SIZE(bits))];
}

/* What an operation that adds leaves must answer. */
static bool added(int error, struct range r)
{
	if (refused)
		MUST_EQ(error, -ENOMEM);
	else
		MUST_EQ(error, is_free(r.va, r.last) ? 0 : -EEXIST);
	return error == 0;
}

static void op_map(struct input *in)
{
	struct range r = take_range(in);
	u64 bits = take_bits(in), how = input_below(in, 4), pa;

	pa = how == 0 ? input_below(in, 1u << 16) << PAGE_SHIFT : r.va % FRAMES;
	pa += how == 1 ? GIB : 0;
	if (added(pt_map(&pt, r.va, pa, length_of(r), bits), r))
		insert(find(r.va), (struct extent){r.va, r.last, pa, bits});
}

static void op_map_pages(struct input *in)
{
	struct range r = take_range(in);
	u64 n = 1 + input_below(in, 8), bits = take_bits(in);
	struct page *pages[8];

	n = min_u64(n, length_of(r) >> PAGE_SHIFT);
	r.last = r.va + (n << PAGE_SHIFT) - 1;
	for (u64 i = 0; i < n; i++)
		pages[i] = pfn_to_page(input_below(in, 1u << 16));
	if (!added(pt_map_pages(&pt, r.va, pages, n, bits), r))
		return;
	for (u64 i = 0; i < n; i++) {
		u64 va = r.va + (i << PAGE_SHIFT);

		insert(find(va),
		       (struct extent){va, va + PAGE_SIZE - 1, page_to_phys(pages[i]), bits});
	}
}

static void gone(void *sum, u64 va, unsigned level, u64 entry)
{
	expect_leaf(sum, va, level, entry);
}

static void op_unmap(struct input *in)
{
	struct range r = take_range(in);
	struct sum sum = {0, 0};
	u64 mapped = 0;
	int error = pt_unmap(&pt, r.va, length_of(r), gone, &sum, &mapped);
	u32 from, to;

	MUST_EQ(error, refused ? -ENOMEM : 0);
	if (error != 0)
		return;
	select_range(r.va, r.last, &from, &to);
	MUST_EQ(mapped, bytes_of(from, to));
	MUST_EQ(sum.bytes, mapped);
	memmove(&extent[from], &extent[to], (nr_extents - to) * sizeof(extent[0]));
	nr_extents -= to - from;
}

static void op_protect(struct input *in)
{
	struct range r = take_range(in);
	u64 bits = take_bits(in);
	int error = pt_protect(&pt, r.va, length_of(r), bits);
	u32 from, to;

	select_range(r.va, r.last, &from, &to);
	if (bytes_of(from, to) != length_of(r)) {
		MUST_EQ(error, -ENOENT);
		return;
	}
	MUST_EQ(error, refused ? -ENOMEM : 0);
	for (u32 i = from; i < to && error == 0; i++)
		extent[i].bits = bits;
}

static u64 nr_entries(u64 table_pa)
{
	const u64 *entry = phys_to_virt(table_pa);
	u64 nr = 0;

	for (u32 i = 0; i < PAGETABLE_ENTRIES; i++)
		nr += entry[i] != 0;
	return nr;
}

/* No table on the way to va is empty. */
static void expect_used(u64 va)
{
	u64 table = pt.root_pa;

	for (unsigned level = PAGETABLE_ROOT_LEVEL; level > 0; level--) {
		u64 entry = ((const u64 *)phys_to_virt(table))[pagetable_index(va, level)];

		if (!(entry & PTE_PRESENT) || (entry & PTE_LARGE))
			return;
		table = entry & PTE_ADDRESS;
		MUST(nr_entries(table) != 0);
	}
}

static void op_prune(struct input *in)
{
	struct range r = take_range(in);
	u64 before = nr_tables, chain = pt_prune(&pt, r.va, length_of(r), 0);

	MUST_EQ(pt_free_tables(&pt, chain), before - nr_tables);
	expect_used(r.va);
	expect_used(r.last);
}

/* --- blocks --- */

static void free_blocks(struct page *first)
{
	for (struct page *next; first != NULL; first = next) {
		next = first->link;
		free_pages(first, first->order);
	}
}

/* Blocks of those orders, chained; how many pages. */
static u64 take_blocks(struct input *in, struct page **first)
{
	u32 n = 1 + input_below(in, 5);
	u64 nr_pages = 0;

	*first = NULL;
	for (u32 i = 0; i < n; i++) {
		unsigned order = input_below(in, 7);
		struct page *page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, order);

		if (page == NULL)
			break;
		page->link = *first;
		*first = page;
		nr_pages += 1ull << order;
	}
	return nr_pages;
}

static void add_group(struct range r, struct page *first, u64 bits)
{
	u64 va = r.va;

	group[nr_groups++] = (struct group){r.va, length_of(r) >> PAGE_SHIFT, first};
	for (const struct page *block = first; block != NULL; block = block->link) {
		u64 bytes = PAGE_SIZE << block->order;

		insert(find(va), (struct extent){va, va + bytes - 1, page_to_phys(block), bits});
		va += bytes;
	}
}

static void op_map_blocks(struct input *in)
{
	struct range r = take_range(in);
	u64 bits = take_bits(in), nr_pages, half_end = r.va | ((1ull << 47) - 1);
	struct page *first;

	if (nr_groups == MAX_GROUPS)
		return;
	nr_pages = take_blocks(in, &first);
	r.last = r.va + (nr_pages << PAGE_SHIFT) - 1;
	if (nr_pages != 0 && half_end - r.va >= (nr_pages << PAGE_SHIFT) - 1 &&
	    added(pt_map_blocks(&pt, r.va, first, bits), r))
		add_group(r, first, bits);
	else
		free_blocks(first);
}

/* Whether all is still as pt_map_blocks() left it, in small leaves; its bits apart. */
static bool is_whole(const struct group *g)
{
	u64 va = g->va, entry;
	unsigned level;

	for (const struct page *block = g->first; block != NULL; block = block->link)
		for (u64 i = 0; i < 1ull << block->order; i++, va += PAGE_SIZE)
			if (!pt_find(&pt, va, &entry, &level) || level != 0 ||
			    (entry & PTE_ADDRESS) != page_to_phys(block) + (i << PAGE_SHIFT))
				return false;
	return true;
}

/* The same blocks come out, the last of them first; the links are theirs again. */
static struct page *expect_reversed(const struct page *expected[], u32 n, struct page *chain)
{
	struct page *at = chain;

	for (; n-- > 0; at = at->link)
		MUST(at == expected[n]);
	MUST(at == NULL);
	return chain;
}

static void take_out(struct group *g)
{
	const struct page *expected[8];
	struct page *chain = NULL;
	u32 n = 0, from, to;

	for (const struct page *block = g->first; block != NULL; block = block->link)
		expected[n++] = block;
	MUST_EQ(pt_take_blocks(&pt, g->va, g->nr_pages, &chain), g->nr_pages);
	g->first = expect_reversed(expected, n, chain);
	select_range(g->va, g->va + (g->nr_pages << PAGE_SHIFT) - 1, &from, &to);
	memmove(&extent[from], &extent[to], (nr_extents - to) * sizeof(extent[0]));
	nr_extents -= to - from;
}

/* What was meddled with is not taken out, here: its blocks stay mapped, and go back. */
static void op_take_blocks(struct input *in)
{
	struct group *g;

	if (nr_groups == 0)
		return;
	g = &group[input_below(in, nr_groups)];
	if (is_whole(g))
		take_out(g);
	free_blocks(g->first);
	*g = group[--nr_groups];
}

/* --- the whole --- */

static void step(struct input *in)
{
	static void (*const ops[])(struct input *) = {
	    op_map,   op_map,     op_map,     op_map_pages, op_unmap,      op_unmap,
	    op_unmap, op_protect, op_protect, op_prune,     op_map_blocks, op_take_blocks};

	refused = false;
	ops[input_below(in, ARRAY_SIZE(ops))](in);
	merge();
}

static void open(struct input *in)
{
	static const u64 limits[] = {5, 12, 40, 120};
	u32 how = input_below(in, 256);

	nr_tables = nr_extents = nr_groups = 0;
	max_tables = limits[how >> 2 & 3];
	pt = (struct page_tables){
	    .max_leaf_level = how % 3, .new_table = new_table, .free_table = free_table};
	pt.root_pa = new_table();
	MUST(pt.root_pa != 0);
}

/* All goes, and no table stays. */
static void close(void)
{
	u64 half = 1ull << 47, mapped[2];

	MUST_EQ(pt_unmap(&pt, 0, half, NULL, NULL, &mapped[0]), 0);
	MUST_EQ(pt_unmap(&pt, 0ull - half, half, NULL, NULL, &mapped[1]), 0);
	MUST_EQ(mapped[0] + mapped[1], bytes_of(0, nr_extents));
	(void)pt_free_tables(&pt, pt_prune(&pt, 0, half, pt_prune(&pt, 0ull - half, half, 0)));
	MUST_EQ(nr_tables, 1);
	free_table(pt.root_pa);
	while (nr_groups > 0)
		free_blocks(group[--nr_groups].first);
}

void fuzz_one(struct input *in)
{
	static bool booted;

	/* Once: no address of the tables decides anything, and they all go back. */
	if (!booted)
		host_machine_boot_pc(32 * MIB);
	booted = true;
	open(in);
	for (u32 i = 1; input_left(in) && i <= MAX_OPS && nr_extents + 12 < MAX_EXTENTS; i++) {
		step(in);
		if (i % OPS_A_CHECK == 0)
			check();
	}
	check();
	close();
	MUST_BE_SOUND(mm_check());
}
