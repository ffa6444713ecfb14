/*
 * Textbook buddies (Knuth, TAOCP 1, 2.5) for comparison: a list of free blocks an order, the
 * smallest block that is large enough, merging at once. No per-CPU caches, no locks. They differ in
 * one thing, which of the free blocks of an order is handed out:
 *
 *   lifo      the one freed last: what the book has.
 *   fullest   small blocks come from the 2 MiB that have the fewest free pages, page after page
 *             until they have none, then from the next fullest. LLFree's preference, in one piece.
 *   lowest    small blocks come from the lowest 2 MiB that are in pieces.
 *
 * The last two keep a bit a page, set where a free block below 2 MiB starts: a cache line for each
 * 2 MiB, so that a block in a chosen one is found at once.
 *
 * Frames are counted from the start of memory; NONE ends a list.
 */
#include <lib/bits.h>
#include <tests/bench/host/fragmentation/placer.h>

#include <string.h>

#define NONE UINT32_MAX
#define NR_BINS 32 /* of 2 MiB blocks by free pages */

enum policy { LIFO, FULLEST, LOWEST };

static enum policy policy;
static u32 nr_frames;
static u8 *order_of; /* order + 1 of a free block's first frame, else 0 */
static u32 *next, *prev;
static u32 head[NR_ORDERS];
static struct free_state state;

static u64 *starts;              /* bit: a free block below 2 MiB starts here */
static u16 *free_in;             /* free pages of each 2 MiB */
static u32 *bin_next, *bin_prev; /* FULLEST: lists of 2 MiB blocks by free pages */
static u32 bin[NR_BINS];
static u32 current; /* FULLEST: the 2 MiB in use; LOWEST: none before it is in pieces */

/* --- which 2 MiB are how full --- */

/* Wholly used and wholly free ones are in no bin. */
static u32 bin_of(u32 free_pages)
{
	return free_pages == 0 || free_pages == PAGEBLOCK_PAGES
	           ? NONE
	           : free_pages * NR_BINS / PAGEBLOCK_PAGES;
}

static void bin_remove(u32 block, u32 from)
{
	if (bin_prev[block] == NONE)
		bin[from] = bin_next[block];
	else
		bin_next[bin_prev[block]] = bin_next[block];
	if (bin_next[block] != NONE)
		bin_prev[bin_next[block]] = bin_prev[block];
}

static void bin_insert(u32 block, u32 to)
{
	bin_next[block] = bin[to];
	bin_prev[block] = NONE;
	if (bin[to] != NONE)
		bin_prev[bin[to]] = block;
	bin[to] = block;
}

static void count_free(u32 frame, s32 pages)
{
	u32 block = frame / PAGEBLOCK_PAGES, from = bin_of(free_in[block]), to;

	free_in[block] = (u16)(free_in[block] + pages);
	if (policy == LOWEST && pages > 0 && block < current)
		current = block;
	to = bin_of(free_in[block]);
	if (from == to || policy != FULLEST)
		return;
	if (from != NONE)
		bin_remove(block, from);
	if (to != NONE)
		bin_insert(block, to);
}

/* --- the lists --- */

static void flip_start(u32 frame, unsigned order)
{
	if (order < HUGE_ORDER)
		starts[frame / 64] ^= 1ull << frame % 64;
}

static void push(u32 frame, unsigned order)
{
	flip_start(frame, order);
	order_of[frame] = (u8)(order + 1);
	prev[frame] = NONE;
	next[frame] = head[order];
	if (head[order] != NONE)
		prev[head[order]] = frame;
	head[order] = frame;
	state.blocks[order]++;
	state.pages += 1ull << order;
}

static void take(u32 frame, unsigned order)
{
	u32 after = prev[frame], before = next[frame];

	flip_start(frame, order);
	order_of[frame] = 0;
	*(after == NONE ? &head[order] : &next[after]) = before;
	if (before != NONE)
		prev[before] = after;
	state.blocks[order]--;
	state.pages -= 1ull << order;
}

static void count_block(u32 frame, unsigned order, bool freed)
{
	u32 step = order < HUGE_ORDER ? 1u << order : PAGEBLOCK_PAGES;

	for (u32 i = 0; i < 1u << order; i += step)
		count_free(frame + i, freed ? (s32)step : -(s32)step);
}

static void release(u32 pfn, unsigned order)
{
	u32 frame = pfn - strata_low;

	count_block(frame, order, true);
	for (; order < MAX_ORDER; order++) {
		u32 buddy = frame ^ 1u << order;

		if (buddy >= nr_frames || order_of[buddy] != order + 1)
			break;
		take(buddy, order);
		frame &= ~(1u << order);
	}
	push(frame, order);
}

