/*
 * Per-CPU page caches: the fast way in and out of the page allocator.
 *
 * Each context of each CPU (mm/context.h) keeps, for each zone of its node and each small order, a
 * LIFO stack of free blocks. The common allocation pops, the common free pushes: no lock, no atomic
 * instruction, interrupts on; and the page just freed, still warm in the CPU's caches, is the next
 * one handed out. An empty stack is refilled, and a full one relieved of its coldest blocks, in one
 * batch under one acquisition of the zone's lock.
 *
 * A block's type goes FREE → CACHED → ALLOCATED and back, so a double free is caught wherever the
 * block is. The same comparison of its head finds an empty stack: below its first block a stack has
 * a sentinel, a struct page that is nobody's. A full one is found by its limit; zones that are not
 * cached here (another node's) have stacks that are always full.
 *
 * A stack belongs to its context. Besides it, only its CPU's threads may touch it, with interrupts
 * off; an interrupt handler may not touch its threads', because it may have stopped them in the
 * middle of a push.
 *
 * Invariants:
 *   C1  a stack's top lies between its sentinel and its limit, CPU_PAGES_MAX >> order slots above
 *   C2  every entry is a PAGE_CACHED head of the stack's order and zone
 *   C3  no block is in a stack twice (it would be counted twice against the metadata)
 *   C4  the slot below the first entry holds the sentinel
 *
 * While events are recorded (mm/event.h) a context is diverted: the fast ways find its stacks empty
 * and full, and the slow ways use the real ones, which are `held` then, and record.
 *
 * Cost: pop and push, 8 to 9 instructions. A trip to the zone moves 16 pages at most, and its work
 * is bounded (BUDDY_BATCH_WORK): no single operation takes long.
 */
#include "event_record.h"
#include "internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/report.h>

static struct cpu_pages *cpu_table __ro_after_init; /* mm_nr_contexts() entries */
static unsigned nr_cpus;                            /* that it was made for */
static struct page_stack always_full[CPU_PAGE_ORDERS];
static bool bypassed;       /* no context caches anything */
static bool diverted;       /* A: the fast ways find nothing, the slow ones record */
static struct zone no_zone; /* which has never a page to spare */

/* Its head is no cached block's: what a pop finds in an empty stack. */
static const struct page sentinel = {.type = PAGE_NONE};

struct cpu_pages *cpu_pages_of(unsigned context)
{
	assert(context < mm_nr_contexts());
	return &cpu_table[context];
}

static __always_inline unsigned capacity(unsigned order)
{
	return CPU_PAGES_MAX >> order;
}

static __always_inline unsigned batch(unsigned order)
{
	return CPU_PAGES_BATCH >> order;
}

static unsigned entries(const struct page_stack *s, unsigned order)
{
	return (unsigned)(s->top - page_stack_base(s, order));
}

/* Those of a context's zone of that rank, and of a zone; always_full: it is not cached here. */
static __always_inline struct page_stack *stacks_of_rank(struct cpu_pages *cpu, unsigned rank)
{
	return unlikely(cpu->diverted) ? cpu->held[rank] : cpu->stack[rank];
}

static __noinline struct page_stack *held_of_zone(struct cpu_pages *cpu, unsigned id)
{
	for (unsigned rank = 0; rank < cpu->nr_zones; rank++)
		if (cpu->zone[rank]->id == id)
			return cpu->held[rank];
	return always_full;
}

static __always_inline struct page_stack *stacks_of_zone(struct cpu_pages *cpu, unsigned id)
{
	return unlikely(cpu->diverted) ? held_of_zone(cpu, id) : cpu->of_zone[id];
}

