/*
 * A cache's slabs and their lists, one step at a time: which list a slab stands on after each
 * object that leaves or comes back, from which slab objects are taken, which empty slabs go back.
 *
 * The cache is the test's own and keeps its records on its slabs, so nothing else of the slab layer
 * takes part: no magazines, no other cache.
 */
#include "mm/slab_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"
#include "tests/model/hoard.h"

#define MAX_OBJECTS 1024u
#define ALONE (SLAB_ON_SLAB | SLAB_NO_MAGAZINE)

static struct kmem_cache c;
static struct magazine_slot slots[MAX_OBJECTS];
static u32 n; /* objects a slab */

static void setup(size_t size, unsigned flags, void (*ctor)(void *))
{
	slab_red_zone = 0; /* what is counted here are strides of its size */
	ASSERT_EQ(cache_setup(&c, "lists", size, 0, flags, ctor), 0);
	slab_red_zone = PLATFORM_RED_ZONE;
}

static void open_with(size_t size, void (*ctor)(void *))
{
	setup(size, ALONE, ctor);
	n = c.nr_objects;
	ASSERT_LE(n, MAX_OBJECTS);
}

static void open(size_t size)
{
	open_with(size, NULL);
}

static void grow(unsigned nr_slabs)
{
	for (unsigned i = 0; i < nr_slabs; i++)
		ASSERT_TRUE(slab_grow(&c, GFP_KERNEL));
}

static u32 take(u32 from, u32 nr)
{
	u64 flags = spin_lock_irq(&c.lock);
	u32 taken = slab_take_locked(&c, slots + from, nr);

	spin_unlock_irq(&c.lock, flags);
	return taken;
}

/* Back to the slabs from the magazine that `slots` plays. */
static void put(u32 from, u32 nr)
{
	u64 flags = spin_lock_irq(&c.lock);

	slab_put_locked(&c, slots + from, nr);
	spin_unlock_irq(&c.lock, flags);
}

/* So many whole slabs. */
static void take_all(u32 nr_slabs)
{
	for (u32 i = 0; i < nr_slabs; i++)
		for (u32 nr = 0, got; nr < n; nr += got)
			ASSERT_GT(got = take(i * n + nr, n - nr), 0);
}

static u64 trim(u32 nr_put)
{
	struct list surplus = LIST_INIT(surplus);
	u64 flags = spin_lock_irq(&c.lock);

	slab_trim_locked(&c, nr_put, &surplus);
	spin_unlock_irq(&c.lock, flags);
	return slab_release(&c, &surplus);
}

/* No slab may be in use. */
static void close(void)
{
	struct list surplus = LIST_INIT(surplus);
	u64 nr_slabs = c.nr_slabs, flags;

	EXPECT_SOUND(kmem_cache_check(&c));
	EXPECT_EQ(c.nr_empty, nr_slabs);
	flags = spin_lock_irq(&c.lock);
	slab_take_empty_locked(&c, &surplus);
	spin_unlock_irq(&c.lock, flags);
	EXPECT_EQ(slab_release(&c, &surplus), nr_slabs * c.nr_pages);
	EXPECT_EQ(c.nr_slabs, 0);
	EXPECT_EQ(c.nr_free, 0);
	EXPECT_EQ(c.nonempty_lists, 0);
}

static struct slab *first_of(unsigned list)
{
	return list_first(&c.slabs[list], struct slab, link);
}

/* Where a slab of n objects with so many free ones belongs, said without the cache's table. */
static u8 right_list(u32 nr_free)
{
	if (nr_free == 0)
		return SLABS_FULL;
	if (nr_free == n)
		return SLABS_EMPTY;
	return nr_free * 2 < n ? SLABS_PARTIAL : SLABS_PARTIAL + 1;
}

