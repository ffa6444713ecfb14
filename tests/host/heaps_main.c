/*
 * build/host/heaps: the gallery (mm/heap.h) on this machine. tools/heaps asks it and makes tables
 * and pictures of its answers, which are lines of words:
 *
 *   list                       name, traits, claims, idea of every design
 *   conform [NAME...]          the conformance suite: "ok NAME" or "not ok NAME: …"
 *   replay TRACE [NAME...]     one line a design: cost, footprint, fragmentation
 *   complexity [NAME...]       steps against the number of blocks, and the order they grow in
 *   layout TRACE NAME          what is where in the heap, and how much, in the trace's course
 *
 * Two more designs than the kernel has: `libc`, this machine's malloc, to compare with; and
 * `contest`, when the program was linked with one (make contest HEAP=file.c).
 */
#include <kernel/compare.h>
#include <kernel/trace.h>
#include <lib/bits.h>
#include <lib/platform.h>
#include <mm/mm.h>
#include <tests/host/machine.h>
#include <tests/model/heap_complexity.h>
#include <tests/model/heap_conformance.h>

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { STATUS_GOOD, STATUS_FAILED, STATUS_USAGE = 64 };

#define HEAP_BYTES (1 * GIB)
#define THRESHOLD (128 * KIB) /* mapped ranges from this on, as glibc does */
#define MAX_STEPS 20000000ull /* a few seconds, where each block is on a page of its own */
#define MAX_BLOCKS 100000u
#define PICTURE_COLUMNS 360u
#define PICTURE_ROWS 300u

extern const struct heap_design heap_contest __attribute__((weak));

static _Noreturn void fail(int status, const char *what, const char *why)
{
	fprintf(stderr, "heaps: %s: %s (see heaps --help)\n", what, why);
	exit(status);
}

static void *lend(size_t bytes)
{
	void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
	               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (p == MAP_FAILED)
		fail(STATUS_FAILED, "memory", strerror(errno));
	return p;
}

/* --- this machine's malloc, as a design --- */

static bool libc_init(struct heap *heap)
{
	(void)heap;
	return true;
}

static void *libc_alloc(struct heap *heap, size_t size, size_t align)
{
	(void)heap;
	return align > HEAP_ALIGN ? memalign(align, size) : malloc(size);
}

static void libc_free(struct heap *heap, void *object)
{
	(void)heap;
	free(object);
}

static size_t libc_usable_size(const struct heap *heap, const void *object)
{
	(void)heap;
	return malloc_usable_size((void *)(u64)object);
}

static const char *libc_check(const struct heap *heap)
{
	(void)heap;
	return NULL;
}

static void libc_walk(const struct heap *heap, heap_visit *visit, void *context)
{
	(void)heap;
	(void)visit;
	(void)context;
}

static const struct heap_design heap_libc = {
    .name = "libc",
    .idea = "this machine's malloc",
    .traits = HEAP_KERNEL,
    .alloc_order = HEAP_O_OTHER,
    .free_order = HEAP_O_OTHER,
    .state_bytes = sizeof(struct heap),
    .init = libc_init,
    .alloc = libc_alloc,
    .free = libc_free,
    .usable_size = libc_usable_size,
    .check = libc_check,
    .walk = libc_walk,
};

/* --- the designs that were asked for --- */

static const struct heap_design *designs[64];
static unsigned nr_designs;

static const struct heap_design *find(const char *name)
{
	if (strcmp(name, "libc") == 0)
		return &heap_libc;
	if (strcmp(name, "contest") == 0 && &heap_contest != NULL)
		return &heap_contest;
	return heap_design_find(name);
}

/* All of the kernel's when none is named. */
static void choose(char **name)
{
	bool all = *name == NULL;

	for (; *name != NULL && nr_designs < ARRAY_SIZE(designs); name++) {
		designs[nr_designs] = find(*name);
		if (designs[nr_designs++] == NULL)
			fail(STATUS_USAGE, *name, "no such design");
	}
	for (unsigned i = 0; all && heap_designs[i] != NULL; i++)
		designs[nr_designs++] = heap_designs[i];
}

static void list(void)
{
	for (unsigned i = 0; i < nr_designs; i++)
		printf("%s %u %s %s %s\n", designs[i]->name, designs[i]->traits,
		       heap_order_name(designs[i]->alloc_order),
		       heap_order_name(designs[i]->free_order), designs[i]->idea);
}

/* --- conformance --- */

