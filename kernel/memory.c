/*
 * From the boot loader's bytes to a running page allocator.
 *
 *   firmware map     as the loader gave it, in any order and shape (boot/multiboot*.c)
 *   memory map       normalised, clipped, what is in use reserved by its user
 *   boot memory      bump allocation out of the map, for page tables and the page map
 *   page tables      the final ones (kernel/paging.c)
 *   page allocator   mm_init()
 *
 * Until the final page tables only the first 4 GiB can be reached; what the loader left lies there
 * (both protocols give 32-bit addresses), and so do the first tables.
 *
 * A1  Every byte that the firmware called usable is in one line of the account, and the lines add
 * up to it.
 */
#include <kernel/cmdline.h>
#include <kernel/cpu.h>
#include <kernel/events.h>
#include <kernel/kasan.h>
#include <kernel/machine.h>
#include <kernel/memory.h>
#include <kernel/page_map.h>
#include <kernel/pagetable.h>
#include <kernel/paging.h>
#include <kernel/sections.h>
#include <lib/assert.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/mm.h>

#define MB1_LOADED 0x2badb002u
#define MB2_LOADED 0x36d76289u

/* The firmware may give 4096 entries and more: normalising needs room besides. */
#define MAP_CAPACITY 8192
#define RAW_LINES_MAX 64

#define EARLY_LIMIT (4 * GIB) /* what boot/start.asm maps */
#define LOW_LIMIT MIB
#define BIOS_HOLE 0xa0000
#define TRAMPOLINE_PA 0x8000 /* where other CPUs start, if it is free */
#define MIN_USABLE (6 * MIB)

typedef unsigned long long ull;

/* What the map may still grow by when the boot is over. */
#define MAP_SPARE 32

static struct mem_range map_storage[MAP_CAPACITY] __init_data;
static struct memmap map;
static struct mem_range raw_map[RAW_LINES_MAX]; /* the loader's, for the log */
static u32 nr_raw;
static struct boot_info info __ro_after_init;
static struct bootmem boot;
extern const u64 boot_start_cycles; /* boot/start.asm */
static u64 ready_cycles, ready_tables, ready_window_pages;
static u64 firmware_usable; /* bytes, after normalising, before anything was reserved */

const struct boot_info *boot_info(void)
{
	return &info;
}

const struct memmap *memory_map(void)
{
	return &map;
}

struct memmap *memory_map_to_change(void)
{
	return &map;
}

static _Noreturn void refuse(const char *why)
{
	kprintf("Strata can't start: %s\n", why);
	machine_exit(MACHINE_PANIC);
}

/* --- What the loader left --- */

static const void *peek(void *context, u64 pa, u64 length)
{
	(void)context;
	if (pa >= EARLY_LIMIT || length > EARLY_LIMIT - pa)
		return NULL;
	return phys_to_virt(pa);
}

void memory_read_boot_info(u32 magic, u64 info_pa)
{
	int error = -EINVAL;

	memmap_init(&map, phys_to_virt(image_pa(map_storage)), MAP_CAPACITY,
	            cpu_features.phys_bits);
	if (magic == MB2_LOADED)
		error = multiboot2_read(phys_to_virt(info_pa), EARLY_LIMIT - info_pa, info_pa,
		                        &info, &map);
	else if (magic == MB1_LOADED)
		error = multiboot1_read(info_pa, peek, NULL, &info, &map);
	if (error)
		refuse("the boot loader's information structure is not readable");
	if (map.nr == 0)
		refuse("the boot loader gave no memory map");
}

static const char *const map_sources[] = {"nowhere", "basic memory information", "EFI",
                                          "the firmware's map (E820)"};

static void log_boot_info(void)
{
	log_info("boot: %s, %s%s; image at 0x%llx",
	         info.protocol == BOOT_MULTIBOOT2 ? "Multiboot2" : "Multiboot1",
	         info.loader[0] ? info.loader : "unnamed loader", info.efi ? ", UEFI" : "",
	         (ull)image_pa(kernel_start));
	if (info.nr_bad > 0)
		log_warn("boot: %u malformed fields of the boot information ignored", info.nr_bad);
	if (info.nr_modules_dropped > 0)
		log_warn("boot: %u modules too many, ignored", info.nr_modules_dropped);
	for (u32 i = 0; i < info.nr_modules; i++)
		log_info("boot: module %u at 0x%llx, %llu bytes: %s", i, (ull)info.module[i].base,
		         (ull)info.module[i].length, info.module[i].name);
}

