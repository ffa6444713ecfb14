/*
 * What the reports for people say, read back and compared with the state that they describe. The
 * map is held against one that is put together page by page. On the host only, where standard
 * output can be caught; in the kernel the monitor's tests read the serial port.
 */
#if __STDC_HOSTED__
#include "mm/slab_internal.h"

#include <mm/mm.h>
#include <stdio.h>
#include <stdlib.h>
#include <tests/host/machine.h>

#include "tests/model/hoard.h"
#include "tests/test.h"

#define TEXT_SIZE (64 * 1024)

static char text[TEXT_SIZE]; /* the last report */
static FILE *terminal;

static void catch_begin(void)
{
	memset(text, 0, sizeof(text));
	terminal = stdout;
	stdout = fmemopen(text, sizeof(text), "w");
}

static void catch_end(void)
{
	fclose(stdout);
	stdout = terminal;
}

#define CATCH(statement)               \
	({                             \
		catch_begin();         \
		statement;             \
		catch_end();           \
		EXPECT_NE(text[0], 0); \
	})

/* What follows the words, wherever they stand; "" when they do not. */
static const char *after(const char *words)
{
	const char *found = strstr(text, words);

	if (found == NULL)
		test_note("the report lacks \"%s\"", words);
	EXPECT_NOT_NULL(found);
	return found ? found + strlen(words) : "";
}

