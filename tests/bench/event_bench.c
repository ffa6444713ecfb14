/*
 * What events cost while they are on: the hot pairs of objects and of pages, which then take the
 * slow way and leave two records each; into the rings alone, and into a stream whose writer takes
 * nothing. Off they cost the hot pairs nothing: those are kmalloc_kfree_hot_256 and
 * alloc_pages_pair_order0.
 */
#include <mm/mm.h>
#include <tests/bench/bench.h>

enum { NR_PAIRS = 2000 };

static void object_pair(void)
{
	kfree(bench_opaque(kmalloc(256, GFP_KERNEL)));
}

static void page_pair(void)
{
	free_page(bench_opaque(alloc_page(GFP_KERNEL)));
}

/* Tenths of an instruction. */
static u64 cost_of(void (*pair)(void))
{
	u64 flags, start, end;

	pair();
	flags = irq_save();
	start = bench_clock();
	for (u32 i = 0; i < NR_PAIRS; i++)
		pair();
	end = bench_clock();
	irq_restore(flags);
	return (end - start) * 10 / NR_PAIRS;
}

static void take_nothing(void *context, const void *bytes, size_t n)
{
	(void)context;
	(void)bytes;
	(void)n;
}

static void measure(const struct event_options *options, const char *objects, const char *pages)
{
	if (event_start(options) != 0)
		return;
	bench_report(objects, cost_of(object_pair));
	bench_report(pages, cost_of(page_pair));
	(void)event_stop();
	event_release();
}

BENCH_OWN(event_on)
{
	(void)n;
	measure(&(struct event_options){.nr_records = 1024}, "event_on_kmalloc_pair",
	        "event_on_order0_pair");
	measure(&(struct event_options){.nr_records = 1024, .write = take_nothing},
	        "event_on_kmalloc_pair_drained", "event_on_order0_pair_drained");
}
