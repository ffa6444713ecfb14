/*
 * What the sanitizer's build finds beside the slabs (CONFIG=kasan): pages, vmalloc areas, globals
 * and the stack; and behaviour that C does not define.
 */
#include "tests/misuse/kernel/kasan_misuse.h"
#include "tests/model/page_gaps.h"

#include <kernel/sched.h>
#include <mm/mm.h>
#include <mm/vmalloc.h>

/* --- pages --- */

SANITIZED(kasan_large, "write behind a large kmalloc(), to its last page's end",
          "KASAN, from the next page on")
{
	const size_t n = 3 * PAGE_SIZE + 100;
	u8 *p = must_kmalloc(n);

	write_byte(p + n - 1);
	CAUGHT_AT("large-out-of-bounds", "write of size 1", p + n, write_byte(p + n));
	CAUGHT_AT("large-out-of-bounds", "write of size 1", p + 4 * PAGE_SIZE - 1,
	          write_byte(p + 4 * PAGE_SIZE - 1));
	kfree(p);
}

SANITIZED(kasan_large_krealloc, "write behind a large block that krealloc() changed", "KASAN")
{
	u8 *p = hide(krealloc(must_kmalloc(20001), 20000, GFP_KERNEL));

	ASSERT_NOT_NULL(p);
	CAUGHT_AT("large-out-of-bounds", "write of size 1", p + 20000, write_byte(p + 20000));
	p = hide(krealloc(p, 20003, GFP_KERNEL));
	ASSERT_NOT_NULL(p);
	write_byte(p + 20002);
	CAUGHT_AT("large-out-of-bounds", "write of size 1", p + 20003, write_byte(p + 20003));
	kfree(p);
}

SANITIZED(kasan_large_freed, "read of a large block after kfree()", "KASAN")
{
	u8 *p = must_kmalloc(3 * PAGE_SIZE);

	kfree(p);
	CAUGHT_AT("page-use-after-free", "read of size 1", p, read_byte(p));
}

SANITIZED(kasan_page_freed, "write to pages after free_pages()", "KASAN")
{
	struct page *page = must(alloc_pages(GFP_KERNEL, 4));
	u8 *p = hide(page_address(page)), *last = p + (PAGE_SIZE << 4) - 1;

	write_byte(last);
	free_pages(page, 4);
	CAUGHT_AT("page-use-after-free", "write of size 1", p, write_byte(p));
	CAUGHT_AT("page-use-after-free", "write of size 1", last, write_byte(last));
}

/* The fourth page of the block went back at once. */
SANITIZED(kasan_page_right, "write behind a run of pages, where nobody has the next", "KASAN")
{
	u8 *p = hide(alloc_pages_exact(3 * PAGE_SIZE, GFP_KERNEL)), *end = p + 3 * PAGE_SIZE;

	ASSERT_NOT_NULL(p);
	write_byte(end - 1);
	CAUGHT_AT("page-use-after-free", "write of size 1", end, write_byte(end));
	free_pages_exact(p, 3 * PAGE_SIZE);
}

SANITIZED(kasan_page_gap, "write behind a block of pages, whoever has the next (page_red_zones=1)",
          "nothing")
{
	struct page *page;
	u8 *p, *end;

	page_gaps_begin();
	page = must(alloc_pages(GFP_KERNEL, 2));
	p = hide(page_address(page));
	end = p + 4 * PAGE_SIZE;
	write_byte(end - 1);
	CAUGHT_AT("page-out-of-bounds", "write of size 1", end, write_byte(end));
	CAUGHT_AT("page-out-of-bounds", "read of size 1", end + PAGE_SIZE - 1,
	          read_byte(end + PAGE_SIZE - 1));
	free_pages(page, 2);
	page_gaps_end();
}

/* --- vmalloc --- */

SANITIZED(kasan_vmalloc, "write behind what was asked of vmalloc(), in the last page",
          "KASAN (VMALLOC)")
{
	const size_t n = 3 * PAGE_SIZE - 100;
	u8 *p = hide(vmalloc(n));

	ASSERT_NOT_NULL(p);
	write_byte(p + n - 1);
	CAUGHT_AT("vmalloc-out-of-bounds", "write of size 1", p + n, write_byte(p + n));
	vfree(p);
}

SANITIZED(kasan_vmalloc_freed, "read of a vmalloc() area after vfree(), on any CPU",
          "KASAN (VMALLOC)")
{
	u8 *p = hide(vmalloc(3 * PAGE_SIZE));

	ASSERT_NOT_NULL(p);
	vfree(p);
	CAUGHT_AT("vmalloc-use-after-free", "read of size 1", p + PAGE_SIZE,
	          read_byte(p + PAGE_SIZE));
}

