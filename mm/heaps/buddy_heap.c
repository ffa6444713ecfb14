/*
 * buddy_heap: blocks of powers of two, whose neighbours are found by arithmetic (Knowlton 1965;
 * Knuth 1, 2.5).
 *
 *     order  5: 32 bytes                                        16: 64 KiB
 *     |   64   | 32 | 32 |      128        |              256               | …
 *     0        64   96   128               256                             512
 *
 *     a block:  | order, free?, offset | object or list links ............... |
 *                         16
 *
 * A block of 2^k bytes lies at a multiple of 2^k. Its buddy, the other half of the block of 2^(k+1)
 * that both were cut from, lies where bit k of the offset is turned round. A request takes the
 * smallest free block that is large enough and halves it until it fits; a free joins buddies as
 * long as both halves are free. The heap begins with one block of 4 KiB (or what the region has)
 * and doubles when it is full: the memory added is the buddy of all there was.
 *
 *   D1  the headers lead from block to block through the heap, each at a multiple of its size.
 *   D2  a free block is in the list of its order, whose bit is set exactly when it has blocks.
 *   D3  no two buddies are free.
 *
 * Cost, m the memory in smallest blocks: alloc and free O(log m), one step an order.
 *
 * Lacks: economy. Sizes grow to the next power of two, header included: 64 bytes want 128. Read
 * next: mm/buddy.c, the kernel's, whose headers are outside; or slab_heap.c.
 */
#include <lib/bits.h>
#include <lib/list.h>
#include <mm/heap.h>

#define MIN_ORDER 5u
#define FIRST_ORDER 12u
#define NR_LISTS 48u /* orders below 48: 128 TiB */

struct header {
	u32 magic; /* of a block, or of an aligned object within one */
	u8 order;
	bool is_free;
	u16 back; /* from here down to the block's own header, in units of 16 bytes */
	u64 unused;
	struct list link; /* free; else the object begins here */
};

struct buddy_heap {
	struct heap heap;
	u8 *start;
	unsigned order; /* of all of it */
	u64 bits;
	struct list free[NR_LISTS];
};

#define HEADER_BYTES offsetof(struct header, link)
#define MAGIC 0x62756464u
static_assert(HEADER_BYTES == HEAP_ALIGN, "objects behind headers are aligned");
static_assert(sizeof(struct header) <= 1u << MIN_ORDER, "a free block holds its links");

static struct header *header_at(const struct buddy_heap *h, size_t offset)
{
	return (struct header *)(void *)(h->start + offset);
}

static size_t offset_of(const struct buddy_heap *h, const struct header *b)
{
	return (size_t)((const u8 *)b - h->start);
}

static struct header *block_of(const void *object)
{
	struct header *b = (struct header *)(void *)((u8 *)object - HEADER_BYTES);

	return (struct header *)(void *)((u8 *)b - b->back * HEAP_ALIGN);
}

/* --- free blocks --- */

static void insert(struct buddy_heap *h, struct header *b, unsigned order)
{
	*b = (struct header){.magic = MAGIC, .order = (u8)order, .is_free = true};
	list_push_front(&h->free[order], &b->link);
	h->bits |= 1ul << order;
}

static void remove(struct buddy_heap *h, struct header *b)
{
	list_remove(&b->link);
	if (list_is_empty(&h->free[b->order]))
		h->bits &= ~(1ul << b->order);
	b->is_free = false;
}

/* A block becomes free, joined with its buddy as often as that is free and whole (D3). */
static void release(struct buddy_heap *h, struct header *b, unsigned order)
{
	for (; order < h->order; order++) {
		struct header *buddy = header_at(h, offset_of(h, b) ^ 1ul << order);

		h->heap.steps++;
		if (!buddy->is_free || buddy->order != order)
			break;
		remove(h, buddy);
		h->heap.joins++;
		if (buddy < b)
			b = buddy;
	}
	insert(h, b, order);
}

/* Doubles the heap until it has a free block of the order. */
static bool grow(struct buddy_heap *h, unsigned order)
{
	while (h->bits >> order == 0) {
		struct header *half = header_at(h, 1ul << h->order);

		if (h->order + 1 == NR_LISTS ||
		    region_extend(h->heap.region, 1ul << h->order) == NULL)
			return false;
		h->order++;
		release(h, half, h->order - 1);
	}
	return true;
}

/* The smallest free block of at least this order, halved down to it. */
static struct header *take(struct buddy_heap *h, unsigned order)
{
	struct header *b;

	if (h->bits >> order == 0 && !grow(h, order))
		return NULL;
	b = list_first(&h->free[lowest_bit(h->bits >> order << order)], struct header, link);
	remove(h, b);
	while (b->order > order) {
		h->heap.steps++;
		b->order--;
		insert(h, header_at(h, offset_of(h, b) + (1ul << b->order)), b->order);
	}
	return b;
}

/* --- objects --- */

static unsigned order_for(size_t bytes)
{
	return (unsigned)max_u64(log2_ceil(bytes + HEADER_BYTES), MIN_ORDER);
}

