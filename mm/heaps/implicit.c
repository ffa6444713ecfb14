/*
 * implicit: boundary tags, and no list of free blocks at all: the tags themselves are the list.
 * tags.h has the picture of a block.
 *
 *     first                     lowest                                    end
 *     | used | used |   used   |  free  | used |     free      |  used  | free |0|
 *
 * Three ways to choose: first fit takes the lowest that is large enough, next fit goes on where the
 * last search ended, best fit looks at all and takes the smallest. All of them skip the used blocks
 * before the lowest free one, so that a heap without holes is not walked.
 *
 *   I1  no free block lies below `lowest`; `lowest` and `rover` are blocks, or the end.
 *
 * Cost, n blocks, used or free: alloc O(n) whichever way is chosen; free O(1), with its neighbours
 * joined at once (tags.c). 16 bytes an object.
 *
 * Lacks: a way to the free blocks that does not lead over the used ones. Read next: explicit.c.
 */
#include "tags.h"

enum fit { FIRST_FIT, NEXT_FIT, BEST_FIT };

struct implicit {
	struct tags tags;
	enum fit fit;
	struct tagged *lowest, *rover;
};

/* The first free block of at least `bytes` in [from, to), or NULL. */
static struct tagged *search(struct tags *t, struct tagged *from, const struct tagged *to,
                             size_t bytes)
{
	for (struct tagged *b = from; b != to; b = tagged_next(b)) {
		t->heap.steps++;
		if (!tagged_is_used(b) && tagged_size(b) >= bytes)
			return b;
	}
	return NULL;
}

static struct tagged *search_best(struct tags *t, struct tagged *from, size_t bytes)
{
	struct tagged *best = NULL;

	for (struct tagged *b = from; b != t->end; b = tagged_next(b)) {
		t->heap.steps++;
		if (!tagged_is_used(b) && tagged_size(b) >= bytes &&
		    (best == NULL || tagged_size(b) < tagged_size(best)))
			best = b;
	}
	return best;
}

static struct tagged *search_next(struct implicit *i, size_t bytes)
{
	struct tags *t = &i->tags;
	struct tagged *b = search(t, i->rover, t->end, bytes);

	if (b == NULL && i->lowest < i->rover)
		b = search(t, i->lowest, i->rover, bytes);
	if (b != NULL)
		i->rover = b;
	return b;
}

static struct tagged *implicit_find(struct tags *t, size_t bytes)
{
	struct implicit *i = (struct implicit *)t;

	while (i->lowest != t->end && tagged_is_used(i->lowest)) {
		t->heap.steps++;
		i->lowest = tagged_next(i->lowest);
	}
	if (i->fit == NEXT_FIT)
		return search_next(i, bytes);
	if (i->fit == BEST_FIT)
		return search_best(t, i->lowest, bytes);
	return search(t, i->lowest, t->end, bytes);
}

/* The blocks it was joined of are gone: a search that would begin at one of them begins here. */
static void implicit_insert(struct tags *t, struct tagged *b)
{
	struct implicit *i = (struct implicit *)t;

	if (b < i->lowest)
		i->lowest = b;
	if (b < i->rover && i->rover < tagged_next(b))
		i->rover = b;
}

/* It may be about to vanish in its neighbour. */
static void implicit_remove(struct tags *t, struct tagged *b)
{
	struct implicit *i = (struct implicit *)t;

	if (i->lowest == b)
		i->lowest = tagged_next(b);
	if (i->rover == b)
		i->rover = tagged_next(b);
}

static const char *implicit_check(const struct tags *t, size_t nr_free)
{
	const struct implicit *i = (const struct implicit *)t;
	bool lowest = i->lowest == t->end, rover = i->rover == t->end;

	(void)nr_free;
	for (const struct tagged *b = t->first; b != t->end; b = tagged_next(b)) {
		lowest |= b == i->lowest;
		rover |= b == i->rover;
		if (!tagged_is_used(b) && b < i->lowest)
			return "implicit I1: a free block lies below the lowest";
	}
	return lowest && rover ? NULL : "implicit I1: a search would begin inside a block";
}

static bool init(struct heap *heap, enum fit fit)
{
	static const struct tags_index index = {implicit_find, implicit_insert, implicit_remove,
	                                        implicit_check};
	struct implicit *i = (struct implicit *)heap;

	if (!tags_init(&i->tags, &index, true))
		return false;
	i->fit = fit;
	i->lowest = i->rover = i->tags.first;
	return true;
}

static bool init_first(struct heap *heap)
{
	return init(heap, FIRST_FIT);
}

static bool init_next(struct heap *heap)
{
	return init(heap, NEXT_FIT);
}

static bool init_best(struct heap *heap)
{
	return init(heap, BEST_FIT);
}

#define IMPLICIT(fit)                                                      \
	const struct heap_design heap_implicit_##fit = {                   \
	    .name = "implicit_" #fit,                                      \
	    .idea = "boundary tags, a walk over all blocks, " #fit " fit", \
	    .alloc_order = HEAP_O_N,                                       \
	    .free_order = HEAP_O_1,                                        \
	    .state_bytes = sizeof(struct implicit),                        \
	    .init = init_##fit,                                            \
	    TAGS_FUNCTIONS,                                                \
	}

IMPLICIT(first);
IMPLICIT(next);
IMPLICIT(best);