/* Gives the n coldest blocks back, or as many of them as one trip does. Interrupts off. */
/* lab 6.3 */
static __always_inline void spill(struct page_stack *s, struct zone *z, unsigned order, unsigned n,
                                  bool recorded)
{
	struct page **coldest = page_stack_base(s, order) + 1;
	unsigned nr = zone_free_batch(z, order, n, coldest);

	s->top -= nr;
	memmove(coldest, coldest + nr, (u64)(s->top + 1 - coldest) * sizeof(*coldest));
	if (recorded)
		event_trip(EVENT_PAGES_DRAIN, EVENT_NO_CACHE, order, z->node, nr);
}

/* How many blocks a refill takes: what all others may take too, since what stays on the stack is
 * anybody's; or else the one that this request alone may have. */
/* lab 6.3 */
static __always_inline unsigned refill_size(const struct zone *z, gfp_t gfp, unsigned order)
{
	const gfp_t ordinary = gfp & ~(__GFP_HIGH | __GFP_MEMALLOC);
	u64 spare;

	if (likely(zone_can_spare(z, ordinary, gfp_zone_kind(gfp), batch(order) << order)))
		return batch(order);
	spare = zone_spare_pages(z, ordinary) >> order;
	if (spare == 0)
		spare = zone_spare_pages(z, gfp) >> order != 0;
	return (unsigned)spare;
}

/* After a pop that failed. Interrupts off. Anything but the sentinel on top is why it did. */
/* lab 6.3 */
static __always_inline struct page *refill_and_pop(struct page_stack *s, struct zone *z, gfp_t gfp,
                                                   unsigned order, bool recorded)
{
	unsigned n;

	if (unlikely(*s->top != &sentinel))
		panic_about(report_story, page_address(*s->top),
		            "page_alloc: cached block overwritten pfn=%#x order=%u",
		            page_to_pfn(*s->top), order);
	if (!zone_may_have(z, order))
		return NULL;
	n = refill_size(z, gfp, order);
	if (n == 0)
		return NULL;
	mm_this(pages)->nr_refills++;
	n = zone_alloc_batch(z, order, n, s->top + 1);
	s->top += n;
	if (recorded)
		event_trip(EVENT_PAGES_REFILL, EVENT_NO_CACHE, order, z->node, n);
	return page_stack_pop(s, order);
}

/* lab 6.3 */
struct page *cpu_pages_alloc(struct zone *z, gfp_t gfp, unsigned order)
{
	u64 flags = irq_save();
	struct page_stack *s = stacks_of_zone(mm_this(pages), z->id);
	struct page *page;

	if (s == always_full) {
		irq_restore(flags);
		return zone_spare_pages(z, gfp) >> order ? zone_alloc(z, order) : NULL;
	}
	page = page_stack_pop(&s[order], order);
	if (page == NULL)
		page = refill_and_pop(&s[order], z, gfp, order, mm_this(pages)->diverted);
	irq_restore(flags);
	return page;
}

/* Interrupts off. */
static __always_inline struct page *alloc_near(struct cpu_pages *cpu, gfp_t gfp, unsigned order,
                                               bool recorded)
{
	struct page *page = NULL;

	for (unsigned rank = 0; rank < cpu->nr_zones && page == NULL; rank++) {
		struct page_stack *s = &(recorded ? cpu->held : cpu->stack)[rank][order];

		page = page_stack_pop(s, order);
		if (page == NULL)
			page = refill_and_pop(s, cpu->zone[rank], gfp, order, recorded);
	}
	return page;
}

static __noinline struct page *alloc_near_recorded(struct cpu_pages *cpu, gfp_t gfp, unsigned order,
                                                   u64 caller)
{
	struct page *page = alloc_near(cpu, gfp, order, true);

	if (page != NULL)
		event_block(EVENT_PAGES_ALLOC, page_to_pfn(page), order, PAGE_SIZE << order,
		            page->zone, caller);
	return page;
}

struct page *cpu_pages_alloc_near(gfp_t gfp, unsigned order, u64 caller)
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = mm_this(pages);
	struct page *page = unlikely(cpu->diverted) ? alloc_near_recorded(cpu, gfp, order, caller)
	                                            : alloc_near(cpu, gfp, order, false);

	irq_restore(flags);
	return page;
}

