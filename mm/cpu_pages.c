/*
 * Per-CPU page caches: the fast way in and out of the page allocator.
 *
 * Each CPU keeps, for each zone of its node and each small order, a LIFO stack of free blocks. The
 * common allocation pops, the common free pushes: no lock, no atomic instruction, and the page just
 * freed, still warm in the CPU's caches, is the next one handed out. An empty stack is refilled,
 * and a full one half emptied, in one batch under one acquisition of the zone's lock.
 *
 * A block's type goes FREE → CACHED → ALLOCATED and back, so a double free is caught wherever the
 * block is. Interrupts are off for the few instructions that touch a stack, because a handler may
 * allocate too.
 *
 * Invariants:
 *   C1  a stack holds at most CPU_PAGES_MAX >> order blocks
 *   C2  every entry is a PAGE_CACHED head of the stack's order and zone, in the CPU's node
 *   C3  no block is cached twice (each would be counted twice against the metadata)
 */
#include "internal.h"

#include <lib/assert.h>
#include <lib/string.h>

static struct cpu_pages *cpu_table; /* mm_nr_cpus entries */

struct cpu_pages *cpu_pages_of(unsigned cpu)
{
	assert(cpu < mm_nr_cpus);
	return &cpu_table[cpu];
}

/* Interrupts off. */
static __always_inline struct cpu_pages *this_cpu(void)
{
	debug_assert(cpu_id() < mm_nr_cpus);
	return &cpu_table[cpu_id()];
}

static __always_inline unsigned capacity(unsigned order)
{
	return CPU_PAGES_MAX >> order;
}

static unsigned batch(unsigned order)
{
	return capacity(order) / 4;
}

static __always_inline struct page *pop(struct page_stack *s, unsigned order)
{
	struct page *page = pfn_to_page(s->pfn[--s->nr]);

	if (unlikely(page->type != PAGE_CACHED || page->order != order))
		panic("page_alloc: cached block overwritten pfn=%#x order=%u", page_to_pfn(page),
		      order);
	page->type = PAGE_ALLOCATED;
	return page;
}

static __always_inline void push(struct page_stack *s, struct page *page)
{
	page->type = PAGE_CACHED;
	s->pfn[s->nr++] = page_to_pfn(page);
}

size_t cpu_pages_pop(enum zone_kind kind, unsigned order, size_t n, struct page *pages[])
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = this_cpu();
	struct page_stack *s = &cpu->stack[cpu->best_kind[kind]][order];
	size_t nr = 0;

	for (; nr < n && s->nr != 0; nr++)
		pages[nr] = pop(s, order);
	irq_restore(flags);
	return nr;
}

bool cpu_pages_push(struct page *page, unsigned order)
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = this_cpu();
	struct page_stack *s = &cpu->stack[page->zone & 3][order];
	bool pushed = page->zone >> 2 == cpu->node && s->nr < capacity(order);

	if (likely(pushed))
		push(s, page);
	irq_restore(flags);
	return pushed;
}

bool cpu_pages_caches(const struct zone *z, unsigned order)
{
	return order < CPU_PAGE_ORDERS && cpu_pages_of(cpu_id())->node == z->node;
}

static bool refill(struct page_stack *s, struct zone *z, unsigned order)
{
	unsigned nr = zone_alloc_batch(z, order, batch(order), s->pfn);

	/* The lowest address on top: neighbours are handed out in ascending order. */
	for (unsigned i = 0; i < nr / 2; i++) {
		u32 swap = s->pfn[i];

		s->pfn[i] = s->pfn[nr - 1 - i];
		s->pfn[nr - 1 - i] = swap;
	}
	for (unsigned i = 0; i < nr; i++)
		pfn_to_page(s->pfn[i])->type = PAGE_CACHED;
	s->nr = nr;
	return nr != 0;
}

