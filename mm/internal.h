/*
 * Private to mm/ (and its tests): what the layers share with each other, left to right.
 */
#pragma once

#include <mm/bootmem.h>
#include <mm/context.h>
#include <mm/slab.h>
#include <mm/zone.h>

/* --- init.c --- */

/* The page map is backed in whole pageblocks (two pages of struct pages), because the buddy writes
 * the metadata of all 512 frames of one that a range covers only in part. */
#define BACKING_UNIT (PAGEBLOCK_PAGES * PAGE_SIZE)

bool mm_has_page_map(u32 mem_type);     /* the boot backs the page map for such ranges */
void mm_add_memory(u64 start, u64 end); /* page-aligned addresses: free memory of their zones */

/* --- context.c --- */

void mm_context_init(struct bootmem *boot);
unsigned mm_nr_contexts(void);
struct mm_context *mm_context_of(unsigned id);

/* --- node.c --- */

void node_init(void);
unsigned node_of_cpu(unsigned cpu);

/* --- cpu_pages.c --- */

/* Cached are orders 0 … 3. A stack of order o holds MAX >> o blocks at most, and a trip to the zone
 * moves BATCH >> o at most. */
#define CPU_PAGE_ORDERS 4
#define CPU_PAGES_MAX 80
#define CPU_PAGES_BATCH 16u

/* Slots of one zone's stacks: a sentinel and the blocks, for each order. */
#define CPU_PAGE_SLOTS (2 * CPU_PAGES_MAX - CPU_PAGES_MAX / 8 + CPU_PAGE_ORDERS)

/* A stack of PAGE_CACHED heads of one zone and order; the slot below the first is a sentinel. */
struct page_stack {
	struct page **top;   /* X: the hottest block, or the sentinel */
	struct page **limit; /* C: top of a full stack */
};

/* A context's hot pages. X: its own context, or its CPU's threads with interrupts off (context.h).
 * C: constant after init. */
struct cpu_pages {
	struct page_stack stack[NR_ZONE_KINDS][CPU_PAGE_ORDERS]; /* the highest zone's first */
	struct page_stack
	    *of_zone[MAX_ZONES]; /* C: by zone id; always full ones where nothing is cached */
	struct zone *zone[NR_ZONE_KINDS]; /* C: those of the node with memory, the highest first */
	unsigned nr_zones;                /* C */
	unsigned node;                    /* C: the CPU's own */
	u64 nr_refills, nr_drains;        /* X: trips to the zones */
	struct page *slot[NR_ZONE_KINDS][CPU_PAGE_SLOTS]; /* X */

	/* X: while it is diverted, the fast ways find `stack` empty and all in of_zone full; these
	 * are the real ones. */
	bool diverted;
	struct page_stack held[NR_ZONE_KINDS][CPU_PAGE_ORDERS];
} __aligned(64);

/* The slot of the sentinel. */
static inline struct page **page_stack_base(const struct page_stack *s, unsigned order)
{
	return s->limit - (CPU_PAGES_MAX >> order);
}

void cpu_pages_init(struct bootmem *boot);
struct cpu_pages *cpu_pages_of(unsigned context);

/* The node of a CPU that is not running yet. */
void cpu_pages_set_node(unsigned cpu, unsigned node);

/* Tells the caches which zones have memory. Until then, and for zones that come later, nothing is
 * cached. */
void cpu_pages_choose_zones(void);

/* A zone that had no memory has some: it is cached too from now on, where other CPUs can be asked.
 * In threads. */
void cpu_pages_choose_zones_again(void);

/*
 * The fast ways. pop: a block, now PAGE_ALLOCATED; NULL when the stack is empty (or its hottest
 * block was overwritten: cpu_pages_alloc() tells). push: a PAGE_ALLOCATED block of that order;
 * false when the stack is full. Not to be interrupted by their own context: only in functions that
 * are
 * __mm_fast, or with interrupts off. order < CPU_PAGE_ORDERS.
 */