/* --- allocation --- */

/* A free block of at least that order inside the 2 MiB; its order goes to *found. */
static u32 scan(u32 block, unsigned order, unsigned *found)
{
	for (u32 word = block * PAGEBLOCK_PAGES / 64; word < (block + 1) * PAGEBLOCK_PAGES / 64;
	     word++)
		for (u64 bits = starts[word]; bits != 0; bits &= bits - 1) {
			u32 frame = word * 64 + lowest_bit(bits);

			if (order_of[frame] > order) {
				*found = order_of[frame] - 1u;
				return frame;
			}
		}
	return NONE;
}

/* FULLEST: from the 2 MiB in use, or the fullest that have the order; NONE: none are in pieces. */
static u32 from_fullest(unsigned order, unsigned *found)
{
	u32 frame = current != NONE ? scan(current, order, found) : NONE;

	for (u32 i = 0; i < NR_BINS && frame == NONE; i++)
		for (current = bin[i]; current != NONE; current = bin_next[current]) {
			frame = scan(current, order, found);
			if (frame != NONE)
				break;
		}
	return frame;
}

/* LOWEST: from the first 2 MiB in pieces that have the order. Single pages leave none before the
 * one they came from. */
static u32 from_lowest(unsigned order, unsigned *found)
{
	for (u32 block = current; block < nr_frames / PAGEBLOCK_PAGES; block++) {
		u32 frame = NONE;

		if (bin_of(free_in[block]) != NONE)
			frame = scan(block, order, found);
		if (frame == NONE)
			continue;
		if (order == 0)
			current = block;
		return frame;
	}
	return NONE;
}

static u32 find(unsigned order, unsigned *found)
{
	u32 frame = NONE;

	if (order < HUGE_ORDER && policy == FULLEST)
		frame = from_fullest(order, found);
	if (order < HUGE_ORDER && policy == LOWEST)
		frame = from_lowest(order, found);
	if (frame != NONE)
		return frame;
	for (*found = order; *found <= MAX_ORDER; ++*found)
		if (head[*found] != NONE)
			return head[*found];
	return NONE;
}

static u32 alloc(unsigned order)
{
	unsigned from;
	u32 frame = find(order, &from);

	if (frame == NONE)
		return 0;
	take(frame, from);
	while (from > order) {
		from--;
		push(frame + (1u << from), from);
	}
	count_block(frame, order, false);
	return frame + strata_low;
}

static void look(struct free_state *out)
{
	*out = state;
}

/* --- start --- */

static void add_free(u32 pfn, unsigned order)
{
	count_block(pfn - strata_low, order, true);
	push(pfn - strata_low, order);
}

/* Manages exactly what is free when Strata starts, so that both have the same memory. */
static void start(enum policy wanted, u64 bytes)
{
	u64 nr_blocks;

	strata_placer.start(bytes);
	policy = wanted;
	nr_frames = strata_high - strata_low;
	nr_blocks = div_round_up(nr_frames, PAGEBLOCK_PAGES);
	order_of = table(nr_frames);
	next = table(nr_frames * sizeof(next[0]));
	prev = table(nr_frames * sizeof(prev[0]));
	starts = table(nr_blocks * PAGEBLOCK_PAGES / 8);
	free_in = table(nr_blocks * sizeof(free_in[0]));
	bin_next = table(nr_blocks * sizeof(bin_next[0]));
	bin_prev = table(nr_blocks * sizeof(bin_prev[0]));
	memset(head, 0xff, sizeof(head));
	memset(bin, 0xff, sizeof(bin));
	current = policy == LOWEST ? 0 : NONE;
	state = (struct free_state){0};
	strata_visit_free(add_free);
}

static void start_lifo(u64 bytes)
{
	start(LIFO, bytes);
}

static void start_fullest(u64 bytes)
{
	start(FULLEST, bytes);
}

static void start_lowest(u64 bytes)
{
	start(LOWEST, bytes);
}

#define BUDDY(policy_, what_)                                                              \
	{                                                                                  \
		.name = #policy_, .what = what_, .start = start_##policy_, .alloc = alloc, \
		.release = release, .look = look                                           \
	}

const struct placer textbook_placers[] = {
    BUDDY(lifo, "a textbook buddy: the block freed last"),
    BUDDY(fullest, "the same, small blocks from the fullest 2 MiB"),
    BUDDY(lowest, "the same, small blocks from the lowest 2 MiB in pieces"),
    {0},
};
