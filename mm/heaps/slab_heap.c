/*
 * slab_heap: a pool for each class of sizes, made of slabs, and the size of an object looked up
 * from its address (Bonwick 1994; the page map is tcmalloc's).
 *
 *     page map, a radix tree over the region's page numbers
 *     root   [ | * | | … ]          512 pointers
 *                |
 *     leaf   [ | * * * * | | * … ]  512 pointers, one a page
 *                |
 *     slab   | books | object | object | object | …  | 1 to 4 pages, one size
 *                        free objects are a list, as in pool_list.c
 *
 * Classes are 16 bytes apart to 64, then four to a doubling up to 2048: a fifth is lost at worst.
 * Larger requests are mapped pages of their own. Objects have no header: a free looks up the slab
 * in the page map, two loads. The kernel's own slabs (mm/slab.c) do it by struct page, one load.
 *
 *   S1  leaf entries of a slab's pages point to it; nothing else does.
 *   S2  a slab's list leads through exactly nr_free of its own objects.
 *   S3  a slab is in its class's list exactly when it has free objects.
 *
 * Cost: alloc and free O(1), besides what the region takes for a new slab. Nothing an object.
 *
 * Lacks: locks and CPUs; see arena.c. One object keeps its slab, so memory that is freed at random
 * comes back late.
 */
#include <lib/bits.h>
#include <lib/list.h>
#include <mm/heap.h>

#define MAX_SIZE 2048ul
#define NR_CLASSES 24u
#define RADIX 512u
static_assert(RADIX * sizeof(void *) == REGION_PAGE, "a leaf is a page");

struct object {
	struct object *next;
};

struct slab {
	struct list link;
	struct object *free;
	u8 *first;
	u32 nr_free, nr_objects, size, class;
};
#define BOOKS 64ul
static_assert(sizeof(struct slab) <= BOOKS, "the first object comes behind the books");

struct slab_heap {
	struct heap heap;
	struct list partial[NR_CLASSES];
	struct slab **leaf[RADIX];
};

static unsigned class_of(size_t size)
{
	unsigned top;

	if (size <= 64)
		return (unsigned)(size - 1) / 16;
	top = highest_bit(size - 1);
	return 4 * (top - 5) + ((unsigned)((size - 1) >> (top - 2)) & 3);
}

static size_t class_size(unsigned class)
{
	return class < 4 ? 16ul * (class + 1) : (5ul + class % 4) << (class / 4 + 3);
}

/* At least seven objects a slab. */
static size_t slab_bytes(size_t size)
{
	return size <= 512 ? REGION_PAGE : size <= 1024 ? 2 * REGION_PAGE : 4 * REGION_PAGE;
}

/* --- the page map --- */

static size_t page_number(const struct slab_heap *h, const void *p)
{
	return (size_t)((const u8 *)p - h->heap.region->pages) / REGION_PAGE;
}

static struct slab *slab_of(const struct slab_heap *h, const void *p)
{
	size_t page = page_number(h, p);
	struct slab **leaf = h->leaf[page / RADIX];

	return leaf != NULL ? leaf[page % RADIX] : NULL;
}

static bool set_page(struct slab_heap *h, size_t page, struct slab *slab)
{
	struct slab ***leaf = &h->leaf[page / RADIX];

	if (*leaf == NULL) {
		*leaf = region_map(h->heap.region, REGION_PAGE, REGION_PAGE);
		for (unsigned i = 0; *leaf != NULL && i < RADIX; i++)
			(*leaf)[i] = NULL;
	}
	if (*leaf != NULL)
		(*leaf)[page % RADIX] = slab;
	return *leaf != NULL;
}

/* False: no memory for a leaf. */
static bool set_pages(struct slab_heap *h, const struct slab *at, struct slab *value)
{
	for (size_t i = 0; i < slab_bytes(at->size) / REGION_PAGE; i++)
		if (!set_page(h, page_number(h, at) + i, value))
			return false;
	return true;
}

/* --- slabs --- */

static void push(struct slab *s, struct object *o)
{
	o->next = s->free;
	s->free = o;
	s->nr_free++;
}

static void drop_slab(struct slab_heap *h, struct slab *s)
{
	(void)set_pages(h, s, NULL); /* the leaves are there */
	region_unmap(h->heap.region, s);
}

/* Objects of a power of two are aligned to their size: the books take up one or more of them. */
static struct slab *new_slab(struct slab_heap *h, unsigned class)
{
	size_t size = class_size(class), bytes = slab_bytes(size);
	struct slab *s = region_map(h->heap.region, bytes, REGION_PAGE);

	if (s == NULL)
		return NULL;
	*s = (struct slab){.size = (u32)size, .class = class};
	s->first = (u8 *)s + (is_pow2(size) ? max_u64(size, BOOKS) : BOOKS);
	s->nr_objects = (u32)((bytes - (size_t)(s->first - (u8 *)s)) / size);
	for (u32 i = s->nr_objects; i > 0; i--)
		push(s, (struct object *)(void *)(s->first + (i - 1) * size));
	if (!set_pages(h, s, s)) {
		drop_slab(h, s);
		return NULL;
	}
	list_push_front(&h->partial[class], &s->link);
	return s;
}

