/*
 * Bounds of what an address lies in: <mm/bounds.h>.
 *
 * The page's type says who to ask: the slab for its object, the head of a run or a block for its
 * pages, the platform for stacks.
 *
 * Cost: O(1) for objects, O(orders) for pages.
 */
#include "../slab_internal.h"

#include <lib/assert.h>
#include <mm/bounds.h>
#include <mm/kmalloc.h>
#include <mm/page.h>

/* What ksize() would tell. */
static size_t object_size(const struct slab_object_info *info)
{
	if (guard_owns(info->object))
		return guard_size(info->object);
	return slab_debug_size(slab_of(info->object), info->object);
}

static const char *object_fault(const struct slab_object_info *info, size_t n)
{
	size_t size;

	if (info->tag < TAG_FIRST_SITE)
		return "in a freed object";
	size = object_size(info);
	return info->offset > size || n > size - info->offset ? "past the end of the object" : NULL;
}

/* n > 0, and the range does not wrap. */
static const char *page_fault(const struct page *head, const void *p, size_t n)
{
	size_t length = page_block_pages(head) << PAGE_SHIFT;
	const char *start = head->type == PAGE_LARGE ? large_address(head) : page_address(head);
	size_t end = (size_t)((const char *)p - start) + n;

	switch (head->type) {
	case PAGE_FREE:
	case PAGE_CACHED:
		return "in a freed page";
	case PAGE_SLAB:
		return "between the objects of a slab";
	case PAGE_LARGE:
		if ((const char *)p < start)
			return "before the start of the large kmalloc";
		length = kmalloc_large_has_zone ? head->bytes : align_up(head->bytes, PAGE_SIZE);
		return end > length ? "past the end of the large kmalloc" : NULL;
	case PAGE_ALLOCATED:
		return end > length ? "past the end of the block of pages" : NULL;
	default:
		return NULL;
	}
}

const char *object_bounds_fault(const void *p, size_t n)
{
	struct slab_object_info info;
	const struct page *head;

	if (n == 0)
		return NULL;
	if ((u64)p + (n - 1) < (u64)p)
		return "around the end of all addresses";
	if (!is_direct_map(p))
		return platform_bounds_fault(p, n);
	if (slab_object_of(p, &info))
		return object_fault(&info, n);
	if (guard_owns(p))
		return "beside an object between guard pages";
	head = page_block_of(virt_to_phys(p) >> PAGE_SHIFT);
	return head != NULL ? page_fault(head, p, n) : NULL;
}

static _Noreturn __cold void report_bounds(const char *fault, const void *p, size_t n)
{
	struct slab_object_info info;
	char site[96];

	if (!is_direct_map(p) || !slab_object_of(p, &info))
		panic_about(report_story, p, "BUG: %s: %lu bytes at %p", fault, n, p);
	panic_about(report_story, p, "BUG: %s: in %s: object %p%+ld (size %lu): %lu bytes, by %s",
	            fault, info.cache->name, info.object, (long)info.offset, object_size(&info), n,
	            site_name(site, info.tag));
}

void check_object_bounds(const void *p, size_t n)
{
	const char *fault = object_bounds_fault(p, n);

	if (unlikely(fault != NULL))
		report_bounds(fault, p, n);
}

/* --- copies --- */

bool copies_are_checked;

void bounds_init(void)
{
	copies_are_checked = true;
}

/* Free memory that the manager itself fills, wipes and verifies. */
static bool is_the_managers(const void *p)
{
	const struct slab *s = slab_of(p);

	if (s == NULL)
		return guard_owns(p);
	return s->cache->debug != 0 || (s->cache->flags & (SLAB_INTERNAL | SLAB_ZERO_ON_FREE));
}

/* All in blocks of pages that are somebody's: alloc_contig_pages() gives several. n > 0. */
static bool is_in_blocks(const void *p, size_t n)
{
	u64 pfn = virt_to_phys(p) >> PAGE_SHIFT, last = (virt_to_phys(p) + n - 1) >> PAGE_SHIFT;

	while (pfn <= last) {
		const struct page *head = page_block_of(pfn);

		if (head == NULL || head->type != PAGE_ALLOCATED)
			return false;
		pfn = page_to_pfn(head) + page_block_pages(head);
	}
	return true;
}

void check_copy_slowly(const void *p, size_t n)
{
	const char *fault = object_bounds_fault(p, n);

	if (unlikely(fault != NULL) && !is_the_managers(p) && !is_in_blocks(p, n))
		report_bounds(fault, p, n);
}