static unsigned count_lines(void)
{
	unsigned n = 0;

	for (const char *p = text; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

static void expect_pages(const char *label, u64 pages)
{
	unsigned long printed = 0;
	char size[16], unit[8] = "", number[12] = "", both[24];

	EXPECT_EQ(sscanf(after(label), "%lu pages %11s %7s", &printed, number, unit), 3);
	EXPECT_EQ(printed, pages);
	format_buf(both, sizeof(both), "%s %s", number, unit);
	EXPECT_STREQ(both, format_bytes(size, pages << PAGE_SHIFT));
}

TEST(stats_text, mem_prints_the_usage)
{
	char *large = kmalloc(100000, GFP_KERNEL), *small = kmalloc(100, GFP_KERNEL);
	struct page *block = alloc_pages(GFP_KERNEL, 5);
	unsigned long objects = 0, failures = 0;
	struct mm_usage u;

	EXPECT_NULL(alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_DMA, MAX_ORDER));
	mm_usage(&u);
	CATCH(stats_print_mem());
	expect_pages("managed ", u.managed_pages);
	expect_pages("free ", u.free_pages);
	expect_pages("in CPU caches ", u.cached_pages);
	expect_pages("used ", u.used_pages);
	expect_pages("slabs and their records ", u.slab_pages);
	expect_pages("large kmallocs ", u.large_pages);
	expect_pages("other ", u.used_pages - u.slab_pages - u.large_pages);
	expect_pages("peak used ", u.peak_used_pages);
	EXPECT_EQ(sscanf(after("live objects"), "%lu", &objects), 1);
	EXPECT_EQ(objects, u.live_objects);
	EXPECT_EQ(sscanf(after("failed page allocations"), "%lu", &failures), 1);
	EXPECT_EQ(failures, page_alloc_failures());
	EXPECT_GT(failures, 0);
	EXPECT_GE(u.large_pages, 25);
	free_pages(block, 5);
	kfree(large);
	kfree(small);
}

TEST(stats_text, zones_print_a_line_each)
{
	const char *line;
	unsigned nr = 0;

	CATCH(stats_print_zones());
	line = strchr(text, '\n') + 1;
	for_each_zone(z) {
		const struct buddy *b = &z->buddy;
		char expected[128], managed[16], free_bytes[16];
		const char *end = strchr(line, '\n');

		format_buf(expected, sizeof(expected),
		           "%4u %-6s %-10s %-10s %#-10x %#-10x %7lu %7lu %7lu", z->node, z->name,
		           format_bytes(managed, b->nr_managed_pages * PAGE_SIZE),
		           format_bytes(free_bytes, b->nr_free_pages * PAGE_SIZE), b->low, b->high,
		           b->nr_splits, b->nr_merges, z->nr_lock_acquisitions);
		ASSERT_NOT_NULL(end);
		EXPECT_EQ(end - line, strlen(expected));
		EXPECT_EQ(strncmp(line, expected, strlen(expected)), 0);
		line = end + 1;
		nr++;
	}
	EXPECT_EQ(strncmp(line, "in pages ", 9), 0);
	line = strchr(line, '\n') + 1;
	for_each_zone(z) {
		unsigned long free, min, low, high, kept;

		EXPECT_EQ(
		    sscanf(line, "%*u %*s %lu %lu %lu %lu %lu", &free, &min, &low, &high, &kept),
		    5);
		EXPECT_EQ(free, zone_free_pages(z));
		EXPECT_EQ(min, z->mark[MARK_MIN]);
		EXPECT_EQ(low, z->mark[MARK_LOW]);
		EXPECT_EQ(high, z->mark[MARK_HIGH]);
		EXPECT_EQ(kept + min, z->floor[DEPTH_ORDINARY][ZONE_NORMAL]);
		line = strchr(line, '\n') + 1;
	}
	EXPECT_EQ(count_lines(), 2 * nr + 2);
}

/* Free pages that lie in blocks smaller than this order, per mille of all, frame by frame. */
static u64 unusable(unsigned order)
{
	u64 total = 0, small = 0;

	for_each_zone(z)
		for (u64 pfn = z->buddy.low, nr; pfn < z->buddy.high; pfn += nr) {
			const struct page *head = page_block_of(pfn);
			bool untouched = zone_of_untouched(pfn) != NULL;
			bool is_free = untouched || (head != NULL && head->type == PAGE_FREE);

			nr = untouched ? 1u << MAX_ORDER : is_free ? page_block_pages(head) : 1;
			total += is_free ? nr : 0;
			small += is_free && !untouched && head->order < order ? nr : 0;
		}
	return total == 0 ? 1000 : small * 1000 / total;
}

static void expect_buddyinfo_line(const char *line, unsigned order)
{
	unsigned long value, whole = 0, tenth = 0;
	char size[16];
	int at = 0;

	EXPECT_EQ(sscanf(line, "%lu%n", &value, &at), 1);
	EXPECT_EQ(value, order);
	format_bytes(size, PAGE_SIZE << order);
	EXPECT_EQ(strncmp(line + at + 1, size, strlen(size)), 0);
	line += at + 9;
	for_each_zone(z) {
		EXPECT_EQ(sscanf(line, "%lu%n", &value, &at), 1);
		EXPECT_EQ(value, z->buddy.nr_free_blocks[order]);
		line += at;
	}
	EXPECT_EQ(sscanf(line, "%lu.%lu %%", &whole, &tenth), 2);
	EXPECT_EQ(whole * 10 + tenth, unusable(order));
}

static void expect_buddyinfo_head(void)
{
	const char *line = text;
	char column[32];

	EXPECT_EQ(strncmp(line, "order block   ", 14), 0);
	line += 14;
	for_each_zone(z) {
		format_buf(column, sizeof(column), " %u:%-7s", z->node, z->name);
		EXPECT_EQ(strncmp(line, column, strlen(column)), 0);
		line += strlen(column);
	}
	EXPECT_EQ(strncmp(line, "  too small for it\n", 19), 0);
}

static void check_buddyinfo(void)
{
	const char *line = text;

	CATCH(stats_print_buddyinfo());
	expect_buddyinfo_head();
	EXPECT_EQ(count_lines(), NR_ORDERS + 1);
	for (unsigned order = 0; order < NR_ORDERS; order++) {
		line = strchr(line, '\n') + 1;
		expect_buddyinfo_line(line, order);
	}
}

TEST(stats_text, buddyinfo_counts_blocks_and_what_is_too_small)
{
	struct page *held[40];

	for (unsigned i = 0; i < ARRAY_SIZE(held); i++)
		held[i] = alloc_pages(GFP_KERNEL, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(held); i += 2)
		free_pages(held[i], 4);
	check_buddyinfo();
	for (unsigned i = 1; i < ARRAY_SIZE(held); i += 2)
		free_pages(held[i], 4);
	check_buddyinfo();
}

TEST(stats_text, slabinfo_prints_a_line_each_cache)
{
	struct kmem_cache *c = kmem_cache_create("read-back", 200, 0, 0, NULL);
	unsigned long n[8] = {0};
	unsigned nr = 0;
	struct kmem_cache_stats s;
	void *object[30];

	ASSERT_NOT_NULL(c);
	for (unsigned i = 0; i < ARRAY_SIZE(object); i++)
		object[i] = kmem_cache_alloc(c, GFP_KERNEL);
	kmem_cache_free(c, object[0]);
	kmem_cache_stats(c, &s);
	CATCH(stats_print_slabinfo());
	for (struct kmem_cache *i = kmem_cache_next(NULL); i != NULL; i = kmem_cache_next(i))
		nr++;
	EXPECT_EQ(count_lines(), nr + 1);
	EXPECT_EQ(sscanf(after("\nread-back"), "%lu %lu %lu %lu %lu %lu %lu %lu", &n[0], &n[1],
	                 &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]),
	          8);
	EXPECT_EQ(n[0], 200);
	EXPECT_EQ(n[1], 29);
	EXPECT_EQ(n[2], s.nr_cached);
	EXPECT_EQ(n[3], s.nr_in_slab);
	EXPECT_EQ(n[4], s.nr_slabs);
	EXPECT_EQ(n[5], s.nr_empty_slabs);
	EXPECT_EQ(n[6], s.objects_per_slab);
	EXPECT_EQ(n[7], s.pages_per_slab);
	for (unsigned i = 1; i < ARRAY_SIZE(object); i++)
		kmem_cache_free(c, object[i]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* The number in the column that begins so many words behind the name, of each line. */
static void expect_falling(unsigned words)
{
	u64 former = UINT64_MAX;

	for (const char *line = strchr(text, '\n'); line != NULL && line[1] != '\0';
	     line = strchr(line + 1, '\n')) {
		char *end = strchr(line, ' ');
		u64 n = 0;

		for (unsigned i = 0; i < words; i++)
			n = strtoul(end, &end, 10);
		EXPECT_LE(n, former);
		former = n;
	}
}

TEST(stats_text, slabinfo_is_sorted_by_any_column)
{
	static const char *const columns[] = {"size",  "live",  "cached", "free",
	                                      "slabs", "empty", "objs",   "pages"};
	struct kmem_cache *b = kmem_cache_create("b-equal", 5000, 0, 0, NULL);
	struct kmem_cache *a = kmem_cache_create("a-equal", 5000, 0, 0, NULL);
	unsigned nr_lines;

	CATCH(stats_print_slabinfo());
	nr_lines = count_lines();
	for (unsigned i = 0; i < ARRAY_SIZE(columns); i++) {
		CATCH(EXPECT_EQ(stats_print_slabinfo_by(columns[i]), 0));
		EXPECT_EQ(count_lines(), nr_lines);
		if (i != 1 && i != 2 && i != 3) /* what sorting itself allocates changes these */
			expect_falling(i + 1);
		EXPECT_LT(strstr(text, "a-equal"), strstr(text, "b-equal"));
	}
	CATCH(EXPECT_EQ(stats_print_slabinfo_by("cache"), 0));
	EXPECT_LT(strstr(text, "kmalloc-1024 "), strstr(text, "kmalloc-16 "));
	CATCH(EXPECT_EQ(stats_print_slabinfo_by("bytes"), 0));
	EXPECT_EQ(count_lines(), nr_lines);
	EXPECT_EQ(stats_print_slabinfo_by("colour"), -EINVAL);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
}

TEST(stats_text, slabinfo_without_memory_to_sort_in)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(INJECT_OBJECTS, "interval=1", &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, &rule), 0); /* of many caches it is a large kmalloc */
	EXPECT_EQ(stats_print_slabinfo_by("size"), -ENOMEM);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
}

