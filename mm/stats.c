/*
 * The state of the memory manager, in numbers (mm_usage) and for people (stats_print_…): one screen
 * each.
 *
 * Everything is summed when it is asked for; no counter is kept on a fast path for it. Other CPUs
 * go on meanwhile, so sums can be off by what they do in that moment.
 */
#include "internal.h"

#include <lib/lock_class.h>
#include <lib/race.h>
#include <lib/string.h>
#include <mm/mm.h>

void mm_usage(struct mm_usage *out)
{
	*out = (struct mm_usage){
	    .cached_pages = cpu_pages_count(),
	    .slab_pages = slab_pages(),
	    .large_pages = kmalloc_large_pages(),
	    .live_objects = slab_live_objects() + kmalloc_large_objects(),
	};
	for_each_zone(z) {
		out->managed_pages += z->buddy.nr_managed_pages;
		out->free_pages += z->buddy.nr_free_pages;
		out->peak_used_pages += z->buddy.nr_managed_pages - z->min_free_pages;
	}
	out->used_pages = out->managed_pages - out->free_pages - out->cached_pages;
}

void mm_reset_peak(void)
{
	for_each_zone(z) {
		u64 flags = spin_lock_irq(&z->lock);

		z->min_free_pages = z->buddy.nr_free_pages;
		spin_unlock_irq(&z->lock, flags);
	}
}

void mm_traffic(struct mm_traffic *out)
{
	*out = (struct mm_traffic){0};
	for_each_zone(z) {
		out->zone_locks += spin_nr_taken(&z->lock);
		out->zone_waits = lock_class_nr_waited(&z->lock); /* of all zones */
	}
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		cache_add_traffic(c, out);
	for (unsigned i = 0; i < mm_nr_contexts(); i++)
		out->page_trips += data_race(cpu_pages_of(i)->nr_refills) +
		                   data_race(cpu_pages_of(i)->nr_drains); /* a moment old */
}

static void print_pages(const char *what, u64 pages)
{
	char size[16];

	kprintf("%-26s %12lu pages %10s\n", what, pages, format_bytes(size, pages << PAGE_SHIFT));
}

void stats_print_mem(void)
{
	struct page_retire_stats retired;
	struct mm_usage u;

	mm_usage(&u);
	page_retire_stats(&retired);
	print_pages("managed", u.managed_pages);
	print_pages("free", u.free_pages);
	print_pages("in CPU caches", u.cached_pages);
	print_pages("used", u.used_pages);
	print_pages("  slabs and their records", u.slab_pages);
	print_pages("  large kmallocs", u.large_pages);
	print_pages("  other", u.used_pages - u.slab_pages - u.large_pages);
	print_pages("peak used", u.peak_used_pages);
	print_pages("retired", retired.nr_left);
	print_pages("to retire when freed", retired.nr_noted);
	kprintf("%-26s %12lu\n", "live objects", u.live_objects);
	kprintf("%-26s %12lu\n", "failed page allocations", page_alloc_failures());
}

void stats_print_zones(void)
{
	char managed[16], free[16];

	kprintf(
	    "node zone   managed    free       from       to          splits  merges   locks\n");
	for_each_zone(z) {
		const struct buddy *b = &z->buddy;

		kprintf("%4u %-6s %-10s %-10s %#-10x %#-10x %7lu %7lu %7lu\n", z->node, z->name,
		        format_bytes(managed, b->nr_managed_pages << PAGE_SHIFT),
		        format_bytes(free, b->nr_free_pages << PAGE_SHIFT), b->low, b->high,
		        b->nr_splits, b->nr_merges, z->nr_lock_acquisitions);
	}
	kprintf("in pages           free        min        low       high    from others\n");
	for_each_zone(z)
		kprintf("%4u %-6s %12lu %10lu %10lu %10lu %14lu%s\n", z->node, z->name,
		        zone_free_pages(z), z->mark[MARK_MIN], z->mark[MARK_LOW],
		        z->mark[MARK_HIGH],
		        z->floor[DEPTH_ORDINARY][ZONE_NORMAL] - z->mark[MARK_MIN],
		        zone_below(z, MARK_MIN)   ? "  below min"
		        : zone_below(z, MARK_LOW) ? "  below low"
		                                  : "");
}

u64 mm_unusable_index(unsigned order)
{
	u64 free = 0, usable = 0;

	for_each_zone(z) {
		free += z->buddy.nr_free_pages;
		for (unsigned o = order; o <= MAX_ORDER; o++)
			usable += (u64)z->buddy.nr_free_blocks[o] << o;
	}
	return free == 0 ? 1000 : (free - usable) * 1000 / free;
}

