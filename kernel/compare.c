/*
 * A trace on a design of the gallery, operation by operation.
 *
 * What is allocated is stamped at both ends with a word of its own, and verified when it is freed
 * or moves. The blocks are looked at once, when the trace's live bytes are at their highest: what
 * was asked for, what the used blocks hold and what the heap holds differ by internal and external
 * fragmentation, apart.
 *
 *   C1  a slot is live from its allocation to its free; an allocation that failed leaves object
 *       NULL and size 0, and its free does nothing.
 *   C2  the clock's own cost is taken off each operation.
 *
 * The kernel's objects (k, c) and malloc's (m) are plain requests here, blocks of pages (p) are
 * requests of that size aligned to a page.
 *
 * Cost: a few dozen cycles an operation besides the design's; heap_check() CHECKS times.
 */
#include <kernel/compare.h>
#include <kernel/trace.h>
#include <lib/bits.h>
#include <lib/string.h>

#define CHECKS 4u

/* --- costs --- */

static unsigned bucket_of(u64 cost)
{
	unsigned top;

	if (cost < 64)
		return (unsigned)cost;
	top = highest_bit(cost);
	return 64 + (top - 6) * 16 + (unsigned)(cost >> (top - 4) & 15);
}

static u64 bucket_bottom(unsigned bucket)
{
	if (bucket < 64)
		return bucket;
	return (16ull + (bucket - 64) % 16) << ((bucket - 64) / 16 + 2);
}

static void add_cost(struct compare_costs *c, u64 cost)
{
	c->sum += cost;
	c->nr++;
	c->worst = max_u64(c->worst, cost);
	c->bucket[bucket_of(cost)]++;
}

u64 compare_percentile(const struct compare_costs *c, unsigned percent)
{
	u64 seen = 0;

	for (unsigned i = 0; i < COMPARE_BUCKETS; i++) {
		seen += c->bucket[i];
		if (seen * 100 >= c->nr * percent)
			return bucket_bottom(i);
	}
	return c->worst;
}

u64 compare_mean_tenths(const struct compare_costs *c)
{
	return c->nr == 0 ? 0 : c->sum * 10 / c->nr;
}

/* --- reading --- */

static u64 size_of(const struct trace_op *op)
{
	return max_u64(op->kind == 'p' ? REGION_PAGE << op->order : op->size, 1);
}

static int bad_line(struct compare *c, const struct trace *t, const char *why)
{
	c->error = why;
	c->line = t->line;
	return -EINVAL;
}

static int open_trace(struct compare *c, struct trace *t, const char *text, size_t length)
{
	struct trace_cache cache;
	int found = trace_open(t, text, length) == 0 ? 1 : -EINVAL;

	while (found > 0)
		found = trace_next_cache(t, &cache);
	for (u64 id = 0; found == 0 && id < t->nr_ids; id++)
		c->slots[id] = (struct compare_slot){NULL, 0};
	return found < 0 ? bad_line(c, t, t->error) : 0;
}

/* Whether the operation fits the ones before: frees of what lives, allocations of what does not. */
static bool fits(const struct compare_slot *s, const struct trace_op *op)
{
	bool wants_live = op->kind == 'f' || op->kind == 'r';

	return wants_live == (s->size != 0) && (op->kind != 'p' || op->order <= 18);
}

/* The operation after which most bytes live, from 0. */
static int find_peak(struct compare *c, const char *text, size_t length, u64 *peak_op)
{
	u64 live = 0, peak = 0, at = 0;
	struct trace_op op;
	struct trace t;
	int found = open_trace(c, &t, text, length);

	if (found < 0)
		return found;
	for (; (found = trace_next(&t, &op)) > 0; at++) {
		struct compare_slot *s = &c->slots[op.id];
		u64 size = op.kind == 'f' ? 0 : size_of(&op);

		if (!fits(s, &op))
			return bad_line(c, &t, "it does not fit the lines before");
		live += size - s->size;
		s->size = size;
		if (live > peak) {
			peak = live;
			*peak_op = at;
		}
	}
	return found < 0 ? bad_line(c, &t, t.error) : 0;
}

/* --- stamps --- */

#define STAMP_BYTES sizeof(u64)

static u64 stamp_of(const struct compare *c, const struct compare_slot *s)
{
	return ((u64)(s - c->slots) + 1) * 0xbf58476d1ce4e5b9;
}

static void stamp(const struct compare *c, const struct compare_slot *s)
{
	u64 value = stamp_of(c, s), n = min_u64(s->size, STAMP_BYTES);

	memcpy(s->object, &value, n);
	if (s->size >= 2 * STAMP_BYTES)
		memcpy((u8 *)s->object + s->size - n, &value, n);
}

/* The first bytes, and the last ones unless the object has just become larger or smaller. */
static bool is_whole(const struct compare *c, const struct compare_slot *s, u64 size, bool both)
{
	u64 value = stamp_of(c, s), n = min_u64(size, STAMP_BYTES);

	if (memcmp(s->object, &value, n) != 0)
		return false;
	return !both || size < 2 * STAMP_BYTES ||
	       memcmp((u8 *)s->object + size - n, &value, n) == 0;
}

/* --- operations --- */

struct run {
	struct compare *c;
	struct heap *heap;
	u64 live, start, start_steps, clock_cost;
	u64 last_cost; /* of the operation that has just ended */
};

