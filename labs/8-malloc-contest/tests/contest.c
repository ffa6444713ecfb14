/*
 * Counting, and programs of chance that are scored: tests/contest.h.
 *
 * The gallery's designs, compiled and counted in the same way, take 53 (tlsf) to several hundred
 * (naive) steps an operation: PAR is about half of tlsf's, without calls through tables.
 */
#include "contest.h"

#include <lib/bits.h>
#include <lib/rng.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <tests/test.h>

#define PAR_TENTHS 280ul
#define REGION_BYTES (8 * MIB)
#define STEPS 8000u
#define SLOTS 2000u

static u64 blocks;

void __sanitizer_cov_trace_pc(void);
void __sanitizer_cov_trace_pc(void)
{
	blocks++;
}

static void *counted_alloc(struct heap *heap, size_t size, size_t align)
{
	void *object = heap_contest.alloc(heap, size, align);

	heap->steps = blocks;
	return object;
}

static void counted_free(struct heap *heap, void *object)
{
	heap_contest.free(heap, object);
	heap->steps = blocks;
}

static bool counted_resize(struct heap *heap, void *object, size_t size)
{
	bool done = heap_contest.resize(heap, object, size);

	heap->steps = blocks;
	return done;
}

const struct heap_design *contest_design(void)
{
	static struct heap_design counted;

	counted = heap_contest;
	counted.traits &= HEAP_COALESCES | HEAP_GROWS | HEAP_MAPS;
	counted.traits |= HEAP_REUSES;
	counted.alloc = counted_alloc;
	counted.free = counted_free;
	counted.resize = heap_contest.resize != NULL ? counted_resize : NULL;
	return &counted;
}

/* --- programs --- */

struct object {
	u8 *at;
	size_t size;
};

struct player {
	const struct contest_program *program;
	struct heap *heap;
	struct rng rng;
	struct object *objects;
	u64 live, peak, nr_ops, steps;
};

static size_t draw_size(struct player *p)
{
	const struct contest_program *c = p->program;
	unsigned unit = c->kinds != 0 ? c->small / c->kinds : 1;

	if (c->rare != 0 && rng_below(&p->rng, c->rare) == 0)
		return 1 + rng_below(&p->rng, c->large);
	return unit * (1 + rng_below(&p->rng, c->small / unit));
}

/* Both ends of an object say whose it is: what overlaps it changes one of them. */
static void stamp(const struct object *o)
{
	o->at[0] = (u8)(u64)o;
	o->at[o->size - 1] = (u8)(u64)o;
}

static void verify(const struct object *o)
{
	ASSERT_TRUE(o->at[0] == (u8)(u64)o && o->at[o->size - 1] == (u8)(u64)o);
}

static void set(struct player *p, struct object *o, u8 *at, size_t size)
{
	p->live += size - (o->at != NULL ? o->size : 0);
	p->peak = max_u64(p->peak, p->live);
	o->at = at;
	o->size = size;
	stamp(o);
}

static void drop(struct player *p, struct object *o)
{
	verify(o);
	heap_free(p->heap, o->at);
	p->live -= o->size;
	o->at = NULL;
	p->nr_ops++;
}

static void play_step(struct player *p)
{
	struct object *o = &p->objects[rng_below(&p->rng, p->program->slots)];
	size_t size = draw_size(p);
	u8 *at;

	if (o->at != NULL && rng_below(&p->rng, 100) >= p->program->grows) {
		drop(p, o);
		return;
	}
	if (o->at != NULL) {
		verify(o);
		size = o->size + size / 2;
	}
	at = heap_resize(p->heap, o->at, size);
	ASSERT_NOT_NULL(at);
	set(p, o, at, size);
	p->nr_ops++;
}

/* The program's end of a phase: nine objects of ten go, in the order of their places. */
static void end_phase(struct player *p)
{
	for (unsigned i = 0; i < p->program->slots; i++)
		if (p->objects[i].at != NULL && i % 10 != 0)
			drop(p, &p->objects[i]);
}

static void play(struct player *p, struct region *region, void *memory)
{
	const struct heap_design *design = contest_design();
	enum region_kind kind = design->traits & HEAP_MAPS ? REGION_MAPPED : REGION_BREAK;
	u64 before = blocks;

	ASSERT_TRUE(p->program->slots <= SLOTS);
	memset(p->objects, 0, SLOTS * sizeof(*p->objects));
	region_init(region, kind, memory, REGION_BYTES, REGION_NO_THRESHOLD);
	p->heap = heap_create(design, region, NULL);
	ASSERT_NOT_NULL(p->heap);
	for (unsigned i = 1; i <= STEPS; i++) {
		play_step(p);
		if (p->program->phase != 0 && i % p->program->phase == 0)
			end_phase(p);
	}
	p->steps = blocks - before;
	ASSERT_NULL(heap_check(p->heap));
}

void contest_score(const struct contest_program *programs, unsigned nr, u64 seed,
                   struct contest_score *out)
{
	void *memory = alloc_pages_exact(REGION_BYTES, GFP_KERNEL);
	u64 used = 0, ops = 0, steps = 0, fast;
	struct player p = {0};
	struct region region;

	p.objects = alloc_pages_exact(SLOTS * sizeof(*p.objects), GFP_KERNEL);
	ASSERT_TRUE(memory != NULL && p.objects != NULL);
	rng_seed(&p.rng, seed);
	for (unsigned i = 0; i < nr; i++) {
		p.program = &programs[i];
		p.live = p.peak = 0;
		play(&p, &region, memory);
		test_note("%s: U %lu %%, %lu steps in all", p.program->name,
		          p.peak * 100 / region_peak(&region), p.steps);
		used += p.peak * 10000 / region_peak(&region);
		steps += p.steps;
	}
	ops = p.nr_ops;
	used /= nr;
	fast = min_u64(10000, PAR_TENTHS * 1000 * ops / max_u64(steps, 1));
	out->used_percent = (unsigned)(used / 100);
	out->steps_tenths = steps * 10 / ops;
	out->points_tenths = (unsigned)((6 * used + 4 * fast) / 100);
	free_pages_exact(p.objects, SLOTS * sizeof(*p.objects));
	free_pages_exact(memory, REGION_BYTES);
}
