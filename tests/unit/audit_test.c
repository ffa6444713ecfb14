/*
 * The audit: on a machine whose memory is spread over every state it balances; and each sum, broken
 * by one, is named.
 */
#include "mm/slab_internal.h"

#include <mm/audit.h>
#include <mm/mm.h>

#include "tests/model/expect.h"

static struct audit a;

/* The map of a machine that has only what the zones have: their ranges, with holes as they are. */
static struct mem_range range[64];
static struct memmap map;

/* Frames that are some zone's. */
static bool is_managed(u64 pfn, u64 *next)
{
	const struct page *head = page_block_of(pfn);

	*next = pfn + 1;
	if (head != NULL) {
		if (head->type != PAGE_SLAB)
			*next = page_to_pfn(head) + page_block_pages(head);
		return true;
	}
	if (zone_of_untouched(pfn) == NULL)
		return false;
	*next = align_down(pfn, 1ull << MAX_ORDER) + (1ull << MAX_ORDER);
	return true;
}

static void add_range(u64 start, u64 end)
{
	ASSERT_LT(map.nr, ARRAY_SIZE(range));
	range[map.nr++] =
	    (struct mem_range){start << PAGE_SHIFT, (end - start) << PAGE_SHIFT, MEM_USABLE};
}

static void make_map(void)
{
	map = (struct memmap){.range = range, .capacity = ARRAY_SIZE(range)};
	for_each_zone(z) {
		u64 start = 0;

		for (u64 pfn = z->buddy.low, next; pfn < z->buddy.high; pfn = next) {
			bool managed = is_managed(pfn, &next);

			next = min_u64(next, z->buddy.high);
			if (managed && start == 0)
				start = pfn;
			if (!managed && start != 0) {
				add_range(start, pfn);
				start = 0;
			}
		}
		if (start != 0)
			add_range(start, z->buddy.high);
	}
}

static const char *audit(void)
{
	EXPECT_EQ(audit_take(&map, 0, &a), 0);
	return a.fault[0] != '\0' ? a.fault : NULL;
}

static struct {
	struct page *page, *block;
	void *object, *large, *area;
} held;

static void take_some_of_each(void)
{
	held.page = alloc_page(GFP_KERNEL);
	held.block = alloc_pages(GFP_KERNEL, 5);
	held.object = kmalloc(100, GFP_KERNEL);
	held.large = kmalloc(50000, GFP_KERNEL);
	held.area = vmalloc(5 * PAGE_SIZE);
	ASSERT_TRUE(held.page && held.block && held.object && held.large && held.area);
	kfree(kmalloc(100, GFP_KERNEL));   /* one in a magazine */
	free_page(alloc_page(GFP_KERNEL)); /* one in a stack */
	make_map();
}

static void give_all_back(void)
{
	vfree(held.area);
	kfree(held.large);
	kfree(held.object);
	free_pages(held.block, 5);
	free_page(held.page);
}

TEST(audit, balances_with_some_of_everything)
{
	struct mm_usage u;
	u64 sum = 0;

	take_some_of_each();
	EXPECT_SOUND(audit());
	mm_usage(&u);
	for (unsigned i = 0; i < NR_AUDIT_STATES; i++)
		sum += a.pages[i];
	EXPECT_EQ(sum, a.usable);
	EXPECT_EQ(a.usable, u.managed_pages);
	EXPECT_EQ(a.pages[AUDIT_LARGE], kmalloc_large_pages());
	EXPECT_GE(a.pages[AUDIT_LARGE], 13);
	EXPECT_GE(a.vmalloc, 5);
	EXPECT_GE(a.pages[AUDIT_CACHED], 1);
	EXPECT_GE(a.pages[AUDIT_ALLOCATED], 1 + 32 + 5);
	EXPECT_EQ(a.in_slabs + a.in_magazines + a.in_depots + a.live, a.objects);
	EXPECT_GE(a.in_magazines, 1);
	give_all_back();
}

