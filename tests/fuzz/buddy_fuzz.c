/*
 * The buddy on a private page map, against one owner a frame.
 *
 * The oracle decides from the owners alone: an allocation succeeds exactly when an aligned block is
 * all free, what it gives was free, a free is refused exactly when it is not that of a held block,
 * and the free lists are the only ones possible (tests/model/arena.h says why). The same oracle as
 * tests/model/buddy_model.c, but what happens is the fuzzer's choice: it sees which paths are left.
 *
 * Input: 3 bytes of set-up, then operations of 2 to 4 bytes.
 */
#include <mm/buddy.h>
#include <tests/fuzz/fuzz.h>
#include <tests/model/arena.h>

#define MAX_HELD 512u
#define OPS_A_CHECK 16u
#define MAX_OPS 400u

enum { NOT_RAM, FREE, HELD };

struct held {
	u32 pfn, nr_pages;
	unsigned order; /* ORDER_RUN: a run */
};

static struct buddy *b;
static u8 owner[ARENA_PAGES];
static struct held held[MAX_HELD];
static u32 nr_held, nr_free, nr_managed;
static u8 shape[ARENA_PAGES], expected[ARENA_PAGES];

static bool is_all(u32 pfn, u32 nr_pages, u8 who)
{
	return mem_find_other(owner + pfn, who, nr_pages) == NULL;
}

static void add(u32 start, u32 end)
{
	end = end > b->end ? b->end : end;
	if (start < b->start || start >= end || !is_all(start, end - start, NOT_RAM))
		return;
	buddy_add_range(b, start, end);
	memset(owner + start, FREE, end - start);
	nr_free += end - start;
	nr_managed += end - start;
}

static void hold(u32 pfn, u32 nr_pages, unsigned order)
{
	held[nr_held++] = (struct held){pfn, nr_pages, order};
	memset(owner + pfn, HELD, nr_pages);
	nr_free -= nr_pages;
}

static bool could_alloc(unsigned order)
{
	u32 size = 1u << order;

	for (u32 pfn = 0; size <= ARENA_PAGES && pfn < ARENA_PAGES; pfn += size)
		if (is_all(pfn, size, FREE))
			return true;
	return false;
}

/* --- operations --- */

static void op_alloc(struct input *in, u32 how)
{
	unsigned order = input_below(in, 20) % NR_ORDERS;
	u32 size = 1u << order, pfn = buddy_alloc(b, order);

	if (pfn == 0) {
		MUST(!could_alloc(order));
		return;
	}
	MUST(pfn % size == 0 && pfn < ARENA_PAGES && size <= ARENA_PAGES - pfn);
	MUST(is_all(pfn, size, FREE));
	if (how == 1) {
		u32 keep = 1 + input_below(in, size);

		buddy_trim(b, pfn, order, keep);
		hold(pfn, keep, ORDER_RUN);
	} else {
		hold(pfn, size, order);
	}
}

/* A CPU's refill: blocks of one order; none only when there is none. */
static void op_batch(struct input *in)
{
	unsigned order = input_below(in, 5), n = 1 + input_below(in, 64u >> order), nr;
	u32 size = 1u << order;
	struct page *pages[64];

	if (nr_held + n > MAX_HELD)
		return;
	nr = buddy_alloc_batch(b, order, n, pages);
	MUST(nr <= n && (nr != 0 || !could_alloc(order)));
	for (unsigned i = 0; i < nr; i++) {
		u32 pfn = (u32)(pages[i] - b->map);

		MUST(pfn % size == 0 && is_all(pfn, size, FREE));
		MUST_EQ(pages[i]->type, PAGE_CACHED);
		pages[i]->type = PAGE_ALLOCATED;
		hold(pfn, size, order);
	}
}

/* A CPU's drain, in one trip or several: the blocks of one order among those held. */
static void op_batch_free(struct input *in)
{
	unsigned order = input_below(in, 5), max = 1 + input_below(in, 32), n = 0, nr;
	struct page *pages[32];

	for (u32 i = nr_held; i-- > 0 && n < max;)
		if (held[i].order == order) {
			pages[n++] = &b->map[held[i].pfn];
			held[i] = held[--nr_held];
		}
	for (unsigned i = 0; i < n; i++)
		pages[i]->type = PAGE_CACHED;
	for (unsigned done = 0; done < n; done += nr) {
		nr = buddy_free_batch(b, order, n - done, pages + done);
		MUST(nr > 0 && nr <= n - done);
	}
	for (unsigned i = 0; i < n; i++)
		memset(owner + (pages[i] - b->map), FREE, 1u << order);
	nr_free += n << order;
}

