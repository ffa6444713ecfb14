/* See frames.h. */
#include <mm/reclaim.h>
#include <tests/fuzz/frames.h>
#include <tests/fuzz/fuzz.h>
#include <tests/host/machine.h>

/* Three windows of frames, one a zone; odd ends, so that there are blocks of all sizes. */
static const struct window {
	u32 start, end; /* pfn */
} windows[] = {{256, 1300}, {4096, 5119}, {1 << 20, (1 << 20) + 601}};
#define NR_WINDOWS ARRAY_SIZE(windows)
#define MAX_FRAMES 2048u

u64 frames_nr_free;
static u8 owner[NR_WINDOWS][MAX_FRAMES];
static u32 shape_at_boot[MAX_ZONES][NR_ORDERS];

u8 *frame_owner(u32 pfn)
{
	for (u32 w = 0; w < NR_WINDOWS; w++)
		if (pfn >= windows[w].start && pfn < windows[w].end)
			return &owner[w][pfn - windows[w].start];
	return NULL;
}

void frames_set(u32 pfn, u32 nr_pages, enum frame_state from, enum frame_state to)
{
	for (u32 i = 0; i < nr_pages; i++) {
		u8 *who = frame_owner(pfn + i);

		MUST(who != NULL && *who == from);
		*who = (u8)to;
	}
	frames_nr_free += to == FRAME_FREE ? nr_pages : 0;
	frames_nr_free -= from == FRAME_FREE ? nr_pages : 0;
}

bool frames_are(u32 pfn, u32 nr_pages, enum frame_state state)
{
	for (u32 i = 0; i < nr_pages; i++)
		if (frame_owner(pfn + i) == NULL || *frame_owner(pfn + i) != state)
			return false;
	return true;
}

/* --- where memory may come from --- */

static u32 highest_window(gfp_t gfp)
{
	return gfp & __GFP_DMA ? 0 : gfp & __GFP_DMA32 ? 1 : 2;
}

u32 frames_end(gfp_t gfp)
{
	return windows[highest_window(gfp)].end;
}

bool frames_have(gfp_t gfp, u32 nr_pages, u32 align)
{
	for (u32 w = 0; w <= highest_window(gfp); w++)
		for (u32 pfn = (u32)align_up(windows[w].start, align);
		     pfn + nr_pages <= windows[w].end; pfn += align)
			if (!mem_find_other(frame_owner(pfn), FRAME_FREE, nr_pages))
				return true;
	return false;
}

/* --- signatures --- */

static u64 *word_at(u32 pfn, u64 byte)
{
	return (u64 *)((u8 *)page_address(pfn_to_page(pfn)) + byte);
}

void frames_sign(u32 pfn, u32 nr_pages)
{
	*word_at(pfn, 0) = ~(u64)pfn;
	*word_at(pfn, nr_pages * PAGE_SIZE - 8) = ~(u64)pfn;
}

void frames_verify(u32 pfn, u32 nr_pages)
{
	MUST_EQ(*word_at(pfn, 0), ~(u64)pfn);
	MUST_EQ(*word_at(pfn, nr_pages * PAGE_SIZE - 8), ~(u64)pfn);
}

/* --- the boot --- */

static void learn_what_is_free(void)
{
	static struct page *pages[NR_WINDOWS * MAX_FRAMES];
	size_t n;

	memset(owner, FRAME_TAKEN, sizeof(owner));
	frames_nr_free = 0;
	(void)reclaim_pages(UINT64_MAX); /* what the boot left in empty slabs is free too */
	n = alloc_pages_bulk(GFP_NOWAIT | __GFP_NOWARN | __GFP_MEMALLOC, ARRAY_SIZE(pages), pages);
	for (size_t i = 0; i < n; i++)
		frames_set(page_to_pfn(pages[i]), 1, FRAME_TAKEN, FRAME_FREE);
	free_pages_bulk(n, pages);
	drain_cpu_pages();
	for_each_zone(z)
		memcpy(shape_at_boot[z->id], z->buddy.nr_free_blocks, sizeof(shape_at_boot[0]));
}

void frames_boot(void)
{
	struct mem_range firmware[NR_WINDOWS];

	for (u32 i = 0; i < NR_WINDOWS; i++)
		firmware[i] = (struct mem_range){
		    (u64)windows[i].start << PAGE_SHIFT,
		    (u64)(windows[i].end - windows[i].start) << PAGE_SHIFT, MEM_USABLE};
	host_garbage_ram = host_garbage_page_map = 64 * KIB;
	host_machine_boot(firmware, NR_WINDOWS);
	learn_what_is_free();
}

bool frames_are_as_at_boot(void)
{
	for_each_zone(z)
		if (memcmp(shape_at_boot[z->id], z->buddy.nr_free_blocks,
		           sizeof(shape_at_boot[0])) != 0)
			return false;
	return true;
}
