/*
 * The stream of events: its header, the state at the start, names, its end. See docs/events.md.
 *
 * At the start a reader is told everything that it needs to know where memory is from then on: each
 * zone's range, each free block, each slab, and how much of each cache lives. That is written while
 * the machine stands still, straight to the stream. Names of call sites and caches are written just
 * before the first record that uses them, by whoever drains: so they cost no place in a ring, and
 * cannot be lost.
 *
 * A cache gets its number when events are turned on, or when it is made after that; its name is
 * kept here, because the cache may be gone when its events are drained. Who asks for pages has no
 * record, as those have that ask for objects (<mm/site.h>): the address of the call gets the next
 * number above theirs when it is first seen.
 *
 * Nothing here allocates between open and release.
 */
#include "../event_record.h"
#include "../slab_internal.h"

#include <lib/assert.h>
#include <lib/string.h>
#include <mm/page_alloc.h>
#include <mm/site.h>

#define NR_NAMES 1024u
#define NR_CALLERS 1024u /* a power of two */
#define MAX_LOOKS 32u    /* for a caller's place; the table is to be sparse */

struct cache_name {
	char text[32];
	u32 size;
	bool is_written;
};

#define TABLES_SIZE (NR_NAMES * sizeof(struct cache_name) + NR_CALLERS * sizeof(u64))

static struct event_options options; /* C while open */
static struct cache_name *names;     /* NR_NAMES; NULL: closed */
static u64 *callers;                 /* A; NR_CALLERS, 0: free; behind the names */
static u32 first_caller;             /* its number */
static u32 nr_names;                 /* under the caches' lock */
static u64 nr_bytes;                 /* A */
static u64 written_sites[(TAG_MARK + 63) / 64];

static void write(const void *bytes, size_t n)
{
	options.write(options.context, bytes, n);
	__atomic_add_fetch(&nr_bytes, n, __ATOMIC_RELAXED);
}

static void write_event(const struct event *e)
{
	write(e, sizeof(*e));
}

/* --- names --- */

u16 event_name_cache(const char *name, u32 size)
{
	if (names == NULL || nr_names == NR_NAMES)
		return EVENT_NO_CACHE;
	names[nr_names] = (struct cache_name){.size = size};
	str_copy(names[nr_names].text, name, sizeof(names[0].text));
	return (u16)nr_names++;
}

const char *event_cache_name(u16 cache)
{
	return names != NULL && cache < nr_names ? names[cache].text : NULL;
}

