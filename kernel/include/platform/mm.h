/* mm/platform.h in the kernel: kernel/layout.h explains the two shifts. */
#pragma once

#include <kernel/layout.h>
#include <lib/types.h>

#include <platform/poison.h>

#define PLATFORM_MAX_PA MAX_PHYSICAL
#define PLATFORM_VMALLOC_BASE VMALLOC_BASE
#define PLATFORM_VMALLOC_SIZE VMALLOC_SIZE

#define page_map ((struct page *)PAGE_MAP_BASE)
#define pageblock_map ((u8 *)((s64)DIRECT_MAP_BASE >> 21))

static inline void *phys_to_virt(u64 pa)
{
	return (void *)(pa + DIRECT_MAP_BASE);
}

static inline u64 virt_to_phys(const void *va)
{
	return (u64)va - DIRECT_MAP_BASE;
}

static inline bool is_direct_map(const void *va)
{
	return (u64)va - DIRECT_MAP_BASE < DIRECT_MAP_SIZE;
}

static __always_inline struct page *page_at(const void *va)
{
	return (struct page *)((s64)va >> 8 & ~15l);
}

static __always_inline struct page *page_hint(const void *va)
{
	struct page *page = page_at(va);
	u64 pageblock = (u64)((s64)va >> 21);

	/* Below: not in the kernel's half. At or above there is a byte for everything. */
	if (unlikely(pageblock < PAGEBLOCK_BASE))
		return NULL;
	if (unlikely(*(const u8 *)pageblock != PAGEBLOCK_FULL))
		return NULL;
	if (page == NULL)
		__builtin_unreachable(); /* so that callers need not ask again */
	return page;
}

/* The page map is the top 512 GiB of the address space. Rotated, one comparison answers for both
 * ends of the pointer: the upper bits are ones, and the lower four, now on top of them, are zeros.
 */
static __always_inline u8 page_state(const struct page *page)
{
	u64 rotated = (u64)page >> 4 | (u64)page << 60;

	if (unlikely(rotated >> 35 != 0x1ffffff))
		return PAGEBLOCK_UNKNOWN;
	return *(const u8 *)((s64)page >> 13);
}

/* Where struct cpu keeps the current context's words (kernel/cpu.h asserts it). Volatile: not moved
 * across what turns interrupts off or on. */
#define MM_CONTEXT_OFFSET 16

#define mm_this(field)                                                                           \
	({                                                                                       \
		__typeof__(((struct mm_context *)0)->field) value_;                              \
		__asm__ volatile("movq %%gs:%c1, %0"                                             \
		                 : "=r"(value_)                                                  \
		                 : "i"(MM_CONTEXT_OFFSET + offsetof(struct mm_context, field))); \
		value_;                                                                          \
	})

#define mm_context_read() ((struct mm_context){mm_this(offset), mm_this(pages), mm_this(id)})

#define mm_this_set_(field, value)                                                     \
	__asm__ volatile("movq %0, %%gs:%c1"                                           \
	                 :                                                             \
	                 : "r"((value)->field),                                        \
	                   "i"(MM_CONTEXT_OFFSET + offsetof(struct mm_context, field)) \
	                 : "memory")

#define mm_context_write(context_)                   \
	do {                                         \
		struct mm_context new_ = (context_); \
		mm_this_set_(offset, &new_);         \
		mm_this_set_(pages, &new_);          \
		mm_this_set_(id, &new_);             \
	} while (0)