TEST(audit, counts_depots_and_what_is_offline)
{
	struct kmem_cache *c = kmem_cache_create("test", 256, 0, 0, NULL);
	static void *objects[400];
	struct page *page = alloc_pages(GFP_KERNEL, 4);
	u64 pfn, depots;

	ASSERT_NOT_NULL(c);
	ASSERT_NOT_NULL(page);
	make_map();
	EXPECT_SOUND(audit());
	depots = a.in_depots;
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 400, objects), 400);
	kmem_cache_free_bulk(c, 400, objects);
	EXPECT_SOUND(audit());
	EXPECT_GT(a.in_depots, depots);
	pfn = page_to_pfn(page);
	free_pages(page, 4);
	ASSERT_EQ(pages_offline(pfn, 7), 0);
	EXPECT_SOUND(audit());
	EXPECT_EQ(a.pages[AUDIT_OFFLINE], 7);
	ASSERT_EQ(pages_online(pfn, 7), 0);
	EXPECT_SOUND(audit());
	EXPECT_EQ(a.pages[AUDIT_OFFLINE], 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Broken by one, named, and whole again. */
#define EXPECT_MISSED(word, change, name)     \
	do {                                  \
		__auto_type was_ = (word);    \
                                              \
		(word) = (change);            \
		EXPECT_BROKEN(audit(), name); \
		(word) = was_;                \
		EXPECT_SOUND(audit());        \
	} while (0)

TEST(audit, names_each_sum_that_does_not_agree)
{
	struct zone *z;
	struct slab *s;
	struct slab_object_info info;
	struct kmem_cache *c;

	take_some_of_each();
	z = page_zone(held.block);
	ASSERT_TRUE(slab_object_of(held.object, &info));
	s = slab_of(held.object);
	c = info.cache;
	EXPECT_SOUND(audit());
	EXPECT_MISSED(z->buddy.nr_managed_pages, z->buddy.nr_managed_pages + 1, "A1:");
	EXPECT_MISSED(z->buddy.nr_free_blocks[3], z->buddy.nr_free_blocks[3] + 1, "A2:");
	EXPECT_MISSED(z->buddy.nr_free_pages, z->buddy.nr_free_pages - 1, "A2:");
	EXPECT_MISSED(held.page->type, PAGE_CACHED, "A3:");
	EXPECT_MISSED(held.page->type, PAGE_SLAB, "A4:");
	EXPECT_MISSED(held.block->type, PAGE_LARGE, "A5:");
	EXPECT_MISSED(s->tag[info.index], TAG_IN_SLAB, "A7:");
	EXPECT_MISSED(s->tag[info.index], TAG_IN_MAGAZINE, "A7:");
	EXPECT_MISSED(c->nr_free, c->nr_free + 1, "A7:");
	EXPECT_MISSED(c->nr_slabs, c->nr_slabs + 1, "A4:");
	EXPECT_EQ(audit_take(&map, 1ull << 40, &a), 0);
	EXPECT_EQ(strncmp(a.fault, "A6:", 3), 0);
	map.nr--; /* a range that the map does not know */
	EXPECT_BROKEN(audit(), "A");
	give_all_back();
}

#if __STDC_HOSTED__
#include "tests/host/caught_text.h"

TEST(audit, is_printed_as_a_balance)
{
	int error;

	take_some_of_each();
	CATCH(error = stats_print_audit(&map, 0));
	EXPECT_EQ(error, 0);
	EXPECT_TEXT("usable memory");
	EXPECT_TEXT("free blocks, node 0 NORMAL:");
	EXPECT_TEXT("= usable, by the map");
	EXPECT_TEXT("every page and every object is in exactly one state");
	map.range[0].length -= PAGE_SIZE;
	CATCH(error = stats_print_audit(&map, 0));
	EXPECT_EQ(error, -EFAULT);
	EXPECT_TEXT("audit: A");
	give_all_back();
}
#endif
