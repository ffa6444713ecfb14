/*
 * arena: a front of caches, one a CPU, before a central heap. The lock is for the transfers only.
 *
 *     CPU 0   32: [o o o . .]  64: [o . .]  96: […]       a CPU's own: no lock,
 *     CPU 1   32: [o . . . .]  64: [o o o]  96: […]       interrupts off for a moment
 *                  | 8 at a time
 *                  v ^
 *     -- lock --   explicit_lifo, or any other design with footers
 *
 * A request takes an object out of its CPU's cache of that class; an empty cache is filled with
 * eight at once, a full one gives eight back. So the lock is taken once for eight operations, and
 * never while a loop allocates and frees. An object may be freed on another CPU: it goes into that
 * one's cache (Bonwick and Adams 2001; the kernel's magazines in mm/slab_cpu.c hold whole arrays).
 *
 *   A1  an object in a cache is at least as large as its class, and the central heap's.
 *   A2  each cache holds at most NR_SLOTS objects.
 *
 * Cost: alloc and free O(1) in the caches; a transfer costs what the central heap does, O(f).
 *
 * Lacks: a way for a cache's memory to serve other sizes before it is full, or another CPU before
 * it is drained. Contexts: any, handlers too. The region must not map: the front stays away.
 */
#include <lib/bits.h>
#include <lib/platform.h>
#include <lib/spinlock.h>
#include <mm/heap.h>

#define STEP 32ul /* classes of 32, 64 … 256 bytes */
#define NR_CLASSES 8u
#define NR_SLOTS 16u
#define BATCH 8u

struct cache {
	u32 nr;
	void *slot[NR_SLOTS];
};

struct front {
	struct cache class[NR_CLASSES];
};

struct arena {
	struct heap heap;
	struct heap *central;
	struct spinlock lock; /* guards central and its region */
	struct front
	    *front[MAX_CPUS]; /* made by their CPU when it first comes; its own after that */
};

extern const struct heap_design heap_explicit_lifo;

/* --- the central heap, with the lock --- */

static void unlock_central(struct arena *a, u64 flags)
{
	a->heap.steps = a->central->steps; /* the front itself takes none */
	a->heap.joins = a->central->joins;
	spin_unlock_irq(&a->lock, flags);
}

static void *central_alloc(struct arena *a, size_t size, size_t align)
{
	u64 flags = spin_lock_irq(&a->lock);
	void *object = a->central->design->alloc(a->central, size, align);

	unlock_central(a, flags);
	return object;
}

static void central_free(struct arena *a, void *object)
{
	u64 flags = spin_lock_irq(&a->lock);

	a->central->design->free(a->central, object);
	unlock_central(a, flags);
}

/* Objects for an empty cache; fewer when there are no more. */
static void fill(struct arena *a, struct cache *c, size_t size)
{
	u64 flags = spin_lock_irq(&a->lock);

	while (c->nr < BATCH) {
		void *object = a->central->design->alloc(a->central, size, HEAP_ALIGN);

		if (object == NULL)
			break;
		c->slot[c->nr++] = object;
	}
	unlock_central(a, flags);
}

/* The longest unused ones: they lie at the bottom. */
static void spill(struct arena *a, struct cache *c, u32 nr)
{
	u64 flags = spin_lock_irq(&a->lock);

	for (u32 i = 0; i < nr; i++)
		a->central->design->free(a->central, c->slot[i]);
	unlock_central(a, flags);
	c->nr -= nr;
	for (u32 i = 0; i < c->nr; i++)
		c->slot[i] = c->slot[i + nr];
}

/* --- the front: interrupts are off --- */

static struct front *this_front(struct arena *a)
{
	struct front **f = &a->front[cpu_id()];

	if (*f != NULL)
		return *f;
	*f = central_alloc(a, sizeof(**f), HEAP_ALIGN);
	for (unsigned i = 0; *f != NULL && i < NR_CLASSES; i++)
		(*f)->class[i].nr = 0;
	return *f;
}

static void *cache_alloc(struct arena *a, unsigned class)
{
	struct front *f = this_front(a);
	struct cache *c;

	if (f == NULL)
		return NULL;
	c = &f->class[class];
	if (c->nr == 0)
		fill(a, c, (class + 1) * STEP);
	return c->nr > 0 ? c->slot[--c->nr] : NULL;
}

static void *arena_alloc(struct heap *heap, size_t size, size_t align)
{
	struct arena *a = (struct arena *)heap;
	void *object;
	u64 flags;

	if (size > NR_CLASSES * STEP || align > HEAP_ALIGN)
		return central_alloc(a, size, align);
	flags = irq_save();
	object = cache_alloc(a, (unsigned)((size - 1) / STEP));
	irq_restore(flags);
	return object;
}

static size_t arena_usable_size(const struct heap *heap, const void *object)
{
	const struct heap *central = ((const struct arena *)heap)->central;

	return central->design->usable_size(central, object);
}

/* The class that it can serve, which may be larger than the one it was asked for. */
static void arena_free(struct heap *heap, void *object)
{
	struct arena *a = (struct arena *)heap;
	size_t class = arena_usable_size(heap, object) / STEP;
	u64 flags = irq_save();
	struct front *f = this_front(a);

	if (class == 0 || class > NR_CLASSES || f == NULL) {
		central_free(a, object);
	} else {
		struct cache *c = &f->class[class - 1];

		if (c->nr == NR_SLOTS)
			spill(a, c, BATCH);
		c->slot[c->nr++] = object;
	}
	irq_restore(flags);
}

void arena_heap_drain(struct heap *heap)
{
	struct arena *a = (struct arena *)heap;
	u64 flags = irq_save();
	struct front *f = a->front[cpu_id()];

	for (unsigned i = 0; f != NULL && i < NR_CLASSES; i++)
		spill(a, &f->class[i], f -> class[i].nr);
	irq_restore(flags);
}

/* --- looking: only while no other CPU is at work --- */

static const char *arena_check(const struct heap *heap)
{
	const struct arena *a = (const struct arena *)heap;

	for (unsigned i = 0; i < MAX_CPUS * NR_CLASSES; i++) {
		const struct front *f = a->front[i / NR_CLASSES];
		const struct cache *c = f != NULL ? &f->class[i % NR_CLASSES] : NULL;

		if (c != NULL && c->nr > NR_SLOTS)
			return "arena A2: a cache holds too many objects";
		for (u32 j = 0; c != NULL && j < c->nr; j++)
			if (arena_usable_size(heap, c->slot[j]) < (i % NR_CLASSES + 1) * STEP)
				return "arena A1: a cached object is too small for its class";
	}
	return a->central->design->check(a->central);
}

/* What lies in a cache counts as used: the central heap has given it away. */
static void arena_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct heap *central = ((const struct arena *)heap)->central;

	central->design->walk(central, visit, context);
}

static bool arena_init(struct heap *heap)
{
	struct arena *a = (struct arena *)heap;

	spin_init(&a->lock, "arena");
	a->central = heap_create(&heap_explicit_lifo, heap->region, NULL);
	return a->central != NULL;
}

const struct heap_design heap_arena = {
    .name = "arena",
    .idea = "caches a CPU before a central heap",
    .traits = HEAP_REUSES | HEAP_SHARED,
    .alloc_order = HEAP_O_N,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct arena),
    .init = arena_init,
    .alloc = arena_alloc,
    .free = arena_free,
    .usable_size = arena_usable_size,
    .check = arena_check,
    .walk = arena_walk,
};
