/*
 * The replayer: the allocator's main job on real input.
 *
 * A trace says what a program or a kernel asked of its allocator. kernel/trace.c reads it,
 * kernel/replay_ops.c makes its operations; here are the tables, the measurements before and after,
 * the verdict and the report.
 *
 * A replay passes when every allocation succeeded, every object kept its content until its free,
 * nothing is in use afterwards that was not before, and mm_check() finds all invariants whole.
 *
 * Cost: a table of 32 bytes an id, taken from the page allocator before the first measurement.
 */
#include <boot/boot_info.h>
#include <kernel/replay_ops.h>
#include <lib/bits.h>
#include <lib/log.h>
#include <lib/platform.h>
#include <lib/string.h>
#include <mm/mm.h>

/* Everything that caches hold back is given back first, so that the numbers are comparable. */
static void usage_now(struct mm_usage *u)
{
	slab_shrink_all();
	drain_cpu_pages();
	mm_usage(u);
}

static void measure_before(struct replay *r)
{
	struct mm_usage u;

	usage_now(&u);
	r->result->pages_before = u.used_pages;
	r->before_objects = u.live_objects;
	r->before_other_pages = u.used_pages - u.slab_pages;
	mm_reset_peak();
}

static void measure_peak(struct replay *r)
{
	struct mm_usage u;

	mm_usage(&u);
	r->result->peak_pages = u.peak_used_pages - r->result->pages_before;
}

static void measure_after(struct replay *r)
{
	struct mm_usage u;

	usage_now(&u);
	r->result->pages_after = u.used_pages;
	r->result->lost_objects = u.live_objects - r->before_objects;
	r->result->lost_pages = u.used_pages - u.slab_pages - r->before_other_pages;
}

static int judge(struct replay *r)
{
	struct replay_result *result = r->result;
	const char *broken = mm_check();

	if (result->nr_corrupt > 0)
		return replay_fault(r, "objects had lost their content or alignment");
	if (result->lost_objects != 0 || result->lost_pages != 0)
		return replay_fault(r, "memory is still in use after everything was freed");
	if (broken != NULL)
		return replay_fault(r, broken);
	if (result->nr_failures > 0)
		return replay_fault(r, "allocations failed: the machine has too little memory");
	return 0;
}

static int with_tables(struct replay *r)
{
	int err, verdict;

	memset(r->slots, 0, r->slots_bytes);
	measure_before(r);
	err = replay_create_caches(r);
	if (err == 0)
		err = replay_operations(r);
	measure_peak(r);
	verdict = replay_free_all(r);
	measure_after(r);
	if (verdict == 0)
		verdict = judge(r);
	return err != 0 ? err : verdict;
}

int replay_text(const char *text, size_t length, struct replay_result *result)
{
	struct replay r = {.result = result, .clock_cost = replay_clock_cost()};
	size_t caches_bytes = REPLAY_MAX_CACHES * sizeof(struct replay_cache);
	int err;

	memset(result, 0, sizeof(*result));
	if (trace_open(&r.trace, text, length) != 0)
		return replay_bad_line(&r, r.trace.error);
	r.slots_bytes = max_u64(r.trace.nr_ids, 1) * sizeof(struct slot);
	r.slots = alloc_pages_exact(r.slots_bytes, GFP_KERNEL | __GFP_NOWARN);
	r.caches = alloc_pages_exact(caches_bytes, GFP_KERNEL | __GFP_NOWARN);
	if (r.slots != NULL && r.caches != NULL) {
		err = with_tables(&r);
	} else {
		result->error = "no memory for the table of live objects";
		err = -ENOMEM;
	}
	if (r.caches != NULL)
		free_pages_exact(r.caches, caches_bytes);
	if (r.slots != NULL)
		free_pages_exact(r.slots, r.slots_bytes);
	return err;
}

/* --- the report --- */

static void print_number(const char *key, u64 value)
{
	kprintf("replay: %s %llu\n", key, (unsigned long long)value);
}

static void print_summary(const struct replay_result *r)
{
	u64 peak_bytes = r->peak_pages * PAGE_SIZE;
	s64 overhead = (s64)(peak_bytes - r->peak_live_bytes);
	u64 tenths = r->peak_live_bytes == 0 || overhead < 0
	                 ? 0
	                 : (u64)overhead / (r->peak_live_bytes / 1000 + 1);

	print_number("operations", r->nr_ops);
	print_number("allocations", r->nr_allocs);
	print_number("frees", r->nr_frees);
	print_number("reallocations", r->nr_reallocs);
	print_number("failures", r->nr_failures);
	print_number("corrupted-objects", r->nr_corrupt);
	print_number("peak-live-bytes", r->peak_live_bytes);
	print_number("peak-pages", r->peak_pages);
	kprintf("replay: overhead-bytes %lld\n", (long long)overhead);
	kprintf("replay: overhead-percent %llu.%llu\n", (unsigned long long)tenths / 10,
	        (unsigned long long)tenths % 10);
	print_number("left-objects", r->live_objects);
	print_number("left-bytes", r->live_bytes);
	print_number("pages-before", r->pages_before);
	print_number("pages-after", r->pages_after);
	kprintf("replay: lost-objects %lld\n", (long long)r->lost_objects);
	kprintf("replay: lost-pages %lld\n", (long long)r->lost_pages);
	print_number("cycles-per-operation", r->nr_ops == 0 ? 0 : r->cycles / r->nr_ops);
}

static void print_verdict(const struct replay_result *r, int err)
{
	if (err == 0)
		kprintf("replay: result PASS\n");
	else if (r->line != 0)
		kprintf("replay: result FAIL: line %u: %s\n", r->line, r->error);
	else
		kprintf("replay: result FAIL: %s\n", r->error);
}

int replay_run(const struct boot_info *info, const char *engine)
{
	struct replay_result result;

	if (strcmp(engine, "kmalloc") != 0) {
		kprintf("replay: result FAIL: no engine \"%s\"; there is: kmalloc\n", engine);
		return -EINVAL;
	}
	if (info->nr_modules == 0) {
		kprintf("replay: result FAIL: no trace: give the file as the first boot module "
		        "(make replay TRACE=file)\n");
		return -ENOENT;
	}
	const struct boot_module *m = &info->module[0];

	kprintf("replay: trace %s, %llu bytes\n", m->name, (unsigned long long)m->length);
	int err = replay_text(phys_to_virt(m->base), m->length, &result);

	if (result.nr_ops > 0)
		print_summary(&result);
	print_verdict(&result, err);
	return err;
}
