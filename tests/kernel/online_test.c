/*
 * Memory that comes after the boot. The boot has to leave some out (mem=64M on a larger machine, as
 * tools/boot-matrix has it); without, the tests that need it are skipped.
 */
#include <kernel/memory.h>
#include <kernel/paging.h>
#include <mm/mm.h>
#include <tests/test.h>

#include "tests/model/expect.h"

#define EVERYWHERE 0, ~0ull << PAGE_SHIFT

static u64 managed_bytes(void)
{
	struct mm_usage u;

	mm_usage(&u);
	return u.managed_pages << PAGE_SHIFT;
}

static bool is_small(void)
{
	return managed_bytes() <= GIB;
}

/* All pages of a block on a small machine, 16 on a large one: what is touched the host must have.
 */
static u64 touched_step(const struct page *block)
{
	u64 pages = 1ull << block->order;

	return is_small() || pages < 16 ? 1 : pages / 16;
}

static volatile u64 *word_of(const struct page *block, u64 i)
{
	return (volatile u64 *)((u8 *)page_address(block) + (i << PAGE_SHIFT));
}

static void touch(const struct page *block)
{
	for (u64 i = 0, step = touched_step(block); i < 1ull << block->order; i += step)
		*word_of(block, i) = (u64)block ^ i;
}

static bool is_touched(const struct page *block)
{
	for (u64 i = 0, step = touched_step(block); i < 1ull << block->order; i += step)
		if (*word_of(block, i) != ((u64)block ^ i))
			return false;
	return true;
}

/* Every page there is, in blocks as large as there are. */
static struct page *take_everything(u64 *bytes)
{
	struct page *first = NULL, *page;

	*bytes = 0;
	for (unsigned order = NR_ORDERS; order-- > 0;)
		while ((page = alloc_pages(GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC, order)) !=
		       NULL) {
			touch(page);
			page->link = first;
			first = page;
			*bytes += PAGE_SIZE << order;
		}
	return first;
}

static void verify_and_free(struct page *block)
{
	unsigned nr_wrong = 0;

	while (block != NULL) {
		struct page *next = block->link;

		nr_wrong += !is_touched(block);
		free_pages(block, block->order);
		block = next;
	}
	EXPECT_EQ(nr_wrong, 0);
}

TEST(online, what_mem_cut_off_works)
{
	u64 absent = memmap_bytes(memory_map(), MEM_UNREACHABLE), before = managed_bytes();
	u64 described = memmap_bytes(memory_map(), MEM_PAGE_MAP), bytes, taken;
	struct page *all;

	if (absent == 0) {
		test_skip("all memory is there already: boot with mem=64M");
		return;
	}
	ASSERT_EQ(memory_online(EVERYWHERE, &bytes), 0);
	EXPECT_EQ(bytes, absent);
	EXPECT_EQ(memmap_bytes(memory_map(), MEM_UNREACHABLE), 0);
	described = memmap_bytes(memory_map(), MEM_PAGE_MAP) - described;
	EXPECT_EQ(managed_bytes(), before + absent - described);
	EXPECT_LE(described, absent / 200);
	EXPECT_EQ(memory_print_account(), 0);
	EXPECT_SOUND(mm_check());
	EXPECT_SOUND(paging_check());
	all = take_everything(&taken);
	EXPECT_GE(taken, absent - described);
	verify_and_free(all);
	EXPECT_EQ(memory_online(EVERYWHERE, &bytes), -EINVAL);
	EXPECT_EQ(bytes, 0);
}

/* The largest range of the map that is usable and above the boot's own. */
static struct mem_range largest_usable(void)
{
	const struct memmap *map = memory_map();
	struct mem_range best = {0, 0, 0};

	for (u32 i = 0; i < map->nr; i++)
		if (map->range[i].type == MEM_USABLE && map->range[i].length >= best.length)
			best = map->range[i];
	return best;
}

/* The highest free 2 MiB of the machine's largest range. */
TEST(online, goes_and_comes_back)
{
	struct mem_range r = largest_usable();
	u64 end = align_down(r.base + r.length, 2 * MIB), length = 2 * MIB, total = managed_bytes();
	u64 base, bytes;
	int error = -EBUSY;

	for (base = end - length; base > r.base + r.length / 2 && error != 0; base -= length)
		error = memory_offline(base, length);
	base += length;
	if (error != 0) {
		test_skip("no 2 MiB of its upper half are free");
		return;
	}
	EXPECT_EQ(managed_bytes(), total - length);
	EXPECT_EQ(memmap_bytes(memory_map(), MEM_OFFLINE), length);
	EXPECT_EQ(memory_print_account(), 0);
	EXPECT_NULL(page_block_of(base >> PAGE_SHIFT));
	EXPECT_PANIC("not RAM", free_page(pfn_to_page((u32)(base >> PAGE_SHIFT))));
	EXPECT_EQ(memory_offline(base, length), -EBUSY);
	EXPECT_SOUND(mm_check());
	ASSERT_EQ(memory_online(base, length, &bytes), 0);
	EXPECT_EQ(bytes, length);
	EXPECT_EQ(managed_bytes(), total);
	EXPECT_EQ(memmap_bytes(memory_map(), MEM_OFFLINE), 0);
}

TEST(online, impossible_ranges)
{
	u64 bytes, image = align_down(virt_to_phys(page_address(virt_to_page(memory_map()->range))),
	                              PAGE_SIZE);

	EXPECT_EQ(memory_online(PAGE_SIZE + 1, PAGE_SIZE, &bytes), -EINVAL);
	EXPECT_EQ(memory_online(PAGE_SIZE, 0, &bytes), -EINVAL);
	EXPECT_EQ(memory_online(~0ull << PAGE_SHIFT, 2 * PAGE_SIZE, &bytes), -EINVAL);
	EXPECT_EQ(memory_offline(PAGE_SIZE, PAGE_SIZE + 1), -EINVAL);
	EXPECT_EQ(memory_offline(PAGE_SIZE, 0), -EINVAL);
	EXPECT_EQ(memory_offline(~0ull << PAGE_SHIFT, 2 * PAGE_SIZE), -EINVAL);
	EXPECT_EQ(memory_offline(PLATFORM_MAX_PA, PAGE_SIZE), -EINVAL);
	EXPECT_NE(memory_offline(0, 16 * MIB), 0);           /* the kernel is there, and holes */
	EXPECT_EQ(memory_offline(image, PAGE_SIZE), -EBUSY); /* the memory map itself: a slab's */
}
