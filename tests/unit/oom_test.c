/*
 * The report when memory is out, read back. On the host only, where standard output can be caught.
 */
#if __STDC_HOSTED__
#include "mm/internal.h"

#include <mm/mm.h>
#include <stdio.h>
#include <tests/host/machine.h>

#include "tests/test.h"

static char text[16 * 1024]; /* the last report */

static void report(gfp_t gfp, unsigned order, u64 nr_failures)
{
	FILE *terminal = stdout;
	enum log_level level = host_log_level;

	memset(text, 0, sizeof(text));
	host_log_level = LOG_INFO;
	stdout = fmemopen(text, sizeof(text), "w");
	oom_report(gfp, order, nr_failures);
	fclose(stdout);
	stdout = terminal;
	host_log_level = level;
}

#define EXPECT_TEXT(words)                                \
	({                                                \
		if (strstr(text, words) == NULL)          \
			test_note("lacks \"%s\"", words); \
		EXPECT_NOT_NULL(strstr(text, words));     \
	})

static unsigned count_lines(const char *p)
{
	unsigned n = 0;

	for (; *p != '\0'; p++)
		n += *p == '\n';
	return n;
}

TEST(oom, says_what_was_asked)
{
	report(GFP_ATOMIC, 3, 1);
	EXPECT_STREQ(text, "page_alloc: out of memory order=3 gfp=GFP_ATOMIC failures=1\n");
	report(GFP_NOWAIT, 0, 64);
	EXPECT_STREQ(text, "page_alloc: out of memory order=0 gfp=GFP_NOWAIT failures=64\n");
	report(__GFP_DMA | __GFP_ZERO, 0, 2);
	EXPECT_STREQ(text,
	             "page_alloc: out of memory order=0 gfp=__GFP_DMA|__GFP_ZERO failures=2\n");
}

TEST(oom, says_it_at_powers_of_two_and_to_those_who_want_it)
{
	for (u64 nr = 1; nr <= 70; nr++) {
		report(GFP_ATOMIC, 0, nr);
		EXPECT_EQ(count_lines(text), nr == 1 || nr == 2 || nr == 4 || nr == 8 || nr == 16 ||
		                                 nr == 32 || nr == 64);
	}
	report(GFP_KERNEL | __GFP_NOWARN, 0, 1);
	EXPECT_STREQ(text, "");
}

TEST(oom, one_screen_of_who_holds_what)
{
	static void *small[3000], *large[2];
	struct kmem_cache *c = kmem_cache_create("hungry", 2000, 0, 0, NULL);

	ASSERT_EQ(kmem_cache_alloc_bulk(c, GFP_KERNEL, 3000, small), 3000);
	for (unsigned i = 0; i < 2; i++)
		large[i] = kmalloc(4 << 20, GFP_KERNEL);
	report(GFP_KERNEL, 18, 1);
	EXPECT_TEXT("order=18 gfp=GFP_KERNEL failures=1\n");
	EXPECT_TEXT("large kmallocs 8 MiB");
	EXPECT_TEXT("free blocks, by order:");
	EXPECT_TEXT("      3000  hungry\n");
	EXPECT_TEXT("     8 MiB          2  tests/unit/oom_test.c:");
	EXPECT_TEXT("   5.7 MiB       3000  tests/unit/oom_test.c:");
	EXPECT_LT(strstr(text, "  8 MiB          2"), strstr(text, "   5.7 MiB       3000"));
	EXPECT_LE(count_lines(text), 24);
	kmem_cache_free_bulk(c, 3000, small);
	for (unsigned i = 0; i < 2; i++)
		kfree(large[i]);
	EXPECT_EQ(kmem_cache_destroy(c), 0);
}

/* More caches than there are ranks: the largest is first whenever it comes, the least are summed.
 */
TEST(oom, the_largest_come_first)
{
	struct kmem_cache *c[9];
	void *object[9];
	char name[16];

	slab_shrink_all();
	for (unsigned i = 0; i < 9; i++) {
		format_buf(name, sizeof(name), "ranked-%u", i);
		c[i] = kmem_cache_create(name, 1ul << 18, 0, SLAB_NO_MAGAZINE, NULL);
		for (unsigned n = 0; n <= (i * 5) % 9; n++) {
			void *o = kmem_cache_alloc(c[i], GFP_KERNEL);

			ASSERT_NOT_NULL(o);
			*(void **)o = n == 0 ? NULL : object[i];
			object[i] = o;
		}
	}
	report(GFP_KERNEL, 0, 1);
	EXPECT_TEXT("   2.2 MiB          9  ranked-7\n     2 MiB          8  ranked-5\n"
	            "   1.7 MiB          7  ranked-3\n   1.5 MiB          6  ranked-1\n"
	            "   1.2 MiB          5  ranked-8\n     1 MiB          4  ranked-6\n");
	EXPECT_NOT_NULL(strstr(text, " more\n"));
	for (unsigned i = 0; i < 9; i++) {
		for (void *next; object[i] != NULL; object[i] = next) {
			next = *(void **)object[i];
			kmem_cache_free(c[i], object[i]);
		}
		EXPECT_EQ(kmem_cache_destroy(c[i]), 0);
	}
}
#endif
