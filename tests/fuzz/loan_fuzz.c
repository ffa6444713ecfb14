/*
 * Pages that come and go: contiguous ranges, pages taken offline and brought back, pages that
 * retire now or when they are freed; against one owner a frame (tests/fuzz/frames.h).
 *
 * The oracle: a range is refused exactly when there is none, an offline exactly when a frame of it
 * is in use (what caches hold is free); a page that is to leave does so with its block's free,
 * alone, and nobody gets it until it is brought back; at the end the free lists are as at boot.
 *
 * Input: operations of 2 to 8 bytes.
 */
#include <tests/fuzz/frames.h>
#include <tests/fuzz/fuzz.h>

#define MAX_LIVE 120u
#define MAX_AWAY 64u
#define MAX_OPS 250u
#define OPS_A_CHECK 16u

enum kind { BLOCK, CONTIG, EXACT };

struct live {
	enum kind kind;
	u32 pfn, nr_pages;
};

struct range {
	u32 pfn, nr_pages;
};

static struct live live[MAX_LIVE];
static struct range away[MAX_AWAY]; /* offline */
static u32 noted[PAGE_RETIRE_MAX], left[PAGE_RETIRE_MAX];
static u32 nr_live, nr_away, nr_noted, nr_left;

/* --- retired pages --- */

static u32 *find_in(u32 *list, u32 nr, u32 pfn)
{
	for (u32 i = 0; i < nr; i++)
		if (list[i] == pfn)
			return &list[i];
	return NULL;
}

static void note(u32 pfn)
{
	noted[nr_noted++] = pfn;
}

static void leave(u32 pfn)
{
	frames_set(pfn, 1, FRAME_FREE, FRAME_AWAY);
	left[nr_left++] = pfn;
}

/* [pfn, pfn + nr_pages) was freed: what was noted of it has left. */
static void expect_leaving(u32 pfn, u32 nr_pages)
{
	for (u32 i = nr_noted; i-- > 0;)
		if (noted[i] - pfn < nr_pages) {
			leave(noted[i]);
			noted[i] = noted[--nr_noted];
		}
}

/* --- allocating and freeing --- */

static gfp_t take_gfp(struct input *in)
{
	static const gfp_t flags[] = {GFP_KERNEL,  GFP_NOWAIT, __GFP_DMA,
	                              __GFP_DMA32, __GFP_ZERO, __GFP_RECLAIM | __GFP_NORETRY};

	return flags[input_below(in, ARRAY_SIZE(flags))] | __GFP_NOWARN | __GFP_MEMALLOC;
}

static void keep(enum kind kind, const struct page *page, u32 nr_pages, gfp_t gfp)
{
	u32 pfn = page_to_pfn(page);

	MUST(pfn + nr_pages <= frames_end(gfp));
	frames_set(pfn, nr_pages, FRAME_FREE, FRAME_HELD);
	if (gfp & __GFP_ZERO)
		MUST(!mem_find_other(page_address(page), 0, nr_pages * PAGE_SIZE));
	frames_sign(pfn, nr_pages);
	live[nr_live++] = (struct live){kind, pfn, nr_pages};
}

static void op_block(struct input *in)
{
	unsigned order = input_below(in, 8);
	gfp_t gfp = take_gfp(in);
	struct page *page = nr_live < MAX_LIVE ? alloc_pages(gfp, order) : NULL;

	if (page != NULL)
		keep(BLOCK, page, 1u << order, gfp);
	else
		MUST(nr_live == MAX_LIVE || !frames_have(gfp, 1u << order, 1u << order));
}

static void op_exact(struct input *in)
{
	u32 n = 1 + input_below(in, 40);
	gfp_t gfp = take_gfp(in);
	void *va = nr_live < MAX_LIVE ? alloc_pages_exact(n * PAGE_SIZE, gfp) : NULL;

	if (va != NULL)
		keep(EXACT, virt_to_page(va), n, gfp);
}

