/*
 * Gaps between page blocks, more closely: what lies behind a block and is no gap of it, gaps in
 * memory that is also filled and verified, and what the address sanitizer is told. On the host,
 * where no other CPU takes pages.
 */
#if __STDC_HOSTED__
#include "mm/debug/debug_internal.h"

#include <mm/mm.h>
#include <tests/host/cpus.h>

#include "tests/model/debugged.h"
#include "tests/model/expect.h"
#include "tests/model/page_gaps.h"

#if HOST_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* All of a small machine's pages, up to the last, behind which there is nothing: whatever a
 * neighbour's link holds that is not the block's address plus 1, it is not the block's gap. */
TEST(page_gap_more, pages_from_before_have_none)
{
	static struct page *page[4096];
	unsigned nr = 0;

	host_machine_borrow(16 * MIB, 1);
	while (nr < ARRAY_SIZE(page) && (page[nr] = alloc_page(GFP_NOWAIT | __GFP_NOWARN)) != NULL)
		nr++;
	EXPECT_GT(nr, 3000);
	for (unsigned i = 0; i < nr; i++)
		page[i]->link = i % 3 == 0 ? NULL : i % 3 == 1 ? page[i] - 1 : page[i];
	page_gaps_begin();
	for (unsigned i = 0; i < nr; i++)
		free_page(page[i]);
	page_gaps_end();
	EXPECT_SOUND(mm_check());
	host_machine_return();
}

TEST(page_gap_more, a_gap_leads_to_its_block)
{
	struct page *page;

	page_gaps_begin();
	page = alloc_pages(GFP_KERNEL, 2);
	ASSERT_NOT_NULL(page);
	EXPECT_EQ((u64)page[4].link, (u64)page + 1); /* GP1 */
#if HOST_ASAN
	EXPECT_TRUE(__asan_address_is_poisoned(page_address(page + 4)));
	EXPECT_TRUE(__asan_address_is_poisoned((char *)page_address(page + 5) - 1));
	EXPECT_FALSE(__asan_address_is_poisoned((char *)page_address(page + 4) - 1));
#endif
	free_pages(page, 2);
	page_gaps_end();
}

/* Takes and frees all of a machine. */
static void fill_all(void)
{
	static struct page *page[512];
	unsigned nr = 0;

	while (nr < ARRAY_SIZE(page) &&
	       (page[nr] = alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC, 5)) != NULL)
		nr++;
	EXPECT_GT(nr, 100);
	while (nr-- > 0)
		free_pages(page[nr], 5);
}

/* The mark of a gap is no damage of the filled page that it was, and one page more is still
 * verified. */
TEST(page_gap_more, gaps_in_pages_that_are_filled)
{
	struct mm_debug_choice run = mm_debug_choice();
	struct page *page;
	char *behind;

	if (page_debug_on)
		return test_skip("this run has chosen otherwise");
	host_machine_borrow(64 * MIB, 1);
	ASSERT_TRUE(cpu_pages_bypass(true));
	mm_debug_configure("P,pages", false, false);
	page_debug_init();
	mm_debug_choose(&run);
	fill_all();
	page_gaps_on = true;
	page = alloc_pages(GFP_KERNEL, 5);
	ASSERT_NOT_NULL(page);
	page_debug_verify(page + 32, 1);
	behind = page_address(page + 33);
	(void)plant(behind, 0x41);
	EXPECT_PANIC("BUG: write after free in pages", page_debug_verify(page + 33, 1));
	(void)plant(behind, POISON_PAGE);
	free_pages(page, 5);
	page_gaps_on = false;
	fill_all();
	page_debug_finish();
	ASSERT_TRUE(cpu_pages_bypass(false));
	host_machine_return();
}
#endif
