/*
 * What make grade asks of a heap: the gallery's conformance suite task by task, books that were
 * written over, the costs that it claims, and the score in steps. Each suite is one task's.
 */
#include "contest.h"

#include <lib/bits.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <tests/model/heap_complexity.h>
#include <tests/model/heap_conformance.h>
#include <tests/test.h>

static void run_trial(const char *name)
{
	struct conformance *c = kzalloc(sizeof(*c), GFP_KERNEL);
	unsigned trial = 0;
	bool passed;

	ASSERT_NOT_NULL(c);
	c->memory = alloc_pages_exact(CONFORMANCE_BYTES, GFP_KERNEL);
	c->objects = alloc_pages_exact(CONFORMANCE_OBJECTS * sizeof(*c->objects), GFP_KERNEL);
	c->seed = rng_next(test_rng());
	ASSERT_TRUE(c->memory != NULL && c->objects != NULL);
	while (strcmp(conformance_trial_name(trial), name) != 0)
		ASSERT_LT(++trial, conformance_nr_trials());
	passed = conformance_run(c, contest_design(), trial);
	if (!passed)
		test_note("fed by %s: %s", c->kind, c->why);
	EXPECT_TRUE(passed);
	free_pages_exact(c->objects, CONFORMANCE_OBJECTS * sizeof(*c->objects));
	free_pages_exact(c->memory, CONFORMANCE_BYTES);
	kfree(c);
}

#define TRIAL(suite, name)        \
	TEST(suite, name)         \
	{                         \
		run_trial(#name); \
	}
TRIAL(lab8_objects, sizes)
TRIAL(lab8_objects, alignments)
TRIAL(lab8_objects, zero_size)
TRIAL(lab8_objects, huge_sizes)
TRIAL(lab8_objects, usable_bytes)
TRIAL(lab8_free, exhaustion)
TRIAL(lab8_free, reuse)
TRIAL(lab8_free, aligned_reuse)
TRIAL(lab8_free, coalescing)
TRIAL(lab8_free, random_model)
TRIAL(lab8_resize, resizing)
TRIAL(lab8_resize, resizing_in_place)
TRIAL(lab8_resize, large_objects)
TRIAL(lab8_check, walking)

/* --- a heap of 256 KiB, by hand --- */

#define NR_OBJECTS 60u
#define SIZE 104u

static struct lent {
	void *memory;
	struct region region;
	struct heap *heap;
	u8 *object[NR_OBJECTS];
} lent;

static void open_heap(void)
{
	const struct heap_design *design = contest_design();
	enum region_kind kind = design->traits & HEAP_MAPS ? REGION_MAPPED : REGION_BREAK;

	lent.memory = alloc_pages_exact(CONFORMANCE_BYTES, GFP_KERNEL);
	ASSERT_NOT_NULL(lent.memory);
	region_init(&lent.region, kind, lent.memory, CONFORMANCE_BYTES, REGION_NO_THRESHOLD);
	lent.heap = heap_create(design, &lent.region, NULL);
	ASSERT_NOT_NULL(lent.heap);
}

static void close_heap(void)
{
	free_pages_exact(lent.memory, CONFORMANCE_BYTES);
}

/* Whatever the design: memory that small objects had becomes a large one's, and the reverse. */
TEST(lab8_free, small_becomes_large_and_small_again)
{
	static void *held[4096];
	size_t most = 0;

	open_heap();
	for (unsigned round = 0; round < 3; round++) {
		void *large[8];
		unsigned nr = 0, nr_large = 0;

		while (nr < 4096 && (held[nr] = heap_alloc(lent.heap, SIZE)) != NULL)
			nr++;
		EXPECT_GT(nr, CONFORMANCE_BYTES / 300); /* a third of all is the objects' */
		EXPECT_GE(nr, most * 9 / 10);
		most = max_u64(most, nr);
		for (unsigned i = 0; i < nr; i++)
			heap_free(lent.heap, held[i ^ (i < (nr & ~63u) ? 21 : 0)]);
		while (nr_large < 8 && (large[nr_large] = heap_alloc(lent.heap, 20 * KIB)) != NULL)
			nr_large++;
		EXPECT_GE(nr_large, 6);
		for (unsigned i = 0; i < nr_large; i++)
			heap_free(lent.heap, large[i]);
	}
	close_heap();
}

static void open_with_objects(void)
{
	open_heap();
	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		lent.object[i] = heap_alloc(lent.heap, SIZE);
		ASSERT_NOT_NULL(lent.object[i]);
		memset(lent.object[i], 0x5a, SIZE);
	}
	for (unsigned i = 0; i < NR_OBJECTS; i += 4) {
		heap_free(lent.heap, lent.object[i]);
		lent.object[i] = NULL;
	}
	ASSERT_NULL(heap_check(lent.heap));
}

