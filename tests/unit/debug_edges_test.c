/*
 * The checkers of mm/debug at their edges: machines with memory that was never handed out, CPUs
 * that cannot be asked, no memory for what a checker keeps, options as a boot gives them, and
 * reports. On the host, where such machines are made and what is printed can be caught.
 */
#if __STDC_HOSTED__
#include "mm/debug/blocks.h"
#include "mm/debug/debug_internal.h"

#include <mm/audit.h>
#include <mm/bounds.h>
#include <mm/leak.h>
#include <mm/mempool.h>
#include <mm/mm.h>
#include <tests/host/cpus.h>
#include <tests/host/machine.h>

#include "tests/host/caught_text.h"
#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/told.h"

static void fail_pages(const char *rule_text)
{
	struct inject_rule rule;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(INJECT_PAGES, rule_text, &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_PAGES, &rule), 0);
}

static void fail_no_more(void)
{
	ASSERT_EQ(inject_set(INJECT_PAGES, NULL), 0);
}

/* --- the walk over blocks, and the audit --- */

static struct {
	u64 blocks, pages, seen;
	const struct page *wanted[4];
} walk;

static void note_block(void *context, struct page *head)
{
	EXPECT_EQ(context, &walk);
	walk.blocks++;
	walk.pages += head->type == PAGE_SLAB ? 1 : page_block_pages(head);
	for (unsigned i = 0; i < ARRAY_SIZE(walk.wanted); i++)
		walk.seen += head == walk.wanted[i];
}

/* Most of 8 GiB was never handed out, and has no block that could be visited. */
TEST(debug_edges, the_walk_over_blocks_passes_over_untouched_memory)
{
	void *p, *large;

	host_machine_borrow(8 * GIB, 1);
	p = kmalloc(100, GFP_KERNEL);
	large = kmalloc(70000, GFP_KERNEL);
	memset(&walk, 0, sizeof(walk));
	walk.wanted[0] = alloc_page(GFP_KERNEL);
	walk.wanted[1] = alloc_pages(GFP_KERNEL | __GFP_DMA32, 4);
	walk.wanted[2] = page_block_of(page_to_pfn(virt_to_page(large)));
	walk.wanted[3] = virt_to_page(p);
	blocks_visit(note_block, &walk);
	EXPECT_EQ(walk.seen, 4); /* each once */
	EXPECT_GT(walk.pages, 1000);
	EXPECT_LT(walk.pages << PAGE_SHIFT, 5 * GIB);
	host_machine_return();
}

static struct audit a;

static u64 pages_of(const struct memmap *map)
{
	u64 pages = 0;

	for (u32 i = 0; i < map->nr; i++)
		pages += map->range[i].length >> PAGE_SHIFT;
	return pages;
}

TEST(debug_edges, the_audit_counts_untouched_memory_and_other_kinds)
{
	u64 bytes = host_machine_pc_bytes();
	const struct memmap *map;
	char line[64];
	void *large;

	if (bytes == 0) {
		test_skip("this machine could not be made again");
		return;
	}
	map = host_machine_boot_pc(8 * GIB);
	ASSERT_EQ(audit_take(map, 0, &a), 0);
	EXPECT_STREQ(a.fault, "");
	EXPECT_GE(a.pages[AUDIT_UNTOUCHED] << PAGE_SHIFT, 3 * GIB);
	EXPECT_EQ(a.usable << PAGE_SHIFT, memmap_bytes(map, MEM_USABLE));
	EXPECT_EQ(a.by_type[MEM_PAGE_MAP] << PAGE_SHIFT, memmap_bytes(map, MEM_PAGE_MAP));
	EXPECT_EQ(a.by_type[MEM_USABLE], a.usable);
	EXPECT_EQ(a.usable + a.other, pages_of(map));
	large = kmalloc(50 * PAGE_SIZE, GFP_KERNEL);
	CATCH(EXPECT_EQ(stats_print_audit(map, 0), 0));
	format_buf(line, sizeof(line), "  free, never handed out       %12lu ",
	           a.pages[AUDIT_UNTOUCHED]);
	EXPECT_TEXT(line);
	EXPECT_TEXT("  page map ");
	EXPECT_TEXT("  large kmallocs                         50      200 KiB\n");
	format_buf(line, sizeof(line), "  = all of the map             %12lu ", pages_of(map));
	EXPECT_TEXT(line);
	EXPECT_NULL(strstr(text, "offline"));
	kfree(large);
	host_machine_boot_pc(bytes);
}

