/*
 * The page tables, looked at as a whole: the invariants P1-P5 of kernel/paging.h, and a listing for
 * people. Both are walks over all leaves; neither changes anything.
 */
#include <kernel/cpu.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <lib/bits.h>
#include <lib/format.h>
#include <lib/log.h>

static void check_leaf(void *context, u64 va, unsigned level, u64 entry)
{
	const char **broken = context;
	u64 pa = entry & PTE_ADDRESS & ~(pagetable_span(level) - 1);

	if (*broken)
		return;
	if ((s64)va >= 0)
		*broken = "P1: something is mapped in the lower half";
	else if (cpu_features.nx && (entry & PTE_WRITE) && !(entry & PTE_NX))
		*broken = "P2: a page is writable and executable";
	else if (entry & PTE_USER)
		*broken = "P3: a page is open to user mode";
	else if (paging_is_sealed() && (entry & PTE_WRITE) && pa < image_pa(ro_init_end) &&
	         pa + pagetable_span(level) > image_pa(ro_init_start))
		*broken = "P5: what only the boot writes is writable";
	else if ((entry & PTE_WRITE) && pa < image_pa(rodata_end) &&
	         pa + pagetable_span(level) > image_pa(text_start))
		*broken = "P4: the kernel's text or constants are writable";
}

const char *paging_check(void)
{
	const char *broken = NULL;

	pagetable_walk(check_leaf, &broken);
	return broken;
}

/* --- Listing --- */

/* Leaves of one size and one kind in a row. */
struct run {
	u64 start, end; /* addresses; end may have wrapped to 0 */
	u64 bits;
	unsigned level;
	bool any;
};

#define SHOWN_BITS (PTE_WRITE | PTE_USER | PTE_PWT | PTE_PCD | PTE_GLOBAL | PTE_NX)

static void print_run(const struct run *r)
{
	static const char *const leaf[] = {"4 KiB", "2 MiB", "1 GiB"};
	char size[16];

	kprintf("  %016llx-%016llx %10s  r%c%c%s%s  %s pages\n", (unsigned long long)r->start,
	        (unsigned long long)(r->end - 1), format_bytes(size, r->end - r->start),
	        r->bits & PTE_WRITE ? 'w' : '-', r->bits & PTE_NX ? '-' : 'x',
	        r->bits & PTE_PCD   ? " uncached"
	        : r->bits & PTE_PWT ? " write-combining"
	                            : "",
	        r->bits & PTE_GLOBAL ? " global" : "", leaf[r->level]);
}

static void list_leaf(void *context, u64 va, unsigned level, u64 entry)
{
	struct run *r = context;
	u64 bits = entry & SHOWN_BITS;

	if (!r->any || va != r->end || bits != r->bits || level != r->level) {
		if (r->any)
			print_run(r);
		*r = (struct run){.start = va, .bits = bits, .level = level, .any = true};
	}
	r->end = va + pagetable_span(level);
}

void paging_dump(void)
{
	struct run r = {.any = false};

	kprintf("page tables: address range, size, rights, leaves\n");
	pagetable_walk(list_leaf, &r);
	if (r.any)
		print_run(&r);
}
