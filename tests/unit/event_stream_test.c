/*
 * The stream of events as its bytes: the header, where memory is at the start, to the block, slab
 * and object, and the names of call sites and caches. On the host, where machines are made.
 */
#if __STDC_HOSTED__
#include "mm/event_record.h"
#include "mm/slab_internal.h"

#include <lib/format.h>
#include <mm/guard.h>
#include <mm/mm.h>
#include <mm/stats.h>
#include <tests/host/cpus.h>

#include "tests/model/expect.h"

static u8 stream[4 * MIB];
static size_t length;

static void keep(void *context, const void *bytes, size_t n)
{
	EXPECT_EQ(context, stream);
	ASSERT_LE(length + n, sizeof(stream));
	memcpy(stream + length, bytes, n);
	length += n;
}

static void start(u32 groups)
{
	length = 0;
	ASSERT_EQ(event_start(&(struct event_options){.groups = groups,
	                                              .nr_records = 256,
	                                              .write = keep,
	                                              .context = stream,
	                                              .ticks_a_second = 777}),
	          0);
}

static void stop(void)
{
	EXPECT_EQ(event_stop(), 0);
	event_release();
}

/* The record behind this one (NULL: the first), and its text if it has one; NULL: the end. */
static const struct event *next(const struct event *e, const char **text)
{
	const u8 *at = stream;

	if (e != NULL) {
		at = (const u8 *)(e + 1);
		if (e->kind == EVENT_NAME_SITE || e->kind == EVENT_NAME_CACHE)
			at += align_up(e->size, sizeof(*e));
	}
	*text = (const char *)(at + sizeof(*e));
	return at < stream + length ? (const struct event *)at : NULL;
}

#define for_each_record(e) \
	for (const struct event *(e) = next(NULL, &words); (e) != NULL; (e) = next(e, &words))

static const char *words; /* of the record that is looked at */

static u64 count(unsigned kind)
{
	u64 nr = 0;

	for_each_record(e)
		nr += e->kind == kind;
	return nr;
}

/* --- where memory is --- */

static const struct event *zone_record(const struct zone *z)
{
	for_each_record(e)
		if (e->kind == EVENT_MEMORY && e->order == z->kind && e->node == z->node)
			return e;
	return NULL;
}

/* Free pages in blocks that are told, each in its zone and where no other is. */
static u64 told_free_pages(const struct zone *z)
{
	u64 pages = 0, end = 0;

	for_each_record(e) {
		u64 pfn = e->address >> PAGE_SHIFT;

		if (e->kind != EVENT_ALREADY_FREE || pfn < z->buddy.low || pfn >= z->buddy.high)
			continue;
		EXPECT_EQ(e->size, PAGE_SIZE << e->order);
		EXPECT_EQ(e->node, z->node);
		EXPECT_EQ(e->cache, EVENT_NO_CACHE);
		EXPECT_TRUE(is_aligned(e->address, e->size));
		if (zone_of_untouched(pfn) != NULL) {
			EXPECT_EQ(e->order, MAX_ORDER);
			EXPECT_GE(pfn, end);
			end = pfn + (1ull << MAX_ORDER);
		} else {
			EXPECT_EQ(pfn_to_page((u32)pfn)->type, PAGE_FREE);
			EXPECT_EQ(pfn_to_page((u32)pfn)->order, e->order);
		}
		pages += e->size >> PAGE_SHIFT;
	}
	return pages;
}

static void expect_memory(void)
{
	u64 nr_zones = 0;

	start(EVENT_GROUP_VMALLOC);
	for_each_zone(z) {
		const struct event *e = zone_record(z);

		nr_zones++;
		ASSERT_NOT_NULL(e);
		EXPECT_EQ(e->address, (u64)z->buddy.low << PAGE_SHIFT);
		EXPECT_EQ(e->size, (u64)(z->buddy.high - z->buddy.low) << PAGE_SHIFT);
		EXPECT_EQ(told_free_pages(z), zone_free_pages(z));
	}
	EXPECT_EQ(count(EVENT_MEMORY), nr_zones);
	stop();
}

