/*
 * Misuse that the processor catches, by what the page tables allow; and the audit, which needs the
 * machine's memory map.
 */
#include <kernel/cpu.h>
#include <kernel/kasan.h>
#include <kernel/memory.h>
#include <kernel/pagetable.h>
#include <kernel/sections.h>
#include <kernel/stack.h>
#include <kernel/trap.h>
#include <mm/audit.h>
#include <mm/mm.h>

#include "tests/misuse/misuse.h"

/* fn(arg) must end in an exception that is described so. */
#define FAULTS(fn, arg, ...)                                        \
	do {                                                        \
		const char *line_ = misuse_expect(__VA_ARGS__);     \
		struct trap_frame frame_;                           \
		char text_[192] = "";                               \
                                                                    \
		ASSERT_TRUE(trap_expect(fn, arg, &frame_));         \
		(void)trap_describe(&frame_, text_, sizeof(text_)); \
		EXPECT_NOT_NULL(strstr(text_, line_));              \
		if (strstr(text_, line_) == NULL)                   \
			test_note("it was \"%s\"", text_);          \
	} while (0)

/* Past the sanitizer, where it is there: it would be before the page tables. */
__no_kasan static void read_byte(void *p)
{
	(void)*(volatile u8 *)p;
}

/* Writes what is there, so that a bug that is not caught does no harm. */
static void write_byte(void *p)
{
	u8 old = *(volatile u8 *)p;

	*(volatile u8 *)p = old;
}

static void write_null(void *p)
{
	*(volatile u8 *)p = 0;
}

static void call(void *p)
{
	((void (*)(void))p)();
}

MISUSE(null_read, "read through a null pointer", TIER_RELEASE, "at the access", "an oops")
{
	FAULTS(read_byte, (void *)8,
	       "page fault (#PF): read of 0x0000000000000008, not present, kernel mode: null "
	       "dereference");
}

MISUSE(null_write, "write through a null pointer", TIER_RELEASE, "at the access", "an oops")
{
	FAULTS(write_null, (void *)0xff8,
	       "page fault (#PF): write to 0x0000000000000ff8, not present, kernel mode: null "
	       "dereference");
}

MISUSE(non_canonical, "access to what can be no address", TIER_RELEASE, "at the access", "an oops")
{
	FAULTS(read_byte, (void *)0x4141414141414141ul, "general protection");
}

MISUSE(write_to_text, "write to code", TIER_RELEASE, "at the access", "an oops")
{
	FAULTS(write_byte, (void *)text_start, "page fault (#PF): write to %p, read-only",
	       (const void *)text_start);
}

MISUSE(write_to_constants, "write to constants", TIER_RELEASE, "at the access", "an oops")
{
	FAULTS(write_byte, (void *)rodata_start, "page fault (#PF): write to %p, read-only",
	       (const void *)rodata_start);
}

MISUSE(execute_data, "jump into data (W^X)", TIER_RELEASE, "at the jump", "an oops")
{
	static u8 code[16] = {0xc3}; /* ret */

	FAULTS(call, code, "page fault (#PF): fetch from %p, not executable", (void *)code);
}

MISUSE(execute_heap, "jump into the heap (W^X)", TIER_RELEASE, "at the jump", "an oops")
{
	u8 *p = must(kmalloc(16, GFP_KERNEL));

	p[0] = 0xc3;
	FAULTS(call, p, "page fault (#PF): fetch from %p, not executable", (void *)p);
	kfree(p);
}

static volatile unsigned depth;

__attribute__((noinline)) static void overflow(void *arg)
{
	volatile u8 frame[256];

	frame[0] = (u8)(u64)arg;
	if (depth++ < 1000000)
		overflow((void *)(u64)frame[0]);
	frame[1] = 0; /* not a tail call */
}

MISUSE(stack_overflow, "stack overflow", TIER_RELEASE, "at the guard page", "the same (VMAP_STACK)")
{
	depth = 0;
	FAULTS(overflow, NULL, "stack overflow, guard page of the kernel stack");
}

MISUSE(vmalloc_overflow, "access past the end of a vmalloc area", TIER_RELEASE,
       "at the access, from the next page on", "the same; to the byte with KASAN")
{
	u8 *p = must(vmalloc(2 * PAGE_SIZE));

	FAULTS(read_byte, p + 2 * PAGE_SIZE, "page fault (#PF): read of %p, not present",
	       (void *)(p + 2 * PAGE_SIZE));
	vfree(p);
}