/* An object that is aligned to more than 16 has a header of its own right in front. */
static void *buddy_heap_alloc(struct heap *heap, size_t size, size_t align)
{
	size_t skip = align > HEAP_ALIGN ? align - HEADER_BYTES : 0;
	struct header *b = take((struct buddy_heap *)heap, order_for(size + skip)), *front;

	if (b == NULL)
		return NULL;
	front = (struct header *)(void *)((u8 *)b + skip);
	if (skip > 0)
		*(u64 *)(void *)front = 0;
	front->magic = MAGIC;
	front->back = (u16)(skip / HEAP_ALIGN);
	return &front->link;
}

static void buddy_heap_free(struct heap *heap, void *object)
{
	struct header *b = block_of(object);

	release((struct buddy_heap *)heap, b, b->order);
}

static size_t buddy_heap_usable_size(const struct heap *heap, const void *object)
{
	const struct header *b = block_of(object);

	(void)heap;
	return (1ul << b->order) - (size_t)((const u8 *)object - (const u8 *)b);
}

/* Larger while the buddy above is free; a block that became twice too large is halved. */
static bool buddy_heap_resize(struct heap *heap, void *object, size_t size)
{
	struct buddy_heap *h = (struct buddy_heap *)heap;
	struct header *b = block_of(object);
	unsigned order = order_for(size + (size_t)((u8 *)object - (u8 *)&b->link)), at = b->order;

	for (; at < order; at++) {
		struct header *buddy = header_at(h, offset_of(h, b) ^ 1ul << at);

		heap->steps++;
		if (at >= h->order || buddy < b || !buddy->is_free || buddy->order != at)
			return false;
	}
	for (; b->order < order; b->order++)
		remove(h, header_at(h, offset_of(h, b) + (1ul << b->order)));
	while (b->order > order) {
		b->order--;
		release(h, header_at(h, offset_of(h, b) + (1ul << b->order)), b->order);
	}
	return true;
}

/* --- looking --- */

static const char *check_block(const struct buddy_heap *h, const struct header *b)
{
	size_t offset = offset_of(h, b);
	const struct header *buddy = header_at(h, offset ^ 1ul << b->order);

	if (b->magic != MAGIC || b->order < MIN_ORDER || b->order > h->order ||
	    !is_aligned(offset, 1ul << b->order))
		return "buddy_heap D1: a header is no block's";
	if (b->is_free && b->order < h->order && buddy->is_free && buddy->order == b->order)
		return "buddy_heap D3: two buddies are free";
	return NULL;
}

static const char *buddy_heap_check(const struct heap *heap)
{
	const struct buddy_heap *h = (const struct buddy_heap *)heap;
	size_t nr_free = 0, nr_listed = 0;

	for (size_t at = 0; at < 1ul << h->order; at += 1ul << header_at(h, at)->order) {
		const char *broken = check_block(h, header_at(h, at));

		if (broken != NULL)
			return broken;
		nr_free += header_at(h, at)->is_free;
	}
	for (unsigned order = 0; order < NR_LISTS; order++) {
		if (list_is_empty(&h->free[order]) == (h->bits >> order & 1))
			return "buddy_heap D2: an order's bit is wrong";
		for (const struct list *l = h->free[order].next; l != &h->free[order];
		     l = l->next) {
			const struct header *b = list_entry(l, const struct header, link);

			if (!b->is_free || b->order != order || nr_listed++ == nr_free)
				return "buddy_heap D2: a block is in a wrong list";
		}
	}
	return nr_listed == nr_free ? NULL : "buddy_heap D2: a free block is in no list";
}

static void buddy_heap_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct buddy_heap *h = (const struct buddy_heap *)heap;

	for (size_t at = 0; at < 1ul << h->order;) {
		const struct header *b = header_at(h, at);
		struct heap_block block = {b, 1ul << b->order, !b->is_free};

		at += block.bytes;
		visit(context, &block);
	}
}

/* The start is aligned so that objects can be; the first block is as large as fits. */
static bool buddy_heap_init(struct heap *heap)
{
	struct buddy_heap *h = (struct buddy_heap *)heap;
	u8 *brk = heap->region->brk;

	h->start = (u8 *)align_up((u64)brk, HEAP_MAX_ALIGN);
	for (unsigned i = 0; i < NR_LISTS; i++)
		list_init(&h->free[i]);
	for (h->order = FIRST_ORDER; h->order >= MIN_ORDER; h->order--)
		if (region_extend(heap->region, (size_t)(h->start - brk) + (1ul << h->order))) {
			insert(h, header_at(h, 0), h->order);
			return true;
		}
	return false;
}

const struct heap_design heap_buddy_heap = {
    .name = "buddy_heap",
    .idea = "powers of two; the buddy found by one XOR",
    .traits = HEAP_COALESCES | HEAP_REUSES | HEAP_GROWS,
    .alloc_order = HEAP_O_LOG_N,
    .free_order = HEAP_O_LOG_N,
    .state_bytes = sizeof(struct buddy_heap),
    .init = buddy_heap_init,
    .alloc = buddy_heap_alloc,
    .free = buddy_heap_free,
    .resize = buddy_heap_resize,
    .usable_size = buddy_heap_usable_size,
    .check = buddy_heap_check,
    .walk = buddy_heap_walk,
};
