/*
 * The audit, more closely: maps whose ranges end inside blocks, untouched memory in two extents,
 * sums that are wrong by one at their limits, and every line of the balance. On the host, where
 * machines are made and what is printed can be caught.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <lib/format.h>
#include <mm/audit.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/host/caught_text.h"
#include "tests/model/expect.h"

static struct audit a;
static struct mem_range range[8];
static struct memmap map;

static const struct mem_range memory[] = {{0, 640 * KIB, MEM_USABLE},
                                          {MIB, 63 * MIB, MEM_USABLE},
                                          {4 * GIB, 3 * GIB, MEM_USABLE},
                                          {8 * GIB, 2 * GIB, MEM_USABLE}};
static const struct mm_topology one_node = {.nr_nodes = 1};

static const struct memmap *borrow(void)
{
	return host_machine_borrow(64 * MIB, 1);
}

static void audit(const struct memmap *m)
{
	ASSERT_EQ(audit_take(m, 0, &a), 0);
}

static void one_range(u64 pfn, u64 nr_pages, u32 type)
{
	range[0] = (struct mem_range){pfn << PAGE_SHIFT, nr_pages << PAGE_SHIFT, type};
	map = (struct memmap){.range = range, .nr = 1, .capacity = ARRAY_SIZE(range)};
}

/* --- the walk --- */

TEST(audit_more, untouched_memory_in_two_extents)
{
	const struct memmap *m =
	    host_machine_borrow_nodes(memory, ARRAY_SIZE(memory), &one_node, 1);

	audit(m);
	EXPECT_STREQ(a.fault, "");
	EXPECT_GE(a.pages[AUDIT_UNTOUCHED] << PAGE_SHIFT, 2 * GIB);
	host_machine_return();
}

/* Pages of the map are counted, not those of the block that reaches beyond it. */
TEST(audit_more, ranges_that_end_inside_a_block)
{
	struct page *page = alloc_pages(GFP_KERNEL, 6);

	ASSERT_NOT_NULL(page);
	one_range(page_to_pfn(page), 5, MEM_USABLE);
	audit(&map);
	EXPECT_EQ(a.pages[AUDIT_ALLOCATED], 5);
	EXPECT_EQ(a.usable, 5);
	one_range(page_to_pfn(page) + 61, 3, MEM_USABLE); /* and that begin inside one */
	audit(&map);
	EXPECT_EQ(a.pages[AUDIT_ALLOCATED], 3);
	free_pages(page, 6);
}

/* A type that no map should have is counted as any other, and nowhere else. */
TEST(audit_more, types_beyond_the_table)
{
	one_range(4 * GIB >> PAGE_SHIFT, 77, AUDIT_TYPES);
	audit(&map);
	EXPECT_EQ(a.other, 77);
	EXPECT_EQ(a.usable, 0);
	EXPECT_EQ(a.free_blocks[0][0], 0);
	one_range(4 * GIB >> PAGE_SHIFT, 77, AUDIT_TYPES - 1);
	audit(&map);
	EXPECT_EQ(a.by_type[AUDIT_TYPES - 1], 77);
}

/* --- the sums --- */

static bool fault_begins(const char *with)
{
	return strncmp(a.fault, with, strlen(with)) == 0;
}

TEST(audit_more, free_blocks_of_every_order)
{
	const struct memmap *m = borrow();

	for_each_zone(z) {
		for (unsigned order = 0; order < NR_ORDERS; order++) {
			z->buddy.nr_free_blocks[order]++;
			audit(m);
			EXPECT_TRUE(fault_begins("A2:"));
			z->buddy.nr_free_blocks[order]--;
		}
	}
	audit(m);
	EXPECT_STREQ(a.fault, "");
	host_machine_return();
}

/* All of the allocated pages may be page tables and vmalloc's, and not one more. */
TEST(audit_more, tables_and_vmalloc_are_allocated_pages)
{
	const struct memmap *m = borrow();
	char line[128];
	void *area = vmalloc(10 * PAGE_SIZE);
	u64 all;

	ASSERT_NOT_NULL(area);
	audit(m);
	EXPECT_GE(a.vmalloc, 10);
	all = a.pages[AUDIT_ALLOCATED];
	ASSERT_EQ(audit_take(m, all - a.vmalloc, &a), 0);
	EXPECT_STREQ(a.fault, "");
	ASSERT_EQ(audit_take(m, all - a.vmalloc + 1, &a), 0);
	format_buf(line, sizeof(line),
	           "A6: vmalloc and page tables have %lu pages, and %lu are allocated", all + 1,
	           all);
	EXPECT_STREQ(a.fault, line);
	vfree(area);
	host_machine_return();
}

/* The first call site's objects live as all others. */
TEST(audit_more, objects_of_the_first_call_site)
{
	const struct memmap *m = borrow();
	struct slab_object_info info;
	void *object = kmalloc(100, GFP_KERNEL);
	u64 live;
	u16 *tag, was;

	ASSERT_TRUE(slab_object_of(object, &info));
	audit(m);
	live = a.live;
	tag = &slab_of(object)->tag[info.index];
	was = *tag;
	*tag = TAG_FIRST_SITE;
	audit(m);
	EXPECT_EQ(a.live, live);
	EXPECT_STREQ(a.fault, "");
	*tag = was;
	kfree(object);
	host_machine_return();
}

