/*
 * Every design costs what its file claims: steps counted at 64 to 4096 blocks. build/host/heaps
 * does the same to 100 000.
 */
#include <mm/mm.h>
#include <tests/model/heap_complexity.h>
#include <tests/test.h>

#define FIRST 16u
#define FACTOR 4u
#define LAST (FIRST * FACTOR * FACTOR * FACTOR)

static void judge(const struct heap_design *design, const struct complexity *c)
{
	EXPECT_STREQ(heap_order_name(c->alloc.fitted), heap_order_name(design->alloc_order));
	EXPECT_STREQ(heap_order_name(c->free.fitted), heap_order_name(design->free_order));
	if (c->alloc.fitted == design->alloc_order && c->free.fitted == design->free_order)
		return;
	for (unsigned i = 0; i < COMPLEXITY_POINTS; i++)
		test_note("%s, %lu blocks: alloc %lu, free %lu", design->name, c->n[i],
		          c->alloc.cost[i], c->free.cost[i]);
}

TEST(heaps_complexity, every_design_costs_what_it_claims)
{
	size_t memory_bytes = complexity_memory(LAST), table_bytes = 2 * LAST * sizeof(void *);
	void *memory = alloc_pages_exact(memory_bytes, GFP_KERNEL);
	void **objects = alloc_pages_exact(table_bytes, GFP_KERNEL);
	struct complexity c;

	ASSERT_NOT_NULL(memory);
	ASSERT_NOT_NULL(objects);
	for (const struct heap_design *const *d = heap_designs; *d != NULL; d++) {
		if ((*d)->traits & HEAP_KERNEL)
			continue;
		bool counted = complexity_count(*d, FIRST, FACTOR, memory, objects, &c);

		EXPECT_TRUE(counted);
		if (counted)
			judge(*d, &c);
		else
			test_note("%s could not be filled", (*d)->name);
	}
	free_pages_exact(objects, table_bytes);
	free_pages_exact(memory, memory_bytes);
}

TEST(heaps_complexity, curves_have_an_order)
{
	static const u64 constant[] = {16, 17, 17, 18}, logarithm[] = {60, 100, 140, 170};
	static const u64 linear[] = {100, 900, 9000, 90000}, square[] = {1, 100, 10000, 1000000};
	static const u64 root[] = {10, 32, 100, 316}, falling[] = {60, 40, 30, 20};

	EXPECT_EQ(complexity_fit(constant, 10), HEAP_O_1);
	EXPECT_EQ(complexity_fit(falling, 10), HEAP_O_1);
	EXPECT_EQ(complexity_fit(logarithm, 10), HEAP_O_LOG_N);
	EXPECT_EQ(complexity_fit(linear, 10), HEAP_O_N);
	EXPECT_EQ(complexity_fit(square, 10), HEAP_O_OTHER);
	EXPECT_EQ(complexity_fit(root, 10), HEAP_O_OTHER);
}