static int conform(void)
{
	static struct conformance c = {.seed = 1};
	int status = STATUS_GOOD;

	c.memory = lend(CONFORMANCE_BYTES);
	c.objects = calloc(CONFORMANCE_OBJECTS, sizeof(*c.objects));
	for (unsigned i = 0; i < nr_designs; i++) {
		if (conformance_run_all(&c, designs[i])) {
			printf("ok %s\n", designs[i]->name);
			continue;
		}
		printf("not ok %s: trial %s, fed by %s: %s\n", designs[i]->name, c.trial, c.kind,
		       c.why);
		status = STATUS_FAILED;
	}
	return status;
}

/* --- replays --- */

static char *read_file(const char *name, size_t *length)
{
	FILE *f = fopen(name, "rb");
	char *text;

	if (f == NULL)
		fail(STATUS_USAGE, name, strerror(errno));
	fseek(f, 0, SEEK_END);
	*length = (size_t)ftell(f);
	rewind(f);
	text = malloc(*length + 1);
	if (text == NULL || fread(text, 1, *length, f) != *length)
		fail(STATUS_FAILED, name, "cannot be read");
	fclose(f);
	return text;
}

static u64 read_clock(void)
{
	return cycles();
}

static struct compare *open_compare(const char *trace, char **text, size_t *length)
{
	static struct compare c = {.clock = read_clock, .max_steps = MAX_STEPS};
	struct trace t;

	*text = read_file(trace, length);
	if (trace_open(&t, *text, *length) != 0)
		fail(STATUS_USAGE, trace, t.error);
	c.slots = calloc(max_u64(t.nr_ids, 1), sizeof(*c.slots));
	if (c.slots == NULL)
		fail(STATUS_FAILED, trace, "no memory for its table");
	return &c;
}

/* What the kernel's own allocators took: the books are not the region's. */
static void ask_kernel(struct compare *c, const struct heap_design *design, u64 pages_before)
{
	struct mm_usage usage;

	mm_usage(&usage);
	c->used = c->footprint = 0;
	c->peak_footprint =
	    design == &heap_libc ? 0 : (usage.peak_used_pages - pages_before) * PAGE_SIZE;
}

static int replay_one(struct compare *c, const struct heap_design *design, const char *text,
                      size_t length)
{
	struct mm_usage usage;
	struct region region;
	void *memory = lend(HEAP_BYTES);
	int err;

	region_init(&region, REGION_MAPPED, memory, HEAP_BYTES, THRESHOLD);
	c->region = &region;
	slab_shrink_all();
	drain_cpu_pages();
	mm_reset_peak();
	mm_usage(&usage);
	err = compare_run(c, design, text, length);
	if (design->traits & HEAP_KERNEL)
		ask_kernel(c, design, usage.used_pages);
	munmap(memory, HEAP_BYTES);
	return err;
}

static int replay(const char *trace)
{
	char *text;
	size_t length;
	struct compare *c = open_compare(trace, &text, &length);
	int status = STATUS_GOOD;

	printf("design ops failures cycles-p50 cycles-p99 cycles-worst steps-mean/10 steps-p99 "
	       "steps-worst peak-live peak-footprint live used footprint stopped frees joins "
	       "joining-p50 apart-p50\n");
	for (unsigned i = 0; i < nr_designs; i++) {
		int err = replay_one(c, designs[i], text, length);

		if (err == -ENOENT)
			continue;
		if (err != 0) {
			printf("error %s: line %u: %s\n", designs[i]->name, c->line, c->error);
			status = STATUS_FAILED;
			continue;
		}
		printf("%s %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %lu %d "
		       "%lu %lu %lu %lu\n",
		       designs[i]->name, c->nr_ops, c->nr_failures,
		       compare_percentile(&c->cost, 50), compare_percentile(&c->cost, 99),
		       c->cost.worst, compare_mean_tenths(&c->steps),
		       compare_percentile(&c->steps, 99), c->steps.worst, c->peak_live,
		       c->peak_footprint, c->live, c->used, c->footprint, c->stopped,
		       c->joining.nr + c->apart.nr, c->nr_joins,
		       compare_percentile(&c->joining, 50), compare_percentile(&c->apart, 50));
		fflush(stdout);
	}
	return status;
}

/* --- complexity --- */

static int complexity(void)
{
	u64 bytes = complexity_memory(MAX_BLOCKS);
	void **objects = calloc(2 * MAX_BLOCKS, sizeof(*objects));
	int status = STATUS_GOOD;

	for (unsigned i = 0; i < nr_designs; i++) {
		const struct heap_design *d = designs[i];
		struct complexity c;
		void *memory = lend(bytes);
		bool counted;

		if (d->traits & HEAP_KERNEL)
			continue;
		counted = complexity_count(d, MAX_BLOCKS / 1000, 10, memory, objects, &c);
		munmap(memory, bytes);
		if (!counted) {
			printf("error %s: its memory was too small\n", d->name);
			return STATUS_FAILED;
		}
		for (unsigned side = 0; side < 2; side++) {
			struct complexity_curve *curve = side == 0 ? &c.alloc : &c.free;
			enum heap_order claim = side == 0 ? d->alloc_order : d->free_order;

			printf("%s %s", d->name, side == 0 ? "alloc" : "free");
			for (unsigned point = 0; point < COMPLEXITY_POINTS; point++)
				printf(" %lu", curve->cost[point] * 10 / COMPLEXITY_PROBES);
			printf("|%s|%s\n", heap_order_name(curve->fitted), heap_order_name(claim));
			status = curve->fitted == claim ? status : STATUS_FAILED;
		}
		fflush(stdout);
	}
	return status;
}

