/*
 * The memory map out of whatever the firmware says. docs/memmap.md defines the result to the byte;
 * this file is how it gets there, in the caller's storage alone.
 *
 * The idea. memmap_add() only collects: entries are clipped and stored as bytes, in any order.
 * memmap_normalize() sorts them (heapsort: in place, no recursion, O(n log n) for every input),
 * unites what is of one type, rounds to pages, sorts again and sweeps once over the addresses. The
 * sweep keeps, for each type, the end of what has begun; the type that wins at an address is the
 * most restrictive one that has not ended.
 *
 * Why 2n - 1 ranges suffice, in place. n entries have at most 2n end points, and every piece of the
 * result starts at one of them, the last excepted. So the sweep reads its input from the top end of
 * the storage and writes its output from the bottom: once k entries are read it has written at most
 * 2k - 1 pieces (k bases, and k ends of which at least one is still ahead), and entry k + 1 stands
 * at capacity - n + k, which is not below 2k - 1 while k <= capacity - n + 1. Hence capacity >= 2n
 * - 1 is enough for any input. With less, what this very input needs is counted first, by the same
 * sweep without its stores.
 *
 * When the storage is full, in this order: unite entries of one type (loses nothing); drop usable
 * entries, the smallest first (safe: memory that is not in the map is not used); and when none is
 * left, let neighbours grow together over the gap between them, as the more restrictive of the two.
 *
 * Cost: add O(1), but O(n log n) once in capacity / 8 when the storage is full; normalize O(n log
 * n).
 */
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/string.h>

#include "memmap_internal.h"

/* --- sort --- */

static void swap_ranges(struct mem_range *a, struct mem_range *b)
{
	struct mem_range t = *a;

	*a = *b;
	*b = t;
}

/* Restores the heap (parent's base >= children's) in r[0, nr) below `i`, the only place where it is
 * broken. */
static void sift_down(struct mem_range *r, u32 i, u32 nr)
{
	debug_assert(i < nr);
	for (;;) {
		u64 child = 2ull * i + 1; /* 64 bits: nr may be near 2^32 */

		if (child >= nr)
			return;
		if (child + 1 < nr && r[child + 1].base > r[child].base)
			child++;
		if (r[i].base >= r[child].base)
			return;
		swap_ranges(&r[i], &r[child]);
		i = (u32)child;
	}
}

static bool is_sorted(const struct mem_range *r, u32 nr)
{
	for (u32 i = 1; i < nr; i++)
		if (r[i].base < r[i - 1].base)
			return false;
	return true;
}

/* By base; heapsort (Williams 1964, Floyd 1964). Firmware mostly sorts for us: one look comes
 * first. */
static void sort_ranges(struct mem_range *r, u32 nr)
{
	if (is_sorted(r, nr))
		return;
	for (u32 i = nr / 2; i-- > 0;)
		sift_down(r, i, nr);
	for (u32 n = nr; n-- > 1;) {
		swap_ranges(&r[0], &r[n]);
		sift_down(r, 0, n);
	}
}

/* --- collecting --- */

/* Whether `r` touches or overlaps `before`, which begins no later: then `before` grows over it. */
static bool try_absorb(struct mem_range *before, const struct mem_range *r)
{
	if (r->base > range_end(before))
		return false;
	before->length = max_u64(range_end(before), range_end(r)) - before->base;
	return true;
}

/* Sorts, and makes one range of touching and overlapping ones of a type. Exact to the byte: loses
 * nothing. */
static void unite(struct memmap *m)
{
	struct mem_range *latest[MEMMAP_NR_TYPES] = {NULL};
	u32 out = 0;

	sort_ranges(m->range, m->nr);
	for (u32 i = 0; i < m->nr; i++) {
		struct mem_range r = m->range[i];
		struct mem_range **of_type = &latest[memmap_rank(r.type)];

		if (*of_type != NULL && try_absorb(*of_type, &r))
			continue;
		*of_type = &m->range[out];
		m->range[out++] = r;
	}
	m->nr = out;
}

static void count_dropped(struct memmap *m, u64 length)
{
	m->nr_dropped++;
	m->bytes_dropped += length;
}

/* Drops the usable ranges shorter than `length`. */
static void drop_usable_below(struct memmap *m, u64 length)
{
	u32 out = 0;

	for (u32 i = 0; i < m->nr; i++) {
		if (m->range[i].type == MEM_USABLE && m->range[i].length < length)
			count_dropped(m, m->range[i].length);
		else
			m->range[out++] = m->range[i];
	}
	m->nr = out;
}

/* Neighbours less than `gap` apart become one range of the more restrictive type. Only with nothing
 * usable. */
static void bridge_gaps_below(struct memmap *m, u64 gap)
{
	u32 out = 0;

	debug_assert(gap != 0); /* such neighbours are there for ever */
	for (u32 i = 1; i < m->nr; i++) {
		struct mem_range *a = &m->range[out], r = m->range[i];

		if (r.base >= range_end(a) && r.base - range_end(a) >= gap) {
			m->range[++out] = r;
			continue;
		}
		a->length = max_u64(range_end(a), range_end(&r)) - a->base;
		if (memmap_rank(r.type) > memmap_rank(a->type))
			a->type = r.type;
	}
	m->nr = out + 1;
}

/*
 * Room for an entry of the type; false when it is usable and all the storage holds what matters
 * more. Frees an eighth of the storage, so that the entries which then fit share the cost.
 */
