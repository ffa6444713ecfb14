/*
 * Replay of a recorded page trace (p and f lines, docs/traces.md) on one placer, and what can still
 * be allocated: at the peak of live pages, at the worst moment and at the end.
 *
 * The worst moment is the one where the smallest share of the 2 MiB frames that the free memory
 * could make is free; it is looked for after every operation.
 */
#include <kernel/trace.h>
#include <tests/bench/host/fragmentation/placer.h>

#include <stdio.h>

struct block {
	u32 pfn;
	u32 order;
};

static struct free_state at_peak, at_worst;
static u64 live_pages, peak_pages;
static double worst = 2;

static char *read_file(const char *name, size_t *length)
{
	FILE *f = fopen(name, "rb");
	char *text;

	if (f == NULL)
		fail(STATUS_USAGE, "cannot open the trace %s", name);
	fseek(f, 0, SEEK_END);
	*length = (size_t)ftell(f);
	rewind(f);
	text = table(*length + 1);
	if (fread(text, 1, *length, f) != *length)
		fail(STATUS_FAILED, "cannot read the trace %s", name);
	fclose(f);
	return text;
}

static void step(const struct placer *p, const struct trace_op *op, struct block *b)
{
	if (op->kind == 'f') {
		p->release(b->pfn, b->order);
		live_pages -= 1ull << b->order;
		b->pfn = 0;
		return;
	}
	b->order = (u32)op->order;
	b->pfn = p->alloc(b->order);
	if (b->pfn == 0)
		fail(STATUS_FAILED, "%s has no block of order %u left", p->name, b->order);
	live_pages += 1ull << b->order;
}

static void keep_worst_and_peak(const struct placer *p)
{
	struct free_state s;
	double share;

	p->look(&s);
	share = huge_share(&s);
	if (share < worst) {
		worst = share;
		at_worst = s;
	}
	if (live_pages > peak_pages) {
		peak_pages = live_pages;
		at_peak = s;
	}
}

static void print_state(const char *when, const struct free_state *s)
{
	u64 huge_pages = free_blocks(s, HUGE_ORDER) << HUGE_ORDER;

	printf("%s free_pages %llu\n", when, (unsigned long long)s->pages);
	printf("%s ideal_huge %llu\n", when, (unsigned long long)(s->pages >> HUGE_ORDER));
	printf("%s share_of_free %.6f\n", when,
	       s->pages ? (double)huge_pages / (double)s->pages : 0);
	for (unsigned order = 0; order <= MAX_ORDER; order++)
		printf("%s order_%u %llu\n", when, order,
		       (unsigned long long)free_blocks(s, order));
}

void run_replay(const struct placer *p, const struct options *o)
{
	struct free_state at_end;
	struct trace_cache cache;
	struct trace_op op;
	struct trace t;
	struct block *blocks;
	size_t length;
	char *text = read_file(o->trace, &length);
	int found;

	if (trace_open(&t, text, length) != 0)
		fail(STATUS_USAGE, "%s, line %u: %s", o->trace, t.line, t.error);
	while (trace_next_cache(&t, &cache) == 1)
		; /* the header's other lines are of no use here */
	blocks = table((t.nr_ids + 1) * sizeof(blocks[0]));
	p->start(o->memory);
	while ((found = trace_next(&t, &op)) == 1) {
		struct block *b = &blocks[op.id];

		if ((op.kind != 'p' && op.kind != 'f') || op.order > MAX_ORDER ||
		    (op.kind == 'f') != (b->pfn != 0))
			fail(STATUS_USAGE, "%s, line %u: not a line of a trace of pages alone",
			     o->trace, t.line);
		step(p, &op, b);
		keep_worst_and_peak(p);
	}
	if (found < 0)
		fail(STATUS_USAGE, "%s, line %u: %s", o->trace, t.line, t.error);
	p->look(&at_end);
	print_state("peak", &at_peak);
	print_state("worst", &at_worst);
	print_state("end", &at_end);
}
