/*
 * The conformance suite of the gallery. The oracle is a table of live objects, each filled with a
 * pattern of its own: an object that overlaps another, or books that reach into one, change it.
 *
 *   C1  objects[0 … nr_live) are the live ones; each byte of at[0 … size) is pattern(stamp, i).
 *
 * A trial returns true, or false after fail() has said why. Sizes come from size_for(), so that the
 * pools, which have one size, run the same trials.
 */
#include <lib/bits.h>
#include <lib/format.h>
#include <lib/string.h>
#include <tests/model/heap_conformance.h>

#define POOL_SIZE 96u
#define POOL_OBJECTS 300u
#define LARGE (32 * KIB) /* the threshold of the mapped region */

__printf(2, 3) static bool fail(struct conformance *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vformat_buf(c->why, sizeof(c->why), fmt, args);
	va_end(args);
	return false;
}

/* --- objects and their content --- */

static u8 pattern(u64 stamp, size_t i)
{
	return (u8)(stamp * 131 + i * 7 + (i >> 8));
}

static void fill(const struct conformance_object *o)
{
	for (size_t i = 0; i < o->size; i++)
		o->at[i] = pattern(o->stamp, i);
}

static bool is_whole(struct conformance *c, const struct conformance_object *o, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (o->at[i] != pattern(o->stamp, i))
			return fail(c, "byte %zu of an object of %zu has changed", i, o->size);
	return true;
}

static bool has(const struct conformance *c, unsigned trait)
{
	return c->heap->design->traits & trait;
}

static size_t size_for(const struct conformance *c, size_t size)
{
	return has(c, HEAP_TYPED) ? min_u64(size, POOL_SIZE) : size;
}

static bool check(struct conformance *c)
{
	const char *broken = heap_check(c->heap);

	return broken == NULL || fail(c, "check: %s", broken);
}

/* What any object must be: inside the region, aligned, large enough, apart from the others. */
static bool is_sound(struct conformance *c, const u8 *at, size_t size, size_t align)
{
	const struct region *r = &c->region;

	if (!is_aligned((u64)at, max_u64(align, HEAP_ALIGN)))
		return fail(c, "%zu bytes are not aligned to %zu", size, align);
	if (heap_usable_size(c->heap, at) < size)
		return fail(c, "of %zu bytes only %zu are usable", size,
		            heap_usable_size(c->heap, at));
	if (!has(c, HEAP_KERNEL) && (at < r->base || at + size > r->base + r->nr_bytes))
		return fail(c, "%zu bytes lie outside the region", size);
	for (size_t i = 0; i < c->nr_live; i++)
		if (at < c->objects[i].at + max_u64(c->objects[i].size, 1) &&
		    c->objects[i].at < at + max_u64(size, 1))
			return fail(c, "two live objects overlap");
	return true;
}

static bool keep(struct conformance *c, u8 *at, size_t size, size_t align)
{
	struct conformance_object o = {at, size, c->next_stamp++};

	if (!is_sound(c, at, size, align))
		return false;
	fill(&o);
	c->objects[c->nr_live++] = o;
	return true;
}

static bool allocate(struct conformance *c, size_t size, size_t align)
{
	u8 *at = heap_alloc_aligned(c->heap, size, align);

	if (at == NULL)
		return fail(c, "no room for %zu bytes, alignment %zu", size, align);
	return keep(c, at, size, align);
}

static bool release(struct conformance *c, size_t i)
{
	struct conformance_object o = c->objects[i];

	if (!is_whole(c, &o, o.size))
		return false;
	c->objects[i] = c->objects[--c->nr_live];
	heap_free(c->heap, o.at);
	return true;
}

static bool release_all(struct conformance *c)
{
	while (c->nr_live > 0)
		if (!release(c, rng_below(&c->rng, c->nr_live)))
			return false;
	return check(c);
}

static bool all_whole(struct conformance *c)
{
	for (size_t i = 0; i < c->nr_live; i++)
		if (!is_whole(c, &c->objects[i], c->objects[i].size))
			return false;
	return true;
}

/* Objects of one size until there is no room: how many. */
static size_t exhaust(struct conformance *c, size_t size)
{
	size_t nr = 0;
	u8 *at;

	while (c->nr_live < CONFORMANCE_OBJECTS && (at = heap_alloc(c->heap, size)) != NULL) {
		struct conformance_object o = {at, size, c->next_stamp++};

		fill(&o);
		c->objects[c->nr_live++] = o;
		nr++;
	}
	return nr;
}

/* --- trials --- */

static bool sizes(struct conformance *c)
{
	for (size_t size = 0; size <= 2100; size += size < 100 ? 1 : 83)
		if (!allocate(c, size_for(c, size), 1))
			return false;
	return check(c) && release_all(c);
}

