/*
 * Boundary tags: made and kept ready, cut, merged, listed.
 *
 * An operation takes its tags from the arena's spare ones, so none allocates while it holds the
 * lock; vmem_lock_prepared() fills up before. A few lie in the arena itself, so that its first
 * segments need no memory. What a free leaves over (tags, a part of the table, an empty imported
 * span) is collected in the lock and given away after it.
 *
 * The head counts as a span, so a segment always has two neighbours, and only free ones merge.
 */
#include "vmem_internal.h"

#include <lib/assert.h>
#include <mm/kmalloc.h>

static struct kmem_cache *seg_cache;

void seg_cache_init(void)
{
	seg_cache = kmem_cache_create("vmem_seg", sizeof(struct vmem_seg), 0, 0, NULL);
	if (seg_cache == NULL)
		panic("vmem: no memory for the cache of boundary tags");
}

/* --- spare tags --- */

static bool is_static(const struct vmem *v, const struct vmem_seg *s)
{
	return s >= v->first_segs && s < v->first_segs + SEGS_NEEDED;
}

static void put_spare(struct vmem *v, struct vmem_seg *s)
{
	s->type = SEG_SPARE;
	v->nr_spare++;
	if (is_static(v, s))
		list_push_back(&v->spare, &s->link);
	else
		list_push_front(&v->spare, &s->link);
}

static struct vmem_seg *take_spare(struct vmem *v)
{
	struct vmem_seg *s = list_first(&v->spare, struct vmem_seg, link);

	list_remove(&s->link);
	v->nr_spare--;
	return s;
}

static __noinline u64 fill_tags(struct vmem *v, u32 nr, gfp_t flags, u64 irq)
{
	while (v->nr_spare < nr) {
		struct vmem_seg *s;

		spin_unlock_irq(&v->lock, irq);
		s = kmem_cache_alloc(seg_cache, flags);
		irq = spin_lock_irq(&v->lock);
		if (s == NULL)
			break;
		put_spare(v, s);
	}
	return irq;
}

static __noinline u64 fill_table(struct vmem *v, gfp_t flags, u64 irq)
{
	u64 bytes = hash_wants(&v->hash);
	struct hash_node **part;

	spin_unlock_irq(&v->lock, irq);
	part = kmalloc(bytes, flags | __GFP_NOWARN);
	irq = spin_lock_irq(&v->lock);
	if (part != NULL && !hash_give(&v->hash, part, bytes)) {
		spin_unlock_irq(&v->lock, irq); /* somebody else was first */
		kfree(part);
		irq = spin_lock_irq(&v->lock);
	}
	return irq;
}

u64 vmem_lock_prepared(struct vmem *v, gfp_t flags)
{
	u64 irq = spin_lock_irq(&v->lock);

	flags &= __GFP_ALL & ~(__GFP_ZERO | __GFP_DMA | __GFP_DMA32);
	if (unlikely(hash_wants(&v->hash) != 0))
		irq = fill_table(v, flags & ~__GFP_NOFAIL, irq);
	if (unlikely(v->nr_spare < SEGS_NEEDED))
		irq = fill_tags(v, SEGS_NEEDED, flags, irq);
	return irq;
}

static void collect_surplus(struct vmem *v, u32 nr_kept, struct vmem_leftovers *left)
{
	while (v->nr_spare > nr_kept) {
		struct vmem_seg *s = take_spare(v);

		debug_assert(!is_static(v, s)); /* these come last, and are no more than are kept */
		list_push_back(&left->segs, &s->link);
	}
}

void vmem_unlock(struct vmem *v, u64 irq, struct vmem_leftovers *left)
{
	if (unlikely(v->nr_spare > SEGS_MAX))
		collect_surplus(v, SEGS_TO_KEEP, left);
	spin_unlock_irq(&v->lock, irq);
	while (unlikely(!list_is_empty(&left->segs))) {
		struct vmem_seg *s = list_first(&left->segs, struct vmem_seg, link);

		list_remove(&s->link);
		kmem_cache_free(seg_cache, s);
	}
	if (unlikely(left->part != NULL))
		kfree(left->part);
	if (unlikely(left->span != 0))
		v->release(v->source, left->span, left->span_size);
}

/* --- free lists --- */

static void enlist(struct vmem *v, struct vmem_seg *s)
{
	unsigned i = highest_bit(seg_size(s));

	s->type = SEG_FREE;
	list_push_front(&v->free_list[i], &s->free);
	v->nonempty |= 1ull << i;
	v->nr_free++;
}

static void unlist(struct vmem *v, struct vmem_seg *s)
{
	unsigned i = highest_bit(seg_size(s));

	list_remove(&s->free);
	if (list_is_empty(&v->free_list[i]))
		v->nonempty &= ~(1ull << i);
	v->nr_free--;
}

/* --- segments --- */

/* A tag for [start, end), behind `before`. */
static struct vmem_seg *insert(struct vmem *v, struct vmem_seg *before, u64 start, u64 end)
{
	struct vmem_seg *s = take_spare(v);

	s->node.key = start;
	s->end = end;
	list_push_front(&before->link, &s->link);
	return s;
}