SANITIZED(kasan_vunmapped, "read of a mapping after vunmap()", "KASAN (VMALLOC)")
{
	struct page *page = must(alloc_page(GFP_KERNEL));
	u8 *p = hide(vmap(&page, 1, VM_WRITE));

	ASSERT_NOT_NULL(p);
	vunmap(p);
	CAUGHT_AT("vmalloc-use-after-free", "read of size 1", p, read_byte(p));
	free_page(page);
}

/* --- globals --- */

static u8 before[10], middle[13], after[10];
static const u8 constant[5] = {1, 2, 3, 4, 5};

SANITIZED(kasan_global_right, "write behind a global variable", "KASAN")
{
	u8 *p = hide(middle);

	(void)hide(before);
	(void)hide(after);
	write_byte(p + 12);
	CAUGHT_AT("global-out-of-bounds", "write of size 1", p + 13, write_byte(p + 13));
}

SANITIZED(kasan_global_left, "read before a global variable",
          "KASAN, where its neighbour ends early")
{
	u8 *p = hide(middle);

	CAUGHT_AT("global-out-of-bounds", "read of size 1", p - 1, read_byte(p - 1));
}

SANITIZED(kasan_constant, "read behind a constant", "KASAN")
{
	u8 *p = hide((void *)constant);

	read_byte(p + 4);
	CAUGHT_AT("global-out-of-bounds", "read of size 1", p + 5, read_byte(p + 5));
}

/* --- the stack: in frames of their own, whose red zones a caught panic takes away --- */

SANITIZED(kasan_stack, "write behind or before a variable on the stack", "KASAN")
{
	victim_array(0);
	victim_array(9);
	CAUGHT_AS("stack-out-of-bounds", "write", victim_array(10));
	CAUGHT_AS("stack-out-of-bounds", "write", victim_array(-1));
}

SANITIZED(kasan_alloca_right, "write behind an array of variable length", "KASAN")
{
	CAUGHT_AS("alloca-out-of-bounds", "write", victim_alloca(hide_size(13), 13));
}

SANITIZED(kasan_alloca_left, "write before an array of variable length", "KASAN")
{
	CAUGHT_AS("alloca-out-of-bounds", "write", victim_alloca(hide_size(13), -1));
}

SANITIZED(kasan_scope, "write to a variable whose block has ended", "KASAN (gcc, clang's option)")
{
	CAUGHT_AS("stack-use-after-scope", "write", victim_scope());
}

/* --- behaviour that C does not define --- */

/* The line names the place. */
#define UNDEFINED(name, bug, kind, statement)                                               \
	MISUSE(name, bug, TIER_KASAN, "at the operation", "UBSAN")                          \
	{                                                                                   \
		misuse_row("UBSAN: " kind " at %s:%u:%u");                                  \
		EXPECT_PANIC("UBSAN: " kind " at tests/misuse/kernel/kasan_more_misuse.c:", \
		             hide_int(statement));                                          \
	}

static int hide_int(int n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

static int index_of(int i)
{
	static const int array[4] = {1, 2, 3, 4};

	return array[i];
}

static __noinline int read_unaligned(const int *p)
{
	return *p;
}

static __noinline bool read_bool(const bool *p)
{
	return *p;
}

static __noinline int reach_unreachable(int n)
{
	if (n == 1)
		__builtin_unreachable();
	return hide_int(n);
}

static u64 words[2] = {2, 2};

UNDEFINED(ubsan_overflow, "overflow of signed numbers", "signed-integer-overflow",
          hide_int(0x7fffffff) + 1)
UNDEFINED(ubsan_division, "division by zero", "division-overflow", hide_int(1) / hide_int(0))
UNDEFINED(ubsan_shift, "shift by the width of the number", "shift-out-of-bounds",
          hide_int(1) << hide_int(32))
UNDEFINED(ubsan_index, "index beyond an array", "array-index-out-of-bounds", index_of(hide_int(4)))
UNDEFINED(ubsan_misaligned, "read through a misaligned pointer", "misaligned-or-too-small-object",
          read_unaligned((const int *)((u8 *)hide(words) + 1)))
UNDEFINED(ubsan_bool, "a bool that is neither true nor false", "invalid-value-of-bool-or-enum",
          read_bool((const bool *)hide(words)))
UNDEFINED(ubsan_unreachable, "code that cannot be reached is", "unreachable-code-reached",
          reach_unreachable(hide_int(1)))
