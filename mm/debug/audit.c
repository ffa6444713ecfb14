/*
 * The audit: see mm/audit.h.
 *
 * Pages are found by walking the memory map's usable ranges frame by frame (block by block), so
 * each counts once, and every frame is in some state; objects by walking all tags of all slabs.
 * What was found must be what the books say:
 *
 *   A1  the frames in the zones' hands are as many as the zones say; the rest is offline
 *   A2  free blocks of each zone and order are as many as the zone's buddy says; so are its pages
 *   A3  cached pages are what the CPUs' stacks hold
 *   A4  slab pages are those of the caches' slabs
 *   A5  large kmallocs' pages are those counted
 *   A6  vmalloc memory and page tables are no more than the allocated pages
 *   A7  of each cache: objects = in slabs + in magazines + in the depot + live, by tags, by bits
 *       and by the magazines' fill alike
 *
 * Cost: O(blocks + objects), alone on the machine.
 */
#include "../slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/audit.h>
#include <mm/kmalloc.h>
#include <mm/vmalloc.h>

struct auditor {
	const struct memmap *map;
	u64 table_pages;
	struct audit *out;
};

static __printf(2, 3) void fault(struct audit *a, const char *fmt, ...)
{
	va_list args;

	if (a->fault[0] != '\0')
		return;
	va_start(args, fmt);
	vformat_buf(a->fault, sizeof(a->fault), fmt, args);
	va_end(args);
}

/* --- pages --- */

static enum audit_state state_of(const struct page *head)
{
	switch (head->type) {
	case PAGE_FREE:
		return AUDIT_FREE;
	case PAGE_CACHED:
		return AUDIT_CACHED;
	case PAGE_SLAB:
		return AUDIT_SLAB;
	case PAGE_LARGE:
		return AUDIT_LARGE;
	default:
		return AUDIT_ALLOCATED;
	}
}

/* The state of the frame, and in *next where its block ends. */
static enum audit_state look_at(u64 pfn, u64 *next, struct audit *a)
{
	const struct page *head = page_block_of(pfn);

	*next = pfn + 1;
	if (head != NULL) {
		if (head->type != PAGE_SLAB)
			*next = page_to_pfn(head) + page_block_pages(head);
		if (head->type == PAGE_FREE && page_to_pfn(head) == pfn && head->zone < MAX_ZONES &&
		    head->order < NR_ORDERS)
			a->free_blocks[head->zone][head->order]++;
		return state_of(head);
	}
	if (zone_of_untouched(pfn) == NULL)
		return AUDIT_OFFLINE;
	*next = align_down(pfn, 1ull << MAX_ORDER) + (1ull << MAX_ORDER);
	return AUDIT_UNTOUCHED;
}

static void count_range(const struct mem_range *r, struct audit *a)
{
	u64 end = (r->base + r->length) >> PAGE_SHIFT;

	for (u64 pfn = r->base >> PAGE_SHIFT, next; pfn < end; pfn = next) {
		enum audit_state state = look_at(pfn, &next, a);

		debug_assert(next > pfn);
		next = min_u64(next, end);
		a->pages[state] += next - pfn;
	}
}

static void count_map(const struct memmap *map, struct audit *a)
{
	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];
		u64 pages = r->length >> PAGE_SHIFT;

		if (r->type < AUDIT_TYPES)
			a->by_type[r->type] += pages;
		if (r->type == MEM_USABLE) {
			a->usable += pages;
			count_range(r, a);
		} else {
			a->other += pages;
		}
	}
}

static void judge_zone(const struct zone *z, struct audit *a, u64 *free, u64 *managed)
{
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		u64 said = z->buddy.nr_free_blocks[order];

		if (order == MAX_ORDER) /* untouched ones are counted there too, and not found */
			for (u32 i = 0; i < z->buddy.nr_untouched; i++)
				said -= (z->buddy.untouched[i].end - z->buddy.untouched[i].start) >>
				        MAX_ORDER;
		if (a->free_blocks[z->id][order] != said)
			fault(a, "A2: zone %s of node %u: %lu free blocks of order %u, not %lu",
			      z->name, z->node, a->free_blocks[z->id][order], order, said);
	}
	*free += z->buddy.nr_free_pages;
	*managed += z->buddy.nr_managed_pages;
}

static void expect_same(struct audit *a, const char *what, u64 found, u64 said)
{
	if (found != said)
		fault(a, "%s: %lu found, %lu in the books", what, found, said);
}

static void judge_pages(struct audit *a)
{
	u64 free = 0, managed = 0;

	for_each_zone(z)
		judge_zone(z, a, &free, &managed);
	expect_same(a, "A1: pages of the zones", a->usable - a->pages[AUDIT_OFFLINE], managed);
	expect_same(a, "A2: free pages", a->pages[AUDIT_FREE] + a->pages[AUDIT_UNTOUCHED], free);
	expect_same(a, "A3: pages in CPU caches", a->pages[AUDIT_CACHED], cpu_pages_count());
	expect_same(a, "A4: slab pages", a->pages[AUDIT_SLAB], slab_pages());
	expect_same(a, "A5: pages of large kmallocs", a->pages[AUDIT_LARGE], kmalloc_large_pages());
	if (a->vmalloc + a->tables > a->pages[AUDIT_ALLOCATED])
		fault(a, "A6: vmalloc and page tables have %lu pages, and %lu are allocated",
		      a->vmalloc + a->tables, a->pages[AUDIT_ALLOCATED]);
}

