/*
 * The story that follows the first line, as text; and the depot of stacks.
 */
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>

#include "tests/model/debugged.h"
#include "tests/model/told.h"

static unsigned nr_lines(void)
{
	unsigned nr = 0;

	for (size_t i = 0; i < told.length; i++)
		nr += told.text[i] == '\n';
	return nr;
}

TEST(debug_report, an_object_without_debugging)
{
	struct kmem_cache *c = kmem_cache_create("plain", 100, 0, SLAB_NO_DEBUG, NULL);
	char *p = kmem_cache_alloc(c, GFP_KERNEL), line[64];

	ASSERT_NOT_NULL(p);
	memset(p, 0x5c, 100);
	tell(p + 50);
	format_buf(line, sizeof(line), "object %p+50: index ", (void *)p);
	EXPECT_TOLD(line);
	EXPECT_TOLD("cache plain, 100 bytes");
	EXPECT_TOLD("state: allocated by " __FILE__);
	EXPECT_TOLD(" 5c  5c  5c");
	EXPECT_TOLD("more: boot with slab_debug=FZPUQ,plain");
	EXPECT_LE(nr_lines(), 24);
	kmem_cache_free(c, p);
	tell(p);
	EXPECT_TOLD("state: free, in a magazine");
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

TEST(debug_report, an_object_with_all_letters)
{
	struct stack_depot former = stack_depot;
	struct kmem_cache *c;
	char *p, line[32];

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	debugged_begin("FZPUQ");
	c = kmem_cache_create("debugged", 100, 0, 0, NULL);
	debugged_end();
	p = kmem_cache_alloc(c, GFP_KERNEL);
	ASSERT_NOT_NULL(p);
	tell(p - 3);
	EXPECT_TOLD("-3: index 0 of its slab, cache debugged");
	EXPECT_TOLD("allocated at:");
	EXPECT_TOLD(" cc ");
	format_buf(line, sizeof(line), ", allocated on CPU %u, ", cpu_id());
	EXPECT_TOLD(line);
	kmem_cache_free(c, p);
	tell(p + 8);
	EXPECT_TOLD("state: free, in quarantine, before by " __FILE__);
	EXPECT_TOLD("allocated at:");
	EXPECT_TOLD("freed at:");
	EXPECT_TOLD(" 6b  6b ");
	EXPECT_NULL(strstr(told.text, "more: boot"));
	EXPECT_EQ(kmem_cache_destroy(c), 0);
	stack_depot_destroy();
	stack_depot = former;
}

TEST(debug_report, what_is_no_object)
{
	struct page *page = alloc_pages(GFP_KERNEL, 1);
	char *large = kmalloc(10000, GFP_KERNEL);

	ASSERT_TRUE(page != NULL && large != NULL);
	tell((char *)page_address(page) + PAGE_SIZE + 5);
	EXPECT_TOLD(": allocated, in a block of 2 pages at frame ");
	EXPECT_TOLD("more: boot with slab_debug=FZPU");
	tell(large + 9000);
	EXPECT_TOLD("a kmalloc of 10000 bytes by " __FILE__);
	tell(NULL);
	EXPECT_TOLD("no memory that the allocator knows");
	tell(&told);
	EXPECT_TOLD("no memory that the allocator knows");
	kfree(large);
	free_pages(page, 1);
}

TEST(debug_report, every_kind_has_a_text)
{
	for (unsigned kind = 0; kind < NR_REPORT_KINDS; kind++)
		EXPECT_GT(strlen(report_kind_text(kind)), 5);
	EXPECT_STREQ(report_kind_text(REPORT_DOUBLE_FREE), "double free");
	EXPECT_STREQ(report_kind_text(NR_REPORT_KINDS), "unknown");
}

/* --- the depot --- */

static __noinline u32 save_at_depth(unsigned depth)
{
	u32 number = depth == 0 ? stack_depot_save_here() : save_at_depth(depth - 1);

	__asm__ volatile("" : : : "memory"); /* no tail call */
	return number;
}

TEST(stack_depot, the_same_stack_is_kept_once)
{
	struct stack_depot former = stack_depot;
	struct stack_depot_stats s;
	u32 number[2];

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	for (volatile unsigned i = 0; i < 2; i++) /* one call, not two */
		number[i] = save_at_depth(3);
	EXPECT_NE(number[0], 0);
	EXPECT_EQ(number[0], number[1]);
	EXPECT_NE(save_at_depth(2), number[0]);
	stack_depot_stats(&s);
	EXPECT_EQ(s.nr_stacks, 2);
	EXPECT_EQ(s.nr_hits, 1);
	EXPECT_EQ(s.nr_lost, 0);
	stack_depot_destroy();
	stack_depot = former;
}

TEST(stack_depot, a_full_one_loses_what_is_new_and_keeps_what_is_old)
{
	struct stack_depot former = stack_depot;
	struct stack_depot_stats s;
	u32 first = 0, again = 0;

	ASSERT_TRUE(stack_depot_create(64 * KIB));
	for (volatile unsigned i = 0; i < 2; i++) /* one call, not two */ {
		again = save_at_depth(1);
		if (i == 0) {
			first = again;
			stack_depot.nr_words = stack_depot.used; /* full */
		}
	}
	EXPECT_NE(first, 0);
	EXPECT_EQ(again, first);
	EXPECT_EQ(save_at_depth(4), 0);
	stack_depot_stats(&s);
	EXPECT_EQ(s.nr_lost, 1);
	EXPECT_EQ(s.nr_stacks, 1);
	stack_depot.nr_words = (u32)((64 * KIB - stack_depot.nr_buckets * sizeof(u32)) / 8);
	stack_depot_destroy();
	stack_depot = former;
}

TEST(stack_depot, without_one_nothing_is_kept)
{
	struct stack_depot former = stack_depot;
	const u64 *frames;

	stack_depot = (struct stack_depot){0};
	EXPECT_EQ(stack_depot_save_here(), 0);
	EXPECT_EQ(stack_depot_get(1, &frames), 0);
	stack_depot = former;
}
