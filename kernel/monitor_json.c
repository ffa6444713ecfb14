/*
 * The looking commands' answers for scripts: `slabinfo -j` and its like print an object of JSON a
 * line (one for each cache, zone, thread …) instead of a table: <kernel/json.h>. docs/monitor.md
 * has every key. Those of the machine are in monitor_json_machine.c.
 */
#include <kernel/json.h>
#include <kernel/monitor.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/reclaim.h>
#include <mm/vmem.h>

static bool is_first; /* of the object's members */

static void key_of(const char *key)
{
	kprintf("%s\"%s\":", is_first ? "" : ",", key);
	is_first = false;
}

void json_begin(void)
{
	kprintf("{");
	is_first = true;
}

void json_end(void)
{
	kprintf("}\n");
}

void json_bytes(const char *key, const char *text, size_t len)
{
	key_of(key);
	kprintf("\"");
	for (const char *end = text + len; text < end; text++) {
		if (*text == '"' || *text == '\\')
			kprintf("\\%c", *text);
		else if ((u8)*text < ' ' || (u8)*text > '~')
			kprintf("\\u%04x", (u8)*text);
		else
			kprintf("%c", *text);
	}
	kprintf("\"");
}

void json_text(const char *key, const char *text)
{
	json_bytes(key, text, strlen(text));
}

void json_number(const char *key, u64 n)
{
	key_of(key);
	kprintf("%lu", n);
}

void json_array(const char *key, const u32 *n, size_t nr)
{
	key_of(key);
	for (size_t i = 0; i < nr; i++)
		kprintf("%s%u", i > 0 ? "," : "[", n[i]);
	kprintf("]");
}

static void json_mem(void)
{
	struct mm_usage u;

	mm_usage(&u);
	json_begin();
	json_number("managed_pages", u.managed_pages);
	json_number("free_pages", u.free_pages);
	json_number("cached_pages", u.cached_pages);
	json_number("used_pages", u.used_pages);
	json_number("slab_pages", u.slab_pages);
	json_number("large_pages", u.large_pages);
	json_number("peak_used_pages", u.peak_used_pages);
	json_number("live_objects", u.live_objects);
	json_end();
}

static void json_zones(void)
{
	for_each_zone(z) {
		json_begin();
		json_text("zone", z->name);
		json_number("node", z->node);
		json_number("low", z->buddy.low);
		json_number("high", z->buddy.high);
		json_number("managed_pages", z->buddy.nr_managed_pages);
		json_number("free_pages", zone_free_pages(z));
		json_number("mark_min", z->mark[MARK_MIN]);
		json_number("mark_low", z->mark[MARK_LOW]);
		json_number("mark_high", z->mark[MARK_HIGH]);
		json_number("splits", z->buddy.nr_splits);
		json_number("merges", z->buddy.nr_merges);
		json_end();
	}
}

static void json_numastat(void)
{
	for (unsigned node = 0; node < mm_nr_nodes(); node++) {
		struct node_stats s;

		node_stats(node, &s);
		json_begin();
		json_number("node", node);
		json_number("free_pages", s.free_pages);
		json_number("total_pages", s.total_pages);
		json_number("hit", s.hit);
		json_number("miss", s.miss);
		json_number("foreign", s.foreign);
		json_number("local", s.local);
		json_number("remote", s.remote);
		json_end();
	}
}

static void json_buddyinfo(void)
{
	for_each_zone(z) {
		json_begin();
		json_text("zone", z->name);
		json_number("node", z->node);
		json_array("free_blocks", z->buddy.nr_free_blocks, NR_ORDERS);
		json_end();
	}
}

static void json_slabinfo(void)
{
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		struct kmem_cache_stats s;

		kmem_cache_stats(c, &s);
		json_begin();
		json_text("cache", s.name);
		json_number("size", s.size);
		json_number("stride", s.stride);
		json_number("live", s.nr_live);
		json_number("cached", s.nr_cached);
		json_number("free", s.nr_in_slab);
		json_number("slabs", s.nr_slabs);
		json_number("empty_slabs", s.nr_empty_slabs);
		json_number("objects_per_slab", s.objects_per_slab);
		json_number("pages_per_slab", s.pages_per_slab);
		json_number("metadata_bytes", s.metadata_bytes);
		json_end();
	}
}

