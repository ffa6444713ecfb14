/*
 * What the kernel maps: kernel/layout.h made real.
 *
 *   direct map       every RAM-like range, writable, not executable; the kernel's text and
 * constants read-only there too, so no alias gets round their protection; the first MiB whole (BIOS
 * tables, VGA text memory: the memory type registers keep devices uncached) image            text
 * executable, constants read-only, data writable; the pages below the stacks and the early page
 * tables left out pageblock bytes  kernel/page_map.c devices          given out upwards on request,
 * never taken back
 *
 * The lower half stays empty: a null pointer, and every small number taken for one, faults. The
 * invariants P1-P5 are in kernel/paging.h; paging_check.c walks them.
 *
 * Reserved ranges of the firmware are not mapped: what they hold may not bear being read ahead by
 * the CPU.
 */
#include <kernel/cpu.h>
#include <kernel/kasan.h>
#include <kernel/layout.h>
#include <kernel/page_map.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <kernel/smp.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/spinlock.h>
#include <mm/page.h>
#include <mm/platform.h>

static_assert(KERNEL_LINK_OFFSET == 2 * MIB, "boot/layout.inc and linker.ld say the same");
static_assert(KERNEL_BASE == 0xffffffff80000000, "boot/layout.inc and linker.ld say the same");
static_assert(DIRECT_MAP_BASE == 0xffff800000000000, "boot/layout.inc says the same");
static_assert((u64)((s64)DIRECT_MAP_BASE >> 21) == PAGEBLOCK_BASE, "page_hint()'s first shift");
static_assert((u64)((s64)DIRECT_MAP_BASE >> 8) == PAGE_MAP_BASE, "page_hint()'s second shift");
static_assert(PAGE_MAP_BASE + MAX_PHYSICAL / PAGE_SIZE * 16 <= KERNEL_BASE, "the page map fits");

static struct spinlock device_lock = SPINLOCK_INIT("paging devices");

/* Where the next device goes: small ones share tables, the others get leaves of 2 MiB where they
 * can. */
static u64 next_small_va = DEVICE_BASE;
static u64 next_large_va = DEVICE_BASE + GIB;

static void map_or_panic(u64 va, u64 pa, u64 length, u32 flags)
{
	int error = length ? pagetable_map(va, pa, length, pagetable_bits(flags)) : 0;

	if (error)
		panic("paging: %s mapping 0x%016llx, %llu bytes",
		      error == -ENOMEM ? "no memory for tables" : "overlapping",
		      (unsigned long long)va, (unsigned long long)length);
}

/* --- The direct map --- */

static bool is_ram(const struct mem_range *r)
{
	return r->type != MEM_RESERVED && r->type != MEM_BAD && r->type != MEM_UNREACHABLE;
}

/* [start, end) of physical memory, read-only where the kernel's text and constants are. */
static void map_direct(u64 start, u64 end)
{
	u64 fixed = max_u64(start, min_u64(end, image_pa(text_start)));
	u64 fixed_end = max_u64(fixed, min_u64(end, image_pa(rodata_end)));

	map_or_panic(DIRECT_MAP_BASE + start, start, fixed - start, PAGING_WRITE);
	map_or_panic(DIRECT_MAP_BASE + fixed, fixed, fixed_end - fixed, 0);
	map_or_panic(DIRECT_MAP_BASE + fixed_end, fixed_end, end - fixed_end, PAGING_WRITE);
}

/* Ranges that touch are one run, whatever their types: so leaves stay large. */
static void map_ram(const struct memmap *map)
{
	u64 start = 0, end = MIB;

	for (u32 i = 0; i < map->nr; i++) {
		const struct mem_range *r = &map->range[i];

		if (!is_ram(r) || r->base >= PLATFORM_MAX_PA)
			continue;
		if (r->base > end) {
			map_direct(start, end);
			start = r->base;
		}
		end = max_u64(end, r->base + r->length);
	}
	map_direct(start, end);
}

/* After the boot; the caller sees to it that there is one at a time. */
int platform_map_ram(u64 base, u64 length)
{
	return pagetable_map(DIRECT_MAP_BASE + base, base, length, pagetable_bits(PAGING_WRITE));
}

void platform_unmap_ram(u64 base, u64 length)
{
	pagetable_unmap(DIRECT_MAP_BASE + base, length);
	tlb_shootdown(DIRECT_MAP_BASE + base, length);
}

/* --- The image --- */

static bool is_left_out(u64 va)
{
	return cpu_stack_of_guard(va) || (va >= (u64)boot_tables && va < (u64)boot_tables_end) ||
	       (va >= (u64)init_start && va < (u64)init_end);
}

