/*
 * The facade of the page allocator: which zone to take from, what to do when there is nothing, and
 * what may be freed.
 *
 * Fallback goes from the highest zone that the caller's flags allow down to DMA, in the wanted node
 * first and then in the others by distance, so that scarce low memory is spent last. A zone is
 * passed over where the request would leave too little (zone_spare_pages()). When none gives
 * anything: the CPUs' caches go back (their blocks may merge), then, if the caller may wait, the
 * shrinkers are asked, and only then the answer is NULL. Exhaustion never stops the machine.
 *
 * A wrong free always does, before anything is changed, with one line: "page_alloc: double free
 * pfn=… order=…".
 *
 * platform_pages_freed() and platform_pages_allocated() stand where blocks come in and go out, for
 * a sanitizer to know which may be touched.
 *
 * Cost: a hot block of order 0 … 3 is a pop or a push on this CPU's stack; others one step an order
 * under the zone's lock.
 */
#include "event_record.h"
#include "internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/node.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>
#include <mm/report.h>

/* Shrinkers may claim progress that helps nobody: an allocation gives up after asking so often. */
#define RECLAIM_ROUNDS 16

static u64 nr_failures; /* A */

u64 page_alloc_failures(void)
{
	return __atomic_load_n(&nr_failures, __ATOMIC_RELAXED);
}

/* With a gap behind it: debug/page_gap.c. */
static __noinline struct page *take_with_gap(struct zone *z, gfp_t gfp, unsigned order,
                                             u32 nr_pages)
{
	if (zone_spare_pages(z, gfp) >> order < 2)
		return NULL;
	return page_gap_alloc(z, order, nr_pages);
}

/* What is taken from one zone: a block (nr_pages 0) or a run. */
static struct page *take(struct zone *z, gfp_t gfp, unsigned order, u32 nr_pages)
{
	struct page *page = unlikely(page_gaps_on) ? take_with_gap(z, gfp, order, nr_pages) : NULL;

	if (page != NULL)
		return page;
	if (order < CPU_PAGE_ORDERS && nr_pages == 0)
		return cpu_pages_alloc(z, gfp, order);
	if (!zone_may_have(z, order) || zone_spare_pages(z, gfp) >> order == 0)
		return NULL;
	return nr_pages != 0 ? zone_alloc_run(z, nr_pages) : zone_alloc(z, order);
}

static struct page *take_from_node(unsigned node, gfp_t gfp, unsigned order, u32 nr_pages)
{
	struct page *page = NULL;

	for (unsigned kind = gfp_zone_kind(gfp) + 1; kind-- > 0 && page == NULL;)
		page = take(&zone_table[ZONE_ID(node, kind)], gfp, order, nr_pages);
	return page;
}

static struct page *take_from_any(unsigned node, gfp_t gfp, unsigned order, u32 nr_pages)
{
	struct page *page = NULL;

	for (unsigned i = 0; i < MAX_NODES && page == NULL; i++) {
		unsigned from = node_fallback(node, i);

		page = take_from_node(from, gfp, order, nr_pages);
		if (page != NULL)
			node_count(node, from);
	}
	return page;
}

void page_alloc_failed(gfp_t gfp, unsigned order)
{
	if (event_any())
		event_block(EVENT_OUT_OF_MEMORY, 0, order, PAGE_SIZE << order, 0, 0);
	oom_report(gfp, order, __atomic_add_fetch(&nr_failures, 1, __ATOMIC_RELAXED));
}

static __noinline struct page *take_slowly(unsigned node, gfp_t gfp, unsigned order, u32 nr_pages)
{
	bool may_reclaim = (gfp & __GFP_RECLAIM) && !(gfp & __GFP_NORETRY);
	struct page *page;

	if ((gfp & __GFP_RECLAIM) && reclaim_is_under_way())
		gfp |= __GFP_MEMALLOC; /* a shrinker's */
	platform_reclaim_wanted();     /* so that the next one need not come here */
	drain_cpu_pages();
	(void)platform_on_other_cpus(drain_cpu_pages);
	page = take_from_any(node, gfp, order, nr_pages);
	for (unsigned i = 0; page == NULL && may_reclaim && i < RECLAIM_ROUNDS; i++) {
		if (reclaim_pages(1ull << order) == 0)
			break;
		page = take_from_any(node, gfp, order, nr_pages);
	}
	if (page == NULL && (gfp & __GFP_NOFAIL))
		page = take_from_any(node, gfp | __GFP_MEMALLOC, order, nr_pages);
	if (page == NULL) {
		page_alloc_failed(gfp, order);
		if (gfp & __GFP_NOFAIL)
			panic("page_alloc: out of memory for a request that must not fail order=%u",
			      order);
	}
	return page;
}

/* caller: for the event. */
static struct page *allocate(unsigned node, gfp_t gfp, unsigned order, u32 nr_pages, u64 caller)
{
	struct page *page;

