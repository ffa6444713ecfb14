/*
 * mm/platform.h on the host: physical memory is a region of reserved address space, of which only
 * what the machine has as RAM can be touched (tests/host/machine.c). Before host_machine_create()
 * there is none.
 */
#pragma once

#include <lib/types.h>

#define PLATFORM_MAX_PA (16 * TIB - GIB)

extern char *host_ram; /* physical address 0 */
extern struct page *page_map;
extern u8 *pageblock_map;

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

/* 16 is sizeof(struct page), which is not known yet here; mm/page.h asserts it. */
static inline struct page *page_hint(const void *va)
{
	u64 pa = virt_to_phys(va);

	if (pa >= PLATFORM_MAX_PA || pageblock_map[pa >> 21] != PAGEBLOCK_FULL)
		return NULL;
	return (struct page *)((char *)page_map + (pa >> 12) * 16);
}

/* A thread's; a thread that is to be another CPU than 0 says so with host_cpu_enter(). */
extern _Thread_local struct mm_context host_mm_context;
#define mm_this(field) (host_mm_context.field)
#define mm_context_read() host_mm_context
#define mm_context_write(context) ((void)(host_mm_context = (context)))
