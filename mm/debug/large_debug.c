/*
 * The red zone of large kmallocs: what is left of the last page behind the bytes that were asked
 * for. It is marked when they are set, and verified when the run is freed or resized. A request of
 * whole pages has none; on the left there is none, since the run begins on a page.
 *
 * Cost: O(PAGE_SIZE). No lock: the run is its owner's.
 */
#include "debug_internal.h"

static char *zone_of_run(const struct page *head, size_t *length)
{
	*length = align_up(head->bytes, PAGE_SIZE) - head->bytes;
	return large_address(head) + head->bytes;
}

void large_mark(struct page *head)
{
	size_t length;
	char *zone = zone_of_run(head, &length);

	mark_fill(zone, RED_ACTIVE, length);
}

void large_verify(const struct page *head)
{
	size_t length;
	const char *zone = zone_of_run(head, &length);
	const void *at = mark_find_other(zone, RED_ACTIVE, length);
	struct damage d = {.found = true,
	                   .kind = REPORT_RIGHT_RED_ZONE,
	                   .where = "kmalloc-large",
	                   .object = large_address(head),
	                   .at = at,
	                   .size = head->bytes,
	                   .should = RED_ACTIVE,
	                   .tag = head->site};

	if (at == NULL)
		return;
	d.is = mark_read(at);
	report_damage(&d);
}