/* Small, or as large as a zone and larger. */
static void op_contig(struct input *in)
{
	u32 n = input_below(in, 8) == 0 ? input_below(in, 1400) : input_below(in, 100);
	u32 align = 1u << input_below(in, 8);
	gfp_t gfp = take_gfp(in);
	struct page *page = nr_live < MAX_LIVE ? alloc_contig_pages(n, align, gfp) : NULL;

	if (page == NULL) {
		MUST(nr_live == MAX_LIVE || n == 0 || !frames_have(gfp, n, align));
		return;
	}
	MUST(page_to_pfn(page) % align == 0);
	keep(CONTIG, page, n, gfp);
}

static void free_live(u32 i)
{
	struct live l = live[i];
	struct page *page = pfn_to_page(l.pfn);

	frames_verify(l.pfn, l.nr_pages);
	live[i] = live[--nr_live];
	frames_set(l.pfn, l.nr_pages, FRAME_HELD, FRAME_FREE);
	if (l.kind == BLOCK)
		free_pages(page, highest_bit(l.nr_pages));
	else if (l.kind == CONTIG)
		free_contig_pages(page, l.nr_pages);
	else
		free_pages_exact(page_address(page), l.nr_pages * PAGE_SIZE);
	expect_leaving(l.pfn, l.nr_pages);
}

static void op_free(struct input *in)
{
	if (nr_live > 0)
		free_live(input_below(in, nr_live));
}

/* --- offline, online --- */

/* In a live allocation, near the ends of the windows, or anywhere. */
static u32 take_pfn(struct input *in)
{
	static const u32 places[] = {250, 1290, 4090, 5110, (1u << 20) - 3, (1u << 20) + 590};
	u32 how = input_below(in, 256), any = input_below(in, 1 << 16);

	if (how < 80 && nr_live > 0)
		return live[how % nr_live].pfn + any % live[how % nr_live].nr_pages;
	if (how < 120)
		return places[how % ARRAY_SIZE(places)] + any % 16;
	return how & 1 ? 256 + any % 1044 : how & 2 ? 4096 + any % 1023 : (1u << 20) + any % 601;
}

static bool is_in_one_zone(u32 pfn, u32 nr_pages)
{
	static const u32 ends[] = {4096, 1u << 20};

	for (u32 i = 0; i < ARRAY_SIZE(ends); i++)
		if (pfn < ends[i])
			return pfn != 0 && nr_pages <= ends[i] - pfn;
	return true;
}

static void op_offline(struct input *in)
{
	u32 pfn = take_pfn(in), n = input_below(in, 60);
	int error;

	if (nr_away == MAX_AWAY)
		return;
	error = pages_offline(pfn, n);
	if (n == 0 || !is_in_one_zone(pfn, n))
		MUST_EQ(error, -EINVAL);
	else
		MUST_EQ(error, frames_are(pfn, n, FRAME_FREE) ? 0 : -EBUSY);
	if (error != 0)
		return;
	frames_set(pfn, n, FRAME_FREE, FRAME_AWAY);
	away[nr_away++] = (struct range){pfn, n};
	MUST(page_block_of(pfn) == NULL);
}

static void bring_back(struct range r)
{
	MUST_EQ(pages_online(r.pfn, r.nr_pages), 0);
	frames_set(r.pfn, r.nr_pages, FRAME_AWAY, FRAME_FREE);
}

/* The whole of what left together, or its first half. */
static void op_online(struct input *in)
{
	u32 how = input_below(in, 256);
	struct range *r = &away[nr_away > 0 ? how % nr_away : 0], part;

	MUST_EQ(pages_online(take_pfn(in), 0), -EINVAL);
	if (nr_away == 0)
		return;
	part = *r;
	if (how >= 128 && r->nr_pages > 1) {
		part.nr_pages /= 2;
		r->pfn += part.nr_pages;
		r->nr_pages -= part.nr_pages;
	} else {
		*r = away[--nr_away];
	}
	bring_back(part);
}

/* --- retire, unretire --- */

