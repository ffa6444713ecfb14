/*
 * The gallery's checks find what they are there for: a heap of six objects, two of them freed, one
 * or two words changed behind its back, and heap_check() must name the invariant.
 *
 * Words are counted from an object, negative ones into its books, or from the end of struct heap,
 * into the design's state. So this file knows the layouts that the designs' pictures show.
 */
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/model/heap_conformance.h>
#include <tests/test.h>

#define NR_OBJECTS 6
#define SIZE 100u
#define STATE NR_OBJECTS /* in place of an object: the design's state */
#define FLAG (1ull << 32)

struct change {
	unsigned where; /* an object, 1 and 3 are freed; or STATE */
	int word;
	enum { NOTHING, FLIP, SET } how;
	u64 value;
};

static const struct breakage {
	const char *design, *broken;
	struct change change[2];
} breakages[] = {
    {"naive", "naive N1: the list does not end at the last block", {{0, -2, SET, 0}}},
    {"naive", "naive N2: the number of free blocks is wrong", {{0, -1, FLIP, FLAG}}},
    {"naive", "naive N3: a block overlaps another or the break", {{0, -1, SET, 1000}}},
    {"stack", "stack S1: an object overlaps the one above it", {{0, -1, SET, 1000}}},
    {"stack", "stack S2: the topmost object is freed", {{5, -1, FLIP, FLAG}}},
    {"bump", "bump B1: the objects do not fit below the top", {{STATE, 1, SET, 0}}},
    {"bump", "bump B2: the number of live objects is wrong", {{STATE, 3, SET, 99}}},
    {"implicit_first", "tags T1: a block's size leads astray", {{0, -1, SET, 17}}},
    {"implicit_first", "tags T2: a footer differs from its tag", {{0, -1, FLIP, 2}}},
    {"implicit_first",
     "tags T3: two free blocks lie side by side",
     {{2, -1, FLIP, 1}, {2, 14, FLIP, 1}}},
    {"implicit_first", "implicit I1: a free block lies below the lowest", {{STATE, 5, SET, ~0ull}}},
    {"implicit_next", "implicit I1: a search would begin inside a block", {{STATE, 6, FLIP, 16}}},
    {"explicit_footless", "tags T2: a footer differs from its tag", {{1, 12, FLIP, 16}}},
    {"explicit_footless", "tags T4: PREV_USED is wrong", {{2, -1, FLIP, 2}}},
    {"explicit_lifo", "explicit E1: the list of free blocks is broken", {{1, 1, FLIP, 16}}},
    {"explicit_lifo", "explicit E2: the list is not in address order", {{STATE, 4, SET, 1}}},
    {"segregated", "segregated G1: a class's bit is wrong", {{STATE, 4, FLIP, 1}}},
    {"tlsf", "tlsf L1: a bit of the first level is wrong", {{STATE, 4, FLIP, 1}}},
    {"tlsf", "tlsf L1: a bit of the second level is wrong", {{STATE, 5, FLIP, 1 << 16}}},
    {"tree", "tree T1: the trees hold different blocks", {{STATE, 0, SET, 0}}},
    {"tree", "tree T2: two free blocks touch", {{1, -1, SET, 224}}},
    {"tree", "tree T3: used and free blocks do not fill the heap", {{STATE, 3, FLIP, 16}}},
    {"buddy_heap", "buddy_heap D1: a header is no block's", {{0, -2, FLIP, 1}}},
    {"buddy_heap", "buddy_heap D2: an order's bit is wrong", {{STATE, 2, FLIP, 1ull << 40}}},
    {"buddy_heap", "buddy_heap D3: two buddies are free", {{0, -2, FLIP, 1ull << 40}}},
    {"pool_stack", "pool_stack P1: a free index is wrong, or there twice", {{STATE, 3, FLIP, 1}}},
    {"pool_bitmap", "pool_bitmap P1: the number of free objects is wrong", {{STATE, 3, FLIP, 1}}},
    {"pool_list", "pool_list P1: a free object is not in the list", {{STATE, 3, FLIP, 1}}},
    {"pool_list", "pool_list P1: the list of free objects leads astray", {{STATE, 3, SET, 3}}},
    {"slab_heap", "slab_heap S2: the list of free objects leads astray", {{1, 0, FLIP, 8}}},
    {"slab_heap", "slab_heap S2: the number of free objects is wrong", {{0, -4, FLIP, 64}}},
};

static void apply(struct heap *heap, u64 *const object[], const struct change *c)
{
	u64 *base = c->where == STATE ? (u64 *)(void *)(heap + 1) : object[c->where];

	if (c->how == FLIP)
		base[c->word] ^= c->value;
	else if (c->how == SET)
		base[c->word] = c->value;
}

static struct heap *six_objects(const char *name, struct region *r, void *memory, u64 *object[])
{
	const struct heap_design *design = heap_design_find(name);
	struct heap_options options = {.object_size = SIZE, .nr_objects = 64};
	struct heap *heap;

	region_init(r, design->traits & HEAP_MAPS ? REGION_MAPPED : REGION_BREAK, memory,
	            CONFORMANCE_BYTES, REGION_NO_THRESHOLD);
	heap = heap_create(design, r, &options);
	ASSERT_NOT_NULL(heap);
	for (unsigned i = 0; i < NR_OBJECTS; i++)
		object[i] = heap_alloc(heap, SIZE);
	heap_free(heap, object[1]);
	heap_free(heap, object[3]);
	return heap;
}

TEST(heaps_check, every_invariant_is_found_broken)
{
	void *memory = alloc_pages_exact(CONFORMANCE_BYTES, GFP_KERNEL);

	ASSERT_NOT_NULL(memory);
	for (unsigned i = 0; i < ARRAY_SIZE(breakages); i++) {
		const struct breakage *b = &breakages[i];
		u64 *object[NR_OBJECTS];
		struct region r;
		struct heap *heap = six_objects(b->design, &r, memory, object);

		EXPECT_NULL(heap_check(heap));
		apply(heap, object, &b->change[0]);
		apply(heap, object, &b->change[1]);
		EXPECT_STREQ(heap_check(heap), b->broken);
	}
	free_pages_exact(memory, CONFORMANCE_BYTES);
}

/* The arena's caches are reached through a pointer a CPU; objects of 100 bytes are class 3. */
TEST(heaps_check, an_arena_that_is_wrong_is_found)
{
	void *memory = alloc_pages_exact(CONFORMANCE_BYTES, GFP_KERNEL);
	u64 *object[NR_OBJECTS];
	struct region r;

	ASSERT_NOT_NULL(memory);
	struct heap *heap = six_objects("arena", &r, memory, object);
	u64 *front = ((u64 **)(void *)(heap + 1))[4 + cpu_id()];
	u32 *nr = (u32 *)(void *)(front + 3 * 17);

	EXPECT_NULL(heap_check(heap));
	EXPECT_EQ(*nr, 4); /* of a batch of eight; six are taken, two are back */
	*nr = 17;
	EXPECT_STREQ(heap_check(heap), "arena A2: a cache holds too many objects");
	*nr = 4;
	front[4 * 17] = 1;
	front[4 * 17 + 1] = front[3 * 17 + 1];
	EXPECT_STREQ(heap_check(heap), "arena A1: a cached object is too small for its class");
	free_pages_exact(memory, CONFORMANCE_BYTES);
}
