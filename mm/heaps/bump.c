/*
 * bump: an arena whose pointer only moves up, until everything is given up at once.
 *
 *     | books | size | object ... | size | object ........ | size | object |  . . . .  | brk
 *                                                                          ^ top
 *
 * A free only counts. When the last live object goes, or at a reset, the pointer is back at the
 * start. What lives and dies together (a request, a frame of a game, a compiler's pass) needs no
 * more, and nothing is faster.
 *
 *   B1  the objects follow one another from the start to `top`, gaps of alignment apart.
 *   B2  nr_live is how many were allocated and not freed since the last reset.
 *
 * Cost: alloc and free O(1). 8 bytes an object, only so that resize knows how much to copy.
 *
 * Lacks: reuse. One object that stays keeps all the memory of its arena. Read next: naive.c.
 */
#include <lib/bits.h>
#include <mm/heap.h>

struct bump {
	struct heap heap;
	u8 *start, *top, *last; /* top: 8 modulo 16; last: the object allocated last, or NULL */
	size_t nr_live, nr_objects, nr_bytes;
};

static u64 *size_at(const void *object)
{
	return (u64 *)object - 1;
}

static bool reach(struct bump *b, const u8 *end)
{
	const u8 *brk = b->heap.region->brk;

	return end <= brk || region_extend(b->heap.region, (size_t)(end - brk)) != NULL;
}

static void *bump_alloc(struct heap *heap, size_t size, size_t align)
{
	struct bump *b = (struct bump *)heap;
	u8 *object = (u8 *)align_up((u64)b->top + sizeof(u64), align);

	size = align_up(size + sizeof(u64), HEAP_ALIGN) - sizeof(u64);
	if (!reach(b, object + size))
		return NULL;
	*size_at(object) = size;
	b->top = object + size;
	b->last = object;
	b->nr_live++;
	b->nr_objects++;
	b->nr_bytes += size;
	return object;
}

void bump_heap_reset(struct heap *heap)
{
	struct bump *b = (struct bump *)heap;

	b->top = b->start;
	b->last = NULL;
	b->nr_live = b->nr_objects = b->nr_bytes = 0;
	region_shrink(heap->region, b->top);
}

static void bump_free(struct heap *heap, void *object)
{
	struct bump *b = (struct bump *)heap;

	(void)object;
	if (--b->nr_live == 0)
		bump_heap_reset(heap);
}

static size_t bump_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return *size_at(object);
}

/* The last object may be of any size. */
static bool bump_resize(struct heap *heap, void *object, size_t size)
{
	struct bump *b = (struct bump *)heap;

	size = align_up(size + sizeof(u64), HEAP_ALIGN) - sizeof(u64);
	if (object != b->last || !reach(b, (u8 *)object + size))
		return size <= *size_at(object);
	b->nr_bytes += size - *size_at(object);
	*size_at(object) = size;
	b->top = (u8 *)object + size;
	return true;
}

/* --- looking: without a list all objects are one block --- */

static const char *bump_check(const struct heap *heap)
{
	const struct bump *b = (const struct bump *)heap;

	if (b->top < b->start || b->top > heap->region->brk ||
	    b->nr_bytes + b->nr_objects * sizeof(u64) > (size_t)(b->top - b->start))
		return "bump B1: the objects do not fit below the top";
	if (b->nr_live > b->nr_objects || (b->nr_live == 0 && b->top != b->start))
		return "bump B2: the number of live objects is wrong";
	return NULL;
}

static void bump_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct bump *b = (const struct bump *)heap;
	struct heap_block block = {b->start, (size_t)(b->top - b->start), true};

	if (block.bytes > 0)
		visit(context, &block);
}

static bool bump_init(struct heap *heap)
{
	struct bump *b = (struct bump *)heap;

	b->start = region_extend(heap->region, sizeof(u64)); /* sizes at 8 modulo 16 */
	if (b->start == NULL)
		return false;
	b->start += sizeof(u64);
	b->top = b->start;
	return true;
}

const struct heap_design heap_bump = {
    .name = "bump",
    .idea = "a pointer that moves up, and one reset",
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct bump),
    .init = bump_init,
    .alloc = bump_alloc,
    .free = bump_free,
    .resize = bump_resize,
    .usable_size = bump_usable_size,
    .check = bump_check,
    .walk = bump_walk,
};
