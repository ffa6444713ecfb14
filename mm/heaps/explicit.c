/*
 * explicit: boundary tags, and a doubly linked list through the free blocks.
 *
 * The links lie where the object was: a free block pays for its own index. tags.h has the block.
 *
 *     list -> |  free  | used | used |  free  | used |    free    | used |
 *                 |                     ^  |               ^
 *                 +---------------------+  +---------------+
 *
 * Two orders, both searched first fit: LIFO puts a freed block in front, and its memory, still in
 * the processor's cache, is the next to go; address order keeps the list sorted, which packs the
 * heap better and costs a walk a free. `footless` is LIFO without footers on used blocks.
 *
 *   E1  the list's links agree in both directions, and its blocks are free, each once.
 *   E2  in address order, each lies below the next.
 *
 * Cost, f free blocks: alloc O(f); free O(1) for LIFO, O(f) for address order. 16 bytes an object,
 * 8 without footers.
 *
 * Lacks: a bound. A thousand small holes in front of the one that fits are all looked at. Read
 * next: segregated.c, which asks for the size first.
 */
#include "tags.h"

struct explicit
{
	struct tags tags;
	bool by_address;
	struct list free;
};

static struct tagged *explicit_find(struct tags *t, size_t bytes)
{
	struct tagged *b;

	list_for_each(b, &((struct explicit *)t)->free, link) {
		t->heap.steps++;
		if (tagged_size(b) >= bytes)
			return b;
	}
	return NULL;
}

static void explicit_insert(struct tags *t, struct tagged *b)
{
	struct explicit *e = (struct explicit *)t;
	struct list *before = &e->free;

	while (e->by_address && before->next != &e->free && before->next < &b->link) {
		t->heap.steps++;
		before = before->next;
	}
	list_insert_between(&b->link, before, before->next);
}

static void explicit_remove(struct tags *t, struct tagged *b)
{
	(void)t;
	list_remove(&b->link);
}

static const char *explicit_check(const struct tags *t, size_t nr_free)
{
	const struct explicit *e = (const struct explicit *)t;
	size_t nr = 0;

	for (const struct list *l = e->free.next; l != &e->free; l = l->next) {
		if (l->prev->next != l || l->next->prev != l || nr++ == nr_free ||
		    tagged_is_used(list_entry(l, struct tagged, link)))
			return "explicit E1: the list of free blocks is broken";
		if (e->by_address && l->next != &e->free && l > l->next)
			return "explicit E2: the list is not in address order";
	}
	return nr == nr_free ? NULL : "explicit E1: a free block is not in the list";
}

static bool init(struct heap *heap, bool by_address, bool has_footers)
{
	static const struct tags_index index = {explicit_find, explicit_insert, explicit_remove,
	                                        explicit_check};
	struct explicit *e = (struct explicit *)heap;

	list_init(&e->free);
	e->by_address = by_address;
	return tags_init(&e->tags, &index, has_footers);
}

static bool init_lifo(struct heap *heap)
{
	return init(heap, false, true);
}

static bool init_address(struct heap *heap)
{
	return init(heap, true, true);
}

static bool init_footless(struct heap *heap)
{
	return init(heap, false, false);
}

#define EXPLICIT(variant, text, cost_of_free)                \
	const struct heap_design heap_explicit_##variant = { \
	    .name = "explicit_" #variant,                    \
	    .idea = "a list of the free blocks, " text,      \
	    .alloc_order = HEAP_O_N,                         \
	    .free_order = cost_of_free,                      \
	    .state_bytes = sizeof(struct explicit),          \
	    .init = init_##variant,                          \
	    TAGS_FUNCTIONS,                                  \
	}

EXPLICIT(lifo, "last freed first", HEAP_O_1);
EXPLICIT(address, "in address order", HEAP_O_N);
EXPLICIT(footless, "last freed first, no footers", HEAP_O_1);
