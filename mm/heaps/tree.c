/*
 * tree: the free blocks in two balanced trees at once, by size and by address. No boundary tags.
 *
 *     a used block:  | size | object .............................. |
 *     a free block:  | size | left, right by size | left, right by address | nothing ... |
 *                       8          16                      16
 *
 * By size, the smallest that is large enough is the best fit. By address, the freed block's two
 * neighbours show whether they touch it, so nothing needs to be written behind a block or in the
 * used one after it.
 *
 * The trees are treaps (Seidel and Aragon 1996): search trees by their key, heaps by a priority
 * that is a hash of the block's place. So their shape is that of random insertion, whatever the
 * order, and insertion and removal are a split and a merge of a dozen lines each.
 *
 *   T1  both trees hold exactly the free blocks, each in order of its key and by priority.
 *   T2  by address, no free block overlaps or touches the next.
 *   T3  used and free blocks together fill the heap.
 *
 * Cost, f free blocks: alloc and free O(log f), expected. 8 bytes an object, 48 at least.
 *
 * Lacks: the constant bound of tlsf.c, and short paths: a dozen cache misses where a list's head is
 * one. Read next: buddy_heap.c, which finds neighbours by arithmetic.
 */
#include <lib/bits.h>
#include <mm/heap.h>

#define MIN_BLOCK 48ul
#define CHUNK 4096ul

enum { BY_SIZE, BY_ADDRESS, NR_TREES };
enum { LEFT, RIGHT };

struct node {
	u64 size; /* of the whole block, a multiple of 16 */
	struct node *child[NR_TREES][2];
};
static_assert(sizeof(struct node) <= MIN_BLOCK, "a free block holds its links");

struct tree {
	struct heap heap;
	struct node *root[NR_TREES];
	u8 *start;
	size_t used_bytes;
};

static void *object_of(struct node *b)
{
	return &b->size + 1;
}

static struct node *block_of(const void *object)
{
	return (struct node *)(void *)((u64 *)object - 1);
}

static u8 *end_of(const struct node *b)
{
	return (u8 *)b + b->size;
}

/* --- treaps --- */

/* Of the place in the heap, by Fibonacci hashing (Knuth 3, 6.4): neighbours are far apart. */
static u64 priority(const struct tree *t, const struct node *b)
{
	u64 x = (u64)((const u8 *)b - t->start) * 0x9e3779b97f4a7c15;

	return (x ^ x >> 32) * 0xbf58476d1ce4e5b9;
}

/* Whether b's key is below that of a block of this size at this address. */
static bool is_before(unsigned by, const struct node *b, size_t size, const void *address)
{
	if (by == BY_SIZE && b->size != size)
		return b->size < size;
	return (const void *)b < address;
}

/* Cuts a tree in two: what is before the key, and the rest. */
static void split(struct tree *t, unsigned by, struct node *root, const struct node *key,
                  struct node **before, struct node **rest)
{
	while (root != NULL) {
		t->heap.steps++;
		if (is_before(by, root, key->size, key)) {
			*before = root;
			before = &root->child[by][RIGHT];
			root = *before;
		} else {
			*rest = root;
			rest = &root->child[by][LEFT];
			root = *rest;
		}
	}
	*before = *rest = NULL;
}

/* One tree of two; all of a is before all of b. */
static void merge(struct tree *t, unsigned by, struct node *a, struct node *b, struct node **root)
{
	while (a != NULL && b != NULL) {
		t->heap.steps++;
		if (priority(t, a) > priority(t, b)) {
			*root = a;
			root = &a->child[by][RIGHT];
			a = *root;
		} else {
			*root = b;
			root = &b->child[by][LEFT];
			b = *root;
		}
	}
	*root = a != NULL ? a : b;
}

/* Where the block hangs, or where one of its priority would. */
static struct node **find_link(struct tree *t, unsigned by, const struct node *b)
{
	struct node **link = &t->root[by];

	while (*link != NULL && *link != b && priority(t, *link) > priority(t, b)) {
		t->heap.steps++;
		link = &(*link)->child[by][is_before(by, *link, b->size, b)];
	}
	return link;
}

