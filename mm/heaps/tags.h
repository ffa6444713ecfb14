/*
 * Boundary tags (Knuth, The Art of Computer Programming 1, 2.5, 1962): the blocks that implicit,
 * explicit, segregated and tlsf share. What differs between those is only where they keep their
 * free blocks, which is a struct tags_index.
 *
 *     with footers                               without (the size's second bit helps)
 *     +------+-----------------------+------+    +------+------------------------------+
 *     | size | object ...            | size |    | size | object ...                   |
 *     | used |                       | used |    | PU   |                              |
 *     +------+-------+---------------+------+    +------+-------+---------------+------+
 *     | size | links | nothing       | size |    | size | links | nothing       | size |
 *     +------+-------+---------------+------+    +------+-------+---------------+------+
 *       8      16                      8           8      16                      8
 *
 * The size counts the whole block and is a multiple of 16, so its low bits are free: USED, and in
 * the form without footers PREV_USED, which says that the block before is used, so that nobody
 * looks for its footer. Tags stand at 8 modulo 16: objects are aligned.
 *
 * The blocks follow one another without gaps from `first` to a tag of size 0, the end.
 */
#pragma once

#include <lib/list.h>
#include <mm/heap.h>

#define TAG_USED 1ul
#define TAG_PREV_USED 2ul
#define TAG_BYTES sizeof(u64)
#define MIN_BLOCK 32ul /* room for a free block's tags and links */

struct tagged {
	u64 tag;
	struct list link; /* of a free block; of a used one the object begins here */
};

struct tags;

/*
 * Where the free blocks are. find: one of at least `bytes`, or NULL; it stays in the index.
 * insert and remove: the block is free; while remove runs its tags still stand. check: whether
 * the index is sound by itself and holds exactly nr_free blocks; NULL, or what is broken.
 */
struct tags_index {
	struct tagged *(*find)(struct tags *tags, size_t bytes);
	void (*insert)(struct tags *tags, struct tagged *block);
	void (*remove)(struct tags *tags, struct tagged *block);
	const char *(*check)(const struct tags *tags, size_t nr_free);
};

struct tags {
	struct heap heap;
	const struct tags_index *index;
	bool has_footers;
	struct tagged *first, *end;
};

static inline size_t tagged_size(const struct tagged *b)
{
	return b->tag & ~(HEAP_ALIGN - 1);
}

static inline bool tagged_is_used(const struct tagged *b)
{
	return b->tag & TAG_USED;
}

static inline struct tagged *tagged_next(const struct tagged *b)
{
	return (struct tagged *)((u8 *)b + tagged_size(b));
}

/* Called by a design's init: an empty heap. False: no room for the first tags. */
bool tags_init(struct tags *tags, const struct tags_index *index, bool has_footers);

/* The functions of the table of designs (mm/heap.h), for all designs with tags. */
void *tags_alloc(struct heap *heap, size_t size, size_t align);
void tags_free(struct heap *heap, void *object);
bool tags_resize(struct heap *heap, void *object, size_t size);
size_t tags_usable_size(const struct heap *heap, const void *object);
const char *tags_check(const struct heap *heap);
void tags_walk(const struct heap *heap, heap_visit *visit, void *context);

#define TAGS_FUNCTIONS                                                           \
	.alloc = tags_alloc, .free = tags_free, .resize = tags_resize,           \
	.usable_size = tags_usable_size, .check = tags_check, .walk = tags_walk, \
	.traits = HEAP_COALESCES | HEAP_REUSES | HEAP_GROWS