TEST(slab_lists, where_each_list_begins)
{
	static const struct {
		u32 nr_objects, half;
	} cases[] = {{1, 1}, {2, 1}, {3, 2}, {63, 32}, {64, 32}, {1000, 500}};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		memset(&c, 0xa5, sizeof(c));
		c.nr_objects = cases[i].nr_objects;
		slab_set_grades(&c);
		EXPECT_EQ(c.list_at[SLABS_FULL], 0);
		EXPECT_EQ(c.list_at[SLABS_PARTIAL], 1);
		EXPECT_EQ(c.list_at[SLABS_PARTIAL + 1], cases[i].half);
		EXPECT_EQ(c.list_at[SLABS_EMPTY], cases[i].nr_objects);
		EXPECT_EQ(c.list_at[NR_SLAB_LISTS], UINT32_MAX);
	}
}

/* The only slab, with so many free objects. */
static void expect_alone(struct slab *s, u32 nr_free)
{
	EXPECT_EQ(s->list, right_list(nr_free));
	EXPECT_TRUE(first_of(right_list(nr_free)) == s);
	EXPECT_EQ(slab_nr_free(&c, s), nr_free);
	EXPECT_EQ(c.nr_free, nr_free);
	EXPECT_EQ(c.nr_slabs, 1);
	EXPECT_EQ(c.nr_empty, nr_free == n);
	EXPECT_EQ(c.nonempty_lists, 1u << right_list(nr_free));
	EXPECT_SOUND(kmem_cache_check(&c));
}

/* What check_magazine() would see to if the objects were in a real one. */
static void expect_taken(struct slab *s, u32 slot, u32 index)
{
	EXPECT_TRUE(slots[slot].object == slab_object(&c, s, index));
	EXPECT_TRUE(slots[slot].tag == &s->tag[index]);
	EXPECT_EQ(*slots[slot].tag, TAG_IN_MAGAZINE);
	*slots[slot].tag = TAG_FIRST_SITE; /* live: kmem_cache_check() knows of no magazine */
}

static void one_by_one(size_t size)
{
	struct slab *s;

	open(size);
	grow(1);
	s = first_of(SLABS_EMPTY);
	expect_alone(s, n);
	for (u32 i = 0; i < n; i++) {
		ASSERT_EQ(take(i, 1), 1);
		expect_taken(s, i, i);
		expect_alone(s, n - i - 1);
	}
	EXPECT_EQ(take(0, 1), 0);
	expect_alone(s, 0);
	for (u32 i = 0; i < n; i++) {
		put(i, 1);
		EXPECT_EQ(s->tag[i], TAG_IN_SLAB);
		expect_alone(s, i + 1);
	}
	close();
}

TEST(slab_lists, a_slab_moves_from_list_to_list_object_by_object)
{
	one_by_one(600);
}

TEST(slab_lists, and_with_more_objects_than_a_word_has_bits)
{
	one_by_one(40);
}

TEST(slab_lists, one_take_goes_through_slabs)
{
	struct slab *a, *b;

	open(256);
	EXPECT_EQ(take(0, 5), 0);
	grow(2);
	EXPECT_EQ(take(0, 0), 0);
	EXPECT_EQ(c.nr_free, 2 * n);
	ASSERT_EQ(take(0, n - 3), n - 3);
	a = first_of(SLABS_PARTIAL);
	ASSERT_EQ(take(n - 3, 6), 3); /* half is enough: b stays whole */
	EXPECT_EQ(c.nr_empty, 1);
	put(n - 3, 3);
	ASSERT_EQ(take(n - 3, 7), 7);
	b = first_of(SLABS_PARTIAL + 1);
	EXPECT_TRUE(first_of(SLABS_FULL) == a);
	for (u32 i = 0; i < n + 4; i++)
		expect_taken(i < n ? a : b, i, i % n);
	EXPECT_EQ(c.nr_free, n - 4);
	EXPECT_EQ(c.nr_empty, 0);
	EXPECT_SOUND(kmem_cache_check(&c));
	ASSERT_EQ(take(n + 4, n), n - 4); /* all that there are */
	EXPECT_EQ(c.nr_free, 0);
	EXPECT_EQ(c.nonempty_lists, 1u << SLABS_FULL);
	put(0, 2 * n);
	EXPECT_EQ(c.nr_free, 2 * n);
	EXPECT_EQ(c.nr_empty, 2);
	close();
}

