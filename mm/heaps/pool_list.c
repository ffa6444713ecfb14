/*
 * pool_list: objects of one size, and a list through the free ones.
 *
 *     first --------------+
 *                         v
 *     | object 0 | used | next | used | object 4 | …
 *          ^  |____________|_____________^
 *          +---------------+
 *
 *   P1  the list leads through exactly nr_free objects of the pool and ends.
 *
 * Cost: alloc and free O(1), no books at all: the memory of a free object is the book.
 *
 * Lacks: safety. Who writes to an object after its free writes the allocator's pointer, and the
 * next allocation but one is wherever that leads; the kernel keeps its books elsewhere
 * (docs/architecture.md). Read next: slab_heap.c, many pools behind one front.
 */
#include "pool.h"

struct link {
	struct link *next;
};

struct pool_list {
	struct pool pool;
	struct link *first;
};

static void *pool_list_alloc(struct heap *heap, size_t size, size_t align)
{
	struct pool_list *l = (struct pool_list *)heap;
	struct link *object = l->first;

	if (!pool_serves(&l->pool, size, align))
		return NULL;
	l->first = object->next;
	l->pool.nr_free--;
	return object;
}

static void pool_list_free(struct heap *heap, void *object)
{
	struct pool_list *l = (struct pool_list *)heap;

	((struct link *)object)->next = l->first;
	l->first = object;
	l->pool.nr_free++;
}

static bool is_ours(const struct pool *p, const void *object)
{
	return pool_index(p, object) < p->nr_objects &&
	       pool_object(p, pool_index(p, object)) == object;
}

static const char *pool_list_check(const struct heap *heap)
{
	const struct pool_list *l = (const struct pool_list *)heap;
	size_t nr = 0;

	for (const struct link *at = l->first; at != NULL; at = at->next)
		if (!is_ours(&l->pool, at) || nr++ == l->pool.nr_free)
			return "pool_list P1: the list of free objects leads astray";
	return nr == l->pool.nr_free ? NULL : "pool_list P1: a free object is not in the list";
}

static bool is_free(const struct pool_list *l, const void *object)
{
	const struct link *at = l->first;

	while (at != NULL && at != object)
		at = at->next;
	return at != NULL;
}

static void pool_list_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct pool_list *l = (const struct pool_list *)heap;

	for (size_t i = 0; i < l->pool.nr_objects; i++)
		pool_visit(&l->pool, i, !is_free(l, pool_object(&l->pool, i)), visit, context);
}

/* Freed from the last to the first: the list begins with the lowest. */
static bool pool_list_init(struct heap *heap)
{
	struct pool_list *l = (struct pool_list *)heap;

	if (pool_init(&l->pool, 0) == NULL)
		return false;
	l->pool.nr_free = 0;
	for (size_t i = l->pool.nr_objects; i > 0; i--)
		pool_list_free(heap, pool_object(&l->pool, i - 1));
	return true;
}

const struct heap_design heap_pool_list = {
    .name = "pool_list",
    .idea = "one size; a list through the free objects",
    .traits = HEAP_TYPED | HEAP_REUSES,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct pool_list),
    .init = pool_list_init,
    .alloc = pool_list_alloc,
    .free = pool_list_free,
    .usable_size = pool_usable_size,
    .check = pool_list_check,
    .walk = pool_list_walk,
};
