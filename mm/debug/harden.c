/*
 * What hardening was chosen (mm/harden.h), and the guard pages behind large kmallocs.
 *
 * A large kmalloc is a run of pages, of which the last, where this is on, is nobody's: it is taken
 * out of the direct map while the kmalloc lives, so that the first access behind the last page is a
 * fault. Within the last page it is slab_debug=Z that finds a write.
 *
 * A run has such a page exactly when it has one page more than its bytes need. Where there is no
 * memory to split the direct map's leaf, or the size is the largest there is, it has none.
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

static bool has_guard(const struct page *head)
{
	return head->nr_pages > div_round_up(head->bytes, PAGE_SIZE);
}

static char *guard_of(const struct page *head)
{
	return (char *)page_address(head) + ((u64)(head->nr_pages - 1) << PAGE_SHIFT);
}

struct page *large_guard_alloc(unsigned node, gfp_t gfp, u32 nr_pages)
{
	struct page *head;
	char *guard;

	if (nr_pages == 1u << MAX_ORDER)
		return page_run_alloc_node(node, gfp, nr_pages);
	head = page_run_alloc_node(node, gfp, nr_pages + 1);
	if (head == NULL)
		return NULL;
	guard = guard_of(head);
	if (platform_guard_begin(guard, PAGE_SIZE)) {
		platform_guard(guard, false);
		return head;
	}
	page_run_free(head, nr_pages + 1);
	return page_run_alloc_node(node, gfp, nr_pages);
}

void large_guard_open(const struct page *head)
{
	if (has_guard(head))
		platform_guard(guard_of(head), true);
}

bool large_guard_fault(u64 address, bool is_write, const char *who)
{
	const void *p = (const void *)address;
	const struct page *head = NULL;
	char site[96];

	if (large_guard_on && is_direct_map(p))
		head = page_block_of(virt_to_phys(p) >> PAGE_SHIFT);
	if (head == NULL || head->type != PAGE_LARGE || !has_guard(head) ||
	    address < (u64)guard_of(head))
		return false;
	panic("BUG: out of bounds right in kmalloc-large: object %p+%lu (size %u): %s at %s, by %s",
	      page_address(head), address - (u64)page_address(head), head->bytes,
	      is_write ? "write" : "read", who, site_name(site, head->site));
}
