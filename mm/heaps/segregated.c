/*
 * segregated: a list of free blocks for each class of sizes, and a bit for each list that is not
 * empty. tags.h has the block, without footers.
 *
 *     class   0    1    2   …   30   31        32        …    59       60
 *     bytes   32   48   64  …   512  528-640   656-768   …    to 64 K  larger
 *             |         |            |
 *     bits    1    0    1       0    1         0              0        1
 *
 * Classes have one size each up to 512 bytes, above that four to a doubling. In the request's own
 * class a few blocks are looked at and the best of them is taken; if none fits, the next class with
 * a bit set fits for certain: good fit, without a search. Large blocks are apart, in one list that
 * is searched for the best fit.
 *
 *   G1  a block is in the list of its class; a class's bit is set exactly when its list has blocks.
 *
 * Cost: alloc and free O(1) to 64 KiB; alloc O(l) above that, for l large free blocks. 8 bytes an
 * object.
 *
 * Lacks: a bound for the large ones, and a fine enough one for waste: the tail of a class may serve
 * a request that fits it badly. Read next: tlsf.c.
 */
#include "tags.h"
#include <lib/bits.h>

#define EXACT_BYTES 512ul /* classes of one size to here */
#define EXACT_CLASSES 31u /* 32, 48 … 512 */
#define LARGE_CLASS 59u
#define NR_CLASSES 60u
#define GOOD_TRIES 8u /* blocks of the own class that are looked at */
static_assert(EXACT_CLASSES == (EXACT_BYTES - MIN_BLOCK) / HEAP_ALIGN + 1, "16 bytes apart");
static_assert(NR_CLASSES <= 64, "a bit a class");

struct segregated {
	struct tags tags;
	u64 bits;
	struct list free[NR_CLASSES];
};

/* Four to a doubling: the two bits below the highest one number the quarters. */
static unsigned class_of(size_t bytes)
{
	unsigned top, quarter;

	if (bytes <= EXACT_BYTES)
		return (unsigned)((bytes - MIN_BLOCK) / HEAP_ALIGN);
	top = highest_bit(bytes - 1);
	quarter = (unsigned)((bytes - 1) >> (top - 2) & 3);
	return (unsigned)min_u64(EXACT_CLASSES + 4 * (top - 9) + quarter, LARGE_CLASS);
}

/* The best of the first few of the list that are large enough. */
static struct tagged *best_of(struct tags *t, struct list *free, size_t bytes, size_t tries)
{
	struct tagged *b, *best = NULL;

	list_for_each(b, free, link) {
		if (tries-- == 0)
			break;
		t->heap.steps++;
		if (tagged_size(b) >= bytes && (best == NULL || tagged_size(b) < tagged_size(best)))
			best = b;
		if (best != NULL && tagged_size(best) == bytes)
			break;
	}
	return best;
}

static struct tagged *segregated_find(struct tags *t, size_t bytes)
{
	struct segregated *s = (struct segregated *)t;
	unsigned class = class_of(bytes);
	struct tagged *best =
	    best_of(t, &s->free[class], bytes, class == LARGE_CLASS ? ~0ul : GOOD_TRIES);
	u64 above = class == LARGE_CLASS ? 0 : s->bits >> (class + 1) << (class + 1);

	if (best != NULL || above == 0)
		return best;
	class = lowest_bit(above);
	if (class == LARGE_CLASS)
		return best_of(t, &s->free[class], bytes, ~0ul);
	t->heap.steps++;
	return list_first(&s->free[class], struct tagged, link);
}

static void segregated_insert(struct tags *t, struct tagged *b)
{
	struct segregated *s = (struct segregated *)t;
	unsigned class = class_of(tagged_size(b));

	list_push_front(&s->free[class], &b->link);
	s->bits |= 1ul << class;
}

static void segregated_remove(struct tags *t, struct tagged *b)
{
	struct segregated *s = (struct segregated *)t;
	unsigned class = class_of(tagged_size(b));

	list_remove(&b->link);
	if (list_is_empty(&s->free[class]))
		s->bits &= ~(1ul << class);
}

static const char *segregated_check(const struct tags *t, size_t nr_free)
{
	const struct segregated *s = (const struct segregated *)t;
	size_t nr = 0;

	for (unsigned class = 0; class < NR_CLASSES; class ++) {
		const struct list *head = &s->free[class];

		if (list_is_empty(head) == (s->bits >> class & 1))
			return "segregated G1: a class's bit is wrong";
		for (const struct list *l = head->next; l != head; l = l->next) {
			const struct tagged *b = list_entry(l, const struct tagged, link);

			if (tagged_is_used(b) || class_of(tagged_size(b)) != class ||
			    nr++ == nr_free)
				return "segregated G1: a block is in a wrong list";
		}
	}
	return nr == nr_free ? NULL : "segregated G1: a free block is in no list";
}

static bool segregated_init(struct heap *heap)
{
	static const struct tags_index index = {segregated_find, segregated_insert,
	                                        segregated_remove, segregated_check};
	struct segregated *s = (struct segregated *)heap;

	for (unsigned class = 0; class < NR_CLASSES; class ++)
		list_init(&s->free[class]);
	return tags_init(&s->tags, &index, false);
}

const struct heap_design heap_segregated = {
    .name = "segregated",
    .idea = "a list of free blocks for each class of sizes, good fit",
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct segregated),
    .init = segregated_init,
    TAGS_FUNCTIONS,
};
