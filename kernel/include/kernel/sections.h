/*
 * The image's own places, from linker.ld and boot/start.asm, and where they are in physical memory.
 */
#pragma once

#include <kernel/layout.h>
#include <lib/types.h>

/* Page-aligned, apart from text_end, data_end and bss_start. */
extern const u8 kernel_start[], text_start[], text_end[], rodata_start[], rodata_end[];
extern u8 data_start[], data_end[], bss_start[], bss_end[], kernel_end[];

/* The early page tables, not needed once paging_init() is done. */
extern u8 boot_tables[], boot_tables_end[];

/*
 * Data that only the boot needs, page-aligned: given to the page allocator when it is over
 * (memory_give_back()). The final page tables leave it out of the image's mapping, so it is reached
 * through the direct map: phys_to_virt(image_pa(x)).
 */
#define __init_data __attribute__((section(".bss.init"), aligned(4096)))
extern u8 init_start[], init_end[];

/* __ro_after_init, page-aligned: read-only from paging_seal() on. */
extern u8 ro_init_start[], ro_init_end[];

/* What KERNEL_BASE stands for: 0 unless the loader moved the image. */
extern u64 kernel_phys_base;

/* The physical address of a place in the image. */
static inline u64 image_pa(const void *va)
{
	return (u64)va - KERNEL_BASE + kernel_phys_base;
}
