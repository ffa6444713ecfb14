/*
 * Arenas at their edges: what is said in the log, what sources are asked, what is no arena, and the
 * limits of arguments. The usual: vmem_test.c.
 */
#include "mm/vmem_internal.h"

#include <mm/mm.h>

#include "tests/model/expect.h"

#if __STDC_HOSTED__
#include "tests/host/caught_text.h"
#endif

static struct vmem *open(u64 base, u64 size, u64 quantum)
{
	struct vmem *v = vmem_create("more", base, size, quantum, NULL, NULL, NULL, 0, GFP_KERNEL);

	ASSERT_NOT_NULL(v);
	return v;
}

static void close(struct vmem *v)
{
	EXPECT_SOUND(vmem_check(v));
	ASSERT_EQ(vmem_destroy(v), 0);
}

TEST(vmem, the_largest_quantum)
{
	struct vmem *v = open(0, 0, 1ull << 56);

	ASSERT_EQ(vmem_add(v, 1ull << 56, 1ull << 56, GFP_KERNEL), 0);
	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL), 1ull << 56);
	vmem_free(v, 1ull << 56, 1);
	close(v);
}

/* Every way in looks, before it changes anything. */
TEST(vmem, what_is_no_arena_is_refused)
{
	struct vmem *v = open(0x1000, 0x10000, 0x1000);
	u64 a = vmem_alloc(v, 0x1000, GFP_KERNEL);

	v->magic++;
	EXPECT_PANIC("vmem: not an arena", (void)vmem_add(v, 0x40000, 0x1000, GFP_KERNEL));
	EXPECT_PANIC("vmem: not an arena", (void)vmem_alloc(v, 0x1000, GFP_KERNEL));
	EXPECT_PANIC("vmem: not an arena", (void)vmem_xalloc(v, 0x1000, 0, 0, 0, 0, 0, GFP_KERNEL));
	EXPECT_PANIC("vmem: not an arena", vmem_free(v, a, 0x2000));
	EXPECT_PANIC("vmem: not an arena", (void)vmem_destroy(v));
	v->magic--;
	EXPECT_EQ(v->in_use, 0x1000);
	vmem_free(v, a, 0x1000);
	close(v);
}

TEST(vmem, constrained_sizes_are_rounded_too)
{
	struct vmem *v = open(0x1000, 0x10000, 0x1000);
	u64 a = vmem_xalloc(v, 0x1001, 0, 0, 0, 0, 0, GFP_KERNEL);

	EXPECT_EQ(a, 0x1000);
	EXPECT_EQ(v->in_use, 0x2000);
	vmem_xfree(v, a, 0x1001);
	EXPECT_EQ(v->in_use, 0);
	close(v);
}

/* Not the free one that ends where it begins. */
TEST(vmem, a_wrong_free_is_named_by_the_segment_that_holds_it)
{
	struct vmem *v = open(10, 10, 1);
	u64 a = vmem_alloc(v, 2, GFP_KERNEL), b = vmem_alloc(v, 2, GFP_KERNEL);

	vmem_free(v, a, 2);
	EXPECT_EQ(b, 12);
	EXPECT_PANIC("vmem: wrong size", vmem_free(v, b, 1));
	vmem_free(v, b, 2);
	close(v);
}

TEST(vmem, largest_free_is_of_the_largest)
{
	struct vmem *v = open(10, 3, 1);
	struct vmem_stats stats;

	ASSERT_EQ(vmem_add(v, 100, 70, GFP_KERNEL), 0);
	vmem_stats(v, &stats);
	EXPECT_EQ(stats.largest_free, 64);
	EXPECT_EQ(vmem_alloc(v, 70, GFP_KERNEL), 100);
	vmem_stats(v, &stats);
	EXPECT_EQ(stats.largest_free, 2);
	EXPECT_EQ(vmem_alloc(v, 3, GFP_KERNEL), 10);
	vmem_stats(v, &stats);
	EXPECT_EQ(stats.largest_free, 0);
	vmem_free(v, 100, 70);
	vmem_free(v, 10, 3);
	close(v);
}

/* --- sources --- */

static struct {
	u64 base, size, nr_asked, nr_back;
	gfp_t flags;
} source;

static u64 import(void *context, u64 size, gfp_t flags)
{
	EXPECT_EQ((void *)&source, context);
	source.size = size;
	source.flags = flags;
	source.nr_asked++;
	return source.base;
}

static void release(void *context, u64 addr, u64 size)
{
	EXPECT_EQ((void *)&source, context);
	EXPECT_EQ(addr, source.base);
	EXPECT_EQ(size, source.size);
	source.nr_back++;
}

