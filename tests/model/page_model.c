/*
 * Random operations on the page allocator, against an oracle of who holds which pages.
 *
 * The oracle is a table of what is held, and a mark in every held page that says by whom. A page
 * that is handed out twice loses its first owner's mark; a page that is lost shows in the sums, and
 * in the shape of free memory after everything came back.
 */
#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define NR_STEPS 100000u
#define STEPS_A_CHECK 20000u
#define MAX_HELD 512u

struct held {
	struct page *page;
	u32 nr_pages, id; /* the mark of page i is id + i */
	size_t bytes;     /* not 0: an exact allocation */
	unsigned order;
};

static struct held held[MAX_HELD];
static u32 nr_held, next_id;
static u64 held_pages, limit_pages;
static struct free_shape shape;

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

static u64 *mark_of(const struct held *h, u32 i)
{
	return (u64 *)((char *)page_address(h->page) + i * PAGE_SIZE + (h->id + i) % 512 * 8);
}

static void keep(struct held h)
{
	h.id = next_id;
	next_id += h.nr_pages;
	for (u32 i = 0; i < h.nr_pages; i++)
		*mark_of(&h, i) = h.id + i;
	held_pages += h.nr_pages;
	held[nr_held++] = h;
}

static struct held drop(u32 at)
{
	struct held h = held[at];

	for (u32 i = 0; i < h.nr_pages; i++)
		ASSERT_EQ(*mark_of(&h, i), h.id + i);
	held_pages -= h.nr_pages;
	held[at] = held[--nr_held];
	return h;
}

static gfp_t random_gfp(void)
{
	static const gfp_t flags[] = {GFP_KERNEL,
	                              GFP_ATOMIC,
	                              GFP_NOWAIT,
	                              GFP_KERNEL,
	                              GFP_NOWAIT | __GFP_DMA32,
	                              GFP_KERNEL,
	                              GFP_NOWAIT | __GFP_DMA,
	                              GFP_NOWAIT | __GFP_ZERO};

	return flags[below(ARRAY_SIZE(flags))] | __GFP_NOWARN;
}

static void expect_fit(const struct page *page, u32 nr_pages, gfp_t gfp)
{
	u64 end = page_to_phys(page) + ((u64)nr_pages << PAGE_SHIFT);

	if (gfp & __GFP_DMA)
		ASSERT_LE(end, 16 * MIB);
	if (gfp & __GFP_DMA32)
		ASSERT_LE(end, 4 * GIB);
	if (gfp & __GFP_ZERO)
		ASSERT_NULL(mem_find_other(page_address(page), 0, PAGE_SIZE));
}

static void alloc_block(void)
{
	unsigned order = lowest_bit(rng_next(test_rng()) | 1u << 9);
	gfp_t gfp = order > 3 ? random_gfp() & ~__GFP_ZERO : random_gfp();
	struct page *page;

	if (held_pages + (1u << order) > limit_pages)
		return;
	page = alloc_pages(gfp, order);
	if (page == NULL)
		return;
	ASSERT_TRUE(is_aligned(page_to_pfn(page), 1ull << order));
	expect_fit(page, 1u << order, gfp);
	keep((struct held){.page = page, .nr_pages = 1u << order, .order = order});
}

static void alloc_exact(void)
{
	size_t bytes = 1 + below(20 * PAGE_SIZE);
	gfp_t gfp = random_gfp() & ~__GFP_ZERO;
	u32 nr_pages = (u32)div_round_up(bytes, PAGE_SIZE);
	void *p;

	if (held_pages + nr_pages > limit_pages)
		return;
	p = alloc_pages_exact(bytes, gfp);
	if (p == NULL)
		return;
	expect_fit(virt_to_page(p), nr_pages, gfp);
	keep((struct held){.page = virt_to_page(p), .nr_pages = nr_pages, .bytes = bytes});
}

static void alloc_bulk(void)
{
	struct page *pages[24];
	size_t n = below(ARRAY_SIZE(pages) + 1);

	if (nr_held + n > MAX_HELD || held_pages + n > limit_pages)
		return;
	n = alloc_pages_bulk(random_gfp() & ~__GFP_ZERO, n, pages);
	for (size_t i = 0; i < n; i++)
		keep((struct held){.page = pages[i], .nr_pages = 1});
}

static void free_one(void)
{
	struct held h = drop(below(nr_held));

	if (h.bytes != 0)
		free_pages_exact(page_address(h.page), h.bytes);
	else
		free_pages(h.page, h.order);
}

static void check(u64 used_before)
{
	struct mm_usage usage;

	ASSERT_SOUND(mm_check());
	mm_usage(&usage);
	ASSERT_EQ(usage.used_pages, used_before + held_pages);
}

static void step(u32 frees_in_16)
{
	u32 what = below(16);

	if (nr_held > 0 && (what < frees_in_16 || nr_held == MAX_HELD))
		free_one();
	else if (what % 8 == 7)
		alloc_exact();
	else if (what % 8 == 6)
		alloc_bulk();
	else
		alloc_block();
	if (below(1000) == 0)
		drain_cpu_pages();
}

TEST(page_model, random_operations_against_marks_in_every_page)
{
	struct mm_usage before;
	u32 frees_in_16 = 7;

	free_shape_take(&shape);
	mm_usage(&before);
	limit_pages = min_u64(before.free_pages / 2, 4096);
	nr_held = next_id = 0;
	held_pages = 0;
	for (u32 i = 1; i <= NR_STEPS; i++) {
		if (i % 1024 == 0)
			frees_in_16 = 4 + below(9);
		step(frees_in_16);
		if (i % STEPS_A_CHECK == 0)
			check(before.used_pages);
	}
	while (nr_held > 0)
		free_one();
	check(before.used_pages);
	EXPECT_TRUE(free_shape_is(&shape));
}
