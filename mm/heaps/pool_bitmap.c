/*
 * pool_bitmap: objects of one size, and a bit for each that is free.
 *
 *     | 01101000 10000111 … || object 0 | object 1 | object 2 | …
 *        ^^ ^
 *        free
 *
 *   P1  nr_free is the number of bits that are set; none is set behind the last object.
 *
 * Cost, n objects: alloc O(n), though 64 objects a step; free O(1). The lowest free object is
 * always taken, which keeps the live ones together. One bit an object, nothing inside free ones.
 *
 * Lacks: speed when it is large and nearly full. The kernel's slabs (mm/slab.c) use this with few
 * objects to a map. Read next: pool_list.c, without any books at all.
 */
#include "pool.h"
#include <lib/bitmap.h>

struct pool_bitmap {
	struct pool pool;
	u64 *free;
};

static void *pool_bitmap_alloc(struct heap *heap, size_t size, size_t align)
{
	struct pool_bitmap *b = (struct pool_bitmap *)heap;
	size_t word = 0, i;

	if (!pool_serves(&b->pool, size, align))
		return NULL;
	for (; b->free[word] == 0; word++)
		heap->steps++;
	i = word * 64 + lowest_bit(b->free[word]);
	bitmap_clear(b->free, i);
	b->pool.nr_free--;
	return pool_object(&b->pool, i);
}

static void pool_bitmap_free(struct heap *heap, void *object)
{
	struct pool_bitmap *b = (struct pool_bitmap *)heap;

	bitmap_set(b->free, pool_index(&b->pool, object));
	b->pool.nr_free++;
}

static const char *pool_bitmap_check(const struct heap *heap)
{
	const struct pool_bitmap *b = (const struct pool_bitmap *)heap;
	size_t nr_bits = bitmap_words(b->pool.nr_objects) * 64;

	if (bitmap_next(b->free, nr_bits, b->pool.nr_objects) != nr_bits ||
	    bitmap_count(b->free, b->pool.nr_objects) != b->pool.nr_free)
		return "pool_bitmap P1: the number of free objects is wrong";
	return NULL;
}

static void pool_bitmap_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct pool_bitmap *b = (const struct pool_bitmap *)heap;

	for (size_t i = 0; i < b->pool.nr_objects; i++)
		pool_visit(&b->pool, i, !bitmap_test(b->free, i), visit, context);
}

static bool pool_bitmap_init(struct heap *heap)
{
	struct pool_bitmap *b = (struct pool_bitmap *)heap;

	b->free = pool_init(&b->pool, 1);
	if (b->free != NULL)
		bitmap_fill(b->free, b->pool.nr_objects);
	return b->free != NULL;
}

const struct heap_design heap_pool_bitmap = {
    .name = "pool_bitmap",
    .idea = "one size; a bit for each free object",
    .traits = HEAP_TYPED | HEAP_REUSES,
    .alloc_order = HEAP_O_N,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct pool_bitmap),
    .init = pool_bitmap_init,
    .alloc = pool_bitmap_alloc,
    .free = pool_bitmap_free,
    .usable_size = pool_usable_size,
    .check = pool_bitmap_check,
    .walk = pool_bitmap_walk,
};
