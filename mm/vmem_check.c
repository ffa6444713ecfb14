/*
 * The check of arenas. Invariants of vmem*.c:
 *
 *   V1  a span's segments tile it: each begins where the one before ends, in whole quanta; none is
 *       empty, and no two spans overlap
 *   V2  no two free segments of a span are neighbours, and no imported span is all free
 *   V3  a free segment stands on the list of its size, and nothing else does; the mask and the
 * count are those of the lists V4  an allocated segment is in the table, once, and nothing else is
 * (vmem_hash.c: H1, H2) V5  the sums (size, in use, spans) are those of the segments V6  the rotor
 * is none, or a segment that begins at or before the place where the search goes on V7  spare tags
 * hold nothing, and there are as many as the count says
 *
 * Q1 … Q4: vmem_quantum.c. Walks everything, under the arena's lock; while others use its quantum
 * caches, their transient states may look wrong.
 */
#include "vmem_internal.h"

#include <lib/assert.h>

struct sums {
	u64 size, in_use, nr_spans, nr_free, nr_allocated;
};

static bool is_linked(const struct list *l)
{
	return l->next->prev == l && l->prev->next == l;
}

static const char *check_span(const struct vmem *v, const struct vmem_seg *span, struct sums *sums)
{
	const struct vmem_seg *s = seg_next(span);

	if (seg_start(span) == 0 || span->end <= seg_start(span) || s->type == SEG_SPAN ||
	    seg_start(s) != seg_start(span))
		return "V1: a span does not begin with a segment";
	if (span->imported && s->type == SEG_FREE && seg_size(s) == seg_size(span))
		return "V2: an imported span is all free";
	for (const struct vmem_seg *other = seg_next(&v->head); other != span;
	     other = seg_next(other))
		if (other->type == SEG_SPAN && seg_start(other) < span->end &&
		    seg_start(span) < other->end)
			return "V1: two spans overlap";
	sums->size += seg_size(span);
	sums->nr_spans++;
	return NULL;
}

static const char *check_segment(const struct vmem *v, const struct vmem_seg *s,
                                 const struct vmem_seg *span, struct sums *sums)
{
	const struct vmem_seg *next = seg_next(s);

	if (span == NULL || s->end <= seg_start(s) || s->end > span->end ||
	    !is_aligned(seg_start(s) | s->end, v->quantum))
		return "V1: a segment is empty, outside its span or not of whole quanta";
	if (next->type == SEG_SPAN ? s->end != span->end : s->end != seg_start(next))
		return "V1: a segment does not end where the next begins";
	if (s->type == SEG_FREE && next->type == SEG_FREE)
		return "V2: two free segments are neighbours";
	sums->nr_free += s->type == SEG_FREE;
	if (s->type != SEG_FREE) {
		sums->nr_allocated++;
		sums->in_use += seg_size(s);
		if (hash_find(&v->hash, seg_start(s)) != &s->node)
			return "V4: an allocated segment is not in the table";
	}
	return NULL;
}

static const char *check_segments(struct vmem *v, struct sums *sums)
{
	const struct vmem_seg *span = NULL;

	for_each_seg(s, v)
	{
		const char *fault;

		if (!is_linked(&s->link))
			return "V1: a segment's neighbours do not lead back";
		if (s->type == SEG_SPARE || s->type > SEG_SLAB)
			return "V7: a spare tag among the segments";
		if (s->type == SEG_SPAN) {
			span = s;
			fault = check_span(v, s, sums);
		} else {
			fault = check_segment(v, s, span, sums);
		}
		if (fault != NULL)
			return fault;
	}
	return NULL;
}

static const char *check_free_lists(const struct vmem *v)
{
	u64 nr = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(v->free_list); i++) {
		const struct list *head = &v->free_list[i];

		if (list_is_empty(head) == (v->nonempty >> i & 1))
			return "V3: the mask is not that of the lists";
		for (const struct list *l = head->next; l != head; l = l->next) {
			const struct vmem_seg *s = list_entry(l, const struct vmem_seg, free);

			if (!is_linked(l) || ++nr > v->nr_free)
				return "V3: a free list's links do not lead back";
			if (s->type != SEG_FREE || highest_bit(seg_size(s)) != i)
				return "V3: a free list holds what is not free or of its size";
		}
	}
	return nr == v->nr_free ? NULL : "V3: the count of free segments is wrong";
}

static const char *check_table(const struct vmem_hash *h)
{
	u64 nr = 0;

	if (h->nr_buckets < HASH_FIRST)
		return "V4: H1: the table has too few buckets";
	for (u64 bucket = 0; bucket < h->nr_buckets; bucket++)
		for (const struct hash_node *n = *hash_bucket(h, bucket); n != NULL; n = n->next)
			if (++nr > h->nr || hash_bucket_of(h, n->key) != bucket)
				return "V4: H2: the table holds what is not allocated";
	return nr == h->nr ? NULL : "V4: the table's count is wrong";
}

static const char *check_sums(const struct vmem *v, const struct sums *sums)
{
	if (sums->nr_free != v->nr_free)
		return "V3: a free segment is not listed";
	if (sums->nr_allocated != v->hash.nr)
		return "V4: the table and the segments differ";
	if (sums->size != v->size || sums->in_use != v->in_use || sums->nr_spans != v->nr_spans)
		return "V5: the sums are not those of the segments";
	return NULL;
}

static const char *check_rotor(struct vmem *v)
{
	if (v->rotor == NULL)
		return NULL;
	for_each_seg(s, v) if (s == v->rotor) return s->type != SEG_SPAN && seg_start(s) <= v->next
	    ? NULL
	    : "V6: the rotor is past the place that it marks";
	return "V6: the rotor is no segment";
}

static const char *check_spare(const struct vmem *v)
{
	u64 nr = 0;

	for (const struct list *l = v->spare.next; l != &v->spare; l = l->next)
		if (!is_linked(l) || ++nr > v->nr_spare ||
		    list_entry(l, const struct vmem_seg, link)->type != SEG_SPARE)
			return "V7: a spare tag is in use";
	return nr == v->nr_spare ? NULL : "V7: the count of spare tags is wrong";
}

const char *vmem_check(struct vmem *v)
{
	struct sums sums = {0};
	u64 irq = spin_lock_irq(&v->lock);
	const char *fault = check_segments(v, &sums);

	if (fault == NULL)
		fault = check_free_lists(v);
	if (fault == NULL)
		fault = check_table(&v->hash);
	if (fault == NULL)
		fault = check_sums(v, &sums);
	if (fault == NULL)
		fault = check_rotor(v);
	if (fault == NULL)
		fault = check_spare(v);
	if (fault == NULL && v->quantum_caches != NULL)
		fault = quantum_check(v);
	spin_unlock_irq(&v->lock, irq);
	return fault;
}

const char *vmem_check_all(void)
{
	const char *fault = NULL;

	for (struct vmem *v = vmem_next(NULL); v != NULL && fault == NULL; v = vmem_next(v))
		fault = vmem_check(v);
	return fault;
}
