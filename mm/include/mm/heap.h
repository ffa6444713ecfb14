/*
 * The gallery: the classic allocators, each a small design behind one table of functions.
 *
 * A heap is made of a design (mm/heaps/<design>.c, all listed in mm/heaps/designs.c) and a region
 * that feeds it memory (mm/region.h); its own books are the first thing it takes from there.
 * Reading order: naive, implicit (with tags.h), explicit, segregated, tlsf, tree, buddy_heap, the
 * pools, slab_heap, arena; stack and bump at any time.
 *
 * Sizes and alignments are bytes. Exhaustion, and requests that no region could ever fill, give
 * NULL and change nothing. A pointer that the heap did not give is a caller's mistake that these
 * designs, like their models, mostly do not notice: the kernel's own allocators (mm/kmalloc.h) do.
 * Not locked: one user at a time, but for `arena`. Contexts: any that may use the region's memory.
 */
#pragma once

#include <lib/types.h>
#include <mm/region.h>

#define HEAP_ALIGN 16ul       /* of every object, and what alignments below it become */
#define HEAP_MAX_ALIGN 4096ul /* more gives NULL */

struct heap;

/* What a design promises beyond the rest, and what it asks for. */
#define HEAP_COALESCES 1u /* when all is freed, what is free is one block, or none */
#define HEAP_REUSES 2u    /* freed memory serves the next request of that size at once */
#define HEAP_GROWS 4u     /* resize grows an object over a free block behind it */
#define HEAP_TYPED 8u     /* objects of one size, options.object_size; no alignment above 16 */
#define HEAP_MAPS 16u     /* lives of mapped ranges: needs REGION_MAPPED */
#define HEAP_KERNEL 32u   /* an adapter: memory is the kernel's, the region holds the books only */
#define HEAP_SHARED 64u   /* many CPUs at once; nothing is mapped, whatever the region */

/* How cost grows with n, the number of blocks: what the file's head claims and what is counted. */
enum heap_order { HEAP_O_1, HEAP_O_LOG_N, HEAP_O_N, HEAP_O_OTHER };

struct heap_options {
	size_t object_size, nr_objects; /* HEAP_TYPED; 0: 64 bytes, 64 objects */
};

/* As walk shows them, in any order: from the first byte of the block's own books to its end. */
struct heap_block {
	const void *start;
	size_t bytes;
	bool used;
};
typedef void heap_visit(void *context, const struct heap_block *block);

/*
 * The table. alloc: size is 1 … the region's bytes; align 16 … 4096, a power of two. resize: in
 * place or not at all (false: nothing has changed); heap_resize() does the moving. walk and check
 * look at everything, and free neither. NULL for resize or finish: never, nothing to do.
 */
struct heap_design {
	const char *name, *idea;
	unsigned traits;
	enum heap_order alloc_order, free_order;
	size_t
	    state_bytes; /* of a struct that begins with struct heap; zero but for that at init */
	bool (*init)(struct heap *heap);
	void *(*alloc)(struct heap *heap, size_t size, size_t align);
	void (*free)(struct heap *heap, void *object);
	bool (*resize)(struct heap *heap, void *object, size_t size);
	size_t (*usable_size)(const struct heap *heap, const void *object);
	const char *(*check)(const struct heap *heap);
	void (*walk)(const struct heap *heap, heap_visit *visit, void *context);
	void (*finish)(struct heap *heap);
};

struct heap {
	const struct heap_design *design;
	struct region *region;
	struct heap_options options;
	u64 steps; /* blocks, nodes, words looked at, ever: besides the operation itself */
	u64 joins; /* free blocks that became part of a free neighbour, ever */
};

/* Every design, in reading order; ends with NULL. heap_design_find() gives NULL for other names. */
extern const struct heap_design *const heap_designs[];
const struct heap_design *heap_design_find(const char *name);
const char *heap_order_name(enum heap_order order);

/* The region must be fresh (region_init()) and stay until heap_destroy(). options NULL: all 0.
 * NULL: the region is too small, or of the wrong kind. */
struct heap *heap_create(const struct heap_design *design, struct region *region,
                         const struct heap_options *options);
/* Objects that live are gone with it. The region is as fresh as before. */
void heap_destroy(struct heap *heap);

/* Size 0 gives an object too, with an address of its own. Contents undefined. align 0 means 16;
 * what is no power of two gives NULL. */
void *heap_alloc(struct heap *heap, size_t size);
void *heap_alloc_aligned(struct heap *heap, size_t size, size_t align);
void heap_free(struct heap *heap, void *object); /* NULL is a no-op */

/* As realloc(): contents stay up to the smaller size, NULL leaves the object as it was. Keeps no
 * alignment above 16 when the object must move. object NULL: heap_alloc(). */
void *heap_resize(struct heap *heap, void *object, size_t size);

/* How many bytes at the object may be used: at least what was asked for. */
size_t heap_usable_size(const struct heap *heap, const void *object);

/* NULL, or the invariant that is broken. Visits every block. O(blocks). */
const char *heap_check(const struct heap *heap);
void heap_walk(const struct heap *heap, heap_visit *visit, void *context);

/* --- what only one design has --- */

/* `stack`: everything that was allocated after the mark is released at once. */
typedef u64 stack_mark;
stack_mark stack_heap_mark(const struct heap *heap);
void stack_heap_release(struct heap *heap, stack_mark mark);

/* `bump`: all objects are gone. */
void bump_heap_reset(struct heap *heap);

/* `arena`: gives this CPU's cached objects back to the central heap. */
void arena_heap_drain(struct heap *heap);