/* Interrupts off. */
/* lab 6.3 */
static __always_inline void free_to(struct cpu_pages *cpu, struct page_stack *s, struct page *page,
                                    unsigned order, bool recorded)
{
	struct zone *z = page_zone(page);

	if (s == always_full) {
		bool freed;

		if (unlikely(page_debug_on)) {
			page_debug_freed(page, 1ull << order);
			if (page_quarantine_add(page, order))
				return;
		}
		freed = zone_free(z, page, order);
		assert(freed);
		return;
	}
	s += order;
	if (!page_stack_push(s, page, page->head)) {
		cpu->nr_drains++;
		spill(s, z, order, batch(order), recorded);
		page_stack_push(s, page, page->head);
	}
}

static __noinline void free_recorded(struct cpu_pages *cpu, struct page *page, unsigned order)
{
	event_block(EVENT_PAGES_FREE, page_to_pfn(page), order, PAGE_SIZE << order, page->zone, 0);
	free_to(cpu, held_of_zone(cpu, page->zone), page, order, true);
}

void cpu_pages_free(struct page *page, unsigned order)
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = mm_this(pages);

	if (unlikely(cpu->diverted))
		free_recorded(cpu, page, order);
	else
		free_to(cpu, cpu->of_zone[page->zone], page, order, false);
	irq_restore(flags);
}

/* Bounded by what a stack holds, like the time with interrupts off. */
size_t cpu_pages_pop_many(size_t n, struct page *pages[])
{
	u64 flags = irq_save();
	struct page_stack *s = &mm_this(pages)->stack[0][0];
	size_t nr = 0;

	for (struct page *page; nr < n && (page = page_stack_pop(s, 0)) != NULL; nr++)
		pages[nr] = page;
	irq_restore(flags);
	return nr;
}

/* Interrupts off. */
/* lab 6.3 */
static void drain(struct cpu_pages *cpu)
{
	for (unsigned id = 0; id < MAX_ZONES; id++) {
		struct page_stack *s = stacks_of_zone(cpu, id);

		for (unsigned order = 0; s != always_full && order < CPU_PAGE_ORDERS; order++)
			while (entries(&s[order], order) != 0)
				spill(&s[order], &zone_table[id], order, entries(&s[order], order),
				      cpu->diverted);
	}
}

/* lab 6.3 */
void drain_cpu_pages(void)
{
	u64 flags = irq_save(), id = mm_this(id);

	drain(cpu_pages_of((unsigned)id));
	if (id % NR_CONTEXT_KINDS == CONTEXT_THREADS)
		drain(cpu_pages_of((unsigned)id - CONTEXT_THREADS + CONTEXT_INTERRUPTS));
	irq_restore(flags);
	if (unlikely(page_debug_on))
		page_quarantine_drain();
}

/* Empty stacks, for the context's zone of that rank. */
static void init_stacks(struct cpu_pages *cpu, unsigned rank)
{
	struct page **slot = cpu->slot[rank];

	for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
		*slot = (struct page *)&sentinel;
		cpu->stack[rank][order] = (struct page_stack){slot, slot + capacity(order)};
		slot += capacity(order) + 1;
	}
}

static void init_context(struct cpu_pages *cpu, unsigned node)
{
	cpu->node = node;
	cpu->diverted = false;
	cpu->nr_zones = 0;
	cpu->zone[0] = &zone_table[0];
	cpu->nr_refills = cpu->nr_drains = 0;
	for (unsigned id = 0; id < MAX_ZONES; id++)
		cpu->of_zone[id] = always_full;
	for (unsigned rank = 0; rank < NR_ZONE_KINDS; rank++)
		init_stacks(cpu, rank);
}

