/*
 * Ranges taken by place, between ordinary allocations, against an oracle with one state a frame:
 * a claim succeeds exactly when all its frames are free, a search finds the first place there is,
 * what was removed is nobody's until it is restored, and the free lists are always the only ones
 * possible.
 */
#include <mm/buddy.h>

#include "tests/model/arena.h"
#include "tests/model/expect.h"

#define NR_STEPS 4000u
#define STEPS_A_CHECK 100u
#define MAX_HELD 200u

enum { NOT_RAM, FREE, HELD, REMOVED };
enum kind { BLOCK, RANGE, AWAY };

static struct held {
	u32 pfn, nr_pages;
	unsigned order;
	enum kind kind;
} held[MAX_HELD];

static struct buddy *b;
static u8 owner[ARENA_PAGES];
static u32 nr_held;
static u8 shape[ARENA_PAGES], expected[ARENA_PAGES];

static u32 below(u32 bound)
{
	return (u32)rng_below(test_rng(), bound);
}

static void own(u32 pfn, u32 nr_pages, u8 who)
{
	memset(owner + pfn, who, nr_pages);
}

static bool is_all(u32 pfn, u32 nr_pages, u8 who)
{
	return mem_find_other(owner + pfn, who, nr_pages) == NULL;
}

static void open(void)
{
	static const u32 range[][2] = {
	    {1, 159}, {160, 700}, {1030, 3000}, {3072, 6144}, {6150, 7900}};

	b = arena_open(1, ARENA_PAGES, (enum garbage)below(NR_GARBAGES));
	memset(owner, NOT_RAM, sizeof(owner));
	nr_held = 0;
	for (unsigned i = 0; i < ARRAY_SIZE(range); i++) {
		buddy_add_range(b, range[i][0], range[i][1]);
		own(range[i][0], range[i][1] - range[i][0], FREE);
	}
}

static u32 first_place(u32 nr_pages, u32 align)
{
	for (u32 pfn = (u32)align_up(1, align); pfn + nr_pages <= ARENA_PAGES; pfn += align)
		if (owner[pfn] == FREE && is_all(pfn, nr_pages, FREE))
			return pfn;
	return 0;
}

static u32 random_length(void)
{
	return 1 + below(1u << below(12));
}

static void hold(u32 pfn, u32 nr_pages, unsigned order, enum kind kind)
{
	held[nr_held++] = (struct held){pfn, nr_pages, order, kind};
	own(pfn, nr_pages, kind == AWAY ? REMOVED : HELD);
}

static void alloc_block(void)
{
	unsigned order = below(8);
	u32 pfn = buddy_alloc(b, order);

	if (pfn != 0) {
		ASSERT_TRUE(is_all(pfn, 1u << order, FREE));
		hold(pfn, 1u << order, order, BLOCK);
	}
}

static void claim_first(void)
{
	u32 nr_pages = random_length(), align = 1u << below(10);
	u32 pfn = buddy_find_range(b, nr_pages, align);

	ASSERT_EQ(pfn, first_place(nr_pages, align));
	if (pfn != 0) {
		ASSERT_TRUE(buddy_claim(b, pfn, pfn + nr_pages));
		hold(pfn, nr_pages, 0, RANGE);
	}
}

/* Anywhere, free or not; sometimes it is taken away. */
static void claim_anywhere(void)
{
	u32 nr_pages = random_length(), pfn = 1 + below(ARENA_PAGES - nr_pages - 1);
	bool claimed = buddy_claim(b, pfn, pfn + nr_pages);

	ASSERT_EQ(claimed, is_all(pfn, nr_pages, FREE));
	if (!claimed)
		return;
	if (below(3) == 0) {
		buddy_remove(b, pfn, pfn + nr_pages);
		hold(pfn, nr_pages, 0, AWAY);
	} else {
		hold(pfn, nr_pages, 0, RANGE);
	}
}

static void give_back(void)
{
	u32 i = below(nr_held);
	struct held h = held[i];

	held[i] = held[--nr_held];
	if (h.kind == BLOCK)
		buddy_free(b, h.pfn, h.order);
	else if (h.kind == RANGE)
		buddy_free_range(b, h.pfn, h.pfn + h.nr_pages);
	else
		buddy_restore(b, h.pfn, h.pfn + h.nr_pages);
	own(h.pfn, h.nr_pages, FREE);
}

/* A frame of a range leads to its head, and so to a fault that fits. */
static void ask(void)
{
	u32 pfn = 1 + below(ARENA_PAGES - 1);
	const char *fault = buddy_free_fault(b, pfn, 12);

	if (owner[pfn] == FREE)
		ASSERT_STREQ(fault, "double free");
	else if (owner[pfn] == NOT_RAM || owner[pfn] == REMOVED)
		ASSERT_STREQ(fault, "not RAM");
	else
		ASSERT_TRUE(strcmp(fault, "wrong order") == 0 ||
		            strcmp(fault, "not the head of a block") == 0);
}

static void check(void)
{
	u64 nr_free = 0, nr_managed = 0;

	ASSERT_SOUND(buddy_check(b));
	arena_take_shape(b, shape);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++) {
		expected[pfn] = owner[pfn] == FREE;
		nr_free += owner[pfn] == FREE;
		nr_managed += owner[pfn] == FREE || owner[pfn] == HELD;
	}
	ASSERT_EQ(b->nr_free_pages, nr_free);
	ASSERT_EQ(b->nr_managed_pages, nr_managed);
	arena_expected_shape(expected, expected);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		if (shape[pfn] != expected[pfn]) {
			test_fail(__FILE__, __LINE__, "pfn %u: free order %d, must be %d", pfn,
			          shape[pfn] - 1, expected[pfn] - 1);
			test_end();
		}
}

TEST(buddy_model, ranges_against_an_ownership_oracle)
{
	open();
	check();
	for (u32 step = 1; step <= NR_STEPS; step++) {
		u32 what = below(16);

		if (nr_held > 0 && (what < 7 || nr_held == MAX_HELD))
			give_back();
		else if (what < 11)
			alloc_block();
		else if (what < 13)
			claim_first();
		else
			claim_anywhere();
		ask();
		if (step % STEPS_A_CHECK == 0)
			check();
	}
	while (nr_held > 0)
		give_back();
	check();
	EXPECT_EQ(b->nr_free_pages, b->nr_managed_pages);
}
