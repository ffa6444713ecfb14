/*
 * naive: the first allocator that everybody writes.
 *
 * Each object has a header in front; the headers are a singly linked list in address order. A
 * request takes the first free block that is large enough, whole; otherwise the break moves up.
 *
 *     | next | units, free? | object ....... | next | units, free? | object ... | brk
 *        |                                     ^
 *        +-------------------------------------+
 *
 *   N1  the list goes up through the region and ends at `last`.
 *   N2  nr_free is the number of free blocks in it.
 *   N3  each block lies below the next one, the last one below the break.
 *
 * Cost, n blocks: alloc O(n), first fit over all of them (none when nothing is free); free O(1),
 * but O(n) for the last block, whose predecessor only a walk can find. 16 bytes an object.
 *
 * Lacks: splitting (10 bytes may sit in a block of 10 000), coalescing (two free neighbours of 100
 * never serve 200), and the break sinks only when the very last block is the one freed. Read next:
 * implicit.c, which cures the first two.
 */
#include <lib/bits.h>
#include <mm/heap.h>

struct header {
	struct header *next;
	u32 nr_units; /* of the object, 16 bytes each */
	bool is_free;
};
static_assert(sizeof(struct header) == HEAP_ALIGN, "objects behind headers are aligned");

struct naive {
	struct heap heap;
	struct header *first, *last;
	size_t nr_free;
};

static void *object_of(const struct header *b)
{
	return (void *)(b + 1);
}

static struct header *header_of(const void *object)
{
	return (struct header *)object - 1;
}

static size_t size_of(const struct header *b)
{
	return b->nr_units * HEAP_ALIGN;
}

static void *end_of(const struct header *b)
{
	return (u8 *)object_of(b) + size_of(b);
}

/* --- alloc --- */

static struct header *find(struct naive *n, size_t size, size_t align)
{
	struct header *b = n->nr_free > 0 ? n->first : NULL;

	while (b != NULL &&
	       !(b->is_free && size_of(b) >= size && is_aligned((u64)object_of(b), align))) {
		n->heap.steps++;
		b = b->next;
	}
	return b;
}

/* The header stands right before the aligned object; a gap in front of it is lost. */
static struct header *append(struct naive *n, size_t size, size_t align)
{
	u8 *brk = n->heap.region->brk;
	u8 *object = (u8 *)align_up((u64)brk + sizeof(struct header), align);
	struct header *b = header_of(object);

	if (region_extend(n->heap.region, (size_t)(object - brk) + size) == NULL)
		return NULL;
	*b = (struct header){.nr_units = (u32)(size / HEAP_ALIGN)};
	if (n->last != NULL)
		n->last->next = b;
	else
		n->first = b;
	n->last = b;
	return b;
}

static void *naive_alloc(struct heap *heap, size_t size, size_t align)
{
	struct naive *n = (struct naive *)heap;
	struct header *b;

	size = align_up(size, HEAP_ALIGN);
	b = find(n, size, align);
	if (b == NULL) {
		b = append(n, size, align);
		return b != NULL ? object_of(b) : NULL;
	}
	b->is_free = false;
	n->nr_free--;
	return object_of(b);
}

/* --- free --- */

static void unlink_last(struct naive *n)
{
	struct header *before = NULL;

	for (struct header *b = n->first; b != n->last; b = b->next) {
		n->heap.steps++;
		before = b;
	}
	n->last = before;
	if (before != NULL)
		before->next = NULL;
	else
		n->first = NULL;
}

static void naive_free(struct heap *heap, void *object)
{
	struct naive *n = (struct naive *)heap;
	struct header *b = header_of(object);

	if (b == n->last && region_shrink(heap->region, b)) {
		unlink_last(n);
	} else {
		b->is_free = true;
		n->nr_free++;
	}
}

static size_t naive_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return size_of(header_of(object));
}

/* --- looking --- */

static const char *naive_check(const struct heap *heap)
{
	const struct naive *n = (const struct naive *)heap;
	const u8 *end = (const u8 *)(n + 1);
	const struct header *last = NULL;
	size_t nr_free = 0;

	for (const struct header *b = n->first; b != NULL; b = b->next) {
		if ((const u8 *)b < end || (u8 *)end_of(b) > heap->region->brk)
			return "naive N3: a block overlaps another or the break";
		end = end_of(b);
		nr_free += b->is_free;
		last = b;
	}
	if (last != n->last)
		return "naive N1: the list does not end at the last block";
	return nr_free == n->nr_free ? NULL : "naive N2: the number of free blocks is wrong";
}

static void naive_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	for (const struct header *b = ((const struct naive *)heap)->first; b != NULL; b = b->next) {
		struct heap_block block = {b, sizeof(*b) + size_of(b), !b->is_free};

		visit(context, &block);
	}
}

static bool naive_init(struct heap *heap)
{
	(void)heap;
	return true;
}

const struct heap_design heap_naive = {
    .name = "naive",
    .idea = "headers in a singly linked list, no splitting, no coalescing",
    .traits = HEAP_REUSES,
    .alloc_order = HEAP_O_N,
    .free_order = HEAP_O_N,
    .state_bytes = sizeof(struct naive),
    .init = naive_init,
    .alloc = naive_alloc,
    .free = naive_free,
    .usable_size = naive_usable_size,
    .check = naive_check,
    .walk = naive_walk,
};
