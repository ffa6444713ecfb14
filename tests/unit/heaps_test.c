/*
 * The gallery: every design passes every trial of the conformance suite, each trial a test; the
 * front and the regions by themselves; and what only one design has.
 */
#include <mm/mm.h>
#include <tests/model/heap_conformance.h>
#include <tests/test.h>

static struct conformance *setup(void)
{
	struct conformance *c = kzalloc(sizeof(*c), GFP_KERNEL);

	ASSERT_NOT_NULL(c);
	c->memory = alloc_pages_exact(CONFORMANCE_BYTES, GFP_KERNEL);
	c->objects = alloc_pages_exact(CONFORMANCE_OBJECTS * sizeof(*c->objects), GFP_KERNEL);
	c->seed = rng_next(test_rng());
	ASSERT_NOT_NULL(c->memory);
	ASSERT_NOT_NULL(c->objects);
	return c;
}

static void teardown(struct conformance *c)
{
	free_pages_exact(c->objects, CONFORMANCE_OBJECTS * sizeof(*c->objects));
	free_pages_exact(c->memory, CONFORMANCE_BYTES);
	kfree(c);
}

static void run_trial(const char *name)
{
	struct conformance *c = setup();
	unsigned trial = 0;

	while (trial < conformance_nr_trials() && strcmp(conformance_trial_name(trial), name) != 0)
		trial++;
	ASSERT_LT(trial, conformance_nr_trials());
	for (const struct heap_design *const *d = heap_designs; *d != NULL; d++) {
		bool passed = conformance_run(c, *d, trial);

		EXPECT_TRUE(passed);
		if (!passed)
			test_note("%s, fed by %s: %s", (*d)->name, c->kind, c->why);
	}
	teardown(c);
}