	if (unlikely(order > MAX_ORDER || node >= MAX_NODES)) {
		page_alloc_failed(gfp, order);
		return NULL;
	}
	if (inject_fails_pages(gfp, order))
		return NULL;
	page = take_from_any(node, gfp, order, nr_pages);
	if (unlikely(page == NULL))
		page = take_slowly(node, gfp, order, nr_pages);
	if (page == NULL)
		return NULL;
	platform_pages_allocated(page, page_block_pages(page));
	if (unlikely(page_debug_on))
		page_debug_allocated(page, page_block_pages(page));
	if (event_any())
		event_block(EVENT_PAGES_ALLOC, page_to_pfn(page), order,
		            page_block_pages(page) << PAGE_SHIFT, page->zone, caller);
	if (gfp & __GFP_ZERO)
		memset(page_address(page), 0, page_block_pages(page) << PAGE_SHIFT);
	return page;
}

struct page *alloc_pages_node(unsigned node, gfp_t gfp, unsigned order)
{
	return allocate(node, gfp, order, 0, RETURN_ADDRESS());
}

static __noinline struct page *alloc_slowly(gfp_t gfp, unsigned order, u64 caller)
{
	return allocate(mm_this(pages)->node, gfp, order, 0, caller);
}

static __always_inline struct page *given_out(struct page *page, unsigned order)
{
	platform_pages_allocated(page, 1ull << order);
	return page;
}

/* Blocks that no stack holds, in the common case: from the highest zone. */
static __noinline struct page *alloc_large(gfp_t gfp, unsigned order, u64 caller)
{
	struct page *page = NULL;

	if (likely(!event_any() && !(gfp & GFP_PLACED) && order <= MAX_ORDER &&
	           zone_can_spare(mm_this(pages)->zone[0], gfp, ZONE_NORMAL, 1ull << order)))
		page = zone_alloc(mm_this(pages)->zone[0], order);
	return likely(page != NULL) ? given_out(page, order) : alloc_slowly(gfp, order, caller);
}

/* An empty stack: a trip to its zone in the common case, or what is below it in the node. */
static __noinline struct page *alloc_refill(gfp_t gfp, unsigned order, u64 caller)
{
	struct page *page = cpu_pages_alloc_near(gfp, order, caller);

	return likely(page != NULL) ? given_out(page, order) : alloc_slowly(gfp, order, caller);
}

/* From the stacks of the highest zone, which stand first; or NULL. */
static __always_inline struct page *pop_hot(unsigned order)
{
	struct page *page = page_stack_pop(&mm_this(pages)->stack[0][order], order);

	return likely(page != NULL) ? given_out(page, order) : NULL;
}

/* The return address is looked at where it is needed, or the hot way would load it too. */
__mm_fast struct page *alloc_hot_page(gfp_t gfp)
{
	struct page *page = pop_hot(0);

	return likely(page != NULL) ? page : alloc_refill(gfp, 0, RETURN_ADDRESS());
}

__mm_fast struct page *alloc_any_pages(gfp_t gfp, unsigned order)
{
	struct page *page;

	if (unlikely(order >= CPU_PAGE_ORDERS))
		return alloc_large(gfp, order, RETURN_ADDRESS());
	if (unlikely(gfp & GFP_PLACED))
		return alloc_slowly(gfp, order, RETURN_ADDRESS());
	page = pop_hot(order);
	return likely(page != NULL) ? page : alloc_refill(gfp, order, RETURN_ADDRESS());
}

const char *page_free_fault(const struct page *page, unsigned order)
{
	u64 offset = (u64)page - (u64)page_map;
	u64 pfn = offset / sizeof(struct page);
	const struct page *head;

	if (offset % sizeof(struct page) != 0 || pfn >= PLATFORM_MAX_PA >> PAGE_SHIFT)
		return "not a struct page";
	head = page_block_of(pfn);
	if (head == NULL)
		return zone_of_untouched(pfn) ? "double free" : "not RAM";
	if ((head->flags != 0 && head->flags != PAGE_RETIRING) || head->zone >= MAX_ZONES)
		return "overwritten metadata";
	if (head->type == PAGE_CACHED)
		return "double free";
	return buddy_free_fault(&page_zone(head)->buddy, (u32)pfn, order);
}

/* Not what the fast ways free: a block that holds a page that is to leave, or a mistake. */
static __noinline __cold void free_oddly(struct page *page, unsigned order)
{
	const char *fault;

	if (retire_free(page, order)) {
		if (event_any()) /* after it, which alone can say so */
			event_block(EVENT_PAGES_FREE, page_to_pfn(page), order, PAGE_SIZE << order,
			            page->zone, 0);
		return;
	}
	fault = page_free_fault(page, order);
	panic_about(report_story, page_state(page) != PAGEBLOCK_UNKNOWN ? page_address(page) : page,
	            "page_alloc: %s pfn=%#lx order=%u", fault ? fault : "freed by another CPU too",
	            ((u64)page - (u64)page_map) / sizeof(struct page), order);
}

/* What no stack holds. Inside a block that was never split nothing vouches for the zone's number.
 * The zone checks the rest under its lock, so that of two frees that race only one goes through. */