void cpu_pages_init(struct bootmem *boot)
{
	u64 length = sizeof(struct cpu_pages) * mm_nr_contexts();

	cpu_table = phys_to_virt(bootmem_alloc(boot, length, PAGE_SIZE, MEM_BOOTMEM));
	nr_cpus = mm_nr_cpus;
	bypassed = diverted = false;
	for (unsigned id = 0; id < mm_nr_contexts(); id++) {
		init_context(&cpu_table[id], node_of_cpu(id / NR_CONTEXT_KINDS));
		mm_context_of(id)->pages = &cpu_table[id];
	}
}

/* Hides the stacks from the fast ways, or shows them again. Interrupts off; not while a fast way of
 * the context stands still in its middle. */
static void divert(struct cpu_pages *cpu, bool on)
{
	if (cpu->diverted == on)
		return;
	cpu->diverted = on;
	for (unsigned rank = 0; rank < NR_ZONE_KINDS; rank++)
		for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
			struct page_stack *s = &cpu->stack[rank][order];
			struct page **base =
			    page_stack_base(on ? s : &cpu->held[rank][order], order);

			if (on) {
				cpu->held[rank][order] = *s;
				*s = (struct page_stack){base, base + capacity(order)};
			} else {
				*s = cpu->held[rank][order];
			}
		}
	for (unsigned rank = 0; rank < cpu->nr_zones; rank++)
		cpu->of_zone[cpu->zone[rank]->id] = on ? always_full : cpu->stack[rank];
}

/* What is cached here. The context's stacks are empty, or it caches nothing so far. Under debugging
 * of pages it is nothing: every request goes to page_alloc.c's slow ways. */
static void choose_zones(struct cpu_pages *cpu)
{
	divert(cpu, false);
	if (bypassed || page_debug_on) {
		cpu->zone[0] = &no_zone;
		divert(cpu, diverted);
		return;
	}
	for (unsigned kind = NR_ZONE_KINDS; kind-- > 0;) {
		struct zone *z = &zone_table[ZONE_ID(cpu->node, kind)];

		if (z->buddy.nr_managed_pages == 0)
			continue;
		cpu->of_zone[z->id] = cpu->stack[cpu->nr_zones];
		cpu->zone[cpu->nr_zones++] = z;
	}
	divert(cpu, diverted);
}

void cpu_pages_choose_zones(void)
{
	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		choose_zones(&cpu_table[id]);
}

static unsigned nr_zones_of(unsigned node)
{
	unsigned nr = 0;

	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++)
		nr += zone_table[ZONE_ID(node, kind)].buddy.nr_managed_pages != 0;
	return nr;
}

/* Both contexts of this CPU. May run twice. */
static void choose_again_here(void)
{
	u64 flags = irq_save();
	unsigned first = (unsigned)align_down(mm_this(id), NR_CONTEXT_KINDS);

	for (unsigned id = first; id < first + NR_CONTEXT_KINDS; id++) {
		struct cpu_pages *cpu = cpu_pages_of(id);

		if (cpu->nr_zones == nr_zones_of(cpu->node))
			continue;
		drain(cpu);
		init_context(cpu, cpu->node);
		choose_zones(cpu);
	}
	irq_restore(flags);
}

void cpu_pages_choose_zones_again(void)
{
	(void)platform_on_other_cpus(choose_again_here);
	choose_again_here();
}

/* Before mm_init() there is nothing to change: cpu_pages_init() asks. */
void cpu_pages_set_node(unsigned cpu, unsigned node)
{
	u64 flags = irq_save();

	for (unsigned kind = 0; cpu < nr_cpus && kind < NR_CONTEXT_KINDS; kind++) {
		struct cpu_pages *c = cpu_pages_of(cpu * NR_CONTEXT_KINDS + kind);

		drain(c);
		init_context(c, node);
		choose_zones(c);
	}
	irq_restore(flags);
}