/* Lines of 32 tags go to one taker, unless they are more than it may have. */
TEST(slab_lists, a_take_ends_with_a_line_of_tags)
{
	struct slab *s;

	open(40);
	ASSERT_GT(n, 66);
	ASSERT_LT(n, 96);
	grow(1);
	s = first_of(SLABS_EMPTY);
	EXPECT_TRUE(is_aligned((u64)s->tag, 64));
	ASSERT_EQ(take(0, 62), 32);
	ASSERT_EQ(take(32, 1), 1);
	ASSERT_EQ(take(33, 62), 31);
	for (u32 i = 0; i < 64; i++)
		expect_taken(s, i, i);
	expect_alone(s, n - 64);
	put(2, 30);
	ASSERT_EQ(take(2, 60), 30);
	put(3, 29); /* one less is not enough */
	ASSERT_EQ(take(64, 60), min_u64(29 + n - 64, 60));
	put(0, 3);
	put(32, 32 + (u32)min_u64(29 + n - 64, 60));
	close();
}

/* Its lines are the warmest. */
TEST(slab_lists, of_equal_slabs_the_one_that_came_last_is_taken_from)
{
	struct slab *first, *second;

	open(256);
	grow(2);
	take_all(2);
	first = slab_of(slots[0].object);
	second = slab_of(slots[n].object);
	put(0, 1);
	put(n, 1);
	ASSERT_EQ(take(0, 1), 1);
	EXPECT_TRUE(slab_of(slots[0].object) == second);
	ASSERT_EQ(take(n, 1), 1);
	EXPECT_TRUE(slab_of(slots[n].object) == first);
	put(0, 2 * n);
	close();
}

TEST(slab_lists, the_slab_that_is_empty_for_longest_goes_first)
{
	struct slab *first;
	struct page *page;

	open(256);
	grow(3);
	take_all(3);
	first = slab_of(slots[n].object);
	page = virt_to_page(first);
	put(n, n);
	put(0, n);
	EXPECT_EQ(page->type, PAGE_SLAB);
	EXPECT_EQ(trim(n), 1);
	EXPECT_NE(page->type, PAGE_SLAB);
	EXPECT_TRUE(slab_of(slots[0].object) != NULL);
	EXPECT_EQ(c.nr_slabs, 2);
	EXPECT_EQ(c.nr_empty, 1);
	EXPECT_EQ(c.nr_free, n);
	put(2 * n, n);
	close();
}

/* No more than one, or than what came back would fill. */
TEST(slab_lists, surplus_goes_in_proportion_to_what_came_back)
{
	open(256);
	grow(12);
	EXPECT_EQ(trim(0), 1);
	EXPECT_EQ(trim(1), 1);
	EXPECT_EQ(trim(n), 1);
	EXPECT_EQ(trim(n + 1), 2);
	EXPECT_EQ(trim(2 * n), 2);
	EXPECT_EQ(c.nr_empty, 5);
	EXPECT_EQ(trim(100 * n), 4);
	EXPECT_EQ(trim(100 * n), 0); /* one stays */
	EXPECT_EQ(c.nr_empty, 1);
	close();
}

/* How many empty slabs stay beside so many full ones. */
static void expect_kept(unsigned full, unsigned kept)
{
	open(1900);
	ASSERT_EQ(n, 2);
	ASSERT_LE(full * n, MAX_OBJECTS);
	grow(full + 6);
	take_all(full);
	EXPECT_EQ(trim(1000), 6 - kept);
	EXPECT_EQ(c.nr_empty, kept);
	EXPECT_EQ(c.nr_slabs, full + kept);
	EXPECT_EQ(trim(1000), 0);
	put(0, full * n);
	close();
}

