/*
 * Out of memory: one screen that says who holds what, when an allocation fails.
 *
 * The page allocator comes here last, after its caches and the shrinkers gave what they had; its
 * caller gets NULL whatever is printed. The report answers, in this order: what was asked, whether
 * memory is gone or only in pieces (free blocks by order), and which caches and call sites hold
 * most of it.
 *
 * It walks every slab and takes every cache's lock, one by one. So only where the caller could have
 * reclaimed, which needs the same (__GFP_RECLAIM); elsewhere there is the first line alone.
 * Failures 1, 2, 4, 8 … are reported: seen, without flooding the log.
 */
#include "internal.h"

#include <lib/format.h>
#include <lib/string.h>
#include <mm/mm.h>

#define NR_RANKS 6u

/* The largest of what was added, in descending order. */
struct ranking {
	struct rank {
		u64 bytes, objects;
		const char *name;
		u32 tag;
	} rank[NR_RANKS];
	unsigned nr;
	u64 nr_more, more_bytes; /* what is not among them */
};

static void rank_add(struct ranking *r, struct rank new)
{
	unsigned i = r->nr;

	if (i == NR_RANKS) {
		struct rank *last = &r->rank[NR_RANKS - 1];

		r->nr_more++;
		r->more_bytes += min_u64(last->bytes, new.bytes);
		if (last->bytes >= new.bytes)
			return;
		i--;
	} else {
		r->nr++;
	}
	for (; i > 0 && r->rank[i - 1].bytes < new.bytes; i--)
		r->rank[i] = r->rank[i - 1];
	r->rank[i] = new;
}

static void rank_caches(struct ranking *r)
{
	struct kmem_cache_stats s;

	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		kmem_cache_stats(c, &s);
		if (s.nr_slabs != 0)
			rank_add(r,
			         (struct rank){.bytes = s.nr_slabs * s.pages_per_slab << PAGE_SHIFT,
			                       .objects = s.nr_live,
			                       .name = s.name});
	}
}

static void add_site(void *ranking, u32 tag, u64 objects, u64 bytes)
{
	rank_add(ranking, (struct rank){.bytes = bytes, .objects = objects, .tag = tag});
}

static void print_ranking(const struct ranking *r, const char *what)
{
	char size[16], name[96];

	kprintf("%10s %10s  %s\n", "memory", "objects", what);
	for (unsigned i = 0; i < r->nr; i++) {
		const struct rank *k = &r->rank[i];

		kprintf("%10s %10lu  %s\n", format_bytes(size, k->bytes), k->objects,
		        k->name ? k->name : site_name(name, k->tag));
	}
	if (r->nr_more != 0)
		kprintf("%10s %10s  %lu more\n", format_bytes(size, r->more_bytes), "", r->nr_more);
}

void stats_print_owners(void)
{
	struct ranking caches = {.nr = 0}, sites = {.nr = 0};

	rank_caches(&caches);
	slab_visit_sites(add_site, &sites);
	print_ranking(&caches, "cache (whole slabs; its live objects)");
	print_ranking(&sites, "call site (live objects)");
}

static void print_free_blocks(void)
{
	kprintf("free blocks, by order:");
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		u64 nr = 0;

		for_each_zone(z)
			nr += z->buddy.nr_free_blocks[order];
		if (nr != 0)
			kprintf(" %u:%lu", order, nr);
	}
	kprintf("\n");
}

static void print_totals(void)
{
	char used[16], slabs[16], large[16], free[16], other[16];
	struct mm_usage u;

	mm_usage(&u);
	kprintf("used %s: slabs %s, large kmallocs %s, pages by themselves %s; free %s\n",
	        format_bytes(used, u.used_pages << PAGE_SHIFT),
	        format_bytes(slabs, u.slab_pages << PAGE_SHIFT),
	        format_bytes(large, u.large_pages << PAGE_SHIFT),
	        format_bytes(other, (u.used_pages - u.slab_pages - u.large_pages) << PAGE_SHIFT),
	        format_bytes(free, (u.free_pages + u.cached_pages) << PAGE_SHIFT));
}

/* "GFP_KERNEL|__GFP_ZERO", as the source has it: all names fit. Returns buf. */
static char *gfp_name(char buf[96], gfp_t gfp)
{
	static const struct {
		gfp_t bit;
		const char *name;
	} bits[] = {
	    {__GFP_RECLAIM, "GFP_KERNEL"},  {__GFP_HIGH, "GFP_ATOMIC"},
	    {__GFP_DMA, "__GFP_DMA"},       {__GFP_DMA32, "__GFP_DMA32"},
	    {__GFP_ZERO, "__GFP_ZERO"},     {__GFP_NORETRY, "__GFP_NORETRY"},
	    {__GFP_NOFAIL, "__GFP_NOFAIL"},
	};
	size_t len = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(bits); i++)
		if (gfp & bits[i].bit)
			len +=
			    format_buf(buf + len, 96 - len, "%s%s", len ? "|" : "", bits[i].name);
	if (len == 0)
		format_buf(buf, 96, "GFP_NOWAIT");
	return buf;
}

void oom_report(gfp_t gfp, unsigned order, u64 nr_failures)
{
	char name[96];

	if ((gfp & __GFP_NOWARN) || !is_pow2(nr_failures))
		return;
	log_warn("page_alloc: out of memory order=%u gfp=%s failures=%lu", order,
	         gfp_name(name, gfp), nr_failures);
	if (!(gfp & __GFP_RECLAIM))
		return;
	print_totals();
	print_free_blocks();
	stats_print_owners();
}
