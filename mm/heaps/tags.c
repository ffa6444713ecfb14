/*
 * Blocks with boundary tags: cutting, joining, growing. tags.h has the picture.
 *
 * The idea: a block that knows its size leads to the next one, and one whose last word knows it too
 * leads to the previous one. So a freed block finds both neighbours in O(1) and joins them if they
 * are free, at once, and no two free blocks ever lie side by side.
 *
 *   T1  from `first`, each block's size leads to the next tag, and the last one to `end`.
 *   T2  a free block's footer equals its tag; with footers, a used one's does too.
 *   T3  no two neighbours are free.
 *   T4  without footers, PREV_USED says whether the block before is used.
 *   T5  the index holds exactly the free blocks.
 *
 * Cost: O(1) besides the index. An object costs 16 bytes with footers, 8 without.
 */
#include "tags.h"
#include <lib/bits.h>

#define CHUNK 4096ul /* the break moves by this much at least: fewer system calls */

static void *object_of(struct tagged *b)
{
	return &b->link;
}

static struct tagged *block_of(const void *object)
{
	return (struct tagged *)((u8 *)object - TAG_BYTES);
}

static u64 *footer_of(const struct tagged *b)
{
	return (u64 *)(void *)((u8 *)b + tagged_size(b) - TAG_BYTES);
}

static u64 footer_before(const struct tagged *b)
{
	return ((const u64 *)b)[-1];
}

static bool prev_is_free(const struct tags *t, const struct tagged *b)
{
	return t->has_footers ? !(footer_before(b) & TAG_USED) : !(b->tag & TAG_PREV_USED);
}

static struct tagged *prev_free(const struct tagged *b)
{
	return (struct tagged *)((u8 *)b - (footer_before(b) & ~(HEAP_ALIGN - 1)));
}

/* Writes all that is said about the block: its tag, its footer, and the next block's bit. */
static void set_block(struct tags *t, struct tagged *b, size_t size, u64 used)
{
	struct tagged *next;

	b->tag = size | used | (t->has_footers ? 0 : b->tag & TAG_PREV_USED);
	if (t->has_footers || !used)
		*footer_of(b) = b->tag;
	if (t->has_footers)
		return;
	next = tagged_next(b);
	next->tag = used ? next->tag | TAG_PREV_USED : next->tag & ~TAG_PREV_USED;
}

/* Cut off the block before; its bit is set when that one's tags are. */
static struct tagged *new_block(u8 *at)
{
	struct tagged *b = (struct tagged *)(void *)at;

	b->tag = 0;
	return b;
}

/* The bytes of a block for so large an object. */
static size_t block_bytes(const struct tags *t, size_t size)
{
	return max_u64(align_up(size + TAG_BYTES * (t->has_footers ? 2 : 1), HEAP_ALIGN),
	               MIN_BLOCK);
}

/* --- joining and cutting --- */

/* A block that belongs to nobody becomes free: one with its free neighbours (T3). */
static struct tagged *release(struct tags *t, struct tagged *b, size_t size)
{
	struct tagged *next = (struct tagged *)(void *)((u8 *)b + size);

	if (!tagged_is_used(next)) {
		t->index->remove(t, next);
		t->heap.joins++;
		size += tagged_size(next);
	}
	if (prev_is_free(t, b)) {
		b = prev_free(b);
		t->index->remove(t, b);
		t->heap.joins++;
		size += tagged_size(b);
	}
	set_block(t, b, size, 0);
	t->index->insert(t, b);
	return b;
}

/* Keeps `size` bytes of a block that is used, or about to be; the rest is free, if it can be a
 * block. */
static void cut_back(struct tags *t, struct tagged *b, size_t size)
{
	size_t rest = tagged_size(b) - size;

	if (rest < MIN_BLOCK) {
		set_block(t, b, size + rest, TAG_USED);
		return;
	}
	struct tagged *tail = new_block((u8 *)b + size);

	set_block(t, b, size, TAG_USED);
	release(t, tail, rest);
}

/* Where an aligned object's block begins: the gap in front becomes a free block. */
static struct tagged *cut_front(struct tags *t, struct tagged *b, size_t align)
{
	u64 object = align_up((u64)object_of(b), align);
	size_t size = tagged_size(b), gap;

	if (object == (u64)object_of(b))
		return b;
	object = align_up((u64)object_of(b) + MIN_BLOCK, align);
	gap = object - (u64)object_of(b);
	struct tagged *front = b;

