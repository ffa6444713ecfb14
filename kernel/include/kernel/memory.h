/*
 * From the boot loader's bytes to a running page allocator, with an account of every byte.
 */
#pragma once

#include <boot/boot_info.h>
#include <mm/memmap.h>

/* Reads what the loader left at info_pa. Ends the machine with one line when it is unusable. */
void memory_read_boot_info(u32 magic, u64 info_pa);

/* Map, boot memory, page tables, page allocator. Ends the machine with one line when memory is too
 * small. */
void memory_init(void);

/* Valid after the functions above. */
const struct boot_info *boot_info(void);
const struct memmap *memory_map(void);
struct memmap *memory_map_to_change(void); /* for kernel/memory_online.c */

/* Clock ticks from the kernel's first instructions until every usable page could be allocated. */
u64 memory_boot_cycles(void);

/* What was written until then: page tables, and pages of pageblock bytes that were cleared. */
u64 memory_boot_table_bytes(void);
u64 memory_boot_pageblock_bytes(void);

/* The account: what each byte of RAM is used for; memory_init() logs it. Returns how many bytes are
 * in no line of it: 0. */
u64 memory_print_account(void);

/*
 * Memory that comes and goes after the boot. In threads; mutex inside.
 *
 * online: what of [base, base + length) is RAM that mem= cut off, or was taken offline, becomes
 * free memory. offline: all of it, which must be free memory, leaves the page allocator; it stays
 * mapped and described. *bytes: how many came. 0; -EINVAL: not whole pages, wraps, or has nothing
 * of the kind; -EBUSY: in use; -ENOMEM, -ENOSPC: no room for page tables, in the memory map. After
 * an error of online *bytes may have come, after one of offline nothing has changed.
 */
int memory_online(u64 base, u64 length, u64 *bytes);
int memory_offline(u64 base, u64 length);

/*
 * Memory that the firmware's map does not list, and that somebody knows of: a DIMM that was plugged
 * in later. Checked as far as can be: whole 2 MiB, nothing that the map has, within what is
 * addressed; where the ACPI tables list memory (SRAT), they must list this; where they don't, it
 * must lie above 4 GiB; and it must answer as memory does, at 64 places and its ends. NULL: it
 * came. Otherwise why not, for people; nothing has changed, or, where memory was short, the map has
 * it as unreachable and memory_online() tries again. In threads.
 */
const char *memory_probe(u64 base, u64 length);

/* The account's sum grows by so much. For kernel/memory_online.c. */
void memory_account_add(u64 bytes);

/* The boot is over: what only it needed becomes free memory (ACPI tables, the loader's information,
 * modules unless they are still to be read, the image's init data). Once. */
void memory_give_back(void);