static void discard(struct vmem *v, struct vmem_seg *s)
{
	if (v->rotor == s) {
		struct vmem_seg *before = seg_prev(s);

		v->rotor = before->type == SEG_SPAN ? NULL : before;
	}
	list_remove(&s->link);
	put_spare(v, s);
}

struct vmem_seg *seg_add_span_locked(struct vmem *v, u64 base, u64 size, bool imported)
{
	struct vmem_seg *span, *s;

	if (v->nr_spare < 2)
		return NULL;
	span = insert(v, seg_prev(&v->head), base, base + size);
	span->type = SEG_SPAN;
	span->imported = imported;
	s = insert(v, span, base, base + size);
	enlist(v, s);
	v->size += size;
	v->nr_spans++;
	return s;
}

struct vmem_seg *seg_cut_locked(struct vmem *v, struct vmem_seg *s, u64 at, u64 size, u8 type,
                                u32 tag)
{
	u64 end = s->end;

	if (unlikely(v->nr_spare < (at > seg_start(s)) + (u32)(at + size < end)))
		return NULL;
	unlist(v, s);
	if (at > seg_start(s)) {
		s->end = at;
		enlist(v, s);
		s = insert(v, s, at, end);
	}
	if (at + size < end) {
		s->end = at + size;
		enlist(v, insert(v, s, at + size, end));
	}
	s->type = type;
	s->tag = tag;
	hash_insert(&v->hash, &s->node);
	v->in_use += size;
	return s;
}

/* The whole of an imported span is free: it goes. */
static void remove_span(struct vmem *v, struct vmem_seg *s, struct vmem_leftovers *left)
{
	struct vmem_seg *span = seg_prev(s);

	left->span = seg_start(span);
	left->span_size = seg_size(span);
	v->size -= left->span_size;
	v->nr_spans--;
	discard(v, s);
	discard(v, span);
}

void seg_free_locked(struct vmem *v, struct vmem_seg *s, struct vmem_leftovers *left)
{
	struct vmem_seg *next = seg_next(s), *before = seg_prev(s);

	left->part = hash_remove(&v->hash, &s->node);
	v->in_use -= seg_size(s);
	if (next->type == SEG_FREE) {
		unlist(v, next);
		s->end = next->end;
		discard(v, next);
	}
	if (before->type == SEG_FREE) {
		unlist(v, before);
		before->end = s->end;
		discard(v, s);
		s = before;
		before = seg_prev(s);
	}
	if (before->type == SEG_SPAN && before->imported && seg_size(before) == seg_size(s))
		remove_span(v, s, left);
	else
		enlist(v, s);
}

/* --- settling --- */

/* An arena of which nothing is allocated (so it has no imported span) gets its segments anew, in
 * its own tags, and gives all others back: so what an idle arena uses does not depend on what it
 * went through. */
static bool rebuild_idle(struct vmem *v, struct vmem_leftovers *left)
{
	u64 base[SEGS_NEEDED / 2], size[SEGS_NEEDED / 2], nr = 0;

	if (v->in_use != 0 || v->nr_spans > ARRAY_SIZE(base))
		return false;
	while (!list_is_empty(&v->head.link)) {
		struct vmem_seg *s = seg_next(&v->head);

		if (s->type == SEG_SPAN) {
			base[nr] = seg_start(s);
			size[nr++] = seg_size(s);
		} else {
			unlist(v, s);
		}
		discard(v, s);
	}
	collect_surplus(v, SEGS_NEEDED, left);
	v->rotor = NULL;
	v->size = v->nr_spans = 0;
	for (u64 i = 0; i < nr; i++)
		(void)seg_add_span_locked(v, base[i], size[i], false);
	return true;
}

/* One in use gets as many spare tags as an operation needs, no more and no fewer if there is
 * memory, and a table for as many segments as there are: what it uses does not depend on what it
 * went through either. */
static bool settle_used(struct vmem *v, struct vmem_leftovers *left, u64 *irq)
{
	if (v->nr_spare < SEGS_NEEDED)
		*irq = fill_tags(v, SEGS_NEEDED, GFP_NOWAIT | __GFP_NOWARN, *irq);
	collect_surplus(v, SEGS_NEEDED, left);
	return hash_settle(&v->hash, &left->part);
}

void seg_settle(struct vmem *v)
{
	bool more;

	do {
		VMEM_LEFTOVERS(left);
		u64 irq = spin_lock_irq(&v->lock);

		more = !rebuild_idle(v, &left) && settle_used(v, &left, &irq);
		vmem_unlock(v, irq, &left);
	} while (more);
}

/* For an arena that nobody uses any more. */
void seg_free_all(struct vmem *v)
{
	while (!list_is_empty(&v->head.link)) {
		struct vmem_seg *s = seg_next(&v->head);

		list_remove(&s->link);
		if (!is_static(v, s))
			kmem_cache_free(seg_cache, s);
	}
	while (!list_is_empty(&v->spare)) {
		struct vmem_seg *s = take_spare(v);

		if (!is_static(v, s))
			kmem_cache_free(seg_cache, s);
	}
}
