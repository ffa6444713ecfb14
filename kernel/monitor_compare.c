/*
 * The monitor's `compare`: the traces that were loaded as boot modules, each on every design of the
 * gallery (mm/heap.h), in the kernel.
 *
 * A tick is one of the time stamp counter, so under QEMU's -icount shift=0 exactly an instruction.
 * The heap's memory is vmalloc()ed, a quarter of what is free, and handed out afresh to each
 * design. Interrupts stay on: their handlers' ticks are in the worst cases.
 */
#include <boot/boot_info.h>
#include <kernel/compare.h>
#include <kernel/console.h>
#include <kernel/memory.h>
#include <kernel/monitor.h>
#include <kernel/trace.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>

#define THRESHOLD (128 * KIB) /* mapped ranges from this on */
#define MAX_STEPS 20000000ull /* a design that took more is stopped */
#define MAX_BYTES (512 * MIB)

static u64 read_clock(void)
{
	return cycles();
}

static struct compare compare = {.clock = read_clock, .max_steps = MAX_STEPS};

static void print_row(const struct heap_design *design, const struct compare *c)
{
	bool kernel = design->traits & HEAP_KERNEL;
	u64 mean = compare_mean_tenths(&c->cost), steps = compare_mean_tenths(&c->steps);

	kprintf("%-18s %7lu.%lu %8lu %10lu %6lu.%lu ", design->name, mean / 10, mean % 10,
	        compare_percentile(&c->cost, 99), c->cost.worst, steps / 10, steps % 10);
	if (c->stopped)
		kprintf("  too slow: stopped after %lu operations\n", c->nr_ops);
	else if (kernel)
		kprintf("%10s %6s %6lu\n", "-", "-", c->nr_failures);
	else
		kprintf("%10lu %5lu%% %6lu\n", c->peak_footprint >> 10,
		        c->peak_live * 100 / max_u64(c->peak_footprint, 1), c->nr_failures);
}

static u64 percent(u64 part, u64 whole)
{
	return part * 100 / max_u64(whole, 1);
}

/* Of one design: where its memory was when most was live, and what joining free blocks costs. */
static void print_details(const struct compare *c)
{
	u64 joining = compare_mean_tenths(&c->joining), apart = compare_mean_tenths(&c->apart);
	u64 nr_frees = c->joining.nr + c->apart.nr;

	kprintf(
	    "at its highest: %lu%% asked for, %lu%% inside used blocks, %lu%% outside of them\n",
	    percent(c->live, c->footprint), percent(c->used - c->live, c->footprint),
	    percent(c->footprint - c->used, c->footprint));
	kprintf("coalescing: %lu blocks joined in %lu frees; a free that joins %lu.%lu ticks, one "
	        "that does not %lu.%lu\n",
	        c->nr_joins, nr_frees, joining / 10, joining % 10, apart / 10, apart % 10);
}

static int run_one(const struct heap_design *design, const struct boot_module *m, void *memory,
                   size_t bytes)
{
	struct region region;
	int err;

	region_init(&region, REGION_MAPPED, memory, bytes, THRESHOLD);
	compare.region = &region;
	err = compare_run(&compare, design, phys_to_virt(m->base), m->length);
	if (err == 0)
		print_row(design, &compare);
	else if (err != -ENOENT)
		kprintf("compare: %s: line %u: %s\n", design->name, compare.line, compare.error);
	return err == -ENOENT ? 0 : err;
}

/* All designs, or the one that is named. */
static int run(const char *name, const struct boot_module *m, void *memory, size_t bytes)
{
	int err = 0;

	kprintf("%-18s %9s %8s %10s %8s %10s %6s %6s\n", "design", "ticks", "99 %", "worst",
	        "steps", "peak KiB", "live", "failed");
	for (const struct heap_design *const *d = heap_designs; *d != NULL; d++)
		if (name == NULL || strcmp(name, (*d)->name) == 0) {
			int one = run_one(*d, m, memory, bytes);

			err = err != 0 ? err : one;
			if (name != NULL && one == 0 &&
			    !((*d)->traits & (HEAP_KERNEL | HEAP_TYPED)))
				print_details(&compare);
		}
	return err;
}

static int with_memory(const char *name, const struct boot_module *m, u64 nr_ids)
{
	struct mm_usage usage;
	size_t bytes;
	void *memory;
	int err = -ENOMEM;

	mm_usage(&usage);
	bytes = min_u64((usage.managed_pages - usage.used_pages) / 4 * PAGE_SIZE, MAX_BYTES);
	memory = vmalloc(bytes);
	compare.slots = vmalloc(max_u64(nr_ids, 1) * sizeof(*compare.slots));
	if (memory != NULL && compare.slots != NULL)
		err = run(name, m, memory, bytes);
	else
		kprintf("compare: no memory: %zu bytes for the heaps, %lu live objects\n", bytes,
		        nr_ids);
	vfree(compare.slots);
	vfree(memory);
	return err;
}

/* One trace on all designs, or the one that is named. */
static int compare_module(const char *name, u32 number, const struct boot_module *m)
{
	struct trace t;

	if (trace_open(&t, phys_to_virt(m->base), m->length) != 0) {
		kprintf("compare: module %u, line %u of the trace: %s\n", number, t.line, t.error);
		return -EINVAL;
	}
	kprintf("trace %u (%s): %lu KiB of text, %lu operations\n", number, m->name,
	        m->length >> 10, t.nr_ops);
	return with_memory(name, m, t.nr_ids);
}

int monitor_compare(int argc, char **argv)
{
	const struct boot_info *info = boot_info();
	const char *name = argc > 1 ? argv[1] : NULL;
	int err = 0;

	if (name != NULL && heap_design_find(name) == NULL) {
		kprintf("compare: no design \"%s\"; there are:", name);
		for (const struct heap_design *const *d = heap_designs; *d != NULL; d++)
			kprintf(" %s", (*d)->name);
		kprintf("\n");
		return -ENOENT;
	}
	if (info->nr_modules == 0) {
		kprintf("compare: no trace: boot with traces as modules (docs/gallery.md)\n");
		return -ENOENT;
	}
	for (u32 i = 0; i < info->nr_modules && err == 0 && !console_interrupted(); i++)
		err = compare_module(name, i + 1, &info->module[i]);
	return err;
}
