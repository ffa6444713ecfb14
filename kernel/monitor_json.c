/*
 * The looking commands' answers for scripts: `slabinfo -j` and its like print an object of JSON a
 * line (one for each cache, zone, thread …) instead of a table.
 *
 * Names may be anybody's, so they are escaped; numbers are whole and stand as they are.
 */
#include <kernel/monitor.h>
#include <kernel/sched.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/vmem.h>

static void print_string(const char *key, const char *text)
{
	kprintf("\"%s\":\"", key);
	for (; *text != '\0'; text++) {
		if (*text == '"' || *text == '\\')
			kprintf("\\%c", *text);
		else if ((u8)*text < ' ' || (u8)*text > '~')
			kprintf("\\u%04x", (u8)*text);
		else
			kprintf("%c", *text);
	}
	kprintf("\"");
}

static void print_number(const char *key, u64 n)
{
	kprintf(",\"%s\":%lu", key, n);
}

static void json_mem(void)
{
	struct mm_usage u;

	mm_usage(&u);
	kprintf("{\"managed_pages\":%lu", u.managed_pages);
	print_number("free_pages", u.free_pages);
	print_number("cached_pages", u.cached_pages);
	print_number("used_pages", u.used_pages);
	print_number("slab_pages", u.slab_pages);
	print_number("large_pages", u.large_pages);
	print_number("peak_used_pages", u.peak_used_pages);
	print_number("live_objects", u.live_objects);
	kprintf("}\n");
}

static void json_zones(void)
{
	for_each_zone(z) {
		kprintf("{");
		print_string("zone", z->name);
		print_number("node", z->node);
		print_number("low", z->buddy.low);
		print_number("high", z->buddy.high);
		print_number("managed_pages", z->buddy.nr_managed_pages);
		print_number("free_pages", zone_free_pages(z));
		print_number("mark_min", z->mark[MARK_MIN]);
		print_number("mark_low", z->mark[MARK_LOW]);
		print_number("mark_high", z->mark[MARK_HIGH]);
		print_number("splits", z->buddy.nr_splits);
		print_number("merges", z->buddy.nr_merges);
		kprintf("}\n");
	}
}

static void json_numastat(void)
{
	for (unsigned node = 0; node < mm_nr_nodes(); node++) {
		struct node_stats s;

		node_stats(node, &s);
		kprintf("{\"node\":%u", node);
		print_number("free_pages", s.free_pages);
		print_number("total_pages", s.total_pages);
		print_number("hit", s.hit);
		print_number("miss", s.miss);
		print_number("foreign", s.foreign);
		print_number("local", s.local);
		print_number("remote", s.remote);
		kprintf("}\n");
	}
}

static void json_buddyinfo(void)
{
	for_each_zone(z) {
		kprintf("{");
		print_string("zone", z->name);
		print_number("node", z->node);
		kprintf(",\"free_blocks\":[");
		for (unsigned order = 0; order <= MAX_ORDER; order++)
			kprintf("%s%u", order > 0 ? "," : "", z->buddy.nr_free_blocks[order]);
		kprintf("]}\n");
	}
}

static void json_slabinfo(void)
{
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c)) {
		struct kmem_cache_stats s;

		kmem_cache_stats(c, &s);
		kprintf("{");
		print_string("cache", s.name);
		print_number("size", s.size);
		print_number("stride", s.stride);
		print_number("live", s.nr_live);
		print_number("cached", s.nr_cached);
		print_number("free", s.nr_in_slab);
		print_number("slabs", s.nr_slabs);
		print_number("empty_slabs", s.nr_empty_slabs);
		print_number("objects_per_slab", s.objects_per_slab);
		print_number("pages_per_slab", s.pages_per_slab);
		print_number("metadata_bytes", s.metadata_bytes);
		kprintf("}\n");
	}
}

static void json_vmeminfo(void)
{
	for (struct vmem *v = vmem_next(NULL); v != NULL; v = vmem_next(v)) {
		struct vmem_stats s;

		vmem_stats(v, &s);
		kprintf("{");
		print_string("arena", s.name);
		print_number("quantum", s.quantum);
		print_number("size", s.size);
		print_number("allocated", s.allocated);
		print_number("idle", s.idle);
		print_number("spans", s.nr_spans);
		print_number("segments", s.nr_allocated);
		print_number("free_segments", s.nr_free);
		print_number("failures", s.nr_failures);
		kprintf("}\n");
	}
}

static void print_site(void *context, u32 tag, u64 objects, u64 bytes)
{
	char name[96];

	(void)context;
	kprintf("{");
	print_string("site", site_name(name, tag));
	print_number("objects", objects);
	print_number("bytes", bytes);
	kprintf("}\n");
}

static void json_sites(void)
{
	slab_visit_sites(print_site, NULL);
}

static void json_threads(void)
{
	struct thread_info t;

	for (u32 id = 0; thread_next(id, &t); id = t.id) {
		kprintf("{");
		print_string("name", t.name);
		print_number("id", t.id);
		print_number("cpu", t.cpu);
		kprintf(",");
		print_string("state", t.state);
		kprintf("}\n");
	}
}

bool monitor_json(const char *name)
{
	static const struct {
		const char *name;
		void (*print)(void);
	} commands[] = {
	    {"mem", json_mem},           {"zones", json_zones},
	    {"numastat", json_numastat}, {"buddyinfo", json_buddyinfo},
	    {"slabinfo", json_slabinfo}, {"vmeminfo", json_vmeminfo},
	    {"sites", json_sites},       {"threads", json_threads},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(commands); i++)
		if (strcmp(commands[i].name, name) == 0) {
			commands[i].print();
			return true;
		}
	return false;
}
