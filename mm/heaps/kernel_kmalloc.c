/*
 * kernel_kmalloc: the kernel's kmalloc (mm/kmalloc.c) behind the gallery's table.
 *
 * Slabs of size classes whose sizes are found by struct page, magazines a CPU in front, a tag an
 * object that catches wrong frees: slab_heap.c and arena.c in one, grown up. The region holds the
 * adapter's state and nothing else.
 *
 * Cost: alloc and free O(1), without a lock but for transfers. Above 8 KiB, whole pages.
 *
 * Lacks: nothing that the gallery knows to ask for.
 */
#include "kernel_common.h"

/* kmalloc() aligns powers of two to their size, other sizes to 8: multiples of 16 to 16. */
static void *kernel_kmalloc_alloc(struct heap *heap, size_t size, size_t align)
{
	(void)heap;
	if (size > KMALLOC_MAX_SIZE)
		return NULL;
	size = align > HEAP_ALIGN ? 1ul << log2_ceil(max_u64(size, align))
	                          : align_up(size, HEAP_ALIGN);
	return kmalloc(size, GFP_KERNEL | __GFP_NOWARN);
}

static void kernel_kmalloc_free(struct heap *heap, void *object)
{
	(void)heap;
	kfree(object);
}

static size_t kernel_kmalloc_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return ksize(object);
}

const struct heap_design heap_kernel_kmalloc = {
    .name = "kernel_kmalloc",
    .idea = "the kernel's kmalloc",
    .traits = HEAP_KERNEL | HEAP_REUSES,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct heap),
    .init = kernel_init,
    .alloc = kernel_kmalloc_alloc,
    .free = kernel_kmalloc_free,
    .usable_size = kernel_kmalloc_usable_size,
    .check = kernel_check,
    .walk = kernel_walk,
};
