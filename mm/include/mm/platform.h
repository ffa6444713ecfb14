/*
 * What mm/ needs of the machine beyond lib/platform.h. <platform/mm.h> (the kernel's or the host's,
 * by -I path) supplies as inline functions or macros:
 *
 * void *phys_to_virt(u64 pa): the direct map; every byte of RAM has one fixed address.
 *
 * u64 virt_to_phys(const void *va): only for addresses in the direct map.
 *
 * bool is_direct_map(const void *va): the address lies in the direct map's region, RAM there or
 * not.
 *
 * struct page *page_map: struct page of page frame 0; an array indexed by page frame number.
 *
 * u8 *pageblock_map: a byte for each 2 MiB block of physical addresses, indexed by pfn >> 9: an
 * enum pageblock_state; 0 for every block without RAM.
 *
 * struct page *page_hint(const void *va): for any 64-bit value. The struct page of the page that
 * holds it if the value is an address in the direct map and its block's byte is PAGEBLOCK_FULL,
 * otherwise NULL. O(1), no fault, trusts nothing.
 *
 * struct page *page_at(const void *va): the same for an address in RAM, without asking.
 *
 * u8 page_state(const struct page *page): for any pointer. The pageblock byte of its frame if it is
 * the address of a struct page, otherwise PAGEBLOCK_UNKNOWN. O(1), no fault.
 *
 * mm_this(field), struct mm_context mm_context_read(void), void mm_context_write(struct
 * mm_context): the current context's words (mm/context.h), one of them in one instruction, or all.
 *
 * PLATFORM_MAX_PA: physical addresses at or above it cannot be reached.
 *
 * PLATFORM_VMALLOC_BASE, PLATFORM_VMALLOC_SIZE: the addresses of mm/vmalloc.h; multiples of 1 GiB.
 *
 * void platform_poison_as(const void *p, size_t n, enum poison_kind kind), platform_unpoison(const
 * void *p, size_t n): what lies there may not be touched from now on, or may again. Under an
 * address sanitizer (CONFIG=kasan, and the host's) an access to poisoned bytes ends the run with a
 * report; otherwise nothing. Contents stay. p is 8-byte aligned; n is any number: of an 8-byte word
 * that is poisoned from its middle on, only the start may be touched. Memory that goes back to the
 * page allocator must not be poisoned.
 *
 * void platform_pages_freed(const struct page *head, u64 nr_pages), platform_pages_allocated(…):
 * the same for pages that the page allocator gets, before anybody can take them, and gives out.
 *
 * void platform_area_usable(u64 va, u64 bytes, u64 usable): the same for whole pages of vmalloc's
 * addresses: the first `usable` bytes may be touched, and no others. As far as there is memory to
 * remember it.
 *
 * PLATFORM_POISONS: whether kmalloc's objects are poisoned to the byte that was asked for.
 * PLATFORM_FAST: what else the compiler must know of functions that are __mm_fast (mm/context.h).
 *
 * PLATFORM_RED_ZONE: bytes between two objects of a slab, at least; 0 where nobody would look.
 */
#pragma once

#include <lib/list.h>
#include <lib/platform.h>
#include <lib/spinlock.h>

/*
 * How much of a 2 MiB block's page metadata has ever been written. Page map memory is not cleared
 * at boot (a terabyte's would take seconds), so nothing may be believed that the byte does not
 * vouch for.
 */
enum pageblock_state {
	PAGEBLOCK_UNKNOWN = 0, /* nothing */
	PAGEBLOCK_HEAD =
	    1, /* the first page's only: the block was a part, or the whole, of larger ones */
	PAGEBLOCK_FULL = 2, /* all 512: it was split once, or lies at the edge of a range */
};

struct page;

/* Why bytes may not be touched. */
enum poison_kind {
	POISON_FREED,      /* a free object */
	POISON_RED_ZONE,   /* around objects: never anybody's */
	POISON_LARGE_TAIL, /* behind what was asked for, in the last page */
	POISON_FREED_PAGE,
	POISON_VMALLOC,  /* the tail of a vmalloc area */
	POISON_VFREED,   /* what was one */
	POISON_PAGE_GAP, /* between blocks of pages: debug/page_gap.c */
};

/* What mm/ keeps of each thread. All zeros when it begins; it and its address are the thread's for
 * as long as it lives. */
struct mm_thread {
	bool in_reclaim; /* its own: reclaim.c */
};

