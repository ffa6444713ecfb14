/*
 * The checkers of slabs and pages, more closely: each letter of slab_debug= does its own part and
 * no other's; nodes and queues when memory is short; the story to the byte; rules and options at
 * their limits. On the host, where machines are made and no other CPU disturbs.
 */
#if __STDC_HOSTED__
#include "mm/debug/debug_internal.h"

#include <lib/format.h>
#include <mm/bounds.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/told.h"

static struct kmem_cache *debugged(const char *letters, size_t size, unsigned flags,
                                   void (*ctor)(void *object))
{
	struct kmem_cache *c;

	debugged_begin(letters);
	c = kmem_cache_create("debugged", size, 0, flags, ctor);
	debugged_end();
	ASSERT_NOT_NULL(c);
	return c;
}

static char *must_alloc(struct kmem_cache *c)
{
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	ASSERT_NOT_NULL(p);
	return p;
}

static struct object_debug *kept_of(void *object)
{
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(object, &info));
	return slab_object_debug(info.cache, slab_of(object), info.index);
}

static u16 *tag_of(void *object)
{
	struct slab_object_info info;

	ASSERT_TRUE(slab_object_of(object, &info));
	return &slab_of(object)->tag[info.index];
}

/* --- a letter does its own part --- */

/* P alone: what lies behind an object is nobody's to write. */
TEST(debug_more, no_zones_without_Z)
{
	struct kmem_cache *c = debugged("P", 97, 0, NULL);
	char *p = must_alloc(c);

	ASSERT_LT(97, c->stride);
	EXPECT_EQ(c->left_zone, 0);
	(void)plant(p + 97, 0x11);
	kmem_cache_free(c, p);
	EXPECT_EQ(mark_read(p + 97), 0x11);
	EXPECT_TRUE(must_alloc(c) == p);
	EXPECT_EQ(mark_read(p + 97), 0x11);
	slab_debug_resize(slab_of(p), p, 50);
	EXPECT_EQ(slab_debug_size(slab_of(p), p), 97); /* it is not kept to the byte */
	EXPECT_EQ(mark_read(p + 97), 0x11);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Z alone: a free object's contents are left as they are. */
TEST(debug_more, no_poison_without_P)
{
	struct kmem_cache *c = debugged("Z", 96, 0, NULL);
	char *p = must_alloc(c);

	memset(p, 0x55, 96);
	kmem_cache_free(c, p);
	EXPECT_NULL(mark_find_other(p, 0x55, 96));
	(void)plant(p + 7, 0x66);
	EXPECT_TRUE(must_alloc(c) == p); /* nobody minds */
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Without F the neighbours of an object are not looked at, with it they are. */
TEST(debug_more, neighbours_are_looked_at_with_F_alone)
{
	static const char *const letters[] = {"Z", "ZF"};

	for (unsigned i = 0; i < 2; i++) {
		struct kmem_cache *c = debugged(letters[i], 96, 0, NULL);
		char *p = must_alloc(c), *q = must_alloc(c);
		u8 was = plant(q + 96, 0x11);

		ASSERT_TRUE(slab_of(p) == slab_of(q));
		if (i == 0) {
			kmem_cache_free(c, p);
			p = must_alloc(c);
		} else {
			EXPECT_PANIC("BUG: right red zone overwritten in debugged",
			             kmem_cache_free(c, p));
		}
		(void)plant(q + 96, was);
		kmem_cache_free(c, p);
		kmem_cache_free(c, q);
		EXPECT_EQ(kmem_cache_destroy(c), 0);
	}
}

TEST(debug_more, no_stacks_without_U)
{
	struct stack_depot former = stack_depot;
	struct stack_depot_stats s;
	struct kmem_cache *c;
	char *p;

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	c = debugged("ZPF", 96, 0, NULL);
	p = must_alloc(c);
	EXPECT_EQ(kept_of(p)->alloc_stack, 0);
	kmem_cache_free(c, p);
	EXPECT_EQ(kept_of(p)->free_stack, 0);
	stack_depot_stats(&s);
	EXPECT_EQ(s.nr_stacks + s.nr_hits + s.nr_lost, 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	stack_depot_destroy();
	stack_depot = former;
}

static void construct(void *object)
{
	memset(object, 'c', 96);
}

TEST(debug_more, what_changed_is_said)
{
	struct kmem_cache *c = debugged("ZP", 96, 0, construct), *d = debugged("ZP", 96, 0, NULL);
	char *p = must_alloc(c), *q = must_alloc(d);

	kmem_cache_free(c, p);
	(void)plant(p + 50, 'd');
	EXPECT_PANIC("its contents have changed", (void)must_alloc(c));
	EXPECT_BROKEN(kmem_cache_check(c), "D2: a free object was written");
	(void)plant(p + 50, 'c');
	EXPECT_SOUND(kmem_cache_check(c));
	(void)plant(q + 96, 1);
	EXPECT_BROKEN(kmem_cache_check(d), "D1: a red zone was written");
	(void)plant(q + 96, RED_ACTIVE);
	EXPECT_SOUND(kmem_cache_check(d));
	kmem_cache_free(d, q);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_EQ(kmem_cache_destroy(d), 0);
}

/* The first call site's objects are live like all others: everywhere. */
TEST(debug_more, objects_of_the_first_call_site)
{
	struct kmem_cache *c = debugged("ZPF", 96, 0, NULL);
	char *p = must_alloc(c);

	*tag_of(p) = TAG_FIRST_SITE;
	memset(p, 1, 96);
	EXPECT_SOUND(kmem_cache_check(c));
	EXPECT_NULL(object_bounds_fault(p, 96));
	EXPECT_NULL(object_bounds_fault(p + 96, 0));
	kmem_cache_free(c, p);
	EXPECT_EQ(*tag_of(p), TAG_IN_SLAB);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(debug_more, allocations_and_frees_are_events)
{
	struct kmem_cache *c = debugged("ZP", 96, 0, NULL);
	struct event last[3];
	char *p;

	ASSERT_EQ(event_start(&(struct event_options){.groups = EVENT_GROUP_OBJECTS,
	                                              .nr_records = EVENT_RING_MIN}),
	          0);
	p = must_alloc(c);
	kmem_cache_free(c, p);
	EXPECT_EQ(event_last(last, 3), 2);
	EXPECT_EQ(last[0].kind, EVENT_OBJECT_ALLOC);
	EXPECT_EQ(last[0].size, 96);
	EXPECT_EQ(last[1].kind, EVENT_OBJECT_FREE);
	EXPECT_EQ(last[1].size, 96);
	EXPECT_EQ(last[1].address, (u64)p);
	EXPECT_EQ(last[0].site, last[1].site);
	EXPECT_EQ(event_stop(), 0);
	event_release();
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Empty slabs go, as those of other caches. */
TEST(debug_more, empty_slabs_go)
{
	static void *objects[1000];
	struct kmem_cache *c = debugged("Z", 500, 0, NULL);
	struct kmem_cache_stats s;
	u64 most;

	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		objects[i] = must_alloc(c);
	kmem_cache_stats(c, &s);
	most = s.nr_slabs;
	for (unsigned i = 0; i < ARRAY_SIZE(objects); i++)
		kmem_cache_free(c, objects[i]);
	kmem_cache_stats(c, &s);
	EXPECT_EQ(s.nr_live, 0);
	EXPECT_LT(s.nr_slabs, most / 4);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- CPUs, nodes, and memory that is short --- */

TEST(debug_more, which_cpu_allocated_it)
{
	struct kmem_cache *c;
	char *p;

	host_machine_borrow(64 * MIB, 3);
	c = debugged("Z", 96, 0, NULL);
	host_cpu_enter(2);
	p = must_alloc(c);
	host_cpu_enter(0);
	EXPECT_EQ(kept_of(p)->alloc_cpu, 2);
	host_machine_return();
}

static const struct mem_range memory[] = {{0, 128 * MIB, MEM_USABLE}};
static const struct mm_topology two_nodes = {
    .nr_nodes = 3, .nr_ranges = 1, .range = {{64 * MIB, 64 * MIB, 1}}};

static unsigned node_of(const void *p)
{
	return page_zone(virt_to_page(p))->node;
}

/* From the node that was asked for; from any when it has no memory. */
TEST(debug_more, objects_of_a_node)
{
	struct kmem_cache *c;
	char *p;

	host_machine_borrow_nodes(memory, 1, &two_nodes, 1);
	c = debugged("Z", 500, 0, NULL);
	for (unsigned i = 0; i < 40; i++)
		for (unsigned node = 0; node < 2; node++) {
			p = kmem_cache_alloc_node(c, GFP_KERNEL, node);
			ASSERT_NOT_NULL(p);
			EXPECT_EQ(node_of(p), node);
		}
	p = kmem_cache_alloc_node(c, GFP_KERNEL, 2);
	EXPECT_NOT_NULL(p);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

static void fail_pages(const char *rule_text)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(INJECT_PAGES, rule_text, &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, &rule), 0);
}

/* What waits in the queue is given out before an allocation fails, and only then does it. */
TEST(debug_more, a_queue_is_emptied_when_memory_is_short)
{
	struct kmem_cache *c = debugged("Q", 1000, 0, NULL);
	char *p = must_alloc(c), *q[64];
	unsigned nr = 0;

	kmem_cache_free(c, p);
	EXPECT_EQ(quarantine_count(c), 1);
	fail_pages("");
	while (nr < ARRAY_SIZE(q) && (q[nr] = kmem_cache_alloc(c, GFP_NOWAIT | __GFP_NOWARN)))
		nr++;
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
	ASSERT_TRUE(nr > 0 && nr < ARRAY_SIZE(q));
	EXPECT_TRUE(q[nr - 1] == p);
	EXPECT_EQ(quarantine_count(c), 0);
	EXPECT_FALSE(quarantine_drain(c));
	while (nr > 0)
		kmem_cache_free(c, q[--nr]);
	EXPECT_TRUE(quarantine_drain(c));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* On a node without memory, and then on any: it ends. */
TEST(debug_more, no_memory_on_any_node)
{
	struct kmem_cache *c = debugged("Z", 1000, 0, NULL);

	fail_pages("");
	EXPECT_NULL(kmem_cache_alloc_node(c, GFP_NOWAIT | __GFP_NOWARN, 0));
	EXPECT_NULL(kmem_cache_alloc(c, GFP_NOWAIT | __GFP_NOWARN));
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Objects that are with their zones more than a queue's bytes: one waits. */
TEST(debug_more, a_queue_has_a_place_at_least)
{
	struct kmem_cache *c = debugged("ZQ", SLAB_MAX_SIZE, 0, NULL);
	char *p = must_alloc(c);

	kmem_cache_free(c, p);
	EXPECT_EQ(c->quarantine->limit, 1);
	EXPECT_EQ(quarantine_count(c), 1);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* Who is passed on has waited behind all that came before; a place that is left leads nowhere. */
TEST(debug_more, a_queue_of_a_cache_that_is_not_debugged)
{
	struct kmem_cache *c = kmem_cache_create("queued", 64, 0, SLAB_NO_DEBUG, NULL);
	static struct quarantine own;
	struct quarantine *former;
	struct magazine_slot slot;
	u16 tag[3];

	ASSERT_NOT_NULL(c);
	former = c->quarantine;
	own = (struct quarantine){.limit = 2};
	c->quarantine = &own;
	for (unsigned i = 0; i < 3; i++) {
		slot = (struct magazine_slot){(char *)tag + i, &tag[i]};
		EXPECT_EQ(quarantine_pass(c, &slot), i == 2);
	}
	EXPECT_TRUE(slot.object == (char *)tag && slot.tag == &tag[0]);
	EXPECT_NULL(own.slot[0].object);
	EXPECT_EQ(own.nr, 2);
	quarantine_is_paused = true;
	EXPECT_TRUE(quarantine_pass(c, &slot));
	EXPECT_TRUE(slot.object == (char *)tag);
	quarantine_is_paused = false;
	c->quarantine = NULL;
	EXPECT_TRUE(quarantine_pass(c, &slot));
	EXPECT_TRUE(slot.object == (char *)tag);
	c->quarantine = former;
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- the story --- */

/* The lines around a byte of a page, two before and three behind, all in the page. */
static void expect_memory(const u8 *page, u64 offset)
{
	u64 line = offset / 16, from = line > 2 ? line - 2 : 0, to = min_u64(line + 4, 256);
	char lines[1024];
	size_t n =
	    format_buf(lines, sizeof(lines), "memory around %p:\n", (const void *)(page + offset));

	tell(page + offset);
	for (u64 i = from; i < to; i++) {
		n += format_buf(lines + n, sizeof(lines) - n,
		                "  %p:", (const void *)(page + 16 * i));
		for (unsigned k = 0; k < 16; k++)
			n += format_buf(lines + n, sizeof(lines) - n, " %02x ", page[16 * i + k]);
		n += format_buf(lines + n, sizeof(lines) - n, "\n");
	}
	format_buf(lines + n, sizeof(lines) - n, "more: ");
	EXPECT_TOLD(lines);
}

TEST(debug_more, the_memory_around_an_address)
{
	static const u64 offsets[] = {0, 16, 35, 50, 1000, 4000, 4063, 4095};
	struct page *page = alloc_page(GFP_KERNEL);
	char line[96];
	u8 *p;

	ASSERT_NOT_NULL(page);
	p = page_address(page);
	for (unsigned i = 0; i < PAGE_SIZE; i++)
		p[i] = (u8)(i * 7 + i / 256);
	for (unsigned i = 0; i < ARRAY_SIZE(offsets); i++)
		expect_memory(p, offsets[i]);
	format_buf(line, sizeof(line),
	           "page frame %#x: allocated, in a block of 1 pages at frame %#x\n",
	           page_to_pfn(page), page_to_pfn(page));
	EXPECT_TOLD(line);
	free_page(page);
}

static void expect_stack(const char *what, u32 number)
{
	char lines[1024];
	const u64 *frames;
	size_t nr = stack_depot_get(number, &frames), n;

	n = format_buf(lines, sizeof(lines), "\n  %s\n", what);
	ASSERT_LT(0, nr);
	for (size_t i = 0; i < nr; i++)
		n += format_buf(lines + n, sizeof(lines) - n, "    %#lx\n", frames[i]);
	EXPECT_TOLD(lines);
}

TEST(debug_more, whose_an_object_was)
{
	struct stack_depot former = stack_depot;
	struct kmem_cache *c, *plain = kmem_cache_create("plain", 64, 0, SLAB_NO_DEBUG, NULL);
	char line[160], site[96], *p, *q;
	u16 tag;

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	c = debugged("ZPU", 96, 0, NULL);
	p = must_alloc(c);
	tag = *tag_of(p);
	host_milliseconds += 9;
	tell(p + 5);
	format_buf(line, sizeof(line),
	           "state: allocated by %s, allocated on CPU 0, 9 ms ago\n  allocated at:\n",
	           site_name(site, tag));
	EXPECT_TOLD(line);
	expect_stack("allocated at:", kept_of(p)->alloc_stack);
	EXPECT_NULL(strstr(told.text, "freed"));
	*tag_of(p) = kept_of(p)->last_tag = TAG_FIRST_SITE; /* the first one too */
	tell(p);
	EXPECT_TOLD("state: allocated by ");
	EXPECT_TOLD(", allocated on CPU 0, 9 ms ago\n");
	kmem_cache_free(c, p);
	tell(p);
	format_buf(line, sizeof(line),
	           "state: free, in its slab, before by %s, allocated on CPU 0, freed 0 ms ago\n",
	           site_name(site, TAG_FIRST_SITE));
	EXPECT_TOLD(line);
	expect_stack("freed at:", kept_of(p)->free_stack);
	kept_of(p)->last_tag = 0; /* as one that was never allocated */
	tell(p);
	EXPECT_TOLD("state: free, in its slab\n");
	q = must_alloc(plain);
	tell(q);
	format_buf(line, sizeof(line), "state: allocated by %s\nmemory around ",
	           site_name(site, *tag_of(q)));
	EXPECT_TOLD(line);
	kmem_cache_free(plain, q);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	EXPECT_EQ(kmem_cache_destroy(plain), 0);
	stack_depot_destroy();
	stack_depot = former;
	host_milliseconds = 0;
}

/* The left zone of an object is its own, its first byte too. */
TEST(debug_more, whose_the_bytes_between_objects_are)
{
	struct kmem_cache *c = debugged("Z", 96, 0, NULL);
	char *p = must_alloc(c), *q = must_alloc(c), *second = p < q ? q : p, line[64];

	tell(second - 1);
	format_buf(line, sizeof(line), "object %p-1: ", (void *)second);
	EXPECT_TOLD(line);
	tell(second);
	format_buf(line, sizeof(line), "object %p+0: ", (void *)second);
	EXPECT_TOLD(line);
	tell(second + 40);
	format_buf(line, sizeof(line), "object %p+40: ", (void *)second);
	EXPECT_TOLD(line);
	kmem_cache_free(c, p);
	kmem_cache_free(c, q);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- marks --- */

TEST(debug_more, marks_of_every_length_and_alignment)
{
	static u64 words[8];
	u8 *at = (u8 *)words;

	for (size_t start = 1; start < 17; start++)
		for (size_t n = 0; n < 40; n++) {
			memset(words, 0, sizeof(words));
			mark_fill(at + start, 0xbb, n);
			EXPECT_NULL(mem_find_other(at, 0, start));
			EXPECT_NULL(mem_find_other(at + start, 0xbb, n));
			EXPECT_EQ(at[start + n], 0);
			EXPECT_NULL(mark_find_other(at + start, 0xbb, n));
			EXPECT_TRUE(mark_find_other(at + start, 0xbb, n + 1) == at + start + n);
			EXPECT_TRUE(mark_find_other(at + start - 1, 0xbb, n + 1) == at + start - 1);
		}
}

/* As published: 0x811c9dc5 for no bytes; "a", "foobar" (Fowler, Noll and Vo, FNV-1a). */
TEST(debug_more, sums_are_those_of_fnv)
{
	EXPECT_EQ(mark_sum("", 0), 0x811c9dc5);
	EXPECT_EQ(mark_sum("a", 1), 0xe40c292c);
	EXPECT_EQ(mark_sum("foobar", 6), 0xbf9cf968);
}

/* --- options and rules at their limits --- */

TEST(debug_more, letters_and_names_at_their_limits)
{
	const char *name32 = "abcdefghijklmnopqrstuvwxyzabcdef";
	struct mm_debug_choice run = mm_debug_choice(), chosen;

	EXPECT_EQ(slab_debug_letters("P,a", "P"), 0); /* letters are no names */
	EXPECT_EQ(slab_debug_letters("P,a", ""), 0);
	EXPECT_EQ(slab_debug_letters("P,", ""), 0);
	EXPECT_EQ(slab_debug_letters("P,a;Z", "a;Z"), DEBUG_RED_ZONE);
	EXPECT_EQ(slab_debug_letters("P,abcdefghijklmnopqrstuvwxyzabcdef", name32), 0);
	mm_debug_configure("P,a;Z,b", true, false);
	mm_debug_page_red_zones(!run.page_red_zones);
	EXPECT_TRUE(mm_debug_wants(DEBUG_POISON));
	EXPECT_TRUE(mm_debug_wants(DEBUG_RED_ZONE));
	chosen = mm_debug_choice();
	EXPECT_STREQ(chosen.text, "P,a;Z,b");
	EXPECT_EQ(chosen.page_red_zones, !run.page_red_zones);
	mm_debug_choose(&run);
	EXPECT_STREQ(mm_debug_choice().text, run.text);
	EXPECT_EQ(mm_debug_choice().init_on_alloc, run.init_on_alloc);
	mm_debug_page_red_zones(run.page_red_zones);
	mm_debug_configure("P;;U", false, false);
	EXPECT_TRUE(mm_debug_wants(DEBUG_OWNER));
	mm_debug_choose(&run);
}

static bool reads(enum inject_point point, const char *text, struct inject_rule *rule)
{
	char why[INJECT_WHY_MAX];

	return inject_parse(point, text, rule, why) == 0;
}

TEST(debug_more, rules_at_their_limits)
{
	struct inject_rule r;

	EXPECT_TRUE(reads(INJECT_OBJECTS, "", &r));
	EXPECT_EQ(r.seed, 1);
	EXPECT_TRUE(reads(INJECT_OBJECTS, "probability=100,seed=0", &r));
	EXPECT_EQ(r.probability, 100);
	EXPECT_FALSE(reads(INJECT_OBJECTS, "probability=101", &r));
	EXPECT_FALSE(reads(INJECT_OBJECTS, "times=1K", &r));
	EXPECT_TRUE(reads(INJECT_PAGES, "order=18", &r));
	EXPECT_EQ(r.min_order, 18);
	EXPECT_TRUE(reads(INJECT_OBJECTS, "cache=0123456789012345678901234567890", &r));
	EXPECT_FALSE(reads(INJECT_OBJECTS, "cache=01234567890123456789012345678901", &r));
}

/* The first that may fail is the interval-th after those that are left out. */
TEST(debug_more, failures_by_interval_after_some)
{
	struct inject_rule rule;
	struct inject_stats s;
	u32 failed = 0;

	ASSERT_TRUE(reads(INJECT_OBJECTS, "interval=3,after=4,cache=kmalloc-*", &rule));
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	for (unsigned i = 1; i <= 12; i++) {
		void *p = kmalloc(100, GFP_KERNEL);

		failed |= (u32)(p == NULL) << i;
		kfree(p);
	}
	inject_stats(INJECT_OBJECTS, &s);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	EXPECT_EQ(failed, 1u << 7 | 1u << 10);
	EXPECT_TRUE(s.nr_asked >= 12 && s.nr_asked < 40);
	EXPECT_EQ(s.nr_failed, 2);
}

TEST(debug_more, failures_of_names_of_one_letter)
{
	struct kmem_cache *c = kmem_cache_create("x", 100, 0, SLAB_NO_DEBUG, NULL);
	struct inject_rule rule;
	void *p;

	ASSERT_NOT_NULL(c);
	ASSERT_TRUE(reads(INJECT_OBJECTS, "cache=y", &rule));
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_NOT_NULL(p);
	kmem_cache_free(c, p);
	ASSERT_TRUE(reads(INJECT_OBJECTS, "site=y", &rule));
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	EXPECT_NOT_NULL(p);
	kmem_cache_free(c, p);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- bounds --- */

TEST(debug_more, bounds_to_the_byte)
{
	struct kmem_cache *c = debugged("U", 96, 0, NULL); /* keeps no sizes to the byte */
	char *p = must_alloc(c);

	EXPECT_NULL(object_bounds_fault(p + 95, 1));
	EXPECT_STREQ(object_bounds_fault(p + 95, 2), "past the end of the object");
	EXPECT_NULL(object_bounds_fault((void *)-8ul, 0));
	EXPECT_STREQ(object_bounds_fault((void *)-8ul, 9), "around the end of all addresses");
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* A range of several blocks may be copied as one, and no byte behind its last block. */
TEST(debug_more, copies_over_several_blocks)
{
	struct page *range = alloc_contig_pages(5, 8, GFP_KERNEL), *behind;
	char *p;

	ASSERT_NOT_NULL(range);
	p = page_address(range);
	behind = range + 5; /* of the hole behind it */
	check_copy_slowly(p, 5 * PAGE_SIZE);
	check_copy_slowly(p + 100, 5 * PAGE_SIZE - 100);
	check_copy_slowly(p + 3 * PAGE_SIZE, 2 * PAGE_SIZE);
	if (behind->type == PAGE_FREE)
		EXPECT_PANIC("BUG: ", check_copy_slowly(p, 5 * PAGE_SIZE + 1));
	free_contig_pages(range, 5);
}

/* --- pages --- */

/* Another choice at the next start, and none of the former's. */
TEST(debug_more, pages_begin_anew)
{
	struct mm_debug_choice run = mm_debug_choice();

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	mm_debug_configure(NULL, false, false);
	mm_debug_page_red_zones(true);
	page_debug_init();
	EXPECT_TRUE(page_gaps_on && page_debug_on);
	page_debug_finish();
	EXPECT_FALSE(page_gaps_on || page_debug_on);
	mm_debug_page_red_zones(false);
	page_debug_init();
	EXPECT_FALSE(page_gaps_on || page_debug_on);
	page_debug_finish();
	mm_debug_choose(&run);
}
#endif