/* One, and one more for every 64 slabs, those that stay included. */
TEST(slab_lists, empty_slabs_are_kept_in_proportion_to_the_cache)
{
	expect_kept(0, 1);
	expect_kept(61, 1);
	expect_kept(62, 2);
	expect_kept(124, 2);
	expect_kept(125, 3);
}

TEST(slab_lists, one_object_past_the_magazines)
{
	struct magazine_slot slot;
	struct slab *s;
	void *object;

	open(100);
	EXPECT_NULL(slab_take_bare(&c, TAG_FIRST_SITE));
	EXPECT_EQ(c.nr_slabs, 0);
	object = slab_alloc_bare(&c, GFP_KERNEL, TAG_FIRST_SITE + 5);
	ASSERT_NOT_NULL(object);
	s = slab_of(object);
	EXPECT_TRUE(object == slab_object(&c, s, 0));
	EXPECT_EQ(s->tag[0], TAG_FIRST_SITE + 5);
	slot.object = slab_take_bare(&c, TAG_FIRST_SITE);
	slot.tag = &s->tag[1];
	EXPECT_TRUE(slot.object == slab_object(&c, s, 1));
	EXPECT_EQ(s->tag[1], TAG_FIRST_SITE);
	EXPECT_EQ(c.nr_free, n - 2);
	grow(2);
	slab_put_bare(&c, slot);
	EXPECT_EQ(c.nr_slabs, 2); /* one of the two empty ones went */
	slab_free_bare(&c, object);
	EXPECT_EQ(c.nr_slabs, 1);
	EXPECT_EQ(c.nr_free, n);
	close();
}

/* Nor more than one slab goes where each object has one. */
TEST(slab_lists, one_object_back_takes_one_slab_away)
{
	struct magazine_slot slot;

	open(2100);
	ASSERT_EQ(n, 1);
	grow(4);
	ASSERT_EQ(take(0, 1), 1);
	slot = slots[0];
	slab_put_bare(&c, slot);
	EXPECT_EQ(c.nr_slabs, 3);
	close();
}

static unsigned nr_constructed;
static void *last_constructed;

static void construct(void *object)
{
	nr_constructed++;
	last_constructed = object;
}

/* A record, its tags and its bits are right wherever it comes to lie, and whatever lay there; what
 * the objects hold is nobody's concern, so a new slab is not zeroed. */
TEST(slab_lists, a_slab_on_pages_that_were_used)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct slab *s;

	ASSERT_NOT_NULL(page);
	memset(page_address(page), 0xa5, PAGE_SIZE);
	free_page(page);
	open_with(100, construct);
	nr_constructed = 0;
	ASSERT_TRUE(slab_grow(&c, GFP_KERNEL | __GFP_ZERO | __GFP_DMA));
	s = first_of(SLABS_EMPTY);
	EXPECT_TRUE(virt_to_page(s) == page);
	EXPECT_SOUND(kmem_cache_check(&c));
	EXPECT_EQ(nr_constructed, n);
	EXPECT_TRUE(last_constructed == slab_object(&c, s, n - 1));
	EXPECT_TRUE(s->cpu == cpu_objects_none);
	take_all(1);
	for (u32 i = 0; i < n; i++) {
		platform_unpoison(slots[i].object, 100);
		EXPECT_NULL(mem_find_other(slots[i].object, 0xa5, 100));
		platform_poison(slots[i].object, 100);
	}
	put(0, n);
	close();
}