static void json_vmeminfo(void)
{
	for (struct vmem *v = vmem_next(NULL); v != NULL; v = vmem_next(v)) {
		struct vmem_stats s;

		vmem_stats(v, &s);
		json_begin();
		json_text("arena", s.name);
		json_number("quantum", s.quantum);
		json_number("size", s.size);
		json_number("allocated", s.allocated);
		json_number("idle", s.idle);
		json_number("spans", s.nr_spans);
		json_number("segments", s.nr_allocated);
		json_number("free_segments", s.nr_free);
		json_number("failures", s.nr_failures);
		json_end();
	}
}

static void print_site(void *context, u32 tag, u64 objects, u64 bytes)
{
	char name[96];

	(void)context;
	json_begin();
	json_text("site", site_name(name, tag));
	json_number("objects", objects);
	json_number("bytes", bytes);
	json_end();
}

static void json_sites(void)
{
	slab_visit_sites(print_site, NULL);
}

static void json_caches(void)
{
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		struct kmem_cache_stats k;

		kmem_cache_stats(c, &k);
		json_begin();
		json_text("cache", k.name);
		json_number("objects", k.nr_live);
		json_number("bytes", k.nr_slabs * k.pages_per_slab << PAGE_SHIFT);
		json_end();
	}
}

/* All of them; the table has those that hold most. */
static void json_owners(void)
{
	json_caches();
	json_sites();
}

static void json_frag(void)
{
	for_each_zone(z) {
		u64 in_pageblocks = 0, largest = 0;

		for (unsigned order = 0; order <= MAX_ORDER; order++) {
			u64 nr = z->buddy.nr_free_blocks[order];

			largest = nr != 0 ? PAGE_SIZE << order : largest;
			in_pageblocks += order >= PAGEBLOCK_ORDER ? nr << order : 0;
		}
		json_begin();
		json_text("zone", z->name);
		json_number("node", z->node);
		json_number("free_pages", zone_free_pages(z));
		json_number("largest_block_bytes", largest);
		json_number("in_pageblocks_pages", in_pageblocks);
		json_end();
	}
	for (unsigned order = 0; order <= MAX_ORDER; order++) {
		json_begin();
		json_number("order", order);
		json_number("block_bytes", PAGE_SIZE << order);
		json_number("unusable_per_mille", mm_unusable_index(order));
		json_end();
	}
}

static void json_shrinker(const struct shrinker *s, u64 could_give)
{
	json_begin();
	json_text("shrinker", s->name);
	if (could_give != SHRINKER_FREE_ANYWAY)
		json_number("could_give_pages", could_give);
	json_number("asked", s->nr_asked);
	json_number("gave_pages", s->nr_given);
	json_end();
}

static void json_shrinkers(void)
{
	shrinkers_visit(json_shrinker);
}

static const struct {
	const char *name;
	void (*print)(void);
} tables[] = {
    {"mem", json_mem},           {"zones", json_zones},
    {"numastat", json_numastat}, {"buddyinfo", json_buddyinfo},
    {"slabinfo", json_slabinfo}, {"vmeminfo", json_vmeminfo},
    {"sites", json_sites},       {"owners", json_owners},
    {"frag", json_frag},         {"shrinkers", json_shrinkers},
};

bool monitor_json(int argc, char **argv, int *result)
{
	*result = 0;
	for (unsigned i = 0; argc == 1 && i < ARRAY_SIZE(tables); i++)
		if (strcmp(tables[i].name, argv[0]) == 0) {
			tables[i].print();
			return true;
		}
	for (const struct json_command *c = json_machine_commands; c->name != NULL; c++)
		if (strcmp(c->name, argv[0]) == 0 && argc - 1 <= c->max_args) {
			*result = c->print(argc, argv);
			return true;
		}
	return false;
}
