/*
 * A machine to run mm/ on, in this process. One at a time; the host's own programs and tests only.
 *
 * Its memory is not zero, as on a real one: see machine.c. RAM, page map and pageblock bytes that
 * the machine does not have cannot be touched: a stray access is a fault at that instruction.
 */
#pragma once

#include <lib/log.h>
#include <lib/types.h>
#include <mm/memmap.h>

/* The usable ranges become RAM: page-aligned ones, below PLATFORM_MAX_PA; others are passed over.
 */
void host_machine_create(const struct mem_range *range, u32 nr);
void host_machine_destroy(void);
void host_page_tables_reset(void); /* its page tables are gone with it */

/* How many bytes at each end of a range of RAM, and of the page map as it is backed, start as
 * garbage. */
extern u64 host_garbage_ram, host_garbage_page_map;

/*
 * Creates a machine, and brings the memory manager up on it: firmware list → memmap → bootmem →
 * mm_init(). The result is the map, for whoever wants to account for it; it lives until the next
 * boot.
 */
const struct memmap *host_machine_boot(const struct mem_range *firmware, u32 nr);

/* A PC with `bytes` of RAM: 640 KiB, half from 1 MiB on (3 GiB at most), the rest from 4 GiB on. */
const struct memmap *host_machine_boot_pc(u64 bytes);

/* What the running machine was made with if it is such a PC, else 0. */
u64 host_machine_pc_bytes(void);

/* Which lines of the log are shown: level <= this. LOG_INFO. */
extern enum log_level host_log_level;
extern u64 host_milliseconds; /* platform_milliseconds(): stands still until a test moves it */

/* RAM that came after the boot: what platform_map_ram() mapped, and was not unmapped since. */
extern u64 host_mapped_bytes;

/* The alignment that platform_back_page_map() asks for first, then for PAGE_SIZE. PAGE_SIZE. */
extern u64 host_page_map_align;

/* How often platform_reclaim_wanted() was called. */
extern u64 host_reclaim_wanted;

/* How often platform_wake_one() was called. */
extern u64 host_wakes;

/* What platform_flush() was last called for, on this thread. */
extern _Thread_local u64 host_flushed_start, host_flushed_end;