/* As it came: not sorted, not disjoint. */
static void keep_raw_map(void)
{
	nr_raw = map.nr;
	memcpy(raw_map, map.range, min_u64(nr_raw, RAW_LINES_MAX) * sizeof(raw_map[0]));
}

static void log_raw_map(void)
{
	u32 shown = (u32)min_u64(nr_raw, RAW_LINES_MAX);

	log_info("memory map from %s, %u entries:", map_sources[info.map_source], nr_raw);
	for (u32 i = 0; i < shown; i++)
		log_info("  %016llx + %016llx  %s", (ull)raw_map[i].base, (ull)raw_map[i].length,
		         memmap_type_name(raw_map[i].type));
	if (shown < nr_raw)
		log_info("  … and %u more", nr_raw - shown);
}

/* Before anything is done with it, so that it is seen when that fails; but a quiet boot, which
 * shows nothing of it, puts it into the log when there is memory. */
static void log_what_came(bool now)
{
	if (now == !options()->quiet) {
		log_boot_info();
		log_raw_map();
	}
}

/* --- What is in use --- */

static void reserve(u64 base, u64 length, u32 type)
{
	if (length != 0 && memmap_reserve(&map, base, length, type) != 0)
		panic("memory: no room in the map to reserve %s", memmap_type_name(type));
}

static void reserve_above(u64 limit)
{
	if (limit < map.limit)
		reserve(limit, map.limit - limit, MEM_UNREACHABLE);
}

/* The page where other CPUs start in real mode. */
static void reserve_trampoline(void)
{
	const struct mem_range *r = memmap_find(&map, TRAMPOLINE_PA);
	u64 pa = r && r->type == MEM_USABLE
	             ? TRAMPOLINE_PA
	             : memmap_find_free(&map, PAGE_SIZE, PAGE_SIZE, PAGE_SIZE, LOW_LIMIT);

	if (pa == 0)
		log_warn("memory: no free page below 1 MiB; other CPUs can't be started");
	else
		reserve(pa, PAGE_SIZE, MEM_TRAMPOLINE);
}

static void reserve_all(void)
{
	const u8 *kernel = kernel_start;

	/* First what lies somewhere already: all of it may be clipped away by mem= without harm. */
	reserve(0, PAGE_SIZE, MEM_PAGE_ZERO);
	reserve(image_pa(kernel), (u64)(kernel_end - kernel), MEM_KERNEL);
	for (u32 i = 0; i < info.nr_modules; i++)
		reserve(info.module[i].base, info.module[i].length, MEM_MODULE);
	reserve(info.info_base, info.info_length, MEM_BOOT);
	reserve_above(min_u64(PLATFORM_MAX_PA, KASAN_MAX_PA));
	reserve_above(align_down(options()->mem, PAGE_SIZE));
	reserve_trampoline();
}

static void check_enough(void)
{
	u64 usable = memmap_bytes(&map, MEM_USABLE);
	char have[16], need[16], why[96];

	if (usable >= MIN_USABLE)
		return;
	format_buf(why, sizeof(why), "too little memory: %s free after loading, %s needed%s",
	           format_bytes(have, usable), format_bytes(need, MIN_USABLE),
	           options()->mem != UINT64_MAX ? " (mem= limits it)" : "");
	refuse(why);
}

/* --- The account --- */

/* One line, and its bytes. */
static u64 account(const char *what, u64 bytes)
{
	if (bytes > 0)
		log_info("  %-14s %12llu KiB", what, (ull)(bytes / KIB));
	return bytes;
}

u64 memory_boot_cycles(void)
{
	return ready_cycles - boot_start_cycles;
}

u64 memory_boot_table_bytes(void)
{
	return ready_tables * PAGE_SIZE;
}

