/*
 * Holding memory: see hoard.h. Blocks are dealt to the lists at random, and dropped from a list at
 * random, so they come back in no order.
 */
#include "tests/model/hoard.h"

#include "tests/test.h"

#define HOARD_MAGIC 0x686f617264ull

struct mark {
	u64 next; /* address of the next block's mark, or 0 */
	u64 order, pfn, magic;
};

bool hoard_take(struct hoard *h, gfp_t gfp, unsigned order)
{
	struct page *page = alloc_pages(gfp, order);
	u64 *list = &h->list[rng_below(test_rng(), HOARD_LISTS)];
	struct mark *mark;

	if (page == NULL)
		return false;
	mark = page_address(page);
	*mark = (struct mark){*list, order, page_to_pfn(page), HOARD_MAGIC};
	*list = (u64)mark;
	h->nr_blocks++;
	h->nr_pages += 1ull << order;
	return true;
}

void hoard_take_all(struct hoard *h, gfp_t gfp)
{
	for (unsigned order = NR_ORDERS; order-- > 0;) {
		drain_cpu_pages();
		while (hoard_take(h, gfp | __GFP_NOWARN | __GFP_MEMALLOC, order))
			;
	}
}

void hoard_leave(struct hoard *h, u64 nr_pages)
{
	struct mm_usage usage;

	for (unsigned order = NR_ORDERS; order-- > PAGEBLOCK_ORDER;)
		for (;;) {
			mm_usage(&usage);
			if (usage.free_pages < nr_pages + (1ull << order) ||
			    !hoard_take(h, GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC, order))
				break;
		}
}

bool hoard_drop(struct hoard *h)
{
	u64 from = rng_below(test_rng(), HOARD_LISTS);

	for (u64 i = 0; i < HOARD_LISTS; i++) {
		u64 *list = &h->list[(from + i) % HOARD_LISTS];
		struct mark mark, *place = (struct mark *)*list;
		struct page *page;

		if (place == NULL)
			continue;
		mark = *place;
		page = virt_to_page(place);
		ASSERT_EQ(mark.magic, HOARD_MAGIC);
		ASSERT_EQ(mark.pfn, page_to_pfn(page));
		place->magic = 0;
		*list = mark.next;
		h->nr_blocks--;
		h->nr_pages -= 1ull << mark.order;
		free_pages(page, (unsigned)mark.order);
		return true;
	}
	return false;
}

void hoard_drop_all(struct hoard *h)
{
	while (hoard_drop(h))
		;
}

void free_shape_take(struct free_shape *shape)
{
	drain_cpu_pages();
	memset(shape, 0, sizeof(*shape));
	for_each_zone(z)
		memcpy(shape->nr_blocks[z->id], z->buddy.nr_free_blocks,
		       sizeof(shape->nr_blocks[0]));
}

bool free_shape_is(const struct free_shape *shape)
{
	static struct free_shape now;

	free_shape_take(&now);
	for_each_zone(z)
		for (unsigned order = 0; order < NR_ORDERS; order++)
			if (now.nr_blocks[z->id][order] != shape->nr_blocks[z->id][order]) {
				test_note("zone %s order %u: %u free blocks, before %u", z->name,
				          order, now.nr_blocks[z->id][order],
				          shape->nr_blocks[z->id][order]);
				return false;
			}
	return true;
}
