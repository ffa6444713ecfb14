/*
 * The monitor's commands for memory that comes and goes.
 */
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/smp.h>
#include <lib/format.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>

static const char *reason(int error)
{
	switch (error) {
	case -EBUSY:
		return "some of it is in use";
	case -ENOMEM:
		return "no memory for page tables";
	case -ENOSPC:
		return "no room in the memory map";
	case -EEXIST:
		return "some of it is mapped already";
	default:
		return NULL;
	}
}

/* ADDRESS SIZE as whole pages. False, with a line. */
static bool parse_range(char **argv, u64 *base, u64 *length)
{
	if (!monitor_number(argv[0], argv[1], base) || !monitor_number(argv[0], argv[2], length))
		return false;
	if (!is_aligned(*base | *length, PAGE_SIZE) || *length == 0 || *base + *length < *base) {
		kprintf("%s: ADDRESS and SIZE must be whole pages of 4096 bytes\n", argv[0]);
		return false;
	}
	return true;
}

/* What may be plugged in, as far as nothing is there so far. */
static void list_hot_ranges(void)
{
	const struct acpi_info *acpi = acpi_info();
	char size[16];

	for (u32 i = 0; i < acpi->nr_memory; i++) {
		const struct acpi_memory *m = &acpi->memory[i];

		if (m->hot && memmap_overlap(memory_map(), m->base, m->length) == NULL)
			kprintf("online: %s from 0x%lx on may be plugged in, says the firmware: "
			        "online ADDRESS SIZE takes it\n",
			        format_bytes(size, m->length), m->base);
	}
}

/* A range of which the memory map knows nothing. */
static int probe(u64 base, u64 length)
{
	const char *fault = memory_probe(base, length);
	char size[16];

	if (fault == NULL)
		kprintf("online: %s more, which the firmware's map does not list\n",
		        format_bytes(size, length));
	else
		kprintf("online: %s\n", fault);
	return fault == NULL ? 0 : -EINVAL;
}

int monitor_online(int argc, char **argv)
{
	u64 base = 0, length = ~0ull << PAGE_SHIFT, bytes;
	char size[16];
	int error;

	if (argc == 2) {
		kprintf("usage: online [ADDRESS SIZE] (type help online)\n");
		return -EINVAL;
	}
	if (argc == 3 && !parse_range(argv, &base, &length))
		return -EINVAL;
	if (argc == 3 && memmap_overlap(memory_map(), base, length) == NULL)
		return probe(base, length);
	if (argc == 1)
		list_hot_ranges();
	error = memory_online(base, length, &bytes);
	if (bytes != 0)
		kprintf("online: %s more\n", format_bytes(size, bytes));
	if (error != 0)
		kprintf("online: %s; memmap shows what is \"unreachable\" or \"offline\"\n",
		        reason(error) != NULL ? reason(error) : "there is no such memory there");
	return error;
}

int monitor_offline(int argc, char **argv)
{
	u64 base, length;
	char size[16];
	int error;

	(void)argc;
	if (!parse_range(argv, &base, &length))
		return -EINVAL;
	error = memory_offline(base, length);
	if (error == 0)
		kprintf("offline: %s less\n", format_bytes(size, length));
	else
		kprintf("offline: %s; nothing has changed\n",
		        reason(error) != NULL ? reason(error) : "not all of it is free memory");
	return error;
}
