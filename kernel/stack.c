/*
 * Kernel stacks: slot i of the region is a guard page and then the stack. A freed stack keeps its
 * memory and is the next one given out, its link in its first word.
 *
 *   K1  slots below nr_slots are mapped, but for their guard pages; those above are not
 */
#include <kernel/layout.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/stack.h>
#include <lib/bits.h>
#include <lib/spinlock.h>
#include <mm/page_alloc.h>

#define SLOT_SIZE (CPU_STACK_SIZE + STACK_GUARD_SIZE)
#define MAX_SLOTS ((PAGE_MAP_BASE - STACKS_BASE) / SLOT_SIZE)
#define STACK_ORDER 2

static_assert(CPU_STACK_SIZE == PAGE_SIZE << STACK_ORDER, "a stack is one block of pages");

static struct spinlock lock = SPINLOCK_INIT("stacks");
static u64 nr_slots;
static u64 first_free; /* base of a stack whose first word leads to the next; 0: none */

static u64 slot_base(u64 slot)
{
	return STACKS_BASE + slot * SLOT_SIZE + STACK_GUARD_SIZE;
}

static u64 map_slot(struct page *pages)
{
	u64 base = slot_base(nr_slots);

	if (nr_slots == MAX_SLOTS || pagetable_map(base, page_to_phys(pages), CPU_STACK_SIZE,
	                                           pagetable_bits(PAGING_WRITE)) != 0)
		return 0;
	__atomic_store_n(&nr_slots, nr_slots + 1, __ATOMIC_RELEASE);
	return base;
}

static u64 take_free(void)
{
	u64 base = first_free;

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