static __noinline void free_large(struct page *page, unsigned order)
{
	if (unlikely(page_debug_on) && page_free_fault(page, order) == NULL)
		page_debug_freed(page, 1ull << order);
	if (event_any() && page_free_fault(page, order) == NULL)
		event_block(EVENT_PAGES_FREE, page_to_pfn(page), order, PAGE_SIZE << order,
		            page->zone, 0);
	if (unlikely(page_state(page) == PAGEBLOCK_UNKNOWN ||
	             page_lookup(page_to_pfn(page)) == NULL || page->zone >= MAX_ZONES ||
	             !zone_free(page_zone(page), page, order)))
		free_oddly(page, order);
}

/* The pageblock byte is trusted first, then the head. What a right head leaves of its word is the
 * zone, in which no bit of another byte is set. */
static __always_inline void free_hot(struct page *page, unsigned order)
{
	struct page_stack *s;
	u32 head, zone;

	if (unlikely(page_state(page) != PAGEBLOCK_FULL))
		return free_oddly(page, order);
	head = page->head;
	zone = head - page_head_word(PAGE_ALLOCATED, order, 0);
	if (unlikely(zone & ~page_head_word(0, 0, MAX_ZONES - 1)))
		return free_oddly(page, order);
	platform_pages_freed(page, 1ull << order);
	s = &mm_this(pages)->of_zone[zone >> 16][order];
	if (unlikely(!page_stack_push(s, page, head)))
		cpu_pages_free(page, order);
}

__mm_fast void free_hot_page(struct page *page)
{
	free_hot(page, 0);
}

__mm_fast void free_any_pages(struct page *page, unsigned order)
{
	if (unlikely(order >= CPU_PAGE_ORDERS))
		return free_large(page, order);
	free_hot(page, order);
}

static size_t pop_many(size_t n, struct page *pages[])
{
	size_t nr = cpu_pages_pop_many(n, pages);

	for (size_t i = 0; i < nr; i++)
		platform_pages_allocated(pages[i], 1);
	return nr;
}

/* What this CPU holds, and then one by one from the zones, which fills it again. */
size_t alloc_pages_bulk(gfp_t gfp, size_t n, struct page *pages[])
{
	size_t nr = 0;

	while (nr < n) {
		if (!(gfp & GFP_PLACED))
			nr += pop_many(n - nr, pages + nr);
		if (nr < n) {
			pages[nr] =
			    event_any() ? alloc_slowly(gfp, 0, RETURN_ADDRESS()) : alloc_page(gfp);
			if (pages[nr++] == NULL)
				return nr - 1;
		}
	}
	return nr;
}

void free_pages_bulk(size_t n, struct page *pages[])
{
	for (size_t i = 0; i < n; i++)
		free_page(pages[i]);
}

static struct page *allocate_run(unsigned node, gfp_t gfp, u32 nr_pages, u64 caller)
{
	assert(nr_pages != 0 && nr_pages <= 1u << MAX_ORDER);
	return allocate(node, gfp, log2_ceil(nr_pages), nr_pages, caller);
}

struct page *page_run_alloc_node(unsigned node, gfp_t gfp, u32 nr_pages)
{
	return allocate_run(node, gfp, nr_pages, RETURN_ADDRESS());
}

struct page *page_run_alloc(gfp_t gfp, u32 nr_pages)
{
	return allocate_run(mm_this(pages)->node, gfp, nr_pages, RETURN_ADDRESS());
}

void page_run_free(struct page *head, u32 nr_pages)
{
	if (unlikely(page_debug_on))
		page_debug_freed(head, nr_pages);
	if (event_any())
		event_block(EVENT_PAGES_FREE, page_to_pfn(head), log2_ceil(nr_pages),
		            (u64)nr_pages << PAGE_SHIFT, head->zone, 0);
	zone_free_run(page_zone(head), head, nr_pages);
}

void *alloc_pages_exact(size_t bytes, gfp_t gfp)
{
	struct page *head;

	if (bytes == 0 || bytes > PAGE_SIZE << MAX_ORDER)
		return NULL;
	head = allocate_run(mm_this(pages)->node, gfp, (u32)div_round_up(bytes, PAGE_SIZE),
	                    RETURN_ADDRESS());
	return head ? page_address(head) : NULL;
}

void free_pages_exact(void *va, size_t bytes)
{
	u64 nr_pages = div_round_up(bytes, PAGE_SIZE);
	struct page *head;

	if (va == NULL)
		return;
	head = is_direct_map(va) ? page_lookup(virt_to_phys(va) >> PAGE_SHIFT) : NULL;
	if (head == NULL || page_address(head) != va || head->type != PAGE_ALLOCATED ||
	    head->order != ORDER_RUN || head->nr_pages != nr_pages)
		panic_about(report_story, va,
		            "page_alloc: not an exact allocation of this size address=%p bytes=%lu",
		            va, bytes);
	page_run_free(head, (u32)nr_pages);
}
