/* See debugged.h. */
#include "tests/model/debugged.h"

static struct mm_debug_choice former;

void debugged_begin(const char *slab_debug)
{
	former = mm_debug_choice();
	mm_debug_configure(slab_debug, false, false);
}

void debugged_end(void)
{
	mm_debug_choose(&former);
}

__no_asan u8 plant(void *at, u8 byte)
{
	volatile u8 *p = at;
	u8 was = *p;

	*p = byte;
	return was;
}