TEST(slab_lists, a_slab_that_leaves_gives_its_pages_their_type_back)
{
	struct page *page;
	struct list surplus = LIST_INIT(surplus);
	u64 flags;

	open(100);
	grow(1);
	page = virt_to_page(first_of(SLABS_EMPTY));
	EXPECT_EQ(page->type, PAGE_SLAB);
	EXPECT_TRUE(page->slab == first_of(SLABS_EMPTY));
	flags = spin_lock_irq(&c.lock);
	slab_take_empty_locked(&c, &surplus);
	spin_unlock_irq(&c.lock, flags);
	EXPECT_EQ(c.nr_slabs, 0);
	EXPECT_EQ(c.nr_free, 0);
	EXPECT_EQ(page->type, PAGE_SLAB);
	EXPECT_EQ(slab_release(&c, &surplus), 1);
	EXPECT_NE(page->type, PAGE_SLAB);
	EXPECT_EQ(slab_release(&c, &surplus), 0);
}

TEST(slab_lists, objects_lie_behind_a_record_on_their_slab)
{
	static const u16 sizes[] = {16, 24, 40, 56, 80, 100, 130, 250, 500, 700, 1200, 2000};

	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct slab *s;

		open(sizes[i]);
		grow(1);
		s = first_of(SLABS_EMPTY);
		EXPECT_TRUE(is_aligned((u64)s, PAGE_SIZE));
		EXPECT_TRUE(is_aligned(s->base, 64));
		EXPECT_GE(s->base, (u64)s + c.record_bytes);
		EXPECT_LT(s->base, (u64)s + c.record_bytes + 64);
		EXPECT_LE(s->base + n * c.stride, (u64)s + PAGE_SIZE);
		close();
	}
}

/* --- no memory --- */

static struct hoard hoard;

/* Everything but one block, which the caller frees. */
static struct page *take_all_but(unsigned order)
{
	struct page *block = alloc_pages(GFP_KERNEL, order);

	ASSERT_NOT_NULL(block);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	return block;
}

TEST(slab_lists, no_pages_for_a_slab)
{
	struct page *block;

	open(100);
	block = take_all_but(0);
	EXPECT_FALSE(slab_grow(&c, GFP_NOWAIT | __GFP_NOWARN));
	EXPECT_NULL(slab_alloc_bare(&c, GFP_NOWAIT | __GFP_NOWARN, TAG_FIRST_SITE));
	EXPECT_EQ(c.nr_slabs, 0);
	free_page(block);
	EXPECT_NOT_NULL(slab_alloc_bare(&c, GFP_NOWAIT | __GFP_NOWARN, TAG_FIRST_SITE));
	EXPECT_FALSE(slab_grow(&c, GFP_NOWAIT | __GFP_NOWARN)); /* that was the last page */
	EXPECT_EQ(c.nr_slabs, 1);
	slab_free_bare(&c, slab_object(&c, first_of(SLABS_PARTIAL + 1), 0));
	hoard_drop_all(&hoard);
	close();
}

/* The pages that were got already go back. */
TEST(slab_lists, no_memory_for_the_record)
{
	static void *records[MAX_OBJECTS];
	struct kmem_cache *from;
	struct page *block;
	u32 nr = 0;

	setup(256, SLAB_NO_MAGAZINE, NULL);
	ASSERT_EQ(c.nr_pages, 4);
	from = c.record_cache;
	block = take_all_but(2);
	while (nr < MAX_OBJECTS && (records[nr] = slab_take_bare(from, TAG_FIRST_SITE)) != NULL)
		nr++;
	ASSERT_LT(nr, MAX_OBJECTS);
	free_pages(block, 2);
	EXPECT_FALSE(slab_grow(&c, GFP_NOWAIT | __GFP_NOWARN));
	EXPECT_EQ(c.nr_slabs, 0);
	block = alloc_pages(GFP_NOWAIT | __GFP_NOWARN, 2);
	EXPECT_NOT_NULL(block);
	if (block != NULL)
		free_pages(block, 2);
	while (nr-- > 0) {
		platform_unpoison(records[nr], from->size);
		slab_free_bare(from, records[nr]);
	}
	hoard_drop_all(&hoard);
}
