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
#include <tests/fuzz/frames.h>
#include <tests/fuzz/fuzz.h>

#define MAX_LIVE 300u
#define MAX_OPS 300u
#define OPS_A_CHECK 32u
#define EXACT 100u /* as an order: from alloc_pages_exact() */

struct live {
	u32 pfn, nr_pages;
	unsigned order;
	size_t bytes; /* EXACT */
};

static struct live live[MAX_LIVE];
static u32 nr_live;

/* --- what is held --- */

static bool could_alloc(gfp_t gfp, unsigned order)
{
	return order <= MAX_ORDER && frames_have(gfp, 1u << order, 1u << order);
}

static void keep(u32 pfn, u32 nr_pages, unsigned order, size_t bytes)
{
	frames_set(pfn, nr_pages, FRAME_FREE, FRAME_HELD);
	live[nr_live++] = (struct live){pfn, nr_pages, order, bytes};
	frames_sign(pfn, nr_pages);
}

static struct live drop(u32 i)
{
	struct live l = live[i];

	frames_verify(l.pfn, l.nr_pages);
	live[i] = live[--nr_live];
	frames_set(l.pfn, l.nr_pages, FRAME_HELD, FRAME_FREE);
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
	MUST(pfn + nr_pages <= frames_end(gfp));
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

	if (frame_owner(pfn) != NULL && *frame_owner(pfn) == FRAME_TAKEN)
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

	if (frame_owner(pfn) != NULL && *frame_owner(pfn) == FRAME_TAKEN)
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
	MUST_EQ(usage.free_pages + usage.cached_pages, frames_nr_free);
	for (u32 i = 0; i < nr_live; i++)
		frames_verify(live[i].pfn, live[i].nr_pages);
}

void fuzz_one(struct input *in)
{
	frames_boot();
	nr_live = 0;
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
	MUST(frames_are_as_at_boot());
}
