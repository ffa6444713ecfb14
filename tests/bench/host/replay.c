/*
 * Replays of recorded allocations (docs/traces.md). The trace is read into a table before the
 * clock starts. Kernel objects (k, c) become kmallocs or mallocs of their size, blocks of pages (p)
 * aligned memory.
 *
 * replay times all operations; the first word of each object is written. replay_footprint writes
 * whole objects and reports the highest footprint over the highest sum of live bytes, looked at 64
 * times in the trace's course and at its peak.
 */
#include <kernel/trace.h>
#include <tests/bench/host/work.h>

#include <stdio.h>
#include <string.h>

struct op {
	char kind; /* a allocate, A aligned, r reallocate, f free, F free aligned */
	u8 log2_align;
	u32 id;
	u64 size; /* F: as it was allocated */
};

static struct op *ops;
static u64 nr_ops, nr_ids, peak_op;
static struct object {
	void *p;
	u64 size;
	u8 log2_align; /* 0: not aligned */
} * objects;

/* --- reading --- */

static char *read_file(const char *name, size_t *length)
{
	FILE *f = name ? fopen(name, "rb") : NULL;
	char *text;

	if (f == NULL)
		fail(STATUS_USAGE, "cannot open the trace %s", name ? name : "(none was given)");
	fseek(f, 0, SEEK_END);
	*length = (size_t)ftell(f);
	rewind(f);
	text = table(*length + 1);
	if (fread(text, 1, *length, f) != *length)
		fail(STATUS_FAILED, "cannot read the trace %s", name);
	fclose(f);
	return text;
}

static struct op make_op(const struct trace_op *t, const struct object *o)
{
	struct op op = {.kind = 'a', .id = (u32)t->id, .size = t->size};

	if (t->kind == 'f') {
		op.kind = o->log2_align ? 'F' : 'f';
		op.log2_align = o->log2_align;
		op.size = o->size;
		return op;
	}
	if (t->kind == 'r')
		op.kind = 'r';
	if (t->kind == 'p')
		op.size = PAGE_SIZE << t->order;
	if (t->kind == 'p' || (t->kind == 'z' && t->align > 1)) {
		op.kind = 'A';
		op.log2_align = (u8)log2_ceil(t->kind == 'p' ? op.size : t->align);
	}
	if (op.size == 0)
		op.size = 1;
	return op;
}

/* Follows the sizes, so that frees know how their object was made and the peak is found. */
static void convert(struct trace *t)
{
	struct trace_op op;
	u64 live = 0, peak = 0;
	int found;

	while ((found = trace_next(t, &op)) == 1) {
		struct object *o = &objects[op.id];

		if (nr_ops == t->nr_ops || (op.kind == 'f' || op.kind == 'r') != (o->size != 0))
			fail(STATUS_USAGE, "line %u of the trace does not fit the ones before",
			     t->line);
		struct op *made = &ops[nr_ops];

		*made = make_op(&op, o);
		live += (op.kind == 'f' ? 0 : made->size) - o->size;
		o->size = op.kind == 'f' ? 0 : made->size;
		o->log2_align = op.kind == 'f' ? 0 : made->log2_align;
		if (live > peak) {
			peak = live;
			peak_op = nr_ops;
		}
		nr_ops++;
	}
	if (found < 0)
		fail(STATUS_USAGE, "line %u of the trace: %s", t->line, t->error);
}

static void read_trace(const char *name)
{
	struct trace_cache cache;
	struct trace t;
	size_t length;
	char *text = read_file(name, &length);

	if (trace_open(&t, text, length) != 0)
		fail(STATUS_USAGE, "%s, line %u: %s", name, t.line, t.error);
	while (trace_next_cache(&t, &cache) == 1)
		;
	nr_ids = t.nr_ids;
	ops = table((t.nr_ops + 1) * sizeof(ops[0]));
	objects = table((nr_ids + 1) * sizeof(objects[0]));
	convert(&t);
	memset(objects, 0, nr_ids * sizeof(objects[0]));
}

/* --- playing --- */

static __always_inline void play(const struct op *op, struct object *o)
{
	switch (op->kind) {
	case 'a':
		o->p = must(subject_alloc(op->size));
		break;
	case 'A':
		o->p = must(subject_alloc_aligned(1ul << op->log2_align, op->size));
		break;
	case 'r':
		o->p = must(subject_realloc(o->p, op->size));
		break;
	case 'F':
		subject_free_aligned(o->p, 1ul << op->log2_align, op->size);
		o->p = NULL;
		return;
	default:
		subject_free(o->p);
		o->p = NULL;
		return;
	}
	*(char *)o->p = 1;
	o->size = op->size;
	o->log2_align = op->log2_align;
}

static void play_all(void)
{
	for (u64 i = 0; i < nr_ops; i++)
		play(&ops[i], &objects[ops[i].id]);
}

static void free_rest(void)
{
	for (u64 i = 0; i < nr_ids; i++) {
		struct object *o = &objects[i];

		if (o->p == NULL)
			continue;
		if (o->log2_align)
			subject_free_aligned(o->p, 1ul << o->log2_align, o->size);
		else
			subject_free(o->p);
		o->p = NULL;
	}
}

static void run_replay(const char *name)
{
	struct phase p = {.name = "op"};

	read_trace(name);
	p.ops = nr_ops;
	subject_start(1);
	play_all();
	free_rest();
	for (unsigned i = 0; i < nr_blocks; i++) {
		phase_run(&p, play_all);
		free_rest();
	}
	phase_report(&p);
}

static void run_footprint(const char *name)
{
	u64 live = 0, peak = 0, highest = 0, base, step;

	read_trace(name);
	subject_start(1);
	base = subject_footprint();
	step = nr_ops / 64 + 1;
	for (u64 i = 0; i < nr_ops; i++) {
		struct object *o = &objects[ops[i].id];
		u64 before = o->p != NULL ? o->size : 0;

		play(&ops[i], o);
		if (o->p != NULL)
			memset(o->p, 0x5a, o->size);
		live += (o->p != NULL ? o->size : 0) - before;
		peak = max_u64(peak, live);
		if (i % step == 0 || i == peak_op)
			highest = max_u64(highest, subject_footprint() - base);
	}
	report("live_bytes", (double)peak);
	report("footprint", (double)highest / (double)peak);
}

const struct work replay_works[] = {
    {"replay", "TRACE: all operations of a trace (plain text)", run_replay},
    {"replay_footprint", "TRACE: pages taken over live bytes, at the peak", run_footprint},
    {0},
};
