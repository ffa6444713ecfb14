/*
 * Kernel stacks: slot i of the region is a guard page and then the stack. A freed stack keeps its
 * memory and is the next one given out, its link in its first word; under memory pressure the free
 * ones are unmapped and their pages given back.
 *
 *   K1  only slots below nr_slots were ever mapped; their guard pages never are
 *   K2  a slot below nr_slots is in use, on the list of free stacks, its number is on the list of
 * empty slots, or it is on the way there
 */
#include <kernel/kasan.h>
#include <kernel/layout.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <kernel/smp.h>
#include <kernel/stack.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/spinlock.h>
#include <mm/page_alloc.h>
#include <mm/platform.h>
#include <mm/reclaim.h>

#define SLOT_SIZE (CPU_STACK_SIZE + STACK_GUARD_SIZE)
#define MAX_SLOTS ((SHADOW_BASE - STACKS_BASE) / SLOT_SIZE)
#define STACK_ORDER (CPU_STACK_SIZE == 4 * PAGE_SIZE ? 2 : 3)
#define EMPTY_MAX 1024
#define BATCH 32

static_assert(CPU_STACK_SIZE == PAGE_SIZE << STACK_ORDER, "a stack is one block of pages");

static struct spinlock lock = SPINLOCK_INIT("stacks");
static u64 nr_slots;   /* L */
static u64 first_free; /* L: base of a stack whose first word leads to the next; 0: none */
static u32 empty_slot[EMPTY_MAX]; /* L: unmapped again */
static unsigned nr_empty;         /* L */
static unsigned nr_leaving;       /* L: taken apart, and not on the list of empty slots yet */

static u64 slot_base(u64 slot)
{
	return STACKS_BASE + slot * SLOT_SIZE + STACK_GUARD_SIZE;
}

static u64 map_slot(struct page *pages)
{
	u64 slot = nr_empty != 0 ? empty_slot[nr_empty - 1] : nr_slots;

	spin_assert_held(&lock);
	if (slot == MAX_SLOTS || !kasan_back(slot_base(slot), CPU_STACK_SIZE) ||
	    pagetable_map(slot_base(slot), page_to_phys(pages), CPU_STACK_SIZE,
	                  pagetable_bits(PAGING_WRITE)) != 0)
		return 0;
	if (nr_empty != 0)
		nr_empty--;
	else
		__atomic_store_n(&nr_slots, nr_slots + 1, __ATOMIC_RELEASE);
	return slot_base(slot);
}

static u64 take_free(void)
{
	u64 base = first_free;

	spin_assert_held(&lock);
	if (base != 0)
		first_free = *(u64 *)base;
	return base;
}

u64 stack_alloc(void)
{
	struct page *pages = NULL;
	u64 flags = spin_lock_irq(&lock);
	u64 base = take_free();

	if (base == 0) {
		pages = alloc_pages(GFP_ATOMIC, STACK_ORDER);
		base = pages != NULL ? map_slot(pages) : 0;
	}
	spin_unlock_irq(&lock, flags);
	if (base == 0 && pages != NULL)
		free_pages(pages, STACK_ORDER);
	return base;
}

void stack_free(u64 base)
{
	u64 flags = spin_lock_irq(&lock);

	kasan_allow(base, CPU_STACK_SIZE); /* frames that never returned */
	*(u64 *)base = first_free;
	first_free = base;
	spin_unlock_irq(&lock, flags);
}

/* Free stacks that are unmapped together, so that the other CPUs are asked only once. */
struct batch {
	u64 base[BATCH];
	unsigned nr;
};

/* Free stacks, up to nr: nobody else's now. */
static void take_apart(struct batch *b, u64 nr)
{
	u64 flags = spin_lock_irq(&lock), base;

	b->nr = 0;
	while (b->nr < nr && nr_empty + nr_leaving < EMPTY_MAX && (base = take_free()) != 0) {
		b->base[b->nr++] = base;
		nr_leaving++;
	}
	spin_unlock_irq(&lock, flags);
}