/* --- objects --- */

struct object_counts {
	u64 all, in_slabs, cached, live, bits;
};

static void count_slab(void *context, struct slab *s)
{
	struct object_counts *n = context;
	struct kmem_cache *c = s->cache;

	for (u32 i = 0; i < c->nr_objects; i++) {
		n->in_slabs += s->tag[i] == TAG_IN_SLAB;
		n->cached += s->tag[i] == TAG_IN_MAGAZINE;
		n->live += s->tag[i] >= TAG_FIRST_SITE;
	}
	n->all += c->nr_objects;
	n->bits += bitmap_count(slab_bits(c, s), c->nr_objects);
}

static void judge_cache(struct kmem_cache *c, struct audit *a)
{
	u64 flags = spin_lock_irq(&c->lock), magazines = magazine_objects(c);
	u64 depot = (u64)c->depot.nr_full * c->capacity;
	struct object_counts n = {0};

	cache_visit_slabs(c, count_slab, &n);
	spin_unlock_irq(&c->lock, flags);
	if (n.all != c->nr_slabs * c->nr_objects || n.in_slabs != n.bits ||
	    n.in_slabs != c->nr_free || n.cached != magazines)
		fault(a,
		      "A7: cache %s: %lu objects, in slabs %lu by tags, %lu by bits, %lu in the "
		      "books; cached %lu by tags, %lu by magazines",
		      c->name, n.all, n.in_slabs, n.bits, c->nr_free, n.cached, magazines);
	a->objects += n.all;
	a->in_slabs += n.in_slabs;
	a->in_depots += depot;
	a->in_magazines += n.cached - depot;
	a->live += n.live;
}

static void audit_alone(void *arg)
{
	struct auditor *self = arg;
	struct vmalloc_stats v;
	struct audit *a = self->out;

	memset(a, 0, sizeof(*a));
	vmalloc_stats(&v);
	a->vmalloc = v.memory_bytes >> PAGE_SHIFT;
	a->tables = self->table_pages;
	count_map(self->map, a);
	judge_pages(a);
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		judge_cache(c, a);
}

int audit_take(const struct memmap *map, u64 table_pages, struct audit *out)
{
	struct auditor self = {map, table_pages, out};

	return platform_alone(audit_alone, &self) ? 0 : -EAGAIN;
}

/* --- for people --- */

static void print_line(const char *what, u64 pages)
{
	char size[16];

	if (pages != 0)
		kprintf("  %-28s %12lu %12s\n", what, pages,
		        format_bytes(size, pages << PAGE_SHIFT));
}

static void print_orders(const struct audit *a)
{
	for_each_zone(z) {
		unsigned nr = 0;

		kprintf("    free blocks, node %u %s:", z->node, z->name);
		for (unsigned order = 0; order < NR_ORDERS; order++)
			if (a->free_blocks[z->id][order] != 0)
				kprintf("%s %u:%lu", nr++ == 7 ? "\n       " : "", order,
				        a->free_blocks[z->id][order]);
		kprintf("\n");
	}
}

static void print_pages(const struct audit *a)
{
	kprintf("  %-28s %12s\n", "usable memory", "pages");
	print_line("free, never handed out", a->pages[AUDIT_UNTOUCHED]);
	print_line("free", a->pages[AUDIT_FREE]);
	print_orders(a);
	print_line("in CPU caches", a->pages[AUDIT_CACHED]);
	print_line("slabs", a->pages[AUDIT_SLAB]);
	print_line("large kmallocs", a->pages[AUDIT_LARGE]);
	print_line("vmalloc", a->vmalloc);
	print_line("page tables", a->tables);
	print_line("pages by themselves, stacks",
	           a->pages[AUDIT_ALLOCATED] - a->vmalloc - a->tables);
	print_line("offline", a->pages[AUDIT_OFFLINE]);
	print_line("= usable, by the map", a->usable);
	for (u32 type = MEM_RESERVED; type < AUDIT_TYPES; type++)
		print_line(memmap_type_name(type), a->by_type[type]);
	print_line("= all of the map", a->usable + a->other);
}

int stats_print_audit(const struct memmap *map, u64 table_pages)
{
	static struct audit a;

	if (audit_take(map, table_pages, &a) != 0) {
		kprintf("audit: other CPUs cannot be held now\n");
		return -EAGAIN;
	}
	print_pages(&a);
	kprintf("  objects: %lu in slabs + %lu in magazines + %lu in depots + %lu live = %lu\n",
	        a.in_slabs, a.in_magazines, a.in_depots, a.live, a.objects);
	if (a.fault[0] != '\0') {
		kprintf("audit: %s\n", a.fault);
		return -EFAULT;
	}
	kprintf("audit: every page and every object is in exactly one state\n");
	return 0;
}
