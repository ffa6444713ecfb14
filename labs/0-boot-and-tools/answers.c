/*
 * Lab 0.1: what you found out about the running system, each answer as a function that returns it.
 * The handout has the questions, tests/lab0.h the forms. Numbers may be decimal or hexadecimal.
 */
#include "tests/lab0.h"

/* lab 0.1 */
u64 answer_managed_pages(void)
{
	return 64111;
}

/* lab 0.1 */
const char *answer_zone_of_32_mib(void)
{
	return "DMA32";
}

/* lab 0.1 */
u64 answer_bytes_of_100(void)
{
	return 112;
}

/* lab 0.1 */
const char *answer_cache_of_100(void)
{
	return "kmalloc-112";
}

/* lab 0.1 */
u32 answer_magic_from_qemu(void)
{
	return 0x2badb002;
}

/* lab 0.1 */
u32 answer_magic_from_grub(void)
{
	return 0x36d76289;
}

/* lab 0.1 */
const char *answer_caller_of_mm_init(void)
{
	return "memory_init";
}