/* --- pictures: a line a moment, a character a stretch of addresses --- */

struct picture {
	u64 every, op, span;
	char row[PICTURE_ROWS + 1];
	const u8 *base;
};

/* '-' free, 'a' and on: used, by the size's power of two. What covers most of a stretch is not
 * weighed: the last block that touches it is shown. */
static void paint(void *context, const struct heap_block *b)
{
	struct picture *p = context;
	u64 from = (u64)((const u8 *)b->start - p->base), to = from + b->bytes;

	for (u64 i = from * PICTURE_ROWS / p->span; i < PICTURE_ROWS; i++) {
		if (i * p->span / PICTURE_ROWS >= to)
			break;
		p->row[i] = b->used ? (char)('a' + min_u64(log2_ceil(b->bytes), 25)) : '-';
	}
}

static void watch(void *context, const struct heap *heap, u64 op, u64 live_bytes)
{
	struct picture *p = context;

	p->op = op;
	if (op % p->every != 0)
		return;
	memset(p->row, '.', PICTURE_ROWS);
	p->base = heap->region->base;
	if (p->span != 0)
		heap_walk(heap, paint, p);
	printf("%lu %lu %zu %s\n", op, live_bytes, region_footprint(heap->region), p->row);
}

/* Twice: what the break reaches at most gives the picture its height. */
static int layout(const char *trace)
{
	char *text;
	size_t length;
	struct compare *c = open_compare(trace, &text, &length);
	struct picture p = {.every = ~0ull};
	struct trace t;

	c->max_steps = ~0ull;
	if (nr_designs != 1 || designs[0]->traits & (HEAP_KERNEL | HEAP_TYPED | HEAP_MAPS))
		fail(STATUS_USAGE, "layout", "name one design with a heap of its own");
	if (replay_one(c, designs[0], text, length) != 0)
		fail(STATUS_FAILED, designs[0]->name, c->error);
	trace_open(&t, text, length);
	p.every = t.nr_ops / PICTURE_COLUMNS + 1;
	p.span = c->peak_footprint;
	c->watch = watch;
	c->context = &p;
	printf("span %lu rows %u every %lu\n", p.span, PICTURE_ROWS, p.every);
	return replay_one(c, designs[0], text, length) != 0;
}

/* --- command line --- */

static const char help[] =
    "usage: heaps COMMAND [ARGUMENT]...\n"
    "The gallery of allocators on this machine; tools/heaps makes tables of the answers.\n\n"
    "  list [DESIGN]...           name, traits, claimed costs, idea\n"
    "  conform [DESIGN]...        the conformance suite\n"
    "  replay TRACE [DESIGN]...   cost, footprint and fragmentation on a trace (plain text)\n"
    "  complexity [DESIGN]...     steps an operation against the number of blocks\n"
    "  layout TRACE DESIGN        the heap's blocks in the trace's course\n\n"
    "DESIGN: a name from `list`, libc or contest (default: all of `list`).\n"
    "Exit status: 0, 1 when something failed, 64 for wrong usage.\n";

int main(int argc, char **argv)
{
	const char *command = argc > 1 ? argv[1] : "";
	bool with_trace = strcmp(command, "replay") == 0 || strcmp(command, "layout") == 0;

	if (strcmp(command, "--help") == 0) {
		fputs(help, stdout);
		return STATUS_GOOD;
	}
	if (with_trace && argc < 3)
		fail(STATUS_USAGE, command, "needs a trace");
	host_log_level = 0;
	host_machine_boot_pc(GIB);
	if (argc > 1)
		choose(argv + (with_trace ? 3 : 2));
	if (strcmp(command, "conform") == 0)
		return conform();
	if (strcmp(command, "replay") == 0)
		return replay(argv[2]);
	if (strcmp(command, "complexity") == 0)
		return complexity();
	if (strcmp(command, "layout") == 0)
		return layout(argv[2]);
	if (strcmp(command, "list") != 0)
		fail(STATUS_USAGE, argc > 1 ? command : "no command", "what to do?");
	list();
	return STATUS_GOOD;
}
