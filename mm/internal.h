/*
 * Private to mm/ (and its tests): what the layers share with each other, left to right.
 */
#pragma once

#include <mm/bootmem.h>
#include <mm/context.h>
#include <mm/slab.h>
#include <mm/zone.h>

/* How many CPUs may run: set before mm_init(), 1 if never. */
extern unsigned mm_nr_cpus;

/* --- context.c --- */

void mm_context_init(struct bootmem *boot);
unsigned mm_nr_contexts(void);
struct mm_context *mm_context_of(unsigned id);

/* --- cpu_pages.c --- */

#define CPU_PAGE_ORDERS 4 /* orders 0 … 3 are cached */
#define CPU_PAGES_MAX \
	64 /* pages a stack holds at most; a stack of order o holds this >> o blocks */

/* I: its own CPU, interrupts off. */
struct page_stack {
	u32 nr;                 /* I */
	u32 pfn[CPU_PAGES_MAX]; /* I: PAGE_CACHED heads of one zone and order; the last is the
	                           hottest */
};

struct cpu_pages {
	struct page_stack stack[NR_ZONE_KINDS][CPU_PAGE_ORDERS];
	u8 best_kind[NR_ZONE_KINDS]; /* C: where a request for this kind is served first */
	unsigned node;               /* C: the CPU's own; other nodes' pages are never cached */
	u64 nr_refills, nr_drains;   /* I: trips to the zones */
} __aligned(64);

void cpu_pages_init(struct bootmem *boot);
struct cpu_pages *cpu_pages_of(unsigned cpu);

/* Whether this zone's blocks of this order go through this CPU's cache. */
bool cpu_pages_caches(const struct zone *z, unsigned order);

/* Tells the caches which zones have memory. Until then, and for zones that come later, they are
 * only slower. */
void cpu_pages_choose_zones(void);

/* The fast ways: up to n blocks that this CPU holds for requests of that kind, and one block back
 * where there is room. Nothing is asked of the zones. order < CPU_PAGE_ORDERS; pushed blocks are
 * PAGE_ALLOCATED ones of that order. */
size_t cpu_pages_pop(enum zone_kind kind, unsigned order, size_t n, struct page *pages[]);
bool cpu_pages_push(struct page *page, unsigned order);

/* z and order must be cached ones. alloc: NULL when the zone has none. free: the block's type is
 * PAGE_ALLOCATED. */
struct page *cpu_pages_alloc(struct zone *z, unsigned order);
void cpu_pages_free(struct zone *z, struct page *page, unsigned order);

/* Pages (not blocks) in all CPUs' caches. */
u64 cpu_pages_count(void);
const char *cpu_pages_check(void);

/* --- page_alloc.c --- */

/* NULL, or why this is not a block of this order that a user may free. For any pointer. */
const char *page_free_fault(const struct page *page, unsigned order);
u64 page_alloc_failures(void);

/* A contiguous run of nr_pages with one head (ORDER_RUN), and its end. */
struct page *page_run_alloc(gfp_t gfp, u32 nr_pages);
void page_run_free(struct page *head, u32 nr_pages);

/* --- slab.c, slab_cpu.c: see slab_internal.h --- */

void slab_init(void);
u64 slab_pages(void);        /* in slabs, the metadata caches' included */
u64 slab_live_objects(void); /* with an owner, the manager's own left out */

/* --- kmalloc.c --- */

void kmalloc_init(void);
u64 kmalloc_large_pages(void);
u64 kmalloc_large_objects(void);
const char *kmalloc_check(void);
void kmalloc_sum_large(void); /* adds the large ones to the sums by site */

/* --- reclaim.c --- */

void reclaim_init(void);