static void insert(struct tree *t, struct node *b)
{
	for (unsigned by = 0; by < NR_TREES; by++) {
		struct node **link = find_link(t, by, b);

		split(t, by, *link, b, &b->child[by][LEFT], &b->child[by][RIGHT]);
		*link = b;
	}
}

static void remove(struct tree *t, struct node *b)
{
	for (unsigned by = 0; by < NR_TREES; by++)
		merge(t, by, b->child[by][LEFT], b->child[by][RIGHT], find_link(t, by, b));
}

/* The last block before the key, or the first that is not (RIGHT); NULL: there is none. */
static struct node *neighbour(struct tree *t, unsigned by, size_t size, const void *address,
                              unsigned side)
{
	struct node *found = NULL, *b = t->root[by];

	while (b != NULL) {
		bool before = is_before(by, b, size, address);

		t->heap.steps++;
		if (before == (side == LEFT))
			found = b;
		b = b->child[by][before];
	}
	return found;
}

/* --- blocks --- */

/* [b, b + size) belongs to nobody: it becomes free, as one block with the free ones it touches. */
static struct node *release(struct tree *t, struct node *b, size_t size)
{
	struct node *before = neighbour(t, BY_ADDRESS, 0, b, LEFT);
	struct node *after = neighbour(t, BY_ADDRESS, 0, b, RIGHT);

	b->size = size;
	if (after != NULL && end_of(b) == (u8 *)after) {
		remove(t, after);
		t->heap.joins++;
		b->size += after->size;
	}
	if (before != NULL && end_of(before) == (u8 *)b) {
		remove(t, before);
		t->heap.joins++;
		before->size += b->size;
		b = before;
	}
	insert(t, b);
	return b;
}

/* The break moves up by what a block that already ends there lacks. */
static struct node *grow(struct tree *t, size_t bytes)
{
	u8 *brk = t->heap.region->brk;
	struct node *last = neighbour(t, BY_ADDRESS, 0, brk, LEFT);
	size_t exact = bytes - (last != NULL && end_of(last) == brk ? last->size : 0);
	size_t size = align_up(exact, CHUNK);

	if (region_extend(t->heap.region, size) == NULL) {
		size = max_u64(exact, MIN_BLOCK);
		if (region_extend(t->heap.region, size) == NULL)
			return NULL;
	}
	return release(t, (struct node *)(void *)brk, size);
}

/* A used block keeps `need` bytes; the rest becomes free if it can be a block. */
static void cut_back(struct tree *t, struct node *b, size_t need)
{
	size_t rest = b->size - need;

	if (rest >= MIN_BLOCK) {
		b->size = need;
		t->used_bytes -= rest;
		release(t, (struct node *)(void *)end_of(b), rest);
	}
}

static size_t block_bytes(size_t size)
{
	return max_u64(align_up(size + sizeof(u64), HEAP_ALIGN), MIN_BLOCK);
}

/* Where an aligned object's block begins; a gap in front stays free. */
static struct node *cut_front(struct tree *t, struct node *b, size_t align)
{
	u64 object = align_up((u64)object_of(b), align);
	size_t gap, size = b->size;

	if (object == (u64)object_of(b))
		return b;
	gap = align_up((u64)object_of(b) + MIN_BLOCK, align) - (u64)object_of(b);
	b->size = gap;
	insert(t, b);
	b = (struct node *)(void *)end_of(b);
	b->size = size - gap;
	return b;
}

static void *tree_alloc(struct heap *heap, size_t size, size_t align)
{
	struct tree *t = (struct tree *)heap;
	size_t need = block_bytes(size), room = need + (align > HEAP_ALIGN ? align + MIN_BLOCK : 0);
	struct node *b = neighbour(t, BY_SIZE, room, NULL, RIGHT);

	if (b == NULL)
		b = grow(t, room);
	if (b == NULL)
		return NULL;
	remove(t, b);
	b = cut_front(t, b, align);
	t->used_bytes += b->size;
	cut_back(t, b, need);
	return object_of(b);
}