static void expect_refusal(u32 pfn, int error)
{
	bool known = find_in(left, nr_left, pfn) != NULL;

	if (known || frame_owner(pfn) == NULL || *frame_owner(pfn) == FRAME_AWAY)
		MUST_EQ(error, known ? 0 : -EINVAL);
	else if (nr_noted + nr_left == PAGE_RETIRE_MAX && !find_in(noted, nr_noted, pfn))
		MUST_EQ(error, -ENOSPC);
	else
		MUST_EQ(error, *frame_owner(pfn) == FRAME_FREE ? 0 : -EBUSY);
}

static void op_retire(struct input *in)
{
	u32 pfn = take_pfn(in);
	int error;

	if (frame_owner(pfn) != NULL && *frame_owner(pfn) == FRAME_TAKEN)
		return; /* the boot's, which never leaves; or a slab's, which may */
	error = page_retire(pfn);
	expect_refusal(pfn, error);
	if (error == 0 && !find_in(left, nr_left, pfn))
		leave(pfn);
	else if (error == -EBUSY && !find_in(noted, nr_noted, pfn))
		note(pfn);
}

static void op_unretire(struct input *in)
{
	u32 how = input_below(in, 256), pfn = take_pfn(in), *was_noted, *had_left;

	if (how & 1 && nr_left > 0)
		pfn = left[how % nr_left];
	was_noted = find_in(noted, nr_noted, pfn);
	had_left = find_in(left, nr_left, pfn);
	MUST_EQ(page_unretire(pfn), was_noted || had_left ? 0 : -ENOENT);
	if (was_noted)
		*was_noted = noted[--nr_noted];
	if (had_left) {
		*had_left = left[--nr_left];
		frames_set(pfn, 1, FRAME_AWAY, FRAME_FREE);
	}
}

static void op_bad_free(struct input *in)
{
	u32 pfn = take_pfn(in);

	if (frame_owner(pfn) == NULL || *frame_owner(pfn) == FRAME_AWAY)
		MUST_PANIC("page_alloc: not RAM", free_page(pfn_to_page(pfn)));
	MUST_PANIC("page_alloc: not a contiguous range", free_contig_pages(pfn_to_page(pfn), 0));
}

static void op_drain(struct input *in)
{
	(void)in;
	drain_cpu_pages();
}

/* --- the whole --- */

static void check(void)
{
	struct page_retire_stats stats;
	struct mm_usage usage;

	MUST_BE_SOUND(mm_check());
	mm_usage(&usage);
	MUST_EQ(usage.free_pages + usage.cached_pages, frames_nr_free);
	page_retire_stats(&stats);
	MUST_EQ(stats.nr_noted, nr_noted);
	MUST_EQ(stats.nr_left, nr_left);
	for (u32 i = 0; i < nr_live; i++)
		frames_verify(live[i].pfn, live[i].nr_pages);
}

static void give_all_back(void)
{
	while (nr_live > 0)
		free_live(nr_live - 1);
	MUST_EQ(nr_noted, 0);
	while (nr_away > 0)
		bring_back(away[--nr_away]);
	for (; nr_left > 0; nr_left--) {
		MUST_EQ(page_unretire(left[nr_left - 1]), 0);
		frames_set(left[nr_left - 1], 1, FRAME_AWAY, FRAME_FREE);
	}
	drain_cpu_pages();
}

void fuzz_one(struct input *in)
{
	static void (*const ops[])(struct input *) = {
	    op_block,  op_block,    op_block,    op_exact,   op_contig, op_contig,
	    op_free,   op_free,     op_free,     op_offline, op_online, op_offline,
	    op_retire, op_unretire, op_bad_free, op_drain};

	frames_boot();
	nr_live = nr_away = nr_noted = nr_left = 0;
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		ops[input_below(in, ARRAY_SIZE(ops))](in);
		if (i % OPS_A_CHECK == 0)
			check();
	}
	check();
	give_all_back();
	check();
	MUST(frames_are_as_at_boot());
}