static struct vmem *importing(u64 base, u64 quantum)
{
	struct vmem *v =
	    vmem_create("child", 0, 0, quantum, import, release, &source, 0, GFP_KERNEL);

	memset(&source, 0, sizeof(source));
	source.base = base;
	ASSERT_NOT_NULL(v);
	return v;
}

/* Memory's flags, and none of the arena's own; that nothing may fail is the arena's to say. */
TEST(vmem, a_source_is_asked_for_what_is_missing)
{
	struct vmem *v = importing(7, 1);

	EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL | __GFP_NOFAIL | VM_BESTFIT), 7);
	EXPECT_EQ(source.size, 1);
	EXPECT_EQ(source.flags, GFP_KERNEL);
	vmem_free(v, 7, 1);
	EXPECT_EQ(source.nr_back, 1);
	EXPECT_EQ(vmem_xalloc(v, 16, 1ull << 63, 0, 1ull << 63, 0, 0, GFP_KERNEL), 0);
	EXPECT_EQ(source.nr_asked, 1); /* so much is nowhere */
	close(v);
}

TEST(vmem, a_source_that_gives_what_cannot_be_is_refused)
{
	struct vmem *v = importing(0x1800, 0x1000);

	EXPECT_PANIC("assertion failed", (void)vmem_alloc(v, 0x1000, GFP_KERNEL));
	source.base = align_down(~0ull, 0x1000);
	EXPECT_PANIC("assertion failed", (void)vmem_alloc(v, 0x1000, GFP_KERNEL));
	EXPECT_PANIC("assertion failed", (void)vmem_alloc(v, 0x2000, GFP_KERNEL));
	close(v);
}

#if __STDC_HOSTED__
/* --- what is logged --- */

/* What the statement logs, in text[]. */
#define LOGGED(statement)         \
	({                        \
		CATCH(statement); \
		text;             \
	})

TEST(vmem, impossible_requests_are_explained_to_those_who_want_it)
{
	struct vmem *v = open(0x1000, 0x10000, 0x1000);

	EXPECT_STREQ(LOGGED((void)vmem_alloc(v, 0, GFP_KERNEL)),
	             "vmem: impossible request: size 0 arena=more size=0\n");
	EXPECT_STREQ(
	    LOGGED((void)vmem_alloc(v, ~0ull, GFP_KERNEL)),
	    "vmem: impossible request: the size wraps arena=more size=0xffffffffffffffff\n");
	EXPECT_STREQ(LOGGED((void)vmem_alloc(v, 0, GFP_KERNEL | __GFP_NOWARN)), "");
	EXPECT_STREQ(LOGGED((void)vmem_alloc(v, 0x11000, GFP_KERNEL)), ""); /* not here, not now */
	EXPECT_NOT_NULL(
	    strstr(LOGGED((void)vmem_xalloc(v, 0x1000, 0, 0, 0, 0x9000, 0x5000, GFP_KERNEL)),
	           "limits with no room between"));
	EXPECT_NOT_NULL(
	    strstr(LOGGED((void)vmem_xalloc(v, 0x2000, 0, 0, 0, 0x5000, 0x6000, GFP_KERNEL)),
	           "limits with no room between"));
	EXPECT_STREQ(
	    LOGGED((void)vmem_xalloc(v, 0x1000, 0x800, 0, 0, 0x50000, 0x51000, GFP_KERNEL)), "");
	close(v);
}

static unsigned count_lines(const char *words)
{
	unsigned n = 0;

	for (const char *at = text; (at = strstr(at, words)) != NULL; at++)
		n++;
	return n;
}

/* Eight of them, and how many more; not what is free between them. */
TEST(vmem, live_segments_are_named_when_it_should_go)
{
	struct vmem *v = open(1, 100, 1);
	char more[32];

	for (u64 i = 1; i <= 20; i++)
		EXPECT_EQ(vmem_alloc(v, 1, GFP_KERNEL), i);
	for (u64 i = 1; i <= 20; i += 2)
		vmem_free(v, i, 1);
	for (unsigned live = 10; live > 0; live--) {
		(void)LOGGED(EXPECT_EQ(vmem_destroy(v), -EBUSY));
		EXPECT_EQ(count_lines("from tests/unit/vmem_more_test.c"), live < 8 ? live : 8);
		format_buf(more, sizeof(more), "and %u more\n", live - 8);
		EXPECT_EQ(strstr(text, more) != NULL, live > 8);
		EXPECT_EQ(count_lines("more\n"), live > 8);
		vmem_free(v, 2 * live, 1);
	}
	close(v);
}
#endif