static void *slab_heap_alloc(struct heap *heap, size_t size, size_t align)
{
	struct slab_heap *h = (struct slab_heap *)heap;
	struct object *o;
	struct slab *s;
	unsigned class;

	if (align > HEAP_ALIGN)
		size = 1ul << log2_ceil(max_u64(size, align));
	if (size > MAX_SIZE)
		return region_map(heap->region, size, align);
	class = class_of(size);
	s = list_is_empty(&h->partial[class]) ? new_slab(h, class)
	                                      : list_first(&h->partial[class], struct slab, link);
	if (s == NULL)
		return NULL;
	o = s->free;
	s->free = o->next;
	if (--s->nr_free == 0)
		list_remove(&s->link);
	return o;
}

/* An empty slab goes back, unless it is the last of its class with room. */
static void slab_heap_free(struct heap *heap, void *object)
{
	struct slab_heap *h = (struct slab_heap *)heap;
	struct slab *s = slab_of(h, object);

	push(s, object);
	if (s->nr_free == 1)
		list_push_front(&h->partial[s->class], &s->link);
	if (s->nr_free == s->nr_objects && h->partial[s->class].next != h->partial[s->class].prev) {
		list_remove(&s->link);
		drop_slab(h, s);
	}
}

static size_t slab_heap_usable_size(const struct heap *heap, const void *object)
{
	return slab_of((const struct slab_heap *)heap, object)->size;
}

/* --- looking --- */

static bool is_leaf(const struct slab_heap *h, const void *range)
{
	for (unsigned i = 0; i < RADIX; i++)
		if (h->leaf[i] == range)
			return true;
	return false;
}

static bool is_free(const struct slab *s, const void *object)
{
	const struct object *o = s->free;

	while (o != NULL && o != object)
		o = o->next;
	return o != NULL;
}

static const char *check_slab(const struct slab_heap *h, const struct slab *s)
{
	u32 nr = 0;
	bool listed = false;

	for (size_t at = 0; at < slab_bytes(s->size); at += REGION_PAGE)
		if (slab_of(h, (const u8 *)s + at) != s)
			return "slab_heap S1: a page does not lead to its slab";
	for (const struct object *o = s->free; o != NULL; o = o->next) {
		size_t offset = (size_t)((const u8 *)o - s->first);

		if (offset % s->size != 0 || offset / s->size >= s->nr_objects ||
		    nr++ == s->nr_free)
			return "slab_heap S2: the list of free objects leads astray";
	}
	for (const struct list *l = h->partial[s->class].next; l != &h->partial[s->class];
	     l = l->next)
		listed |= l == &s->link;
	if (nr != s->nr_free)
		return "slab_heap S2: the number of free objects is wrong";
	return listed == (nr > 0) ? NULL : "slab_heap S3: a slab is in the list wrongly, or not";
}

struct look {
	const struct slab_heap *h;
	const char *broken;
	heap_visit *visit;
	void *context;
};

static void check_range(void *context, void *range, size_t bytes)
{
	struct look *look = context;

	(void)bytes;
	if (look->broken == NULL && slab_of(look->h, range) != NULL)
		look->broken = check_slab(look->h, range);
}

static const char *slab_heap_check(const struct heap *heap)
{
	struct look look = {.h = (const struct slab_heap *)heap};

	region_for_each(heap->region, check_range, &look);
	return look.broken;
}

static void walk_range(void *context, void *range, size_t bytes)
{
	struct look *look = context;
	const struct slab *s = slab_of(look->h, range);
	struct heap_block block = {range, bytes, true};

	if (s == NULL && !is_leaf(look->h, range))
		look->visit(look->context, &block);
	for (u32 i = 0; s != NULL && i < s->nr_objects; i++) {
		block = (struct heap_block){s->first + i * s->size, s->size, true};
		block.used = !is_free(s, block.start);
		look->visit(look->context, &block);
	}
}

static void slab_heap_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	struct look look = {(const struct slab_heap *)heap, NULL, visit, context};

	region_for_each(heap->region, walk_range, &look);
}

static bool slab_heap_init(struct heap *heap)
{
	struct slab_heap *h = (struct slab_heap *)heap;

	for (unsigned class = 0; class < NR_CLASSES; class ++)
		list_init(&h->partial[class]);
	return heap->region->nr_pages <= (size_t)RADIX * RADIX;
}

const struct heap_design heap_slab_heap = {
    .name = "slab_heap",
    .idea = "a pool of slabs for each class; sizes by a page map",
    .traits = HEAP_REUSES | HEAP_MAPS,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct slab_heap),
    .init = slab_heap_init,
    .alloc = slab_heap_alloc,
    .free = slab_heap_free,
    .usable_size = slab_heap_usable_size,
    .check = slab_heap_check,
    .walk = slab_heap_walk,
};
