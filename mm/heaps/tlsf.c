/*
 * tlsf: two-level segregated fit (Masmano, Ripoll, Crespo and Real 2004): every operation in
 * constant time, whatever the history. tags.h has the block, without footers.
 *
 *     first level: the size's highest bit        second: the next four bits, 16 lists a doubling
 *     … 2^9  2^10  2^11 …                        1024 1088 1152 1216 …                 1984
 *     …  0    1     0   …   ------------------>    0    1    0    0   …                 0
 *                                                       |
 *                                                    [1104] - [1136]
 *
 * A block is in the list that its size falls in. A request is first rounded up to the next list's
 * lower bound, so that any block of the lists from there on fits: the first one is taken, and two
 * bit scans find it. No list is ever walked.
 *
 *   L1  a block is in its size's list; the bits of both levels tell which lists have blocks.
 *
 * Cost: alloc and free O(1), in the worst case too. The rounding wastes 1/16 at most of what is
 * asked for (as an unused rest that stays free, not inside the object). 8 bytes an object and 7 KiB
 * of list heads.
 *
 * Lacks: the best fit; a block of the request's own list that would just do is passed over. Read
 * next: tree.c, which finds the best fit in O(log n).
 */
#include "tags.h"
#include <lib/bits.h>

#define SL_BITS 4u
#define NR_SL (1u << SL_BITS)
#define FIRST_FL 5u /* 32 bytes */
#define NR_FL 30u   /* below 32 GiB */
static_assert(1ul << FIRST_FL == MIN_BLOCK, "the smallest block is the first level's first");

struct tlsf {
	struct tags tags;
	u64 levels;      /* bit: some list of the first level has blocks */
	u16 bits[NR_FL]; /* bit: the list has */
	struct list free[NR_FL][NR_SL];
};

struct place {
	unsigned fl, sl;
};

static struct place place_of(size_t bytes)
{
	unsigned top = highest_bit(bytes);
	struct place p = {top - FIRST_FL, (unsigned)(bytes >> (top - SL_BITS) & (NR_SL - 1))};

	return p;
}

/* From the list on that has nothing smaller than `bytes`: the first that has blocks. */
static struct tagged *tlsf_find(struct tags *t, size_t bytes)
{
	struct tlsf *s = (struct tlsf *)t;
	struct place p = place_of(bytes + (1ul << (highest_bit(bytes) - SL_BITS)) - 1);
	u64 lists, levels;

	t->heap.steps++;
	if (p.fl >= NR_FL)
		return NULL;
	lists = (u64)s->bits[p.fl] >> p.sl << p.sl;
	if (lists == 0) {
		levels = s->levels >> (p.fl + 1) << (p.fl + 1);
		if (levels == 0)
			return NULL;
		p.fl = lowest_bit(levels);
		lists = s->bits[p.fl];
	}
	return list_first(&s->free[p.fl][lowest_bit(lists)], struct tagged, link);
}

static void tlsf_insert(struct tags *t, struct tagged *b)
{
	struct tlsf *s = (struct tlsf *)t;
	struct place p = place_of(tagged_size(b));

	list_push_front(&s->free[p.fl][p.sl], &b->link);
	s->bits[p.fl] = (u16)(s->bits[p.fl] | 1u << p.sl);
	s->levels |= 1ul << p.fl;
}

static void tlsf_remove(struct tags *t, struct tagged *b)
{
	struct tlsf *s = (struct tlsf *)t;
	struct place p = place_of(tagged_size(b));

	list_remove(&b->link);
	if (!list_is_empty(&s->free[p.fl][p.sl]))
		return;
	s->bits[p.fl] = (u16)(s->bits[p.fl] & ~(1u << p.sl));
	if (s->bits[p.fl] == 0)
		s->levels &= ~(1ul << p.fl);
}

/* How many blocks the list has; ~0: one of them belongs elsewhere. */
static size_t count_list(const struct tlsf *s, struct place p, size_t max)
{
	const struct list *head = &s->free[p.fl][p.sl];
	size_t nr = 0;

	for (const struct list *l = head->next; l != head; l = l->next) {
		const struct tagged *b = list_entry(l, const struct tagged, link);
		struct place is = place_of(tagged_size(b));

		if (tagged_is_used(b) || is.fl != p.fl || is.sl != p.sl || nr++ == max)
			return ~0ul;
	}
	return nr;
}

static const char *tlsf_check(const struct tags *t, size_t nr_free)
{
	const struct tlsf *s = (const struct tlsf *)t;
	size_t nr = 0;

	for (struct place p = {0, 0}; p.fl < NR_FL; p.fl++) {
		if ((s->levels >> p.fl & 1) != (s->bits[p.fl] != 0))
			return "tlsf L1: a bit of the first level is wrong";
		for (p.sl = 0; p.sl < NR_SL; p.sl++) {
			size_t here = count_list(s, p, nr_free);

			if (here == ~0ul)
				return "tlsf L1: a block is in a wrong list";
			if ((s->bits[p.fl] >> p.sl & 1) != (here != 0))
				return "tlsf L1: a bit of the second level is wrong";
			nr += here;
		}
	}
	return nr == nr_free ? NULL : "tlsf L1: a free block is in no list";
}

static bool tlsf_init(struct heap *heap)
{
	static const struct tags_index index = {tlsf_find, tlsf_insert, tlsf_remove, tlsf_check};
	struct tlsf *s = (struct tlsf *)heap;

	for (unsigned i = 0; i < NR_FL * NR_SL; i++)
		list_init(&s->free[i / NR_SL][i % NR_SL]);
	if (heap->region->nr_bytes >> (FIRST_FL + NR_FL) != 0)
		return false;
	return tags_init(&s->tags, &index, false);
}

const struct heap_design heap_tlsf = {
    .name = "tlsf",
    .idea = "two-level segregated fit: constant time always",
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct tlsf),
    .init = tlsf_init,
    TAGS_FUNCTIONS,
};
