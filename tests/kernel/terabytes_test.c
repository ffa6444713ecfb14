/*
 * Memory above 3 TiB: blocks of 1 GiB from there, on machines that reach so high. What they cost
 * the host is measured by tools/boot-matrix, which has such a machine.
 */
#include <mm/mm.h>
#include <tests/test.h>

#define HIGH (3 * TIB)
#define NR_BLOCKS 256u /* if there are so many */

static struct page *block[NR_BLOCKS];

static bool reaches_above(u64 pa)
{
	for_each_zone(z)
		if ((u64)z->buddy.high << PAGE_SHIFT > pa + 2 * GIB)
			return true;
	return false;
}

static u64 *word_at(const struct page *page, u64 offset)
{
	return (u64 *)((char *)page_address(page) + offset);
}

static void sign(const struct page *page, u64 value)
{
	for (u64 offset = 0; offset < GIB; offset += GIB / 4)
		*word_at(page, offset) = value + offset;
	*word_at(page, GIB - sizeof(u64)) = ~value;
}

static bool is_signed(const struct page *page, u64 value)
{
	bool right = *word_at(page, GIB - sizeof(u64)) == ~value;

	for (u64 offset = 0; offset < GIB; offset += GIB / 4)
		right = right && *word_at(page, offset) == value + offset;
	return right;
}

TEST(terabytes, allocates_1_gib_blocks_above_3_tib)
{
	unsigned nr = 0, nr_high = 0;

	if (!reaches_above(HIGH)) {
		test_skip("this machine's memory ends below 3 TiB");
		return;
	}
	for (; nr < NR_BLOCKS; nr++) {
		block[nr] = alloc_pages(GFP_KERNEL | __GFP_NOWARN, MAX_ORDER);
		if (block[nr] == NULL)
			break;
		EXPECT_TRUE(is_aligned(page_to_phys(block[nr]), GIB));
		nr_high += page_to_phys(block[nr]) >= HIGH;
		sign(block[nr], page_to_phys(block[nr]));
	}
	EXPECT_GT(nr_high, 0);
	for (unsigned i = 0; i < nr; i++) {
		EXPECT_TRUE(is_signed(block[i], page_to_phys(block[i])));
		free_pages(block[i], MAX_ORDER);
	}
	EXPECT_NULL(mm_check());
}
