/*
 * The kernel's virtual addresses. Only the upper half (bit 63 set) is ever mapped.
 *
 *   0xffff800000000000  direct map       every byte of RAM, up to 64 TiB
 *   0xffffd00000000000  vmalloc          areas of mm/vmalloc.c, each with a guard page behind it
 *   0xffffe00000000000  devices          uncached windows: framebuffer, APICs (paging_map_device)
 *   0xffffe80000000000  stacks           kernel stacks, a guard page below each
 *   0xffffec0000000000  shadow           CONFIG=kasan: a byte for each 8 of the kernel's half
 *   0xffffff8000000000  page map         struct page array (16 bytes a page)
 *   0xffffffff80000000  kernel image     linked at +2 MiB
 *   0xfffffffffc000000  pageblock bytes  one a 2 MiB block of the whole kernel half; zero page
 * where no RAM is
 *
 * The page map's and the pageblock bytes' places are no accident. A direct-map address shifted
 * right by 8 (arithmetically), low four bits cleared, IS the address of its struct page; shifted
 * right by 21 it is the address of its pageblock byte. kfree() lives on that: two shifts instead of
 * bounds, subtractions and tables.
 */
#pragma once

#define DIRECT_MAP_BASE 0xffff800000000000ul
#define DIRECT_MAP_SIZE (64ul << 40)
#define VMALLOC_BASE 0xffffd00000000000ul
#define VMALLOC_SIZE (1ul << 40)
#define DEVICE_BASE 0xffffe00000000000ul
#define STACKS_BASE 0xffffe80000000000ul
#define SHADOW_BASE 0xffffec0000000000ul
#define SHADOW_SIZE (16ul << 40)
#define SHADOW_OFFSET \
	0xdffffc0000000000ul /* shadow of va: SHADOW_OFFSET + (va >> 3), as Makefile says */
#define PAGE_MAP_BASE 0xffffff8000000000ul
#define KERNEL_BASE 0xffffffff80000000ul
#define KERNEL_LINK_OFFSET 0x200000ul /* 2 MiB: the image's preferred physical address too */
#define PAGEBLOCK_BASE 0xfffffffffc000000ul
#define PAGEBLOCK_SIZE (64ul << 20)

/* Page frame numbers are 32 bits wide in struct page, and the end of the last block must be one
 * too. */
#define MAX_PHYSICAL ((16ul << 40) - (1ul << 30))