	b = new_block((u8 *)front + gap);
	b->tag = (size - gap) | TAG_USED;
	set_block(t, front, gap, 0);
	t->index->insert(t, front);
	return b;
}

/* --- alloc and free --- */

/* The break moves up, and what it gained becomes free, with the free block before it. */
static struct tagged *grow(struct tags *t, size_t bytes)
{
	struct tagged *b = t->end;
	size_t have = prev_is_free(t, b) ? tagged_size(prev_free(b)) : 0;
	size_t exact = bytes - have, size = align_up(exact, CHUNK);

	if (region_extend(t->heap.region, size) == NULL) {
		size = exact;
		if (region_extend(t->heap.region, size) == NULL)
			return NULL;
	}
	t->end = (struct tagged *)(void *)((u8 *)b + size);
	t->end->tag = TAG_USED;
	return release(t, b, size);
}

void *tags_alloc(struct heap *heap, size_t size, size_t align)
{
	struct tags *t = (struct tags *)heap;
	size_t need = block_bytes(t, size);
	size_t room = need + (align > HEAP_ALIGN ? align + MIN_BLOCK : 0);
	struct tagged *b = t->index->find(t, room);

	if (b == NULL)
		b = grow(t, room);
	if (b == NULL)
		return NULL;
	t->index->remove(t, b);
	b = cut_front(t, b, align);
	cut_back(t, b, need);
	return object_of(b);
}

void tags_free(struct heap *heap, void *object)
{
	struct tagged *b = block_of(object);

	release((struct tags *)heap, b, tagged_size(b));
}

/* Larger only over a free block behind it; what is too much goes back. */
bool tags_resize(struct heap *heap, void *object, size_t size)
{
	struct tags *t = (struct tags *)heap;
	struct tagged *b = block_of(object), *next = tagged_next(b);
	size_t need = block_bytes(t, size), have = tagged_size(b);

	if (have < need && !tagged_is_used(next))
		have += tagged_size(next);
	if (have < need)
		return false;
	if (have > tagged_size(b)) {
		t->index->remove(t, next);
		set_block(t, b, have, TAG_USED);
	}
	cut_back(t, b, need);
	return true;
}

size_t tags_usable_size(const struct heap *heap, const void *object)
{
	const struct tags *t = (const struct tags *)heap;

	return tagged_size(block_of(object)) - TAG_BYTES * (t->has_footers ? 2 : 1);
}

/* --- looking --- */

static const char *check_block(const struct tags *t, const struct tagged *b, bool prev_used)
{
	bool used = tagged_is_used(b);

	if (tagged_size(b) < MIN_BLOCK || tagged_next(b) > t->end)
		return "tags T1: a block's size leads astray";
	if ((t->has_footers || !used) && *footer_of(b) != b->tag)
		return "tags T2: a footer differs from its tag";
	if (!used && !prev_used)
		return "tags T3: two free blocks lie side by side";
	if (!t->has_footers && prev_used != !!(b->tag & TAG_PREV_USED))
		return "tags T4: PREV_USED is wrong";
	return NULL;
}

const char *tags_check(const struct heap *heap)
{
	const struct tags *t = (const struct tags *)heap;
	bool prev_used = true;
	size_t nr_free = 0;

	if ((u8 *)t->end + TAG_BYTES != heap->region->brk)
		return "tags T1: the end is not at the break";
	for (const struct tagged *b = t->first; b != t->end; b = tagged_next(b)) {
		const char *broken = check_block(t, b, prev_used);

		if (broken != NULL)
			return broken;
		prev_used = tagged_is_used(b);
		nr_free += !prev_used;
	}
	if (!t->has_footers && prev_used != !!(t->end->tag & TAG_PREV_USED))
		return "tags T4: PREV_USED is wrong";
	return t->index->check(t, nr_free);
}

void tags_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct tags *t = (const struct tags *)heap;

	for (const struct tagged *b = t->first; b != t->end; b = tagged_next(b)) {
		struct heap_block block = {b, tagged_size(b), tagged_is_used(b)};

		visit(context, &block);
	}
}

/* Before the first block stands a footer that says used, behind the last one a tag that does. */
bool tags_init(struct tags *t, const struct tags_index *index, bool has_footers)
{
	u64 *word = region_extend(t->heap.region, 2 * TAG_BYTES);

	if (word == NULL)
		return false;
	word[0] = TAG_USED;
	word[1] = TAG_USED | (has_footers ? 0 : TAG_PREV_USED);
	t->index = index;
	t->has_footers = has_footers;
	t->first = t->end = (struct tagged *)(void *)&word[1];
	return true;
}
