/* mm/platform.h in the kernel: kernel/layout.h explains the two shifts. */
#pragma once

#include <kernel/layout.h>
#include <lib/types.h>

#define PLATFORM_MAX_PA MAX_PHYSICAL

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

static inline struct page *page_hint(const void *va)
{
	if (unlikely((u64)va >> 47 != 0x1ffff))
		return NULL;
	if (unlikely(*(const volatile u8 *)((s64)va >> 21) != PAGEBLOCK_FULL))
		return NULL;
	return (struct page *)((s64)va >> 8 & ~15l);
}
