/*
 * Call sites: numbers the records that the allocation macros left in the section alloc_sites, and
 * sums over them.
 *
 * A tag is the record's place in the section plus TAG_FIRST_SITE, so both directions are one
 * addition. Cost: one store a site at boot; nothing afterwards.
 */
#include <lib/assert.h>
#include <lib/spinlock.h>
#include <mm/site.h>

extern struct alloc_site __start_alloc_sites[], __stop_alloc_sites[];

static struct spinlock sums_lock = SPINLOCK_INIT("site sums");
static u64 sums_flags; /* guarded by sums_lock */

u32 site_count(void)
{
	return (u32)(__stop_alloc_sites - __start_alloc_sites);
}

void site_init(void)
{
	u32 n = site_count();

	if (n > TAG_MARK - TAG_FIRST_SITE)
		panic("site: too many call sites for a tag of 15 bits sites=%u", n);
	for (u32 i = 0; i < n; i++) {
		if (__start_alloc_sites[i].file == NULL)
			panic("site: the linker left a gap between the records of call sites");
		__start_alloc_sites[i].tag = TAG_FIRST_SITE + i;
	}
}

static struct alloc_site *lookup(u32 tag)
{
	return tag >= TAG_FIRST_SITE && tag - TAG_FIRST_SITE < site_count()
	           ? &__start_alloc_sites[tag - TAG_FIRST_SITE]
	           : NULL;
}

const struct alloc_site *site_of_tag(u32 tag)
{
	return lookup(tag);
}

char *site_name(char buf[96], u32 tag)
{
	const struct alloc_site *site = lookup(tag);

	if (site != NULL)
		format_buf(buf, 96, "%s:%u (%s)", site->file, site->line, site->function);
	else if (tag < TAG_FIRST_SITE)
		format_buf(buf, 96, "%s", tag == TAG_IN_SLAB ? "free" : "cached");
	else
		format_buf(buf, 96, "unknown site %u", tag);
	return buf;
}

void site_sums_begin(void)
{
	sums_flags = spin_lock_irq(&sums_lock);
	for (u32 i = 0; i < site_count(); i++)
		__start_alloc_sites[i].objects = __start_alloc_sites[i].bytes = 0;
}

void site_sums_add(u32 tag, u64 objects, u64 bytes)
{
	struct alloc_site *site = lookup(tag);

	spin_assert_held(&sums_lock);
	if (site != NULL) {
		site->objects += objects;
		site->bytes += bytes;
	}
}

void site_sums_end(void (*visit)(void *context, u32 tag, u64 objects, u64 bytes), void *context)
{
	for (u32 i = 0; i < site_count(); i++) {
		const struct alloc_site *site = &__start_alloc_sites[i];

		if (site->objects != 0)
			visit(context, site->tag, site->objects, site->bytes);
	}
	spin_unlock_irq(&sums_lock, sums_flags);
}
