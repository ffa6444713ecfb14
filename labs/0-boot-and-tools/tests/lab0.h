/*
 * Lab 0: what answers.c and mine.c define, and what the grader's tests ask of them.
 */
#pragma once

#include <lib/types.h>

/* The operations of lib/bitmap.h that 0.3 judges, of any bitmap: a right one, or a broken one. The
 * map has (nr_bits + 63) / 64 words; bits behind the last of nr_bits may hold anything. */
struct bitmap_ops {
	size_t (*next)(const u64 *map, size_t nr_bits, size_t from);
	size_t (*count)(const u64 *map, size_t nr_bits);
};

/* 0.3: whether they do what lib/bitmap.h says. */
bool bitmap_is_right(const struct bitmap_ops *ops);

/* 0.1, on a machine of exactly MEM=256M. Texts as the monitor prints them. */
u64 answer_managed_pages(void);             /* of the page allocator */
const char *answer_zone_of_32_mib(void);    /* the zone of page frame 0x2000 */
u64 answer_bytes_of_100(void);              /* that may be used of kmalloc(100) */
const char *answer_cache_of_100(void);      /* the cache that it comes from */
u32 answer_magic_from_qemu(void);           /* kernel_main's first argument, booted directly */
u32 answer_magic_from_grub(void);           /* and by GRUB, from the ISO */
const char *answer_caller_of_mm_init(void); /* the function's name */
