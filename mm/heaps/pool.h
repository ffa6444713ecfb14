/*
 * What the three pools share: a row of objects of one size behind the pool's books. They differ in
 * how they know which are free: pool_stack.c, pool_bitmap.c, pool_list.c.
 *
 *     | books: which are free | object 0 | object 1 | object 2 | … | object n - 1 |
 *
 * The number of objects is fixed when the pool is made.
 */
#pragma once

#include <lib/bits.h>
#include <mm/heap.h>

struct pool {
	struct heap heap;
	u8 *objects;
	size_t stride, nr_objects, nr_free;
};

/* Takes room for `books` bytes an object, rounded up to 16 in all, and the objects. Returns the
 * books, or NULL. */
static inline void *pool_init(struct pool *p, size_t bits_an_object)
{
	size_t nr = p->heap.options.nr_objects != 0 ? p->heap.options.nr_objects : 64;
	size_t books = align_up(div_round_up(nr * bits_an_object, 8), HEAP_ALIGN);
	size_t size = p->heap.options.object_size != 0 ? p->heap.options.object_size : 64;
	u8 *memory;

	p->stride = align_up(size, HEAP_ALIGN);
	memory = region_extend(p->heap.region, books + nr * p->stride);
	if (memory == NULL)
		return NULL;
	p->nr_objects = p->nr_free = nr;
	p->objects = memory + books;
	return memory;
}

/* Whether the pool can serve such a request at all. */
static inline bool pool_serves(const struct pool *p, size_t size, size_t align)
{
	return p->nr_free > 0 && size <= p->stride && align <= HEAP_ALIGN;
}

static inline void *pool_object(const struct pool *p, size_t i)
{
	return p->objects + i * p->stride;
}

static inline size_t pool_index(const struct pool *p, const void *object)
{
	return (size_t)((const u8 *)object - p->objects) / p->stride;
}

static inline size_t pool_usable_size(const struct heap *heap, const void *object)
{
	(void)object;
	return ((const struct pool *)heap)->stride;
}

static inline void pool_visit(const struct pool *p, size_t i, bool used, heap_visit *visit,
                              void *context)
{
	struct heap_block block = {pool_object(p, i), p->stride, used};

	visit(context, &block);
}