/* Nobody looks at what others change meanwhile. */
TEST(debug_edges, what_needs_the_machine_alone_says_when_it_is_not)
{
	const struct memmap none = {.nr = 0};
	static struct leak_report report;

	host_machine_borrow(64 * MIB, 2);
	EXPECT_EQ(audit_take(&none, 0, &a), -EAGAIN);
	CATCH(EXPECT_EQ(stats_print_audit(&none, 0), -EAGAIN));
	EXPECT_TEXT("audit: other CPUs cannot be held now");
	EXPECT_EQ(leak_find(NULL, &report), -EAGAIN);
	CATCH(EXPECT_EQ(stats_print_leaks(), -EAGAIN));
	EXPECT_TEXT("leaks: other CPUs cannot be held now");
	host_machine_return();
}

TEST(debug_edges, nothing_is_injected_where_other_cpus_cannot_be_told)
{
	struct inject_rule rule;
	struct inject_stats s;
	char why[INJECT_WHY_MAX];

	ASSERT_EQ(inject_parse(INJECT_OBJECTS, "", &rule, why), 0);
	host_machine_borrow(64 * MIB, 2);
	EXPECT_EQ(inject_set(INJECT_OBJECTS, &rule), -EAGAIN);
	inject_stats(INJECT_OBJECTS, &s);
	EXPECT_FALSE(s.armed);
	EXPECT_EQ(inject_nth_begin(1), -EAGAIN);
	EXPECT_FALSE(inject_on);
	EXPECT_EQ(inject_set(INJECT_OBJECTS, NULL), 0); /* nothing to tell */
	host_machine_return();
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0); /* and here they can be */
	EXPECT_NULL(kmalloc(100, GFP_KERNEL));
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	ASSERT_EQ(inject_nth_begin(5), 0);
	mm_nr_cpus = 2;
	EXPECT_PANIC("inject: ended where other CPUs cannot be told", (void)inject_nth_end());
	mm_nr_cpus = 1;
	(void)inject_nth_end();
	EXPECT_FALSE(inject_on);
}

/* --- options --- */

TEST(debug_edges, options_make_the_letters_of_a_cache)
{
	struct mm_debug_choice run = mm_debug_choice();

	mm_debug_configure(NULL, true, true);
	EXPECT_EQ(mm_debug_letters("a"), DEBUG_ZERO_ALLOC | DEBUG_ZERO_FREE);
	EXPECT_FALSE(mm_debug_wants(DEBUG_OWNER));
	mm_debug_configure("P,a", false, true);
	EXPECT_EQ(mm_debug_letters("a"), DEBUG_POISON); /* which says more than zeros */
	EXPECT_EQ(mm_debug_letters("b"), DEBUG_ZERO_FREE);
	EXPECT_FALSE(mm_debug_wants(DEBUG_OWNER));
	mm_debug_configure("Z,a;P,b;FU,c", false, false);
	EXPECT_EQ(mm_debug_letters("d"), 0);
	EXPECT_TRUE(mm_debug_wants(DEBUG_OWNER));
	EXPECT_TRUE(mm_debug_wants(DEBUG_RED_ZONE));
	EXPECT_FALSE(mm_debug_wants(DEBUG_QUARANTINE));
	CATCH(mm_debug_configure("FX", false, false));
	EXPECT_TEXT("slab_debug: 'X' is ignored");
	EXPECT_EQ(mm_debug_letters("a"), DEBUG_CHECK);
	CATCH(mm_debug_configure("FZ", false, false));
	EXPECT_STREQ(text, "");
	mm_debug_choose(&run);
}