static bool make_room(struct memmap *m, u32 type)
{
	u32 enough = m->capacity - m->capacity / 8;

	unite(m);
	for (u64 size = MEMMAP_PAGE; m->nr > enough && size <= m->limit; size *= 2)
		drop_usable_below(m, size + 1);
	if (type == MEM_USABLE)
		return m->nr < m->capacity;
	for (u64 gap = 1; m->nr > enough && gap <= m->limit; gap *= 2)
		bridge_gaps_below(m, gap);
	return true;
}

static u32 firmware_type(u32 type)
{
	return type >= MEM_USABLE && type <= MEM_BAD ? type : MEM_RESERVED;
}

/* lab 1.1 */
void memmap_add(struct memmap *m, u64 base, u64 length, u32 type)
{
	u64 end = min_u64(range_end_of(base, length), m->limit);

	type = firmware_type(type);
	if (base >= end)
		return;
	if (m->nr == m->capacity && !make_room(m, type))
		count_dropped(m, end - base);
	else
		m->range[m->nr++] = (struct mem_range){base, end - base, type};
}

/* --- normalisation --- */

/* Steps 3 and 5: usable ranges shrink inwards to pages, the others grow outwards. */
/* lab 1.1 */
static void round_to_pages(struct memmap *m)
{
	u32 out = 0;

	for (u32 i = 0; i < m->nr; i++) {
		struct mem_range r = m->range[i];
		bool usable = r.type == MEM_USABLE;
		u64 base = usable ? align_up(r.base, MEMMAP_PAGE) : align_down(r.base, MEMMAP_PAGE);
		u64 end = usable ? align_down(range_end(&r), MEMMAP_PAGE)
		                 : align_up(range_end(&r), MEMMAP_PAGE);

		if (base < end)
			m->range[out++] = (struct mem_range){base, end - base, r.type};
	}
	m->nr = out;
}

struct sweep {
	struct mem_range *out; /* NULL: only count */
	struct mem_range last; /* the newest piece, which may still grow */
	u32 nr_out;
	u64 end[MEMMAP_NR_TYPES]; /* by rank: where what has begun ends */
};

/* lab 1.2 */
static void sweep_begin_range(struct sweep *s, const struct mem_range *r)
{
	u64 *end = &s->end[memmap_rank(r->type)];

	*end = max_u64(*end, range_end(r));
}

/* lab 1.2 */
static unsigned sweep_winner(const struct sweep *s, u64 at)
{
	for (unsigned rank = MEMMAP_NR_TYPES; rank-- > 0;)
		if (s->end[rank] > at)
			return rank;
	return MEMMAP_NR_TYPES;
}

/* lab 1.2 */
static void sweep_emit(struct sweep *s, u64 base, u64 end, u32 type)
{
	if (s->nr_out > 0 && s->last.type == type && range_end(&s->last) == base) {
		s->last.length += end - base;
	} else {
		s->last = (struct mem_range){base, end - base, type};
		s->nr_out++;
	}
	if (s->out != NULL)
		s->out[s->nr_out - 1] = s->last;
}

/*
 * Step 4, over in[0, nr), sorted by base. With `out`, below `in` in the same storage, it stores the
 * pieces; false as soon as they need more than `room` places beyond those of the entries already
 * read.
 */
/* lab 1.2 */
static bool sweep(struct sweep *s, const struct mem_range *in, u32 nr, u32 room)
{
	u64 at = 0;

	for (u32 read = 0;;) {
		unsigned winner;
		u64 until;

		while (read < nr && in[read].base <= at)
			sweep_begin_range(s, &in[read++]);
		winner = sweep_winner(s, at);
		if (winner == MEMMAP_NR_TYPES && read == nr)
			return true;
		until = read < nr ? in[read].base : UINT64_MAX;
		if (winner != MEMMAP_NR_TYPES) {
			until = min_u64(until, s->end[winner]);
			sweep_emit(s, at, until, memmap_type_of_rank(winner));
		}
		if (s->nr_out > (u64)room + read)
			return false;
		at = until;
	}
}

static bool sweep_fits(const struct memmap *m)
{
	struct sweep s = {.out = NULL};
	u32 room = m->capacity - m->nr;

	return room + 1ull >= m->nr || sweep(&s, m->range, m->nr, room);
}

/* The last resort of a full storage that holds nothing usable: with one type there are no more
 * pieces than ranges, and they stay sorted. */
static void forget_types(struct memmap *m)
{
	for (u32 i = 0; i < m->nr; i++)
		m->range[i].type = MEM_RESERVED;
}

static void make_sweep_fit(struct memmap *m)
{
	for (u64 size = MEMMAP_PAGE; size <= m->limit; size *= 2) {
		if (sweep_fits(m))
			return;
		drop_usable_below(m, size + 1);
	}
	if (!sweep_fits(m))
		forget_types(m);
}

void memmap_normalize(struct memmap *m)
{
	struct sweep s = {.out = m->range};
	struct mem_range *in;

	unite(m);
	round_to_pages(m);
	sort_ranges(m->range, m->nr);
	make_sweep_fit(m);
	in = m->range + (m->capacity - m->nr);
	memmove(in, m->range, m->nr * sizeof(*in));
	if (!sweep(&s, in, m->nr, m->capacity - m->nr))
		panic("memmap: the sweep needs more than %u ranges", m->capacity);
	m->nr = s.nr_out;
}
