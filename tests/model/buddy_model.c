/*
 * Random operations on a private buddy, against an oracle that only knows who owns each page.
 *
 * The oracle has one owner number a page frame and a table of what is held. From these alone it
 * decides what the buddy must answer: an allocation succeeds exactly when some aligned block is all
 * free, what it gives was free, and at every check the free lists are the only ones possible
 * (tests/model/arena.h says why).
 */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"

#define NR_STEPS 150000u
#define STEPS_A_CHECK 5000u
#define MAX_HELD 3000u

enum { NOT_RAM, FREE, HELD };

/* nr_pages is not 0 for a run; then `order` is that of the block it was cut from. */
struct held {
	u32 pfn, nr_pages;
	unsigned order;
};

static struct buddy *b;
static u8 owner[ARENA_PAGES];
static struct held held[MAX_HELD];
static u32 nr_held, nr_free;
static u8 shape[ARENA_PAGES], expected[ARENA_PAGES];

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

static void add(u32 start, u32 end)
{
	buddy_add_range(b, start, end);
	memset(owner + start, FREE, end - start);
	nr_free += end - start;
}

/* Memory with holes of several sizes and unaligned ends. */
static void open(void)
{
	b = arena_open(1, ARENA_PAGES, (enum garbage)below(NR_GARBAGES));
	memset(owner, NOT_RAM, sizeof(owner));
	nr_held = nr_free = 0;
	add(1, 159);
	add(160, 700);
	add(1024, 1024 + 1 + below(1000));
	add(2500, 4097);
	add(4097, 7935);
}

static bool is_all(u32 pfn, u32 nr_pages, u8 who)
{
	return mem_find_other(owner + pfn, who, nr_pages) == NULL;
}

static bool could_alloc(unsigned order)
{
	u32 size = 1u << order;

	if (order == 0)
		return nr_free > 0;
	for (u32 pfn = 0; pfn + size <= ARENA_PAGES; pfn += size)
		if (owner[pfn] == FREE && is_all(pfn, size, FREE))
			return true;
	return false;
}

/* Mostly small, sometimes of any size. */
static unsigned random_order(void)
{
	u64 bits = rng_next(test_rng()) | 1u << 13;
	unsigned order = lowest_bit(bits);

	return bits >> 60 == 0 ? below(14) : order;
}

static void alloc_some(void)
{
	unsigned order = random_order();
	u32 size = 1u << order, keep = size, pfn;

	if (nr_held == MAX_HELD)
		return;
	pfn = buddy_alloc(b, order);
	if (pfn == 0) {
		if (below(8) == 0)
			ASSERT_FALSE(could_alloc(order));
		return;
	}
	ASSERT_TRUE(pfn + size <= ARENA_PAGES && is_aligned(pfn, size));
	ASSERT_TRUE(is_all(pfn, size, FREE));
	if (below(4) == 0) {
		keep = 1 + below(size);
		buddy_trim(b, pfn, order, keep);
		held[nr_held++] = (struct held){pfn, keep, order};
	} else {
		held[nr_held++] = (struct held){pfn, 0, order};
	}
	memset(owner + pfn, HELD, keep);
	nr_free -= keep;
}

/* A CPU's refill: blocks of one order; none only when there is none. */
static void alloc_batch(void)
{
	struct page *pages[64];
	unsigned order = below(5), n = 1 + below(ARRAY_SIZE(pages) >> order), nr;

	if (nr_held + n > MAX_HELD)
		return;
	nr = buddy_alloc_batch(b, order, n, pages);
	ASSERT_LE(nr, n);
	for (unsigned i = 0; i < nr; i++) {
		u32 pfn = (u32)(pages[i] - b->map), size = 1u << order;

		ASSERT_TRUE(is_aligned(pfn, size) && is_all(pfn, size, FREE));
		ASSERT_EQ(pages[i]->type, PAGE_CACHED);
		pages[i]->type = PAGE_ALLOCATED;
		held[nr_held++] = (struct held){pfn, 0, order};
		memset(owner + pfn, HELD, size);
		nr_free -= size;
	}
	if (nr == 0)
		ASSERT_FALSE(could_alloc(order));
}