static void free_held(u32 i)
{
	struct held h = held[i];

	if (h.order == ORDER_RUN)
		buddy_free_run(b, h.pfn, h.nr_pages);
	else
		buddy_free(b, h.pfn, h.order);
	memset(owner + h.pfn, FREE, h.nr_pages);
	nr_free += h.nr_pages;
	held[i] = held[--nr_held];
}

static const struct held *held_at(u32 pfn)
{
	for (u32 i = 0; i < nr_held; i++)
		if (held[i].pfn == pfn)
			return &held[i];
	return NULL;
}

/* A held block's first frame or one near it, or any number. */
static u32 take_pfn(struct input *in)
{
	u32 any = input_below(in, 1 << 16);

	if (any & 1 && nr_held > 0)
		return held[any / 8 % nr_held].pfn + (any >> 1 & 3);
	return any / 2 % (ARENA_PAGES + 64);
}

/* Refused exactly when it is wrong; a refusal changes nothing, as the next check sees. */
static void op_wrong_free(struct input *in)
{
	u32 pfn = take_pfn(in);
	unsigned order = input_below(in, NR_ORDERS + 2);
	const struct held *h = held_at(pfn);
	const char *fault = buddy_free_fault(b, pfn, order);

	MUST_EQ(fault == NULL, h != NULL && h->order == order);
	if (fault == NULL)
		return;
	if (pfn != 0 && pfn < ARENA_PAGES && owner[pfn] == FREE && order < NR_ORDERS)
		MUST_EQ(strcmp(fault, "double free"), 0);
	MUST_PANIC("buddy: ", buddy_free(b, pfn, order));
}

static void op_wrong_run(struct input *in)
{
	u32 pfn = take_pfn(in), nr_pages = 1 + input_below(in, 600);
	const struct held *h = held_at(pfn);

	if (h == NULL || h->order != ORDER_RUN || h->nr_pages != nr_pages)
		MUST_PANIC("buddy: not a run", buddy_free_run(b, pfn, nr_pages));
}

static void step(struct input *in)
{
	u32 what = input_below(in, 16);

	if (what < 6 && nr_held < MAX_HELD)
		op_alloc(in, what < 4 ? 0 : 1);
	else if (what == 6)
		op_batch(in);
	else if (what == 7)
		op_batch_free(in);
	else if (what < 13 && nr_held > 0)
		free_held(input_below(in, nr_held));
	else if (what == 13)
		op_wrong_free(in);
	else if (what == 14)
		op_wrong_run(in);
	else if (what == 15) {
		u32 start = input_below(in, ARENA_PAGES);

		add(start, start + 1 + input_below(in, 2048));
	}
}

/* --- the whole --- */

static void check(void)
{
	MUST_BE_SOUND(buddy_check(b));
	MUST_EQ(b->nr_free_pages, nr_free);
	MUST_EQ(b->nr_managed_pages, nr_managed);
	arena_take_shape(b, shape);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		expected[pfn] = owner[pfn] == FREE;
	arena_expected_shape(expected, expected);
	for (u32 pfn = 0; pfn < ARENA_PAGES; pfn++)
		if (shape[pfn] != expected[pfn])
			fuzz_fail(__FILE__, __LINE__, "pfn %u: free order %d, must be %d", pfn,
			          shape[pfn] - 1, expected[pfn] - 1);
}

static void set_up(struct input *in)
{
	enum garbage garbage = (enum garbage)input_below(in, NR_GARBAGES);
	u32 start = 1 + input_below(in, 200), end = ARENA_PAGES - input_below(in, 200);

	b = arena_open(start, end, garbage);
	memset(owner, NOT_RAM, sizeof(owner));
	nr_held = nr_free = nr_managed = 0;
	add(start, 700);
	add(1024, 1024 + 4096);
}

void fuzz_one(struct input *in)
{
	set_up(in);
	for (u32 i = 1; input_left(in) && i <= MAX_OPS; i++) {
		step(in);
		if (i % OPS_A_CHECK == 0)
			check();
	}
	check();
	while (nr_held > 0)
		free_held(nr_held - 1);
	check();
	MUST_EQ(b->nr_free_pages, b->nr_managed_pages);
}
