/*
 * What memcpy(), memmove() and memset() are about to touch, in CONFIG=debug: all of it
 * must lie in one live object, one large kmalloc or one block of pages (mm/bounds.h). CONFIG=kasan
 * knows more of memory, and has a function of its own.
 *
 * Cost: a test for what is not in the direct map, as stacks and data are not; else a look at the
 * page and at the object's tag.
 */
#include <lib/platform.h>
#include <mm/bounds.h>

#ifndef CONFIG_KASAN
void platform_check_access(const void *p, long n, bool write, const void *ip)
{
	(void)write;
	(void)ip; /* the backtrace has it */
	check_copy(p, (size_t)n);
}
#endif
