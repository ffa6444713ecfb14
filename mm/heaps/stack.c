/*
 * stack: memory that is given up in the reverse order of its taking, as alloca() and a compiler's
 * frames do.
 *
 *     | below, size | object ... | below, size | object ........ | below, size | object ... | brk
 *        ^              |           ^                                |   freed?
 *        +--------------+-----------+--------------------------------+ top
 *
 * A mark is where the top is; a release lets everything above a mark go at once. A single free of
 * the topmost object takes it off, and those below it that were freed before; a free of another
 * one waits until it is on top.
 *
 *   S1  from the top, `below` leads down to the first object; each lies above the one below it.
 *   S2  the topmost object is not freed.
 *
 * Cost: alloc O(1); free O(1), amortised: each object is taken off once. 16 bytes an object.
 *
 * Lacks: everything that is freed out of order stays until what is above it goes. Read next:
 * bump.c, which gives that up too.
 */
#include <lib/bits.h>
#include <mm/heap.h>

struct frame {
	struct frame *below;
	u32 nr_units; /* of the object, 16 bytes each */
	bool is_freed;
};
static_assert(sizeof(struct frame) == HEAP_ALIGN, "objects behind frames are aligned");

struct stack {
	struct heap heap;
	struct frame *top;
};

static size_t size_of(const struct frame *f)
{
	return f->nr_units * HEAP_ALIGN;
}

static u8 *end_of(const struct frame *f)
{
	return (u8 *)(f + 1) + size_of(f);
}

/* Where the objects end. */
static u8 *brk_of(const struct stack *s)
{
	return s->top != NULL ? end_of(s->top) : (u8 *)(s + 1);
}

/* In a fixed buffer the region's break stays where it was highest: room up to there is there. */
static bool reach(struct stack *s, const u8 *end)
{
	size_t have = (size_t)(s->heap.region->brk - brk_of(s));
	size_t need = (size_t)(end - brk_of(s));

	return need <= have || region_extend(s->heap.region, need - have) != NULL;
}

static void *stack_alloc(struct heap *heap, size_t size, size_t align)
{
	struct stack *s = (struct stack *)heap;
	u8 *object = (u8 *)align_up((u64)brk_of(s) + sizeof(struct frame), align);
	struct frame *f = (struct frame *)(void *)object - 1;

	size = align_up(size, HEAP_ALIGN);
	if (!reach(s, object + size))
		return NULL;
	*f = (struct frame){.below = s->top, .nr_units = (u32)(size / HEAP_ALIGN)};
	s->top = f;
	return object;
}

/* Takes off what is above the mark, and what was freed below it (S2). The break follows. */
static void take_off(struct stack *s, u64 mark)
{
	while (s->top != NULL && ((u64)s->top > mark || s->top->is_freed)) {
		s->heap.steps++;
		s->top = s->top->below;
	}
	region_shrink(s->heap.region, brk_of(s));
}

static void stack_free(struct heap *heap, void *object)
{
	((struct frame *)object - 1)->is_freed = true;
	take_off((struct stack *)heap, ~0ul);
}

/* The topmost object may be of any size. */
static bool stack_resize(struct heap *heap, void *object, size_t size)
{
	struct stack *s = (struct stack *)heap;
	struct frame *f = (struct frame *)object - 1;

	size = align_up(size, HEAP_ALIGN);
	if (f != s->top || !reach(s, (u8 *)object + size))
		return size <= size_of(f);
	f->nr_units = (u32)(size / HEAP_ALIGN);
	region_shrink(heap->region, brk_of(s));
	return true;
}

static size_t stack_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return size_of((const struct frame *)object - 1);
}

/* --- marks --- */

stack_mark stack_heap_mark(const struct heap *heap)
{
	return (u64)((const struct stack *)heap)->top;
}

void stack_heap_release(struct heap *heap, stack_mark mark)
{
	take_off((struct stack *)heap, mark);
}

/* --- looking --- */

static const char *stack_check(const struct heap *heap)
{
	const struct stack *s = (const struct stack *)heap;
	const u8 *above = heap->region->brk;

	if (s->top != NULL && s->top->is_freed)
		return "stack S2: the topmost object is freed";
	for (const struct frame *f = s->top; f != NULL; f = f->below) {
		if (end_of(f) > above || (const u8 *)f < (const u8 *)(s + 1))
			return "stack S1: an object overlaps the one above it";
		above = (const u8 *)f;
	}
	return NULL;
}

static void stack_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	for (const struct frame *f = ((const struct stack *)heap)->top; f != NULL; f = f->below) {
		struct heap_block block = {f, sizeof(*f) + size_of(f), !f->is_freed};

		visit(context, &block);
	}
}

static bool stack_init(struct heap *heap)
{
	(void)heap;
	return true;
}

const struct heap_design heap_stack = {
    .name = "stack",
    .idea = "last in, first out, with marks",
    .traits = HEAP_COALESCES,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct stack),
    .init = stack_init,
    .alloc = stack_alloc,
    .free = stack_free,
    .resize = stack_resize,
    .usable_size = stack_usable_size,
    .check = stack_check,
    .walk = stack_walk,
};