/* The depot of stacks has a 256th of memory, from 64 KiB to 8 MiB, a sixteenth of it buckets. */
static void expect_depot(u64 machine_bytes)
{
	struct stack_depot_stats s;
	struct mm_usage u;
	u64 all;

	mm_debug_configure("U,none-of-the-run", false, false);
	host_machine_borrow(machine_bytes, 1);
	mm_debug_configure(NULL, false, false);
	mm_usage(&u);
	all = align_down(u.managed_pages * PAGE_SIZE / 256, PAGE_SIZE);
	all = max_u64(64 * KIB, min_u64(all, 8 * MIB));
	ASSERT_NOT_NULL(stack_depot.word);
	stack_depot_stats(&s);
	EXPECT_EQ(s.size_bytes + stack_depot.nr_buckets * sizeof(u32), all);
	EXPECT_EQ((char *)stack_depot.word - (char *)stack_depot.bucket, all - s.size_bytes);
	EXPECT_LE(stack_depot.nr_buckets * sizeof(u32), all / 16);
	EXPECT_GT(stack_depot.nr_buckets * sizeof(u32), all / 32);
	EXPECT_EQ(s.used_bytes, 8);
	EXPECT_NE(stack_depot_save_here(), 0);
	stack_depot_stats(&s);
	EXPECT_GT(s.used_bytes, 16);
	EXPECT_EQ(s.nr_stacks, 1);
	stack_depot_destroy();
	EXPECT_NULL(stack_depot.word);
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(debug_edges, the_depot_of_stacks_is_as_large_as_the_machine_allows)
{
	struct mm_debug_choice run = mm_debug_choice();
	struct stack_depot former = stack_depot;

	mm_debug_configure(NULL, false, false);
	stack_depot_init();
	EXPECT_NULL(stack_depot.word);
	expect_depot(12 * MIB);
	expect_depot(100 * MIB);
	expect_depot(3 * GIB);
	mm_debug_configure("U", false, false);
	fail_pages("");
	CATCH(stack_depot_init());
	fail_no_more();
	EXPECT_TEXT("slab_debug: no memory for stacks: U is ignored");
	EXPECT_EQ(stack_depot_save_here(), 0);
	mm_debug_choose(&run);
	stack_depot = former;
}

/* --- no memory --- */

TEST(debug_edges, without_memory_for_its_queue_there_is_no_cache)
{
	struct kmem_cache *c = NULL;
	char rule[32];
	unsigned n = 0;

	for (; c == NULL && n < 20; n++) { /* one page more each time */
		format_buf(rule, sizeof(rule), "after=%u", n);
		fail_pages(rule);
		debugged_begin("Q");
		c = kmem_cache_create("queued", 100, 0, 0, NULL);
		debugged_end();
		fail_no_more();
	}
	EXPECT_GE(n, 2);
	ASSERT_NOT_NULL(c);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

static void debug_pages(const char *letters, bool init_on_alloc)
{
	struct mm_debug_choice run = mm_debug_choice();

	mm_debug_configure(letters, init_on_alloc, false);
	page_debug_init();
	mm_debug_choose(&run);
}

TEST(debug_edges, without_memory_for_bits_pages_are_filled_but_not_verified)
{
	struct page *page;
	char *p;

	fail_pages("times=1");
	CATCH(debug_pages("P,pages", false));
	fail_no_more();
	EXPECT_TEXT("slab_debug: no memory for a bit a page: pages are not verified");
	EXPECT_TRUE(page_debug_on);
	page = alloc_pages(GFP_KERNEL, 5);
	ASSERT_NOT_NULL(page);
	p = page_address(page);
	free_pages(page, 5);
	EXPECT_NULL(mark_find_other(p, POISON_PAGE, 32 * PAGE_SIZE));
	(void)plant(p + 5000, 0x77);
	EXPECT_EQ(alloc_pages(GFP_KERNEL, 5), page); /* nobody looks */
	free_pages(page, 5);
	page_debug_finish();
	ASSERT_TRUE(cpu_pages_bypass(false)); /* the end of the failures left the stacks closed */
}

/* Where no stack takes them, single pages are filled too; and ranges come as blocks do. */
TEST(debug_edges, single_pages_and_ranges_are_debugged)
{
	struct page *page;
	char *p;

	ASSERT_TRUE(cpu_pages_bypass(true));
	debug_pages("P,pages", true);
	page = alloc_page(GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	p = page_address(page);
	memset(p, 1, PAGE_SIZE);
	free_page(page);
	EXPECT_NULL(mark_find_other(p, POISON_PAGE, PAGE_SIZE));
	page = alloc_contig_pages(3, 1, GFP_KERNEL);
	ASSERT_NOT_NULL(page);
	EXPECT_NULL(mem_find_other(page_address(page), 0, 3 * PAGE_SIZE));
	free_contig_pages(page, 3);
	page_debug_finish();
	ASSERT_TRUE(cpu_pages_bypass(false));
}

/* --- reports --- */

/* The byte that was found is marked in the story of its panic, and in no other. */
TEST(debug_edges, the_byte_is_marked_until_its_story_is_told)
{
	struct kmem_cache *c;
	char *p, line[40];

	debugged_begin("Z");
	c = kmem_cache_create("debugged", 100, 0, 0, NULL);
	debugged_end();
	ASSERT_NOT_NULL(c);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	EXPECT_FALSE(is_told(p, "asked for"));
	slab_debug_resize(slab_of(p), p, 50);
	EXPECT_TRUE(is_told(p, "cache debugged, 100 bytes, asked for 50\n"));
	(void)plant(p + 50, 0x77);
	EXPECT_PANIC("BUG: right red zone overwritten in debugged", kmem_cache_free(c, p));
	EXPECT_TRUE(is_told(p, "[77]"));
	CATCH(report_story(p));
	format_buf(line, sizeof(line), "object %p+0: index ", (void *)p);
	EXPECT_TEXT(line);
	EXPECT_TEXT("[77]");
	EXPECT_FALSE(is_told(p, "[77]"));
	(void)plant(p + 50, RED_ACTIVE);
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- what leads nowhere --- */

static char *tail; /* of a slab, behind its last object */

static void give_odd_roots(struct leak_scan *scan)
{
	static u64 words[2];

	words[0] = words[1] = (u64)tail;
	leak_add_root(scan, (char *)words + 1, (char *)words + 15); /* no whole word */
	leak_add_root(scan, words + 1, words);
	leak_add_root(scan, words, words + 1);
}

TEST(debug_edges, no_words_and_the_tail_of_a_slab_lead_to_nothing)
{
	struct kmem_cache *c = kmem_cache_create("with a tail", 3000, 0, SLAB_NO_DEBUG, NULL);
	struct leak_report before, now;
	struct slab *s;
	char *p;

	ASSERT_NOT_NULL(c);
	p = kmem_cache_zalloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	s = slab_of(p);
	tail = (char *)slab_object(c, s, c->nr_objects - 1) + c->stride;
	ASSERT_EQ(slab_of(tail), s);
	ASSERT_EQ(leak_find(give_odd_roots, &before), 0);
	tail = p;
	ASSERT_EQ(leak_find(give_odd_roots, &now), 0);
	EXPECT_EQ(before.nr_roots, now.nr_roots);
	EXPECT_EQ(before.nr_leaked, now.nr_leaked + 1);
	EXPECT_STREQ(
	    object_bounds_fault((char *)slab_object(c, s, c->nr_objects - 1) + c->stride, 1),
	    "between the objects of a slab");
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* --- no memory for what is made of several parts --- */

TEST(debug_edges, a_reserve_and_a_larger_block_that_cannot_be_had)
{
	struct kmem_cache *c = kmem_cache_create("of a reserve", 64, 0, 0, NULL);
	struct inject_rule rule;
	char why[INJECT_WHY_MAX], *p = kmalloc(100, GFP_KERNEL);

	ASSERT_TRUE(c != NULL && p != NULL);
	memset(p, 'x', 100);
	ASSERT_EQ(inject_parse(INJECT_OBJECTS, "", &rule, why), 0);
	ASSERT_EQ(inject_set(INJECT_OBJECTS, &rule), 0);
	EXPECT_NULL(mempool_create_slab_pool(4, c));
	fail_pages("");
	EXPECT_NULL(krealloc(p, 500, GFP_KERNEL));
	EXPECT_NULL(krealloc(p, 50000, GFP_KERNEL));
	fail_no_more();
	ASSERT_EQ(inject_set(INJECT_OBJECTS, NULL), 0);
	EXPECT_NULL(mem_find_other(p, 'x', 100));
	kfree(p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(debug_edges, bounds_of_debugged_objects_and_of_runs)
{
	struct kmem_cache *c;
	char *p, *large = kmalloc(20000, GFP_KERNEL);

	ASSERT_NOT_NULL(large);
	debugged_begin("Z");
	c = kmem_cache_create("debugged", 100, 0, 0, NULL);
	debugged_end();
	ASSERT_NOT_NULL(c);
	p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	slab_debug_resize(slab_of(p), p, 50);
	EXPECT_NULL(object_bounds_fault(p, 50));
	EXPECT_STREQ(object_bounds_fault(p, 51), "past the end of the object");
	EXPECT_NULL(object_bounds_fault(large, 20000));
	EXPECT_STREQ(object_bounds_fault(large + 20000, 481), "past the end of the large kmalloc");
	kmem_cache_free(c, p);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	kfree(large);
}
#endif