static void tree_free(struct heap *heap, void *object)
{
	struct tree *t = (struct tree *)heap;
	struct node *b = block_of(object);

	t->used_bytes -= b->size;
	release(t, b, b->size);
}

static bool tree_resize(struct heap *heap, void *object, size_t size)
{
	struct tree *t = (struct tree *)heap;
	struct node *b = block_of(object);
	size_t need = block_bytes(size);

	if (need > b->size) {
		struct node *after = neighbour(t, BY_ADDRESS, 0, b, RIGHT);

		if (after == NULL || end_of(b) != (u8 *)after || b->size + after->size < need)
			return false;
		remove(t, after);
		t->used_bytes += after->size;
		b->size += after->size;
	}
	cut_back(t, b, need);
	return true;
}

static size_t tree_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return block_of(object)->size - sizeof(u64);
}

/* --- looking: the trees are walked without recursion, from each block to the next --- */

static struct node *next_of(const struct tree *t, unsigned by, const struct node *b)
{
	struct node *found = NULL, *at = t->root[by];

	while (at != NULL) {
		bool before = at == b || is_before(by, at, b->size, b);

		if (!before)
			found = at;
		at = at->child[by][before];
	}
	return found;
}

static struct node *first_of(const struct tree *t, unsigned by)
{
	struct node *b = t->root[by];

	while (b != NULL && b->child[by][LEFT] != NULL)
		b = b->child[by][LEFT];
	return b;
}

static bool is_heap_ordered(const struct tree *t, const struct node *b)
{
	for (unsigned i = 0; i < NR_TREES * 2; i++)
		if (b->child[i / 2][i % 2] != NULL &&
		    priority(t, b->child[i / 2][i % 2]) > priority(t, b))
			return false;
	return true;
}

static const char *tree_check(const struct heap *heap)
{
	const struct tree *t = (const struct tree *)heap;
	size_t bytes[NR_TREES] = {0, 0}, nr[NR_TREES] = {0, 0};

	for (unsigned by = 0; by < NR_TREES; by++)
		for (struct node *b = first_of(t, by), *next; b != NULL; b = next, nr[by]++) {
			next = next_of(t, by, b);
			if (!is_heap_ordered(t, b))
				return "tree T1: a block has a higher priority than its parent";
			if (by == BY_ADDRESS && next != NULL && end_of(b) >= (u8 *)next)
				return "tree T2: two free blocks touch";
			bytes[by] += b->size;
		}
	if (nr[BY_SIZE] != nr[BY_ADDRESS] || bytes[BY_SIZE] != bytes[BY_ADDRESS])
		return "tree T1: the trees hold different blocks";
	if (t->used_bytes + bytes[BY_SIZE] != (size_t)(heap->region->brk - t->start))
		return "tree T3: used and free blocks do not fill the heap";
	return NULL;
}

static void tree_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	const struct tree *t = (const struct tree *)heap;
	const struct node *free = first_of(t, BY_ADDRESS);

	for (const u8 *at = t->start; at < heap->region->brk;) {
		const struct node *b = (const struct node *)(const void *)at;
		struct heap_block block = {b, b->size, b != free};

		if (b == free)
			free = next_of(t, BY_ADDRESS, free);
		at += b->size;
		visit(context, &block);
	}
}

static bool tree_init(struct heap *heap)
{
	struct tree *t = (struct tree *)heap;

	t->start = region_extend(heap->region, sizeof(u64)); /* sizes at 8 modulo 16 */
	if (t->start == NULL)
		return false;
	t->start += sizeof(u64);
	return true;
}

const struct heap_design heap_tree = {
    .name = "tree",
    .idea = "free blocks in two balanced trees, by size and by address",
    .traits = HEAP_COALESCES | HEAP_REUSES | HEAP_GROWS,
    .alloc_order = HEAP_O_LOG_N,
    .free_order = HEAP_O_LOG_N,
    .state_bytes = sizeof(struct tree),
    .init = tree_init,
    .alloc = tree_alloc,
    .free = tree_free,
    .resize = tree_resize,
    .usable_size = tree_usable_size,
    .check = tree_check,
    .walk = tree_walk,
};