static bool is_in_an_object(const void *word)
{
	for (unsigned i = 0; i < NR_OBJECTS; i++) {
		const u8 *o = lent.object[i];

		if (o != NULL && (const u8 *)word + 8 > o &&
		    (const u8 *)word < o + heap_usable_size(lent.heap, o))
			return true;
	}
	return false;
}

/* The word in front of each object, where that is books: an overflow of its neighbour. */
TEST(lab8_check, sees_what_an_overflow_wrote)
{
	unsigned nr = 0, seen = 0;

	open_with_objects();
	for (unsigned i = 1; i < NR_OBJECTS; i++) {
		u64 *word = (u64 *)(void *)lent.object[i], old;

		if (word == NULL || is_in_an_object(--word))
			continue;
		old = *word;
		*word = 0x4141414141414141;
		nr++;
		seen += heap_check(lent.heap) != NULL;
		*word = old;
	}
	test_note("%u of %u words that were written over were noticed", seen, nr);
	EXPECT_GE(seen * 10, nr * 9);
	EXPECT_NULL(heap_check(lent.heap));
	close_heap();
}

/* Where the first object begins: books that are the heap's, not an object's, end there. */
static u64 first_block;

static void find_first(void *context, const struct heap_block *block)
{
	(void)context;
	first_block = min_u64(first_block, (u64)block->start);
}

/* One bit of each word of the books below the first block: pointers, bits and counts. */
TEST(lab8_check, sees_books_that_were_written_over)
{
	unsigned nr = 0, seen = 0;

	open_with_objects();
	first_block = ~0ul;
	heap_walk(lent.heap, find_first, NULL);
	for (u64 at = (u64)(lent.heap + 1); at + 8 <= first_block && nr < 1000; at += 8, nr++) {
		u64 *word = (u64 *)at, bit = 1ul << (at / 8 % 12);

		*word ^= bit;
		seen += heap_check(lent.heap) != NULL;
		*word ^= bit;
	}
	test_note("%u of %u bits that were turned were noticed", seen, nr);
	EXPECT_GE(seen * 4, nr * 3);
	EXPECT_NULL(heap_check(lent.heap));
	close_heap();
}

/* --- costs --- */

#define FIRST 32u
#define FACTOR 4u
#define LAST (FIRST * FACTOR * FACTOR * FACTOR)

static void count(struct complexity *c)
{
	size_t memory_bytes = complexity_memory(LAST), table_bytes = 2 * LAST * sizeof(void *);
	void *memory = alloc_pages_exact(memory_bytes, GFP_KERNEL);
	void **objects = alloc_pages_exact(table_bytes, GFP_KERNEL);

	ASSERT_TRUE(memory != NULL && objects != NULL);
	ASSERT_TRUE(complexity_count(contest_design(), FIRST, FACTOR, memory, objects, c));
	free_pages_exact(objects, table_bytes);
	free_pages_exact(memory, memory_bytes);
}

static void judge(const char *what, const struct complexity_curve *curve, enum heap_order claimed)
{
	test_note("%s: %lu, %lu, %lu, %lu steps for %u operations: %s", what, curve->cost[0],
	          curve->cost[1], curve->cost[2], curve->cost[3], COMPLEXITY_PROBES,
	          heap_order_name(curve->fitted));
	EXPECT_STREQ(heap_order_name(curve->fitted), heap_order_name(claimed));
}

TEST(lab8_cost, alloc_grows_as_claimed)
{
	struct complexity c;

	count(&c);
	judge("alloc", &c.alloc, heap_contest.alloc_order);
}

TEST(lab8_cost, free_grows_as_claimed)
{
	struct complexity c;

	count(&c);
	judge("free", &c.free, heap_contest.free_order);
}

/* --- the score --- */

static void reach(unsigned points)
{
	static const struct contest_program programs[] = {
	    {.name = "a tree", .slots = 2000, .small = 96, .kinds = 4},
	    {.name = "strings", .slots = 600, .small = 200, .large = 3000, .rare = 20, .grows = 60},
	    {.name = "phases",
	     .slots = 1500,
	     .small = 400,
	     .large = 9000,
	     .rare = 50,
	     .phase = 2500},
	};
	struct contest_score s;

	contest_score(programs, ARRAY_SIZE(programs), 1, &s);
	test_note("score %u.%u: U %u %%, %lu.%lu steps an operation", s.points_tenths / 10,
	          s.points_tenths % 10, s.used_percent, s.steps_tenths / 10, s.steps_tenths % 10);
	EXPECT_GE(s.points_tenths, points * 10);
}

#define AT_LEAST(points)                    \
	TEST(lab8_score, at_least_##points) \
	{                                   \
		reach(points);              \
	}
AT_LEAST(40)
AT_LEAST(50)
AT_LEAST(60)
AT_LEAST(65)
AT_LEAST(70)
AT_LEAST(75)
AT_LEAST(80)
AT_LEAST(85)
