/*
 * Every layer's check, in the direction in which memory flows. Slow on purpose: it walks all free
 * lists, all metadata and all objects. For tests, fuzzers and the monitor.
 */
#include "internal.h"

#include <mm/mm.h>

const char *mm_check(void)
{
	const char *fault = NULL;

	for_each_zone(z) {
		fault = zone_check(z);
		if (fault)
			return fault;
	}
	fault = retire_check();
	if (fault == NULL)
		fault = cpu_pages_check();
	if (fault == NULL)
		fault = slab_check();
	if (fault == NULL)
		fault = guard_check();
	if (fault == NULL)
		fault = kmalloc_check();
	if (fault == NULL)
		fault = vmem_check_all();
	if (fault == NULL)
		fault = vmalloc_check();
	return fault;
}