/* Finds their pages, and has every CPU forget them. */
static void unmap(const struct batch *b, struct page *pages[])
{
	u64 first = UINT64_MAX, end = 0, pa;

	for (unsigned i = 0; i < b->nr; i++) {
		if (!paging_translate(b->base[i], &pa, NULL))
			panic("stack: a free stack is not mapped base=%#lx", b->base[i]);
		pages[i] = pfn_to_page((u32)(pa >> PAGE_SHIFT));
		pagetable_unmap(b->base[i], CPU_STACK_SIZE);
		first = min_u64(first, b->base[i]);
		end = max_u64(end, b->base[i] + CPU_STACK_SIZE);
	}
	tlb_shootdown(first, end - first);
}

/* The slots may be mapped to other pages from here on: no CPU remembers the old ones. */
static void give_slots_back(const struct batch *b)
{
	u64 flags = spin_lock_irq(&lock);

	for (unsigned i = 0; i < b->nr; i++) {
		assert(nr_empty < EMPTY_MAX);
		empty_slot[nr_empty++] = (u32)((b->base[i] - STACKS_BASE) / SLOT_SIZE);
	}
	nr_leaving -= b->nr;
	spin_unlock_irq(&lock, flags);
}

/* Other CPUs are asked to forget translations, so there is nothing to be had with interrupts off.
 */
static u64 give_spares(struct shrinker *self, u64 nr)
{
	struct page *pages[BATCH];
	struct batch b;
	u64 given = 0;

	(void)self;
	for (; given < nr && irq_is_enabled(); given += b.nr) {
		take_apart(&b, min_u64(nr - given, BATCH));
		if (b.nr == 0)
			break;
		unmap(&b, pages);
		give_slots_back(&b);
		for (unsigned i = 0; i < b.nr; i++)
			free_pages(pages[i], STACK_ORDER);
	}
	return given;
}

void stack_init(void)
{
	static struct shrinker shrinker = {.name = "stacks", .scan = give_spares};

	register_shrinker(&shrinker);
}

/* The slot of an address, and how far into it; false outside of those that were ever mapped. */
static bool slot_of(u64 va, u64 *offset)
{
	u64 slots = __atomic_load_n(&nr_slots, __ATOMIC_ACQUIRE);

	*offset = (va - STACKS_BASE) % SLOT_SIZE;
	return va >= STACKS_BASE && (va - STACKS_BASE) / SLOT_SIZE < slots;
}

static bool is_free_stack(u64 base)
{
	u64 at = first_free;

	spin_assert_held(&lock);
	while (at != 0 && at != base)
		at = *(u64 *)at;
	return at == base;
}

void stack_visit(void (*visit)(void *context, u64 base, u64 pa, bool in_use), void *context)
{
	u64 flags = spin_lock_irq(&lock), pa;

	for (u64 slot = 0; slot < nr_slots; slot++)
		if (paging_translate(slot_base(slot), &pa, NULL))
			visit(context, slot_base(slot), pa, !is_free_stack(slot_base(slot)));
	spin_unlock_irq(&lock, flags);
}

u64 stack_find(u64 va)
{
	u64 offset;

	return slot_of(va, &offset) && offset >= STACK_GUARD_SIZE ? va - offset + STACK_GUARD_SIZE
	                                                          : 0;
}

bool stack_contains(u64 va, u64 length)
{
	u64 offset;

	return slot_of(va, &offset) && offset >= STACK_GUARD_SIZE && length <= SLOT_SIZE - offset;
}

const char *platform_bounds_fault(const void *p, size_t n)
{
	u64 va = (u64)p;

	if (va >= STACKS_BASE && va < PAGE_MAP_BASE && !stack_contains(va, n))
		return "over the end of a stack";
	if (va < (u64)text_end && va + n > (u64)text_start)
		return "in the kernel's code";
	return NULL;
}

bool stack_is_guard(u64 va)
{
	u64 offset;

	return slot_of(va, &offset) && offset < STACK_GUARD_SIZE;
}