TEST(stats_text, the_cache_of_a_page)
{
	struct kmem_cache *c = kmem_cache_create("named", 200, 0, 0, NULL);
	void *p = kmem_cache_alloc(c, GFP_KERNEL);
	struct page *page = alloc_pages(GFP_KERNEL, 0);

	ASSERT_NOT_NULL(p);
	ASSERT_NOT_NULL(page);
	EXPECT_STREQ(mm_cache_at(virt_to_phys(p) >> PAGE_SHIFT), "named");
	EXPECT_NULL(mm_cache_at(page_to_pfn(page)));
	EXPECT_NULL(mm_cache_at(1ull << 40));
	free_pages(page, 0);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(stats_text, vmeminfo_prints_a_line_each_arena)
{
	struct vmem *v =
	    vmem_create("read-back", 0x1000, 0x10000, 0x1000, NULL, NULL, NULL, 0, GFP_KERNEL);
	unsigned long n[8] = {0};
	unsigned nr = 0;
	u64 addr;

	ASSERT_NOT_NULL(v);
	addr = vmem_alloc(v, 0x3000, GFP_KERNEL);
	EXPECT_EQ(vmem_alloc(v, 0x20000, GFP_KERNEL), 0);
	CATCH(stats_print_vmeminfo());
	for (struct vmem *i = vmem_next(NULL); i != NULL; i = vmem_next(i))
		nr++;
	EXPECT_EQ(count_lines(), nr + 1);
	EXPECT_EQ(sscanf(after("\nread-back"), "%lx %lx %lx %lx %lu %lu %lu %lu", &n[0], &n[1],
	                 &n[2], &n[3], &n[4], &n[5], &n[6], &n[7]),
	          8);
	EXPECT_EQ(n[0], 0x1000);
	EXPECT_EQ(n[1], 0x10000);
	EXPECT_EQ(n[2], 0x3000);
	EXPECT_EQ(n[3], 0);
	EXPECT_EQ(n[4], 1);
	EXPECT_EQ(n[5], 1);
	EXPECT_EQ(n[6], 1);
	EXPECT_EQ(n[7], 1);
	vmem_free(v, addr, 0x3000);
	EXPECT_EQ(vmem_destroy(v), 0);
}

TEST(stats_text, sites_print_objects_and_bytes)
{
	char *p[3], name[96], expected[128];
	struct slab_object_info info;

	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = kmalloc(112, GFP_KERNEL);
	ASSERT_TRUE(slab_object_of(p[0], &info));
	CATCH(stats_print_sites());
	format_buf(expected, sizeof(expected), "%10s %12s  %s\n", "objects", "bytes", "call site");
	EXPECT_EQ(strncmp(text, expected, strlen(expected)), 0);
	format_buf(expected, sizeof(expected), "%10u %12u  %s\n", 3, 3 * 112,
	           site_name(name, info.tag));
	after(expected);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		kfree(p[i]);
}

/* --- One page --- */

TEST(stats_text, page_of_a_block)
{
	struct page *block = alloc_pages(GFP_KERNEL, 4);
	u64 pfn = page_to_pfn(block);
	char expected[128];

	CATCH(stats_print_page(pfn));
	format_buf(expected, sizeof(expected), "page frame %#lx, physical %#lx, address %p\n", pfn,
	           pfn * PAGE_SIZE, page_address(block));
	after(expected);
	after("  type allocated\n");
	format_buf(expected, sizeof(expected),
	           "  block of 16 pages (64 KiB) at %#lx, order 4, node 0, zone %s\n",
	           pfn * PAGE_SIZE, page_zone(block)->name);
	after(expected);
	EXPECT_EQ(count_lines(), 3);
	CATCH(stats_print_page(pfn + 5));
	after("  type allocated (inside the block)\n");
	after("block of 16 pages");
	free_pages(block, 4);
}

TEST(stats_text, page_of_nobody)
{
	CATCH(stats_print_page(0));
	after("not managed by the page allocator");
	EXPECT_EQ(count_lines(), 2);
}

TEST(stats_text, page_that_is_free)
{
	const struct page *head = NULL;
	char expected[64];

	for_each_zone(z)
		for (u64 pfn = z->buddy.low; pfn < z->buddy.high && head == NULL; pfn++) {
			head = page_block_of(pfn);
			if (head != NULL && head->type != PAGE_FREE)
				head = NULL;
		}
	ASSERT_NOT_NULL(head);
	CATCH(stats_print_page(page_to_pfn(head)));
	format_buf(expected, sizeof(expected), "  free list: next %#x prev %#x\n", head->next,
	           head->prev);
	after(expected);
	EXPECT_NULL(strstr(text, "kmalloc"));
	EXPECT_EQ(count_lines(), 4);
}

TEST(stats_text, page_of_a_large_kmalloc)
{
	char *p = kmalloc(123456, GFP_KERNEL), name[96], expected[128];

	ASSERT_NOT_NULL(p);
	CATCH(stats_print_page(page_to_pfn(virt_to_page(p))));
	format_buf(expected, sizeof(expected), "  kmalloc of 123456 bytes by %s\n",
	           site_name(name, page_block_of(page_to_pfn(virt_to_page(p)))->site));
	after(expected);
	EXPECT_NULL(strstr(text, "free list"));
	kfree(p);
}

TEST(stats_text, nothing_is_large_enough_when_all_is_used)
{
	static struct hoard hoard;
	struct page *few[3];

	EXPECT_EQ(alloc_pages_bulk(GFP_KERNEL, 3, few), 3);
	hoard_take_all(&hoard, GFP_NOWAIT | __GFP_NOWARN);
	check_buddyinfo();
	free_pages_bulk(3, few);
	drain_cpu_pages();
	check_buddyinfo(); /* none of the few that are free is too small for a page */
	hoard_drop_all(&hoard);
}

TEST(stats_text, buddyinfo_of_the_largest_blocks)
{
	u64 bytes = host_machine_pc_bytes();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot_pc(4 * GIB);
	check_buddyinfo();
	host_machine_boot_pc(bytes);
}

/* A record's slab begins with its own record, which is no object. */
TEST(stats_text, page_of_the_records_of_slabs)
{
	char *p = kmalloc(100, GFP_KERNEL), expected[32];
	char *page = (char *)align_down((u64)slab_of(p), PAGE_SIZE), *first = page;
	struct slab_object_info info;

	CATCH(stats_print_page((u64)virt_to_phys(page) >> PAGE_SHIFT));
	EXPECT_FALSE(slab_object_of(page, &info));
	while (first < page + PAGE_SIZE && !slab_object_of(first, &info))
		first++;
	ASSERT_LT(first, page + PAGE_SIZE);
	format_buf(expected, sizeof(expected), "\n  %p  ", (void *)first);
	EXPECT_TRUE(strchr(after("slab of cache "), '\n') == strstr(text, expected));
	kfree(p);
}

/* As many objects as are shown, to the last byte of the page: there are no more. */
TEST(stats_text, page_of_sixteen_objects)
{
	struct kmem_cache *c = kmem_cache_create("sixteen", 256, 0, 0, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL);

	CATCH(stats_print_page((u64)virt_to_phys(p) >> PAGE_SHIFT));
	EXPECT_EQ(count_lines(), 4 + 16);
	EXPECT_NULL(strstr(text, "more"));
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* A slab's page: each object with its owner, 16 of them at most; the slab has two pages. */
TEST(stats_text, page_of_a_slab)
{
	struct kmem_cache *few = kmem_cache_create("few", 1024, 0, 0, NULL);
	struct kmem_cache *many = kmem_cache_create("many", 32, 0, 0, NULL);
	char *p = kmem_cache_alloc(few, GFP_KERNEL), *q = kmem_cache_alloc(many, GFP_KERNEL);
	char expected[160], name[96];
	struct slab_object_info info;
	struct kmem_cache_stats s;

	ASSERT_TRUE(slab_object_of(p, &info));
	kmem_cache_stats(few, &s);
	CATCH(stats_print_page((u64)virt_to_phys(p) >> PAGE_SHIFT));
	format_buf(expected, sizeof(expected),
	           "  slab of cache few: %u objects of 1024 bytes in %u page(s)\n",
	           s.objects_per_slab, s.pages_per_slab);
	after(expected);
	format_buf(expected, sizeof(expected), "  %p  %s\n", (void *)p, site_name(name, info.tag));
	after(expected);
	EXPECT_EQ(s.pages_per_slab, 4);
	EXPECT_EQ(count_lines(), 4 + PAGE_SIZE / 1024);
	CATCH(stats_print_page(((u64)virt_to_phys(p) >> PAGE_SHIFT) & ~3ull)); /* the first */
	EXPECT_EQ(count_lines(), 4 + PAGE_SIZE / 1024);
	EXPECT_NULL(strstr(text, "more"));

	CATCH(stats_print_page((u64)virt_to_phys(q) >> PAGE_SHIFT));
	after("slab of cache many");
	after("and more\n");
	EXPECT_EQ(count_lines(), 4 + 16 + 1);
	kmem_cache_free(few, p);
	kmem_cache_free(many, q);
	EXPECT_EQ(kmem_cache_destroy(few), 0);
	EXPECT_EQ(kmem_cache_destroy(many), 0);
}

/* --- The map --- */

/* The letters from least to most wanted when equal: as in the legend. */
static const char letters[] = "-ASLC0123456789abcdefghi";

static unsigned letter_of(u64 pfn)
{
	const struct page *head = page_block_of(pfn);

	if (head == NULL)
		return zone_of_untouched(pfn) ? 5u + MAX_ORDER : 0;
	switch (head->type) {
	case PAGE_FREE:
		return 5u + head->order;
	case PAGE_SLAB:
		return 2;
	case PAGE_LARGE:
		return 3;
	case PAGE_CACHED:
		return 4;
	default:
		return 1;
	}
}

/* The first of the letters [from, to) that has the most pages. */
static unsigned most_of(const u64 pages[], unsigned from, unsigned to)
{
	unsigned most = from;

	for (unsigned i = from; i < to; i++)
		if (pages[i] > pages[most])
			most = i;
	return most;
}

static char expected_letter(u64 start, u64 end)
{
	u64 pages[ARRAY_SIZE(letters)] = {0};
	unsigned most, used;

	for (u64 pfn = start; pfn < end; pfn++)
		pages[letter_of(pfn)]++;
	most = most_of(pages, 0, sizeof(letters) - 1);
	used = most_of(pages, 1, 5);
	return letters[most >= 5 && pages[used] * 8 >= end - start ? used : most];
}

/* Compares a line of the map; returns the frame after it. */
static u64 expect_map_line(const char *line, u64 start, u64 end, u64 cell, unsigned columns)
{
	unsigned long address = 0, bad = 0, n = 0;
	int at = 0;

	EXPECT_EQ(sscanf(line, "%lx %n", &address, &at), 1);
	EXPECT_EQ(address, start * PAGE_SIZE);
	for (line += at; n < columns && start < end; n++, start += cell)
		bad += line[n] != expected_letter(start, min_u64(start + cell, end));
	EXPECT_EQ(bad, 0);
	EXPECT_EQ(line[n], '\n');
	return start;
}

static void check_map(unsigned columns, unsigned rows)
{
	char size[16], expected[64];
	u64 span = 0, cell;
	const char *line;

	for_each_zone(z)
		span += z->buddy.high - z->buddy.low;
	cell = (span + (u64)columns * rows - 1) / ((u64)columns * rows);
	CATCH(stats_print_map(columns, rows));
	format_buf(expected, sizeof(expected), "a character: %s. ",
	           format_bytes(size, cell * PAGE_SIZE));
	after(expected);
	line = strchr(strchr(text, '\n') + 1, '\n') + 1;
	for_each_zone(z) {
		format_buf(expected, sizeof(expected), "node %u zone %s\n", z->node, z->name);
		EXPECT_EQ(strncmp(line, expected, strlen(expected)), 0);
		line += strlen(expected);
		for (u64 start = z->buddy.low; start < z->buddy.high;) {
			start = expect_map_line(line, start, z->buddy.high, cell, columns);
			line = strchr(line, '\n') + 1;
		}
	}
	EXPECT_EQ(*line, '\0');
}

/* 4 GiB to 5 GiB of this machine has no metadata: above lies the page map. */
TEST(stats_text, memory_that_was_never_handed_out)
{
	u64 bytes = host_machine_pc_bytes();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot_pc(4 * GIB);
	ASSERT_EQ(zone_table[ZONE_NORMAL].buddy.nr_untouched, 1);
	check_map(64, 16);
	EXPECT_NOT_NULL(strstr(text, "iiii"));
	CATCH(stats_print_page(4 * GIB / PAGE_SIZE + 5));
	after("\n  free, never handed out: no metadata yet, node 0, zone NORMAL\n");
	EXPECT_EQ(count_lines(), 2);
	host_machine_boot_pc(bytes);
}

/* So many rows of 128 that a cell has this many pages. */
static unsigned rows_for_cells_of(unsigned pages)
{
	u64 span = 0;

	for_each_zone(z)
		span += z->buddy.high - z->buddy.low;
	return (unsigned)(span / (128 * pages)) + 1;
}

TEST(stats_text, the_map_is_that_of_the_pages)
{
	char *large = kmalloc(300000, GFP_KERNEL), *small[200];
	struct page *single = alloc_page(GFP_KERNEL), *block = alloc_pages(GFP_KERNEL, 7);
	unsigned rows;

	for (unsigned i = 0; i < ARRAY_SIZE(small); i++)
		small[i] = kmalloc(700, GFP_KERNEL);
	check_map(64, 16);
	check_map(128, 1);
	check_map(1, 1);
	check_map(100, 300);
	rows = rows_for_cells_of(16);
	/* An island of an eighth of a cell is seen, at whatever place. */
	for (unsigned order = 0; order < 6; order++) {
		struct page *island = alloc_pages(GFP_KERNEL, order);

		check_map(128, rows);
		free_pages(island, order);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(small); i++)
		kfree(small[i]);
	free_pages(block, 7);
	free_pages(single, 0);
	kfree(large);
}

/* Cells of exactly this many pages. */
static void check_map_of_cells(u64 pages)
{
	u64 span = 0;

	for_each_zone(z)
		span += z->buddy.high - z->buddy.low;
	for (unsigned columns = 16; columns > 0; columns--)
		if (span % (columns * pages) == 0 || columns == 1) {
			check_map(columns,
			          (unsigned)((span + pages * columns - 1) / (pages * columns)));
			return;
		}
}

/* All pages one by one, of which those stay that the step hits: islands of one page. */
static void check_islands(unsigned step)
{
	static struct page *page[4096];
	unsigned n = 0;

	while (n < ARRAY_SIZE(page) && (page[n] = alloc_page(GFP_NOWAIT | __GFP_NOWARN)) != NULL)
		n++;
	for (unsigned i = 0; i < n; i++)
		if (page_to_pfn(page[i]) % step != 0)
			free_page(page[i]);
	check_map_of_cells(8);
	check_map_of_cells(9);
	drain_cpu_pages();
	for (u64 cell = 7; cell <= 10; cell++)
		check_map_of_cells(cell);
	check_map_of_cells(1);
	for (unsigned i = 0; i < n; i++)
		if (page_to_pfn(page[i]) % step == 0)
			free_page(page[i]);
}

/* An island counts from an eighth of a cell on, and no earlier. */
TEST(stats_text, islands_in_the_map_of_a_small_machine)
{
	static const struct mem_range small[] = {{0, 640 * KIB, MEM_USABLE},
	                                         {MIB, 15 * MIB, MEM_USABLE}};
	u64 bytes = host_machine_pc_bytes();

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	host_machine_boot(small, ARRAY_SIZE(small));
	check_islands(2);
	check_islands(8);
	check_islands(9);
	host_machine_boot_pc(bytes);
}

TEST(stats_text, no_map_without_room)
{
	catch_begin();
	stats_print_map(0, 5);
	stats_print_map(129, 5);
	stats_print_map(5, 0);
	catch_end();
	EXPECT_EQ(text[0], '\0');
}

/* Every object of the slab has its letter: those that the test holds, and no more than there are.
 */
TEST(stats_text, page_in_words_draws_a_slab)
{
	struct kmem_cache *c = kmem_cache_create("picture", 64, 0, 0, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL), name[96], expected[128];
	struct slab_object_info info;
	struct kmem_cache_stats s;
	const char *picture;
	unsigned live = 0, all = 0;

	ASSERT_TRUE(slab_object_of(p, &info));
	kmem_cache_stats(c, &s);
	CATCH(stats_print_page_words((u64)virt_to_phys(p) >> PAGE_SHIFT));
	after("  slab of cache picture: ");
	picture = after("  objects of the slab: # live, c in a CPU's magazine, . free\n");
	for (; picture != NULL && strncmp(picture, "  ", 2) == 0; picture++) {
		if (picture[2] != '#' && picture[2] != 'c' && picture[2] != '.')
			break;
		for (picture += 2; *picture != '\n'; picture++, all++)
			live += *picture == '#';
	}
	EXPECT_EQ(live, 1);
	EXPECT_EQ(all, s.objects_per_slab);
	format_buf(expected, sizeof(expected), "     1 by %s\n", site_name(name, info.tag));
	after(expected);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* However many objects a slab has, it fits a screen of 25 rows. */
TEST(stats_text, page_in_words_fits_a_screen)
{
	struct kmem_cache *c = kmem_cache_create("tiny", 8, 0, 0, NULL);
	void *p[100];

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 90, p), 90);
	for (unsigned i = 90; i < 92; i++)
		p[i] = kmem_cache_alloc(c, GFP_KERNEL);
	p[92] = kmem_cache_alloc(c, GFP_KERNEL);
	p[93] = kmem_cache_alloc(c, GFP_KERNEL);
	p[94] = kmem_cache_alloc(c, GFP_KERNEL);
	p[95] = kmem_cache_alloc(c, GFP_KERNEL);
	p[96] = kmem_cache_alloc(c, GFP_KERNEL);
	CATCH(stats_print_page_words((u64)virt_to_phys(p[0]) >> PAGE_SHIFT));
	after("    90 by ");
	after("  ... and more call sites: sites has them\n");
	EXPECT_LE(count_lines(), 23);
	kmem_cache_free_bulk(c, 97, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

#endif