static __always_inline struct page *page_stack_pop(struct page_stack *s, unsigned order)
{
	struct page **top = s->top, *page = *top;
	u32 head = page->head;

	/* Without its zone the word has 16 bits: one comparison answers for the sentinel too. */
	if (unlikely((u16)head != (u16)page_head_word(PAGE_CACHED, order, 0)))
		return NULL;
	page->head = head + (PAGE_ALLOCATED - PAGE_CACHED);
	s->top = top - 1;
	return page;
}

/* head: the page's, which the caller has read. The whole word is written, here and above: a
 * processor hands a store's bytes to the next load only when it holds all that the load asks for.
 */
static __always_inline bool page_stack_push(struct page_stack *s, struct page *page, u32 head)
{
	struct page **top = s->top;

	if (unlikely(top == s->limit))
		return false;
	page->head = head - (PAGE_ALLOCATED - PAGE_CACHED);
	top[1] = page;
	s->top = top + 1;
	return true;
}

/*
 * The same with trips to the zone: a block of that zone, or NULL when it has none; and a block
 * back. Any zone, order < CPU_PAGE_ORDERS, any context.
 */
struct page *cpu_pages_alloc(struct zone *z, gfp_t gfp, unsigned order);
/* Of any zone of the node, the highest first. caller: for the event. */
struct page *cpu_pages_alloc_near(gfp_t gfp, unsigned order, u64 caller);
void cpu_pages_free(struct page *page, unsigned order);

/* Up to n of the single pages that this context holds of its highest zone. */
size_t cpu_pages_pop_many(size_t n, struct page *pages[]);

/* From here on no context caches pages, or all do again; those of CPUs that are started later too.
 * In threads. False: other CPUs cannot be told now, and nothing is changed. */
bool cpu_pages_bypass(bool on);

/* From here on every allocation and free of pages takes the slow way, which uses the caches as the
 * fast one does, or no longer. As above. */
bool cpu_pages_divert(bool on);

/* Pages (not blocks) in all caches, and in quarantine. */
u64 cpu_pages_count(void);
const char *cpu_pages_check(void);

/* --- zone.c, contig.c --- */

/* The zone's lock, counted; spin_unlock_irq() with the result. */
static inline u64 zone_lock(struct zone *z)
{
	u64 flags = spin_lock_irq(&z->lock);

	z->nr_lock_acquisitions++;
	return flags;
}

/* --- debug/page_debug.c: poison and zeros in pages --- */

/* Looked at on slow ways alone: while it is set, the CPUs' stacks hold nothing. */
extern bool page_debug_on; /* C */
void page_debug_init(void);

/* Verifies pages that were just allocated, and panics; before pages are freed, fills them; and
 * those whose contents change without a free. */
void page_debug_allocated(struct page *head, u64 nr_pages);
void page_debug_freed(struct page *head, u64 nr_pages);
void page_debug_forget(u64 pfn, u64 nr_pages);

/* --- debug/page_quarantine.c --- */

/* False: it does not wait. Otherwise the block, ALLOCATED so far, is CACHED, and its zone's later.
 */
bool page_quarantine_add(struct page *page, unsigned order);
void page_quarantine_drain(void);
u64 page_quarantine_pages(void);
const char *page_quarantine_check(void);

/* --- debug/page_gap.c: pages that are nobody's between blocks --- */

/* Implies page_debug_on. */
extern bool page_gaps_on; /* C */

/* A block (nr_pages 0) or a run with a gap behind it; NULL: there is no block large enough. And,
 * before a block is freed: verifies its gap, if it has one, and frees that. */
struct page *page_gap_alloc(struct zone *z, unsigned order, u32 nr_pages);
void page_gap_freed(struct page *head, u64 nr_pages);

/* --- page_alloc.c --- */

/* NULL, or why this is not a block of this order that a user may free. For any pointer. */
const char *page_free_fault(const struct page *page, unsigned order);
u64 page_alloc_failures(void);

