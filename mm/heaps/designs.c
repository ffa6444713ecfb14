/*
 * Every design of the gallery. A new one is one file and one line here.
 */
#include <mm/heap.h>

/* clang-format off */
#define HEAP_DESIGNS(X)                                                 \
	X(stack) X(bump)                                                \
	X(naive)                                                        \
	X(implicit_first) X(implicit_next) X(implicit_best)             \
	X(explicit_lifo) X(explicit_address) X(explicit_footless)       \
	X(segregated)                                                   \
	X(tlsf)                                                         \
	X(tree)                                                         \
	X(buddy_heap) X(kernel_buddy)                                   \
	X(pool_stack) X(pool_bitmap) X(pool_list)                       \
	X(slab_heap) X(kernel_kmalloc)                                  \
	X(arena)
/* clang-format on */

#define DECLARE(name) extern const struct heap_design heap_##name;
HEAP_DESIGNS(DECLARE)

#define POINTER(name) &heap_##name,
const struct heap_design *const heap_designs[] = {HEAP_DESIGNS(POINTER) NULL};
