/*
 * pool_stack: objects of one size, and the indices of the free ones in an array used as a stack.
 *
 *     | 4 | 0 | 7 | 2 |   |   |   |   || object 0 | object 1 | object 2 | … | object 7 |
 *                   ^ nr_free
 *
 *   P1  the first nr_free entries are the indices of the free objects, each once.
 *
 * Cost: alloc and free O(1), and nothing is written into a free object. 4 bytes an object.
 *
 * Lacks: any other size; more objects than it was made for; noticing a double free. Read next:
 * pool_bitmap.c, with a bit where this has four bytes.
 */
#include "pool.h"

struct pool_stack {
	struct pool pool;
	u32 *free;
};

static void *pool_stack_alloc(struct heap *heap, size_t size, size_t align)
{
	struct pool_stack *s = (struct pool_stack *)heap;

	if (!pool_serves(&s->pool, size, align))
		return NULL;
	return pool_object(&s->pool, s->free[--s->pool.nr_free]);
}

static void pool_stack_free(struct heap *heap, void *object)
{
	struct pool_stack *s = (struct pool_stack *)heap;

	s->free[s->pool.nr_free++] = (u32)pool_index(&s->pool, object);
}

static bool is_free(const struct pool_stack *s, size_t index)
{
	for (size_t i = 0; i < s->pool.nr_free; i++)
		if (s->free[i] == index)
			return true;
	return false;
}

static const char *pool_stack_check(const struct heap *heap)
{
	const struct pool_stack *s = (const struct pool_stack *)heap;
	size_t nr = 0;

	for (size_t i = 0; i < s->pool.nr_objects; i++)
		nr += is_free(s, i);
	return nr == s->pool.nr_free ? NULL
	                             : "pool_stack P1: a free index is wrong, or there twice";
}

static void pool_stack_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct pool_stack *s = (const struct pool_stack *)heap;

	for (size_t i = 0; i < s->pool.nr_objects; i++)
		pool_visit(&s->pool, i, !is_free(s, i), visit, context);
}

/* The lowest object lies on top. */
static bool pool_stack_init(struct heap *heap)
{
	struct pool_stack *s = (struct pool_stack *)heap;

	s->free = pool_init(&s->pool, 8 * sizeof(*s->free));
	if (s->free == NULL)
		return false;
	for (size_t i = 0; i < s->pool.nr_objects; i++)
		s->free[i] = (u32)(s->pool.nr_objects - 1 - i);
	return true;
}

const struct heap_design heap_pool_stack = {
    .name = "pool_stack",
    .idea = "one size; the free indices in a stack",
    .traits = HEAP_TYPED | HEAP_REUSES,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct pool_stack),
    .init = pool_stack_init,
    .alloc = pool_stack_alloc,
    .free = pool_stack_free,
    .usable_size = pool_usable_size,
    .check = pool_stack_check,
    .walk = pool_stack_walk,
};