static void map_image(void)
{
	map_or_panic((u64)text_start, image_pa(text_start),
	             align_up((u64)(text_end - text_start), PAGE_SIZE), PAGING_EXECUTE);
	map_or_panic((u64)rodata_start, image_pa(rodata_start), (u64)(rodata_end - rodata_start),
	             0);
	for (u64 start = (u64)data_start, page = start; page < (u64)bss_end; page += PAGE_SIZE) {
		bool left_out = is_left_out(page);
		u64 end = left_out ? page : page + PAGE_SIZE;

		if (left_out || end >= (u64)bss_end) {
			map_or_panic(start, image_pa((void *)start), end - start, PAGING_WRITE);
			start = page + PAGE_SIZE;
		}
	}
}

void paging_init(const struct memmap *map, struct bootmem *boot)
{
	pagetable_init(boot);
	map_ram(map);
	map_image();
	page_map_init();
	/* The tables of the first devices: registers can then be mapped in any context, without
	 * memory. */
	if (pagetable_entry(DEVICE_BASE, 0) == NULL)
		panic("paging: no memory for the device tables");
	kasan_map_shadow(map, boot);
	pagetable_load();
	kasan_begin();
}

void paging_boot_tables(u64 *base, u64 *length)
{
	*base = image_pa(boot_tables);
	*length = (u64)(boot_tables_end - boot_tables);
}

/* --- The end of the boot --- */

static bool sealed;

static int seal(u64 va, u64 length)
{
	int error = pt_protect(platform_page_tables(), va, length, pagetable_bits(0));

	tlb_shootdown(va, length);
	return error;
}

void paging_seal(void)
{
	u64 length = (u64)(ro_init_end - ro_init_start);

	if (seal((u64)ro_init_start, length) != 0 ||
	    seal(DIRECT_MAP_BASE + image_pa(ro_init_start), length) != 0)
		log_warn("paging: no memory to protect what only the boot writes");
	else
		sealed = true;
	if (sealed)
		log_info("paging: %lu KiB that only the boot writes are read-only from here on",
		         (unsigned long)(length / KIB));
}

bool paging_is_sealed(void)
{
	return sealed;
}

/* --- Devices --- */

static void *map_device(u64 pa, u64 length, u32 flags)
{
	u64 first = align_down(pa, PAGE_SIZE), end = align_up(pa + length, PAGE_SIZE);
	const bool small = length < MIB;
	const u64 limit = small ? DEVICE_BASE + GIB : STACKS_BASE;
	u64 *next = small ? &next_small_va : &next_large_va;
	u64 bytes = end - first, va, irq;
	int error = -EINVAL;

	if (length == 0 || pa + length < pa || end > 1ull << cpu_features.phys_bits ||
	    bytes > limit - DEVICE_BASE)
		return NULL;
	irq = spin_lock_irq(&device_lock);
	va = *next;
	if (bytes >= 2 * MIB) /* the same place in its 2 MiB as the device has: large leaves fit */
		va += (first - va) & (2 * MIB - 1);
	if (va + bytes <= limit) {
		/* Not reused after a failure: some of it may be mapped. An unmapped page ends it.
		 */
		*next = va + bytes + PAGE_SIZE;
		error = pagetable_map(va, first, bytes, pagetable_bits(flags | PAGING_WRITE));
	}
	spin_unlock_irq(&device_lock, irq);
	return error ? NULL : (void *)(va + (pa - first));
}

void *paging_map_device(u64 pa, u64 length)
{
	return map_device(pa, length, PAGING_UNCACHED);
}

void *paging_map_framebuffer(u64 pa, u64 length)
{
	return map_device(pa, length, PAGING_WRITE_COMBINING);
}

/* --- Looking --- */

static u32 flags_of(u64 entry)
{
	u32 flags = 0;

	if (entry & PTE_WRITE)
		flags |= PAGING_WRITE;
	if (!(entry & PTE_NX))
		flags |= PAGING_EXECUTE;
	if (entry & PTE_PCD)
		flags |= PAGING_UNCACHED;
	else if (entry & PTE_PWT)
		flags |= PAGING_WRITE_COMBINING;
	return flags;
}

bool paging_translate(u64 va, u64 *pa, u32 *flags)
{
	unsigned level;
	u64 entry;

	if (!pagetable_find(va, &entry, &level))
		return false;
	if (pa)
		*pa = (entry & PTE_ADDRESS & ~(pagetable_span(level) - 1)) |
		      (va & (pagetable_span(level) - 1));
	if (flags)
		*flags = flags_of(entry);
	return true;
}