static bool alignments(struct conformance *c)
{
	if (has(c, HEAP_TYPED))
		return heap_alloc_aligned(c->heap, 16, 64) == NULL ||
		       fail(c, "a pool pretends to align");
	for (size_t align = 1; align <= HEAP_MAX_ALIGN; align *= 2)
		for (size_t size = 1; size <= 600; size += 171)
			if (!allocate(c, size, align))
				return false;
	if (heap_alloc_aligned(c->heap, 10, 48) != NULL ||
	    heap_alloc_aligned(c->heap, 10, 3) != NULL ||
	    heap_alloc_aligned(c->heap, 10, 2 * HEAP_MAX_ALIGN) != NULL)
		return fail(c, "an alignment that is none, or too large, was accepted");
	return check(c) && release_all(c);
}

/* Aligned requests again and again: the gaps in front must not be lost. */
static bool aligned_reuse(struct conformance *c)
{
	if (has(c, HEAP_TYPED))
		return true;
	for (unsigned round = 0; round < 400; round++) {
		if (!allocate(c, 100 + round % 7 * 16, 256) || !release(c, 0))
			return false;
	}
	return check(c);
}

static bool zero_size(struct conformance *c)
{
	heap_free(c->heap, NULL);
	for (unsigned i = 0; i < 20; i++)
		if (!allocate(c, 0, 0))
			return false;
	return check(c) && release_all(c);
}

static bool huge_sizes(struct conformance *c)
{
	static const size_t huge[] = {~0ul, ~0ul - 7, ~0ul - 15, ~0ul - 4095, 1ul << 63, 1ul << 48};

	if (!allocate(c, 48, 1))
		return false;
	for (unsigned i = 0; i < ARRAY_SIZE(huge); i++)
		if (heap_alloc(c->heap, huge[i]) != NULL ||
		    heap_alloc_aligned(c->heap, huge[i], 4096) != NULL ||
		    heap_resize(c->heap, c->objects[0].at, huge[i]) != NULL)
			return fail(c, "a request of 2^64 or so was granted");
	if (!has(c, HEAP_KERNEL) && (heap_alloc(c->heap, CONFORMANCE_BYTES) != NULL ||
	                             heap_alloc(c->heap, CONFORMANCE_BYTES + 1) != NULL))
		return fail(c, "a request for the whole region was granted");
	return check(c) && release_all(c);
}

/* Until nothing is left, and the same once more. */
static bool exhaustion(struct conformance *c)
{
	size_t size = size_for(c, 150), nr = 0;

	if (has(c, HEAP_KERNEL))
		return true;
	for (unsigned round = 0; round < 3; round++) {
		size_t got = exhaust(c, size);

		if (got == 0 || got == CONFORMANCE_OBJECTS)
			return fail(c, "%zu objects of %zu bytes until exhaustion", got, size);
		if (round > 0 && got < nr)
			return fail(c, "%zu objects fitted, after all were freed %zu", nr, got);
		nr = got;
		if (!all_whole(c) || !check(c) || !release_all(c))
			return false;
	}
	return true;
}

/* A full heap, one object freed: the next request of that size has room. */
static bool reuse(struct conformance *c)
{
	size_t size = size_for(c, 200);

	if (has(c, HEAP_KERNEL) || !has(c, HEAP_REUSES))
		return true;
	exhaust(c, size);
	for (unsigned round = 0; round < 50; round++)
		if (!release(c, rng_below(&c->rng, c->nr_live)) || !allocate(c, size, 1))
			return false;
	return check(c) && all_whole(c) && release_all(c);
}

struct tally {
	const struct conformance *c;
	size_t nr_used, nr_free, used_bytes, free_bytes, nr_found;
	const u8 *low, *high;
	bool odd;
};

static void count_block(void *context, const struct heap_block *b)
{
	struct tally *t = context;
	const u8 *start = b->start;

	t->odd |= b->bytes == 0 || start < t->low || start + b->bytes > t->high;
	*(b->used ? &t->nr_used : &t->nr_free) += 1;
	*(b->used ? &t->used_bytes : &t->free_bytes) += b->bytes;
	for (size_t i = 0; b->used && i < t->c->nr_live; i++)
		if (t->c->objects[i].at >= start &&
		    t->c->objects[i].at + t->c->objects[i].size <= start + b->bytes)
			t->nr_found++;
}

static struct tally walk(struct conformance *c)
{
	struct tally t = {.c = c, .low = c->region.base};

	t.high = t.low + c->region.nr_bytes;
	heap_walk(c->heap, count_block, &t);
	return t;
}

