/*
 * The page allocator's face on a small machine with memory in all three zones, against one owner a
 * frame.
 *
 * The oracle: a block is aligned, inside the zone that its flags allow, was free, and keeps a mark
 * at both ends; NULL means that no aligned block in an allowed zone is all free, even in caches; a
 * wrong free stops with a line and changes nothing; after all is freed the free lists are as at
 * boot. Each input boots its own machine.
 *
 * Input: operations of 2 to 6 bytes.
 */
#include <mm/mm.h>
#include <mm/reclaim.h>
#include <tests/fuzz/fuzz.h>
#include <tests/host/machine.h>

#define MAX_LIVE 300u
#define MAX_OPS 300u
#define OPS_A_CHECK 32u
#define EXACT 100u /* as an order: from alloc_pages_exact() */

/* Three windows of frames, one a zone; odd ends, so that there are blocks of all sizes. */
static const struct window {
	u32 start, end; /* pfn */
} windows[] = {{256, 1300}, {4096, 5119}, {1 << 20, (1 << 20) + 601}};
#define NR_WINDOWS ARRAY_SIZE(windows)
#define MAX_FRAMES 2048u

enum { TAKEN, FREE, HELD }; /* TAKEN: by the boot, or no RAM */

struct live {
	u32 pfn, nr_pages;
	unsigned order;
	size_t bytes; /* EXACT */
};

static u8 owner[NR_WINDOWS][MAX_FRAMES];
static struct live live[MAX_LIVE];
static u32 nr_live;
static u64 nr_free;
static u32 shape_at_boot[MAX_ZONES][NR_ORDERS];

/* --- the oracle --- */

static u8 *owner_of(u32 pfn)
{
	for (u32 w = 0; w < NR_WINDOWS; w++)
		if (pfn >= windows[w].start && pfn < windows[w].end)
			return &owner[w][pfn - windows[w].start];
	return NULL;
}

static void set_owner(u32 pfn, u32 nr_pages, u8 from, u8 to)
{
	for (u32 i = 0; i < nr_pages; i++) {
		u8 *who = owner_of(pfn + i);

		MUST(who != NULL && *who == from);
		*who = to;
	}
	nr_free += to == FREE ? nr_pages : 0;
	nr_free -= to == HELD ? nr_pages : 0;
}

static u32 highest_window(gfp_t gfp)
{
	return gfp & __GFP_DMA ? 0 : gfp & __GFP_DMA32 ? 1 : 2;
}

static bool could_alloc(gfp_t gfp, unsigned order)
{
	u32 size = 1u << order;

	for (u32 w = 0; w <= highest_window(gfp) && order <= MAX_ORDER; w++)
		for (u32 pfn = (u32)align_up(windows[w].start, size); pfn + size <= windows[w].end;
		     pfn += size)
			if (!mem_find_other(owner_of(pfn), FREE, size))
				return true;
	return false;
}

/* --- marks --- */

static u64 *mark_at(u32 pfn, u64 byte)
{
	return (u64 *)((u8 *)page_address(pfn_to_page(pfn)) + byte);
}

static void keep(u32 pfn, u32 nr_pages, unsigned order, size_t bytes)
{
	set_owner(pfn, nr_pages, FREE, HELD);
	live[nr_live++] = (struct live){pfn, nr_pages, order, bytes};
	*mark_at(pfn, 0) = ~(u64)pfn;
	*mark_at(pfn, nr_pages * PAGE_SIZE - 8) = ~(u64)pfn;
}

static void verify(const struct live *l)
{
	MUST_EQ(*mark_at(l->pfn, 0), ~(u64)l->pfn);
	MUST_EQ(*mark_at(l->pfn, l->nr_pages * PAGE_SIZE - 8), ~(u64)l->pfn);
}

static struct live drop(u32 i)
{
	struct live l = live[i];

	verify(&l);
	live[i] = live[--nr_live];
	set_owner(l.pfn, l.nr_pages, HELD, FREE);
	return l;
}

/* --- operations --- */

