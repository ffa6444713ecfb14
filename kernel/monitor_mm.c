/*
 * The monitor's commands that look at the memory manager. They print what mm/stats.c and the
 * layers' checks say, and change nothing (`shrink` apart).
 */
#include <kernel/monitor.h>
#include <lib/log.h>
#include <lib/string.h>
#include <mm/mm.h>
#include <mm/reclaim.h>

#define MAP_COLUMNS 66 /* behind the address that each row starts with */
#define MAP_ROWS 20

int monitor_mem(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_mem();
	return 0;
}

int monitor_zones(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_zones();
	return 0;
}

int monitor_numastat(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	kprintf(
	    "node     free MiB    total MiB        hit       miss    foreign      local     remote"
	    "  distances\n");
	for (unsigned node = 0; node < mm_nr_nodes(); node++) {
		struct node_stats s;

		node_stats(node, &s);
		kprintf("%4u %12lu %12lu %10lu %10lu %10lu %10lu %10lu ", node, s.free_pages >> 8,
		        s.total_pages >> 8, s.hit, s.miss, s.foreign, s.local, s.remote);
		for (unsigned other = 0; other < mm_nr_nodes(); other++)
			kprintf(" %u", mm_node_distance(node, other));
		kprintf("\n");
	}
	return 0;
}

int monitor_buddyinfo(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_buddyinfo();
	return 0;
}

int monitor_slabinfo(int argc, char **argv)
{
	int error = 0;

	if (argc == 1)
		stats_print_slabinfo();
	else
		error = stats_print_slabinfo_by(argv[1]);
	if (error == -EINVAL)
		kprintf("slabinfo: %s is no column; the first line of slabinfo has them, and bytes "
		        "is one\n",
		        argv[1]);
	else if (error != 0)
		kprintf("slabinfo: no memory to sort in\n");
	return error;
}

int monitor_owners(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_owners();
	return 0;
}

int monitor_shrinkers(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_shrinkers();
	return 0;
}

int monitor_vmeminfo(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_vmeminfo();
	return 0;
}

int monitor_sites(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_sites();
	return 0;
}

int monitor_map(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	stats_print_map(MAP_COLUMNS, MAP_ROWS);
	return 0;
}

/* Decimal: a page frame's number. 0x: an address, virtual in the direct map, physical elsewhere. */
static bool parse_pfn(const char *command, const char *text, u64 *pfn)
{
	u64 n;

	if (!monitor_number(command, text, &n))
		return false;
	if (strncmp(text, "0x", 2) != 0) {
		*pfn = n;
		return true;
	}
	if (is_direct_map((const void *)n))
		n = virt_to_phys((const void *)n);
	else if (n >= PLATFORM_MAX_PA) {
		kprintf("%s: %s is neither a physical address nor in the direct map\n", command,
		        text);
		return false;
	}
	*pfn = n >> PAGE_SHIFT;
	return true;
}

int monitor_page(int argc, char **argv)
{
	u64 pfn;

	(void)argc;
	if (!parse_pfn(argv[0], argv[1], &pfn))
		return -EINVAL;
	if (pfn >= PLATFORM_MAX_PA >> PAGE_SHIFT) {
		kprintf("%s: page frame %s is beyond the largest physical address\n", argv[0],
		        argv[1]);
		return -EINVAL;
	}
	stats_print_page(pfn);
	return 0;
}

static void list_retired(void)
{
	u64 pfn = 0;
	bool left;

	while ((pfn = page_retire_next(pfn, &left)) != 0)
		kprintf("page %lu: %s\n", pfn, left ? "has left" : "leaves when it is freed");
}

int monitor_retire(int argc, char **argv)
{
	u64 pfn;
	int error;

	if (argc == 1) {
		list_retired();
		return 0;
	}
	if (!parse_pfn(argv[0], argv[1], &pfn))
		return -EINVAL;
	error = page_retire(pfn);
	if (error == 0)
		kprintf("retire: page %lu has left\n", pfn);
	else if (error == -EBUSY)
		kprintf("retire: page %lu is in use; it leaves when it is freed\n", pfn);
	else if (error == -EAGAIN)
		kprintf("retire: page %lu changes hands all the time; ask again\n", pfn);
	else
		kprintf("retire: page %lu %s\n", pfn,
		        error == -ENOSPC ? "is one too many: there is room for 128"
		                         : "is not the page allocator's");
	return error == -EBUSY ? 0 : error;
}

int monitor_check(int argc, char **argv)
{
	const char *broken = mm_check();

	(void)argc;
	(void)argv;
	if (broken != NULL) {
		kprintf("check: broken: %s\n", broken);
		return -EFAULT;
	}
	kprintf("check: every invariant of the memory manager holds\n");
	return 0;
}

int monitor_shrink(int argc, char **argv)
{
	(void)argc;
	(void)argv;
	kprintf("shrink: %llu pages given back\n", (unsigned long long)slab_shrink_all());
	drain_cpu_pages();
	return 0;
}