#define TRIAL(name)               \
	TEST(heaps, name)         \
	{                         \
		run_trial(#name); \
	}
TRIAL(sizes)
TRIAL(alignments)
TRIAL(aligned_reuse)
TRIAL(zero_size)
TRIAL(huge_sizes)
TRIAL(exhaustion)
TRIAL(reuse)
TRIAL(walking)
TRIAL(coalescing)
TRIAL(resizing)
TRIAL(resizing_in_place)
TRIAL(usable_bytes)
TRIAL(large_objects)
TRIAL(random_model)

TEST(heaps, every_trial_is_a_test_here)
{
	EXPECT_EQ(conformance_nr_trials(), 14);
}

TEST(heaps, designs_are_found_by_name)
{
	for (const struct heap_design *const *d = heap_designs; *d != NULL; d++) {
		EXPECT_TRUE(heap_design_find((*d)->name) == *d);
		EXPECT_NOT_NULL((*d)->idea);
	}
	EXPECT_NULL(heap_design_find("none"));
}

/* --- regions --- */

static u8 *memory_of(struct conformance *c, struct region *r, enum region_kind kind)
{
	region_init(r, kind, c->memory, CONFORMANCE_BYTES, REGION_NO_THRESHOLD);
	return c->memory;
}

TEST(heaps_region, a_buffer_keeps_what_it_gave)
{
	struct conformance *c = setup();
	struct region r;
	u8 *base = memory_of(c, &r, REGION_BUFFER);

	EXPECT_TRUE(region_extend(&r, 100) == base);
	EXPECT_FALSE(region_shrink(&r, base));
	EXPECT_EQ(region_footprint(&r), CONFORMANCE_BYTES);
	EXPECT_NULL(region_map(&r, 4096, 4096));
	EXPECT_NULL(region_extend(&r, CONFORMANCE_BYTES));
	EXPECT_NOT_NULL(region_extend(&r, CONFORMANCE_BYTES - 100));
	EXPECT_NULL(region_extend(&r, 1));
	EXPECT_NULL(region_check(&r));
	teardown(c);
}

TEST(heaps_region, a_break_moves_both_ways_and_remembers_its_peak)
{
	struct conformance *c = setup();
	struct region r;
	u8 *base = memory_of(c, &r, REGION_BREAK);

	EXPECT_TRUE(region_extend(&r, 3000) == base);
	EXPECT_TRUE(region_shrink(&r, base + 10));
	EXPECT_EQ(region_footprint(&r), 10);
	EXPECT_EQ(region_peak(&r), 3000);
	EXPECT_NULL(region_map(&r, 4096, 4096));
	EXPECT_EQ(region_mapped_bytes(&r, base), 0);
	EXPECT_PANIC("assertion failed", region_shrink(&r, base + 11));
	teardown(c);
}

TEST(heaps_region, ranges_come_from_the_top_and_stop_the_break)
{
	struct conformance *c = setup();
	struct region r;
	u8 *base = memory_of(c, &r, REGION_MAPPED);
	u8 *high = region_map(&r, 5000, 4096), *aligned = region_map(&r, 1, 16384);

	EXPECT_EQ(region_mapped_bytes(&r, high), 8192);
	EXPECT_EQ(region_mapped_bytes(&r, high + 4096), 0);
	EXPECT_EQ(region_mapped_bytes(&r, high + 1), 0);
	EXPECT_EQ(region_mapped_bytes(&r, base), 0);
	EXPECT_TRUE(is_aligned((u64)aligned, 16384));
	EXPECT_LT(aligned, high);
	EXPECT_EQ(region_footprint(&r), 3 * 4096);
	EXPECT_NULL(region_extend(&r, (size_t)(aligned - base) + 1));
	EXPECT_NOT_NULL(region_extend(&r, (size_t)(aligned - base)));
	EXPECT_NULL(region_check(&r));
	region_unmap(&r, aligned);
	EXPECT_NOT_NULL(region_extend(&r, 4096));
	region_unmap(&r, high);
	EXPECT_PANIC("assertion failed", region_unmap(&r, high));
	EXPECT_NULL(region_check(&r));
	teardown(c);
}

TEST(heaps_region, freed_pages_are_found_again)
{
	struct conformance *c = setup();
	struct region r;
	void *page[CONFORMANCE_BYTES / 4096];
	unsigned n = 0;

	memory_of(c, &r, REGION_MAPPED);
	while ((page[n] = region_map(&r, 4096, 4096)) != NULL)
		n++;
	EXPECT_EQ(n, CONFORMANCE_BYTES / 4096 - 1); /* the table's page */
	for (unsigned i = 0; i < n; i += 3)
		region_unmap(&r, page[i]);
	EXPECT_NULL(region_map(&r, 8192, 4096));
	for (unsigned i = 0; i < n; i += 3)
		EXPECT_NOT_NULL(region_map(&r, 4096, 4096));
	EXPECT_NULL(region_map(&r, 1, 4096));
	EXPECT_NULL(region_map(&r, 0, 4096));
	EXPECT_NULL(region_map(&r, ~0ul, 4096));
	teardown(c);
}

TEST(heaps_region, check_finds_each_broken_invariant)
{
	struct conformance *c = setup();
	struct region r;
	u8 *base = memory_of(c, &r, REGION_MAPPED), *limit, *range;

	range = region_map(&r, 8192, 4096);
	limit = r.limit;
	r.brk = limit + 1;
	EXPECT_STREQ(region_check(&r), "region R1: the break is outside its bounds");
	r.brk = base;
	r.limit = limit + 4096;
	EXPECT_STREQ(region_check(&r), "region R1: a mapped page lies below the limit");
	r.limit = limit;
	r.table[(range - base) / 4096] = 1;
	EXPECT_STREQ(region_check(&r), "region R2: a mapped range has the wrong length");
	r.table[(range - base) / 4096] = 3;
	EXPECT_STREQ(region_check(&r), "region R2: a mapped range has the wrong length");
	r.table[(range - base) / 4096] = 2;
	r.mapped_bytes += 4096;
	EXPECT_STREQ(region_check(&r), "region R3: the sum of the mapped ranges is wrong");
	teardown(c);
}

/* --- the front --- */

TEST(heaps, a_heap_that_does_not_fit_is_refused)
{
	struct conformance *c = setup();
	struct heap_options many = {.object_size = 64, .nr_objects = 100000};

	for (const struct heap_design *const *d = heap_designs; *d != NULL; d++) {
		struct region r;
		size_t taken = CONFORMANCE_BYTES - 8;

		region_init(&r, REGION_BREAK, c->memory, CONFORMANCE_BYTES, REGION_NO_THRESHOLD);
		EXPECT_NOT_NULL(region_extend(&r, taken));
		EXPECT_NULL(heap_create(*d, &r, NULL));
		region_init(&r, REGION_BREAK, c->memory, CONFORMANCE_BYTES, REGION_NO_THRESHOLD);
		taken -= align_up((*d)->state_bytes, HEAP_ALIGN);
		EXPECT_NOT_NULL(region_extend(&r, taken));
		struct heap *heap = heap_create(*d, &r, &many);

		if (heap != NULL && !((*d)->traits & HEAP_KERNEL))
			EXPECT_NULL(heap_alloc(heap, 64));
	}
	teardown(c);
}

TEST(heaps, orders_have_names)
{
	EXPECT_STREQ(heap_order_name(HEAP_O_1), "O(1)");
	EXPECT_STREQ(heap_order_name(HEAP_O_OTHER), "other");
}

/* --- what only one design has --- */

static struct heap *make(struct conformance *c, struct region *r, const char *name,
                         enum region_kind kind)
{
	struct heap *heap;

	region_init(r, kind, c->memory, CONFORMANCE_BYTES, REGION_NO_THRESHOLD);
	heap = heap_create(heap_design_find(name), r, NULL);
	ASSERT_NOT_NULL(heap);
	return heap;
}

TEST(heaps, a_stack_releases_to_its_mark)
{
	struct conformance *c = setup();
	struct region r;
	struct heap *heap = make(c, &r, "stack", REGION_BREAK);
	void *low = heap_alloc(heap, 100), *middle = heap_alloc(heap, 10);
	stack_mark mark = stack_heap_mark(heap);
	void *first = heap_alloc(heap, 50);

	EXPECT_NOT_NULL(heap_alloc(heap, 500));
	stack_heap_release(heap, mark);
	EXPECT_NULL(heap_check(heap));
	EXPECT_TRUE(heap_alloc(heap, 50) == first);
	heap_free(heap, middle); /* waits for what is above it */
	EXPECT_EQ(stack_heap_mark(heap), (u64)first - 16);
	heap_free(heap, first);
	EXPECT_EQ(stack_heap_mark(heap), (u64)low - 16);
	heap_free(heap, low);
	EXPECT_EQ(stack_heap_mark(heap), 0);
	EXPECT_NULL(heap_check(heap));
	teardown(c);
}

TEST(heaps, a_stack_grows_its_top_in_place)
{
	struct conformance *c = setup();
	struct region r;
	struct heap *heap = make(c, &r, "stack", REGION_BREAK);
	void *low = heap_alloc(heap, 100), *top = heap_alloc(heap, 100);

	EXPECT_TRUE(heap_resize(heap, top, 5000) == top);
	EXPECT_TRUE(heap_resize(heap, top, 10) == top);
	EXPECT_TRUE(heap_resize(heap, low, 112) == low);
	EXPECT_FALSE(heap_resize(heap, low, 113) == low);
	EXPECT_NULL(heap_check(heap));
	teardown(c);
}

TEST(heaps, a_bump_arena_begins_again)
{
	struct conformance *c = setup();
	struct region r;
	struct heap *heap = make(c, &r, "bump", REGION_BREAK);
	void *first = heap_alloc(heap, 100), *second = heap_alloc(heap, 200);
	size_t footprint = region_footprint(&r);

	EXPECT_TRUE(heap_resize(heap, second, 1000) == second);
	EXPECT_FALSE(heap_resize(heap, first, 1000) == first);
	bump_heap_reset(heap);
	EXPECT_LT(region_footprint(&r), footprint);
	EXPECT_TRUE(heap_alloc(heap, 1) == first);
	heap_free(heap, first);
	EXPECT_TRUE(heap_alloc(heap, 1) == first);
	EXPECT_NULL(heap_check(heap));
	teardown(c);
}

TEST(heaps, an_arena_gives_its_caches_back)
{
	struct conformance *c = setup();
	struct region r;
	struct heap *heap = make(c, &r, "arena", REGION_BUFFER);
	void *object[40];

	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = heap_alloc(heap, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		heap_free(heap, object[i]);
	EXPECT_TRUE(heap_alloc(heap, 100) == object[ARRAY_SIZE(object) - 1]); /* out of the cache */
	heap_free(heap, object[ARRAY_SIZE(object) - 1]);
	arena_heap_drain(heap);
	EXPECT_NULL(heap_check(heap));
	EXPECT_NOT_NULL(heap_alloc(heap, CONFORMANCE_BYTES * 3 / 4));
	teardown(c);
}