/* Counts and reports a failure that the caller is about to return. */
void page_alloc_failed(gfp_t gfp, unsigned order);

/* A contiguous run of nr_pages with one head (ORDER_RUN), and its end. */
struct page *page_run_alloc(gfp_t gfp, u32 nr_pages);
struct page *page_run_alloc_node(unsigned node, gfp_t gfp, u32 nr_pages);
void page_run_free(struct page *head, u32 nr_pages);

/* --- contig.c --- */

struct zone *zone_of_frame(u64 pfn); /* of any number; NULL: nobody's */
/* The one zone that all of [pfn, pfn + nr_pages) may belong to, by address and node; or NULL. */
struct zone *zone_of_range(u64 pfn, u64 nr_pages);
void empty_all_caches(void); /* the CPUs' pages, empty slabs. In threads */

/* --- retire.c --- */

void retire_init(void);
const char *retire_check(void);

/* Whether a page in use is noted: then what is freed may hold it. */
extern u32 retire_nr_noted;
static inline bool retire_is_wanted(void)
{
	return __atomic_load_n(&retire_nr_noted, __ATOMIC_RELAXED) != 0;
}

/* [pfn, pfn + nr_pages) was freed, under the zone's lock: takes out what is to leave. */
void retire_collect_locked(struct zone *z, u32 pfn, u64 nr_pages);
/* The caller is about to free the block, which may hold such a page: says so in its head. */
void retire_mark_owned(struct page *head, u32 nr_pages);
/* Frees a block whose head says so. For any struct page with metadata. False: it is none. */
bool retire_free(struct page *page, unsigned order);

/* --- slab.c, slab_cpu.c: see slab_internal.h --- */

void slab_init(void);

/* From here on the fast ways find no object, or as usual: of all caches. In threads. */
void slab_bypass(bool on);

/* From here on caches have numbers for events; and, if `objects`, all allocations and frees take
 * the slow way, which uses the magazines as the fast one does. Or no longer. In threads. */
void slab_divert(bool on, bool objects);
u64 slab_pages(void);        /* in slabs, the metadata caches' included */
u64 slab_live_objects(void); /* with an owner, the manager's own left out */

/* Adds the cache's locks and trips. Takes no lock: what it adds may be a moment old. */
struct mm_traffic;
void cache_add_traffic(struct kmem_cache *c, struct mm_traffic *out);

/* --- debug/inject.c --- */

extern bool inject_on; /* A: something is armed */
bool inject_object(const struct kmem_cache *c, gfp_t gfp, u32 tag);
bool inject_pages(gfp_t gfp, unsigned order);

/* Whether this request, on a slow way, is to fail: mm/inject.h. Any context, any lock. */
static inline bool inject_fails_object(const struct kmem_cache *c, gfp_t gfp, u32 tag)
{
	return unlikely(data_race(inject_on)) && inject_object(c, gfp, tag);
}

static inline bool inject_fails_pages(gfp_t gfp, unsigned order)
{
	return unlikely(data_race(inject_on)) && inject_pages(gfp, order);
}

/* --- debug/bounds.c --- */

void bounds_init(void); /* copies_are_checked from here on */

/* --- debug/guard.c --- */

extern bool guard_on; /* A: there is a pool */
const char *guard_check(void);

/* --- kmalloc.c --- */

void kmalloc_init(void);
u64 kmalloc_large_pages(void);
u64 kmalloc_large_objects(void);
const char *kmalloc_check(void);
void kmalloc_sum_large(void); /* adds the large ones to the sums by site */

/* --- vmem.c: see vmem_internal.h --- */

void vmem_init(void);

/* --- vmalloc.c --- */

void vmalloc_init(void);

/* --- reclaim.c --- */

void reclaim_init(void);
bool reclaim_is_under_way(void); /* in this thread: what it allocates is a shrinker's */

/* --- oom.c --- */

/* An allocation failed, the nr_failures-th: says so, and where it may, who holds what. */
void oom_report(gfp_t gfp, unsigned order, u64 nr_failures);