/* Places are only ever taken, so a number stands for one address. */
u16 event_number_caller(u64 address)
{
	u64 place = address * 0x9e3779b97f4a7c15 >> 32; /* Knuth's multiplicative hash */

	for (u64 i = place; i < place + MAX_LOOKS; i++) {
		u64 *at = &callers[i % NR_CALLERS];
		u64 seen = __atomic_load_n(at, __ATOMIC_RELAXED);

		if (seen == 0 && __atomic_compare_exchange_n(at, &seen, address, false,
		                                             __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			seen = address;
		if (seen == address)
			return (u16)(first_caller + i % NR_CALLERS);
	}
	return EVENT_NO_SITE;
}

/* 0: it is no caller's number. */
static u64 caller_of(u16 site)
{
	if (callers == NULL || site < first_caller || site >= first_caller + NR_CALLERS)
		return 0;
	return __atomic_load_n(&callers[site - first_caller], __ATOMIC_RELAXED);
}

char *event_site_name(char buf[96], u16 site)
{
	u64 caller = caller_of(site);

	return caller != 0 ? platform_symbol(buf, caller) : site_name(buf, site);
}

/* The text in whole records behind the one that announces it. */
static void write_text(struct event *e, const char *text)
{
	char chunk[sizeof(*e)];
	size_t length = strlen(text);

	e->size = length;
	write_event(e);
	for (size_t at = 0; at < length; at += sizeof(chunk)) {
		size_t part = min_u64(length - at, sizeof(chunk));

		memset(chunk, 0, sizeof(chunk));
		memcpy(chunk, text + at, part);
		write(chunk, sizeof(chunk));
	}
}

static void name_site(u16 tag, u64 time)
{
	struct event e = {
	    .kind = EVENT_NAME_SITE, .site = tag, .time = time, .cache = EVENT_NO_CACHE};
	const struct alloc_site *site = site_of_tag(tag);
	char text[160];

	if (tag >= TAG_MARK || (written_sites[tag / 64] >> tag % 64 & 1))
		return;
	written_sites[tag / 64] |= 1ull << tag % 64;
	if (site != NULL)
		format_buf(text, sizeof(text), "%s %s:%u", site->function, site->file, site->line);
	else if (caller_of(tag) != 0)
		event_site_name(text, tag);
	else
		return;
	write_text(&e, text);
}

static void name_cache(u16 cache, u64 time)
{
	struct event e = {.kind = EVENT_NAME_CACHE, .cache = cache, .time = time};

	if (event_cache_name(cache) == NULL || names[cache].is_written)
		return;
	names[cache].is_written = true;
	e.address = names[cache].size;
	write_text(&e, names[cache].text);
}

void event_stream_put(const struct event *e)
{
	if (e->site != EVENT_NO_SITE)
		name_site(e->site, e->time);
	if (e->cache != EVENT_NO_CACHE)
		name_cache(e->cache, e->time);
	write_event(e);
}

/* --- the start --- */

static void write_block(u64 pfn, unsigned order, const struct zone *z)
{
	write_event(&(struct event){
	    .kind = EVENT_ALREADY_FREE,
	    .time = cycles(),
	    .address = pfn << PAGE_SHIFT,
	    .size = PAGE_SIZE << order,
	    .order = (u8)order,
	    .node = z->node,
	    .cache = EVENT_NO_CACHE,
	});
}

static void write_zone(struct zone *z)
{
	const struct buddy *b = &z->buddy;

	write_event(&(struct event){
	    .kind = EVENT_MEMORY,
	    .time = cycles(),
	    .address = (u64)b->low << PAGE_SHIFT,
	    .size = (u64)(b->high - b->low) << PAGE_SHIFT,
	    .order = z->kind,
	    .node = z->node,
	    .cache = EVENT_NO_CACHE,
	});
	for (unsigned order = 0; order < NR_ORDERS; order++)
		for (u32 pfn = b->head[order]; pfn != 0; pfn = b->map[pfn].next)
			write_block(pfn, order, z);
	for (u32 i = 0; i < b->nr_untouched; i++)
		for (u64 pfn = b->untouched[i].start; pfn < b->untouched[i].end;
		     pfn += 1ull << MAX_ORDER)
			write_block(pfn, MAX_ORDER, z);
}

static void write_slab(struct kmem_cache *c, const struct slab *s)
{
	event_stream_put(&(struct event){
	    .kind = EVENT_ALREADY_SLAB,
	    .time = cycles(),
	    .address = virt_to_phys((void *)slab_start(s)),
	    .size = (u64)s->nr_pages << PAGE_SHIFT,
	    .cache = c->number,
	    .node = s->node,
	});
}

static void write_cache(struct kmem_cache *c)
{
	struct kmem_cache_stats stats;

	for (unsigned i = 0; i < NR_SLAB_LISTS; i++)
		for (const struct list *at = c->slabs[i].next; at != &c->slabs[i]; at = at->next)
			write_slab(c, list_entry(at, const struct slab, link));
	if (c->flags & SLAB_INTERNAL)
		return; /* their objects are not traced */
	kmem_cache_stats(c, &stats);
	if (stats.nr_live + stats.nr_guarded != 0)
		event_stream_put(&(struct event){
		    .kind = EVENT_ALREADY_OBJECTS,
		    .time = cycles(),
		    .address = stats.nr_live + stats.nr_guarded,
		    .size = (stats.nr_live + stats.nr_guarded) * c->size,
		    .cache = c->number,
		});
}

void event_stream_begin(void)
{
	write_event(&(struct event){
	    .kind = EVENT_HEADER,
	    .address = EVENT_MAGIC,
	    .size = EVENT_VERSION,
	    .time = options.ticks_a_second,
	    .cache = EVENT_NO_CACHE,
	});
	for_each_zone(z)
		write_zone(z);
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		write_cache(c);
}

bool event_stream_open(const struct event_options *o)
{
	options = *o;
	nr_bytes = 0;
	nr_names = 0;
	memset(written_sites, 0, sizeof(written_sites));
	names = alloc_pages_exact(TABLES_SIZE, GFP_KERNEL | __GFP_NOWARN | __GFP_ZERO);
	first_caller = TAG_FIRST_SITE + site_count();
	assert(first_caller + NR_CALLERS <= TAG_MARK);
	callers = (u64 *)(names != NULL ? names + NR_NAMES : NULL);
	return names != NULL;
}

void event_stream_close(void)
{
	if (options.write != NULL)
		write_event(
		    &(struct event){.kind = EVENT_END, .time = cycles(), .cache = EVENT_NO_CACHE});
}

u64 event_stream_bytes(void)
{
	return __atomic_load_n(&nr_bytes, __ATOMIC_RELAXED);
}

void event_stream_release(void)
{
	if (names != NULL)
		free_pages_exact(names, TABLES_SIZE);
	event_stream_init();
}

void event_stream_init(void)
{
	names = NULL;
	callers = NULL;
}