/* Every live object is in exactly one used block, and the blocks are no more than there is. */
static bool walking(struct conformance *c)
{
	struct tally t;

	if (has(c, HEAP_KERNEL))
		return true;
	for (size_t i = 0; i < 120; i++)
		if (!allocate(c, size_for(c, 40 + i * 5), 1))
			return false;
	for (size_t i = 0; i < 50; i++)
		if (!release(c, rng_below(&c->rng, c->nr_live)))
			return false;
	t = walk(c);
	if (t.odd || t.used_bytes + t.free_bytes > region_footprint(&c->region))
		return fail(c, "walk shows a block outside the heap, or too many");
	if (t.nr_found != c->nr_live)
		return fail(c, "walk shows %zu of %zu live objects", t.nr_found, c->nr_live);
	if (has(c, HEAP_COALESCES) && t.nr_used != c->nr_live)
		return fail(c, "walk shows %zu used blocks, %zu objects live", t.nr_used,
		            c->nr_live);
	return release_all(c);
}

/* All freed, in any order, is one block again, and one request can have nearly all of it. */
static bool coalescing(struct conformance *c)
{
	if (!has(c, HEAP_COALESCES))
		return true;
	size_t most = c->region.kind == REGION_MAPPED ? LARGE - 64 : CONFORMANCE_BYTES * 3 / 8;

	for (unsigned round = 0; round < 4; round++) {
		struct tally t;

		exhaust(c, 60 + round * 100);
		if (!release_all(c))
			return false;
		t = walk(c);
		if (t.nr_used != 0 || t.nr_free > 1)
			return fail(c, "all is freed, and %zu used, %zu free blocks are left",
			            t.nr_used, t.nr_free);
		if (!allocate(c, most, 1) || !release_all(c))
			return false;
	}
	return true;
}

static bool resize(struct conformance *c, size_t i, size_t size)
{
	struct conformance_object *o = &c->objects[i], old = *o;
	u8 *at = heap_resize(c->heap, o->at, size);

	if (at == NULL)
		return fail(c, "no room to resize %zu to %zu bytes", old.size, size);
	o->at = at;
	o->size = size;
	if (!is_whole(c, o, min_u64(old.size, size)))
		return false;
	c->objects[i] = c->objects[--c->nr_live];
	return keep(c, at, size, 1);
}

static bool resizing(struct conformance *c)
{
	for (size_t i = 0; i < 12; i++)
		if (!allocate(c, size_for(c, 10 + 30 * i), 1))
			return false;
	for (unsigned round = 0; round < 150; round++)
		if (!resize(c, rng_below(&c->rng, c->nr_live),
		            size_for(c, rng_below(&c->rng, 900))))
			return false;
	if (has(c, HEAP_TYPED) && heap_resize(c->heap, c->objects[0].at, POOL_SIZE + 1) != NULL)
		return fail(c, "a pool's object grew beyond its size");
	return check(c) && all_whole(c) && release_all(c);
}

/* The neighbour behind is free: the object grows where it is, and what is left can be used. */
static bool resizing_in_place(struct conformance *c)
{
	void *first, *old;

	if (!has(c, HEAP_GROWS))
		return true;
	for (size_t i = 0; i < 3; i++)
		if (!allocate(c, 208, 1))
			return false;
	first = c->objects[0].at;
	if ((u8 *)first > c->objects[1].at || c->objects[1].at > c->objects[2].at)
		return release_all(c); /* downwards: nothing is behind the first */
	heap_free(c->heap, c->objects[1].at);
	c->objects[1] = c->objects[--c->nr_live];
	old = heap_resize(c->heap, first, 330);
	if (old != first)
		return fail(c, "an object moved, with room behind it");
	c->objects[0].size = 330;
	fill(&c->objects[0]);
	if (!check(c) || !resize(c, 0, 20))
		return false;
	return check(c) && release_all(c);
}

/* All that is usable may be written. */
static bool usable_bytes(struct conformance *c)
{
	for (size_t i = 1; i < 60; i++) {
		if (!allocate(c, size_for(c, i * 9), 1))
			return false;
		c->objects[c->nr_live - 1].size =
		    heap_usable_size(c->heap, c->objects[c->nr_live - 1].at);
		fill(&c->objects[c->nr_live - 1]);
	}
	return check(c) && all_whole(c) && release_all(c);
}