/* Gives back the n coldest blocks. */
static void spill(struct page_stack *s, struct zone *z, unsigned order, unsigned n)
{
	zone_free_batch(z, order, n, s->pfn);
	s->nr -= n;
	memmove(s->pfn, s->pfn + n, s->nr * sizeof(s->pfn[0]));
}

struct page *cpu_pages_alloc(struct zone *z, unsigned order)
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = this_cpu();
	struct page_stack *s = &cpu->stack[z->kind][order];
	struct page *page = NULL;

	if (s->nr == 0) {
		cpu->nr_refills++;
		refill(s, z, order);
	}
	if (s->nr != 0)
		page = pop(s, order);
	irq_restore(flags);
	return page;
}

void cpu_pages_free(struct zone *z, struct page *page, unsigned order)
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = this_cpu();
	struct page_stack *s = &cpu->stack[z->kind][order];

	if (s->nr == capacity(order)) {
		cpu->nr_drains++;
		spill(s, z, order, batch(order));
	}
	push(s, page);
	irq_restore(flags);
}

void drain_cpu_pages(void)
{
	u64 flags = irq_save();
	struct cpu_pages *cpu = cpu_pages_of(cpu_id());

	for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++)
		for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
			struct page_stack *s = &cpu->stack[kind][order];

			if (s->nr != 0)
				spill(s, &zone_table[ZONE_ID(cpu->node, kind)], order, s->nr);
		}
	irq_restore(flags);
}

void cpu_pages_init(struct bootmem *boot)
{
	u64 length = sizeof(struct cpu_pages) * mm_nr_cpus;

	cpu_table = phys_to_virt(bootmem_alloc(boot, length, PAGE_SIZE, MEM_BOOTMEM));
	memset(cpu_table, 0, length);
}

/* The highest kind up to the wanted one that has memory in the node; the wanted one when none has.
 */
static u8 best_kind(unsigned node, unsigned kind)
{
	for (unsigned k = kind + 1; k-- > 0;)
		if (zone_table[ZONE_ID(node, k)].buddy.nr_managed_pages != 0)
			return (u8)k;
	return (u8)kind;
}

void cpu_pages_choose_zones(void)
{
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
		for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++)
			cpu_table[cpu].best_kind[kind] = best_kind(cpu_table[cpu].node, kind);
}

u64 cpu_pages_count(void)
{
	u64 pages = 0;

	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
		for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++)
			for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++)
				pages += (u64)cpu_table[cpu].stack[kind][order].nr << order;
	return pages;
}

/* Entry i, and that none above it is the same block (C3). */
static const char *check_entry(const struct page_stack *s, unsigned i, u8 zone_id, unsigned order)
{
	const struct page *page = page_lookup(s->pfn[i]);

	if (page == NULL || page->type != PAGE_CACHED || page->order != order ||
	    page->zone != zone_id)
		return "C2: a cached entry is not a cached block of its order and zone";
	for (unsigned j = i + 1; j < s->nr; j++)
		if (s->pfn[j] == s->pfn[i])
			return "C3: a block is cached twice";
	return NULL;
}

static const char *check_stack(const struct page_stack *s, u8 zone_id, unsigned order)
{
	if (s->nr > capacity(order))
		return "C1: a page stack is fuller than it can be";
	for (unsigned i = 0; i < s->nr; i++) {
		const char *fault = check_entry(s, i, zone_id, order);

		if (fault)
			return fault;
	}
	return NULL;
}

const char *cpu_pages_check(void)
{
	for (unsigned cpu = 0; cpu < mm_nr_cpus; cpu++)
		for (unsigned kind = 0; kind < NR_ZONE_KINDS; kind++)
			for (unsigned order = 0; order < CPU_PAGE_ORDERS; order++) {
				const struct cpu_pages *c = &cpu_table[cpu];
				const char *fault = check_stack(&c->stack[kind][order],
				                                ZONE_ID(c->node, kind), order);

				if (fault)
					return fault;
			}
	return NULL;
}
