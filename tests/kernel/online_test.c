/*
 * Memory that comes after the boot. The boot has to leave some out (mem=64M on a larger machine, as
 * tools/boot-matrix has it); without, the tests that need it are skipped.
 */
#include <kernel/memory.h>
#include <kernel/paging.h>
#include <kernel/smp.h>
#include <lib/string.h>
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

/* --- what the map does not list --- */

/* What the firmware says may be plugged in, and the map has nothing of. */
static const struct acpi_memory *hot_range(void)
{
	const struct acpi_info *acpi = acpi_info();

	for (u32 i = 0; i < acpi->nr_memory; i++)
		if (acpi->memory[i].hot && memmap_overlap(memory_map(), acpi->memory[i].base,
		                                          acpi->memory[i].length) == NULL)
			return &acpi->memory[i];
	return NULL;
}

/* As the boot matrix has it: 256 MiB, and room for more. */
TEST(online, a_module_of_memory_that_no_map_lists)
{
	const struct acpi_memory *hot = hot_range();
	u64 length = 256 * MIB, before = managed_bytes(), described, taken;
	struct page *all;

	if (hot == NULL) {
		test_skip("none may be plugged in here");
		return;
	}
	EXPECT_STREQ(memory_probe(hot->base + length, 2 * MIB),
	             "nothing there answers as memory does");
	EXPECT_STREQ(memory_probe(hot->base, 2 * length), "nothing there answers as memory does");
	described = memmap_bytes(memory_map(), MEM_PAGE_MAP);
	ASSERT_STREQ(memory_probe(hot->base, length), NULL);
	described = memmap_bytes(memory_map(), MEM_PAGE_MAP) - described;
	EXPECT_EQ(managed_bytes(), before + length - described);
	EXPECT_LE(described, length / 200);
	EXPECT_EQ(memory_print_account(), 0);
	EXPECT_SOUND(memmap_check(memory_map()));
	EXPECT_SOUND(mm_check());
	EXPECT_STREQ(memory_probe(hot->base, length), "the memory map has some of it");
	all = take_everything(&taken);
	EXPECT_GE(taken, length - described);
	verify_and_free(all);
}

/* The last 2 MiB below `end` that the map has nothing of, or 0. */
static u64 hole_below(u64 end)
{
	u64 at = end;

	while (at > 0 && memmap_overlap(memory_map(), at - 2 * MIB, 2 * MIB) != NULL)
		at -= 2 * MIB;
	return at > 0 ? at - 2 * MIB : 0;
}

TEST(online, what_is_refused_says_why)
{
	u64 limit = min_u64(memory_map()->limit, PLATFORM_MAX_PA), hole = hole_below(4 * GIB);
	const char *multiple = "ADDRESS and SIZE must be multiples of 2 MiB";
	const char *beyond = "it ends beyond the addresses that this machine and this kernel have";

	EXPECT_STREQ(memory_probe(limit / 2, 0), multiple);
	EXPECT_STREQ(memory_probe(limit / 2, PAGE_SIZE), multiple);
	EXPECT_STREQ(memory_probe(limit / 2 + PAGE_SIZE, 2 * MIB), multiple);
	EXPECT_STREQ(memory_probe(limit, 2 * MIB), beyond);
	EXPECT_STREQ(memory_probe(limit - 2 * MIB, 4 * MIB), beyond);
	EXPECT_STREQ(memory_probe(0ull - 2 * MIB, 2 * MIB), beyond);
	EXPECT_STREQ(memory_probe(0, 2 * MIB), "the memory map has some of it");
	if (hole != 0)
		EXPECT_NOT_NULL(strstr(memory_probe(hole, 2 * MIB),
		                       acpi_info()->nr_memory != 0 ? "SRAT" : "for devices"));
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
