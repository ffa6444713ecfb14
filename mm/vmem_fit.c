/*
 * Which free segment, and which place in it.
 *
 * Instant fit: every segment on a list above log2 of what is needed is large enough, so the first
 * one of the lowest such list is taken: a mask and a bit scan. What is needed is the size and, with
 * an alignment, the worst that it can cost. Only when there is none, or under constraints that no
 * size vouches for (limits, borders not to be crossed), are segments looked at one by one.
 *
 * Best fit looks through the lists from below: all that a list holds is smaller than what the next
 * one holds, so the smallest that fits is in the first list with any that does.
 *
 * Next fit walks the segments by address from where the last allocation ended, and around. The
 * paper marks the place with a tag that keeps freed neighbours apart; here an address does, and a
 * free segment that holds it is cut in its middle.
 *
 * F1  a place found is the lowest that its segment has for the request
 * F2  nothing is found only when no free segment has room
 */
#include "vmem_internal.h"

/* The lowest address from `at` on that is phase modulo align; 0: none. */
static u64 aligned_place(const struct vmem_request *r, u64 at)
{
	u64 place = at < r->phase ? r->phase : align_up(at - r->phase, r->align) + r->phase;

	return place < at ? 0 : place; /* 0: it wrapped */
}

/* Never with border 0, which stands for none. */
static bool crosses(u64 start, u64 size, u64 border)
{
	return ((start ^ (start + size - 1)) & ~(border - 1)) != 0;
}

static bool has_room(const struct vmem_request *r, u64 at, u64 end)
{
	return at != 0 && at < end && end - at >= r->size;
}

/* A border is a place that crosses none: sizes are at most `nocross`. */
u64 fit_in(const struct vmem_request *r, u64 start, u64 end)
{
	u64 high = min_u64(end, r->max), at = aligned_place(r, max_u64(start, r->min));

	if (!has_room(r, at, high))
		return 0;
	if (crosses(at, r->size, r->nocross))
		at = aligned_place(r, align_up(at, r->nocross));
	return has_room(r, at, high) ? at : 0;
}

u64 fit_import_size(const struct vmem *v, const struct vmem_request *r)
{
	u64 slack = r->align > v->quantum ? r->align : 0, size;

	if (__builtin_add_overflow(slack, r->nocross, &slack) ||
	    __builtin_add_overflow(r->size, slack, &size))
		return 0;
	return size;
}

/* Lists whose members are all as large as that. */
static u64 lists_of_at_least(const struct vmem *v, u64 size)
{
	unsigned list = log2_ceil(size);

	return list < 64 ? v->nonempty >> list << list : 0;
}

/* The first of a list that fits, or with `best` the smallest. */
static struct vmem_seg *search_list(struct vmem *v, unsigned list, const struct vmem_request *r,
                                    bool best, u64 *at)
{
	struct vmem_seg *s, *found = NULL;

	list_for_each(s, &v->free_list[list], free) {
		u64 place;

		if (found != NULL && seg_size(s) >= seg_size(found))
			continue;
		place = fit_in(r, seg_start(s), s->end);
		if (place == 0)
			continue;
		found = s;
		*at = place;
		if (!best)
			break;
	}
	return found;
}

static struct vmem_seg *search(struct vmem *v, const struct vmem_request *r, bool best, u64 *at)
{
	unsigned first = highest_bit(r->size);

	for (u64 lists = v->nonempty >> first << first; lists != 0; lists &= lists - 1) {
		struct vmem_seg *s = search_list(v, lowest_bit(lists), r, best, at);

		if (s != NULL)
			return s;
	}
	return NULL;
}

/* --- next fit --- */

/* From s on to the end of the list; in its own span from this address on. */
static struct vmem_seg *walk(struct vmem *v, struct vmem_seg *s, const struct vmem_request *r,
                             u64 from, u64 *at)
{
	struct vmem_request behind = *r;

	behind.min = max_u64(r->min, from);
	for (; s != &v->head; s = seg_next(s)) {
		if (s->type == SEG_SPAN)
			behind.min = r->min;
		if (s->type != SEG_FREE)
			continue;
		*at = fit_in(&behind, seg_start(s), s->end);
		if (*at != 0)
			return s;
	}
	return NULL;
}

static struct vmem_seg *next_fit(struct vmem *v, const struct vmem_request *r, u64 *at)
{
	struct vmem_seg *s = v->rotor != NULL ? walk(v, v->rotor, r, v->next, at) : NULL;

	return s != NULL ? s : walk(v, seg_next(&v->head), r, 0, at);
}

struct vmem_seg *fit_find_locked(struct vmem *v, const struct vmem_request *r, gfp_t policy,
                                 u64 *at)
{
	bool limited = r->nocross != 0 || r->min != 0 || r->max != ~0ull;
	struct vmem_seg *s;
	u64 lists;

	if (unlikely(policy & VM_NEXTFIT))
		return next_fit(v, r, at);
	if (unlikely(policy & VM_BESTFIT || limited))
		return search(v, r, (policy & VM_BESTFIT) != 0, at);
	lists = r->size + r->align >= r->size
	            ? lists_of_at_least(v, r->size + r->align - v->quantum)
	            : 0;
	if (unlikely(lists == 0))
		return search(v, r, false, at);
	s = list_first(&v->free_list[lowest_bit(lists)], struct vmem_seg, free);
	*at = aligned_place(r, seg_start(s));
	return s;
}