/* A CPU's drain: single pages of those held. */
static void free_batch(void)
{
	struct page *pages[32];
	unsigned n = 0, nr;

	for (u32 i = nr_held; i-- > 0 && n < ARRAY_SIZE(pages);)
		if (held[i].nr_pages == 0 && held[i].order == 0) {
			pages[n] = &b->map[held[i].pfn];
			pages[n++]->type = PAGE_CACHED;
			held[i] = held[--nr_held];
		}
	for (unsigned done = 0; done < n; done += nr) {
		nr = buddy_free_batch(b, 0, n - done, pages + done);
		ASSERT_TRUE(nr > 0 && nr <= n - done);
	}
	for (unsigned i = 0; i < n; i++) {
		u32 pfn = (u32)(pages[i] - b->map);

		ASSERT_EQ(owner[pfn], HELD);
		owner[pfn] = FREE;
		nr_free++;
	}
}

static void free_some(void)
{
	u32 i = below(nr_held);
	struct held h = held[i];
	u32 size = h.nr_pages ? h.nr_pages : 1u << h.order;

	held[i] = held[--nr_held];
	if (h.nr_pages)
		buddy_free_run(b, h.pfn, h.nr_pages);
	else
		buddy_free(b, h.pfn, h.order);
	ASSERT_TRUE(is_all(h.pfn, size, HELD));
	memset(owner + h.pfn, FREE, size);
	nr_free += size;
}

/* Any number, right or wrong, gets the answer that the oracle gives. */
static void ask_about_a_free(void)
{
	u32 pfn = below(ARENA_PAGES + 10), i = 0;
	unsigned order = below(12);
	const char *fault = buddy_free_fault(b, pfn, order);

	while (i < nr_held && held[i].pfn != pfn)
		i++;
	if (i < nr_held && held[i].nr_pages == 0 && held[i].order == order)
		ASSERT_NULL(fault);
	else
		ASSERT_NOT_NULL(fault);
	if (pfn != 0 && pfn < ARENA_PAGES && owner[pfn] == FREE)
		ASSERT_STREQ(fault, "double free");
	if (pfn != 0 && pfn < ARENA_PAGES && owner[pfn] == NOT_RAM)
		ASSERT_STREQ(fault, "not RAM");
}

static void check(void)
{
	ASSERT_SOUND(buddy_check(b));
	ASSERT_EQ(b->nr_free_pages, nr_free);
	arena_take_shape(b, shape);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		expected[pfn] = owner[pfn] == FREE;
	arena_expected_shape(expected, expected);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		if (shape[pfn] != expected[pfn]) {
			test_fail(__FILE__, __LINE__, "pfn %u: free order %d, must be %d", pfn,
			          shape[pfn] - 1, expected[pfn] - 1);
			test_end();
		}
}

/* Phases of filling and of emptying, so that both ends of the range are reached. */
TEST(buddy_model, random_operations_against_an_ownership_oracle)
{
	u32 frees_in_16 = 7;

	open();
	check();
	for (u32 step = 1; step <= NR_STEPS; step++) {
		if (step % 4096 == 0)
			frees_in_16 = 4 + below(9);
		if (step % 64 == 0)
			ask_about_a_free();
		else if (step % 16 == 0)
			below(16) < frees_in_16 ? free_batch() : alloc_batch();
		else if (nr_held > 0 && below(16) < frees_in_16)
			free_some();
		else
			alloc_some();
		if (step % STEPS_A_CHECK == 0)
			check();
	}
	while (nr_held > 0)
		free_some();
	check();
	EXPECT_EQ(b->nr_free_pages, b->nr_managed_pages);
}