static gfp_t take_gfp(struct input *in)
{
	static const gfp_t flags[] = {
	    GFP_KERNEL, GFP_ATOMIC,  GFP_NOWAIT, __GFP_ZERO,
	    __GFP_DMA,  __GFP_DMA32, __GFP_HIGH, __GFP_RECLAIM | __GFP_NORETRY};

	/* To the bottom of the zones: the oracle knows no reserves. */
	return flags[input_below(in, ARRAY_SIZE(flags))] | __GFP_NOWARN | __GFP_MEMALLOC;
}

static void check_block(u32 pfn, u32 nr_pages, gfp_t gfp)
{
	const struct window *w = &windows[highest_window(gfp)];

	MUST(pfn + nr_pages <= w->end);
	if (gfp & __GFP_ZERO)
		MUST(!mem_find_other(page_address(pfn_to_page(pfn)), 0, nr_pages * PAGE_SIZE));
}

static void op_alloc(struct input *in)
{
	gfp_t gfp = take_gfp(in);
	unsigned order =
	    input_below(in, 4) == 0 ? input_below(in, NR_ORDERS + 1) : input_below(in, 5);
	struct page *page = alloc_pages(gfp, order);

	if (page == NULL) {
		MUST(!could_alloc(gfp, order));
		return;
	}
	MUST(page_to_pfn(page) % (1u << order) == 0);
	check_block(page_to_pfn(page), 1u << order, gfp);
	keep(page_to_pfn(page), 1u << order, order, 0);
}

static void op_bulk(struct input *in)
{
	gfp_t gfp = take_gfp(in);
	size_t n = input_below(in, 100), got;
	struct page *pages[100];

	if (nr_live + n > MAX_LIVE)
		return;
	got = alloc_pages_bulk(gfp, n, pages);
	MUST(got <= n);
	for (size_t i = 0; i < got; i++) {
		check_block(page_to_pfn(pages[i]), 1, gfp);
		keep(page_to_pfn(pages[i]), 1, 0, 0);
	}
	if (got < n)
		MUST(!could_alloc(gfp, 0));
}

static void op_exact(struct input *in)
{
	gfp_t gfp = take_gfp(in);
	size_t bytes = input_below(in, 3) == 0 ? input_bytes(in, 4) : input_bytes(in, 2);
	void *va = alloc_pages_exact(bytes, gfp);
	u32 nr_pages = (u32)div_round_up(bytes, PAGE_SIZE);

	if (bytes == 0) {
		MUST(va == NULL);
	} else if (va == NULL) {
		MUST(!could_alloc(gfp, log2_ceil(nr_pages)));
	} else {
		check_block(page_to_pfn(virt_to_page(va)), nr_pages, gfp);
		keep(page_to_pfn(virt_to_page(va)), nr_pages, EXACT, bytes);
	}
}

static void free_live(u32 i)
{
	struct live l = drop(i);

	if (l.order == EXACT)
		free_pages_exact(page_address(pfn_to_page(l.pfn)), l.bytes);
	else
		free_pages(pfn_to_page(l.pfn), l.order);
}

static void op_bulk_free(struct input *in)
{
	size_t max = input_below(in, 64), n = 0;
	struct page *pages[64];

	for (u32 i = nr_live; i-- > 0 && n < max;)
		if (live[i].order == 0)
			pages[n++] = pfn_to_page(drop(i).pfn);
	free_pages_bulk(n, pages);
}

static const struct live *live_at(u32 pfn)
{
	for (u32 i = 0; i < nr_live; i++)
		if (live[i].pfn == pfn)
			return &live[i];
	return NULL;
}

/* Near a live block, or anywhere. */
static u32 take_pfn(struct input *in)
{
	u32 any = (u32)input_bytes(in, 3);

	return any & 1 && nr_live > 0 ? live[any / 2 % nr_live].pfn + (any >> 16) % 3 : any / 2;
}

