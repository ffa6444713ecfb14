/*
 * Kernel stacks: slot i of the region is a guard page and then the stack. A freed stack keeps its
 * memory and is the next one given out, its link in its first word; under memory pressure the free
 * ones are unmapped and their pages given back.
 *
 *   K1  only slots below nr_slots were ever mapped; their guard pages never are
 *   K2  a slot below nr_slots is in use, on the list of free stacks, or its number is on the list
 * of empty slots
 */
#include <kernel/layout.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/smp.h>
#include <kernel/stack.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/spinlock.h>
#include <mm/page_alloc.h>
#include <mm/reclaim.h>

#define SLOT_SIZE (CPU_STACK_SIZE + STACK_GUARD_SIZE)
#define MAX_SLOTS ((PAGE_MAP_BASE - STACKS_BASE) / SLOT_SIZE)
#define STACK_ORDER 2
#define EMPTY_MAX 64

static_assert(CPU_STACK_SIZE == PAGE_SIZE << STACK_ORDER, "a stack is one block of pages");

static struct spinlock lock = SPINLOCK_INIT("stacks");
static u64 nr_slots;   /* L */
static u64 first_free; /* L: base of a stack whose first word leads to the next; 0: none */
static u32
    empty_slot[EMPTY_MAX + MAX_CPUS]; /* L: unmapped again; each CPU may be about to add one */
static unsigned nr_empty;             /* L */

static u64 slot_base(u64 slot)
{
	return STACKS_BASE + slot * SLOT_SIZE + STACK_GUARD_SIZE;
}

static u64 map_slot(struct page *pages)
{
	u64 slot = nr_empty != 0 ? empty_slot[nr_empty - 1] : nr_slots;

	spin_assert_held(&lock);
	if (slot == MAX_SLOTS || pagetable_map(slot_base(slot), page_to_phys(pages), CPU_STACK_SIZE,
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

	*(u64 *)base = first_free;
	first_free = base;
	spin_unlock_irq(&lock, flags);
}

/* Unmaps one free stack, and says which slot it was. Its pages, or NULL when there is none. */
static struct page *take_apart(u64 *slot)
{
	u64 flags = spin_lock_irq(&lock), base = nr_empty < EMPTY_MAX ? take_free() : 0, pa;
	struct page *pages = NULL;

	if (base != 0) {
		if (!paging_translate(base, &pa, NULL))
			panic("stack: a free stack is not mapped base=%#lx", base);
		pagetable_unmap(base, CPU_STACK_SIZE);
		pages = pfn_to_page((u32)(pa >> PAGE_SHIFT));
		*slot = (base - STACKS_BASE) / SLOT_SIZE;
	}
	spin_unlock_irq(&lock, flags);
	return pages;
}

/* The slot may be mapped to other pages from here on: no CPU remembers the old ones. */
static void give_slot_back(u64 slot)
{
	u64 flags;

	tlb_shootdown(slot_base(slot), CPU_STACK_SIZE);
	flags = spin_lock_irq(&lock);
	assert(nr_empty < EMPTY_MAX + MAX_CPUS);
	empty_slot[nr_empty++] = (u32)slot;
	spin_unlock_irq(&lock, flags);
}

/* Other CPUs are asked to forget translations, so there is nothing to be had with interrupts off.
 */
static u64 give_spares(struct shrinker *self, u64 nr)
{
	u64 given = 0, slot = 0;

	(void)self;
	for (; given < nr && irq_is_enabled(); given++) {
		struct page *pages = take_apart(&slot);

		if (pages == NULL)
			break;
		give_slot_back(slot);
		free_pages(pages, STACK_ORDER);
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

bool stack_contains(u64 va, u64 length)
{
	u64 offset;

	return slot_of(va, &offset) && offset >= STACK_GUARD_SIZE && length <= SLOT_SIZE - offset;
}

bool stack_is_guard(u64 va)
{
	u64 offset;

	return slot_of(va, &offset) && offset < STACK_GUARD_SIZE;
}