static void begin(struct run *r)
{
	r->start_steps = r->heap->steps;
	r->start = r->c->clock();
}

static void end(struct run *r)
{
	u64 spent = r->c->clock() - r->start;

	r->last_cost = spent - min_u64(spent, r->clock_cost);
	add_cost(&r->c->cost, r->last_cost);
	add_cost(&r->c->steps, 1 + r->heap->steps - r->start_steps);
}

static void allocate(struct run *r, struct compare_slot *s, const struct trace_op *op)
{
	u64 size = size_of(op);
	u64 align = op->kind == 'p' ? REGION_PAGE : op->kind == 'z' ? op->align : HEAP_ALIGN;

	align = min_u64(align, HEAP_MAX_ALIGN);
	begin(r);
	s->object = heap_alloc_aligned(r->heap, size, align);
	end(r);
	r->c->nr_failures += s->object == NULL;
	if (s->object == NULL)
		return;
	s->size = size;
	r->live += size;
	stamp(r->c, s);
}

static bool release(struct run *r, struct compare_slot *s)
{
	bool whole = s->object == NULL || is_whole(r->c, s, s->size, true);
	u64 joins = r->heap->joins;

	begin(r);
	heap_free(r->heap, s->object);
	end(r);
	joins = r->heap->joins - joins;
	add_cost(joins > 0 ? &r->c->joining : &r->c->apart, r->last_cost);
	r->c->nr_joins += joins;
	r->live -= s->size;
	*s = (struct compare_slot){NULL, 0};
	return whole;
}

static bool resize(struct run *r, struct compare_slot *s, u64 size)
{
	bool whole = s->object == NULL || is_whole(r->c, s, s->size, true);
	void *object;

	begin(r);
	object = heap_resize(r->heap, s->object, size);
	end(r);
	r->c->nr_failures += object == NULL;
	if (object == NULL)
		return whole;
	whole &= s->object == NULL || s->size == 0 ||
	         (s->object = object, is_whole(r->c, s, min_u64(s->size, size), false));
	r->live += size - s->size;
	*s = (struct compare_slot){object, size};
	stamp(r->c, s);
	return whole;
}

/* --- the whole trace --- */

static void add_used(void *context, const struct heap_block *block)
{
	if (block->used)
		*(u64 *)context += block->bytes;
}

static void look(struct run *r, bool at_peak)
{
	struct compare *c = r->c;

	c->peak_live = max_u64(c->peak_live, r->live);
	if (!at_peak)
		return;
	c->live = r->live;
	c->used = 0;
	heap_walk(r->heap, add_used, &c->used);
	c->footprint = region_footprint(c->region);
}

static bool check(struct run *r)
{
	const char *broken = heap_check(r->heap);

	if (broken != NULL && r->c->error == NULL)
		r->c->error = broken;
	return broken == NULL;
}

static bool step(struct run *r, const struct trace_op *op)
{
	struct compare_slot *s = &r->c->slots[op->id];
	bool whole = true;

	if (op->kind == 'f')
		whole = release(r, s);
	else if (op->kind == 'r')
		whole = resize(r, s, size_of(op));
	else
		allocate(r, s, op);
	if (!whole)
		r->c->error = "an object's content has changed";
	return whole;
}

static int replay(struct run *r, const char *text, size_t length, u64 peak_op)
{
	struct compare *c = r->c;
	struct trace_op op;
	struct trace t;

	if (open_trace(c, &t, text, length) != 0)
		return -EINVAL;
	for (; trace_next(&t, &op) > 0 && !c->stopped; c->nr_ops++) {
		bool due = c->nr_ops % (t.nr_ops / CHECKS + 1) == 0;

		c->line = t.line;
		if (!step(r, &op) || (due && !check(r)))
			return -EFAULT;
		look(r, c->nr_ops == peak_op);
		if (c->watch != NULL)
			c->watch(c->context, r->heap, c->nr_ops, r->live);
		c->stopped = r->heap->steps > c->max_steps;
	}
	c->peak_footprint = region_peak(c->region);
	for (u64 id = 0; id < t.nr_ids && !c->stopped; id++)
		heap_free(r->heap, c->slots[id].object);
	return c->stopped || check(r) ? 0 : -EFAULT;
}

/* What two readings of the clock cost: the least of a few. */
static u64 clock_cost(const struct compare *c)
{
	u64 least = ~0ull;

	for (unsigned i = 0; i < 16; i++) {
		u64 start = c->clock();

		least = min_u64(least, c->clock() - start);
	}
	return least;
}

static void clear_results(struct compare *c)
{
	memset(&c->cost, 0, sizeof(*c) - offsetof(struct compare, cost));
}

int compare_run(struct compare *c, const struct heap_design *design, const char *text,
                size_t length)
{
	struct run r = {.c = c};
	u64 peak_op = 0;
	int err;

	clear_results(c);
	if (design->traits & HEAP_TYPED)
		return -ENOENT;
	err = find_peak(c, text, length, &peak_op);
	if (err != 0)
		return err;
	r.heap = heap_create(design, c->region, NULL);
	if (r.heap == NULL) {
		c->error = "the region is too small for the design";
		return -ENOMEM;
	}
	r.clock_cost = clock_cost(c);
	err = replay(&r, text, length, peak_op);
	heap_destroy(r.heap);
	return err;
}