static void op_bad_free(struct input *in)
{
	u32 pfn = take_pfn(in);
	unsigned order = input_below(in, NR_ORDERS + 2);
	const struct live *l = live_at(pfn);

	if (owner_of(pfn) != NULL && *owner_of(pfn) == TAKEN)
		return; /* may be the slab's own: allocated, and freeing it would be a lie */
	if (l == NULL || l->order != order)
		MUST_PANIC("page_alloc: ", free_pages(pfn_to_page(pfn), order));
}

/* At a block's first page with a size that is nearly right, or near it, or anywhere. */
static void op_bad_exact(struct input *in)
{
	u32 pfn = take_pfn(in), how = input_below(in, 256);
	u64 offset = how & 1 ? 1 + input_below(in, PAGE_SIZE - 1) : 0;
	const struct live *l = live_at(pfn);
	size_t bytes = l != NULL && l->order == EXACT ? l->bytes : 1 + input_bytes(in, 3);

	if (owner_of(pfn) != NULL && *owner_of(pfn) == TAKEN)
		return;
	if (how & 2)
		bytes ^= 1ull << input_below(in, 64);
	if (l != NULL && l->order == EXACT && offset == 0 &&
	    div_round_up(bytes, PAGE_SIZE) == l->nr_pages)
		return;
	MUST_PANIC("page_alloc: not an exact",
	           free_pages_exact((u8 *)phys_to_virt((u64)pfn << PAGE_SHIFT) + offset, bytes));
}

static void step(struct input *in)
{
	u32 what = input_below(in, 16);
	bool room = nr_live < MAX_LIVE;

	if (what < 5 && room)
		op_alloc(in);
	else if (what == 5)
		op_bulk(in);
	else if (what < 8 && room)
		op_exact(in);
	else if (what < 12 && nr_live > 0)
		free_live(input_below(in, nr_live));
	else if (what == 12)
		op_bulk_free(in);
	else if (what == 13)
		op_bad_free(in);
	else if (what == 14)
		op_bad_exact(in);
	else if (what == 15)
		drain_cpu_pages();
}

/* --- the whole --- */

static void check(void)
{
	struct mm_usage usage;

	MUST_BE_SOUND(mm_check());
	mm_usage(&usage);
	MUST_EQ(usage.free_pages + usage.cached_pages, nr_free);
	for (u32 i = 0; i < nr_live; i++)
		verify(&live[i]);
}

/* What is free at boot is learned from the allocator itself: all that it gives, page by page, is
 * given once, and comes back. */
static void learn_what_is_free(void)
{
	static struct page *pages[NR_WINDOWS * MAX_FRAMES];
	size_t n;

	memset(owner, TAKEN, sizeof(owner));
	(void)reclaim_pages(UINT64_MAX); /* what the boot left in empty slabs is free too */
	n = alloc_pages_bulk(GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC, ARRAY_SIZE(pages), pages);
	for (size_t i = 0; i < n; i++)
		set_owner(page_to_pfn(pages[i]), 1, TAKEN, FREE);
	free_pages_bulk(n, pages);
	drain_cpu_pages();
	for_each_zone(z)
		memcpy(shape_at_boot[z->id], z->buddy.nr_free_blocks, sizeof(shape_at_boot[0]));
}

static void boot(void)
{
	struct mem_range firmware[NR_WINDOWS];

	for (u32 i = 0; i < NR_WINDOWS; i++)
		firmware[i] = (struct mem_range){
		    (u64)windows[i].start << PAGE_SHIFT,
		    (u64)(windows[i].end - windows[i].start) << PAGE_SHIFT, MEM_USABLE};
	host_garbage_ram = host_garbage_page_map = 64 * KIB;
	host_machine_boot(firmware, NR_WINDOWS);
	nr_live = 0;
	nr_free = 0;
	learn_what_is_free();
}

void fuzz_one(struct input *in)
{
	boot();
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		step(in);
		if (i % OPS_A_CHECK == 0)
			check();
	}
	check();
	while (nr_live > 0)
		free_live(nr_live - 1);
	drain_cpu_pages();
	check();
	for_each_zone(z)
		MUST_EQ(
		    memcmp(shape_at_boot[z->id], z->buddy.nr_free_blocks, sizeof(shape_at_boot[0])),
		    0);
}
