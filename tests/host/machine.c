/*
 * Physical memory, the page map and the pageblock bytes as reserved address space: see machine.h.
 *
 * All three are as large as the largest machine needs, and reserved once without access rights,
 * which costs nothing. Creating a machine opens its ranges of RAM; platform_back_page_map() opens
 * parts of the other two. The pageblock bytes can be read from the start, since a stray pointer may
 * ask for any of them.
 *
 * On a real machine memory holds whatever the firmware and the last system left there, and the page
 * map is never cleared; new memory from the host's kernel is zero, which would hide every read of
 * something never written. So the ends of each range, and the page map up to a limit, are filled
 * with garbage: half of it arbitrary, half small numbers that look like page types and orders. The
 * same on every run.
 *
 * Destroying gives all of it back, so the next machine starts from nothing. The memory that the
 * kernel would take for its page map is asked for, as there, so that the books of both agree; it is
 * not used.
 */
#define _GNU_SOURCE
#include <lib/bits.h>
#include <lib/platform.h>
#include <lib/rng.h>
#include <mm/page.h>
#include <tests/host/machine.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#if HOST_ASAN
#include <sanitizer/asan_interface.h>
#endif
#ifdef HOST_VALGRIND
#include <valgrind/memcheck.h>
#endif

/* The pageblock bytes are there for every address that page_hint() looks up. */
#define MAX_PFN (PLATFORM_MAX_PA / PAGE_SIZE)
#define PAGE_MAP_SIZE (MAX_PFN * sizeof(struct page))
#define PAGEBLOCK_SIZE ((1ull << HOST_RAM_BITS) / PAGE_SIZE / PAGEBLOCK_PAGES)

#if HOST_FIXED
#define PLACE(region, size, access) ((void)reserve(region, size, access))
#else
char *host_ram;
struct page *page_map;
u8 *pageblock_map;
#define PLACE(region, size, access) ((void)((region) = reserve(NULL, size, access)))
#endif

u64 host_mapped_bytes, host_page_map_align = PAGE_SIZE;
#if HOST_ASAN
u64 host_pages_told;
#endif
u64 host_garbage_ram = 2 * MIB, host_garbage_page_map = 32 * MIB;

static struct rng garbage;
static bool reserved;
static u64 garbage_left;      /* of host_garbage_page_map */
static u64 pageblocks_backed; /* the end of the last page of pageblock bytes that was asked for */

static _Noreturn void die(const char *what)
{
	fflush(stdout);
	perror(what);
	exit(1);
}

/* at: where, or NULL for anywhere. */
static void *reserve(void *at, u64 size, int access)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
	void *p = mmap(at, size, access, flags | (at ? MAP_FIXED_NOREPLACE : 0), -1, 0);

	if (p == MAP_FAILED || (at != NULL && p != at)) /* the latter: a kernel before 4.17 */
		die("cannot reserve address space for the machine (is `ulimit -v` unlimited?)");
	return p;
}

static void reserve_once(void)
{
	if (reserved)
		return;
	PLACE(host_ram, PLATFORM_MAX_PA, PROT_NONE);
	PLACE(page_map, PAGE_MAP_SIZE, PROT_NONE);
	PLACE(pageblock_map, PAGEBLOCK_SIZE, PROT_READ);
	reserved = true;
}

static void open_range(void *p, u64 length)
{
	if (mprotect(p, length, PROT_READ | PROT_WRITE) != 0)
		die("cannot open the machine's memory");
}

static void close_range(void *p, u64 length, int access)
{
	if (mprotect(p, length, access) != 0 || madvise(p, length, MADV_DONTNEED) != 0)
		die("cannot take the machine's memory back");
}

/* The next machine's memory is nobody's yet: the sanitizer's marks go, by whole pages of them. */
static void forget_poison(void)
{
#if HOST_ASAN
	size_t scale, offset;
	u64 start, end;

	__asan_get_shadow_mapping(&scale, &offset);
	start = align_up(((u64)host_ram >> scale) + offset, PAGE_SIZE);
	end = align_down(((u64)(host_ram + PLATFORM_MAX_PA) >> scale) + offset, PAGE_SIZE);
	if (madvise((void *)start, end - start, MADV_DONTNEED) != 0)
		die("cannot clear the sanitizer's marks");
	platform_unpoison(host_ram, PAGE_SIZE << scale); /* the first page's share */
#endif
}

static void fill_garbage(void *p, u64 length)
{
	u64 *word = p;

	for (u64 i = 0; i < length / sizeof(u64); i++) {
		u64 x = rng_next(&garbage);

		word[i] = x & 1 ? x : x & 0x0000000700031302;
	}
}