void stats_print_buddyinfo(void)
{
	char size[16];

	kprintf("order block   ");
	for_each_zone(z)
		kprintf(" %u:%-7s", z->node, z->name);
	kprintf("  too small for it\n");
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		u64 index = mm_unusable_index(order);

		kprintf("%5u %-8s", order, format_bytes(size, PAGE_SIZE << order));
		for_each_zone(z)
			kprintf("%10u", z->buddy.nr_free_blocks[order]);
		kprintf("  %3lu.%lu %% of free memory\n", index / 10, index % 10);
	}
}

static void print_slabinfo_head(void)
{
	kprintf("%-20s %6s %8s %8s %7s %6s %6s %6s %6s\n", "cache", "size", "live", "cached",
	        "free", "slabs", "empty", "objs", "pages");
}

static void print_slabinfo_row(struct kmem_cache *c)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	kprintf("%-20s %6lu %8lu %8lu %7lu %6lu %6lu %6u %6u\n", s.name, s.size, s.nr_live,
	        s.nr_cached, s.nr_in_slab, s.nr_slabs, s.nr_empty_slabs, s.objects_per_slab,
	        s.pages_per_slab);
}

void stats_print_slabinfo(void)
{
	print_slabinfo_head();
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		print_slabinfo_row(c);
}

/* --- the same, sorted --- */

static const char *const slab_columns[] = {"cache", "size",  "live", "cached", "free",
                                           "slabs", "empty", "objs", "pages",  "bytes"};

static u64 slab_key(struct kmem_cache *c, unsigned column)
{
	struct kmem_cache_stats s;

	kmem_cache_stats(c, &s);
	const u64 keys[ARRAY_SIZE(slab_columns)] = {
	    0,
	    s.size,
	    s.nr_live,
	    s.nr_cached,
	    s.nr_in_slab,
	    s.nr_slabs,
	    s.nr_empty_slabs,
	    s.objects_per_slab,
	    s.pages_per_slab,
	    s.nr_slabs * s.pages_per_slab * PAGE_SIZE + s.metadata_bytes,
	};

	return keys[column];
}

struct slab_row {
	struct kmem_cache *cache;
	u64 key;
};

static bool comes_before(const struct slab_row *a, const struct slab_row *b)
{
	if (a->key != b->key)
		return a->key > b->key;
	return strcmp(kmem_cache_name(a->cache), kmem_cache_name(b->cache)) < 0;
}

/* Into its place among the n that are sorted. */
static void insert_row(struct slab_row *rows, unsigned n, struct slab_row row)
{
	for (; n > 0 && comes_before(&row, &rows[n - 1]); n--)
		rows[n] = rows[n - 1];
	rows[n] = row;
}

/* Its number; as many as there are: none has the name. */
static unsigned find_column(const char *name)
{
	for (unsigned i = 0; i < ARRAY_SIZE(slab_columns); i++)
		if (strcmp(slab_columns[i], name) == 0)
			return i;
	return ARRAY_SIZE(slab_columns);
}

int stats_print_slabinfo_by(const char *column)
{
	unsigned by = find_column(column), max = 0, n = 0;
	struct slab_row *rows;

	if (by == ARRAY_SIZE(slab_columns))
		return -EINVAL;
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		max++;
	rows = kmalloc_array(max, sizeof(*rows), GFP_KERNEL);
	if (rows == NULL)
		return -ENOMEM;
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL && n < max;
	     c = kmem_cache_next(c), n++)
		insert_row(rows, n, (struct slab_row){c, slab_key(c, by)});
	print_slabinfo_head();
	for (unsigned i = 0; i < n; i++)
		print_slabinfo_row(rows[i].cache);
	kfree(rows);
	return 0;
}

static void print_site(void *context, u32 tag, u64 objects, u64 bytes)
{
	char name[96];

	kprintf("%10lu %12lu  %s\n", objects, bytes, site_name(name, tag));
	(void)context;
}

void stats_print_sites(void)
{
	kprintf("%10s %12s  %s\n", "objects", "bytes", "call site");
	slab_visit_sites(print_site, NULL);
}

/* --- arenas --- */

void stats_print_vmeminfo(void)
{
	kprintf("%-16s %9s %16s %16s %13s %6s %9s %9s %8s\n", "arena", "quantum", "size", "in use",
	        "cached", "spans", "allocated", "free", "failures");
	for (struct vmem *v = vmem_next(NULL); v != NULL; v = vmem_next(v)) {
		struct vmem_stats s;

		vmem_stats(v, &s);
		kprintf("%-16s %#9lx %#16lx %#16lx %#13lx %6lu %9lu %9lu %8lu\n", s.name, s.quantum,
		        s.size, s.allocated - s.idle, s.idle, s.nr_spans, s.nr_allocated, s.nr_free,
		        s.nr_failures);
	}
}