TEST(event_stream, the_header_comes_first)
{
	const struct event *e;

	start(EVENT_GROUP_VMALLOC);
	e = next(NULL, &words);
	EXPECT_EQ(e->kind, EVENT_HEADER);
	EXPECT_EQ(e->address, EVENT_MAGIC);
	EXPECT_EQ(e->size, EVENT_VERSION);
	EXPECT_EQ(e->time, 777);
	stop();
	EXPECT_EQ(((const struct event *)(stream + length))[-1].kind, EVENT_END);
	EXPECT_EQ(count(EVENT_END) + count(EVENT_HEADER), 2);
	EXPECT_EQ(event_stop(), -ENOENT);
	event_release();
	EXPECT_EQ(count(EVENT_END), 1);
}

static const struct mem_range with_hole[] = {{0, 640 * KIB, MEM_USABLE},
                                             {MIB, 63 * MIB, MEM_USABLE},
                                             {4 * GIB, 3 * GIB, MEM_USABLE},
                                             {8 * GIB, 2 * GIB, MEM_USABLE}};
static const struct mm_topology one_node = {.nr_nodes = 1};

/* Blocks that were never handed out too: here they are two extents of a zone. */
TEST(event_stream, every_zone_and_every_free_block)
{
	expect_memory();
	host_machine_borrow_nodes(with_hole, ARRAY_SIZE(with_hole), &one_node, 1);
	expect_memory();
	host_machine_return();
}

/* --- slabs and objects --- */

static void expect_cache(struct kmem_cache *c)
{
	struct kmem_cache_stats s;
	u64 nr_slabs = 0, nr_records = 0, nr_live;

	kmem_cache_stats(c, &s);
	nr_live = s.nr_live + s.nr_guarded;
	for_each_record(e) {
		if (e->cache != c->number)
			continue;
		if (e->kind == EVENT_ALREADY_SLAB) {
			const struct slab *slab = slab_of(phys_to_virt(e->address));

			nr_slabs++;
			ASSERT_NOT_NULL(slab);
			EXPECT_TRUE(slab->cache == c);
			EXPECT_EQ(e->size, (u64)slab->nr_pages << PAGE_SHIFT);
			EXPECT_EQ(e->node, slab->node);
		} else if (e->kind == EVENT_ALREADY_OBJECTS) {
			nr_records++;
			EXPECT_EQ(e->address, nr_live);
			EXPECT_EQ(e->size, nr_live * c->size);
		}
	}
	EXPECT_EQ(nr_slabs, s.nr_slabs);
	EXPECT_EQ(nr_records, nr_live != 0 && !(c->flags & SLAB_INTERNAL));
}

TEST(event_stream, every_slab_and_what_lives_in_it)
{
	struct kmem_cache *one = kmem_cache_create("one lives", 100, 0, 0, NULL);
	struct kmem_cache *none = kmem_cache_create("none lives", 100, 0, 0, NULL);
	void *object = kmem_cache_alloc(one, GFP_KERNEL);

	ASSERT_TRUE(none != NULL && object != NULL);
	kmem_cache_free(none, kmem_cache_alloc(none, GFP_KERNEL));
	start(EVENT_GROUP_VMALLOC);
	for (struct kmem_cache *c = kmem_cache_next(NULL); c != NULL; c = kmem_cache_next(c))
		expect_cache(c);
	stop();
	kmem_cache_free(one, object);
	EXPECT_EQ(kmem_cache_destroy(one), 0);
	EXPECT_EQ(kmem_cache_destroy(none), 0);
}