MISUSE(vmalloc_use_after_free, "use of a vmalloc area after vfree()", TIER_RELEASE,
       "at the access, on CPUs that have forgotten it", "the same; KASAN at once")
{
	u8 *p = must(vmalloc(2 * PAGE_SIZE));

	vfree(p);
	(void)vmalloc_purge();
	FAULTS(read_byte, p, "page fault (#PF): read of %p, not present", (void *)p);
}

#if defined(CONFIG_DEBUG) && !defined(CONFIG_KASAN)
/* A size that the compiler does not see through. */
static size_t late(size_t n)
{
	__asm__ volatile("" : "+r"(n));
	return n;
}

MISUSE(memcpy_over_object, "memcpy() over an object's end, in CONFIG=debug", TIER_HARDENED,
       "before anything is copied", "KASAN; FORTIFY_SOURCE where the compiler knows the size")
{
	char *p = must(kmalloc(64, GFP_KERNEL)), *q = must(kmalloc(128, GFP_KERNEL));

	memset(q, 2, 128);
	memcpy(p, q, 64);
	CAUGHT(
	    memcpy(p, q, late(65ul)),
	    "BUG: past the end of the object: in kmalloc-64: object %p+0 (size 64): 65 bytes, by "
	    "tests/misuse/kernel/fault_misuse.c",
	    (void *)p);
	CAUGHT(memmove(p + 1, p, late(64ul)), "in kmalloc-64: object %p+1 (size 64): 64 bytes",
	       (void *)p);
	CAUGHT(memset(p, 0, late(65ul)), "in kmalloc-64: object %p+0 (size 64): 65 bytes",
	       (void *)p);
	kfree(p);
	CAUGHT(memcpy(q, p, late(8ul)), "BUG: in a freed object: in kmalloc-64: object %p+0",
	       (void *)p);
	kfree(q);
}
#endif

MISUSE(copy_over_stack, "a copy over the end of a stack", TIER_HARDENED, "at the call",
       "the same (hardened usercopy)")
{
	u64 base = stack_alloc();
	char *end = (char *)base + CPU_STACK_SIZE;

	ASSERT_NE(base, 0);
	check_object_bounds(end - 8, 8);
	CAUGHT(check_object_bounds(end - 8, 9), "BUG: over the end of a stack: 9 bytes at %p",
	       (void *)(end - 8));
	stack_free(base);
}

MISUSE(copy_of_code, "a copy of the kernel's code", TIER_HARDENED, "at the call",
       "the same (hardened usercopy)")
{
	CAUGHT(check_object_bounds(text_start, 16), "BUG: in the kernel's code: 16 bytes at %p",
	       (const void *)text_start);
}

static int written_at_boot __ro_after_init = 1;

MISUSE(write_after_the_boot, "write to what only the boot writes", TIER_RELEASE, "at the access",
       "an oops (__ro_after_init)")
{
	FAULTS(write_byte, &written_at_boot, "page fault (#PF): write to %p, read-only",
	       (void *)&written_at_boot);
}

MISUSE(vmap_use_after_unmap, "use of a mapping after vunmap()", TIER_RELEASE,
       "at the access, on CPUs that have forgotten it", "the same")
{
	struct page *page = must(alloc_page(GFP_KERNEL));
	u8 *p = must(vmap(&page, 1, VM_WRITE));

	vunmap(p);
	(void)vmalloc_purge();
	FAULTS(read_byte, p, "page fault (#PF): read of %p, not present", (void *)p);
	free_page(page);
}

MISUSE(page_missing, "a page that no book knows of, or in two", TIER_ASKED, "when asked: `audit`",
       "nothing")
{
	static struct audit a;
	struct page *page = must(alloc_page(GFP_KERNEL));

	page->type = PAGE_CACHED; /* in nobody's cache */
	ASSERT_EQ(audit_take(memory_map(), pagetable_nr_pages(), &a), 0);
	page->type = PAGE_ALLOCATED;
	REFUSED(strncmp(a.fault, "A3: pages in CPU caches:", 24) == 0,
	        "audit: A3: pages in CPU caches: %lu found, %lu in the books", 0ul, 0ul);
	free_page(page);
}

/* The last byte of all that is there, and the first of the next page. */
LEGAL(every_byte_of_a_vmalloc_area)
{
	u8 *p = must(vmalloc(2 * PAGE_SIZE));

	for (unsigned i = 0; i < 2 * PAGE_SIZE; i += 64)
		p[i] = 1;
	p[2 * PAGE_SIZE - 1] = 1;
	vfree(p);
}
