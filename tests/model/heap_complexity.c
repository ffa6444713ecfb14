/*
 * Costs against the number of blocks (heap_complexity.h). No floating point: the increases of the
 * curve tell its order.
 */
#include <lib/bits.h>
#include <tests/model/heap_complexity.h>

#define SMALL 48ul /* objects; the holes between them are of 16 sizes from this on */
#define BEHIND 16384ul
#define LARGER 304ul /* no hole serves this */

size_t complexity_memory(u64 n)
{
	return align_up(512 * KIB + n * 1024, REGION_PAGE);
}

enum heap_order complexity_fit(const u64 cost[COMPLEXITY_POINTS], u64 factor)
{
	u64 first = cost[1] - min_u64(cost[1], cost[0]);
	u64 last = cost[COMPLEXITY_POINTS - 1] -
	           min_u64(cost[COMPLEXITY_POINTS - 1], cost[COMPLEXITY_POINTS - 2]);
	u64 linear = 1;

	for (unsigned i = 2; i < COMPLEXITY_POINTS; i++)
		linear *= factor;
	if (cost[COMPLEXITY_POINTS - 1] * 2 <= cost[0] * 3)
		return HEAP_O_1;
	if (last * 2 >= first * linear && last <= first * linear * 2)
		return HEAP_O_N;
	return last <= first * 3 ? HEAP_O_LOG_N : HEAP_O_OTHER;
}

/* --- the two heaps --- */

struct probe {
	struct heap *heap;
	void **objects;
	u64 n;
};

static bool is_typed(const struct probe *p)
{
	return p->heap->design->traits & HEAP_TYPED;
}

/* A front with caches would gather the sizes, eight of each side by side: it gets one. */
static size_t hole_bytes(const struct probe *p, u64 i)
{
	return p->heap->design->traits & HEAP_SHARED ? SMALL : SMALL + 16 * (i % 16);
}

/* 2 n objects and a large one behind them; that is freed, then every second one from the top down:
 * the room that serves is behind all the holes, in whichever way they are gone through. */
static bool make_holes(const struct probe *p)
{
	void *behind;

	for (u64 i = 0; i < 2 * p->n; i++) {
		size_t size = i % 2 == 1 || is_typed(p) ? SMALL : hole_bytes(p, i / 2);

		p->objects[i] = heap_alloc(p->heap, size);
		if (p->objects[i] == NULL)
			return false;
	}
	behind = is_typed(p) ? NULL : heap_alloc(p->heap, BEHIND);
	heap_free(p->heap, behind);
	for (u64 i = 2 * p->n; i >= 2 && !is_typed(p); i -= 2)
		heap_free(p->heap, p->objects[i - 2]);
	return behind != NULL || is_typed(p);
}

/* One object allocated and freed COMPLEXITY_PROBES times; the costs are added. */
static bool probe_pairs(const struct probe *p, size_t size, u64 *alloc, u64 *free)
{
	for (unsigned i = 0; i < COMPLEXITY_PROBES; i++) {
		u64 start = p->heap->steps, middle;
		void *object = heap_alloc(p->heap, size);

		if (object == NULL)
			return false;
		middle = p->heap->steps;
		heap_free(p->heap, object);
		*alloc += 1 + middle - start;
		*free += 1 + p->heap->steps - middle;
	}
	return true;
}

/* As many allocated in a row, and freed then: what a cache in front cannot hide. size 0: as the
 * holes are. */
static bool probe_row(const struct probe *p, size_t size, u64 *alloc, u64 *free)
{
	void *object[COMPLEXITY_PROBES];
	u64 start = p->heap->steps, middle;

	for (unsigned i = 0; i < COMPLEXITY_PROBES; i++) {
		object[i] = heap_alloc(p->heap, size != 0 ? size : hole_bytes(p, i));
		if (object[i] == NULL)
			return false;
	}
	middle = p->heap->steps;
	for (unsigned i = 0; i < COMPLEXITY_PROBES; i++)
		heap_free(p->heap, object[i]);
	*alloc = max_u64(*alloc, COMPLEXITY_PROBES + middle - start);
	*free = max_u64(*free, COMPLEXITY_PROBES + p->heap->steps - middle);
	return true;
}

/* Objects all over the heap, between holes, freed; what was there is there again afterwards. */
static void probe_frees(const struct probe *p, u64 *free)
{
	for (unsigned i = 0; i < COMPLEXITY_PROBES; i++) {
		u64 at = p->n / COMPLEXITY_PROBES * 2 * i + 1;
		u64 start = p->heap->steps;

		heap_free(p->heap, p->objects[at]);
		*free += 1 + p->heap->steps - start;
	}
}

static bool open(struct probe *p, struct region *r, const struct heap_design *design, void *memory)
{
	struct heap_options options = {.object_size = SMALL, .nr_objects = 2 * p->n + 1};
	enum region_kind kind = design->traits & HEAP_MAPS ? REGION_MAPPED : REGION_BREAK;

	region_init(r, kind, memory, complexity_memory(p->n), REGION_NO_THRESHOLD);
	p->heap = heap_create(design, r, &options);
	return p->heap != NULL;
}

static bool count_holes(struct probe *p, const struct heap_design *design, void *memory, u64 *alloc,
                        u64 *free)
{
	u64 scattered = 0;
	struct region r;

	if (!open(p, &r, design, memory) || !make_holes(p) ||
	    !probe_pairs(p, is_typed(p) ? SMALL : LARGER, alloc, free))
		return false;
	if (is_typed(p))
		return true;
	if (!probe_row(p, LARGER, alloc, free) || !probe_row(p, 0, alloc, free))
		return false;
	probe_frees(p, &scattered);
	*free = max_u64(*free, scattered);
	return true;
}

/* The heap has had all its memory once, and has it still where it keeps it. */
static bool count_alone(struct probe *p, const struct heap_design *design, void *memory, u64 *alloc,
                        u64 *free)
{
	struct region r;
	void *all;

	if (!open(p, &r, design, memory))
		return false;
	all = heap_alloc(p->heap, is_typed(p) ? SMALL : p->n * 256);
	heap_free(p->heap, all);
	return all != NULL && probe_pairs(p, SMALL, alloc, free);
}

bool complexity_count(const struct heap_design *design, u64 first, u64 factor, void *memory,
                      void **objects, struct complexity *out)
{
	struct probe p = {.objects = objects, .n = first};

	for (unsigned i = 0; i < COMPLEXITY_POINTS; i++, p.n *= factor) {
		u64 alloc[2] = {0, 0}, free[2] = {0, 0};

		if (!count_holes(&p, design, memory, &alloc[0], &free[0]) ||
		    !count_alone(&p, design, memory, &alloc[1], &free[1]))
			return false;
		out->n[i] = p.n;
		out->alloc.cost[i] = max_u64(alloc[0], alloc[1]);
		out->free.cost[i] = max_u64(free[0], free[1]);
	}
	out->alloc.fitted = complexity_fit(out->alloc.cost, factor);
	out->free.fitted = complexity_fit(out->free.cost, factor);
	return true;
}