static void rechoose_zones(unsigned context)
{
	struct cpu_pages *cpu = cpu_pages_of(context);

	drain(cpu);
	for (unsigned id = 0; id < MAX_ZONES; id++)
		cpu->of_zone[id] = always_full;
	cpu->nr_zones = 0;
	choose_zones(cpu);
}

/* Both contexts of this CPU. Not in a handler. */
static void follow_bypass(void)
{
	u64 flags = irq_save();
	unsigned threads = (unsigned)mm_this(id);

	assert(threads % NR_CONTEXT_KINDS == CONTEXT_THREADS);
	rechoose_zones(threads);
	rechoose_zones(threads - CONTEXT_THREADS + CONTEXT_INTERRUPTS);
	irq_restore(flags);
}

bool cpu_pages_bypass(bool on)
{
	bool former = bypassed;

	__atomic_store_n(&bypassed, on, __ATOMIC_RELAXED);
	if (!platform_on_other_cpus(follow_bypass)) {
		__atomic_store_n(&bypassed, former, __ATOMIC_RELAXED);
		return false;
	}
	follow_bypass();
	return true;
}

/* Both contexts of this CPU. */
static void follow_divert(void)
{
	u64 flags = irq_save();
	unsigned first = (unsigned)align_down(mm_this(id), NR_CONTEXT_KINDS);

	for (unsigned id = first; id < first + NR_CONTEXT_KINDS; id++)
		divert(cpu_pages_of(id), diverted);
	irq_restore(flags);
}

bool cpu_pages_divert(bool on)
{
	bool former = diverted;

	__atomic_store_n(&diverted, on, __ATOMIC_RELAXED);
	if (!platform_on_other_cpus(follow_divert)) {
		__atomic_store_n(&diverted, former, __ATOMIC_RELAXED);
		return false;
	}
	follow_divert();
	return true;
}

u64 cpu_pages_count(void)
{
	u64 pages = page_quarantine_pages();

	for (unsigned id = 0; id < mm_nr_contexts(); id++)
		for (unsigned rank = 0; rank < NR_ZONE_KINDS; rank++)
			for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++)
				pages += (u64)entries(&stacks_of_rank(&cpu_table[id], rank)[order],
				                      order)
				         << order;
	return pages;
}

/* The entry at this slot, and that none above it is the same block (C3). */
static const char *check_entry(const struct page_stack *s, struct page **at, u32 head)
{
	if (page_state(*at) != PAGEBLOCK_FULL || (*at)->head != head)
		return "C2: a cached entry is not a cached block of its order and zone";
	for (struct page **above = at + 1; above <= s->top; above++)
		if (*above == *at)
			return "C3: a block is cached twice";
	return NULL;
}

static const char *check_stack(const struct page_stack *s, unsigned zone_id, unsigned order)
{
	struct page **base = page_stack_base(s, order);
	u32 head = page_head_word(PAGE_CACHED, order, zone_id);

	if (s->top < base || s->top > s->limit)
		return "C1: a page stack's top is outside it";
	if (*base != &sentinel)
		return "C4: a page stack has lost its sentinel";
	for (struct page **at = base + 1; at <= s->top; at++) {
		const char *fault = check_entry(s, at, head);

		if (fault)
			return fault;
	}
	return NULL;
}

static const char *check_context(struct cpu_pages *cpu)
{
	const char *fault = NULL;

	for (unsigned id = 0; id < MAX_ZONES; id++) {
		const struct page_stack *s = stacks_of_zone(cpu, id);

		for (unsigned order = 0; order < CPU_PAGE_ORDERS && fault == NULL; order++)
			if (s != always_full)
				fault = check_stack(&s[order], id, order);
	}
	return fault;
}

const char *cpu_pages_check(void)
{
	const char *fault = NULL;

	for (unsigned id = 0; id < mm_nr_contexts() && fault == NULL; id++)
		fault = check_context(&cpu_table[id]);
	return fault != NULL ? fault : page_quarantine_check();
}
