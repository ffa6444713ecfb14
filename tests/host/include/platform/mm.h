/*
 * mm/platform.h on the host: physical memory is a region of reserved address space, of which only
 * what the machine has as RAM can be touched (tests/host/machine.c). Before host_machine_create()
 * there is none.
 *
 * RAM, page map and pageblock bytes lie at fixed addresses related by two shifts, as in the kernel
 * (kernel/include/platform/mm.h), so that page_hint() costs here what it costs there. A Linux
 * process has nothing of its own there. The sanitizers keep their shadow at such addresses: with
 * them the three lie anywhere. -DHOST_SMALL is for valgrind, which gives a process 64 GiB; the
 * constants that it adds are parts of the processor's addresses and cost no instruction.
 */
#pragma once

#include <lib/types.h>

#ifndef __has_feature
#define __has_feature(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || __has_feature(address_sanitizer)
#define HOST_ASAN 1
#else
#define HOST_ASAN 0
#endif
#if HOST_ASAN || defined(__SANITIZE_THREAD__) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define HOST_FIXED 0
#else
#define HOST_FIXED 1
#endif

/* Nothing is mapped there: host page tables are looked at, not used (tests/host/page_tables.c). */
#define PLATFORM_VMALLOC_BASE 0xffffd00000000000ull
#define PLATFORM_VMALLOC_SIZE (1ull << 40)

#ifdef HOST_SMALL
#define HOST_RAM_BITS 34
#define HOST_RAM (48 * GIB)
#define HOST_PAGE_MAP (1920 * MIB)
#else
#define HOST_RAM_BITS 44
#define HOST_RAM (64 * TIB)
#define HOST_PAGE_MAP (HOST_RAM >> 8)
#endif
#define HOST_PAGEBLOCKS (1792 * MIB)
#define PLATFORM_MAX_PA ((1ull << HOST_RAM_BITS) - GIB)

#if HOST_FIXED
#define host_ram ((char *)HOST_RAM) /* physical address 0 */
#define page_map ((struct page *)HOST_PAGE_MAP)
#define pageblock_map ((u8 *)HOST_PAGEBLOCKS)
#else
extern char *host_ram;
extern struct page *page_map;
extern u8 *pageblock_map;
#endif

static inline void *phys_to_virt(u64 pa)
{
	return host_ram + pa;
}

static inline u64 virt_to_phys(const void *va)
{
	return (u64)va - (u64)host_ram;
}

static inline bool is_direct_map(const void *va)
{
	return virt_to_phys(va) < PLATFORM_MAX_PA;
}

#if HOST_FIXED
static_assert(HOST_RAM % (1ull << HOST_RAM_BITS) == 0, "page_hint() compares the upper bits alone");

static inline struct page *page_at(const void *va)
{
	return (struct page *)(((u64)va >> 8 & ~15ul) + HOST_PAGE_MAP - (HOST_RAM >> 8));
}

static inline struct page *page_hint(const void *va)
{
	const u8 *pageblock = pageblock_map - (HOST_RAM >> 21);
	struct page *page = page_at(va);

	if (unlikely((u64)va >> HOST_RAM_BITS != HOST_RAM >> HOST_RAM_BITS))
		return NULL;
	if (unlikely(pageblock[(u64)va >> 21] != PAGEBLOCK_FULL))
		return NULL;
	if (page == NULL)
		__builtin_unreachable(); /* so that callers need not ask again */
	return page;
}
#else
/* 16 is sizeof(struct page), which is not known yet here; mm/page.h asserts it. */
static inline struct page *page_at(const void *va)
{
	return (struct page *)((char *)page_map + (virt_to_phys(va) >> 12) * 16);
}

static inline struct page *page_hint(const void *va)
{
	u64 pa = virt_to_phys(va);

	if (pa >= PLATFORM_MAX_PA || pageblock_map[pa >> 21] != PAGEBLOCK_FULL)
		return NULL;
	return page_at(va);
}
#endif

/* Rotated, the pointer's distance into the page map is a frame number that one comparison bounds; a
 * pointer between two struct pages gives a huge one. */
static inline u8 page_state(const struct page *page)
{
	u64 offset = (u64)page - (u64)page_map;
	u64 pfn = offset >> 4 | offset << 60;

	if (unlikely(pfn >> (HOST_RAM_BITS - 12) != 0))
		return PAGEBLOCK_UNKNOWN;
	return pageblock_map[pfn >> 9];
}

#define PLATFORM_RED_ZONE 0u
#define PLATFORM_FAST
#define PLATFORM_POISONS HOST_ASAN /* valgrind's build: objects are as wide as their class */

#if HOST_ASAN
/* Of the sanitizer's runtime. (Not its header: nothing of the C library may be seen here.) */
void __asan_poison_memory_region(const volatile void *p, size_t n);
void __asan_unpoison_memory_region(const volatile void *p, size_t n);
#define platform_poison_as(p, n, kind) ((void)(kind), __asan_poison_memory_region(p, n))
#define platform_unpoison(p, n) __asan_unpoison_memory_region(p, n)
#elif defined(HOST_VALGRIND)
void host_poison(const void *p, size_t n);
void platform_unpoison(const void *p, size_t n);
#define platform_poison_as(p, n, kind) ((void)(kind), host_poison(p, n))
#else
static inline void platform_poison_as(const void *p, size_t n, enum poison_kind kind)
{
	(void)p;
	(void)n;
	(void)kind;
}

static inline void platform_unpoison(const void *p, size_t n)
{
	(void)p;
	(void)n;
}
#endif

/* What vmalloc() said last, on this thread. */
extern _Thread_local struct host_area {
	u64 va, bytes, usable;
} host_area;

static inline void platform_area_usable(u64 va, u64 bytes, u64 usable)
{
	host_area = (struct host_area){va, bytes, usable};
}

/* Free pages may be touched here: tests look into them. With a sanitizer it is counted what would
 * be open to it: pages given out, less those that came back (tests/host/page_alloc_told_tests.c).
 */
#if HOST_ASAN
extern u64 host_pages_told; /* A */

static inline void host_pages_tell(const struct page *head, u64 nr_pages)
{
	(void)head;
	__atomic_add_fetch(&host_pages_told, nr_pages, __ATOMIC_RELAXED);
}
#else
static inline void host_pages_tell(const struct page *head, u64 nr_pages)
{
	(void)head;
	(void)nr_pages;
}
#endif

static inline void platform_pages_freed(const struct page *head, u64 nr_pages)
{
	host_pages_tell(head, -nr_pages);
}

static inline void platform_pages_allocated(const struct page *head, u64 nr_pages)
{
	host_pages_tell(head, nr_pages);
}

/* A thread's; a thread that is to be another CPU than 0 says so with host_cpu_enter(). */
extern _Thread_local struct mm_context host_mm_context;
#define mm_this(field) (host_mm_context.field)
#define mm_context_read() host_mm_context
#define mm_context_write(context) ((void)(host_mm_context = (context)))
