/*
 * The front of every design: what all of them would otherwise do alike.
 *
 * Odd arguments end here (size 0, absurd sizes, wrong alignments), requests above the region's
 * threshold go to mapped pages and come back from there, and a resize that the design cannot do in
 * place becomes alloc, copy, free. So a design is its data structure and nothing else.
 *
 * Cost: a few comparisons; a moving resize copies.
 */
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/string.h>
#include <mm/heap.h>

const struct heap_design *heap_design_find(const char *name)
{
	for (const struct heap_design *const *d = heap_designs; *d != NULL; d++)
		if (strcmp((*d)->name, name) == 0)
			return *d;
	return NULL;
}

const char *heap_order_name(enum heap_order order)
{
	static const char *const names[] = {"O(1)", "O(log n)", "O(n)", "other"};

	return names[order];
}

/* --- life --- */

struct heap *heap_create(const struct heap_design *design, struct region *region,
                         const struct heap_options *options)
{
	size_t bytes = align_up(design->state_bytes, HEAP_ALIGN);
	struct heap *heap = NULL;

	assert(design->state_bytes >= sizeof(*heap));
	if ((design->traits & HEAP_MAPS) && region->kind != REGION_MAPPED)
		return NULL;
	heap = region_extend(region, bytes);
	if (heap == NULL)
		return NULL;
	memset(heap, 0, bytes);
	heap->design = design;
	heap->region = region;
	if (options != NULL)
		heap->options = *options;
	if (design->init(heap))
		return heap;
	heap_destroy(heap);
	return NULL;
}

void heap_destroy(struct heap *heap)
{
	struct region *r = heap->region;

	if (heap->design->finish != NULL)
		heap->design->finish(heap);
	region_init(r, r->kind, r->base, r->nr_bytes, r->threshold);
}

/* --- objects --- */

void *heap_alloc_aligned(struct heap *heap, size_t size, size_t align)
{
	struct region *r = heap->region;

	if (align < HEAP_ALIGN)
		align = align == 0 || is_pow2(align) ? HEAP_ALIGN : 0;
	if (!is_pow2(align) || align > HEAP_MAX_ALIGN)
		return NULL;
	size = max_u64(size, 1);
	if (heap->design->traits & HEAP_KERNEL)
		return heap->design->alloc(heap, size, align);
	if (size > r->nr_bytes)
		return NULL;
	if (size >= r->threshold && r->kind == REGION_MAPPED &&
	    !(heap->design->traits & HEAP_SHARED))
		return region_map(r, size, align);
	return heap->design->alloc(heap, size, align);
}

void *heap_alloc(struct heap *heap, size_t size)
{
	return heap_alloc_aligned(heap, size, HEAP_ALIGN);
}

void heap_free(struct heap *heap, void *object)
{
	if (object == NULL)
		return;
	if (region_mapped_bytes(heap->region, object) != 0)
		region_unmap(heap->region, object);
	else
		heap->design->free(heap, object);
}

size_t heap_usable_size(const struct heap *heap, const void *object)
{
	size_t mapped = region_mapped_bytes(heap->region, object);

	return mapped != 0 ? mapped : heap->design->usable_size(heap, object);
}

/* Whether the object has the size where it is. A mapped range that became far too large moves. */
static bool resize_in_place(struct heap *heap, void *object, size_t size)
{
	size_t mapped = region_mapped_bytes(heap->region, object);

	if (mapped != 0)
		return size <= mapped && size > mapped / 2;
	if (heap->design->resize != NULL && size < heap->region->threshold)
		return heap->design->resize(heap, object, size);
	return size <= heap->design->usable_size(heap, object);
}

void *heap_resize(struct heap *heap, void *object, size_t size)
{
	size_t old_size;
	void *moved;

	if (object == NULL)
		return heap_alloc(heap, size);
	size = max_u64(size, 1);
	if (!(heap->design->traits & HEAP_KERNEL) && size > heap->region->nr_bytes)
		return NULL;
	if (resize_in_place(heap, object, size))
		return object;
	old_size = heap_usable_size(heap, object);
	moved = heap_alloc(heap, size);
	if (moved == NULL)
		return size <= old_size ? object : NULL;
	memcpy(moved, object, min_u64(old_size, size));
	heap_free(heap, object);
	return moved;
}

/* --- looking --- */

const char *heap_check(const struct heap *heap)
{
	const char *broken = region_check(heap->region);

	return broken != NULL ? broken : heap->design->check(heap);
}

struct mapped_visit {
	heap_visit *visit;
	void *context;
};

static void visit_mapped(void *context, void *range, size_t bytes)
{
	struct mapped_visit *v = context;
	struct heap_block block = {range, bytes, true};

	v->visit(v->context, &block);
}

/* Ranges that a design mapped for itself (HEAP_MAPS) it shows itself. */
void heap_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	struct mapped_visit v = {visit, context};

	heap->design->walk(heap, visit, context);
	if (!(heap->design->traits & HEAP_MAPS))
		region_for_each(heap->region, visit_mapped, &v);
}