/* From the threshold on, requests are mapped ranges that go back when they are freed. */
static bool large_objects(struct conformance *c)
{
	size_t before;

	if (c->region.kind != REGION_MAPPED || has(c, HEAP_KERNEL | HEAP_TYPED | HEAP_SHARED))
		return true;
	if (!allocate(c, 100, 1))
		return false;
	before = region_footprint(&c->region);
	if (!allocate(c, LARGE, 1) || !allocate(c, LARGE + 1, 4096) || !check(c))
		return false;
	if (region_footprint(&c->region) != before + 2 * LARGE + REGION_PAGE)
		return fail(c, "a large object is not of mapped pages alone");
	if (walk(c).nr_found != 3)
		return fail(c, "walk does not show the mapped objects");
	if (!resize(c, 2, LARGE + 7) || !resize(c, 2, 1000) || !resize(c, 2, LARGE))
		return false;
	while (c->nr_live > 1)
		if (!release(c, c->nr_live - 1))
			return false;
	if (c->region.mapped_bytes != 0 && !has(c, HEAP_MAPS))
		return fail(c, "%zu mapped bytes are left", c->region.mapped_bytes);
	return release_all(c);
}

/* One operation of the random model. Exhaustion is no failure, a changed byte is. */
static bool random_step(struct conformance *c)
{
	size_t max = rng_below(&c->rng, 8) == 0 ? 6000 : 300;
	size_t size = size_for(c, rng_below(&c->rng, max));
	u64 what = rng_below(&c->rng, 16);
	size_t align = has(c, HEAP_TYPED) || what != 0 ? 1 : 16ul << rng_below(&c->rng, 6);
	size_t i = c->nr_live > 0 ? rng_below(&c->rng, c->nr_live) : 0;

	if (c->nr_live > 0 && (what >= 9 || c->nr_live == 200)) {
		if (what < 14)
			return release(c, i);
		u8 *at = heap_resize(c->heap, c->objects[i].at, size);
		struct conformance_object o = c->objects[i];

		if (at == NULL)
			return true;
		o.at = at;
		c->objects[i] = c->objects[--c->nr_live];
		return is_whole(c, &o, min_u64(o.size, size)) && keep(c, at, size, 1);
	}
	u8 *at = heap_alloc_aligned(c->heap, size, align);

	return at == NULL || keep(c, at, size, align);
}

static bool random_model(struct conformance *c)
{
	for (unsigned i = 1; i <= 1500; i++) {
		if (!random_step(c))
			return false;
		if (i % 50 == 0 && !(check(c) && all_whole(c)))
			return false;
	}
	return release_all(c);
}

/* --- running them --- */

static const struct {
	const char *name;
	bool (*run)(struct conformance *c);
} trials[] = {
    {"sizes", sizes},
    {"alignments", alignments},
    {"aligned_reuse", aligned_reuse},
    {"zero_size", zero_size},
    {"huge_sizes", huge_sizes},
    {"exhaustion", exhaustion},
    {"reuse", reuse},
    {"walking", walking},
    {"coalescing", coalescing},
    {"resizing", resizing},
    {"resizing_in_place", resizing_in_place},
    {"usable_bytes", usable_bytes},
    {"large_objects", large_objects},
    {"random_model", random_model},
};

unsigned conformance_nr_trials(void)
{
	return ARRAY_SIZE(trials);
}

const char *conformance_trial_name(unsigned trial)
{
	return trials[trial].name;
}

static bool is_for(const struct heap_design *design, enum region_kind kind)
{
	if (design->traits & HEAP_KERNEL)
		return kind == REGION_BUFFER;
	return !(design->traits & HEAP_MAPS) || kind == REGION_MAPPED;
}

static bool run_in(struct conformance *c, const struct heap_design *design, unsigned trial,
                   enum region_kind kind)
{
	struct heap_options options = {POOL_SIZE, POOL_OBJECTS};
	bool passed;

	region_init(&c->region, kind, c->memory, CONFORMANCE_BYTES, LARGE);
	rng_seed(&c->rng, c->seed);
	c->nr_live = 0;
	c->heap = heap_create(design, &c->region, &options);
	if (c->heap == NULL)
		return fail(c, "the heap could not be made");
	passed = check(c) && trials[trial].run(c);
	/* What is left of a failed trial may be unsound: only the kernel's memory must not leak. */
	while (design->traits & HEAP_KERNEL && c->nr_live > 0)
		heap_free(c->heap, c->objects[--c->nr_live].at);
	if (passed || design->traits & HEAP_KERNEL)
		heap_destroy(c->heap);
	return passed;
}

bool conformance_run(struct conformance *c, const struct heap_design *design, unsigned trial)
{
	static const char *const kinds[] = {"a fixed buffer", "a break", "mapped ranges"};

	for (unsigned kind = REGION_BUFFER; kind <= REGION_MAPPED; kind++) {
		c->trial = trials[trial].name;
		c->kind = kinds[kind];
		if (is_for(design, kind) && !run_in(c, design, trial, kind))
			return false;
	}
	return true;
}

bool conformance_run_all(struct conformance *c, const struct heap_design *design)
{
	for (unsigned trial = 0; trial < ARRAY_SIZE(trials); trial++)
		if (!conformance_run(c, design, trial))
			return false;
	return true;
}