TEST(event_stream, guarded_objects_live_too)
{
	struct guard_options options = {.interval = 1, .nr_objects = 4};
	struct kmem_cache *c;
	void *a, *b;

	if (guard_on)
		return test_skip("kfence= is on");
	c = kmem_cache_create("guarded", 64, 0, 0, NULL);
	ASSERT_NOT_NULL(c);
	b = kmem_cache_alloc(c, GFP_KERNEL);
	kmem_cache_shrink(c);
	ASSERT_EQ(guard_start(&options), 0);
	slab_bypass(true);
	a = kmem_cache_alloc(c, GFP_KERNEL);
	slab_bypass(false);
	EXPECT_TRUE(guard_owns(a));
	start(EVENT_GROUP_VMALLOC);
	expect_cache(c);
	stop();
	kmem_cache_free(c, b);
	start(EVENT_GROUP_VMALLOC); /* a guarded one alone */
	expect_cache(c);
	stop();
	kmem_cache_free(c, a);
	EXPECT_EQ(guard_stop(), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- names --- */

static bool is_zero(const char *from, const char *to)
{
	for (; from < to; from++)
		if (*from != '\0')
			return false;
	return true;
}

/* The name that the record announces: this text, and nothing behind it. */
static void expect_name(const struct event *e, const char *text)
{
	EXPECT_EQ(e->size, strlen(text));
	EXPECT_EQ(memcmp(words, text, e->size), 0);
	EXPECT_TRUE(is_zero(words + e->size, words + align_up(e->size, sizeof(*e))));
}

static void say(u64 number, u16 cache, u32 site)
{
	event_bytes(EVENT_VMALLOC, number, 1, cache, site);
}

/* Some tags of call sites, over several words of the bits that say which were named. */
static u32 some_tags(u32 tag[], u32 n)
{
	u32 nr = 0;

	for (u32 t = TAG_FIRST_SITE; t < TAG_MARK && nr < n; t++)
		if (site_of_tag(t) != NULL)
			tag[nr++] = t;
	return nr;
}

/* Each once, right before the first that uses it, in whatever order they come. */
TEST(event_stream, call_sites_are_named_once_before_their_first_use)
{
	static u32 tag[200];
	static u8 named[TAG_MARK];
	u32 nr = some_tags(tag, ARRAY_SIZE(tag));
	char text[160];

	ASSERT_LT(70, nr);
	memset(named, 0, sizeof(named));
	start(EVENT_GROUP_VMALLOC);
	for (u32 round = 0; round < 2; round++)
		for (u32 i = 0; i < nr; i++) {
			say(i, EVENT_NO_CACHE, tag[nr - 1 - i]);
			event_drain(1);
		}
	stop();
	EXPECT_EQ(count(EVENT_NAME_SITE), nr);
	for_each_record(e) {
		if (e->kind == EVENT_NAME_SITE) {
			const struct alloc_site *site = site_of_tag(e->site);

			EXPECT_EQ(named[e->site], 0);
			named[e->site] = 1;
			format_buf(text, sizeof(text), "%s %s:%u", site->function, site->file,
			           site->line);
			expect_name(e, text);
		} else if (e->kind == EVENT_VMALLOC) {
			EXPECT_EQ(named[e->site], 1);
		}
	}
}

/* A number that no call site has is no reason to name one. */
TEST(event_stream, unknown_sites_have_no_name)
{
	u32 tag = TAG_MARK - 1;

	ASSERT_NULL(site_of_tag(tag));
	start(EVENT_GROUP_VMALLOC);
	say(1, EVENT_NO_CACHE, tag);
	say(2, EVENT_NO_CACHE, TAG_MARK + TAG_FIRST_SITE);
	say(3, 999, 0);
	stop();
	EXPECT_EQ(count(EVENT_NAME_SITE), 0);
	EXPECT_EQ(count(EVENT_VMALLOC), 3);
}

/* With nothing of a former stream: the same names again, from number 0 on. */
TEST(event_stream, every_stream_names_for_itself)
{
	u32 tag;

	ASSERT_EQ(some_tags(&tag, 1), 1);
	for (unsigned i = 0; i < 2; i++) {
		start(EVENT_GROUP_VMALLOC | EVENT_GROUP_OBJECTS);
		EXPECT_STREQ(event_cache_name(0), kmem_cache_next(NULL)->name);
		EXPECT_EQ(kmem_cache_next(NULL)->number, 0);
		say(1, 0, tag);
		stop();
		EXPECT_EQ(count(EVENT_NAME_SITE), 1);
		EXPECT_NULL(event_cache_name(0));
	}
}

TEST(event_stream, caches_are_named_with_their_size)
{
	const char longest[] = "a name of thirty-one characters";
	u16 first, second, empty;
	u64 nr = 0;

	EXPECT_EQ(event_name_cache("off", 8), EVENT_NO_CACHE);
	start(EVENT_GROUP_VMALLOC);
	length = 0;
	first = event_name_cache(longest, 48);
	second = event_name_cache("short", 4096);
	empty = event_name_cache("", 1);
	EXPECT_EQ(second, first + 1);
	EXPECT_STREQ(event_cache_name(second), "short");
	EXPECT_NULL(event_cache_name(empty + 1));
	EXPECT_NULL(event_cache_name(EVENT_NO_CACHE));
	say(1, second, 0);
	say(2, first, 0);
	say(3, second, 0);
	say(4, empty, 0);
	stop();
	for_each_record(e) {
		if (e->kind == EVENT_NAME_CACHE) {
			EXPECT_EQ(e->address, e->cache == first    ? 48
			                      : e->cache == second ? 4096
			                                           : 1);
			expect_name(e, e->cache == first    ? longest
			               : e->cache == second ? "short"
			                                    : "");
		} else if (e->kind == EVENT_VMALLOC) {
			EXPECT_EQ(e->address, ++nr);
		}
	}
	EXPECT_EQ(count(EVENT_NAME_CACHE), 3);
	EXPECT_EQ(nr, 4);
}

/* There are so many names and no more. */
TEST(event_stream, names_come_to_an_end)
{
	u16 last = 0, number;

	start(EVENT_GROUP_VMALLOC);
	for (unsigned i = 0; i < 2000; i++) {
		number = event_name_cache("one of many", 8);
		if (number == EVENT_NO_CACHE)
			break;
		last = number;
	}
	EXPECT_EQ(last, 1023);
	EXPECT_EQ(event_name_cache("one more", 8), EVENT_NO_CACHE);
	EXPECT_STREQ(event_cache_name(last), "one of many");
	stop();
}

/* --- words --- */

TEST(event_stream, a_line_for_every_shape)
{
	static const struct {
		struct event e;
		const char *line;
	} cases[] = {
	    {{.kind = EVENT_PAGES_ALLOC, .address = 0x5000, .order = 1, .size = 8192},
	     "pages-alloc 0x5000 order 1, 8192 bytes"},
	    {{.kind = EVENT_PAGES_REFILL, .order = 2, .size = 7},
	     "pages-refill 7 blocks of order 2"},
	    {{.kind = EVENT_MAGAZINE_DRAIN, .size = 9}, "magazine-drain 9 objects"},
	    {{.kind = EVENT_VMALLOC, .address = 0x9000, .size = 77}, "vmalloc 0x9000 77 bytes"},
	    {{.kind = EVENT_RECLAIM, .size = 12}, "reclaim 12"},
	};
	char text[EVENT_TEXT_MAX];
	u32 groups = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		struct event e = cases[i].e;

		e.cache = EVENT_NO_CACHE;
		EXPECT_STREQ(event_text(text, &e), cases[i].line);
	}
	EXPECT_STREQ(event_groups_text(text, 0), "none");
	EXPECT_EQ(event_parse_groups("vmalloc", &groups), 0);
	EXPECT_EQ(groups, EVENT_GROUP_VMALLOC);
	EXPECT_EQ(event_parse_groups("alx", &groups), -EINVAL);
	EXPECT_EQ(event_parse_groups("xyz", &groups), -EINVAL);
	EXPECT_EQ(event_parse_groups("allocs", &groups), -EINVAL);
	EXPECT_EQ(event_parse_groups("all,pages", &groups), 0);
	EXPECT_EQ(groups, EVENT_GROUPS_ALL);
}
#endif