/* Memory that may be touched but holds nothing yet: valgrind reports what depends on its contents.
 */
static void mark_undefined(void *p, u64 length)
{
#ifdef HOST_VALGRIND
	(void)VALGRIND_MAKE_MEM_UNDEFINED(p, length);
#else
	(void)p;
	(void)length;
#endif
}

#ifdef HOST_VALGRIND
void host_poison(const void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_NOACCESS(p, n);
}

/* What a constructor wrote is there again, so all of it counts as written. */
void platform_unpoison(const void *p, size_t n)
{
	(void)VALGRIND_MAKE_MEM_DEFINED(p, n);
}
#endif

static void create_ram(u64 base, u64 length)
{
	u64 ends = min_u64(align_down(host_garbage_ram, PAGE_SIZE), length);

	open_range(phys_to_virt(base), length);
	fill_garbage(phys_to_virt(base), ends);
	fill_garbage(phys_to_virt(base + length - ends), ends);
	mark_undefined(phys_to_virt(base), length);
}

void host_machine_create(const struct mem_range *range, u32 nr)
{
	reserve_once();
	rng_seed(&garbage, 0);
	garbage_left = host_garbage_page_map;
	pageblocks_backed = 0;
	for (u32 i = 0; i < nr; i++) {
		u64 start = align_up(range[i].base, PAGE_SIZE);
		u64 end = min_u64(range[i].base + range[i].length, PLATFORM_MAX_PA);

		end = align_down(end, PAGE_SIZE);
		if (range[i].type == MEM_USABLE && start < end)
			create_ram(start, end - start);
	}
}

void host_machine_destroy(void)
{
	if (!reserved)
		return;
	close_range(host_ram, PLATFORM_MAX_PA, PROT_NONE);
	forget_poison();
	close_range(page_map, PAGE_MAP_SIZE, PROT_NONE);
	close_range(pageblock_map, PAGEBLOCK_SIZE, PROT_READ);
}

static void back_page_map(u64 first_pfn, u64 end_pfn)
{
	struct page *first = page_map + first_pfn;
	u64 length = (end_pfn - first_pfn) * sizeof(struct page);
	u64 dirty = min_u64(garbage_left, length);

	open_range(first, length);
	fill_garbage(first, dirty);
	mark_undefined(first, length);
	garbage_left -= dirty;
}

/* Runs may share a page of pageblock bytes, and even a byte: each page is asked for once. */
static int back_pageblocks(u64 first_pfn, u64 end_pfn, platform_page_source alloc, void *context)
{
	u64 first = first_pfn / PAGEBLOCK_PAGES, end = div_round_up(end_pfn, PAGEBLOCK_PAGES);
	u64 from = max_u64(align_down(first, PAGE_SIZE), pageblocks_backed);
	u64 to = align_up(end, PAGE_SIZE);

	if (from < to) {
		if (alloc(context, to - from, PAGE_SIZE) == 0)
			return -ENOMEM;
		open_range(pageblock_map + from, to - from);
		pageblocks_backed = to;
	}
	for (u64 i = first; i < end; i++)
		pageblock_map[i] = PAGEBLOCK_UNKNOWN;
	return 0;
}

/* As the kernel does: in smaller pieces where there is no room for large ones. */
static int take_in_pieces(u64 length, platform_page_source alloc, void *context)
{
	while (length > 0) {
		u64 piece = length;

		while (alloc(context, piece, host_page_map_align) == 0 &&
		       alloc(context, piece, PAGE_SIZE) == 0) {
			if (piece == PAGE_SIZE)
				return -ENOMEM;
			piece = align_up(piece / 2, PAGE_SIZE);
		}
		length -= piece;
	}
	return 0;
}

/* Like RAM that was there from the start. */
int platform_map_ram(u64 base, u64 length)
{
	create_ram(base, length);
	host_mapped_bytes += length;
	return 0;
}

void platform_unmap_ram(u64 base, u64 length)
{
	close_range(phys_to_virt(base), length, PROT_NONE);
	host_mapped_bytes -= length;
}

int platform_back_page_map(u64 first_pfn, u64 end_pfn, platform_page_source alloc, void *context)
{
	u64 length = (end_pfn - first_pfn) * sizeof(struct page);

	if (take_in_pieces(align_up(length, PAGE_SIZE), alloc, context) != 0)
		return -ENOMEM;
	back_page_map(first_pfn, end_pfn);
	return back_pageblocks(first_pfn, end_pfn, alloc, context);
}
