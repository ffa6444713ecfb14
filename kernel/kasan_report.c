/*
 * The sanitizer's report (CONFIG=kasan): one line that names the kind, the function and the access,
 * as every panic begins; and, when the machine really ends, a screen of details: what the memory
 * is, whose, and the shadow around it.
 *
 * The kind is what the shadow byte of the first wrong byte says; of a word whose start may be
 * touched, the byte behind it.
 */
#include "kasan_internal.h"

#include <kernel/sections.h>
#include <kernel/symbols.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/page.h>

#define ROW 16u /* shadow bytes in a line */
#define ROWS_AROUND 2u

/* What the latest report was about, as it was then: the stack's shadow does not outlive it. */
static struct kasan_access last;
static u8 last_shadow[ROW * (2 * ROWS_AROUND + 1)];

static const char *kind_of_place(u64 va)
{
	if (va >= (u64)kernel_start && va < (u64)kernel_end)
		return "global-out-of-bounds";
	if (is_vmalloc_addr((const void *)va))
		return "vmalloc-out-of-bounds";
	return is_direct_map((const void *)va) ? "slab-out-of-bounds" : "out-of-bounds";
}

static const char *kind_of_value(u8 value, u64 va)
{
	switch (value) {
	case SHADOW_POISON + POISON_FREED:
		return "slab-use-after-free";
	case SHADOW_POISON + POISON_RED_ZONE:
		return "slab-out-of-bounds";
	case SHADOW_POISON + POISON_LARGE_TAIL:
		return "large-out-of-bounds";
	case SHADOW_POISON + POISON_FREED_PAGE:
		return "page-use-after-free";
	case SHADOW_POISON + POISON_PAGE_GAP:
		return "page-out-of-bounds";
	case SHADOW_POISON + POISON_VMALLOC:
		return "vmalloc-out-of-bounds";
	case SHADOW_POISON + POISON_VFREED:
		return "vmalloc-use-after-free";
	case SHADOW_GLOBAL:
		return "global-out-of-bounds";
	case SHADOW_STACK_LEFT:
	case SHADOW_STACK_MIDDLE:
	case SHADOW_STACK_RIGHT:
		return "stack-out-of-bounds";
	case SHADOW_STACK_SCOPE:
		return "stack-use-after-scope";
	case SHADOW_ALLOCA_LEFT:
	case SHADOW_ALLOCA_RIGHT:
		return "alloca-out-of-bounds";
	default:
		return kind_of_place(va);
	}
}

static const char *kind_of(const struct kasan_access *a)
{
	const u8 *at = shadow_of(a->bad);

	if ((s64)a->length < 0)
		return "negative-size";
	return kind_of_value(*at < KASAN_GRANULE ? at[1] : *at, a->bad);
}

/* Where the shown shadow begins: rows of whole ones, the bad one in the middle of them. */
static u64 shown_start(void)
{
	return align_down(last.bad, ROW * KASAN_GRANULE) - ROWS_AROUND * ROW * KASAN_GRANULE;
}

static void keep(const struct kasan_access *access)
{
	last = *access;
	for (unsigned i = 0; i < sizeof(last_shadow) && has_shadow(shown_start()); i++)
		last_shadow[i] = shadow_of(shown_start())[i];
}

_Noreturn void kasan_report(const struct kasan_access *access)
{
	const char *kind = kind_of(access);
	char where[96];

	keep(access);
	kasan_forget_frames((u64)__builtin_frame_address(0));
	panic("KASAN: %s in %s: %s of size %ld at %#lx", kind,
	      symbol_format(where, sizeof(where), access->ip - 1), access->write ? "write" : "read",
	      (long)access->length, access->bad);
}

/* --- details --- */

static void print_object(u64 va)
{
	struct slab_object_info info;
	char site[96];

	if (!slab_object_of((const void *)va, &info))
		return;
	kprintf("  byte %lu of the object at %p in the cache %s, whose objects have %lu bytes\n",
	        info.offset, info.object, kmem_cache_name(info.cache), kmem_cache_size(info.cache));
	if (info.tag < TAG_FIRST_SITE)
		kprintf("  the object is free\n");
	else
		kprintf("  the object was allocated at %s\n", site_name(site, info.tag));
}

static const char *name_of_page(const struct page *page)
{
	switch (page->type) {
	case PAGE_FREE:
	case PAGE_CACHED:
		return "free";
	case PAGE_SLAB:
		return "a slab's";
	case PAGE_LARGE:
		return "the first of a large kmalloc()";
	default:
		return "allocated, or inside a block";
	}
}

static void print_page(u64 va)
{
	const struct page *page = page_hint((const void *)va);

	if (page != NULL)
		kprintf("  page frame %#x is %s\n", page_to_pfn(page), name_of_page(page));
}

static void print_global(u64 va)
{
	const struct asan_global *g = kasan_find_global(va);

	if (g != NULL)
		kprintf("  byte %ld of the variable %s (%s), which has %lu bytes\n",
		        (long)(va - g->va), g->name, g->file, g->size);
}

static void print_row(unsigned first)
{
	u64 start = shown_start(), bad = (last.bad - start) / KASAN_GRANULE;

	kprintf("  %016lx:", start + first * KASAN_GRANULE);
	for (unsigned i = first; i < first + ROW; i++)
		kprintf(i == bad                     ? "[%02x]"
		        : i == bad + 1 && i != first ? "%02x"
		                                     : " %02x",
		        last_shadow[i]);
	kprintf("\n");
}

static void print_shadow(void)
{
	kprintf(
	    "shadow, a byte for each 8 (00 all may be touched, 01-07 so many, e0 free object, e1 "
	    "red zone,\ne2 tail, e3 free page, e4 vmalloc, e5 after vfree, e6 between blocks of "
	    "pages,\nf1-f3 stack, f8 scope, f9 global, ca cb alloca):\n");
	for (unsigned i = 0; i < sizeof(last_shadow); i += ROW)
		print_row(i);
}

void kasan_print_report(const char *line)
{
	u64 va = last.bad;

	if (strncmp(line, "KASAN: ", 7) != 0 || !has_shadow(va))
		return;
	if (is_direct_map((const void *)va)) {
		print_object(va);
		print_page(va);
	} else if (va >= (u64)kernel_start && va < (u64)kernel_end) {
		print_global(va);
	}
	print_shadow();
}