u64 memory_boot_pageblock_bytes(void)
{
	return ready_window_pages * PAGE_SIZE;
}

void memory_account_add(u64 bytes)
{
	firmware_usable += bytes;
}

u64 memory_print_account(void)
{
	struct page_retire_stats retired;
	struct mm_usage use;
	u64 sum = 0;

	mm_usage(&use);
	page_retire_stats(&retired);
	log_info("memory account:");
	for (u32 type = MEM_PAGE_ZERO; type <= MEM_UNREACHABLE; type++)
		sum += account(memmap_type_name(type), memmap_bytes(&map, type));
	sum += account("retired", retired.nr_left * PAGE_SIZE);
	sum += account("in use", use.used_pages * PAGE_SIZE);
	sum += account("free", (use.free_pages + use.cached_pages) * PAGE_SIZE);
	log_info("  %-14s %12llu KiB  of the firmware's %llu KiB usable: %s", "sum",
	         (ull)(sum / KIB), (ull)(firmware_usable / KIB),
	         sum == firmware_usable ? "exact" : "NOT EQUAL");
	if (sum != firmware_usable)
		log_error("memory: %llu bytes are not accounted for", (ull)(firmware_usable - sum));
	return firmware_usable - sum;
}

/* --- What only the boot needed --- */

/* The map moves to memory of its own size. */
static void move_map(void)
{
	u32 capacity = map.nr + MAP_SPARE;
	struct mem_range *range = kmalloc_array(capacity, sizeof(*range), GFP_KERNEL);

	if (range == NULL || capacity >= map.capacity) {
		kfree(range);
		return;
	}
	memcpy(range, map.range, map.nr * sizeof(*range));
	map.range = range;
	map.capacity = capacity;
}

static void give_back(const char *what, u64 base, u64 length, u32 type)
{
	u64 bytes = mm_give_back(&map, base, length, type);
	char size[16];

	if (type == MEM_ACPI) /* which the firmware did not call usable */
		firmware_usable += bytes;
	if (bytes != 0)
		log_info("memory: %s is free again: %s", what, format_bytes(size, bytes));
}

void memory_give_back(void)
{
	bool has_modules_to_read = options()->replay[0] || options()->bench;

	move_map();
	if (map.range != phys_to_virt(image_pa(map_storage)))
		give_back("what only the boot used", image_pa(init_start),
		          (u64)(init_end - init_start), MEM_KERNEL);
	give_back("the loader's information", 0, map.limit, MEM_BOOT);
	give_back("the ACPI tables' memory", 0, map.limit, MEM_ACPI);
	if (!has_modules_to_read)
		give_back("the modules' memory", 0, map.limit, MEM_MODULE);
}

void memory_init(void)
{
	u64 tables, tables_length;

	keep_raw_map();
	log_what_came(true);
	if (!info.efi) /* adapters and the BIOS live there, whatever some BIOSes' maps say */
		memmap_add(&map, BIOS_HOLE, LOW_LIMIT - BIOS_HOLE, MEM_RESERVED);
	memmap_normalize(&map);
	if (map.nr_dropped > 0)
		log_warn("memory: the map was too long; %llu bytes in %u ranges given up",
		         (ull)map.bytes_dropped, map.nr_dropped);
	firmware_usable = memmap_bytes(&map, MEM_USABLE);
	reserve_all();
	check_enough();

	bootmem_init(&boot, &map, LOW_LIMIT, min_u64(map.limit, EARLY_LIMIT));
	paging_init(&map, &boot);
	boot.max = map.limit; /* the final tables reach all of it */
	paging_boot_tables(&tables, &tables_length);
	if (memmap_release(&map, tables, tables_length, MEM_KERNEL) != 0)
		log_warn("memory: no room in the map to give the early page tables back");

	mm_init(&map, &boot);
	events_boot(options()); /* all that is allocated from here on can be traced */
	ready_cycles = cycles();
	ready_tables = pagetable_count();
	ready_window_pages = page_map_window_pages();
	log_what_came(false);
	log_info("memory map, as used:");
	memmap_dump(&map);
	memory_print_account();
}