#include <platform/mm.h>

static __always_inline void platform_poison(const void *p, size_t n)
{
	platform_poison_as(p, n, POISON_FREED);
}

/* The running thread's, in a handler that of the thread that it interrupted. Any time, any context.
 */
struct mm_thread *platform_thread(void);

/*
 * Makes page_map[first_pfn … end_pfn) and the pageblock bytes of those frames readable and
 * writable. Frames arrive in ascending, disjoint, 2 MiB-aligned runs. The backing store comes from
 * `alloc` (physical, page-aligned, contiguous; 0: none). Page map contents stay undefined;
 * pageblock bytes become 0. 0 or -ENOMEM.
 *
 * Later too, in a thread, for frames that were not backed yet: then -ENOMEM leaves none backed.
 */
typedef u64 (*platform_page_source)(void *context, u64 length, u64 align);
int platform_back_page_map(u64 first_pfn, u64 end_pfn, platform_page_source alloc, void *context);

/* Makes memory that the boot left out part of the direct map, and takes it out again, when nobody
 * uses it. In threads, one at a time. 0, -ENOMEM, or -EEXIST: some of it is mapped; nothing
 * changed. */
int platform_map_ram(u64 base, u64 length);
void platform_unmap_ram(u64 base, u64 length);

/*
 * Runs fn on every other CPU, with interrupts off and not in the middle of a fast path, so that it
 * may touch both contexts of its CPU; returns when all have. fn may run there more than once.
 * False: this CPU can't wait for others now (its interrupts are off).
 */
bool platform_on_other_cpus(void (*fn)(void));

/*
 * Runs fn(arg) with this CPU's interrupts off while every other CPU stands still, in no one's
 * critical section (a fast path apart): so it has the memory manager to itself. False: they cannot
 * be held now (this CPU's interrupts are off). In threads.
 */
bool platform_alone(void (*fn)(void *arg), void *arg);

/* Roots of a search for leaks (mm/leak.h), with the machine standing still: data, the stacks that
 * are in use, the registers. */
struct leak_scan;
void platform_roots(struct leak_scan *scan);

/* Milliseconds since some moment of the boot; for ages in reports, so a coarse clock will do. Any
 * context. */
u64 platform_milliseconds(void);

/*
 * Waiting until somebody gives something back: a list of waiting threads, guarded by the lock that
 * guards what they wait for. platform_may_wait(): this is a thread that may sleep. platform_wait()
 * releases the lock, sleeps until it is woken, and takes it again; platform_wake_one() wakes the
 * longest waiter, if there is one. Both with the lock held.
 */
bool platform_may_wait(void);
void platform_wait(struct list *waiters, struct spinlock *lock, u64 *flags);
void platform_wake_one(struct list *waiters);

/*
 * The page tables in which mm/vmalloc.c maps, and the bits of a leaf for VM_ flags. Changes in its
 * region are its own affair; its lock is held when tables are asked for.
 */
struct page_tables;
struct page_tables *platform_page_tables(void);
u64 platform_page_bits(unsigned flags);

/* All CPUs forget their translations of [start, end), and the tables on the way there. Only where
 * platform_may_flush() says that this CPU can make the others do so now. */
bool platform_may_flush(void);
void platform_flush(u64 start, u64 end);

/*
 * Guard pages (mm/guard.h). begin: from now on the pages of [start, start + length), of the direct
 * map, can be made inaccessible one by one; all are accessible. False: no memory. platform_guard():
 * this page is accessible, or not any more; this CPU forgets its translation at once, others when
 * they happen to, or by platform_flush(). Any context.
 */
bool platform_guard_begin(void *start, u64 length);
void platform_guard(void *page, bool accessible);

/*
 * The caller's return addresses, innermost first, at most max; returns how many. Never faults. And
 * the name of the place that returns there: "function+0x1f", or the number. Any context.
 */
size_t platform_backtrace(u64 *out, size_t max);
char *platform_symbol(char buf[96], u64 va);

/* NULL, or why [p, p + n), outside the direct map, is in no one place: "over the end of a stack".
 * n > 0, the range does not wrap. Any context. */
const char *platform_bounds_fault(const void *p, size_t n);

/* A zone has sunk below its low mark: whoever reclaims in the background should call
 * reclaim_balance() soon. Any context, no lock of mm/ held; often, so cheap when it was said
 * before. */
void platform_reclaim_wanted(void);