/* A slab too many here and one too few there: their pages add up, their objects do not. */
TEST(audit_more, slabs_of_each_cache)
{
	const struct memmap *m = borrow();
	struct kmem_cache *c = kmem_cache_create("first", 64, 0, 0, NULL);
	struct kmem_cache *d = kmem_cache_create("second", 64, 0, 0, NULL);
	void *p = kmem_cache_alloc(c, GFP_KERNEL), *q = kmem_cache_alloc(d, GFP_KERNEL);

	ASSERT_TRUE(p != NULL && q != NULL);
	c->nr_slabs++;
	d->nr_slabs--;
	audit(m);
	EXPECT_TRUE(fault_begins("A7: cache first:"));
	c->nr_slabs--;
	d->nr_slabs++;
	audit(m);
	EXPECT_STREQ(a.fault, "");
	host_machine_return();
}

/* Where the objects of one cache are, with magazines in its depot. */
TEST(audit_more, objects_are_somewhere_each)
{
	const struct memmap *m = borrow();
	struct kmem_cache *c = kmem_cache_create("test", 256, 0, SLAB_NO_DEBUG, NULL);
	static void *objects[400];
	struct audit before;
	u64 in_depot;

	ASSERT_NOT_NULL(c);
	audit(m);
	before = a;
	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 400, objects), 400);
	kmem_cache_free_bulk(c, 400, objects);
	audit(m);
	EXPECT_STREQ(a.fault, "");
	in_depot = (u64)c->depot.nr_full * c->capacity;
	ASSERT_LT(0, in_depot);
	EXPECT_EQ(a.in_depots - before.in_depots, in_depot);
	EXPECT_EQ(a.in_magazines - before.in_magazines, magazine_objects(c) - in_depot);
	EXPECT_EQ(a.in_slabs + a.in_magazines + a.in_depots + a.live, a.objects);
	host_machine_return();
}

/* --- the balance, printed --- */

static void expect_line(const char *what, u64 pages)
{
	char line[96], size[16];

	format_buf(line, sizeof(line), "\n  %-28s %12lu %12s\n", what, pages,
	           format_bytes(size, pages << PAGE_SHIFT));
	EXPECT_EQ(strstr(text, line) != NULL, pages != 0);
	if (pages == 0) {
		format_buf(line, sizeof(line), "\n  %-28s ", what);
		EXPECT_NULL(strstr(text, line));
	}
}

/* Each order of which there are free blocks, with their number; at most seven a line. */
static void expect_orders(const struct zone *z)
{
	char head[64], line[512];
	unsigned nr = 0;
	const char *at;
	size_t n;

	format_buf(head, sizeof(head), "\n    free blocks, node %u %s:", z->node, z->name);
	at = strstr(text, head);
	ASSERT_NOT_NULL(at);
	at += strlen(head);
	n = 0;
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		if (a.free_blocks[z->id][order] == 0)
			continue;
		if (nr++ == 7)
			n += format_buf(line + n, sizeof(line) - n, "\n       ");
		n += format_buf(line + n, sizeof(line) - n, " %u:%lu", order,
		                a.free_blocks[z->id][order]);
	}
	format_buf(line + n, sizeof(line) - n, "\n");
	EXPECT_EQ(strncmp(at, line, strlen(line)), 0);
}

TEST(audit_more, every_line_of_the_balance)
{
	const struct memmap *m = borrow();
	struct page *page[40], *gone;
	void *large = kmalloc(50000, GFP_KERNEL), *area = vmalloc(30000);
	char line[160];

	ASSERT_TRUE(large != NULL && area != NULL);
	for (unsigned i = 0; i < ARRAY_SIZE(page); i++) {
		page[i] = alloc_pages(GFP_KERNEL, i % 8);
		ASSERT_NOT_NULL(page[i]);
	}
	gone = page[0];
	for (unsigned i = 0; i < ARRAY_SIZE(page); i += 2) /* free blocks of many orders */
		free_pages(page[i], i % 8);
	drain_cpu_pages();
	ASSERT_EQ(pages_offline(page_to_pfn(gone), 1), 0);
	free_page(alloc_page(GFP_KERNEL));
	ASSERT_EQ(audit_take(m, 3, &a), 0);
	CATCH(EXPECT_EQ(stats_print_audit(m, 3), 0));
	expect_line("free, never handed out", a.pages[AUDIT_UNTOUCHED]);
	expect_line("free", a.pages[AUDIT_FREE]);
	expect_line("in CPU caches", a.pages[AUDIT_CACHED]);
	expect_line("slabs", a.pages[AUDIT_SLAB]);
	expect_line("large kmallocs", a.pages[AUDIT_LARGE]);
	expect_line("vmalloc", a.vmalloc);
	expect_line("page tables", 3);
	expect_line("pages by themselves, stacks", a.pages[AUDIT_ALLOCATED] - a.vmalloc - 3);
	expect_line("offline", 1);
	expect_line("= usable, by the map", a.usable);
	expect_line("= all of the map", a.usable + a.other);
	for (u32 type = MEM_RESERVED; type <= MEM_UNREACHABLE; type++)
		if (a.by_type[type] != 0)
			expect_line(memmap_type_name(type), a.by_type[type]);
	for_each_zone(z)
		expect_orders(z);
	format_buf(
	    line, sizeof(line),
	    "\n  objects: %lu in slabs + %lu in magazines + %lu in depots + %lu live = %lu\n",
	    a.in_slabs, a.in_magazines, a.in_depots, a.live, a.objects);
	EXPECT_TEXT(line);
	host_machine_return();
}
#endif
