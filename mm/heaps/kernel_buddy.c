/*
 * kernel_buddy: the kernel's page buddy (mm/buddy.c) behind the gallery's table.
 *
 * Blocks of 2^order pages, the books outside in struct page, per-CPU caches in front, zones behind:
 * what buddy_heap.c becomes when it grows up. The region holds the adapter's state and nothing
 * else.
 *
 * Cost: alloc and free O(1) for single pages out of the CPU's cache, else O(log m), m the memory in
 * pages. Small requests take a page.
 *
 * Lacks: anything below 4096 bytes; that is kernel_kmalloc.c.
 */
#include "kernel_common.h"

static void *kernel_buddy_alloc(struct heap *heap, size_t size, size_t align)
{
	struct page *page;

	(void)heap;
	(void)align; /* a page at least */
	if (size > PAGE_SIZE << MAX_ORDER)
		return NULL;
	page = alloc_pages(GFP_KERNEL | __GFP_NOWARN, log2_ceil(div_round_up(size, PAGE_SIZE)));
	return page != NULL ? page_address(page) : NULL;
}

static void kernel_buddy_free(struct heap *heap, void *object)
{
	struct page *page = virt_to_page(object);

	(void)heap;
	free_pages(page, page->order);
}

static size_t kernel_buddy_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return PAGE_SIZE << virt_to_page(object)->order;
}

const struct heap_design heap_kernel_buddy = {
    .name = "kernel_buddy",
    .idea = "the kernel's page allocator",
    .traits = HEAP_KERNEL | HEAP_REUSES,
    .alloc_order = HEAP_O_1,
    .free_order = HEAP_O_1,
    .state_bytes = sizeof(struct heap),
    .init = kernel_init,
    .alloc = kernel_buddy_alloc,
    .free = kernel_buddy_free,
    .usable_size = kernel_buddy_usable_size,
    .check = kernel_check,
    .walk = kernel_walk,
};
