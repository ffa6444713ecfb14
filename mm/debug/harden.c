/*
 * What hardening was chosen (mm/harden.h), and the guard pages around large kmallocs.
 *
 * A large kmalloc is a run of pages, of which the first and the last, where this is on, are
 * nobody's: they are taken out of the direct map while the kmalloc lives, so that the first access
 * before its bytes' first page or behind the last is a fault. Within the last page it is
 * slab_debug=Z that finds a write.
 *
 * A run has both exactly when it has more pages than its bytes need. Where there is no memory to
 * split the direct map's leaves, or the size is the largest there is, it has neither.
 *
 * Cost: a walk down the page tables and one invlpg at each end; another CPU may remember for a
 * moment that the page was accessible, and miss a fault. No lock but the platform's.
 */
#include "debug_internal.h"

#include <lib/assert.h>
#include <mm/harden.h>
#include <mm/kmalloc.h>

static struct mm_hardening chosen;

bool large_guard_on; /* C */

void mm_harden(const struct mm_hardening *choice)
{
	chosen = *choice;
	chosen.kmalloc_copies = (u32)min_u64(choice->kmalloc_copies, KMALLOC_COPIES_MAX);
}

struct mm_hardening mm_hardening(void)
{
	return chosen;
}

/* --- guard pages --- */

static char *last_page(const struct page *run)
{
	return (char *)page_address(run) + ((u64)(run->nr_pages - 1) << PAGE_SHIFT);
}

struct page *large_guard_alloc(unsigned node, gfp_t gfp, u32 nr_pages)
{
	struct page *head = NULL;

	if (nr_pages + 2 <= 1u << MAX_ORDER)
		head = page_run_alloc_node(node, gfp, nr_pages + 2);
	if (head == NULL)
		return page_run_alloc_node(node, gfp, nr_pages);
	if (platform_guard_begin(page_address(head), PAGE_SIZE) &&
	    platform_guard_begin(last_page(head), PAGE_SIZE))
		return head;
	page_run_free(head, nr_pages + 2);
	return page_run_alloc_node(node, gfp, nr_pages);
}

static void set_accessible(const struct page *head, bool accessible)
{
	if (large_has_guards(head)) {
		platform_guard(page_address(head), accessible);
		platform_guard(last_page(head), accessible);
	}
}

void large_guard_close(const struct page *head)
{
	set_accessible(head, false);
}

void large_guard_open(const struct page *head)
{
	set_accessible(head, true);
}

bool large_guard_fault(u64 address, bool is_write, const char *who)
{
	const char *p = (const char *)address, *object;
	const struct page *head = NULL;
	char site[96];

	if (large_guard_on && is_direct_map(p))
		head = page_block_of(virt_to_phys(p) >> PAGE_SHIFT);
	if (head == NULL || head->type != PAGE_LARGE || !large_has_guards(head))
		return false;
	object = large_address(head);
	if (p >= object && p < last_page(head))
		return false;
	panic("BUG: out of bounds %s in kmalloc-large: object %p%+ld (size %u): %s at %s, by %s",
	      p < object ? "left" : "right", (const void *)object, (long)(p - object), head->bytes,
	      is_write ? "write" : "read", who, site_name(site, head->site));
}
