/*
 * One page in words: what its struct page says, and for a slab its objects, as a list of this
 * page's and as a picture of all with the call sites that hold them.
 *
 * Read without locks: other CPUs go on, so an object may be shown as it was a moment ago.
 *
 * Cost: O(objects of the slab).
 */
#include "slab_internal.h"

#include <lib/log.h>
#include <mm/mm.h>

#define SLAB_COLUMNS 64u /* of the picture, which has 8 rows at most: 512 objects */
#define MAX_OWNERS 32u
#define SHOWN_OWNERS 5u

static void print_head(const struct page *head)
{
	char size[16], name[96];

	kprintf("  block of %lu pages (%s) at %#lx, order %u, node %u, zone %s\n",
	        page_block_pages(head), format_bytes(size, page_block_pages(head) << PAGE_SHIFT),
	        page_to_phys(head), head->order, head->zone >> 2, page_zone(head)->name);
	if (head->type == PAGE_FREE)
		kprintf("  free list: next %#x prev %#x\n", head->next, head->prev);
	if (head->type == PAGE_LARGE)
		kprintf("  kmalloc of %u bytes by %s\n", head->bytes, site_name(name, head->site));
}

/* --- a slab --- */

/* The first object that lies in the frame, even with its end alone, or behind it. The slab may just
 * have gone: then there is none. */
static bool object_in(u64 pfn, struct slab_object_info *info)
{
	const void *page = phys_to_virt(pfn << PAGE_SHIFT);
	const struct slab *s = slab_of(page);

	return s != NULL && slab_object_of((void *)max_u64((u64)page, s->base), info);
}

static void print_cache(const struct kmem_cache_stats *s)
{
	kprintf("  slab of cache %s: %u objects of %lu bytes in %u page(s)\n", s->name,
	        s->objects_per_slab, s->size, s->pages_per_slab);
}

/* Those that begin before the page's end. */
static void print_objects(u64 pfn)
{
	u64 end = (u64)phys_to_virt(pfn << PAGE_SHIFT) + PAGE_SIZE, address;
	struct slab_object_info info;
	struct kmem_cache_stats s;
	unsigned shown = 0;
	char name[96];

	if (!object_in(pfn, &info))
		return;
	kmem_cache_stats(info.cache, &s);
	print_cache(&s);
	for (address = (u64)info.object;
	     address < end && shown < 16 && slab_object_of((void *)address, &info);
	     address += s.stride, shown++)
		kprintf("  %p  %s\n", info.object, site_name(name, info.tag));
	if (address < end && shown == 16)
		kprintf("  ... and more\n");
}

/* The slab's objects by their owners; those that found no room are in the last. */
struct owners {
	u32 nr;
	struct {
		u32 tag;
		u32 objects;
	} owner[MAX_OWNERS];
};

static u32 find_owner(const struct owners *o, u32 tag)
{
	for (u32 i = 0; i < o->nr; i++)
		if (o->owner[i].tag == tag)
			return i;
	return o->nr;
}

static void count_owner(struct owners *o, u32 tag)
{
	u32 i = find_owner(o, tag);

	if (i == MAX_OWNERS)
		o->owner[--i].tag = TAG_IN_SLAB; /* nobody's: the others */
	else if (i == o->nr)
		o->owner[o->nr++].tag = tag;
	o->owner[i].objects++;
}

static u32 take_largest(struct owners *o)
{
	u32 most = 0;

	for (u32 i = 1; i < o->nr; i++)
		if (o->owner[i].objects > o->owner[most].objects)
			most = i;
	return most;
}

static void print_owners(struct owners *o)
{
	for (unsigned shown = 0; shown < SHOWN_OWNERS && shown < o->nr; shown++) {
		u32 i = take_largest(o);
		char name[96];

		kprintf("  %4u by %s\n", o->owner[i].objects,
		        o->owner[i].tag < TAG_FIRST_SITE ? "others"
		                                         : site_name(name, o->owner[i].tag));
		o->owner[i].objects = 0;
	}
	if (o->nr > SHOWN_OWNERS)
		kprintf("  ... and more call sites: sites has them\n");
}

static char object_letter(u32 tag)
{
	return tag == TAG_IN_SLAB ? '.' : tag == TAG_IN_MAGAZINE ? 'c' : '#';
}

static void print_slab(u64 pfn)
{
	struct owners owners = {.nr = 0};
	struct slab_object_info info;
	struct kmem_cache_stats s;
	char *first;

	if (!object_in(pfn, &info))
		return;
	kmem_cache_stats(info.cache, &s);
	print_cache(&s);
	first = (char *)info.object - info.index * s.stride;
	kprintf("  objects of the slab: # live, c in a CPU's magazine, . free");
	for (u32 i = 0; i < s.objects_per_slab && slab_object_of(first + i * s.stride, &info);
	     i++) {
		kprintf("%s%c", i % SLAB_COLUMNS == 0 ? "\n  " : "", object_letter(info.tag));
		if (info.tag >= TAG_FIRST_SITE)
			count_owner(&owners, info.tag);
	}
	kprintf("\n");
	print_owners(&owners);
}

/* --- the page --- */

static const struct page *print_page(u64 pfn)
{
	const struct page *page = page_lookup(pfn), *head = page_block_of(pfn);

	kprintf("page frame %#lx, physical %#lx, address %p\n", pfn, pfn << PAGE_SHIFT,
	        phys_to_virt(pfn << PAGE_SHIFT));
	if (head == NULL && zone_of_untouched(pfn)) {
		kprintf("  free, never handed out: no metadata yet, node %u, zone %s\n",
		        zone_of_untouched(pfn)->node, zone_of_untouched(pfn)->name);
		return NULL;
	}
	if (head == NULL) {
		kprintf("  not managed by the page allocator: no RAM, or reserved at boot\n");
		return NULL;
	}
	kprintf("  type %s%s\n", page_type_name(head->type),
	        head == page ? "" : " (inside the block)");
	print_head(head);
	return head;
}

void stats_print_page(u64 pfn)
{
	const struct page *head = print_page(pfn);

	if (head != NULL && head->type == PAGE_SLAB)
		print_objects(pfn);
}

void stats_print_page_words(u64 pfn)
{
	const struct page *head = print_page(pfn);

	if (head != NULL && head->type == PAGE_SLAB)
		print_slab(pfn);
}
